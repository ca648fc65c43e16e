"""Exported weights give the embeddings of the trained model, through the adapters."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from training_runs import DCASE, MUSCALL, RATE, CosineOfPairs, run_config

from earmark.datasets.audio import Waveform
from earmark.models.base import ModelError
from earmark.models.muscall.checkpoint import load as load_muscall
from earmark.models.registry import MODELS
from earmark.models.training import checkpoints
from earmark.models.training.checkpoints import export
from earmark.models.training.corpus import Corpus
from earmark.models.training.task import Audio
from earmark.models.training.train import CHECKPOINTS, Trainer

TEXTS = ["a low tone, calm", "a shrill pulse", "noise"]
SSL = {"muscall": {"self_supervision": {"projection": 4}}, "second_view": {"p_pitch_shift": 0.0}}


@pytest.fixture(scope="module")
def runs(corpora, tmp_path_factory):
    """A folder with one short run of each model, and what each had learned at its end."""
    torch.set_num_threads(1)
    root, tasks = tmp_path_factory.mktemp("runs"), {}
    for name, base, changes in (("muscall", MUSCALL, SSL), ("dcase", DCASE, {})):
        config = run_config(
            corpora, base, **changes, training={"epochs": 1}, data={"datasets": ["tones"]}
        )
        made = Trainer(config, root / name, score=CosineOfPairs(), tell=lambda line: None)
        made.run()
        tasks[name] = made.task.eval()
    return root, tasks


def last_step(run):
    return checkpoints.saved(run / CHECKPOINTS)[-1]


def clips(corpora):
    """Of the training crop's length, so that every policy hears the same."""
    corpus = Corpus.open(corpora / "valid")
    return [
        Waveform(corpus.read(clip, 0, RATE).astype(np.float32) / 32_768, RATE) for clip in range(3)
    ]


def vectors_of_training(task, sounds):
    """What the trained module itself makes of clips and texts."""
    waveforms = torch.stack([torch.from_numpy(np.array(clip.samples)) for clip in sounds])
    with torch.no_grad():
        features = task(task.inputs(Audio(waveforms, torch.tensor([RATE] * 3)), TEXTS))
    return (F.normalize(features[side], dim=1).numpy() for side in ("audio", "text"))


@pytest.mark.parametrize("name", ["muscall", "dcase"])
def test_exported_embeddings_are_those_of_the_trained_model(corpora, runs, tmp_path, name):
    export(last_step(runs[0] / name), tmp_path / "mine")
    adapter = MODELS.create(name, {"weights": str(tmp_path / "mine")})
    sounds = clips(corpora)
    audio, text = vectors_of_training(runs[1][name], sounds)
    assert adapter.embed_audio(sounds) == pytest.approx(audio, abs=1e-5)
    assert adapter.embed_text(TEXTS) == pytest.approx(text, abs=1e-5)


@pytest.mark.parametrize("name", ["muscall", "dcase"])
def test_the_card_says_where_weights_come_from(runs, tmp_path, name):
    card = export(runs[0] / name, tmp_path / "mine", licence="CC0-1.0")
    assert card.name == "mine"
    of_model = MODELS.create(name, {"weights": str(tmp_path / "mine")}).card
    assert of_model.id == f"{name}-mine"
    assert of_model.licence == "CC0-1.0"
    assert of_model.training_datasets == ("tones",)
    assert any("steps 3" in note for note in of_model.notes)
    assert str(tmp_path) not in json.dumps([*of_model.notes, of_model.id])
    options = {"weights": str(tmp_path / "mine"), "licence": "MIT", "training_datasets": ["other"]}
    stated = MODELS.create(name, options).card
    assert (stated.licence, stated.training_datasets) == ("MIT", ("other",))


def test_a_card_without_datasets_says_that_contamination_is_unknown(runs, tmp_path):
    export(runs[0] / "dcase", tmp_path / "mine", training_datasets=[])
    card = MODELS.create("dcase", {"weights": str(tmp_path / "mine")}).card
    assert card.training_datasets == ()
    assert any("not stated" in note for note in card.notes)


def test_the_self_supervision_head_is_exported_too(runs, tmp_path):
    export(runs[0] / "muscall", tmp_path / "mine")

    assert load_muscall(tmp_path / "mine" / "model.safetensors").projector is not None


def test_one_checkpoint_of_several_is_exported_by_its_file(runs, tmp_path):
    step = last_step(runs[0] / "muscall")
    assert export(step, tmp_path / "mine", name="third").name == "third"


def test_what_cannot_be_exported_is_said(runs, tmp_path):
    with pytest.raises(ModelError, match="no checkpoint"):
        export(tmp_path / "nothing.pt", tmp_path / "out")
    with pytest.raises(ModelError, match=r"no checkpoint .*best\.pt"):
        export(tmp_path, tmp_path / "out")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("")
    with pytest.raises(ModelError, match="not empty"):
        export(runs[0] / "muscall", tmp_path / "taken")


@pytest.mark.parametrize("name", ["muscall", "dcase"])
def test_the_log_of_the_run_goes_with_the_weights_to_the_adapter(runs, tmp_path, name):
    export(runs[0] / name, tmp_path / "mine")
    log = MODELS.create(name, {"weights": str(tmp_path / "mine")}).training_log
    with (runs[0] / name / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert log.columns == tuple(rows[0]) and len(log.rows) == len(rows)
    for logged, row in zip(log.rows, rows, strict=True):
        for value, written in zip(logged, row.values(), strict=True):
            assert value == (pytest.approx(float(written), rel=1e-6) if written else None)
    assert log.best_by == {"muscall": "R@10", "dcase": "valid_loss"}[name]
    assert log.exported_step == 3


def test_weights_without_a_log_are_exported_and_load(runs, tmp_path):
    shutil.copytree(runs[0] / "dcase", tmp_path / "run")
    (tmp_path / "run" / "metrics.csv").unlink()
    export(tmp_path / "run", tmp_path / "mine")
    assert not (tmp_path / "mine" / "training.json").exists()
    assert MODELS.create("dcase", {"weights": str(tmp_path / "mine")}).training_log is None
    # A checkpoint that was moved away from its run has no log beside it.
    alone = shutil.copy(last_step(runs[0] / "dcase"), tmp_path / "alone.pt")
    export(alone, tmp_path / "other")
    assert MODELS.create("dcase", {"weights": str(tmp_path / "other")}).training_log is None


def test_a_damaged_log_is_named_before_anything_is_written(runs, tmp_path):
    shutil.copytree(runs[0] / "dcase", tmp_path / "run")
    metrics = tmp_path / "run" / "metrics.csv"
    metrics.write_text(metrics.read_text().replace("3,1,", "three,1,"))
    with pytest.raises(ModelError, match=r"metrics\.csv:\d: .*'three'.*fix the line"):
        export(tmp_path / "run", tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_damaged_card_is_named(runs, tmp_path):
    export(runs[0] / "dcase", tmp_path / "mine")
    (tmp_path / "mine" / "card.json").write_text("{}")
    with pytest.raises(ModelError, match=r"card\.json: not a card"):
        MODELS.create("dcase", {"weights": str(tmp_path / "mine")})
    (tmp_path / "mine" / "card.json").write_text("{")
    with pytest.raises(ModelError, match=r"card\.json: damaged"):
        MODELS.create("dcase", {"weights": str(tmp_path / "mine")})
