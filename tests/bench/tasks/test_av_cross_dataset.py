"""Heads in and across datasets: against scikit-learn, without leaks, under gain, and bad input."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from earmark.bench.embed_command import embed_suites
from earmark.bench.embeddings import Embeddings
from earmark.bench.runner import render_reports, run_suite
from earmark.bench.store import Store
from earmark.bench.tasks import av_cross_cells, av_regression
from earmark.bench.tasks.av_cross_dataset import run
from earmark.bench.tasks.base import Context, NotOpened
from earmark.datasets.base import Clip, DataError, DatasetCard, RatedClips, Scale
from earmark.datasets.musav import load as load_musav
from earmark.models.av_heads.adapter import put_on
from earmark.models.av_heads.folds import grouped_folds
from earmark.models.av_heads.head import Fitted, Head
from earmark.models.av_heads.ridge import ALPHAS, INNER_FOLDS, fit_ridge
from earmark.models.av_heads.weights import TrainedHead, load_head, save_head, tower_of
from earmark.models.base import ModelCard, ModelError
from earmark.models.random_model import RandomModel
from earmark.models.signal_descriptors import SignalDescriptors
from earmark.reports.record_io import read

SEED = 3
D = 4
WEIGHTS = np.random.default_rng(9).normal(size=(D, 2))


class Stored:
    """An embedder of patches that is never asked: its vectors are in files."""

    sample_rate = None
    dimension = D
    card = ModelCard("stored", "1", "untrained", "Apache-2.0", "", (), "whole")

    def embed_patches(self, clip):
        raise AssertionError("vectors are in files")


def rated(name, ids, *, units=None, seed=0, paths=None, namespace="", noise=0.5, **more):
    """Ratings that are linear in the vectors of :func:`vectors`, with noise."""
    rng = np.random.default_rng(seed)
    values = 5 + vectors(ids) @ WEIGHTS + rng.normal(0, noise, (len(ids), 2))
    clips = tuple(
        Clip(one, None if paths is None else paths[i], unit=None if units is None else units[i])
        for i, one in enumerate(ids)
    )
    card = DatasetCard(name, name, "1", "", "", "")
    return RatedClips(
        card, clips, np.clip(values, -20, 30), Scale(-20, 30), f"{name}{seed}", namespace=namespace,
        **more,
    )  # fmt: skip


def vectors(ids):
    """The vector of an id is the same wherever it is asked for."""
    return np.array(
        [np.random.default_rng(list(one.encode())).normal(size=D) for one in ids]
    ).astype(np.float32)


def names(prefix, n):
    return [f"{prefix}{number:03d}" for number in range(n)]


@pytest.fixture
def world(tmp_path):
    """Run the task on sets whose vectors are in files; returns results by dataset."""

    def call(datasets, first, *, models=None, write=True, **options):
        context = Context(
            "cross", Embeddings(Store(tmp_path / "store")), 200, SEED, datasets=datasets
        )
        stored = {}
        for name, one in datasets.items() if write else ():
            if isinstance(one, NotOpened):
                continue
            ids = list(one.song_ids) if hasattr(one, "song_ids") else [c.id for c in one.clips]
            np.savez(tmp_path / f"{name}.npz", songids=ids, embeddings=vectors(ids))
            stored[name] = {"e": str(tmp_path / f"{name}.npz")}
        options = {"heads": ["ridge"], "stored": stored} | options
        ran = run(context, datasets[first], models or {"e": Stored()}, **options)
        call.ran = ran
        return {one.result.dataset: one for one in (ran.output, *ran.further)}

    return call


def predicted(output, model):
    items = output.items
    rows = {}
    for i, name in enumerate(items["model"]):
        if name == model:
            rows.setdefault(items["item"][i], {})[items["dimension"][i]] = items["predicted"][i]
    return {clip: (row["arousal"], row["valence"]) for clip, row in rows.items()}


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


def rows_of(ids):
    return {tuple(row) for row in vectors(ids).astype(np.float64).tolist()}


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


def test_the_gain_moves_a_head_of_the_level_by_its_weight_and_leaves_r(world, tmp_path):
    levels = np.random.default_rng(0).uniform(0.01, 0.2, 24)
    ids = names("a", 24)
    for name, level in zip(ids, levels, strict=True):
        samples = level * np.random.default_rng(1).normal(size=22_050)
        soundfile.write(tmp_path / f"{name}.wav", samples, 22_050, subtype="FLOAT")
    a = rated("a", ids, paths=[tmp_path / f"{i}.wav" for i in ids])
    decibels = 20 * np.log10(levels)
    a = replace(a, ratings=np.stack([5 + decibels / 10, 5 - decibels / 20], axis=1))
    found = world(
        {"a": a}, "a", models={"level": SignalDescriptors(["level"])}, write=False, train=["a"],
        gains=[-12, 6], folds=4,
    )  # fmt: skip
    (table,) = (t for t in found["a"].result.tables if t.title == "Sensitivity to gain")
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert {row["model"] for row in rows} == {"ridge(a)@level"}
    assert [(row["gain (dB)"], row["dimension"]) for row in rows] == [
        (-12.0, "arousal"), (-12.0, "valence"), (6.0, "arousal"), (6.0, "valence"),
    ]  # fmt: skip
    for row in rows:
        expected = 0.1 if row["dimension"] == "arousal" else -0.05
        # A ridge shrinks a little; 0.2 at +6 dB would clip if samples were held in [-1, 1].
        assert row["shift"] / row["gain (dB)"] == pytest.approx(expected, rel=0.1)
        assert row["change of r"] == pytest.approx(0, abs=5e-3)
        own = predicted(found["a"], "ridge(a)@level").values()
        spread = np.std([pair[row["dimension"] == "valence"] for pair in own])
        assert row["shift (deviations)"] == pytest.approx(row["shift"] / spread)
        # The shift is the same for all clips of a fold; the deviation is what resampling moves.
        assert row["shift low"] < row["shift (deviations)"] < row["shift high"]
        assert row["shift high"] - row["shift low"] < abs(row["shift (deviations)"])


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
    assert {row["metric"] for row in of_musav} == {"pairwise_accuracy"}


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
    assert "without their ratings" in found.result.protocol["predictions of both"]


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
    assert found.result.protocol["prompts of text-axis@random, arousal"] == "'loud' against 'soft'"
    assert world.ran.heard == ["random"]


def test_the_card_of_a_head_is_that_of_all_heads_under_its_name(world):
    a = rated("a", names("a", 40))
    b = rated("b", names("b", 30), seed=1)
    world({"a": a, "b": b}, "a", train=["a"], test=["b"], folds=4)
    card = world.ran.cards["ridge(a)@e"]
    assert card.training_datasets == ("a",)
    assert card.preprocessing["heads"] == 5  # of four folds, and of all of it
    assert card.preprocessing["training_seed"] == SEED
    inside, outside = card.notes[-2:]
    assert inside.startswith("On a: 4 heads, each predicts the fold that it was fitted without.")
    assert outside.startswith("On b: one head, fitted to the 40 clips of a")
    assert "alpha_arousal" in inside

    def digest(ratings):
        world({"a": ratings}, "a", train=["a"], folds=4)
        return world.ran.cards["ridge(a)@e"].weights_digest

    assert digest(a) == digest(a)
    assert digest(a) != digest(rated("a", names("a", 40), seed=5))


def test_the_card_of_a_single_head_is_that_of_the_head_as_a_file(world, tmp_path):
    a, b = rated("a", names("a", 40)), rated("b", names("b", 30), seed=1)
    world({"a": a, "b": b}, "b", train=["a"])
    card = world.ran.cards["ridge(a)@e"]
    ids = [clip.id for clip in a.clips]
    fitted = fit_ridge(vectors(ids), a.ratings, groups=ids, seed=SEED)
    tower = tower_of(Stored.card, loader="stored", options={})
    trained = TrainedHead("ridge(a)", fitted.head, tower, ("a",), a.card.licence, (-20, 30))
    save_head(trained, tmp_path / "head.safetensors")
    kept = put_on(load_head(tmp_path / "head.safetensors"), Stored()).card
    assert (card.id, card.weights_digest) == (kept.id, kept.weights_digest)
    assert card.preprocessing["head_sha256"] == trained.digest


def test_an_ensemble_has_the_card_of_its_members_and_is_out_of_fold_where_they_are(world):
    a, b = rated("a", names("a", 40)), rated("b", names("b", 30), seed=1)
    members = ["ridge(a)@e", "ridge(b)@e"]
    found = world(
        {"a": a, "b": b}, "a", train=["a", "b"], test=["b"], folds=4,
        ensembles=[{"id": "both", "models": members}],
    )  # fmt: skip
    assert found["a"].result.out_of_fold == ["ridge(a)@e", "both"]
    assert found["b"].result.out_of_fold == ["ridge(b)@e", "both"]
    card = world.ran.cards["both"]
    assert card.training_datasets == ("a", "b")
    assert card.preprocessing["moments_clips"] == "40; 30"


def test_a_head_on_an_embedder_that_knows_the_set_is_not_out_of_fold(world):
    class Knows(Stored):
        card = replace(Stored.card, training_datasets=("A",))

    a = rated("a", names("a", 40))
    found = world({"a": a}, "a", models={"e": Knows()}, train=["a"], folds=4)
    assert found["a"].result.out_of_fold == []


def test_the_loudness_baseline_is_heard_on_rated_sets(world, tmp_path):
    levels = np.random.default_rng(0).uniform(0.01, 0.2, 24)
    ids = names("a", 24)
    for name, level in zip(ids, levels, strict=True):
        samples = level * np.random.default_rng(1).normal(size=22_050)
        soundfile.write(tmp_path / f"{name}.wav", samples, 22_050, subtype="FLOAT")
    a = rated("a", ids, paths=[tmp_path / f"{i}.wav" for i in ids])
    a = replace(a, ratings=np.stack([np.log(levels), -np.log(levels)], axis=1))
    found = world(
        {"a": a}, "a", models={"level": SignalDescriptors(["level"])}, write=False, train=["a"],
        folds=4,
    )["a"].result  # fmt: skip
    r = {
        s.dimension: s.value for s in found.scores
        if (s.model, s.metric) == ("loudness (baseline)", "pearson_r")
    }  # fmt: skip
    assert r["arousal"] == pytest.approx(1, abs=1e-6)
    assert r["valence"] == pytest.approx(-1, abs=1e-6)
    assert "loudness (baseline)" in world.ran.cards
    without = world(
        {"a": a}, "a", models={"level": SignalDescriptors(["level"])}, write=False, train=["a"],
        folds=4, baselines=[],
    )["a"].result  # fmt: skip
    assert without.models == ["ridge(a)@level"]


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
    datasets = {"a": a, "b": b, "muse": NotOpened("no muse_v3.csv")}
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
    with pytest.raises(DataError, match="name MusAV in test"):
        world({"a": a, "musav": musav}, "musav", train=["a"])
    with pytest.raises(ModelError, match="neither embeds audio nor predicts"):
        world({"a": a}, "a", train=["a"], models={"e": object()})


def test_vectors_of_another_embedder_are_refused(world, tmp_path):
    a = rated("a", names("a", 20))
    np.savez(tmp_path / "x.npz", songids=names("a", 20), embeddings=np.ones((20, 7)))
    with pytest.raises(DataError, match=r"have 7 dimensions, stored gives 4"):
        world({"a": a}, "a", train=["a"], stored={"a": {"e": str(tmp_path / "x.npz")}})


SUITE = """
[suite]
name = "cross"
title = "Heads across two sets"
replicates = 200
[datasets.a]
loader = "rated-folder"
root = "{root}/a"
scale = [0, 1]
[datasets.b]
loader = "rated-folder"
root = "{root}/b"
scale = [0, 1]
[datasets.gone]
loader = "rated-folder"
root = "{root}/gone"
optional = true
[models.descriptors]
loader = "signal-descriptors"
[models.vggish]
loader = "essentia-backbone"
name = "{root}/vggish.pb"
optional = true
[[tasks]]
task = "av_cross_dataset"
dataset = "a"
train = ["a", "b", "gone"]
test = ["b", "gone"]
heads = ["ridge"]
folds = 3
gains = [6]
"""


def test_a_suite_embeds_first_runs_from_the_store_and_leaves_a_record_with_a_report(tmp_path):
    for number, folder in enumerate("ab"):
        rng = np.random.default_rng(number)
        (tmp_path / folder / "audio").mkdir(parents=True)
        rows = ["track_id,arousal,valence"]
        for clip in range(12):
            level = rng.uniform(0.05, 0.4)
            samples = level * rng.normal(size=11_025)
            soundfile.write(tmp_path / folder / "audio" / f"{folder}{clip}.wav", samples, 22_050)
            rows.append(f"{folder}{clip},{level:.3f},{rng.uniform():.3f}")
        (tmp_path / folder / "ratings.csv").write_text("\n".join(rows) + "\n")
    suite = tmp_path / "suite.toml"
    suite.write_text(SUITE.replace("{root}", str(tmp_path)))
    embed_suites([suite], store=tmp_path / "store")
    folder, not_run = run_suite(suite, out=tmp_path / "runs", store=tmp_path / "store")
    record = read(folder)
    assert [one.what for one in not_run] == ["vggish"]
    assert [(task.id, task.dataset) for task in record.tasks] == [
        ("av_cross_dataset-a", "a"), ("av_cross_dataset-a-b", "b"),
    ]  # fmt: skip
    assert [one.what for one in record.tasks[0].not_run] == ["gone in av_cross_dataset-a"]
    # The embedder, heard for nothing since all was in the store, and what the task made itself.
    assert [(card.id, card.seconds) for card in record.models] == [
        ("descriptors", None), ("ridge(a)@descriptors", None), ("ridge(b)@descriptors", None),
        ("loudness (baseline)", None),
    ]  # fmt: skip
    trained = record.models[1]
    assert trained.training_datasets == ["a"]
    assert trained.av_scale == (0, 1)
    assert trained.preprocessing["sample_rate"] == 22_050  # the embedder's
    assert [task.out_of_fold for task in record.tasks] == [
        ["ridge(a)@descriptors"], ["ridge(b)@descriptors"],
    ]  # fmt: skip
    pages = render_reports(folder, tmp_path / "out")
    page = pages[0].read_text()
    assert "Trained on, tested on" in page
    assert "without a card" not in page
    assert "Contamination" not in page
