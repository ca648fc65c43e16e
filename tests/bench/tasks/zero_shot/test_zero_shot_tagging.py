"""Zero-shot tagging: held against scikit-learn on invented vectors, its intervals and bad input."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.preprocessing import normalize

from earmark.bench.metrics import tagging
from earmark.bench.tasks.labels.tag_scores import TagTruth
from earmark.bench.tasks.vectors import JointVectors
from earmark.bench.tasks.zero_shot.task import ZeroShotTagging
from earmark.datasets.base import Clip, DataError, DatasetCard, Tagged
from earmark.models.base import ModelError

TAGS = ("guitar", "no vocals", "piano", "unheard", "weird")
PROMPTS = ("{label}", "A {label} track", "{label} music")
HEARD = [0, 1, 2, 4]
DIMENSION = 256


def tagged(labels, *, units=True, ids=None, split="won2020/test", name="mine"):
    n_clips = len(labels)
    ids = ids or [f"c{index:03}" for index in range(n_clips)]
    clips = tuple(
        Clip(one, None, unit=f"artist {index // 4}" if units else None)
        for index, one in enumerate(ids)
    )
    card = DatasetCard(name, name.title(), "1", "", "", "")
    parts = ("test",) * n_clips
    return Tagged(card, clips, TAGS, np.asarray(labels, np.uint8), split, parts, "rule", "0")


def invented(*, n_clips=80, models=("one", "other"), seed=0, units=True, strength=0.15):
    """Clips near the prompts of their tags; the third-last tag is of no clip."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((n_clips, len(TAGS))) < [0.4, 0.3, 0.2, 0, 0.1]).astype(np.uint8)
    labels[:2] = [[1, 1, 1, 0, 1], [0] * 5]
    dataset = tagged(labels, units=units)
    texts = tuple(p.replace("{label}", tag) for p in PROMPTS for tag in TAGS)
    audio, text = {}, {}
    for number, model in enumerate(models):
        anchors = normalize(rng.normal(size=(len(TAGS), DIMENSION)))
        heard = strength / (1 + number) * labels @ anchors
        heard = heard + rng.normal(size=(n_clips, DIMENSION)) / np.sqrt(DIMENSION)
        written = np.tile(anchors, (3, 1)) + 0.02 * rng.normal(size=(len(texts), DIMENSION))
        audio[model] = normalize(heard).astype(np.float32)
        text[model] = normalize(written).astype(np.float32)
    return dataset, JointVectors(tuple(dataset.clips), audio, texts, text)


def evaluate(dataset, vectors, **options):
    options = {"prompts": PROMPTS, "replicates": 100} | options
    others = {name: options.pop(name) for name in ("replicates", "seed") if name in options}
    return ZeroShotTagging(**options).evaluate(dataset, vectors, **others)


def value(result, model, metric, subset="ensemble"):
    (found,) = [
        one
        for one in result.scores
        if (one.model, one.metric, one.subset) == (model, metric, subset)
    ]
    return found


def table_of(result, title):
    (table,) = [one for one in result.tables if one.title == title]
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def scores_of(vectors, model):
    audio = normalize(vectors.audio[model].astype(float))
    by_prompt = normalize(vectors.text[model].astype(float)).reshape(3, len(TAGS), -1)
    rows = [*by_prompt, normalize(by_prompt.mean(axis=0))]
    return {s: audio @ r.T for s, r in zip([*PROMPTS, "ensemble"], rows, strict=True)}


def test_scores_are_scikit_learns_over_the_tags_that_some_clips_have():
    dataset, vectors = invented()
    result = evaluate(dataset, vectors).result
    truth = dataset.labels[:, HEARD]
    for model in ("one", "other"):
        for subset, scores in scores_of(vectors, model).items():
            roc = metrics.roc_auc_score(truth, scores[:, HEARD], average="macro")
            precision = metrics.average_precision_score(truth, scores[:, HEARD], average="macro")
            assert value(result, model, "roc_auc", subset).value == pytest.approx(roc, abs=1e-12)
            found = value(result, model, "average_precision", subset)
            assert found.value == pytest.approx(precision, abs=1e-12)
            assert found.interval.low <= found.value <= found.interval.high


def test_the_mean_of_prompts_is_the_mean_of_their_macro_means():
    dataset, vectors = invented()
    result = evaluate(dataset, vectors).result
    for metric in ("roc_auc", "average_precision"):
        found = value(result, "one", metric, "mean of prompts")
        expected = np.mean([value(result, "one", metric, prompt).value for prompt in PROMPTS])
        assert found.value == pytest.approx(expected, abs=1e-12)
        assert found.interval.low < found.value < found.interval.high
    assert {row["metric"] for row in table_of(result, "Prompts")} == {
        "roc_auc",
        "average_precision",
    }


def test_scores_have_the_intervals_that_each_has_by_itself():
    dataset, vectors = invented()
    result = evaluate(dataset, vectors, seed=7).result
    units = [clip.unit for clip in dataset.clips]
    alone = tagging.evaluate(
        dataset.labels,
        scores_of(vectors, "other")["ensemble"],
        units=units,
    )
    for metric in ("roc_auc", "average_precision"):
        found = value(result, "other", metric).interval
        expected = alone[metric].macro.interval
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (found.unit, found.n_units) == ("unit", 20)


def test_a_tag_without_a_clip_is_named_left_out_and_counted():
    result = evaluate(*invented()).result
    assert table_of(result, "Tags left out") == [
        {"tag": "unheard", "reason": "no clip is positive"}
    ]
    (warning,) = [text for text in result.warnings if "left out" in text]
    assert warning.startswith("1 of 5 tags are left out") and warning.endswith(": unheard")
    assert "unheard" not in {row["tag"] for row in table_of(result, "Per tag")}


def test_the_table_of_tags_has_each_tags_support_chance_scores_and_intervals():
    dataset, vectors = invented()
    rows = table_of(evaluate(dataset, vectors).result, "Per tag")
    assert len(rows) == 8
    expected = scores_of(vectors, "one")["ensemble"]
    random = tagging.random_average_precision(dataset.labels)
    for row in rows:
        if row["model"] != "one":
            continue
        tag = TAGS.index(row["tag"])
        truth = dataset.labels[:, tag]
        assert row["clips"] == truth.sum()
        assert row["chance PR-AUC"] == pytest.approx(random[tag], abs=1e-12)
        roc = metrics.roc_auc_score(truth, expected[:, tag])
        assert row["ROC-AUC"] == pytest.approx(roc, abs=1e-12)
        assert row["ROC-AUC low"] <= row["ROC-AUC"] <= row["ROC-AUC high"]
        assert row["PR-AUC low"] <= row["PR-AUC"] <= row["PR-AUC high"]


def test_arrays_hold_the_ensembles_scores_labels_and_names():
    dataset, vectors = invented()
    output = evaluate(dataset, vectors)
    found = output.arrays
    assert (found["scores.one"].dtype, found["labels"].dtype) == (np.float32, np.uint8)
    expected = scores_of(vectors, "one")["ensemble"]
    np.testing.assert_allclose(found["scores.one"], expected, atol=1e-6)
    np.testing.assert_array_equal(found["labels"], dataset.labels)
    assert tuple(found["tags"]) == TAGS
    assert output.result.arrays == list(found)
    assert list(found["items"]) == [clip.id for clip in dataset.clips]
    columns = output.items
    assert set(columns) == {"model", "item", "unit", "subset", "n_tags"}
    assert len(columns["model"]) == 2 * 80 * 5
    assert columns["n_tags"][:80] == dataset.labels.sum(axis=1).tolist()


def test_random_vectors_are_at_chance_and_equal_scores_are_so_exactly():
    dataset, vectors = invented(models=("random", "constant"), strength=0.0, n_clips=400)
    row = normalize(np.ones((1, DIMENSION))).astype(np.float32)
    vectors.audio["constant"] = np.repeat(row, 400, axis=0)
    result = evaluate(dataset, vectors, replicates=300).result
    for metric in ("roc_auc", "average_precision"):
        found = value(result, "random", metric)
        assert found.interval.low <= found.chance <= found.interval.high
    assert value(result, "constant", "roc_auc").value == pytest.approx(0.5, abs=1e-12)
    lines = {(one.name, one.metric): one.value for one in result.references}
    constant = value(result, "constant", "average_precision").value
    assert lines["constant scores", "average_precision"] == pytest.approx(constant, abs=1e-12)
    assert lines["chance", "average_precision"] > constant
    assert "constant, ensemble: all clips have equal scores" in result.warnings


def test_models_are_compared_on_the_ensembles_roc_auc():
    result = evaluate(*invented(n_clips=60), replicates=10_000).result
    (pair,) = result.comparisons
    assert (pair.metric, pair.subset) == ("roc_auc", "ensemble")
    difference = value(result, "one", "roc_auc").value - value(result, "other", "roc_auc").value
    assert pair.difference == pytest.approx(difference, abs=1e-12)
    assert result.protocol["replicates"] == pair.interval.replicates == 10_000
    assert (result.headline_metric, result.headline_subset) == ("roc_auc", "ensemble")


def test_scores_belong_to_their_clips_whatever_the_order():
    dataset, vectors = invented()
    order = np.random.default_rng(5).permutation(80)[:70]
    shuffled = JointVectors(
        tuple(vectors.clips[index] for index in order),
        {model: rows[order] for model, rows in vectors.audio.items()},
        vectors.texts,
        vectors.text,
    )
    result = evaluate(dataset, shuffled).result
    scores = scores_of(vectors, "one")["ensemble"][order][:, HEARD]
    expected = metrics.roc_auc_score(dataset.labels[order][:, HEARD], scores)
    found = value(result, "one", "roc_auc")
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert (found.n, found.n_items) == (70, 80)
    assert "10 of 80 clips could not be scored, see the problems" in result.warnings


def test_the_paper_scores_another_split():
    dataset, vectors = invented()
    result = evaluate(dataset, vectors, protocol="muscall-paper", prompts=None).result
    assert result.protocol["protocol"] == "muscall-paper"
    assert {s.subset for s in result.scores} == {
        *("{label}", "A {label} track", "ensemble", "mean of prompts")
    }
    (warning,) = [text for text in result.warnings if "muscall-paper" in text]
    assert "this is mine, won2020/test, 80 clips and 5 labels" in warning


def test_data_that_cannot_be_tagged_are_named():
    dataset, vectors = invented()
    with pytest.raises(DataError, match=r"needs a set of tagged clips, got JointVectors"):
        ZeroShotTagging().wanted(None, vectors, {})
    with pytest.raises(DataError, match=r"mine, won2020/test: the split is empty"):
        evaluate(tagged(np.zeros((0, 5))), vectors)
    with pytest.raises(DataError, match=r"none of the 5 tags has both clips with it and clips"):
        evaluate(tagged(np.zeros((80, 5))), vectors)
    ids = [clip.id for clip in dataset.clips]
    with pytest.raises(DataError, match=r"unique, given more than once: c000"):
        evaluate(tagged(dataset.labels, ids=[*ids[:-1], ids[0]]), vectors)
    with pytest.raises(DataError, match=r"'guitars', which is no label; the labels are guitar"):
        evaluate(dataset, vectors, texts={"guitars": "guitar"})
    vectors.audio["other"][5, 0] = np.inf
    with pytest.raises(ModelError, match=r"'other': the vector of 'c005' is not finite"):
        evaluate(dataset, vectors)


def test_a_truth_without_clips_is_refused():
    with pytest.raises(DataError, match="no clip to score"):
        TagTruth((), TAGS, np.zeros((0, 5), np.uint8), 0)


def test_the_texts_that_are_wanted_are_the_tags_in_every_prompt():
    dataset, vectors = invented()
    wanted = ZeroShotTagging(prompts=PROMPTS).wanted(None, dataset, {})
    assert (tuple(wanted.clips), tuple(wanted.texts)) == (dataset.clips, vectors.texts)
