"""A plan says what a run would listen to; the run then listens to that."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from earmark.bench.run.dry_run import plan_suite
from earmark.bench.run.runner import run_suite
from earmark.datasets.audio import decoded_files

MODEL = """
import numpy as np
from earmark.models.base import ModelCard

class Net:
    sample_rate, dimension = 8000, 3
    card = ModelCard("net", "1", "untrained", "MIT", "", (), "all")
    def embed_patches(self, clip):
        return np.resize(clip.samples, (2, 3)).astype("f4")

NET = Net()

class Head:
    def __init__(self, *, gain=1.0):
        self.gain, self.embedder, self.sample_rate = gain, NET, 8000
        self.card = ModelCard("head", "1", "untrained", "MIT", "", (), "all", {"gain": gain},
                              av_scale=(0.0, 9.0))
    def predict_av_from_patches(self, patches):
        return (self.gain * patches.mean(axis=0)[:2] + 1).astype("f4")
    def predict_av_from_means(self, means):
        return self.gain * means[:, :2] + 1
    def predict_av(self, clips):
        return np.stack([self.predict_av_from_patches(NET.embed_patches(c)) for c in clips])

class Whole:
    sample_rate = 8000
    def __init__(self):
        self.card = ModelCard("whole", "1", "untrained", "MIT", "", (), "all", av_scale=(0.0, 9.0))
    def predict_av(self, clips):
        return np.array([[c.samples.max(), c.samples.min()] for c in clips], "f4")
"""
SUITE = """
[suite]
name = "planned"
title = "Planned"
replicates = 200
[datasets.songs]
loader = "rated-folder"
root = "ROOT/songs"
scale = [0, 9]
[models.one]
loader = "ROOT/model.py:Head"
[models.two]
loader = "ROOT/model.py:Head"
gain = 2.0
[models.whole]
loader = "ROOT/model.py:Whole"
[[tasks]]
task = "av_regression"
dataset = "songs"
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    audio = tmp_path / "songs" / "audio"
    audio.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["track_id,arousal,valence"]
    for number in range(6):
        soundfile.write(audio / f"{number}.wav", rng.uniform(-0.5, 0.5, 4000), 8000)
        rows.append(f"{number},{number},{8 - number}")
    (tmp_path / "songs" / "ratings.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "suite.toml").write_text(SUITE.replace("ROOT", str(tmp_path)))
    return tmp_path


def planned(root):
    plan = plan_suite(root / "suite.toml", store=root / "store", available=False)
    return [(row.model, row.what, row.items, row.new) for row in plan.rows], plan


def test_a_plan_counts_what_the_run_then_hears_and_leaves_nothing_behind(root):
    decoded = decoded_files()
    rows, plan = planned(root)
    # The two heads share a network, which hears each clip once.
    assert rows == [
        ("one", "clips", 6, 6), ("two", "clips", 6, 0), ("whole", "clips", 6, 6),
    ]  # fmt: skip
    assert [row.seconds for row in plan.rows] == [None, 0.0, None]
    assert decoded_files() == decoded
    assert not (root / "store").exists()
    run_suite(root / "suite.toml", out=root / "runs", store=root / "store")
    assert decoded_files() - decoded == sum(row.new for row in plan.rows)
    assert [row[-1] for row in planned(root)[0]] == [0, 0, 0]
    soundfile.write(root / "songs" / "audio" / "3.wav", np.full(4000, 0.3), 8000)
    rows, plan = planned(root)
    assert [row[-1] for row in rows] == [1, 0, 1]
    assert all(row.seconds < 1 for row in plan.rows)  # by what a clip cost before
    assert plan.rows[0].seconds > 0


def test_the_command_prints_the_plan_and_stops(root, earmark):
    where = ("--out", root / "runs", "--store", root / "store")
    code, out, _ = earmark("run", root / "suite.toml", "--dry-run", *where)
    assert code == 0
    assert "12 items of unknown cost" in " ".join(out.split())
    code, out, _ = earmark("run", root / "suite.toml", "--dry-run", "--json", *where)
    (plan,) = json.loads(out)
    assert [row["new"] for row in plan["plan"]] == [6, 0, 6]
    assert not (root / "runs").exists()
    (root / "suite.toml").write_text((root / "suite.toml").read_text().replace("gain =", "gian ="))
    code, _, err = earmark("run", root / "suite.toml", "--dry-run", *where)
    assert (code, "Did you mean 'gain'" in err) == (3, True)
