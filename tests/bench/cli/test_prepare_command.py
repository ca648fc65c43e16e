"""``earmark prepare``: what it says, what it leaves, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from small_corpora import files_of, write_audio, write_manifest, write_table

from earmark.datasets import audio
from earmark.models.training.corpus import Corpus
from earmark.models.training.prepare import prepare


def test_a_manifest_becomes_a_corpus(earmark, tmp_path):
    manifest = write_manifest(tmp_path / "set", 5)
    code, out, _ = earmark("prepare", manifest, tmp_path / "corpus")
    assert code == 0
    assert out.startswith(f"{tmp_path / 'corpus'}: 5 clips, 5 captions, 0.00 h at 16000 Hz")
    assert "5 decoded now" in out
    assert files_of(tmp_path / "corpus") == files_of(prepare(manifest, tmp_path / "api").folder)


def test_the_second_time_nothing_is_decoded(earmark, tmp_path):
    write_audio(tmp_path / "songs", 4)
    earmark("prepare", tmp_path / "songs", tmp_path / "corpus")
    before = audio.decoded_files()
    code, out, _ = earmark("prepare", tmp_path / "songs", tmp_path / "corpus")
    assert (code, audio.decoded_files()) == (0, before)
    assert "no captions" in out
    assert "was there already" in out


def test_options_go_to_the_loader_and_the_rate_to_the_corpus(earmark, tmp_path):
    table = write_table(tmp_path / "set", 4)
    table.write_text(table.read_text().replace("path,caption", "path,text"))
    code, _, err = earmark("prepare", table, tmp_path / "corpus")
    assert code == 3
    assert "has no column caption" in err
    code, _, _ = earmark(
        "prepare",
        table,
        tmp_path / "corpus",
        "--option",
        "caption_column=text",
        "--sample-rate",
        44_100,
        "--workers",
        1,
    )
    assert code == 0
    assert Corpus.open(tmp_path / "corpus").sample_rate == 44_100


def test_refused_clips_are_named_and_counted(earmark, tmp_path):
    paths = write_audio(tmp_path / "songs", 4)
    paths[1].write_text("not audio")
    arguments = ("prepare", tmp_path / "songs", tmp_path / "corpus")
    code, out, err = earmark(*arguments)
    assert code == 3
    assert "1 of 4 clips cannot be used so far" in err
    assert "Traceback" not in err
    code, out, err = earmark(*arguments, "--max-refused", 0.25)
    assert code == 0
    assert "1 refused" in out
    assert "refused 002.wav: not audio" in err


def test_json_says_what_the_corpus_is(earmark, tmp_path):
    table = write_table(tmp_path / "set", 3, captions=2)
    code, out, _ = earmark("prepare", table, tmp_path / "corpus", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["n_clips"], found["n_captions"], found["refused"]) == (3, 6, [])
    assert found["fingerprint"] == Corpus.open(tmp_path / "corpus").fingerprint


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["none.json", "out"], (3, "none.json: no such file or folder")),
        (["only"], (64, "Missing argument")),
        (["a", "b", "--max-refused", "2"], (64, "max-refused")),
        (["a", "b", "--workers", "0"], (64, "workers")),
    ],
)
def test_mistakes_are_named_without_a_traceback(
    earmark, tmp_path, monkeypatch, arguments, expected
):
    monkeypatch.chdir(tmp_path)
    code, _, err = earmark("prepare", *arguments)
    assert (code, expected[1] in err, "Traceback" in err) == (expected[0], True, False)


def test_preparing_needs_no_torch_where_nothing_is_resampled(tmp_path):
    write_audio(tmp_path / "songs", 2)
    code = (
        "import sys\n"
        "from earmark.bench import cli\n"
        "try:\n    cli.main()\nexcept SystemExit as done:\n    assert not done.code\n"
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, "prepare", tmp_path / "songs", tmp_path / "out"]
    subprocess.run(command, check=True)
