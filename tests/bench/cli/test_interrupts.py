"""Ctrl-C: the command ends with 130, says what is kept, and leaves nothing half."""

from __future__ import annotations

import ctypes
import io
import shlex
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from earmark.bench import cli
from earmark.bench.cli import INTERRUPTED
from earmark.bench.run import suite
from earmark.datasets.audio import load
from earmark.datasets.containers import SpanFile
from earmark.datasets.etude import build as building
from earmark.datasets.files.atomic_files import folder_whole, interrupts_wait


@pytest.fixture(autouse=True)
def interrupts_are_heard():
    """A shell starts what it runs in the background with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt(*_arguments: object, **_options: object) -> None:
    signal.raise_signal(signal.SIGINT)


def twice(*_arguments: object, **_options: object) -> None:
    """Ctrl-C reaches a process for itself and as one of its group."""
    try:
        interrupt()
    finally:
        interrupt()


class InterruptedWrites(io.BytesIO):
    """Ctrl-C comes while the library writes into it, as it does while an MP3 is encoded."""

    def write(self, data: bytes) -> int:
        interrupt()
        return super().write(data)


@pytest.fixture
def earmark(monkeypatch, capsys):
    """``earmark(command line)`` runs it and returns its exit code and what it says on stderr."""

    def run(line: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["earmark", *shlex.split(line)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().err.strip()

    before = signal.getsignal(signal.SIGINT)
    yield run
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("kind", ["MP3", "WAV"])
def test_an_interrupt_while_a_track_is_encoded_ends_the_build(tmp_path, monkeypatch, earmark, kind):
    """It came in the library's callback, whose exceptions are dropped: exit 0, and a wrong MP3."""
    encode = building._encode

    def encoded(samples, rate, **options):
        if options["format"] == kind:
            monkeypatch.setattr(building, "io", SimpleNamespace(BytesIO=InterruptedWrites))
        return encode(samples, rate, **options)

    monkeypatch.setattr(building, "_encode", encoded)
    out = tmp_path / "etude"
    line = f"etude build {out} --tracks 30 --seconds 2 --seed 7 --workers 1"
    code, said = earmark(line)
    assert code == INTERRUPTED
    assert said.splitlines()[-1] == (
        f"earmark: interrupted: finished tracks are kept in {out}; `earmark {line}` goes on"
    )
    assert [path.suffix for path in (out / "tracks").iterdir()] == (
        [] if kind == "WAV" else [".wav"]
    )
    # What goes on from there is what was never interrupted.
    monkeypatch.undo()
    asked = {"seed": 7, "seconds": 2, "mp3": True}
    (tmp_path / "whole").mkdir()
    went_on = building.make_track(0, out / "tracks", **asked)
    assert went_on == building.make_track(0, tmp_path / "whole", **asked)
    assert len(went_on.files) == 2


def test_an_interrupt_while_a_file_is_decoded_is_no_fault_of_the_file(tmp_path, monkeypatch):
    """It came in the library's callback: the file was called damaged, and the run went on."""
    path = tmp_path / "noise.mp3"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)
    soundfile.write(path, noise, 16_000, format="MP3", subtype="MPEG_LAYER_III")
    path.write_bytes(path.read_bytes() * 2)  # joined: each part is read through Python
    heard = load(path).samples
    readinto = SpanFile.readinto

    def interrupted(file, buffer):
        interrupt()
        return readinto(file, buffer)

    monkeypatch.setattr(SpanFile, "readinto", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(path)
    monkeypatch.undo()
    np.testing.assert_array_equal(load(path).samples, heard)


def test_interrupts_wait_for_a_callback_and_come_after_it():
    callback = ctypes.CFUNCTYPE(None)(interrupt)
    seen = []
    with pytest.raises(KeyboardInterrupt), interrupts_wait():
        callback()
        seen.append("the library went on")
    assert seen == ["the library went on"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_that_a_library_drops_still_ends_the_command_with_130(monkeypatch, earmark):
    dropped = ctypes.CFUNCTYPE(None)(interrupt)
    monkeypatch.setattr(suite, "shipped_suites", lambda: dropped() or [])
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: None)
    code, said = earmark("list suites")
    assert code == INTERRUPTED
    assert "nothing was written; `earmark list suites` starts again" in said


@pytest.mark.parametrize(
    ("line", "works", "said"),
    [
        (
            "run musav_baselines --store st",
            "bench.cli.run.evaluate",
            "finished embeddings are kept in st, records",
        ),
        (
            "embed musav_baselines --store st",
            "bench.run.runner.read_checked",
            "finished embeddings are kept in st;",
        ),
        ("bench", "bench.cli.etude.make", "what was built and trained is kept in the cache"),
        (
            "prepare m.csv out",
            "models.training.prepare.open_source",
            "finished shards are kept in out",
        ),
        ("fetch musav", "datasets.files.fetch.fetch", "what arrived is kept in the cache"),
        ("report r", "reports.record.files.load", "`earmark report r` renders them again"),
        (
            "train c.toml",
            "models.training.config.load_config",
            "no checkpoint had been written; `earmark",
        ),
        (
            "check-model x",
            "bench.cli.check.parse_options",
            "nothing was written; `earmark check-model",
        ),
    ],
)
def test_what_is_kept_is_said_in_one_sentence(monkeypatch, tmp_path, earmark, line, works, said):
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text("")
    monkeypatch.setattr(f"earmark.{works}", twice)
    code, message = earmark(line)
    assert code == INTERRUPTED
    assert message.startswith("earmark: interrupted: ")
    assert said in message
    assert f"`earmark {line}" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("given", ["", " --resume"])
def test_a_training_names_its_last_checkpoint_and_how_to_go_on(
    monkeypatch, tmp_path, earmark, given
):
    monkeypatch.chdir(tmp_path)
    kept = Path("trained/c/checkpoints")
    kept.mkdir(parents=True)
    for step in (20, 100):
        (kept / f"step-{step:08d}.pt").touch()
    monkeypatch.setattr("earmark.models.training.config.load_config", interrupt)
    Path("c.toml").write_text("")
    code, message = earmark(f"train c.toml{given}")
    assert code == INTERRUPTED
    assert message == (
        f"earmark: interrupted: {kept}/step-00000100.pt is kept; `earmark train c.toml --resume` "
        f"goes on from it"
    )


def test_a_folder_in_the_making_is_not_left_half(tmp_path):
    place = tmp_path / "weights"
    with pytest.raises(KeyboardInterrupt), folder_whole(place) as made:
        (made / "model.safetensors").write_bytes(b"half")
        interrupt()
    assert not list(tmp_path.iterdir())
    with folder_whole(place) as made:
        (made / "model.safetensors").write_bytes(b"whole")
    assert [path.read_bytes() for path in place.iterdir()] == [b"whole"]
