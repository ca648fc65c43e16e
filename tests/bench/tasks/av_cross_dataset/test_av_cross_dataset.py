"""Heads in and across datasets: against scikit-learn, without leaks, under gain, and bad input."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from av_cross_sets import SEED, D, cross_world, names, predicted, rated, rows_of, vectors
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from earmark.bench.tasks.av_cross_dataset import cells as av_cross_cells
from earmark.bench.tasks.av_regression import task as av_regression
from earmark.bench.tasks.task import Unavailable
from earmark.datasets.base import DataError
from earmark.datasets.judgements.musav import load as load_musav
from earmark.models.adapters.references import RandomModel
from earmark.models.av_heads.folds import grouped_folds
from earmark.models.av_heads.head import Fitted, Head
from earmark.models.av_heads.rated import ALPHAS, INNER_FOLDS, fit_ridge
from earmark.models.base import ModelError
from earmark.models.essentia.descriptors import SignalDescriptors


@pytest.fixture
def world(tmp_path):
    """Runs the task; see `cross_world`."""
    return cross_world(tmp_path)


def by_sklearn(train, ids, groups, targets):
    """Standardise, choose alpha in the same inner folds, fit: two scikit-learn ridges."""
    x, y = vectors(train), targets
    number = np.unique(groups, return_inverse=True)[1]
    folds = [(f.train, f.test) for f in grouped_folds(number, folds=INNER_FOLDS, seed=SEED)]
    columns = []
    for column in (0, 1):
        search = GridSearchCV(
            make_pipeline(StandardScaler(), Ridge()),
            {"ridge__alpha": sorted(ALPHAS, reverse=True)},
            cv=folds,
            scoring="neg_mean_squared_error",
        ).fit(x.astype(np.float64), y[:, column])
        columns.append(search.predict(vectors(ids).astype(np.float64)))
    return np.stack(columns, axis=1)


def test_the_matrix_is_that_of_scikit_learn_in_and_across(world):
    ids = names("a", 60)
    a = rated("a", ids, units=[f"u{i // 2}" for i in range(60)])
    b = rated("b", names("b", 40), seed=1)
    found = world({"a": a, "b": b}, "a", train=["a", "b"], test=["b"], folds=4)

    # Across: all of one set, then the other.
    for train, test in (("a", "b"), ("b", "a")):
        source, target = {"a": a, "b": b}[train], {"a": a, "b": b}[test]
        groups = [clip.unit or clip.id for clip in source.clips]
        wanted = [clip.id for clip in target.clips]
        expected = by_sklearn([c.id for c in source.clips], wanted, groups, source.ratings)
        own = predicted(found[test], f"ridge({train})@e")
        np.testing.assert_allclose([own[i] for i in wanted], expected, atol=1e-5)

    # In folds: each clip by a fit on the other folds alone.
    number = np.unique([clip.unit for clip in a.clips], return_inverse=True)[1]
    expected = np.empty((60, 2))
    for fold in grouped_folds(number, folds=4, seed=SEED):
        expected[fold.test] = by_sklearn(
            [ids[i] for i in fold.train], [ids[i] for i in fold.test], number[fold.train],
            a.ratings[fold.train],
        )  # fmt: skip
    own = predicted(found["a"], "ridge(a)@e")
    np.testing.assert_allclose([own[i] for i in ids], expected, atol=1e-5)
    (r,) = (
        s.value for s in found["a"].result.scores
        if (s.model, s.metric, s.dimension) == ("ridge(a)@e", "pearson_r", "valence")
    )  # fmt: skip
    assert r == pytest.approx(np.corrcoef(expected[:, 1], a.ratings[:, 1])[0, 1], abs=1e-5)

    (matrix,) = (t for t in found["a"].result.tables if t.title == "Trained on, tested on")
    rows = [dict(zip(matrix.columns, row, strict=True)) for row in matrix.rows]
    assert {(x["trained on"], x["tested on"], x["how"]) for x in rows} == {
        ("a", "a", "in folds"), ("b", "a", "across"), ("a", "b", "across"), ("b", "b", "in folds"),
    }  # fmt: skip
    cell = next(x for x in rows if (x["trained on"], x["tested on"]) == ("a", "a")
                and x["dimension"] == "valence")  # fmt: skip
    assert cell["value"] == r
    assert cell["low"] < r < cell["high"]


@pytest.fixture
def seen(monkeypatch):
    """The rows that every fit was given, as sets of vectors."""
    fits = []

    def spy(features, targets, **options):
        fits.append({tuple(row) for row in np.asarray(features).tolist()})
        return fit_ridge(features, targets, **options)

    monkeypatch.setattr(av_cross_cells, "RATED_HEADS", {"ridge": spy})
    return fits


def test_in_folds_no_clip_is_predicted_by_a_head_that_saw_its_unit(world, seen):
    ids = names("a", 30)
    units = [f"u{i // 3}" for i in range(30)]
    a = rated("a", ids, units=units)
    world({"a": a}, "a", train=["a"], folds=5)
    assert len(seen) == 5
    assert all(len(fit) == 24 for fit in seen)
    for fit in seen:
        for unit in set(units):
            own = rows_of([i for i, u in zip(ids, units, strict=True) if u == unit])
            assert own <= fit or not own & fit


def test_a_head_is_fitted_once_for_all_sets_that_it_is_tested_on(world, seen):
    sets = {name: rated(name, names(name, 20 + 4 * i), seed=i) for i, name in enumerate("abc")}
    world(sets, "b", train=["a"], test=["c"])
    (fit,) = seen
    assert fit == rows_of(names("a", 20))
    assert world.ran.cards["ridge(a)@e"].preprocessing["heads"] == 1


def test_songs_that_both_sets_know_by_one_id_are_never_learned_from(world, seen):
    shared, own, other = names("s", 10), names("a", 30), names("b", 12)
    a = rated("a", own + shared, namespace="mediaeval")
    b = rated("b", other + shared, namespace="mediaeval", seed=1)
    found = world({"a": a, "b": b}, "b", train=["a"])
    (fit,) = seen
    assert fit == rows_of(own)
    (table,) = (t for t in found["b"].result.tables if t.title == "Trained heads")
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["learned from"], row["left out"]) == (30, 10)
    assert row["told apart"] == "by id and file"
    assert not any("in common use" in text for text in found["b"].result.warnings)


def test_files_that_are_the_same_are_never_learned_from_whatever_they_are_called(
    world, seen, tmp_path
):
    ids, others = names("a", 30), names("b", 12)
    for folder, which in (("a", ids), ("b", others)):
        (tmp_path / folder).mkdir()
        for number, name in enumerate(which):
            samples = np.random.default_rng(number + 100 * (folder == "b")).normal(0, 0.1, 11_025)
            soundfile.write(tmp_path / folder / f"{name}.wav", samples, 22_050)
    for number in range(4):  # the same recording under another name
        copy = tmp_path / "a" / f"{ids[number]}.wav"
        copy.write_bytes((tmp_path / "b" / f"{others[number]}.wav").read_bytes())
    a = rated("a", ids, paths=[tmp_path / "a" / f"{i}.wav" for i in ids])
    b = rated("b", others, paths=[tmp_path / "b" / f"{i}.wav" for i in others], seed=1)
    found = world(
        {"a": a, "b": b}, "b", models={"e": SignalDescriptors()}, write=False, train=["a"]
    )
    (fit,) = seen
    assert len(fit) == 26
    (table,) = (t for t in found["b"].result.tables if t.title == "Trained heads")
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["learned from"], row["left out"], row["told apart"]) == (26, 4, "by file")
    assert any("no ids in common use" in text for text in found["b"].result.warnings)


@pytest.fixture
def musav(tmp_path, write_musav):
    return load_musav(write_musav(tmp_path / "musav", n_triplets=24, seed=1))


def test_musav_has_its_own_result_with_its_baseline_and_a_place_in_the_matrix(world, musav):
    a = rated("a", names("a", 40))
    found = world(
        {"a": a, "musav": musav}, "a", train=["a", "musav"], test=["musav"], folds=3,
        heads=["ridge", "pairwise"],
    )  # fmt: skip
    result = found["musav"].result
    assert (result.kind, result.id) == ("musav", "cross-musav")
    assert result.models == ["ridge(a)@e", "pairwise(musav)@e", "loudness (baseline)"]
    assert "out of fold" in result.protocol["predictions of pairwise(musav)@e"]
    assert {line.name for line in result.references} == {
        "chance", "one annotator against the two others",
    }  # fmt: skip
    # Utilities have no scale: on ratings they have r, and nothing else.
    own = {s.metric: s for s in found["a"].result.scores if s.model == "pairwise(musav)@e"}
    assert own["pearson_r"].value is not None
    assert own["r2"].value is None
    (matrix,) = (t for t in found["a"].result.tables if t.title == "Trained on, tested on")
    rows = [dict(zip(matrix.columns, row, strict=True)) for row in matrix.rows]
    of_musav = [row for row in rows if row["tested on"] == "musav"]
    assert {(row["model"], row["how"]) for row in of_musav} == {
        ("ridge(a)@e", "across"), ("pairwise(musav)@e", "in folds"),
        ("loudness (baseline)", "not trained here"),
    }  # fmt: skip
    assert {row["metric"] for row in of_musav} == {"pairwise_accuracy_half_credit"}


def test_no_song_of_a_tested_triplet_is_fitted_on(world, musav, monkeypatch):
    fitted = []

    def spy(features, comparisons, **options):
        tracks = np.union1d(comparisons["arousal"].tracks, comparisons["valence"].tracks)
        fitted.append({tuple(row) for row in np.asarray(features)[tracks].tolist()})
        head = Head(np.zeros(D), np.ones(D), np.ones((D, 2)) * len(fitted), np.zeros(2))
        return Fitted(head)

    monkeypatch.setattr(av_cross_cells, "PAIRWISE_HEADS", {"pairwise": spy})
    a = rated("a", names("a", 40))
    found = world(
        {"a": a, "musav": musav}, "a", train=["a", "musav"], test=["musav"], folds=3,
        heads=["ridge", "pairwise"],
    )  # fmt: skip
    assert len(fitted) == 4  # on all of MusAV for a, then three folds
    inside = fitted[1:]
    judged = [t for t in musav.triplets.values() if set(t.songs) <= set(musav.song_ids)]
    assert judged
    for triplet in judged:
        own = rows_of(triplet.songs)
        assert all(own <= fit or not own & fit for fit in inside)
        assert sum(not own & fit for fit in inside) == 1
    assert found["musav"].result.id == "cross-musav"


def test_an_ensemble_is_the_mean_of_z_scores_of_the_tested_clips(world):
    a, b = rated("a", names("a", 40)), rated("b", names("b", 30), seed=1)
    members = ["ridge(a)@e", "ridge(b)@e"]
    found = world(
        {"a": a, "b": b}, "a", train=["a", "b"], ensembles=[{"id": "both", "models": members}],
        folds=4,
    )["a"]  # fmt: skip
    one, two, both = (predicted(found, name) for name in (*members, "both"))
    ids = [clip.id for clip in a.clips]
    z = []
    for part in (one, two):
        rows = np.array([part[i] for i in ids])
        z.append((rows - rows.mean(axis=0)) / rows.std(axis=0))
    np.testing.assert_allclose([both[i] for i in ids], np.mean(z, axis=0), atol=1e-9)
    assert "the 40 clips of a without its ratings" in found.result.protocol["predictions of both"]


def test_a_joint_model_is_scored_by_its_prompts_which_are_stated(world, tmp_path):
    ids = names("a", 20)
    for name in ids:
        soundfile.write(tmp_path / f"{name}.wav", vectors([name])[0] / 10, 8000, subtype="FLOAT")
    a = rated("a", ids, paths=[tmp_path / f"{i}.wav" for i in ids])
    found = world(
        {"a": a}, "a", models={"random": RandomModel(dimension=8)}, write=False, train=["a"],
        folds=4, prompts={"arousal": ["loud", "soft"], "valence": ["glad", "sad"]},
    )["a"]  # fmt: skip
    assert found.result.models == ["ridge(a)@random", "text-axis@random", "loudness (baseline)"]
    assert world.ran.cards["text-axis@random"].preprocessing["valence_low"] == "sad"
    assert found.result.protocol["prompts of text-axis@random, arousal"] == "loud | soft"
    assert world.ran.heard == ["random"]


def test_sets_of_one_title_are_told_apart_by_their_names(world):
    a, b, c = (rated(name, names(name, 20)) for name in "abc")
    b = replace(b, card=replace(b.card, title="a"))
    found = world({"a": a, "b": b, "c": c}, "a", train=["a"], test=["b", "c"], folds=4)
    assert [one.result.title for one in found.values()] == [
        "Heads trained and tested on a, a", "Trained heads tested on a, b",
        "Trained heads tested on c",
    ]  # fmt: skip


def test_runs_and_the_ceiling_of_annotators_are_told(world):
    spread = np.full((40, 2), [1.5, 2.0])
    a = rated("a", names("a", 40), deviations=spread)
    found = world({"a": a}, "a", train=["a"], folds=4, runs=3)["a"].result
    (table,) = (t for t in found.tables if t.title == "Spread over runs")
    assert table.columns[-1] == "runs"
    assert [row[-1] for row in table.rows] == [3, 3]
    assert all(row[3] > 0 for row in table.rows)
    lines = {(r.dimension, r.name): r.value for r in found.references}
    variance = a.ratings[:, 1].var()
    assert lines["valence", "one annotator with the mean rating"] == pytest.approx(
        np.sqrt(variance / (variance + 4.0))
    )
    assert lines["arousal", "chance"] == 0


def test_too_few_replicates_for_the_correction_are_warned_of():
    a = rated("a", names("a", 30))
    rng = np.random.default_rng(0)
    said = {
        f"m{i}": dict(zip((c.id for c in a.clips), rng.normal(size=(30, 2)).tolist(), strict=True))
        for i in range(6)
    }
    options = {"scales": {}, "seed": 1}
    few = av_regression.evaluate(a, said, replicates=200, **options).result
    (warning,) = few.warnings
    assert "200 replicates tell no two of 6 models apart" in warning
    assert "0.075 after Holm's correction over 15 pairs; take 300 or more" in warning
    assert min(pair.p_holm for pair in few.comparisons) > 0.05
    assert not av_regression.evaluate(a, said, replicates=300, **options).result.warnings


def test_what_is_not_at_hand_is_named_and_the_rest_goes_on(world):
    a, b = rated("a", names("a", 40)), rated("b", names("b", 30), seed=1)
    datasets = {"a": a, "b": b, "muse": Unavailable("no muse_v3.csv")}
    files = world(datasets, "a", train=["a", "b", "muse"], folds=4)["a"].result
    assert [(one.what, one.reason) for one in files.not_run] == [
        ("muse in cross", "no muse_v3.csv")
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": ["rigde"]}, "heads is"),
        ({"heads": "ridge"}, "expected some of ridge"),
        ({"folds": 1}, "folds is 1"),
        ({"runs": 0}, "runs is 0"),
        ({"gains": [0]}, "other than 0"),
        ({"gains": [float("nan")]}, "gains is"),
        ({"train": ["c"]}, "the suite has no dataset 'c'"),
        ({"ensembles": [{"id": "x"}]}, "expected the keys id, models, standardised_on"),
        ({"ensembles": [{"id": "x", "models": ["y"]}]}, "two or more"),
        (
            {"ensembles": [{"id": "x", "models": ["y", "z"], "standardised_on": "b"}]},
            "expected a tested set: a",
        ),
    ],
)
def test_refuses_options_that_do_not_fit(world, options, message):
    a = rated("a", names("a", 20))
    with pytest.raises(DataError, match=message):
        world({"a": a}, "a", **({"train": ["a"]} | options))


def test_refuses_musav_as_the_first_set_and_models_that_do_nothing(world, musav):
    a = rated("a", names("a", 20))
    with pytest.raises(DataError, match="name judged pairs in test"):
        world({"a": a, "musav": musav}, "musav", train=["a"])
    with pytest.raises(ModelError, match="neither embeds audio nor predicts"):
        world({"a": a}, "a", train=["a"], models={"e": object()})


def test_vectors_of_another_embedder_are_refused(world, tmp_path):
    a = rated("a", names("a", 20))
    np.savez(tmp_path / "x.npz", songids=names("a", 20), embeddings=np.ones((20, 7)))
    with pytest.raises(DataError, match=r"have 7 dimensions, stored gives 4"):
        world({"a": a}, "a", train=["a"], stored={"a": {"e": str(tmp_path / "x.npz")}})
