"""What adapters share: inputs refused by name, unit norm, devices, files of texts."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from earmark.datasets.audio import Waveform
from earmark.models.base import ModelError
from earmark.models.support.adapter import (
    TruncationWarning,
    check_clips,
    check_texts,
    inference,
    install_command,
    pick_device,
    read_texts,
    require,
    unit_vectors,
    warn_truncated,
)

GOOD = Waveform(np.ones(4, np.float32), 16_000)


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.ones(0), 16_000, r"clip 1 has shape \(0,\), expected mono"),
        (np.ones((2, 4)), 16_000, r"clip 1 has shape \(2, 4\), expected mono"),
        (np.ones(4), 44_100, "clip 1 is at 44100 Hz, this model hears 16000 Hz"),
        (np.array([0, np.nan]), 16_000, "clip 1 has samples that are not finite"),
        (np.array([0, np.inf]), 16_000, "clip 1 has samples that are not finite"),
    ],
)
def test_names_the_clip_that_cannot_be_heard(samples, rate, message):
    with pytest.raises(ModelError, match=message):
        check_clips([GOOD, Waveform(samples.astype(np.float32), rate)], 16_000)


def test_hears_any_rate_where_none_is_declared():
    check_clips([GOOD, Waveform(np.ones(4, np.float32), 44_100)], None)


@pytest.mark.parametrize(
    ("texts", "message"),
    [("slow", "a list of texts, got the one text 'slow'"), (["a", 1], "text 1 is 1, expected a")],
)
def test_names_what_is_no_list_of_texts(texts, message):
    with pytest.raises(ModelError, match=message):
        check_texts(texts)


def test_reads_a_lone_surrogate_as_the_replacement_character():
    assert check_texts(["a\ud800b", "🎸"]) == ["a\ufffdb", "🎸"]


@given(arrays(np.float64, (3, 4), elements=st.floats(-1e6, 1e6)))
def test_rows_have_unit_norm_and_their_own_direction(rows):
    if (np.linalg.norm(rows, axis=1) <= 1e-6).any():
        with pytest.raises(ModelError, match="no direction"):
            unit_vectors(rows, dimension=4, of="clip")
        return
    unit = unit_vectors(rows, dimension=4, of="clip")
    assert unit.dtype == np.float32
    assert np.linalg.norm(unit, axis=1) == pytest.approx(1, abs=1e-6)
    assert unit * np.linalg.norm(rows, axis=1, keepdims=True) == pytest.approx(
        rows, rel=1e-5, abs=1e-6 * np.abs(rows).max()
    )


def test_names_the_row_without_a_direction():
    with pytest.raises(ModelError, match="text 1 has a vector of norm 0"):
        unit_vectors([[1, 0], [0, 0]], dimension=2, of="text")
    with pytest.raises(ModelError, match="clip 0 has a vector of norm nan"):
        unit_vectors([[np.nan, 0]], dimension=2, of="clip")


def test_auto_is_a_device_that_is_there():
    assert pick_device("cpu") == torch.device("cpu")
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert pick_device("auto").type == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "device 'gpu': expected 'cpu', 'cuda', 'cuda:1', 'mps' or 'auto'"),
        ("cuda:99", "device 'cuda:99': PyTorch finds [0-9]+ CUDA devices"),
        ("meta", "device 'meta'"),
    ],
)
def test_names_a_device_that_is_not_there(name, message):
    with pytest.raises(ModelError, match=message):
        pick_device(name)


@pytest.mark.parametrize(
    ("environment", "seen", "name", "expected"),
    [
        ({}, 4, "auto", "cuda:0"),
        ({}, 4, "cuda", "cuda"),
        ({"LOCAL_RANK": "3"}, 4, "auto", "cuda:3"),
        ({"SLURM_LOCALID": "1"}, 4, "auto", "cuda:1"),
        ({"SLURM_LOCALID": "1"}, 4, "cuda", "cuda:1"),
        ({"SLURM_LOCALID": "1"}, 4, "cuda:0", "cuda:0"),
        # torchrun within an allocation: its own processes are meant.
        ({"LOCAL_RANK": "2", "SLURM_LOCALID": "0"}, 4, "auto", "cuda:2"),
        # `srun --gpus-per-task=1`: CUDA_VISIBLE_DEVICES shows each process its own alone.
        ({"SLURM_LOCALID": "3"}, 1, "auto", "cuda:0"),
        ({"SLURM_LOCALID": "5"}, 4, "auto", "cuda:1"),
    ],
)
def test_each_process_of_a_machine_has_its_own_device(
    monkeypatch, environment, seen, name, expected
):
    for variable in ("LOCAL_RANK", "SLURM_LOCALID"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
    assert pick_device(name) == torch.device(expected)


@pytest.mark.parametrize(
    ("built", "available", "name", "said"),
    [
        (True, True, "mps", None),
        (True, True, "mps:1", "there is one MPS device"),
        (True, False, "mps", "finds no MPS here; it needs macOS 12.3 or newer"),
        (False, False, "mps", "was built without MPS"),
    ],
)
def test_mps_is_a_device_where_pytorch_has_it(monkeypatch, built, available, name, said):
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: built)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: available)
    if said is None:
        assert pick_device(name) == torch.device("mps")
        return
    with pytest.raises(ModelError, match=said):
        pick_device(name)


def test_inference_leaves_the_settings_as_they_were():
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    with pytest.raises(KeyError), inference():
        assert torch.is_inference_mode_enabled()
        assert not torch.backends.cudnn.allow_tf32
        raise KeyError
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before


def test_extras_are_installed_by_their_own_requirements(monkeypatch):
    file = Path(__file__).parents[3] / "pyproject.toml"
    project = tomllib.loads(file.read_text())["project"]
    for extra, requirements in project["optional-dependencies"].items():
        wanted = " ".join(f"'{one}'" for one in requirements)
        assert install_command(extra) == f"pip install {wanted}"

    def unknown(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.requires", unknown)
    assert install_command("text") == "pip install '.[text]'"


def test_a_missing_package_is_named_with_how_to_install_it():
    with pytest.raises(ModelError, match=r"clap needs.*pip install 'transformers>="):
        require("no_such_package_of_earmark", extra="clap", of="clap")


def test_warns_of_the_text_that_lost_most():
    with pytest.warns(TruncationWarning, match=r"2 of 3 texts truncated to 77.*text 2 'c' loses 9"):
        warn_truncated(["a", "b", "c"], [0, 1, 9], kept=77)


def test_reads_captions_and_lines(tmp_path):
    table, lines = tmp_path / "captions.csv", tmp_path / "texts.txt"
    table.write_text('\ufeffid,caption\n1,"slow, sad"\n2,fast\n3,\n', encoding="utf-8")
    lines.write_text("slow, sad\n\n fast \n", encoding="utf-8")
    assert read_texts(table) == read_texts(lines) == ["slow, sad", "fast"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"id,text\n1,slow\n", "its columns are id, text, expected one named 'caption'"),
        ("a.csv", b"", "expected one named 'caption'"),
        ("a.txt", b"\n \n", "holds no text"),
        ("a.txt", b"\xff\xfe\x00", "cannot be read"),
        ("absent.txt", None, "cannot be read"),
    ],
)
def test_names_a_file_that_holds_no_texts(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_texts(tmp_path / name)
