"""`earmark judge` from a folder to exported judgements, as its commands print it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from earmark.bench.judge import plan as plans


@pytest.fixture
def songs(tmp_path):
    """Ten songs of two genres, and a recording too short to judge."""
    for n in range(10):
        place = tmp_path / "songs" / ("rock" if n < 5 else "folk")
        place.mkdir(parents=True, exist_ok=True)
        noise = 0.05 * np.random.default_rng(n).standard_normal(4 * 8000).clip(-3, 3)
        soundfile.write(place / f"{n}.wav", noise, 8000)
    soundfile.write(tmp_path / "songs" / "short.wav", noise[:8000], 8000)
    return tmp_path / "songs"


def test_plan_import_and_export_say_what_they_did(songs, tmp_path, earmark):
    study = tmp_path / "study"
    code, out, _ = earmark("judge", "plan", songs, study, "--genres", "folders", "--people", 4)
    said = " ".join(out.split())
    assert code == 0
    assert "left out: short.wav: 1.00 s long, expected 3 s at least" in said
    assert "1 song is in no triplet" in said
    assert f"next: earmark judge serve {study}" in said
    plan = plans.read(study)
    rows = ["a,b,annotator,dimension,higher_value"]
    rows += [
        f"{a},{b},{plan.listeners[who]},{dimension.name},{'a' if a > b else 'b'}"
        for triplet in plan.triplets
        for a, b in triplet.pairs
        for who in triplet.listeners
        for dimension in plan.dimensions
    ]
    (tmp_path / "judged.csv").write_text("\n".join(rows) + "\n")
    code, out, _ = earmark("judge", "import", study, tmp_path / "judged.csv")
    assert (code, out.split(",")[0]) == (0, "54 of 54 judgements are new")
    code, out, _ = earmark("judge", "import", study, tmp_path / "judged.csv", "--json")
    assert json.loads(out) | {"to": ""} == {"judgements": 54, "new": 0, "to": ""}
    table = tmp_path / "out.csv"
    code, out, _ = earmark("judge", "export", study, tmp_path / "set", "--csv", table)
    assert (code, out.split(", in ")[0]) == (
        0,
        "54 judgements of 3 triplets, 9 excerpts of 9 songs",
    )
    assert len(table.read_text().splitlines()) == 55
    code, out, _ = earmark("judge", "export", study, tmp_path / "again", "--json")
    assert json.loads(out)["audio"] == 9
    code, _, err = earmark("judge", "export", study, tmp_path / "set")
    assert code == 3 and "is not empty" in err


def test_a_plan_as_json_and_one_that_cannot_be(songs, tmp_path, earmark):
    code, out, _ = earmark(
        *("judge", "plan", songs, tmp_path / "study", "--json"),
        *("--triplets", 2, "--dimensions", "preference", "--title", "Mine", "--seed", 3),
    )
    found = json.loads(out)
    assert code == 0
    assert (found["triplets"], found["listeners"], found["dimensions"]) == (2, 3, ["preference"])
    assert found["left_out"][0]["path"] == "short.wav"
    code, _, err = earmark("judge", "plan", songs, tmp_path / "study")
    assert code == 3 and "a second plan is a new folder" in err
    code, _, err = earmark("judge", "plan", songs, tmp_path / "other", "--triplets", 9)
    assert code == 3 and "9 triplets need 27 songs, there are 10" in err


def test_power_is_said_before_anybody_listens_and_writes_nothing(songs, tmp_path, earmark):
    study = tmp_path / "study"
    code, out, _ = earmark("judge", "plan", songs, study, "--power", "--json")
    found = json.loads(out)
    assert code == 0 and found and not study.exists()
    code, out, _ = earmark("judge", "plan", songs, study, "--power", "--dimensions", "arousal")
    assert code == 0 and "two models" in out and "valence" not in out
