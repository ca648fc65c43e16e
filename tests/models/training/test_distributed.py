"""Two processes against one, over gloo on loopback, started as torchrun starts them."""

import csv
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import two_processes
from training_runs import DCASE, MUSCALL, CosineOfPairs, run_config

from earmark.models.base import ModelError
from earmark.models.training import checkpoints
from earmark.models.training.config import TrainingConfig, plain
from earmark.models.training.distributed import launch, launched
from earmark.models.training.trainer import CHECKPOINTS, Trainer, train

NOT_LEARNED = ("running_mean", "running_var", "num_batches_tracked")
# Dropout draws differ between processes, so there is none here.
STILL = {"text": {"dropout": 0.0}}
VARIANTS = {
    "muscall": (MUSCALL, {"muscall": STILL}),
    "weighted, ssl, duplicates masked": (
        MUSCALL,
        {
            "muscall": STILL
            | {"loss": {"weighting": "paper", "kappa": 0.1}, "self_supervision": {"projection": 4}},
            "second_view": {"p_pitch_shift": 0.0},
            "training": {"mask_duplicate_captions": True},
        },
    ),
    "dcase": (DCASE, {"dcase": {"dropout": 0.0}}),
    "dcase + cl": (DCASE, {"dcase": {"dropout": 0.0, "objective": "contrastive"}}),
}


def config_of(corpora, variant, **training):
    base, changes = VARIANTS[variant]
    # Adam's first steps are the signs of gradients and blow their rounding up; with a large eps
    # they are proportional to the gradients.
    optimiser = {"name": "adam", "eps": 1.0, "learning_rate": 0.1}
    training = {"epochs": 1, **changes.get("training", {}), **training}
    return run_config(corpora, base, **{**changes, "optimiser": optimiser, "training": training})


@pytest.fixture(scope="module")
def of_two(corpora, tmp_path_factory) -> Path:
    """A folder with each variant's run by two processes of half a batch each."""
    root = tmp_path_factory.mktemp("two")
    jobs = [
        {"config": plain(config_of(corpora, variant)), "out": str(root / variant)}
        for variant in VARIANTS
    ]
    (root / "jobs.json").write_text(json.dumps(jobs))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ,
        "PYTHONPATH": str(Path(two_processes.__file__).parent),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "test",
        "OMP_NUM_THREADS": "1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, two_processes.__file__, str(root / "jobs.json")],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    assert "epoch 1/1" in said[0]
    assert "epoch" not in said[1]
    return root


def learned(checkpoint):
    """All that learns, in one vector; BatchNorm's running statistics are not learned."""
    named = checkpoint.model.items()
    return torch.cat([v.flatten().double() for n, v in named if not n.endswith(NOT_LEARNED)])


def losses(out):
    with (out / "metrics.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_processes_learn_what_one_learns(corpora, tmp_path, of_two, variant):
    """Each step's loss within 1e-4, and the way of the weights within a thousandth of its length.

    The one process encodes in halves of a batch, so that BatchNorm sees the same groups. The
    negatives are the whole batch in both.
    """
    config = config_of(corpora, variant, micro_batch_size=4)
    one_out = tmp_path / "one"
    train(config, one_out, score=CosineOfPairs(), tell=lambda line: None)
    one, two = (
        checkpoints.load(checkpoints.saved(out / CHECKPOINTS)[-1])
        for out in (one_out, of_two / variant)
    )
    assert two.step == one.step == 3
    assert len(two.random) == 2
    assert losses(of_two / variant) == pytest.approx(losses(one_out), rel=1e-4)
    untrained = Trainer(config, tmp_path / "start", score=CosineOfPairs()).learner.state_dict()
    way = learned(one) - learned(replace(one, model=untrained))
    assert way.norm() > 0.01
    assert (learned(one) - learned(two)).norm() < 1e-3 * way.norm()


def test_two_processes_write_one_log(of_two):
    lines = (of_two / "muscall" / "metrics.csv").read_text().splitlines()
    assert len(lines) == 1 + 3 + 1  # header, three steps, one validation


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6"}, (3, 2)),
        ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2"}, (2, 4)),
        ({"SLURM_NTASKS": "8"}, None),
    ],
)
def test_the_launcher_says_how_many_processes_there_are(monkeypatch, environment, expected):
    for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE", "SLURM_NTASKS", "SLURM_NNODES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launched() == expected


def test_batch_norm_over_processes_needs_gpus():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ModelError, match="sync_batch_norm needs GPUs"):
        launch(TrainingConfig(accelerator="cpu", devices=1, sync_batch_norm=True))
