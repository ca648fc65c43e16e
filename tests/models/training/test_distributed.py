"""Two processes against one, over gloo on loopback, started as torchrun starts them."""

import csv
import os
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from forks import side_by_side
from training_runs import DCASE, MUSCALL, CosineOfPairs, run_config
from two_processes import train_jobs

from earmark.bench.cli.run import embed
from earmark.bench.run.suite import SuiteError
from earmark.models.base import ModelError
from earmark.models.training import checkpoints, distributed
from earmark.models.training.config import TrainingConfig, plain
from earmark.models.training.distributed import Meeting, launch, launched, micro_batch_of
from earmark.models.training.train import CHECKPOINTS, Trainer, train

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
    "dcase + cl": (DCASE, {"dcase": {"dropout": 0.0, "objective": "muscall"}}),
}


def config_of(corpora, variant, **training):
    base, changes = VARIANTS[variant]
    # Adam's first steps are the signs of gradients and blow their rounding up; with a large eps
    # they are proportional to the gradients.
    optimiser = {"name": "adam", "eps": 1.0, "learning_rate": 0.1}
    training = {"epochs": 1, "checkpoint_every": 2, **changes.get("training", {}), **training}
    return run_config(corpora, base, **{**changes, "optimiser": optimiser, "training": training})


@pytest.fixture(scope="module")
def of_two(corpora, tmp_path_factory) -> Path:
    """A folder with each variant's run by two processes of half a batch each."""
    root = tmp_path_factory.mktemp("two")
    jobs = [
        {"config": plain(config_of(corpora, variant)), "out": str(root / variant)}
        for variant in VARIANTS
    ]
    ended = run_two(root, jobs)
    assert [code for code, _ in ended] == [0, 0], "\n".join(said for _, said in ended)
    assert "epoch 1/1" in ended[0][1]
    assert "epoch" not in ended[1][1]
    return root


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run_two(root, jobs, **environment):
    """Return the exit code and the output of each of two processes that train the jobs."""
    shared = {
        **environment,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "test",
    }
    ranks = [{**shared, "RANK": rank, "LOCAL_RANK": rank} for rank in ("0", "1")]
    return side_by_side(train_jobs, jobs, environments=ranks, folder=root)


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
    untrained = Trainer(config, tmp_path / "start", score=CosineOfPairs()).task.state_dict()
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
        ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_PROCID": "0"}, (2, 4)),
        ({"SLURM_NTASKS": "8"}, None),
        # A shell within an allocation of eight is one process.
        ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2"}, None),
        (
            {"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_PROCID": "0"}
            | {"SLURM_JOB_NAME": "interactive"},
            None,
        ),
    ],
)
def test_the_launcher_says_how_many_processes_there_are(monkeypatch, environment, expected):
    for name in (
        *("LOCAL_WORLD_SIZE", "WORLD_SIZE", "SLURM_NTASKS", "SLURM_NNODES", "SLURM_PROCID"),
        *("SLURM_JOB_NAME", "SLURM_NTASKS_PER_NODE"),
    ):
        monkeypatch.setenv(name, "")  # so that what is set here is undone
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launched() == expected
    if "SLURM_NTASKS" in environment and "SLURM_PROCID" not in environment:
        assert os.environ["SLURM_JOB_NAME"] == "interactive"  # by which Fabric knows a shell


def test_tasks_that_do_not_divide_among_machines_are_refused(monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.delenv("SLURM_JOB_NAME", raising=False)
    for name, value in (("NTASKS", "3"), ("NNODES", "2"), ("PROCID", "0")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    with pytest.raises(ModelError, match=r"NTASKS=3 .* SLURM_NNODES=2 machines.*--ntasks-per-node"):
        launched()


def test_batch_norm_over_processes_needs_gpus():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ModelError, match="sync_batch_norm needs GPUs"):
        launch(TrainingConfig(accelerator="cpu", devices=1, sync_batch_norm=True))


def test_fewer_processes_keep_the_groups_of_batch_norm(corpora, tmp_path, of_two):
    """Of a batch of 8 by two processes; one alone would take statistics over 8 clips, not 4."""
    out = tmp_path / "run"
    shutil.copytree(of_two / "muscall", out)
    (out / CHECKPOINTS / "step-00000003.pt").unlink()
    said = []
    config = config_of(corpora, "muscall")
    train(config, out, score=CosineOfPairs(), resume=True, tell=said.append)
    assert said[0] == "resumed in micro-batches of 4 clips: BatchNorm's groups stay 4"
    last, two = (
        checkpoints.load(folder / CHECKPOINTS / "step-00000003.pt")
        for folder in (out, of_two / "muscall")
    )
    assert (last.norm_group, len(last.random)) == (4, 1)
    assert losses(out)[-1] == pytest.approx(losses(of_two / "muscall")[-1], rel=1e-4)
    torch.testing.assert_close(learned(last), learned(two), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("group", "world_size", "micro_batch", "expected"),
    [(4, 1, None, 4), (8, 1, None, 8), (2, 2, None, 2), (4, 2, 2, 4), (8, 2, None, None)],
)
def test_more_processes_are_refused_where_they_cannot_keep_the_groups(
    group, world_size, micro_batch, expected
):
    config = TrainingConfig(batch_size=8, micro_batch_size=micro_batch)
    if expected is None:
        with pytest.raises(ModelError, match=r"groups of 8 clips.* as before, or with fewer"):
            micro_batch_of(config, group, world_size=world_size)
        return
    assert micro_batch_of(config, group, world_size=world_size) == expected
    # Synchronised over processes, a group is made of all of their micro-batches.
    synced = replace(config, sync_batch_norm=True)
    assert micro_batch_of(synced, group * world_size, world_size=world_size) == expected


def test_a_process_that_ends_is_named_with_its_reason_by_the_other(corpora, tmp_path):
    jobs = [{"config": plain(config_of(corpora, "dcase")), "out": str(tmp_path / "run")}]
    first, second = run_two(tmp_path, jobs, FAILING_RANK="1")
    assert first[0] != 0
    assert second[0] != 0
    assert (
        "ModelError: another of 2 processes has ended, so process 0 ends too. process 1: planted; "
        "its checkpoints are kept, and --resume goes on from the last with all processes"
    ) in first[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"end/0": "no room"}, "so process 1 ends too. process 0: no room; go on"),
        ({}, "process 0 of 2 has ended without a word (killed, or out of memory?), so process 1"),
        (None, "process 0 of 2, which kept the others together, has ended, so process 1 ends too"),
    ],
)
def test_a_connection_that_breaks_off_is_told_as_the_end_of_a_process(monkeypatch, words, said):
    class Gone(torch.distributed.HashStore):
        def check(self, keys):
            if words is None:
                raise torch.distributed.DistNetworkError("Connection reset by peer")
            return super().check(keys)

    store = Gone()
    for key, text in (words or {}).items():
        store.set(key, text)
    monkeypatch.setattr(distributed, "_stores", [store])
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    broken = RuntimeError("[pair.cc:547] Connection closed by peer [127.0.0.1]:3")
    with pytest.raises(ModelError) as caught, distributed.ends_together(go_on="go on"):
        raise broken
    assert said in str(caught.value)
    if words is not None:
        with pytest.raises(KeyError), distributed.ends_together(go_on="go on"):
            raise KeyError("of its own")
        assert store.get("end/1") == b"'of its own'"


@pytest.mark.parametrize("rank", [0, 1])
def test_a_lone_process_says_whom_it_waits_for_and_gives_up(monkeypatch, rank):
    """SLURM says two tasks, and nobody else comes: it hung for half an hour in silence."""
    for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE", "RANK", "TORCHELASTIC_USE_AGENT_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_NTASKS", "2")
    told, seconds = [], iter((0, 1, 6, 7, 200))
    meeting = Meeting(tell=told.append, clock=lambda: next(seconds))
    monkeypatch.setattr(distributed, "_BETWEEN", 0)
    port = free_port()
    with pytest.raises(ModelError, match=r"process . of 2 .*gave up after 200 s"):
        distributed._meet(rank, 2, ("127.0.0.1", port), meeting)
    assert len(told) == 1
    assert f"process {rank} of 2 waits at 127.0.0.1:{port} for process {1 - rank}" in told[0]
    assert "SLURM_NTASKS=2" in told[0]
    assert "`srun`" in told[0]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert "`torchrun`" in distributed._alone(rank, 2, ("127.0.0.1", port), [1 - rank])


def test_processes_meet_whoever_comes_first():
    place = ("127.0.0.1", free_port())
    with ThreadPoolExecutor(3) as pool:
        met = [pool.submit(distributed._meet, rank, 3, place, Meeting()) for rank in (2, 0, 1)]
        stores = [each.result() for each in met]
    stores[0].set("word", "of one")
    assert [store.get("word") for store in stores] == [b"of one"] * 3


def test_suites_are_read_before_processes_meet(monkeypatch, tmp_path):
    """A typo is every process's own: none waits for another that ended of it."""
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_NNODES", "1")
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    monkeypatch.setattr(distributed, "_meet", None)
    with pytest.raises(SuiteError, match=r"nosuch\.toml"):
        embed([tmp_path / "nosuch.toml"], store=tmp_path / "store")
