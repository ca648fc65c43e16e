"""Linear probes: equal to scikit-learn fitted by hand, honest folds, and bad input."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store
from earmark.bench.tasks.probe import fit as probe_fit
from earmark.bench.tasks.probe import task as probe_task
from earmark.bench.tasks.probe.task import Probe
from earmark.bench.tasks.task import Context
from earmark.bench.tasks.vectors import JointVectors
from earmark.datasets import gtzan
from earmark.datasets.base import Clip, DataError, DatasetCard, RatedClips, Scale, Tagged
from earmark.models.adapters.references import random_model
from earmark.models.base import ModelError
from earmark.reports.record.lookup import relation

CLASSES = ("blues", "jazz", "metal", "rock")
TAGS = ("guitar", "piano", "unheard", "weird")


def card(name):
    return DatasetCard(name, name.title(), "1", "", "", "")


def clips_of(labels, units=None):
    units = units or [None] * len(labels)
    return tuple(
        Clip(f"c{index:03}", None, label=label, unit=unit)
        for index, (label, unit) in enumerate(zip(labels, units, strict=True))
    )


def rated(labels, units=None):
    clips = clips_of(labels, units)
    return RatedClips(card("mine"), clips, np.zeros((len(clips), 2)), Scale(0, 1), "0")


def joint(dataset, **audio):
    rows = {name: normalize(table).astype(np.float32) for name, table in audio.items()}
    return JointVectors(tuple(dataset.clips), rows, (), {})


def classes_problem(*, n_clips=80, dimension=6, noise=0.5, seed=0, units=None):
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(n_clips) % len(CLASSES))
    dataset = rated([CLASSES[index] for index in truth], units)
    heard = rng.normal(size=(len(CLASSES), dimension))[truth]
    return dataset, joint(dataset, m=heard + noise * rng.normal(size=heard.shape)), truth


def tags_problem(*, n_clips=240, dimension=8, seed=0, parts=("train", "valid", "test")):
    rng = np.random.default_rng(seed)
    heard = normalize(rng.normal(size=(n_clips, dimension)))
    odds = 12 * heard @ rng.normal(size=(dimension, len(TAGS))) / np.sqrt(dimension) - 1
    labels = (rng.random((n_clips, len(TAGS))) < 1 / (1 + np.exp(-odds))).astype(np.uint8)
    labels[:, 2] = 0
    part = tuple(parts[index * len(parts) // n_clips] for index in range(n_clips))
    clips = clips_of([None] * n_clips, [f"artist {index // 3}" for index in range(n_clips)])
    dataset = Tagged(card("tags"), clips, TAGS, labels, "split/all", part, "rule", "0")
    return dataset, joint(dataset, m=heard)


def evaluate(dataset, vectors, **options):
    options = {"replicates": 200} | options
    others = {name: options.pop(name) for name in ("replicates", "seed") if name in options}
    return probe_task.evaluate(dataset, vectors, Probe(**options), **others)


def value(result, metric, model="m"):
    (found,) = [one for one in result.scores if (one.model, one.metric) == (model, metric)]
    return found


def by_hand(c, **options):
    model = LogisticRegression(C=c, max_iter=1000, **options)
    return make_pipeline(StandardScaler(), model)


def features(vectors):
    return normalize(vectors.audio["m"].astype(np.float64))


def test_a_probe_of_classes_is_scikit_learns_fitted_in_each_fold_by_hand():
    dataset, vectors, truth = classes_problem()
    output = evaluate(dataset, vectors, grid=[0.01])
    rows = features(vectors)
    units = np.array([clip.id for clip in dataset.clips])
    guess = np.full(80, -1)
    for fold in probe_fit.cross_validated(truth, units, folds=5, seed=2022):
        fitted = by_hand(0.01, class_weight="balanced").fit(rows[fold.train], truth[fold.train])
        guess[fold.test] = fitted.predict(rows[fold.test])
    assert (guess >= 0).all()
    expected = metrics.accuracy_score(truth, guess)
    assert value(output.result, "accuracy").value == pytest.approx(expected, abs=1e-12)
    f1 = metrics.f1_score(truth, guess, average="macro")
    assert value(output.result, "macro_f1").value == pytest.approx(f1, abs=1e-12)
    assert output.items["predicted"] == [CLASSES[index] for index in guess]
    assert (output.result.headline_metric, output.result.headline_subset) == (
        "accuracy",
        "cross-validated",
    )


def test_a_probe_of_tags_chooses_c_on_valid_and_is_refitted_with_it():
    dataset, vectors = tags_problem()
    grid = [1e-3, 1e-1, 10.0]
    result = evaluate(dataset, vectors, grid=grid).result
    rows, heard = features(vectors), [0, 1, 3]
    part = np.array(dataset.partitions)

    def macro(c, train, held):
        scores = [
            by_hand(c).fit(rows[train], dataset.labels[train, tag]).decision_function(rows[held])
            for tag in heard
        ]
        return metrics.roc_auc_score(dataset.labels[held][:, heard], np.stack(scores, axis=1))

    best = max(grid, key=lambda c: macro(c, part == "train", part == "valid"))
    (table,) = [one for one in result.tables if one.title == "Fits"]
    (row,) = table.rows
    assert row[:5] == ["m", "test", 160, 80, best]
    expected = macro(best, part != "test", part == "test")
    found = value(result, "roc_auc")
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert (found.subset, found.n, found.n_items) == ("test", 80, 80)


def test_one_c_gives_the_scores_of_scikit_learn_at_full_precision():
    dataset, vectors = tags_problem(parts=("train", "test"))
    result = evaluate(dataset, vectors, grid=[0.1]).result
    rows, train = features(vectors), np.array(dataset.partitions) == "train"
    expected = [
        metrics.roc_auc_score(
            dataset.labels[~train, tag],
            by_hand(0.1)
            .fit(rows[train], dataset.labels[train, tag])
            .decision_function(rows[~train]),
        )
        for tag in (0, 1, 3)
    ]
    assert value(result, "roc_auc").value == pytest.approx(np.mean(expected), abs=1e-12)


def test_gtzans_partitions_are_used_where_they_are_there():
    names = gtzan.fault_filtered()
    chosen = [name for name in sorted(names) if name.startswith(("jazz", "metal"))]
    clips = tuple(Clip(name, None, label=name.partition(".")[0]) for name in chosen)
    parts = tuple(names[name] for name in chosen)
    dataset = gtzan.GTZAN(card("gtzan"), clips, "0", "fault-filtered", parts)
    rng = np.random.default_rng(0)
    vectors = joint(dataset, m=rng.normal(size=(len(clips), 4)))
    result = evaluate(dataset, vectors, classes=["jazz", "metal"]).result
    assert value(result, "accuracy").n == parts.count("test") == 54
    sizes = [result.protocol[f"clips of {part}"] for part in ("train", "valid", "test")]
    assert (result.protocol["evaluation"], sizes) == ("partitions", [87, 37, 54])
    crossed = evaluate(
        dataset, vectors, classes=["jazz", "metal"], evaluation="cross-validation"
    ).result
    assert value(crossed, "accuracy").n == len(clips)


def test_units_are_never_on_both_sides_of_a_fold():
    units = np.array([f"artist {index % 17}" for index in range(100)])
    for targets in (np.arange(100) % 3, np.zeros((100, 2), np.int64)):
        folds = probe_fit.cross_validated(targets, units, folds=4, seed=1)
        for fold in folds:
            assert not set(units[fold.train]) & set(units[fold.test])
        tested = np.sort(np.concatenate([fold.test for fold in folds]))
        np.testing.assert_array_equal(tested, np.arange(100))


def test_what_is_scored_takes_no_part_in_the_fit():
    dataset, vectors, _ = classes_problem()
    units = np.array([clip.id for clip in dataset.clips])
    truth = np.array([CLASSES.index(clip.label) for clip in dataset.clips])
    (fold, *_) = probe_fit.cross_validated(truth, units, folds=4, seed=3)
    rows = features(vectors)
    options = {"n_outputs": 4, "units": units, "seed": 3}
    before = probe_fit.probe(rows, truth, [fold], **options).scores
    changed, other = truth.copy(), rows.copy()
    changed[fold.test] = (changed[fold.test] + 1) % 4
    other[fold.test[1:]] *= -5
    after = probe_fit.probe(other, changed, [fold], **options).scores
    np.testing.assert_array_equal(before[fold.test[0]], after[fold.test[0]])
    assert np.isnan(before[fold.train]).all()


def test_folds_that_may_share_artists_get_a_warning():
    for units, n_warnings in ((None, 1), ([f"artist {index // 2}" for index in range(80)], 0)):
        dataset, vectors, _ = classes_problem(units=units)
        result = evaluate(dataset, vectors, grid=[0.1]).result
        assert sum("same artist" in text for text in result.warnings) == n_warnings


def test_the_record_names_the_arrays_and_each_score_its_chance():
    for problem in (classes_problem()[:2], tags_problem()):
        output = evaluate(*problem, grid=[0.1])
        assert output.result.arrays == list(output.arrays)
        assert all(score.chance is not None for score in output.result.scores)
        lengths = {len(column) for column in output.items.values()}
        assert lengths == {80}


def test_the_same_seed_gives_the_same_probe_and_folds_follow_the_seed():
    dataset, vectors, truth = classes_problem()
    one, other = (evaluate(dataset, vectors, seed=5, grid=[0.1]).items for _ in range(2))
    assert one == other
    units = np.array([clip.id for clip in dataset.clips])
    first, second = (probe_fit.cross_validated(truth, units, folds=5, seed=s) for s in (1, 2))
    assert any(not np.array_equal(a.test, b.test) for a, b in zip(first, second, strict=True))


def test_a_probe_of_vectors_that_say_nothing_is_at_chance():
    rng = np.random.default_rng(11)
    labels = rng.choice(CLASSES, size=300, p=[0.55, 0.25, 0.15, 0.05])
    dataset = rated(list(labels))
    vectors = joint(dataset, m=rng.normal(size=(300, 32)))
    result = evaluate(dataset, vectors, replicates=1000, grid=[1e-3, 1.0]).result
    for metric in ("accuracy", "balanced_accuracy", "macro_f1", "top_3_accuracy"):
        found = value(result, metric)
        assert found.interval.low <= found.chance <= found.interval.high
    assert value(result, "balanced_accuracy").chance == pytest.approx(0.25, abs=1e-12)
    dataset, _ = tags_problem()
    vectors = joint(dataset, m=rng.normal(size=(240, 16)))
    options = {"evaluation": "cross-validation", "grid": [0.01], "replicates": 500}
    result = evaluate(dataset, vectors, **options).result
    for metric in ("roc_auc", "average_precision"):
        found = value(result, metric)
        assert found.interval.low <= found.chance <= found.interval.high


def test_tags_that_are_more_frequent_in_a_fold_are_not_scored_lower_for_it():
    # With vectors that are all alike, a fold's scores are its intercept: the more positive clips it
    # holds, the fewer it was fitted on.
    dataset, _ = tags_problem()
    vectors = joint(dataset, m=np.ones((240, 4)))
    result = evaluate(dataset, vectors, evaluation="cross-validation", grid=[0.1]).result
    assert value(result, "roc_auc").value == pytest.approx(0.5, abs=1e-12)
    assert (
        "m: 240 scored clips have the very vector of a clip that was fitted on" in result.warnings
    )


def test_a_fit_that_does_not_converge_is_told(monkeypatch):
    monkeypatch.setattr(probe_fit, "MOST_ITERATIONS", 2)
    dataset, vectors, _ = classes_problem()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate(dataset, vectors, grid=[10.0]).result
    (warning,) = [text for text in result.warnings if "converge" in text]
    assert warning.startswith("m: 5 of 5 fits did not converge: C = 10 after 2 iterations")


def test_vectors_that_are_all_the_same_are_at_chance_to_the_last_bit():
    # 4 of 40: sums of tenths differ from a tenth in the last bit, on either side.
    names = [f"genre {index % 10}" for index in range(40)]
    same = joint(rated(names), const=np.ones((40, 8)))
    result = evaluate(rated(names), same, folds=4).result
    for score in result.scores:
        if score.metric in ("accuracy", "balanced_accuracy"):
            assert score.value == pytest.approx(0.1) and relation(score, score.chance) == "level"
    assert not [text for text in result.warnings if "end of the grid" in text]


BEYOND = "C is 1, an end of the grid, in 3 of 3 folds: a better one may lie beyond"


@pytest.mark.parametrize(
    ("grid", "expected"), [((1e-4, 1.0), [BEYOND]), ((1.0, 1e-4), [BEYOND]), (probe_fit.GRID, [])]
)
def test_an_end_of_the_grid_is_told_where_the_quality_rises_towards_it(grid, expected):
    # Two features that differ by what tells the classes apart: a strong penalty shrinks just that.
    rng = np.random.default_rng(3)
    truth = np.arange(90) % 2
    shared = rng.normal(size=90)
    features = np.stack([shared + 0.5 * (truth - 0.5) + 0.05 * rng.normal(size=90), shared], axis=1)
    units = np.array([str(index) for index in range(90)])
    folds = probe_fit.cross_validated(truth, units, folds=3, seed=0)
    options = {"n_outputs": 2, "units": units, "seed": 0}
    assert probe_fit.probe(features, truth, folds, grid=grid, **options).warnings == expected
    # Vectors that say nothing: any C is as good, and none lies beyond.
    constant = np.ones((90, 2))
    assert probe_fit.probe(constant, truth, folds, grid=grid, **options).warnings == []


def test_a_model_without_text_has_a_probe_and_two_models_are_compared(tmp_path):
    class NoText:
        sample_rate, dimension = None, 8
        card = random_model(dimension=8).card

        def embed_audio(self, clips):
            return random_model(dimension=8).embed_audio(clips)

    rng = np.random.default_rng(0)
    clips = []
    for index, clip in enumerate(clips_of([CLASSES[index % 2] for index in range(24)])):
        path = tmp_path / f"{index}.wav"
        soundfile.write(path, 0.1 * rng.normal(size=800), 8000)
        clips.append(replace(clip, path=path))
    dataset = replace(rated(["jazz"] * 24), clips=tuple(clips))
    context = Context("pr", Embeddings(Store(tmp_path / "store")), 200, 2022)
    models = {"no text": NoText(), "random": random_model(dimension=16)}
    assert Probe().wanted(context, dataset, models).texts == ()
    result = Probe(grid=[0.01], folds=3).run(context, dataset, models).output.result
    assert (result.kind, result.models) == ("probe", ["no text", "random"])
    (pair,) = result.comparisons
    values = [value(result, "accuracy", model).value for model in models]
    assert pair.difference == pytest.approx(values[0] - values[1], abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "folds is 1, expected a whole number of at least 2"),
        ({"folds": 2.5}, "folds is 2.5, expected a whole number"),
        ({"grid": ["0.1"]}, "expected values of C above 0"),
        ({"grid": 0.1}, "grid is 0.1, expected values of C above 0"),
        ({"folds": 81}, r"80 clips of 80 units cannot be divided into 81 folds"),
        ({"evaluation": "test"}, "evaluation is 'test', expected one of auto, partitions"),
        ({"evaluation": "partitions"}, r"no scored clip is in 'train' \(there: None\)"),
        ({"grid": []}, r"grid is \[\], expected values of C above 0"),
        ({"grid": [0.1, -1]}, r"expected values of C above 0"),
        ({"classes": ["blues", "jazz"]}, "outside the classes blues, jazz"),
    ],
)
def test_options_that_do_not_fit_are_named(options, message):
    dataset, vectors, _ = classes_problem()
    with pytest.raises(DataError, match=message):
        evaluate(dataset, vectors, **options)


@pytest.mark.parametrize(
    ("each", "folds", "message"),
    [
        (3, 5, "6 clips, at most 3 of a class, cannot be divided into 5 folds"),
        (4, 2, "4 clips, at most 2 of a class, cannot be divided into 3 folds"),  # to choose C
    ],
)
def test_classes_with_fewer_clips_than_folds_are_refused(each, folds, message):
    few = rated(["jazz", "rock"] * each)
    with pytest.raises(DataError, match=message):
        evaluate(few, joint(few, m=np.eye(2 * each)), folds=folds)


def test_data_that_cannot_be_probed_are_named():
    dataset, vectors, _ = classes_problem()
    with pytest.raises(DataError, match=r"all 8 clips are 'jazz'; a probe needs two classes"):
        evaluate(rated(["jazz"] * 8), joint(rated(["jazz"] * 8), m=np.eye(8)))
    with pytest.raises(DataError, match=r"object \(object\) is no list of labelled clips"):
        Probe().wanted(None, object(), {})
    rare = rated(["jazz"] * 10 + ["metal"] * 10 + ["rock"])
    with pytest.raises(DataError, match=r"no clip to fit on of 1 classes that are scored: rock"):
        evaluate(rare, joint(rare, m=np.eye(21)))
    with pytest.raises(DataError, match="split is empty"):
        evaluate(dataset, JointVectors((), {"m": np.zeros((0, 2))}, (), {}))
    with pytest.raises(DataError, match="no model to score"):
        evaluate(dataset, JointVectors(tuple(dataset.clips), {}, (), {}))
    with pytest.raises(
        ModelError, match=r"expected vectors \(80, dimension\), got shape \(79, 6\)"
    ):
        evaluate(dataset, JointVectors(vectors.clips, {"m": vectors.audio["m"][:79]}, (), {}))
    vectors.audio["m"][4, 0] = np.nan
    with pytest.raises(ModelError, match=r"the vector of 'c004' is not finite"):
        evaluate(dataset, vectors)


def test_partitions_and_tags_that_cannot_be_used_are_named():
    dataset, vectors = tags_problem(parts=("test",))
    with pytest.raises(DataError, match=r"no scored clip is in 'train' \(there: test\)"):
        evaluate(dataset, vectors)
    wanted = Probe(evaluation="cross-validation").wanted(None, dataset, {})
    assert wanted.clips is dataset.clips
    with pytest.raises(DataError, match="has tags, not classes"):
        evaluate(dataset, vectors, classes=["guitar"])
    twice = (*dataset.clips[:-1], dataset.clips[0])
    same = Tagged(card("tags"), twice, TAGS, dataset.labels, "s", dataset.partitions, "", "0")
    with pytest.raises(DataError, match="unique, given more than once: c000"):
        evaluate(same, vectors)
    nothing = Tagged(
        card("tags"), dataset.clips, TAGS, dataset.labels * 0, "s", dataset.partitions, "", "0"
    )
    with pytest.raises(DataError, match="hold no tag that some have and some have not"):
        evaluate(nothing, vectors, evaluation="cross-validation")
