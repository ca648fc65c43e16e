"""``earmark train`` and ``earmark export`` as commands, and the score that chooses the best."""

import json
import os
import signal
import textwrap
from pathlib import Path

import numpy as np
import pytest
from training_runs import RATE, write_corpora

from earmark.bench import cli
from earmark.bench.cli.train import TextToAudio
from earmark.models.base import ModelError
from earmark.models.training.train import Embedded, Trainer

CONFIG = """
    preset = "tiny"
    [data]
    train = ["corpora/train"]
    valid = ["corpora/valid"]
    crop_seconds = 1.0
    workers = 1
    [text]
    vocabulary_size = 600
    [muscall]
    dimension = 8
    [muscall.audio]
    n_fft = 512
    n_mels = 32
    hop_length = 256
    width = 4
    [muscall.text]
    width = 16
    layers = 1
    heads = 2
    [training]
    epochs = 2
    batch_size = 8
    tensorboard = false
    accelerator = "cpu"
    devices = 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("train")
    write_corpora(root / "corpora", valid=12)
    (root / "small.toml").write_text(textwrap.dedent(CONFIG))
    return root


@pytest.fixture
def earmark(monkeypatch, capsys):
    """``earmark(*arguments)`` runs the command line: its exit code, output and errors."""

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["earmark", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        said = capsys.readouterr()
        return done.value.code, said.out, said.err

    return call


def embedded(audio, text, captions, clip_of):
    unit = [np.asarray(rows, np.float32) for rows in (audio, text)]
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in unit]
    return Embedded(*unit, tuple(captions), np.asarray(clip_of))


def test_a_perfect_model_finds_every_clip_first():
    vectors = np.eye(12)
    found = TextToAudio()(embedded(vectors, vectors, map(str, range(12)), range(12)))
    assert found == {"R@1": 1.0, "R@5": 1.0, "R@10": 1.0}


@pytest.mark.parametrize(
    ("constant", "n"), [("both", 11), ("both", 20), ("audio", 20), ("text", 20)]
)
def test_a_collapsed_model_is_at_chance(constant, n):
    vectors = {side: np.random.default_rng(1).normal(size=(n, 3)) for side in ("audio", "text")}
    for side in vectors:
        if constant in ("both", side):
            vectors[side] = np.ones((n, 3))
    found = TextToAudio()(embedded(vectors["audio"], vectors["text"], map(str, range(n)), range(n)))
    assert found == pytest.approx({f"R@{k}": k / n for k in (1, 5, 10)})


def test_clips_of_the_same_words_are_all_right_answers():
    audio = np.eye(12)
    text = np.roll(audio, 1, axis=0)  # each caption finds its neighbour's clip
    captions = ["same", "same", *map(str, range(2, 12))]
    different = TextToAudio()(embedded(audio, text, map(str, range(12)), range(12)))
    shared = TextToAudio()(embedded(audio, text, captions, range(12)))
    assert different["R@1"] == 0
    assert shared["R@1"] == pytest.approx(1 / 12)  # the second caption finds the first clip


def test_several_captions_of_a_clip_share_it():
    audio, text = np.eye(11), np.repeat(np.eye(11), 2, axis=0)
    found = TextToAudio()(embedded(audio, text, map(str, range(22)), np.repeat(range(11), 2)))
    assert found["R@1"] == 1


def test_a_pool_in_which_any_model_finds_all_is_said_and_a_smaller_one_refused():
    with pytest.raises(ModelError, match="has 4 clips, R@10 needs at least 10"):
        TextToAudio()(embedded(np.eye(4), np.eye(4), "abcd", range(4)))
    with pytest.warns(UserWarning, match="has 10 clips: R@10 of any model is 1, and chooses no"):
        TextToAudio()(embedded(np.eye(10), np.eye(10), "abcdefghij", range(10)))


def test_train_export_and_a_suite_that_opens_the_weights(folder, earmark, monkeypatch):
    monkeypatch.chdir(folder)
    code, out, err = earmark("train", "small.toml")
    assert (code, err) == (0, "")
    assert "epoch 2/2" in out
    assert "R@10" in out
    assert "trained/small: 6 steps, best R@10" in out
    code, out, _ = earmark("export", "trained/small", "weights", "--licence", "CC0-1.0")
    assert code == 0
    assert 'loader = "muscall"' in out
    from earmark.bench.run.suite import read_suite
    from earmark.models.registry import MODELS

    (folder / "suite.toml").write_text(
        f'[suite]\nname = "s"\ntitle = "t"\n[datasets.d]\nloader = "musav"\n{out.splitlines()[1]}\n'
        + "\n".join(out.splitlines()[2:])
        + '\n[[tasks]]\ntask = "musav"\ndataset = "d"\n'
    )
    source = read_suite(folder / "suite.toml").models["weights"]
    model = MODELS.create(source.loader, source.options)
    assert model.sample_rate == RATE
    assert model.card.licence == "CC0-1.0"
    assert model.embed_text(["a low tone"]).shape == (1, 8)


def test_a_second_run_needs_resume_or_another_folder(folder, earmark, tmp_path):
    config = folder / "small.toml"
    assert earmark("train", config, "--out", tmp_path)[0] == 0
    code, _, err = earmark("train", config, "--out", tmp_path)
    assert code == 3
    assert "--resume" in err
    code, out, _ = earmark("train", config, "--out", tmp_path, "--resume", "--json")
    assert code == 0
    assert json.loads(out)["samples"] == 0


def test_sigterm_exits_with_143_and_says_how_to_go_on(folder, earmark, tmp_path, monkeypatch):
    original = Trainer.train_step

    def step(self, batch):
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch)

    monkeypatch.setattr(Trainer, "train_step", step)
    code, _, err = earmark("train", folder / "small.toml", "--out", tmp_path)
    assert code == 143
    assert "stopped by SIGTERM after step 1 of 6" in err
    assert "--resume" in err


def test_mistakes_end_with_3_and_no_traceback(folder, earmark, tmp_path):
    (tmp_path / "bad.toml").write_text('preset = "tiny"\n[optimizer]\n')
    code, _, err = earmark("train", tmp_path / "bad.toml")
    assert code == 3
    assert "Did you mean 'optimiser'?" in err
    code, _, err = earmark("train", tmp_path / "absent.toml")
    assert code == 3
    assert "No such file" in err
    code, _, err = earmark("export", tmp_path / "absent.pt", tmp_path / "out")
    assert code == 3
    assert "no checkpoint" in err


def test_python_trains_as_the_command_does(folder, tmp_path, capsys):
    import earmark as em

    done = em.train(folder / "small.toml", out=tmp_path / "python", progress=False)
    assert (done.folder, done.steps) == (tmp_path / "python", 6)
    assert capsys.readouterr().out == ""
    with pytest.raises(ModelError, match="resume"):
        em.train(folder / "small.toml", out=tmp_path / "python", progress=False)
    again = em.train(folder / "small.toml", out=tmp_path / "python", resume=True, progress=False)
    assert (again.samples, again.best) == (0, done.best)
