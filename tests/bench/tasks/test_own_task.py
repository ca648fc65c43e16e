"""A task in one file outside the project: run, gated, compared, paired, and drawn by its view."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.bench.tasks import registry
from earmark.bench.tasks.registry import load_task, task_of
from earmark.datasets.base import DataError
from earmark.reports.record.files import read

EXAMPLE = Path(__file__).parents[3] / "docs" / "example_task.py"
SONGS = """
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from earmark.datasets.base import Clip, DatasetCard, fingerprint
from earmark.models.base import ModelCard

def load(*, root):
    clips = [Clip(p.stem, p, label=p.stem[0]) for p in sorted(Path(root).glob("*.wav"))]
    card = DatasetCard("songs", "Songs", "1", "CC0", "", "")
    return SimpleNamespace(card=card, clips=clips, fingerprint=fingerprint(c.id for c in clips))

class Ears:
    sample_rate, dimension = 8000, 16
    def __init__(self, *, noise, weights="a"):
        self.noise = noise
        self.card = ModelCard("ears", "1", weights * 64, "MIT", "", (), "whole", {"noise": noise})
    def embed_audio(self, clips):
        rows = []
        for clip in clips:
            own = np.abs(np.fft.rfft(clip.samples))[:400].reshape(16, 25).sum(axis=1)
            seed = np.random.default_rng(int(1e6 * abs(clip.samples).sum()))
            rows.append(own / np.linalg.norm(own) + self.noise * seed.normal(size=16))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")
"""
SUITE = """
[suite]
name = "own"
title = "Own"
replicates = 200
[datasets.songs]
loader = "ROOT/songs.py:load"
root = "ROOT/audio"
[models.ears]
loader = "ROOT/songs.py:Ears"
noise = NOISE
weights = "WEIGHTS"
[models.other]
loader = "ROOT/songs.py:Ears"
noise = 3.0
weights = "c"
[[tasks]]
task = "ROOT/own_task.py:NearestNeighbour"
dataset = "songs"
k = 2
id = "neighbours"
"""
POLICY = "version = 1\n[defaults]\nmargin = 0.05\n[statistics]\nreplicates = 500\n"


@pytest.fixture
def root(tmp_path):
    """Clips of two labels, each with a pitch, and the task in a file of its own."""
    shutil.copy(EXAMPLE, tmp_path / "own_task.py")
    (tmp_path / "songs.py").write_text(SONGS)
    (tmp_path / "policy.toml").write_text(POLICY)
    (tmp_path / "audio").mkdir()
    rng, time = np.random.default_rng(0), np.arange(800) / 8000
    for number in range(60):
        label = "ab"[number % 2]
        samples = np.sin(2 * np.pi * (600 + 1200 * (label == "b")) * time)
        samples = 0.3 * samples + 0.02 * rng.normal(size=800)
        soundfile.write(tmp_path / "audio" / f"{label}{number}.wav", samples, 8000)
    return tmp_path


@pytest.fixture
def run(root, earmark):
    def call(name, *, noise=0.02, weights="a"):
        text = SUITE.replace("ROOT", str(root)).replace("NOISE", str(noise))
        (root / f"{name}.toml").write_text(text.replace("WEIGHTS", weights))
        where = ("--out", root / "runs", "--store", root / "store", "--json")
        code, out, err = earmark("run", root / f"{name}.toml", *where)
        assert code == 0, err
        return Path(json.loads(out)[0]["record"])

    return call


@pytest.fixture
def forgotten(monkeypatch):
    """What another process knows: no task but those that are registered."""
    return lambda: monkeypatch.setattr(registry, "_NAMED", {})


def test_a_task_in_one_file_runs_and_is_gated_compared_paired_and_drawn(
    root, run, earmark, forgotten
):
    base, again = run("base"), run("again", weights="b")
    worse = run("worse", noise=2.0, weights="d")
    (task,) = read(base).tasks
    by_model = {score.model: score for score in task.scores}
    assert (task.kind, task.headline_metric) == ("nearest_neighbour", "neighbour_precision")
    assert by_model["ears"].value > 0.9 > 0.7 > by_model["random"].value
    assert by_model["ears"].chance == pytest.approx(29 / 59)
    pair = next(p for p in task.comparisons if {p.model, p.other} == {"ears", "other"})
    assert pair.p_holm < 0.05
    for text in ("Right neighbours of each label", "nearest clips, "):
        assert text in (base / "report.html").read_text()
    assert (base / "report.pdf").read_bytes().startswith(b"%PDF")

    own = ("--custom-task", f"{root / 'own_task.py'}:NearestNeighbour")
    gate = ("--baseline", base, "--policy", root / "policy.toml")
    forgotten()
    assert earmark("gate", again, *gate, *own)[0] == 0
    code, out, _ = earmark("gate", worse, *gate, *own, "--json")
    (failed,) = [row for row in json.loads(out)["metrics"] if row["status"] == "fail"]
    assert (code, failed["model"], failed["metric"]) == (1, "ears", "neighbour_precision")

    forgotten()
    code, out, _ = earmark("compare", base, worse, *own, "--json")
    differences = {row["model"]: row for row in json.loads(out)["differences"]}
    assert (code, differences["ears"]["difference"] < -0.2) == (0, True)
    assert earmark("compare", base, worse, "--json")[0] == 0  # it is known in this process now

    forgotten()
    board = root / "board"
    report = ("report", base, worse, "--out", board, "--format", "html,md")
    assert earmark(*report, *own)[0] == 0
    assert "paired on 60 items" in (board / "report.md").read_text()


def test_a_record_of_a_task_that_is_not_known_renders_and_is_not_gated(
    root, run, earmark, forgotten
):
    base = run("base")
    forgotten()
    assert task_of("nearest_neighbour") is None
    code, _, err = earmark("report", base, "--out", root / "alone", "--format", "html,pdf,md")
    assert code == 0, err
    text = (root / "alone" / "report.md").read_text()
    assert "neighbour" in text and "Right neighbours of each label" not in text
    gate = ("--baseline", base, "--policy", root / "policy.toml", "--json")
    code, out, _ = earmark("gate", base, *gate)
    assert (code, "--custom-task" in out) == (3, True)


def test_a_task_that_is_none_is_refused_by_name(root):
    (root / "wrong.py").write_text(
        "class Half:\n    kind = 'half'\n\n"
        "from own_task import NearestNeighbour\n\n"
        "class Taken(NearestNeighbour):\n    kind = 'retrieval'\n"
    )
    with pytest.raises(DataError, match="has no needs and no view and no wanted and no run"):
        load_task(f"{root / 'wrong.py'}:Half")
    with pytest.raises(DataError, match=r"'retrieval', which is that of earmark\.bench\.tasks"):
        load_task(f"{root / 'wrong.py'}:Taken")
    with pytest.raises(DataError, match="Did you mean 'probe'"):
        load_task("prob")


def test_options_of_a_task_are_its_fields(root, earmark):
    text = SUITE.replace("ROOT", str(root)).replace("NOISE", "1.0").replace("k = 2", "kk = 2")
    (root / "typo.toml").write_text(text)
    code, _, err = earmark("run", root / "typo.toml", "--out", root, "--store", root / "store")
    assert (code, "task 'neighbours' has no option 'kk'. Did you mean 'k'?" in err) == (3, True)
    listed = json.loads(earmark("list", "tasks", "--json")[1])
    assert listed["probe"].startswith("earmark.bench.tasks.probe.task:Probe(evaluation='auto'")
