"""``earmark check-data`` looks at tables, folders and audio, and takes the options of a loader."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

RATE = 8000


def noise(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, RATE // 10)
    soundfile.write(path, samples, RATE)


@pytest.fixture
def songs(tmp_path):
    """A folder of four good rated clips, and a function that adds one that is not."""
    root = tmp_path / "songs"
    rows = [f"t{i},{2 + i},{8 - i}" for i in range(4)]
    for i in range(4):
        noise(root / "audio" / f"t{i}.wav", i)
    (root / "dataset.toml").write_text("scale = [1, 9]\n")
    table = root / "ratings.csv"

    def add(name, content):
        rows.append(f"{name.rpartition('.')[0]},5,5")
        (root / "audio" / name).write_bytes(content)
        table.write_text("\n".join(["track_id,arousal,valence", *rows, ""]))

    table.write_text("\n".join(["track_id,arousal,valence", *rows, ""]))
    return root, add


def test_good_audio_passes_whether_its_header_is_read_or_all_is_decoded(earmark, songs):
    root, _ = songs
    code, out, _ = earmark("check-data", "rated-folder", root)
    assert (code, out.splitlines()[-1]) == (
        0,
        f"rated-folder at {root}: 0 problems, 4 audio files looked at",
    )
    code, out, _ = earmark("check-data", "rated-folder", root, "--deep")
    assert code == 0 and out.endswith("4 audio files decoded\n")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.mp3", b"", "the file is empty (0 bytes)"),
        ("empty.wav", b"", "the file is empty (0 bytes)"),
        ("page.flac", b"<!doctype html><html>404</html>" * 20, "not audio that can be decoded"),
        ("page.wav", b"<html>404</html>" * 20, "not audio that can be decoded"),
        ("bytes.au", bytes(range(256)) * 4, "not audio that can be decoded"),
    ],
)
def test_a_file_that_holds_no_audio_is_named_without_decoding(earmark, songs, name, content, said):
    root, add = songs
    add(name, content)
    code, out, _ = earmark("check-data", "rated-folder", root)
    assert code == 3
    assert f"{root / 'audio' / name}: {said}" in out
    assert out.splitlines()[-1].endswith(": 1 problems, 5 audio files looked at")


def test_deep_finds_what_a_header_does_not_say(earmark, songs):
    root, add = songs
    add("odd.wav", b"")
    samples = np.full(RATE, 0.1)
    samples[100] = np.nan
    soundfile.write(root / "audio" / "odd.wav", samples, RATE, subtype="FLOAT")
    assert earmark("check-data", "rated-folder", root)[0] == 0
    code, out, _ = earmark("check-data", "rated-folder", root, "--deep", "--json")
    (problem,) = json.loads(out)
    assert code == 3
    assert problem["path"].endswith("odd.wav") and "sample 100 is nan" in problem["message"]


def test_audio_is_looked_at_where_the_table_is_broken_too(earmark, songs):
    root, add = songs
    add("empty.wav", b"")
    (root / "ratings.csv").write_text("track_id,arousal,valence\nt0,high,5\n")
    code, out, _ = earmark("check-data", "rated-folder", root)
    assert code == 3
    assert "arousal of t0 is 'high'" in out and "the file is empty" in out


def test_options_are_those_of_the_loader(earmark, songs):
    root, _ = songs
    (root / "audio").rename(root / "wav")
    assert earmark("check-data", "rated-folder", root)[0] == 3
    assert earmark("check-data", "rated-folder", root, "--option", "audio=wav")[0] == 0
    code, _, err = earmark("check-data", "rated-folder", root, "--option", "audo=wav")
    assert code == 3 and "has no option 'audo'. Did you mean 'audio'?" in err
    # A needed option of the loader is not needed to check, and one of it alone is taken.
    code, out, err = earmark("check-data", "song-describer", root)
    assert code == 3 and "song_describer.csv: no such file" in out


def test_ratings_that_are_all_the_same_are_mentioned(earmark, songs):
    root, _ = songs
    (root / "ratings.csv").write_text(
        "track_id,arousal,valence\n" + "".join(f"t{i},5,{i + 1}\n" for i in range(4))
    )
    code, out, _ = earmark("check-data", "rated-folder", root)
    assert code == 3
    assert out.count("all 4 ratings of arousal are 5: agreement with them is undefined") == 1
    assert out.splitlines()[-1].endswith(": 1 problems, 4 audio files looked at")


@pytest.mark.parametrize("name", ["Audio", "wav"])
def test_a_folder_of_audio_of_another_name_is_named(earmark, songs, name):
    root, _ = songs
    (root / "audio").rename(root / name)
    code, out, _ = earmark("check-data", "rated-folder", root)
    assert code == 3
    assert f"{name}/t0.wav is there, in a folder that is not looked at: name the folder with" in out


@pytest.mark.parametrize("name", ["HipHop", "hip-hop", "Hiphop"])
def test_a_folder_that_gtzan_does_not_know_is_named_with_the_genre(earmark, tmp_path, name):
    genres = ["blues", "classical", "country", "disco", "jazz", "metal", "pop", "reggae", "rock"]
    for genre in genres:
        noise(tmp_path / "genres" / genre / f"{genre}.00001.wav")
    noise(tmp_path / "genres" / name / "hiphop.00001.wav")
    (tmp_path / "genres" / "notes").mkdir()
    (tmp_path / "genres" / ".DS_Store").write_bytes(b"\0")
    code, out, _ = earmark("check-data", "gtzan", tmp_path)
    assert code == 3
    assert f"holds 1 audio files, and {name} is none of the ten genres. Did you mean hiphop?" in out
    assert "no audio of the genres hiphop" in out
    assert "notes" not in out


@pytest.mark.parametrize("byte", [b"\xe9", b"\xff", b"\x80"])
def test_a_name_that_is_not_utf_8_is_a_remark_that_can_be_printed(earmark, songs, byte):
    root, _ = songs
    shutil.copy(root / "audio/t0.wav", root / "audio" / os.fsdecode(b"caf" + byte + b".wav"))
    code, out, _ = earmark("check-data", "rated-folder", root)
    escaped = rf"'caf\x{byte.hex()}.wav'"
    assert code == 3
    assert f"holds 1 audio files without a rating: {escaped}" in out
    assert out.encode()


def test_a_folder_whose_name_is_not_utf_8_is_checked_and_printed(songs):
    root, _ = songs
    odd = root.rename(root.with_name(os.fsdecode(b"caf\xe9")))
    code = "from earmark.bench import cli; cli.main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "check-data", "rated-folder", os.fsencode(odd)],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"caf\udce9: 0 problems, 4 audio files looked at" in done.stdout


def test_audio_that_a_fixed_layout_does_not_read_is_named(earmark, tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/static_annotations.csv").write_text(
        "song_id,mean_arousal,std_arousal,mean_valence,std_valence\n2,3,1,4,1\n3,5,1,6,1\n"
    )
    (tmp_path / "annotations/songs_info.csv").write_text(
        "song_id,Artist,Genre,Mediaeval 2013 set\n2,A,Rock,development\n3,B,Pop,evaluation\n"
    )
    assert earmark("check-data", "emomusic", tmp_path)[0] == 0  # ratings alone
    noise(tmp_path / "clips_45seconds/2.wav")
    (tmp_path / "clips_45seconds/3.m4a").write_bytes(b"\0")
    code, out, _ = earmark("check-data", "emomusic", tmp_path)
    assert code == 3
    assert (
        "no audio of 1 of 2 clips: 3; clips_45seconds/3.m4a is there, but .m4a is not read" in out
    )


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "MPEG-4|MP4|M4A"),
        (b"\x1aE\xdf\xa3" + bytes(40), "Matroska|WebM"),
        (b"RIFF\0\0\1\0AVI LIST", "AVI video"),
    ],
)
def test_a_container_under_the_name_of_another_is_named_by_its_header(earmark, songs, head, said):
    root, add = songs
    add("song.mp3", head + bytes(4000))
    code, out, _ = earmark("check-data", "rated-folder", root)
    assert code == 3
    assert re.search(said, out), out
    assert out.splitlines()[-1].endswith(": 1 problems, 5 audio files looked at")
