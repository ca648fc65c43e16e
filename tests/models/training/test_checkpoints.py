"""Files of checkpoints: whole, safe, and of this format."""

import dataclasses
import pickle
import random

import numpy as np
import pytest
import torch

from earmark.models.base import ModelError
from earmark.models.training.checkpoints import (
    BEST,
    Checkpoint,
    load,
    random_state,
    save,
    saved,
    set_random_state,
)

CPU = torch.device("cpu")


def checkpoint(step=1, **changes):
    made = Checkpoint(
        config={"seed": 1},
        fingerprints={"train": "a"},
        words={"vocab.json": "{}"},
        step=step,
        model={"weight": torch.arange(3.0)},
        optimiser={"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]},
        schedule={},
        scaler={},
        batches={"epoch": 0, "position": step},
        random=[random_state(CPU)],
        best=None,
        best_step=0,
        scores={},
    )
    return dataclasses.replace(made, **changes)


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    made = checkpoint(best=0.5, scores={"R@10": 0.5})
    found = load(save(made, tmp_path, best=True))
    assert torch.equal(found.model["weight"], made.model["weight"])
    for name in ("config", "words", "step", "batches", "best", "scores", "fingerprints"):
        assert getattr(found, name) == getattr(made, name)
    assert load(tmp_path / BEST).step == 1


def test_steps_are_in_order_and_two_are_kept(tmp_path):
    for step in (9, 10, 100):
        save(checkpoint(step), tmp_path, best=step == 10)
    assert [path.name for path in saved(tmp_path)] == ["step-00000010.pt", "step-00000100.pt"]
    assert load(tmp_path / BEST).step == 10


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = save(checkpoint(), tmp_path, best=True)

    def full(content, file):
        file.write(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space"):
        save(checkpoint(2), tmp_path, best=True)
    assert {each.name for each in tmp_path.iterdir()} == {"best.pt", path.name}
    assert load(path).step == load(tmp_path / BEST).step == 1


def test_random_numbers_go_on_where_they_stood():
    def draw():
        return random.random(), np.random.standard_normal(3).tolist(), torch.randn(3).tolist()

    np.random.standard_normal()  # leaves one number of a pair behind
    state = random_state(CPU)
    expected = draw()
    draw()
    set_random_state([state], rank=0, device=CPU)
    assert draw() == expected


def test_a_process_that_was_not_there_keeps_its_random_numbers():
    state = random_state(CPU)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    set_random_state([state], rank=1, device=CPU)
    assert torch.equal(torch.rand(1), expected)


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return (print, ("code of a file was run",))


def test_code_in_a_file_is_never_run(tmp_path, capsys):
    torch.save({"format": Code()}, tmp_path / "bad.pt")
    with pytest.raises(ModelError, match="never run"):
        load(tmp_path / "bad.pt")
    assert "code" not in capsys.readouterr().out


def test_other_files_are_refused_by_what_they_are(tmp_path):
    with pytest.raises(ModelError, match="no checkpoint"):
        load(tmp_path / "absent.pt")
    path = save(checkpoint(), tmp_path, best=False)
    content = path.read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="truncated"):
        load(tmp_path / "cut.pt")
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="its format is None, expected 'earmark-training-1'"):
        load(tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ModelError, match="its format is 'list'"):
        load(tmp_path / "list.pt")
    torch.save({"format": "earmark-training-1", "step": 3}, tmp_path / "part.pt")
    with pytest.raises(ModelError, match="missing or not expected: batches, best"):
        load(tmp_path / "part.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelError):
        load(tmp_path / "pickle.pt")
