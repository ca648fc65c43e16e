"""``earmark etude``: a corpus from the command line, a picture of it, and reports that say so."""

import json
import struct
import sys

import numpy as np
import pytest

from earmark.bench import cli
from earmark.bench.cli.etude import spectrogram
from earmark.datasets.etude.layouts import VERSION, oracle

SUITE = """
[suite]
name = "etude"
title = "On Etude"
replicates = 200

[datasets.emomusic]
loader = "rated-folder"
root = "{root}/emomusic"
title = "emoMusic"

[models.level]
loader = "{root}/../model.py:Level"

[[tasks]]
task = "av_regression"
dataset = "emomusic"
"""

MODEL = '''
import numpy as np
from earmark.models.base import ModelCard

class Level:
    """Arousal is the level, valence the zero crossings."""
    sample_rate = 16000
    card = ModelCard(
        id="level", version="1", weights_digest="untrained", licence="Apache-2.0", citation="",
        training_datasets=(), crop_policy="whole clip", av_scale=(0.0, 1.0),
    )

    def predict_av(self, clips):
        return np.array([
            [np.sqrt(np.mean(c.samples**2)), np.mean(np.diff(np.sign(c.samples)) != 0)]
            for c in clips
        ], dtype=np.float32)
'''


@pytest.fixture(scope="module")
def call():
    """Run the command line in this process; return its exit code."""

    def run(*arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["earmark", *map(str, arguments)])
            patch.delenv("EARMARK_DEBUG", raising=False)
            with pytest.raises(SystemExit) as done:
                cli.main()
        return done.value.code or 0

    return run


@pytest.fixture(scope="module")
def corpus(call, tmp_path_factory):
    root = tmp_path_factory.mktemp("etude") / "corpus"
    arguments = ("--tracks", 30, "--seconds", 2, "--seed", 7, "--workers", 1)
    assert call("etude", "build", root, *arguments, "--layouts", "captions, musav,emomusic") == 0
    return root


def test_a_built_corpus_says_what_it_is_in_words_and_as_json(call, corpus, capsys):
    arguments = ("etude", "build", corpus, "--tracks", 30, "--seconds", 2, "--seed", 7)
    arguments = (*arguments, "--workers", 1, "--layouts", "captions")
    assert call(*arguments) == 0
    printed = capsys.readouterr().out
    assert f"30 tracks of 2 s, version {VERSION}, seed 7" in printed
    assert "layouts: captions, musav, emomusic" in printed
    assert call(*arguments, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["fingerprint"] in printed
    assert said["complete"] is True
    assert said["splits"] == {"train": 10, "val": 10, "test": 10}
    assert len(oracle(corpus, split="test").clip_ids) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "8"], "with seed 7, asked for 8"),
        (["--seed", "7", "--layouts", "mtat,gtzen"], "no layout 'gtzen'"),
        (["--seed", "7", "--workers", "0"], "at least 1 worker"),
    ],
)
def test_mistakes_are_told_without_a_traceback(call, corpus, capsys, arguments, message):
    code = call("etude", "build", corpus, "--tracks", 30, "--seconds", 2, *arguments)
    printed = capsys.readouterr()
    assert code == 3
    assert message in printed.err
    assert "Traceback" not in printed.err


def test_every_report_on_etude_says_synthetic(call, corpus, tmp_path):
    (corpus.parent / "model.py").write_text(MODEL)
    suite = tmp_path / "etude.toml"
    suite.write_text(SUITE.format(root=corpus))
    assert call("run", suite, "--out", tmp_path / "runs", "--store", tmp_path / "store") == 0
    (run,) = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    record = json.loads((run / "run.json").read_text())
    assert [(entry["title"], entry["synthetic"]) for entry in record["datasets"]] == [
        ("Etude (synthetic)", True)
    ]
    page = (run / "report.html").read_text()
    assert "Synthetic data" in page
    assert "Etude (synthetic)" in page


def test_the_picture_shows_all_ten_genres(call, tmp_path):
    target = tmp_path / "etude.png"
    assert call("etude", "draw", target, "--seconds", 2) == 0
    head = target.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:])
    assert (width, height) == (800, 880)
    small = tmp_path / "etude.jpg"
    assert call("etude", "draw", small, "--seconds", 2) == 0
    assert small.read_bytes()[:2] == b"\xff\xd8"
    assert small.stat().st_size < target.stat().st_size


def test_the_spectrogram_shows_a_tone_at_its_frequency():
    seconds = np.arange(16_000) / 16_000
    levels = spectrogram(np.sin(2 * np.pi * 2000 * seconds).astype(np.float32))
    assert levels.max() == pytest.approx(0)
    assert np.argmax(levels[:, 10]) == 2000 // (16_000 / 1024)
    assert levels[300, 10] < -60
