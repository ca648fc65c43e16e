"""What the cross-dataset task leaves: cards, loudness, the effect of gain, and a whole record."""

import json
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from av_cross_sets import SEED, Stored, cross_world, names, predicted, rated, vectors

from earmark.bench.cli.report import render_reports
from earmark.bench.cli.run import embed
from earmark.bench.run.runner import run_suite
from earmark.datasets.audio import load
from earmark.models.av_heads.adapter import put_on
from earmark.models.av_heads.head import TrainedHead, load_head, save_head
from earmark.models.av_heads.rated import fit_ridge
from earmark.models.essentia.descriptors import SignalDescriptors
from earmark.models.registry import MODELS
from earmark.models.support.weights import tower_of
from earmark.reports.record.files import read, read_items


@pytest.fixture
def world(tmp_path):
    """Runs the task; see `cross_world`."""
    return cross_world(tmp_path)


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


@pytest.fixture
def suite(tmp_path):
    """The suite, with two sets of twelve clips whose arousal is their level."""
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
    return suite


def test_a_suite_embeds_first_runs_from_the_store_and_leaves_a_record_with_a_report(
    suite, tmp_path
):
    embed([suite], store=tmp_path / "store")
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


def opened(printed):
    """Return the model that the printed lines of a suite open."""
    (table,) = tomllib.loads(printed[printed.index("[models.") :])["models"].values()
    return MODELS.create(table.pop("loader"), table)


def test_an_exported_head_predicts_in_another_suite_what_it_predicted_in_its_own(
    suite, tmp_path, earmark, monkeypatch
):
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    monkeypatch.chdir(tmp_path)
    code, out, err = earmark("export", suite, "kept", "--model", "ridge(a)@descriptors", "--onnx")
    assert code == 0, err
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        "head.json", "head.onnx", "head.safetensors",
    ]  # fmt: skip
    model = opened(out)
    folder, _ = run_suite(suite, out=tmp_path / "runs", store=tmp_path / "store", available=True)
    items = read_items(folder, "av_cross_dataset-a-b")
    before = items[items["model"] == "ridge(a)@descriptors"]
    other = tmp_path / "other.toml"
    sets = suite.read_text().partition("[models.")[0].replace("cross", "other")
    task = '[[tasks]]\ntask = "av_regression"\ndataset = "b"\n'
    other.write_text(f"{sets}{out[out.index('[models.') :]}{task}")
    folder, _ = run_suite(other, out=tmp_path / "runs", store=tmp_path / "store", available=True)
    after = read_items(folder, "av_regression-b")
    assert after["item"].tolist() == before["item"].tolist()
    np.testing.assert_allclose(after["predicted"], before["predicted"], rtol=0, atol=1e-6)
    # Another program: the graph, on the embedder's vectors, gives (valence, arousal).
    clips = [load(tmp_path / "b" / "audio" / f"b{n}.wav", sample_rate=22_050) for n in range(3)]
    rows = np.concatenate([model.embedder.embed_patches(clip) for clip in clips])
    graph = ReferenceEvaluator(onnx.load(tmp_path / "kept" / "head.onnx"))
    (found,) = graph.run(None, {"model/Placeholder": rows})
    np.testing.assert_allclose(found[:, ::-1], model.predict_av(clips), rtol=0, atol=1e-5)
    assert not np.allclose(found, found[:, ::-1], atol=1e-2)


def test_an_exported_ensemble_is_the_mean_of_its_heads_z_scores(
    suite, tmp_path, earmark, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    names = ["ridge(a)@descriptors", "mlp(b)@descriptors"]
    with suite.open("a") as file:
        file.write(f'[[tasks.ensembles]]\nid = "both"\nmodels = {json.dumps(names)}\n')
    code, out, err = earmark("export", suite, "kept", "--model", "both")
    assert code == 0, err
    model = opened(out)
    assert model.moments.learnt_on == "a without its ratings or judgements"
    files = [tmp_path / "a" / "audio" / f"a{number}.wav" for number in range(12)]
    clips = [load(path, sample_rate=22_050) for path in files]
    each = np.array([one.predict_av(clips) for one in model.models], np.float64)
    z = (each - each.mean(axis=1, keepdims=True)) / each.std(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_av(clips), z.mean(axis=0), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model", "ridge(c)@descriptors"], "Did you mean"),
        (["--model", "ridge(a)@descriptors", "--licence", "MIT"], "of a checkpoint"),
        (["--onnx"], "name it with --model"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_leaves_nothing(
    suite, tmp_path, earmark, monkeypatch, options, told
):
    monkeypatch.chdir(tmp_path)
    code, _, err = earmark("export", suite, "kept", *options)
    assert code == 3 and told in " ".join(err.split())
    assert not (tmp_path / "kept").exists()
