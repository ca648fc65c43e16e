"""The task retrieval: against plain sorting and trec_eval, at chance for who knows nothing."""

from dataclasses import replace

import ir_measures
import numpy as np
import pytest
import soundfile
from captioned_sets import by_lot, captioned, constant, knowing, one_caption_each, vectors_of
from ir_measures import AP, RR, R, Success, nDCG

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store
from earmark.bench.tasks.retrieval import task as retrieval
from earmark.bench.tasks.retrieval.protocol import DIRECTIONS, resolve_protocol
from earmark.bench.tasks.retrieval.task import Retrieval
from earmark.bench.tasks.task import Context
from earmark.datasets.base import Clip, DataError
from earmark.models.adapters.references import random_model


@pytest.fixture(autouse=True)
def without_maps(monkeypatch):
    """The t-SNE, which takes most of the time, has tests of its own."""
    monkeypatch.setattr(retrieval, "draw_map", lambda *_, **__: "left out by the tests")


def several_captions(n_clips=30, seed=0):
    """One to three captions a clip, of which some are shared by two clips."""
    rng = np.random.default_rng(seed)
    sets = [[f"{i} {j}" for j in range(rng.integers(1, 4))] for i in range(n_clips)]
    for i in range(0, n_clips - 1, 7):
        sets[i + 1].append(sets[i][0])
    return captioned(sets)


def evaluate(dataset, models, *, options=None, heard=None, **others):
    others = {"replicates": 200, "seed": 1} | others
    vectors = vectors_of(dataset, models, heard=heard)
    return retrieval.evaluate(dataset, vectors, resolve_protocol(**(options or {})), **others)


def with_noises(folder, n_clips):
    """A set whose clips are there to be heard."""
    rng = np.random.default_rng(0)
    dataset = one_caption_each(n_clips)
    for clip in dataset.clips:
        soundfile.write(folder / f"{clip.id}.wav", rng.uniform(-0.5, 0.5, 400), 8000)
    clips = tuple(replace(clip, path=folder / f"{clip.id}.wav") for clip in dataset.clips)
    return replace(dataset, clips=clips)


def values(output, model, subset):
    return {
        s.metric: s.value for s in output.result.scores if (s.model, s.subset) == (model, subset)
    }


def rows_of(output, **wanted):
    columns = output.items
    kept = [
        i
        for i in range(len(columns["model"]))
        if all(columns[name][i] == value for name, value in wanted.items())
    ]
    return [{name: column[i] for name, column in columns.items()} for i in kept]


def plainly(dataset, models, model, subset):
    """Every query's ranked list and relevant items, by sorting all scores."""
    vectors = vectors_of(dataset, models)
    scores = vectors.text[model].astype(float) @ vectors.audio[model].astype(float).T
    belongs = np.zeros(scores.shape, bool)
    for caption, clip in zip(dataset.captions, dataset.clip_of.tolist(), strict=True):
        belongs[vectors.texts.index(caption), clip] = True
    if subset == "audio-to-text":
        scores, belongs = scores.T, belongs.T
    return scores, belongs


@pytest.mark.parametrize("subset", DIRECTIONS)
def test_scores_are_those_of_trec_eval(subset):
    dataset = several_captions()
    models = {"m": knowing(dataset, noise=1.0)}
    scores, belongs = plainly(dataset, models, "m", subset)
    run = [
        ir_measures.ScoredDoc(str(q), str(i), s)
        for q, line in enumerate(scores)
        for i, s in enumerate(line)
    ]
    truth = [ir_measures.Qrel(str(q), str(i), 1) for q, i in np.argwhere(belongs)]
    measures = {
        "recall_at_1": Success @ 1,
        "recall_at_5": Success @ 5,
        "recall_at_10": Success @ 10,
        "map_at_10": AP @ 10,
        "mrr": RR,
        "ndcg_at_10": nDCG @ 10,
    }
    expected = ir_measures.pytrec_eval.calc_aggregate(measures.values(), truth, run)
    found = values(evaluate(dataset, models), "m", subset)
    for name, measure in measures.items():
        assert found[name] == pytest.approx(expected[measure], abs=1e-12)
    by_caption = evaluate(dataset, models, options={"rule": "per caption"})
    share = ir_measures.pytrec_eval.calc_aggregate([R @ 5], truth, run)[R @ 5]
    assert values(by_caption, "m", subset)["recall_at_5"] == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize("subset", DIRECTIONS)
def test_ranks_and_top_hits_are_those_of_sorting(subset):
    dataset = several_captions()
    models = {"m": knowing(dataset, noise=1.0), "n": by_lot(3)}
    output = evaluate(dataset, models)
    for model in models:
        scores, belongs = plainly(dataset, models, model, subset)
        order = np.argsort(-scores, axis=1)
        places = [int(np.flatnonzero(belongs[q][order[q]])[0]) + 1 for q in range(len(order))]
        rows = rows_of(output, model=model, subset=subset)
        assert [row["rank"] for row in rows] == places
        assert [row["n_relevant"] for row in rows] == belongs.sum(axis=1).tolist()
        assert [row["recall_at_5"] for row in rows] == [float(place <= 5) for place in places]
        assert [row["reciprocal_rank"] for row in rows] == pytest.approx([1 / p for p in places])
        texts = list(dict.fromkeys(dataset.captions))
        items = (
            [clip.id for clip in dataset.clips]
            if subset == "text-to-audio"
            else [dataset.caption_ids[dataset.captions.index(text)] for text in texts]
        )
        assert [row["top_item"] for row in rows] == [items[line[0]] for line in order]
        found = values(output, model, subset)
        assert found["mean_rank"] == pytest.approx(np.mean(places), abs=1e-12)
        assert found["median_rank"] == np.median(places)


def test_every_score_has_chance_an_interval_and_its_queries():
    dataset = several_captions()
    result = evaluate(dataset, {"m": knowing(dataset, noise=1.0)}).result
    assert (result.headline_metric, result.headline_subset) == ("recall_at_10", "text-to-audio")
    assert len(result.scores) == 2 * 8
    n_texts = len(set(dataset.captions))
    for score in result.scores:
        assert score.n == score.n_items == (n_texts if score.subset == "text-to-audio" else 30)
        assert score.interval.low <= score.value <= score.interval.high
        assert score.interval.unit == "clip"
    assert {(one.subset, one.metric) for one in result.references} == {
        (score.subset, score.metric) for score in result.scores
    }


def test_a_constant_model_is_at_chance_exactly_and_never_right():
    dataset = several_captions()
    output = evaluate(dataset, {"flat": constant()})
    for score in output.result.scores:
        assert score.value == pytest.approx(score.chance, abs=1e-12)
    assert not any(
        row["caption_similarity"] == row["caption_similarity"] for row in rows_of(output)
    )  # no sentence vectors were given
    pairs = {(c, f"c{k}") for c, k in zip(dataset.captions, dataset.clip_of.tolist(), strict=True)}
    assert not any(
        (row["query"], row["top_item"]) in pairs for row in rows_of(output, subset="text-to-audio")
    )
    titles = {table.title for table in output.result.tables}
    assert {"Failures of flat", "Failures of flat, audio to text"} <= titles


def test_the_better_model_is_told_from_the_worse_on_the_same_queries():
    dataset = one_caption_each(40)
    models = {"good": knowing(dataset, noise=0.5), "lot": by_lot(9)}
    output = evaluate(dataset, models)
    result = output.result
    found = {one.subset: one for one in result.comparisons}
    assert found.keys() == set(DIRECTIONS)
    for subset, one in found.items():
        first, second = (values(output, m, subset) for m in models)
        assert one.difference == pytest.approx(first["recall_at_10"] - second["recall_at_10"])
        assert one.p_holm < 0.001
        assert one.n == 40
    assert [group.models for group in result.groups] == [["good"], ["lot"]] * 2


def test_a_shared_caption_is_one_query_and_its_clips_are_one_unit():
    dataset = captioned(
        [["loud"], ["soft"], ["loud"], ["slow", "soft"], *[[f"{i}"] for i in range(9)]]
    )
    output = evaluate(dataset, {"m": by_lot(0)})
    rows = {row["query"]: row for row in rows_of(output, subset="text-to-audio")}
    assert len(rows) == len(rows_of(output, subset="text-to-audio")) == 12
    assert rows["loud"]["n_relevant"] == rows["soft"]["n_relevant"] == 2
    units = {row["item"]: row["unit"] for row in rows_of(output, subset="audio-to-text")}
    assert units["c2"] == units["c0"] == rows["loud"]["unit"] == "c0"
    assert units["c3"] == units["c1"] == rows["slow"]["unit"] == "c1"
    score = output.result.scores[0]
    assert score.interval.n_units == 11
    assert output.result.protocol["clips that share a caption across units"] == 4


def test_clips_of_one_unit_are_resampled_together():
    dataset = one_caption_each(20, units=[f"artist {i // 4}" for i in range(20)])
    score = evaluate(dataset, {"m": by_lot(0)}).result.scores[0]
    assert (score.interval.unit, score.interval.n_units) == ("unit", 5)


def test_one_unit_alone_has_no_interval_and_no_test():
    dataset = one_caption_each(12, units=["artist"] * 12)
    result = evaluate(dataset, {"a": by_lot(0), "b": by_lot(1)}).result
    assert not result.comparisons
    assert all(score.interval is None for score in result.scores)
    alone = "no interval: 1 unit is too few for one"
    assert {score.reason for score in result.scores if score.value is not None} == {alone}
    assert any("all clips are one unit" in warning for warning in result.warnings)


def test_outcomes_that_are_all_the_same_do_not_make_an_interval_without_width():
    dataset = one_caption_each(40)
    result = evaluate(dataset, {"m": knowing(dataset, noise=0.0)}).result
    first = result.scores[0]
    assert (first.metric, first.value) == ("recall_at_1", 1.0)
    z2 = 1.959963984540054**2  # Wilson's lower end of 40 of 40
    assert first.interval.low == pytest.approx(40 / (40 + z2), abs=1e-12)
    assert (first.interval.high, first.interval.method) == (1.0, "Wilson score")


def test_a_clip_without_a_caption_is_a_wrong_answer_and_no_query():
    dataset = captioned([[f"{i}"] for i in range(14)] + [[]])
    models = {"m": by_lot(2)}
    output = evaluate(dataset, models)
    found = {(s.subset, s.metric): s for s in output.result.scores}
    assert found["text-to-audio", "mean_rank"].chance == (15 + 1) / 2
    assert found["audio-to-text", "mean_rank"].chance == (14 + 1) / 2
    assert found["audio-to-text", "mean_rank"].n_items == 14
    assert "c14" not in {row["item"] for row in rows_of(output, subset="audio-to-text")}
    assert any("1 clips have no caption" in w and "c14" in w for w in output.result.warnings)


def test_what_could_not_be_heard_is_left_out_with_its_captions_and_told():
    dataset = captioned([["a"], ["b"], ["c"], ["a"], *[[f"{i}"] for i in range(10)]])
    output = evaluate(
        dataset, {"m": by_lot(0)}, heard={f"c{i}" for i in range(14) if i not in (1, 3)}
    )
    score = output.result.scores[0]
    assert (score.n, score.n_items) == (12, 13)
    rows = {row["query"]: row for row in rows_of(output, subset="text-to-audio")}
    assert "b" not in rows
    assert rows["a"]["n_relevant"] == 1
    assert any("2 of 14 clips could not be heard" in w for w in output.result.warnings)


def test_clips_that_are_the_same_to_every_model_are_named():
    dataset = one_caption_each(12)
    listen, read = by_lot(0)
    twins = (lambda name: listen("c3" if name == "c7" else name)), read
    result = evaluate(dataset, {"m": twins}).result
    assert any("c7 as c3" in warning for warning in result.warnings)


def test_a_small_set_has_no_r_at_10_and_says_so():
    result = evaluate(one_caption_each(6), {"m": by_lot(0), "n": by_lot(1)}).result
    found = {(s.subset, s.metric): s for s in result.scores}
    assert found["text-to-audio", "recall_at_10"].value is None
    assert "only 6 items" in found["text-to-audio", "recall_at_10"].reason
    assert found["text-to-audio", "recall_at_5"].chance == pytest.approx(5 / 6)
    assert not result.comparisons
    assert any("too few for R@10" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("captions_of", "too_few"),
    [
        ([[f"c {i} {j}" for j in range(5)] for i in range(5)], "text-to-audio"),  # Clotho's shape
        ([[f"c {i} {j}" for j in range(12)] for i in range(3)], "text-to-audio"),
        ([[f"caption {i % 4}"] for i in range(12)], "audio-to-text"),
        ([["the same"] for _ in range(12)], "audio-to-text"),
        ([["the same", "the same", f"own {i % 3}"] for i in range(12)], "audio-to-text"),
    ],
)
def test_a_direction_of_fewer_than_ten_items_is_undefined_beside_the_other(captions_of, too_few):
    import pandas as pd

    output = evaluate(captioned(captions_of), {"lot": by_lot(8)})
    rows = pd.DataFrame(dict(output.items))  # columns of one length
    at_10 = [name for name in rows if name.endswith("_at_10")]
    assert len(at_10) == 3
    assert rows[rows["subset"] == too_few][at_10].isna().all(axis=None)
    assert rows[rows["subset"] != too_few][at_10].notna().all(axis=None)
    for score in output.result.scores:
        if score.metric in at_10:
            undefined = score.subset == too_few
            assert (score.value is None) == undefined
            assert undefined == (score.reason or "").startswith("only ")


def test_directions_may_be_one_alone():
    dataset = several_captions()
    models = {"m": by_lot(0)}
    both = evaluate(dataset, models)
    for subset in DIRECTIONS:
        alone = evaluate(dataset, models, options={"directions": [subset]})
        assert alone.result.headline_subset == subset
        assert values(alone, "m", subset) == values(both, "m", subset)
        assert {score.subset for score in alone.result.scores} == {subset}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda v: v.audio["m"].__setitem__((3, 0), np.nan), "'m': vector 3 of items holds nan"),
        (lambda v: v.text.update(m=v.text["m"][:, :5]), "dimension 5 and items 16"),
        (lambda v: v.audio["m"].__imul__(2), "'c0' among clips has the norm 2, expected 1"),
        (lambda v: v.text.update(m=v.text["m"][1:]), "11 vectors of texts, expected 12"),
    ],
)
def test_refuses_broken_vectors(broken, message):
    dataset = one_caption_each(12)
    vectors = vectors_of(dataset, {"m": by_lot(0)})
    broken(vectors)
    with pytest.raises(DataError, match=message):
        retrieval.evaluate(dataset, vectors, resolve_protocol())


def test_refuses_one_clip_and_ids_given_twice():
    with pytest.raises(DataError, match="1 of 1 clips could be heard; with fewer than two"):
        evaluate(one_caption_each(1), {"m": by_lot(0)})
    dataset = one_caption_each(12)
    dataset = replace(dataset, clips=(*dataset.clips[:-1], Clip("c0", None)))
    with pytest.raises(DataError, match="clip ids must be unique, given more than once: c0"):
        evaluate(dataset, {"m": by_lot(0)})


def test_the_run_embeds_and_names_each_models_crop(tmp_path):
    dataset = with_noises(tmp_path, 12)
    model = random_model(seed=1, dimension=8)
    heard = random_model(seed=2, dimension=8)
    heard.card = replace(heard.card, weights_digest="0" * 64)
    context = Context("retrieval", Embeddings(Store(tmp_path / "store")), replicates=100, seed=1)
    options = {"protocol": "muscall-paper", "pool": 11, "draws": 2, "sentence_bert": "none"}
    ran = Retrieval(**options).run(context, dataset, {"random": model, "trained": heard})
    result = ran.output.result
    assert ran.seconds.keys() == {"random", "trained"}
    assert result.protocol["protocol"] == "muscall-paper"
    assert result.protocol["changed from the protocol"] == "pool"
    assert result.protocol["crop of trained"] == "whole"
    (crop,) = (w for w in result.warnings if "hears" in w)
    assert crop.startswith("trained hears 'whole'") and "centre(20 s)" in crop
    assert {score.metric for score in result.scores} == {
        "recall_at_1",
        "recall_at_5",
        "recall_at_10",
        "map_at_10",
        "median_rank",
    }
    wanted = Retrieval(**options).wanted(context, dataset, {})
    assert len(wanted.clips) == len(wanted.texts) == 12


def test_refuses_sets_without_captions(tmp_path):
    context = Context("retrieval", Embeddings(Store(tmp_path / "store")), replicates=100, seed=1)
    models = {"random": random_model()}
    with pytest.raises(DataError, match="needs a set of captioned clips, got list"):
        Retrieval().run(context, [], models)
    with pytest.raises(DataError, match="has no captions"):
        Retrieval().run(context, captioned([[], []]), models)
    with pytest.raises(DataError, match="Did you mean 'earmark'"):
        Retrieval(protocol="earmrk").wanted(context, one_caption_each(3), {})
    with pytest.raises(DataError, match="none of the 3 clips could be heard"):
        Retrieval().run(context, one_caption_each(3), models)
