"""Zero-shot classification: held against scikit-learn, on invented vectors and real excerpts."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.preprocessing import normalize

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store
from earmark.bench.tasks.labels.class_scores import ClassTruth, independent_chance
from earmark.bench.tasks.task import Context
from earmark.bench.tasks.vectors import JointVectors
from earmark.bench.tasks.zero_shot.task import ZeroShotClassification
from earmark.datasets import gtzan
from earmark.datasets.base import Clip, DataError, DatasetCard, RatedClips, Scale
from earmark.models.adapters.references import random_model
from earmark.models.base import ModelError

CLASSES = ("blues", "hiphop", "jazz", "metal", "rock")
PROMPTS = ("{label}", "A {label} track", "{label} music")


def rated(labels, units=None):
    units = units or [None] * len(labels)
    clips = [
        Clip(f"c{index:03}", None, label=label, unit=unit)
        for index, (label, unit) in enumerate(zip(labels, units, strict=True))
    ]
    card = DatasetCard("mine", "Mine", "1", "", "", "")
    return RatedClips(card, clips, np.zeros((len(clips), 2)), Scale(0, 1), "0")


def invented(*, n_clips=60, models=("one", "other"), noise=0.7, seed=0, units=None):
    """Clips near their class's prompt, as near as each model hears them."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(len(CLASSES), size=n_clips, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    truth[: len(CLASSES)] = range(len(CLASSES))
    dataset = rated([CLASSES[index] for index in truth], units)
    texts = tuple(p.replace("{label}", name) for p in PROMPTS for name in CLASSES)
    audio, text = {}, {}
    for number, model in enumerate(models):
        anchors = normalize(rng.normal(size=(len(CLASSES), 8)))
        heard = anchors[truth] + noise * (1 + number) * rng.normal(size=(n_clips, 8))
        written = np.tile(anchors, (len(PROMPTS), 1)) + 0.2 * rng.normal(size=(len(texts), 8))
        audio[model] = normalize(heard).astype(np.float32)
        text[model] = normalize(written).astype(np.float32)
    return dataset, JointVectors(tuple(dataset.clips), audio, texts, text)


def evaluate(dataset, vectors, **options):
    options = {"prompts": PROMPTS, "replicates": 200} | options
    others = {name: options.pop(name) for name in ("replicates", "seed") if name in options}
    return ZeroShotClassification(**options).evaluate(dataset, vectors, **others)


def value(result, model, metric, subset="ensemble"):
    (found,) = [
        one
        for one in result.scores
        if (one.model, one.metric, one.subset) == (model, metric, subset)
    ]
    return found


def predicted(vectors, model, rows):
    audio = vectors.audio[model].astype(float)
    return (audio @ rows.T).argmax(axis=1)


def prompts_of(vectors, model):
    return normalize(vectors.text[model].astype(float)).reshape(len(PROMPTS), len(CLASSES), -1)


def test_scores_are_scikit_learns_for_each_prompt_and_the_ensemble():
    dataset, vectors = invented()
    result = evaluate(dataset, vectors).result
    truth = [CLASSES.index(clip.label) for clip in dataset.clips]
    for model in ("one", "other"):
        by_prompt = prompts_of(vectors, model)
        by_subset = dict(zip(PROMPTS, by_prompt, strict=True))
        by_subset["ensemble"] = normalize(by_prompt.mean(axis=0))
        for subset, rows in by_subset.items():
            guess = predicted(vectors, model, rows)
            scores = vectors.audio[model].astype(float) @ rows.T
            expected = {
                "accuracy": metrics.accuracy_score(truth, guess),
                "balanced_accuracy": metrics.balanced_accuracy_score(truth, guess),
                "macro_f1": metrics.f1_score(truth, guess, average="macro"),
                "top_3_accuracy": metrics.top_k_accuracy_score(truth, scores, k=3),
            }
            for metric, number in expected.items():
                found = value(result, model, metric, subset)
                assert found.value == pytest.approx(number, abs=1e-12)
                assert found.interval.low <= found.value <= found.interval.high


def test_the_mean_of_prompts_is_the_mean_of_each_metric_over_them():
    dataset, vectors = invented()
    result = evaluate(dataset, vectors).result
    for metric in ("accuracy", "balanced_accuracy", "macro_f1", "top_3_accuracy"):
        of_prompts = [value(result, "one", metric, prompt).value for prompt in PROMPTS]
        found = value(result, "one", metric, "mean of prompts")
        assert found.value == pytest.approx(np.mean(of_prompts), abs=1e-12)
        assert found.interval.low < found.value < found.interval.high
    (table,) = [one for one in result.tables if one.title == "Prompts"]
    row = dict(zip(table.columns, table.rows[0], strict=True))
    of_prompts = {p: value(result, "one", "accuracy", p).value for p in PROMPTS}
    assert row["standard deviation"] == pytest.approx(np.std(list(of_prompts.values()), ddof=1))
    assert of_prompts[row["best prompt"]] == row["highest"] == max(of_prompts.values())


def test_one_prompt_is_its_own_mean_and_ensemble():
    dataset, vectors = invented()
    result = evaluate(dataset, vectors, prompts=["{label} music"]).result
    found = [value(result, "one", "macro_f1", s) for s in ("{label} music", "ensemble")]
    mean = value(result, "one", "macro_f1", "mean of prompts")
    assert found[0].value == found[1].value == mean.value
    assert found[0].interval == found[1].interval == mean.interval


def test_items_add_up_to_the_scores_and_the_confusion_matrix():
    dataset, vectors = invented()
    output = evaluate(dataset, vectors)
    columns = {name: np.array(column) for name, column in output.items.items()}
    assert len(columns["model"]) == 2 * 60 * (len(PROMPTS) + 2)
    for subset in ("ensemble", "mean of prompts", "A {label} track"):
        mine = (columns["model"] == "other") & (columns["subset"] == subset)
        for metric in ("accuracy", "top_3_accuracy"):
            expected = value(output.result, "other", metric, subset).value
            assert columns[metric][mine].mean() == pytest.approx(expected, abs=1e-12)
    mine = (columns["model"] == "other") & (columns["subset"] == "ensemble")
    expected = metrics.confusion_matrix(columns["label"][mine], columns["predicted"][mine])
    np.testing.assert_array_equal(output.arrays["confusion.other"], expected)
    assert tuple(output.arrays["classes"]) == CLASSES
    assert output.result.arrays == list(output.arrays)
    right = columns["label"][mine] == columns["predicted"][mine]
    np.testing.assert_array_equal(columns["margin"][mine] > 0, right)


def test_a_model_whose_scores_are_all_equal_is_at_chance_exactly():
    dataset, vectors = invented(models=("one", "constant"))
    row = normalize(np.ones((1, 8))).astype(np.float32)
    vectors.text["constant"] = np.repeat(row, len(vectors.texts), axis=0)
    vectors.audio["constant"] = np.repeat(row, len(vectors.clips), axis=0)
    result = evaluate(dataset, vectors).result
    for subset in (*PROMPTS, "ensemble", "mean of prompts"):
        for metric in ("accuracy", "balanced_accuracy", "macro_f1", "top_3_accuracy"):
            found = value(result, "constant", metric, subset)
            assert found.value == pytest.approx(found.chance, abs=1e-12)
    assert "constant, ensemble: all classes have equal scores" in result.warnings
    assert value(result, "constant", "accuracy").chance == 1 / 5


def test_every_score_has_a_chance_level_and_the_headline_has_reference_lines():
    dataset, vectors = invented()
    result = evaluate(dataset, vectors).result
    assert all(one.chance is not None for one in result.scores)
    lines = {(one.name, one.metric): one.value for one in result.references}
    assert lines["chance", "accuracy"] == 0.2
    counts = np.unique([clip.label for clip in dataset.clips], return_counts=True)[1]
    assert lines["always 'blues'", "accuracy"] == pytest.approx(counts.max() / 60)
    assert (result.headline_metric, result.headline_subset) == ("accuracy", "ensemble")


def test_three_classes_or_fewer_have_no_accuracy_among_three():
    dataset, vectors = invented()
    heard = [index for index, c in enumerate(dataset.clips) if c.label in ("blues", "jazz")]
    few = rated([dataset.clips[index].label for index in heard])
    audio = {model: rows[heard] for model, rows in vectors.audio.items()}
    output = evaluate(few, JointVectors(tuple(few.clips), audio, vectors.texts, vectors.text))
    assert {s.metric for s in output.result.scores} == {"accuracy", "balanced_accuracy", "macro_f1"}
    assert "top_3_accuracy" not in output.items


def test_models_are_compared_on_the_ensemble_and_grouped():
    dataset, vectors = invented(n_clips=200, noise=0.4)
    vectors.audio["copy"] = vectors.audio["one"]
    vectors.text["copy"] = vectors.text["one"]
    result = evaluate(dataset, vectors, replicates=1000).result
    assert len(result.comparisons) == 3
    assert {(c.metric, c.subset) for c in result.comparisons} == {("accuracy", "ensemble")}
    (same,) = [c for c in result.comparisons if {c.model, c.other} == {"one", "copy"}]
    assert (same.difference, same.p_value) == (0, 1)
    assert sorted(map(sorted, (g.models for g in result.groups))) == [["copy", "one"], ["other"]]


def test_intervals_are_resampled_by_unit():
    labels = invented()[0]
    units = [f"artist {index // 6}" for index in range(60)]
    dataset, vectors = invented(units=units)
    found = value(evaluate(dataset, vectors).result, "one", "accuracy").interval
    assert (found.unit, found.n_units) == ("unit", 10)
    alone = value(evaluate(labels, invented()[1]).result, "one", "accuracy").interval
    assert (alone.unit, alone.n_units) == ("clip", 60)


def test_the_order_of_clips_changes_no_score():
    dataset, vectors = invented()
    order = np.random.default_rng(5).permutation(60)
    shuffled = JointVectors(
        tuple(vectors.clips[index] for index in order),
        {model: rows[order] for model, rows in vectors.audio.items()},
        vectors.texts,
        vectors.text,
    )
    one, other = (evaluate(dataset, v).result.scores for v in (vectors, shuffled))
    assert [score.value for score in one] == pytest.approx([score.value for score in other])
    assert one[0].item_digest == other[0].item_digest


def test_clips_that_could_not_be_heard_are_counted():
    dataset, vectors = invented()
    fewer = JointVectors(
        vectors.clips[:50],
        {model: rows[:50] for model, rows in vectors.audio.items()},
        vectors.texts,
        vectors.text,
    )
    result = evaluate(dataset, fewer).result
    assert (result.scores[0].n, result.scores[0].n_items) == (50, 60)
    assert "10 of 60 clips could not be scored, see the problems" in result.warnings


def test_a_class_without_a_clip_is_named_and_not_averaged_over():
    dataset, vectors = invented()
    vectors = JointVectors(
        vectors.clips,
        vectors.audio,
        (*vectors.texts, *(p.replace("{label}", "ska") for p in PROMPTS)),
        {m: np.vstack([rows, -rows[:3]]) for m, rows in vectors.text.items()},
    )
    result = evaluate(dataset, vectors, classes=[*CLASSES, "ska"]).result
    assert "classes without a clip, over which no mean is taken: ska" in result.warnings
    assert value(result, "one", "accuracy").chance == 1 / 6
    (table,) = [one for one in result.tables if one.title == "Per class"]
    cells = next(
        dict(zip(table.columns, row, strict=True)) for row in table.rows if row[0] == "ska"
    )
    assert (cells["clips"], cells["recall"]) == (0, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["blues", "jazz"]}, r"labels? outside the classes blues, jazz: c0"),
        ({"classes": [*CLASSES, "blues"]}, "'blues' is listed twice"),
        ({"classes": "blues"}, "classes must be a list of names, got 'blues'"),
        ({"texts": ["rock"]}, "texts must be a table"),
        ({"texts": {"rok": "rock"}}, "'rok', which is no label"),
        ({"prompts": []}, "list of prompts is empty"),
        ({"protocol": "paper"}, "unknown protocol 'paper'"),
        ({"centring": "clips"}, "centring is 'clips'"),
    ],
)
def test_options_that_do_not_fit_are_named(options, message):
    with pytest.raises(DataError, match=message):
        evaluate(*invented(), **options)


def test_data_that_cannot_be_classified_are_named():
    _, vectors = invented()
    with pytest.raises(DataError, match=r"mine: 1 of 2 clips have no label: c001"):
        evaluate(rated(["blues", None]), vectors)
    with pytest.raises(DataError, match=r"at least 2 labels, got 1: \['blues'\]"):
        evaluate(rated(["blues", "blues"]), vectors)
    with pytest.raises(DataError, match=r"is no list of labelled clips"):
        ZeroShotClassification().wanted(None, object(), {})
    with pytest.raises(DataError, match=r"split is empty"):
        evaluate(rated([]), vectors)
    dataset, vectors = invented()
    twice = JointVectors(
        (*vectors.clips[:-1], vectors.clips[0]), vectors.audio, vectors.texts, vectors.text
    )
    with pytest.raises(DataError, match=r"unique, given more than once: c000"):
        evaluate(dataset, twice)
    with pytest.raises(DataError, match=r"no model to score"):
        evaluate(dataset, JointVectors(vectors.clips, {}, vectors.texts, {}))
    vectors.audio["one"][3, 0] = np.nan
    with pytest.raises(ModelError, match=r"'one': the vector of 'c003' is not finite"):
        evaluate(dataset, vectors)


def test_gtzan_has_its_own_order_and_text_forms():
    clips = tuple(Clip(f"{g}.00000", None, label=g) for g in ("rock", "hiphop"))
    dataset = gtzan.GTZAN(DatasetCard("gtzan", "", "", "", "", ""), clips, "0", "all", (None,) * 2)
    texts = ZeroShotClassification(prompts=["{label}"]).wanted(None, dataset, {}).texts
    assert texts == [gtzan.GENRE_TEXTS[genre] for genre in gtzan.GENRES]
    verbatim = ZeroShotClassification(protocol="muscall-paper").wanted(None, dataset, {}).texts
    assert verbatim[:10] == list(gtzan.GENRES)


def test_independent_chance_of_uninformed_guesses_is_their_mean_accuracy_over_all_orders():
    rng = np.random.default_rng(7)
    labels = ["a"] * 40 + ["b"] * 12 + ["c"] * 6 + ["d"] * 2
    truth = ClassTruth(tuple(rated(labels).clips), ("a", "b", "c", "d"), 60)
    table = rng.normal(size=(60, 4)) + np.array([1.0, 0.5, 0, 0])
    found = independent_chance(truth, table)
    orders = [rng.permutation(60) for _ in range(4000)]
    guess, given = table.argmax(axis=1), truth.truth
    drawn = [np.mean(guess[order] == given) for order in orders]
    assert found["accuracy"] == pytest.approx(np.mean(drawn), abs=0.004)
    assert found["balanced_accuracy"] == pytest.approx(0.25, abs=1e-12)
    top = [metrics.top_k_accuracy_score(given, table[order], k=3) for order in orders[:400]]
    assert found["top_3_accuracy"] == pytest.approx(np.mean(top), abs=0.01)


def test_the_random_model_is_at_chance_on_real_excerpts(shared_data, tmp_path):
    dataset = gtzan.load(shared_data / "gtzan_excerpts")
    context = Context("zs", Embeddings(Store(tmp_path)), 1000, 2022)
    ran = ZeroShotClassification(prompts=["{label}"]).run(
        context, dataset, {"random": random_model()}
    )
    for metric in ("accuracy", "balanced_accuracy", "macro_f1", "top_3_accuracy"):
        found = value(ran.output.result, "random", metric)
        assert found.n == 321
        assert found.interval.low <= found.chance <= found.interval.high
