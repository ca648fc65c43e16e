"""Names with what cannot be seen, and why a file is not found under its name."""

import os

import pytest

from earmark.datasets.base import Problem, fingerprint, first_ten
from earmark.datasets.files.names import did_you_mean, escaped, look_alikes, shown, why_absent

NFC, NFD = "Bj\u00f6rk-\u00e9", "Bjo\u0308rk-e\u0301"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("t00", "t00"),
        ("two words", "two words"),
        (NFC, NFC),
        ("हिन्दी", "हिन्दी"),  # its marks are no accents that could be composed
        (NFD, r"'Bjo\u0308rk-e\u0301'"),
        ("t00 ", "'t00 '"),
        ("\ta", r"'\ta'"),
        ("", "''"),
        ("a\0b", r"'a\x00b'"),
        ("a\u200bb", r"'a\u200bb'"),
        ("\ufeffid", r"'\ufeffid'"),
        ("a\xa0b", r"'a\xa0b'"),
        ("caf\udce9", r"'caf\xe9'"),
    ],
)
def test_what_cannot_be_seen_is_shown(text, seen):
    assert shown(text) == first_ten([text]) == seen


def test_bytes_of_a_file_name_can_be_told_from_the_escaped_text_again():
    names = ["caf\udce9", "caf\udce9\\xe9", "caf\\xe9\udce9", "\udc80", "\udcff"]
    assert [escaped(name) for name in names] == [
        r"caf\xe9",
        r"caf\xe9\\xe9",
        r"caf\\xe9\xe9",
        r"\x80",
        r"\xff",
    ]
    assert all(escaped(name) == name for name in ("t00", NFC, NFD, "a\\b", "a\0b"))


def test_a_name_that_is_not_utf_8_has_a_fingerprint_and_can_be_printed(tmp_path):
    import hashlib

    assert fingerprint(["caf\udce9"]) == hashlib.sha256(b"caf\xe9\n").hexdigest()
    assert fingerprint([NFC]) == hashlib.sha256(f"{NFC}\n".encode()).hexdigest()
    assert (
        str(Problem(tmp_path / "caf\udce9.wav", "is odd"))
        .encode()
        .endswith(rb"caf\xe9.wav': is odd")
    )


def test_names_that_only_look_the_same_are_found():
    assert look_alikes(["test", "train", "test"]) == []
    assert look_alikes(["test", "Test", "train"]) == [
        "Test and test differ in case or in what cannot be seen"
    ]
    assert look_alikes(["test", "te\u200bst"])[0].startswith(r"test and 'te\u200bst' differ")
    assert look_alikes([NFC, NFD])[0].startswith(rf"'Bjo\u0308rk-e\u0301' and {NFC}")


def test_the_nearest_name_is_suggested_and_none_where_none_is_near():
    assert did_you_mean("AROUSAL", ["arousal", "valence"]) == " Did you mean arousal?"
    assert did_you_mean("loudness", ["arousal", "valence"]) == ""


@pytest.mark.parametrize(
    ("there", "name", "said"),
    [
        ("t00.m4a", "t00", ".m4a is not read: convert it, e.g. ffmpeg -i t00.m4a t00.flac"),
        ("sub/t00.WMA", "sub/t00", ".wma is not read: convert it"),
        ("t00.aac", "t00.wav", "t00.aac is there, but .aac is not read"),
        (f"{NFD}.wav", NFC, "rename it to NFC"),
        (f"{NFC}.wav", NFD, "write the name in NFC in the table"),
        ("t00.wav", "T00", "t00.wav is there: T00 differs in upper and lower case"),
        ("Sub/T00.WAV", "sub/t00.wav", "sub/t00.wav differs in upper and lower case"),
        ("sub/a.wav", "sub\\a", "sub\\a is a path of Windows: write it as sub/a, below the folder"),
        ("b.wav", "C:\\data\\b.wav", "write it as b, below the folder"),
        ("Clips/2.mp3", "2", "Clips/2.mp3 is there, in a folder that is not looked at"),
        ("a.wav", "sub/a", "a.wav is there in place of sub/a"),
        (" a.wav", "a", "the spaces around a differ"),
        ("a .wav", "a", "the spaces around a differ"),
        (os.fsdecode(b"caf\xe9.wav"), "café", r"'caf\xe9.wav' is there, and its name is not UTF-8"),
        (os.fsdecode(b"caf\x82.wav"), "café", "rename it, e.g. convmv -f latin1 -t utf8"),
        (os.fsdecode(b"sub/\xfcb.wav"), "sub/üb.wav", r"'sub/\xfcb.wav' is there, and its name"),
        ("t00.flac", "t00.wav", "t00.flac is there in place of t00.wav"),
        ("track-0001.wav", "track_0001", "nearest to track_0001 is track-0001.wav"),
    ],
)
def test_a_file_that_is_nearly_there_is_named_with_the_fix(tmp_path, there, name, said):
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_bytes(b"\0")
    assert said in why_absent([name], tmp_path)


def test_files_of_other_names_are_not_suggested_and_alike_causes_are_counted(tmp_path):
    for name in ("t00.m4a", "t01.m4a", "t02.m4a", "t03.wav", "t04.json", "._t05.wav"):
        (tmp_path / name).write_bytes(b"\0")
    found = [tmp_path / "t03.wav"]
    said = why_absent(["t00", "t01", "t02", "t04", "t05"], tmp_path, found=found)
    assert said.count("is there") == 1
    assert said.startswith("; t00.m4a is there") and said.endswith("(as 2 more)")
    many = [f"{i:04}" for i in range(2000)]  # held against the files one by one, not all by all
    assert why_absent(many, tmp_path, found=found) == ""
    assert why_absent(["zzz"], tmp_path / "nowhere") == ""
