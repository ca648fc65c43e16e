"""The Python interface: what `import earmark` gives, and that it measures as the commands do."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

import earmark as em
from earmark.datasets.base import DataError
from earmark.models.base import ModelError
from earmark.reports.record.schema import RecordError

RATE = 8000
CODE = """
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from earmark.datasets.base import Clip, DatasetCard, fingerprint
from earmark.models.base import ModelCard

def load(*, root):
    clips = [Clip(p.stem, p, label=p.stem[0]) for p in sorted(Path(root).glob("*.wav"))]
    card = DatasetCard("songs", "Songs", "1", "CC0", "", "")
    return SimpleNamespace(card=card, clips=clips, fingerprint=fingerprint(c.id for c in clips))

class Spectrum:
    sample_rate, dimension = 8000, 16
    def __init__(self, *, power=1.0):
        self.power = power
        self.card = ModelCard("spectrum", "1", "a" * 64, "MIT", "", (), "whole", {"power": power})
    def embed_audio(self, clips):
        rows = [np.abs(np.fft.rfft(c.samples))[:400].reshape(16, 25).sum(axis=1) for c in clips]
        rows = np.asarray(rows) ** self.power
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")
"""
POLICY = "version = 1\n[defaults]\nmargin = 0.2\n[statistics]\nreplicates = 500\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Sixty clips of two pitches and their loudness as ratings, and a model in a file."""
    root = tmp_path_factory.mktemp("interface")
    (root / "code.py").write_text(CODE)
    (root / "audio").mkdir()
    rng, time = np.random.default_rng(0), np.arange(800) / RATE
    rows = ["track_id,arousal,valence"]
    for number in range(60):
        label, level = "ab"[number % 2], 0.05 + 0.01 * number
        samples = level * np.sin(2 * np.pi * (600 + 1200 * (label == "b")) * time)
        name = f"{label}{number}"
        soundfile.write(root / "audio" / f"{name}.wav", samples + 0.01 * rng.normal(size=800), RATE)
        rows.append(f"{name},{1 + 8 * level},{1 + 8 * rng.random():.3f}")
    (root / "ratings.csv").write_text("\n".join(rows) + "\n")
    (root / "policy.toml").write_text(POLICY)
    return root


@pytest.fixture
def places(world, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return {"store": world / "store", "replicates": 200, "progress": False}


def probe(world, places, **options):
    """Return a run of the probe with everything by name."""
    return em.evaluate(
        {"loader": f"{world}/code.py:Spectrum", **options},
        {"loader": f"{world}/code.py:load", "root": world / "audio"},
        task="probe",
        folds=3,
        **places,
    )


def test_names_and_objects_and_the_command_give_one_record(world, places, earmark, tmp_path):
    named = probe(world, places)
    dataset = em.datasets.open(f"{world}/code.py:load", root=str(world / "audio"))
    model = em.models.open(f"{world}/code.py:Spectrum")
    given = em.evaluate(
        {"Spectrum": model}, {"load": dataset}["load"], task="probe", folds=3, **places
    )
    (tmp_path / "suite.toml").write_text(named.record.suite.toml)
    where = ("--out", tmp_path / "cli", "--store", world / "store", "--json")
    code, out, err = earmark("run", tmp_path / "suite.toml", *where)
    assert code == 0, err
    command = em.open(json.loads(out)[0]["record"])

    assert command.record.files == named.record.files
    assert command.record.suite == named.record.suite
    kept = ["model", "metric", "value", "low", "high", "chance", "n"]
    for other in (command, given):
        pd.testing.assert_frame_equal(named.scores()[kept], other.scores()[kept])
    assert "given in Python" in given.record.suite.toml
    assert em.run(tmp_path / "suite.toml", **places).record.files == named.record.files


def test_a_run_tells_scores_items_differences_and_shows_itself(world, places):
    run, other = probe(world, places), probe(world, places, power=0.5)
    scores = run.scores()
    headline = scores[scores["headline"] & (scores["model"] == "Spectrum")].iloc[0]
    items = run.items()
    own = items[items["model"] == "Spectrum"]
    assert headline["value"] == pytest.approx(own[headline["metric"]].mean())
    assert headline["low"] <= headline["value"] <= headline["high"]
    assert set(run.comparisons()["model"]) <= {"Spectrum", "random"}
    differences = run.compare(other).set_index("model")
    change = differences.loc["Spectrum", "difference"]
    assert change == pytest.approx(
        differences.loc["Spectrum", "second"] - differences.loc["Spectrum", "first"]
    )
    assert run.compare(run)["difference"].eq(0).all()
    shown = run._repr_html_()
    assert f"{headline['value']:.3f}" in shown and run.record.suite.title in shown
    assert "probe-load" in repr(run)
    (page,) = run.report("report", formats=["html"])
    assert page.read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(RecordError, match="its tasks are probe-load"):
        run.items("other")


def test_a_run_is_gated_and_runs_are_opened_together(world, places):
    run, again = probe(world, places), probe(world, places)
    assert again.gate(run, world / "policy.toml").outcome == "pass"
    assert em.open_all("runs/*") == em.open_all("runs") == [run, again]
    with pytest.raises(DataError, match="no run in nowhere"):
        em.open_all("nowhere/*")


def test_a_function_is_an_arousal_valence_model(world, places):
    def loud(samples, sample_rate):
        assert sample_rate == RATE
        return float(np.sqrt(np.mean(samples**2))), 0.1 * float(samples[0])

    songs = {"loader": "rated-folder", "root": world, "scale": [1, 9]}
    run = em.evaluate(loud, songs, task="av_regression", **places)
    scores = run.scores().set_index(["model", "metric", "dimension"])["value"]
    assert scores["loud", "pearson_r", "arousal"] > 0.99
    with pytest.raises(ModelError, match="returned 3, expected two numbers"):
        em.evaluate(
            {"loud": lambda samples, rate: 3}["loud"], songs, task="av_regression", **places
        )


def test_a_class_of_a_notebook_that_was_edited_gives_its_new_numbers(world, places):
    songs = em.datasets.open(f"{world}/code.py:load", root=str(world / "audio"))
    values = []
    for code in (CODE, CODE.replace("** self.power", "** 0.0")):
        cell = {"__name__": "a notebook"}
        exec(code, cell)
        run = em.evaluate({"own": cell["Spectrum"]()}, songs, task="probe", folds=3, **places)
        values.append(run.items().query("model == 'own'")["accuracy"].mean())
    assert values[0] > 0.9 > 0.7 > values[1]


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (object(), {}, "without a card"),
        ("conce", {}, "unknown model 'conce'"),
        (None, {"folds": object()}, "option 'folds' is a object"),
    ],
)
def test_what_cannot_be_measured_is_named(world, places, model, options, message):
    with pytest.raises(ValueError, match=message):
        em.evaluate(model, "gtzan", task="probe", **options, **places)


def test_metrics_take_lists_arrays_and_tensors():
    rng = np.random.default_rng(3)
    text, audio = rng.normal(size=(2, 40, 8))
    table = text @ audio.T
    ranked = np.argsort(-table, axis=1, kind="stable")[:, :10]
    by_vectors = em.metrics.retrieval.evaluate(torch.tensor(text), torch.tensor(audio), seed=1)
    by_table = em.metrics.similarity(table.tolist(), seed=1)
    by_lists = em.metrics.top_k(ranked.tolist(), list(range(40)), n_items=40, seed=1)
    assert by_vectors == by_table
    for name, found in by_lists.items():
        assert found == by_table[name], name
    assert set(by_table) - set(by_lists) == {"mrr", "mean_rank", "median_rank"}
    labels = (rng.random((30, 3)) < 0.4).astype(int)
    scores = rng.random((30, 3))
    as_arrays = em.metrics.tagging.evaluate(labels, scores)["roc_auc"].macro
    as_tensors = em.metrics.tagging.evaluate(torch.tensor(labels), torch.tensor(scores))
    assert as_arrays == as_tensors["roc_auc"].macro


def test_lists_that_end_are_scored_as_trec_eval_scores_them():
    ir_measures = pytest.importorskip("ir_measures", reason="the reference is not installed")
    rng = np.random.default_rng(0)
    names = [f"d{number}" for number in range(60)]
    ranked = [rng.choice(names, 10, replace=False).tolist() for _ in range(50)]
    relevant = [set(rng.choice(names, rng.integers(1, 14), replace=False)) for _ in range(50)]
    ours = em.metrics.top_k(ranked, relevant, ks=[1, 5, 10])
    qrels = [ir_measures.Qrel(str(q), d, 1) for q, found in enumerate(relevant) for d in found]
    run = [
        ir_measures.ScoredDoc(str(q), d, -place)
        for q, found in enumerate(ranked)
        for place, d in enumerate(found)
    ]
    expected = {f"Success@{k}": f"recall_at_{k}" for k in (1, 5, 10)}
    expected |= {f"AP@{k}": f"map_at_{k}" for k in (1, 5, 10)}
    expected |= {f"nDCG@{k}": f"ndcg_at_{k}" for k in (1, 5, 10)}
    measures = [ir_measures.parse_measure(name) for name in expected]
    theirs = ir_measures.calc_aggregate(measures, qrels, run)
    for name, own in expected.items():
        value = theirs[ir_measures.parse_measure(name)]
        assert ours[own].value == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize(
    ("ranked", "relevant", "options", "message"),
    [
        ([["a", "a"]], ["a"], {}, "item 'a' more than once"),
        ([["a"]], [[]], {}, "query 0 has no relevant item"),
        ([["a"]], ["a", "b"], {}, "1 lists and 2 entries"),
        ([["a", "b"]], ["a"], {"ks": [3]}, "k is 3"),
        ([["a", "b"]], ["a"], {"n_items": 1}, "n_items is 1"),
    ],
)
def test_wrong_lists_are_named(ranked, relevant, options, message):
    with pytest.raises(ValueError, match=message):
        em.metrics.top_k(ranked, relevant, **options)


def test_a_matrix_with_a_hole_is_refused():
    with pytest.raises(ValueError, match="query 1 and item 0 is nan"):
        em.metrics.similarity([[1.0, 0.0], [np.nan, 1.0]])


def test_importing_it_imports_nothing_heavy():
    heavy = ("torch", "pandas", "matplotlib", "scipy", "sklearn", "pydantic", "numpy")
    code = f"import sys, earmark; print(sorted(set(sys.modules) & set({heavy})))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_everything_that_is_named_is_there():
    for package in (em, em.judge, em.metrics, em.metrics.retrieval):
        assert all(getattr(package, name) is not None for name in package.__all__)
        assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = em.nothing
    assert isinstance(em.metrics, type(sys)) and not isinstance(em.open, SimpleNamespace)


# Embeddings in files instead of models


class Letters:
    """A joint model: of a clip its spectrum, of a text that of its first letter's pitch."""

    sample_rate, dimension = RATE, 16

    def __init__(self):
        from earmark.models.base import ModelCard

        self.card = ModelCard("letters", "1", "b" * 64, "MIT", "", (), "whole clip")

    def embed_audio(self, clips):
        rows = [np.abs(np.fft.rfft(c.samples))[:400].reshape(16, 25).sum(axis=1) for c in clips]
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")

    def embed_text(self, texts):
        seeds = [np.random.default_rng(sum(map(ord, text))) for text in texts]
        rows = np.array([seed.normal(size=16) for seed in seeds])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")


def kept(folder, model, ids, clips, texts):
    """Write a model's embeddings of clips and texts, not of unit length; return the options."""
    from earmark.datasets.audio import load

    audio = model.embed_audio([load(path, sample_rate=RATE) for path in clips])
    np.savez(folder / "letters.npz", ids=ids, embeddings=3.0 * audio.astype(float))
    text = 0.5 * model.embed_text(texts).astype(float)
    np.savez(folder / "texts.npz", texts=texts, embeddings=text)
    return {"loader": "kept-embeddings", "audio": str(folder / "letters.npz"),
            "text": str(folder / "texts.npz")}  # fmt: skip


def same_scores(one, other):
    columns = ["metric", "subset", "value", "low", "high", "n"]
    one, other = (
        run.scores().query("model != 'random'")[columns].reset_index(drop=True)
        for run in (one, other)
    )
    pd.testing.assert_frame_equal(one, other, rtol=1e-12)


def test_kept_embeddings_score_as_the_model_that_made_them(world, places, tmp_path):
    paths = sorted((world / "audio").glob("*.wav"))
    captions = [f"a sound like {path.stem} here" for path in paths]
    rows = zip(paths, captions, strict=True)
    table = "path,caption\n" + "".join(f"{p.name},{text}\n" for p, text in rows)
    (tmp_path / "captions.csv").write_text(table)
    captioned = {"loader": "caption-csv", "root": str(tmp_path), "audio": str(world / "audio")}
    labelled = {"loader": f"{world}/code.py:load", "root": str(world / "audio")}
    texts = [*captions, "a", "b"]
    model = Letters()
    by_path = kept(tmp_path, model, [path.name for path in paths], paths, texts)
    same_scores(
        em.evaluate(model, captioned, task="retrieval", **places),
        em.evaluate(by_path, captioned, task="retrieval", **places),
    )
    by_stem = kept(tmp_path, model, [path.stem for path in paths], paths, texts)
    for task, options in (
        ("probe", {"folds": 3}),
        ("zero_shot_classification", {"prompts": ["{label}"], "classes": ["a", "b"]}),
    ):
        same_scores(
            em.evaluate(model, labelled, task=task, **options, **places),
            em.evaluate(by_stem, labelled, task=task, **options, **places),
        )


def test_embeddings_that_lack_a_clip_or_a_text_are_refused_by_name(world, places, tmp_path):
    paths = sorted((world / "audio").glob("*.wav"))
    labelled = {"loader": f"{world}/code.py:load", "root": str(world / "audio")}
    ids = [path.stem for path in paths]
    found = kept(tmp_path, Letters(), [*ids[1:], "c1"], paths, ["a", "c"])
    with pytest.raises(ModelError, match=r"no embedding of 1 of 60 clips: a0.*allow_missing"):
        em.evaluate(found, labelled, task="probe", folds=3, **places)
    run = em.evaluate(found | {"allow_missing": True}, labelled, task="probe", folds=3, **places)
    assert set(run.scores()["n"]) == {59}
    assert run.record.tasks[0].problems[0].item == "a0"
    asked = {"prompts": ["{label}"], "classes": ["a", "b"]}
    with pytest.raises(ModelError, match="no embedding of 'b'"):
        em.evaluate(
            found | {"allow_missing": True}, labelled, task="zero_shot_classification", **asked,
            **places,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"names": ["a"], "embeddings": [[1.0]]},
            "expected arrays ids and embeddings, found names",
        ),
        ({"ids": ["a", "b"], "embeddings": [[1.0, 2.0]]}, r"shape \(1, 2\) for 2 ids"),
        ({"ids": ["a", "a"], "embeddings": [[1.0], [2.0]]}, "more than one embedding of a"),
        ({"ids": ["a"], "embeddings": [[np.nan]]}, "row 0 has a vector of norm nan"),
    ],
)
def test_embeddings_that_are_laid_out_otherwise_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(ModelError, match=message):
        em.models.open("kept-embeddings", audio=str(tmp_path / "x.npz"))
