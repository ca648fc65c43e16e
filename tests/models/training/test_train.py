"""Whole runs: learning, going on bit for bit, stopping, and what is refused."""

import csv
import json
import os
import random
import shutil
import signal
from functools import partial

import numpy as np
import pytest
import torch
from forks import exit_code
from training_runs import DCASE, MUSCALL, CosineOfPairs, run_config

from earmark.datasets.base import DataError
from earmark.models.base import ModelError
from earmark.models.training import checkpoints
from earmark.models.training import train as trainer
from earmark.models.training.corpus import HEADER_BYTES, Corpus
from earmark.models.training.prepare import prepare
from earmark.models.training.train import (
    CHECKPOINTS,
    CollapsedError,
    NotFiniteError,
    Stopped,
    Trainer,
    train,
)

SSL = {"muscall": {"self_supervision": {"projection": 4}}, "second_view": {"p_pitch_shift": 0.0}}
VARIANTS = {
    "muscall": (MUSCALL, {}),
    "ssl, noise": (MUSCALL, {**SSL, "augmentation": {"p_noise": 0.5}}),
    "micro-batches": (MUSCALL, {"training": {"micro_batch_size": 4}}),
    "dcase": (DCASE, {}),
    "dcase + cl": (DCASE, {"dcase": {"objective": "contrastive"}}),
}


def quiet(line):
    pass


def run(config, out, **options):
    return train(config, out, score=CosineOfPairs(), tell=quiet, **options)


def last(out):
    return checkpoints.load(checkpoints.saved(out / CHECKPOINTS)[-1])


def rows(out):
    """The metrics, without what depends on the clock."""
    with (out / "metrics.csv").open() as file:
        clock = ("samples_per_second", "data_wait", "mfu")
        return [
            {name: value for name, value in row.items() if name not in clock}
            for row in csv.DictReader(file)
        ]


def assert_same_state(one, other):
    assert one.model.keys() == other.model.keys()
    for name, value in one.model.items():
        assert torch.equal(value, other.model[name]), name
    for name in ("step", "schedule", "batches", "best", "best_step", "scores", "words"):
        assert getattr(one, name) == getattr(other, name), name
    moments = zip(one.optimiser["state"].values(), other.optimiser["state"].values(), strict=True)
    for mine, theirs in moments:
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert one.optimiser["param_groups"] == other.optimiser["param_groups"]
    assert torch.equal(one.random[0]["torch"], other.random[0]["torch"])


class StopAfter:
    """Ends a run as a crash would, in the middle of a step's bookkeeping."""

    def __init__(self, step):
        self.step = step

    def __call__(self, done, total, name):
        if done == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(corpora, tmp_path, variant):
    base, changes = VARIANTS[variant]
    training = {"epochs": 2, "checkpoint_every": 2, **changes.get("training", {})}
    config = run_config(corpora, base, **{**changes, "training": training})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(config, whole)
    with pytest.raises(KeyboardInterrupt):
        run(config, parts, progress=StopAfter(5))
    assert last(parts).step == 4  # in the middle of the second epoch of three steps
    random.seed(0), np.random.seed(0), torch.manual_seed(0)  # nothing of this process helps
    run(config, parts, resume=True)
    assert_same_state(last(whole), last(parts))
    assert rows(whole) == rows(parts)
    best = [checkpoints.load(out / CHECKPOINTS / checkpoints.BEST) for out in (whole, parts)]
    assert_same_state(*best)


def killed_after(step, config, out):
    def kill(done, total, name):
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    run(config, out, progress=kill)


def test_a_run_killed_at_a_random_step_goes_on_bit_for_bit(corpora, tmp_path):
    config = run_config(corpora, training={"epochs": 3, "checkpoint_every": 1})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(config, whole)
    step = random.Random(2022).randrange(2, 9)
    assert exit_code(killed_after, step, config, parts) == -signal.SIGKILL
    assert last(parts).step == step - 1
    run(config, parts, resume=True)
    assert_same_state(last(whole), last(parts))


def test_sigterm_saves_and_stops_and_the_run_goes_on(corpora, tmp_path):
    config = run_config(corpora)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(config, whole)
    before = signal.getsignal(signal.SIGTERM)

    def terminate(done, total, name):
        if done == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped, match=r"after step 2 of 6; .*step-00000002\.pt"):
        run(config, parts, progress=terminate)
    assert signal.getsignal(signal.SIGTERM) is before
    run(config, parts, resume=True)
    assert_same_state(last(whole), last(parts))


def test_sigterm_after_an_epochs_last_step_still_validates_it(corpora, tmp_path):
    config = run_config(corpora)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(config, whole)

    def terminate(done, total, name):
        if done == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        run(config, parts, progress=terminate)
    assert last(parts).best is None
    run(config, parts, resume=True)
    assert_same_state(last(whole), last(parts))
    assert rows(whole) == rows(parts)


@pytest.mark.parametrize("variant", ["muscall", "dcase + cl"])
def test_it_learns(corpora, tmp_path, variant):
    base, changes = VARIANTS[variant]
    training = {"epochs": 12, "validate_every": 12, "mask_duplicate_captions": True}
    config = run_config(
        corpora,
        base,
        **{**changes, "training": training, "optimiser": {"learning_rate": 5e-3}},
    )
    run(config, tmp_path)
    losses = [float(row["loss"]) for row in rows(tmp_path) if row["loss"]]
    assert np.mean(losses[-6:]) < 0.7 * np.mean(losses[:6])


def test_the_last_two_checkpoints_and_the_best_are_kept(corpora, tmp_path):
    class Falling(CosineOfPairs):
        def __init__(self):
            self.values = iter((0.5, 0.9, 0.1, 0.2))

        def __call__(self, embedded):
            return {"cosine": 0.0, "R@10": next(self.values)}

    config = run_config(corpora, training={"epochs": 4})
    done = train(config, tmp_path, score=Falling(), tell=quiet)
    folder = tmp_path / CHECKPOINTS
    assert [path.name for path in checkpoints.saved(folder)] == [
        "step-00000009.pt",
        "step-00000012.pt",
    ]
    best = checkpoints.load(folder / checkpoints.BEST)
    assert (best.step, best.best, best.scores["R@10"]) == (6, 0.9, 0.9)
    assert (done.best, done.best_step, done.steps) == (0.9, 6, 12)
    assert sorted(path.name for path in folder.iterdir()) == [
        "best.pt",
        "step-00000009.pt",
        "step-00000012.pt",
    ]


def test_the_loss_chooses_the_lowest(corpora, tmp_path):
    done = run(run_config(corpora, DCASE, training={"epochs": 3}), tmp_path)
    losses = [float(row["valid_loss"]) for row in rows(tmp_path) if row["valid_loss"]]
    assert done.best == min(losses)


def test_a_finished_run_has_nothing_left_to_do(corpora, tmp_path):
    config = run_config(corpora)
    run(config, tmp_path)
    before = last(tmp_path)
    assert run(config, tmp_path, resume=True).samples == 0
    assert_same_state(before, last(tmp_path))


def test_a_loss_that_is_not_finite_stops_the_run_with_its_clips(corpora, tmp_path, monkeypatch):
    original = Trainer._micro_batches

    def broken(self, batch):
        found = original(self, batch)
        if self.step == 1:
            found[0]["mel"][0] = torch.nan
        return found

    monkeypatch.setattr(Trainer, "_micro_batches", broken)
    config = run_config(corpora, training={"checkpoint_every": 1})
    with pytest.raises(NotFiniteError, match=r"loss of step 2 is nan.*clip\d+, clip\d+") as raised:
        run(config, tmp_path)
    batch = next(
        iter(
            trainer.Batches(trainer.Corpus.open(corpora / "train"), batch_size=8, crop_seconds=1.0)
        )
    )
    assert not all(clip in str(raised.value) for clip in batch.ids)  # those are of step 1
    assert "step-00000001.pt" in str(raised.value)
    assert all(value.isfinite().all() for value in last(tmp_path).model.values())


def test_another_config_or_corpus_is_refused_by_name(corpora, tmp_path):
    run(run_config(corpora, training={"epochs": 1}), tmp_path)
    with pytest.raises(ModelError, match=r"holds a run.*--resume"):
        run(run_config(corpora, training={"epochs": 1}), tmp_path)
    changed = run_config(corpora, training={"epochs": 1}, optimiser={"learning_rate": 0.5})
    with pytest.raises(ModelError, match=r"optimiser\.learning_rate is 0\.5, there 0\.003"):
        run(changed, tmp_path, resume=True)
    swapped = run_config(corpora, training={"epochs": 1}, data={"valid": [str(corpora / "train")]})
    with pytest.raises(ModelError, match=r"corpus data\.valid has the fingerprint"):
        run(swapped, tmp_path, resume=True)


def test_a_corpus_at_another_rate_is_refused(corpora, tmp_path):
    config = run_config(corpora, DCASE, dcase={"front_end": {"sample_rate": 22_050}})
    with pytest.raises(ModelError, match="is at 16000 Hz and the model takes 22050 Hz"):
        run(config, tmp_path)


def test_a_score_that_is_not_made_cannot_choose(corpora, tmp_path):
    config = run_config(corpora, training={"best_by": "R@5"})
    with pytest.raises(ModelError, match=r"best_by is 'R@5', expected 'cosine', 'R@10', 'loss'"):
        run(config, tmp_path)


def test_unequal_micro_batches_are_refused(corpora, tmp_path):
    with pytest.raises(ModelError, match="groups of unequal size"):
        run(run_config(corpora, training={"micro_batch_size": 3}), tmp_path)


def test_half_precision_with_a_scaler_needs_a_gpu(corpora, tmp_path):
    with pytest.raises(ModelError, match="'fp16' needs a GPU"):
        run(run_config(corpora, training={"precision": "fp16"}), tmp_path)


def gradient_of_first_batch(config, out):
    """The loss and all gradients, in one vector, of the same weights and clips."""
    made = Trainer(config, out, score=CosineOfPairs(), tell=quiet)
    found = []
    step = made.optimiser.step
    made.optimiser.step = lambda: found.append(
        torch.cat([p.grad.flatten() for p in made.task.parameters() if p.requires_grad])
    )
    loss = made.train_step(next(iter(made.batches)))
    made.optimiser.step = step
    return loss, found[0]


def test_bf16_is_close_to_single_precision(corpora, tmp_path):
    """The loss within 2 %, the gradient's direction within a cosine of 0.85: BatchNorm over a batch
    of eight lets rounding through."""
    still = {"muscall": {"text": {"dropout": 0.0}}}
    single, half = (
        gradient_of_first_batch(
            run_config(corpora, training={"precision": precision}, **still), tmp_path / precision
        )
        for precision in ("fp32", "bf16")
    )
    assert half[0] == pytest.approx(single[0], rel=0.02)
    assert half[0] != single[0]
    assert torch.cosine_similarity(half[1], single[1], dim=0) > 0.85


def test_metrics_say_what_was_done(corpora, tmp_path):
    lines = []
    config = run_config(corpora)
    train(config, tmp_path, score=CosineOfPairs(), tell=lines.append)
    assert len(lines) == 2
    for word in ("epoch 2/2", "loss", "temperature", "samples/s", "waiting", "MFU", "R@10 0.500"):
        assert word in lines[1]
    steps = [int(row["step"]) for row in rows(tmp_path)]
    assert steps == [1, 2, 3, 3, 4, 5, 6, 6]
    assert json.loads((tmp_path / "config.json").read_text())["training"]["batch_size"] == 8


def test_tensorboard_gets_the_metrics(corpora, tmp_path):
    pytest.importorskip("tensorboard")
    run(run_config(corpora, training={"epochs": 1, "tensorboard": True}), tmp_path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert {"loss", "temperature", "R@10"} <= set(board.Tags()["scalars"])
    assert [event.step for event in board.Scalars("loss")] == [1, 2, 3]


def test_the_temperature_stays_at_or_above_a_hundredth(corpora, tmp_path):
    made = Trainer(run_config(corpora), tmp_path, score=CosineOfPairs(), tell=quiet)
    with torch.no_grad():
        made.task.model.logit_scale.fill_(9.0)
    made.train_step(next(iter(made.batches)))
    assert made.task.temperature() == pytest.approx(0.01)


def test_a_compiled_model_learns_the_same(corpora, tmp_path, monkeypatch):
    """Through TorchDynamo; the code generator behind it needs a compiler that tests may lack."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    found = []
    for wanted in (False, True):
        config = run_config(corpora, training={"compile": wanted})
        found.append(gradient_of_first_batch(config, tmp_path / str(wanted)))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
    assert (found[1][1] - found[0][1]).norm() < 1e-3 * found[0][1].norm()


def test_channels_last_changes_no_result(corpora, tmp_path):
    found = [
        gradient_of_first_batch(
            run_config(corpora, training={"channels_last": wanted}), tmp_path / str(wanted)
        )
        for wanted in (False, True)
    ]
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
    assert (found[1][1] - found[0][1]).norm() < 1e-3 * found[0][1].norm()


# Collapse


def test_weight_decay_in_the_gradient_collapses_where_decoupled_decay_learns(
    corpora, tmp_path, monkeypatch
):
    monkeypatch.setattr(trainer, "COLLAPSED_STEPS", 10)
    # Of the paper's schedule the sum of learning rates is 2.9, here .9: large enough, in 60 steps.
    optimiser = {"learning_rate": 3e-2, "weight_decay": 0.2, "betas": (0.9, 0.98), "eps": 1e-6}
    training = {"epochs": 20, "validate_every": 20}
    literal, decoupled = (
        run_config(corpora, optimiser={**optimiser, "name": name}, training=training)
        for name in ("adam", "adamw")
    )
    said = []
    with pytest.raises(
        CollapsedError, match=r"of 60: .* all (clips|captions) .* one embedding.*'adamw'"
    ):
        train(literal, tmp_path / "adam", score=CosineOfPairs(), tell=said.append)
    assert said[0].startswith("beware: optimiser.name 'adam' adds the weight decay of 0.2")
    assert run(decoupled, tmp_path / "adamw").steps == 60


@pytest.mark.parametrize("side", ["audio", "text"])
def test_a_tower_without_a_difference_is_named(corpora, tmp_path, monkeypatch, side):
    monkeypatch.setattr(trainer, "COLLAPSED_STEPS", 4)
    made = Trainer(run_config(corpora), tmp_path / "a", score=CosineOfPairs(), tell=quiet)
    projection = {"audio": made.task.model.audio_projection}.get(side)
    weights = projection or made.task.model.text_projection
    weights.weight.data.zero_()
    weights.weight.requires_grad_(False)  # vectors of zeros, all the same
    of = {"audio": "clips", "text": "captions"}[side]
    with pytest.raises(
        CollapsedError, match=f"at step 4 of 6: .* all {of} of a batch have had one"
    ):
        made.run()
    said = []
    goes_on = Trainer(
        run_config(corpora),
        tmp_path / "b",
        score=CosineOfPairs(),
        tell=said.append,
        stop_collapsed=False,
    )
    goes_on.task.load_state_dict(made.task.state_dict())
    for parameter in goes_on.task.model.parameters():
        parameter.requires_grad_(False)
    goes_on.task.model.logit_scale.requires_grad_(True)
    assert goes_on.run().steps == 6
    assert sum(line.startswith("beware: collapsed") for line in said) == 1


# Corpora that nothing can be learned from


def rewritten(corpora, folder, **changes):
    """The training corpus with other captions, or other samples."""
    items = json.loads((corpora / "source-train" / "dataset_train.json").read_text())
    shutil.copytree(corpora / "source-train" / "audio", folder / "source" / "audio")
    for number, item in enumerate(items):
        item |= {name: value(number) for name, value in changes.items()}
        if item.pop("same_sound", False) and number:
            audio = folder / "source" / "audio"
            shutil.copyfile(audio / "000.wav", audio / item["audio_path"])
    manifest = folder / "source" / "dataset_train.json"
    manifest.write_text(json.dumps(items))
    prepare(manifest, folder / "train", workers=1)
    return str(folder / "train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"caption": lambda n: "music"}, r"data\.train: all 24 captions are the same \('music'\)"),
        ({"caption": lambda n: " Music" if n % 2 else "music "}, "all 24 captions are the same"),
        ({"same_sound": lambda n: True}, r"data\.train: all 24 clips are the same"),
    ],
)
def test_a_corpus_without_a_difference_is_refused(corpora, tmp_path, changes, message):
    config = run_config(corpora, data={"train": [rewritten(corpora, tmp_path, **changes)]})
    with pytest.raises(DataError, match=message):
        run(config, tmp_path / "run")


def test_fewer_captions_than_a_batch_are_said(corpora, tmp_path):
    folder = rewritten(corpora, tmp_path, caption=lambda n: ("low", "high", "noise")[n % 3])
    said = []
    config = run_config(corpora, data={"train": [folder]}, training={"epochs": 1})
    train(config, tmp_path / "run", score=CosineOfPairs(), tell=said.append)
    assert "data.train has 3 different captions, fewer than a batch of 8" in said[0]


def test_validation_on_what_was_learned_is_said(corpora, tmp_path):
    said = []
    config = run_config(corpora, data={"valid": [str(corpora / "train")]})
    Trainer(config, tmp_path / "run", score=CosineOfPairs(), tell=said.append)
    assert said[0].startswith("beware: 24 of 24 clips of data.valid are in data.train")


# Corpora whose samples were changed


@pytest.mark.parametrize("side", ["train", "valid"])
def test_changed_samples_of_a_small_corpus_are_found_before_the_first_step(corpora, tmp_path, side):
    config = overwritten(corpora, tmp_path, side)
    with pytest.raises(DataError, match=r"shard-00000\.npy: the samples of clip003 are not those"):
        Trainer(config, tmp_path / "run", score=CosineOfPairs(), tell=quiet)


def test_changed_samples_of_a_large_corpus_are_found_by_verify_or_while_training(
    corpora, tmp_path, monkeypatch
):
    monkeypatch.setattr(trainer, "VERIFIED_WHOLE", 0)
    config = overwritten(corpora, tmp_path, "train")
    options = {"score": CosineOfPairs(), "tell": quiet}
    with pytest.raises(DataError, match="the samples of clip003"):
        Trainer(config, tmp_path / "run", verify=True, **options)
    made = Trainer(config, tmp_path / "run", **options)
    with pytest.raises(DataError, match="the samples of clip003"):
        made.run()  # 24 clips, one of each batch of 8: within 24 batches at the latest
    assert made.step < 24


def overwritten(corpora, folder, side):
    """A config of whose corpus one byte of one clip was flipped, at equal size."""
    shutil.copytree(corpora / side, folder / side)
    opened = Corpus.open(folder / side)
    place = HEADER_BYTES + 2 * int(opened.n_samples[:3].sum()) + 100
    shard = folder / side / "shard-00000.npy"
    content = bytearray(shard.read_bytes())
    content[place] ^= 0x40
    shard.write_bytes(content)
    return run_config(corpora, data={side: [str(folder / side)]}, training={"epochs": 8})
