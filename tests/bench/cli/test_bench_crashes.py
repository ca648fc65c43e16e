"""The main job killed at any point, run twice at once, and on full disks: nothing is lost.

All runs are at the smallest scale, in forks of one process (`tests/support/crashing_bench.py`). A
larger sweep of moments is asked for by `EARMARK_CRASH_MOMENTS=50`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "support" / "crashing_bench.py"
N_TRACKS, N_CLIPS, N_EPOCHS = 60, 50, 2

STEPS = [
    ["step", "a track", 17],
    ["step", "a layout"],
    ["step", "the corpus"],
    ["step", "a shard"],
    ["step", "the index", 2],
    ["step", "an epoch"],
    ["step", "an epoch's parent"],
    ["step", "a training"],
    ["step", "an export"],
    ["step", "listening"],
    ["step", "scoring"],
    ["step", "the record"],
]
LATE_STEPS = [["step", "the gate"], ["step", "the page"], ["step", "the PDF"]]

# With the codec of MP3s, links and PyTorch's threads, what a fork may do is known of Linux alone.
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's prctl")


def moments() -> list[list[object]]:
    """Return seeded moments at which the job is killed, and one at which its training is."""
    n_moments = int(os.environ.get("EARMARK_CRASH_MOMENTS", "4"))
    rng = random.Random(20_260_504)
    deaths: list[list[object]] = [["ops", rng.randint(1, 60)] for _ in range(n_moments)]
    return [*deaths, ["training ops", 4], ["ops", 2]]


@pytest.fixture(scope="module")
def crashed(tmp_path_factory):
    """What came of every plan, by its name."""
    root = tmp_path_factory.mktemp("crashes")
    plans = [
        {"name": "whole", "deaths": [], "reports": True, "keep_baseline": True},
        {"name": "steps", "deaths": STEPS},
        {
            "name": "late steps",
            "deaths": LATE_STEPS,
            "from": "whole",
            "without": ["runs"],
            "reports": True,
        },
        {"name": "moments", "deaths": moments()},
        {"name": "two", "two": True, "deaths": []},
    ]
    if can_mount(root):
        again = {"deaths": [], "from": "whole"}
        plans += [
            {
                "name": "full cache",
                "deaths": [],
                "disks": {"cache": 1500},
                "then": {"cache": 11000},
            },
            {"name": "full store", **again, "without": ["store"], "disks": {"store": 8}},
            {
                "name": "full runs",
                **again,
                "disks": {"runs": 30},
                "then": {"runs": 200},
                "reports": True,
            },
        ]
    (root / "plans.json").write_text(json.dumps(plans))
    ran = subprocess.run(
        [sys.executable, "-P", str(PROGRAM), str(root), str(root / "plans.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    return {"root": root, "mounted": can_mount(root)} | {one["name"]: one for one in found}


def can_mount(folder):
    disk = folder / "tried"
    disk.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return False
    except OSError:
        return False
    subprocess.run(["umount", str(disk)], check=True)
    return True


@pytest.fixture(scope="module")
def undisturbed(crashed):
    """The run that nothing happened to."""
    whole = crashed["whole"]
    assert whole["codes"] == [0], whole["log"]
    assert whole["done"] == {
        "tracks": N_TRACKS,
        "clips": N_CLIPS,
        "epochs": N_EPOCHS,
        "exports": 1,
    }
    (scores,) = whole["scores"]
    assert {task["id"] for task in scores["tasks"]} == {
        "retrieval-captions",
        "zero_shot_classification-genres",
    }
    assert whole["reports"] == [["report.html", "report.pdf"]]
    return scores


def assert_sound(found, undisturbed):
    """Every record that is there equals the undisturbed one, and no row of the store is damaged."""
    assert found["scores"]
    assert all(scores == undisturbed for scores in found["scores"])
    assert found["damage"] == []


# Killed


def test_killed_at_each_step_it_goes_on_where_it_stopped(crashed, undisturbed):
    steps = crashed["steps"]
    # A training that dies alone ends the command with a word of it; all others die on the spot.
    assert steps["codes"] == [-9] * 5 + [3] + [-9] * 6 + [0], steps["log"]
    assert_sound(steps, undisturbed)
    assert len(steps["scores"]) == 1
    done = steps["done"]
    assert done["tracks"] == N_TRACKS + 1  # the one that was being written
    assert N_CLIPS <= done["clips"] <= 2 * N_CLIPS  # a shard that was not yet in the books
    assert done["epochs"] == N_EPOCHS
    assert done["exports"] == 2  # killed after it, before the weights had their name


def test_what_a_killed_run_leaves_is_a_hidden_folder_and_no_record(crashed):
    leftovers = crashed["steps"]["hidden"]
    assert all(name.startswith("runs/.") and ".partial" in name for name in leftovers)
    assert len(leftovers) == 1


def test_killed_while_it_gates_and_reports_it_leaves_a_whole_record_each_time(crashed, undisturbed):
    late = crashed["late steps"]
    assert late["codes"] == [-9, -9, -9, 0], late["log"]
    assert_sound(late, undisturbed)
    assert len(late["scores"]) == 4
    assert late["done"] == {"tracks": 0, "clips": 0, "epochs": 0, "exports": 0}
    assert late["reports"] == [[], [], ["report.html"], ["report.html", "report.pdf"]]
    assert late["verdicts"] == ["pass"] * 3  # the first was killed before it was written


def test_killed_at_seeded_moments_again_and_again_it_still_gets_there(crashed, undisturbed):
    found, n_kills = crashed["moments"], len(moments())
    codes = found["codes"]
    assert len(codes) == n_kills + 1
    assert codes[-1] == 0, found["log"]
    assert codes.count(-9) >= 3
    assert set(codes) <= {-9, 0, 3}
    assert_sound(found, undisturbed)
    assert found["done"]["tracks"] <= N_TRACKS + n_kills  # one a kill, at the most
    assert found["done"]["epochs"] <= N_EPOCHS + n_kills


# Two at once


def test_two_at_once_end_with_the_scores_of_one(crashed, undisturbed):
    two = crashed["two"]
    assert two["pair"] == [0, 0], two["log"]
    assert_sound(two, undisturbed)
    assert len(two["scores"]) == 2
    assert two["done"] == {
        "tracks": N_TRACKS,
        "clips": N_CLIPS,
        "epochs": N_EPOCHS,
        "exports": 1,
    }
    assert "another process is making" in two["log"]


# Full disks


@pytest.fixture
def full(crashed):
    """What came of a plan whose disks were full."""

    def get(name):
        if not crashed["mounted"]:
            pytest.skip("no small disk can be mounted here")
        return crashed[name], crashed["root"] / name.replace(" ", "-")

    return get


def last_line(found):
    return found["log"].strip().splitlines()[-1]


def test_a_full_cache_is_named_and_the_job_goes_on_when_there_is_room(full, undisturbed):
    found, folder = full("full cache")
    early, late = found["full"]
    assert (early["code"], late["code"]) == (3, 3)
    assert f"cannot be written to {folder}/cache/etude" in last_line(early)
    assert "0.0 of 1 MiB free" in last_line(early)
    assert f"cannot be written to {folder}/cache/work/trained/one" in last_line(late)
    assert "MiB free at" in last_line(late)
    for one in (early, late):
        assert one["scores"] == []
        assert "internal error" not in one["log"]
        assert "Traceback" not in one["log"]
    assert found["codes"] == [0], found["log"]
    assert_sound(found, undisturbed)
    assert found["done"]["tracks"] <= N_TRACKS + 2


def assert_said(one, said):
    assert one["code"] == 3, one["log"]
    assert said in last_line(one)
    assert "MiB free at" in last_line(one)
    assert "Traceback" not in one["log"]


def test_a_full_store_is_named_and_earlier_runs_stay(full, undisturbed):
    found, _ = full("full store")
    (only,) = found["full"]
    # Each task says so, the gate has nothing to judge, and its verdict is the last line.
    assert only["code"] == 3, only["log"]
    (said,) = [line for line in only["log"].splitlines() if line.startswith("not run: ")]
    assert "cannot write store/" in said and "MiB free at" in said
    assert "Traceback" not in only["log"]
    assert_sound(only, undisturbed)  # the earlier record
    assert only["reports"] == [["report.html", "report.pdf"]]
    assert found["codes"] == [0], found["log"]
    assert_sound(found, undisturbed)
    assert len(found["scores"]) == 2


def test_a_full_runs_folder_is_named_and_earlier_runs_stay(full, undisturbed):
    found, _ = full("full runs")
    for_record, for_reports = found["full"]
    assert_said(for_record, "could not be written: No space left on device")
    (said,) = [line for line in for_reports["log"].splitlines() if line.startswith("no report of")]
    assert for_reports["code"] == 3 and "MiB free at" in said
    assert "mini: the reports could not be written to runs/" in said
    assert "Traceback" not in for_reports["log"]
    for one, n_records in ((for_record, 1), (for_reports, 2)):
        assert_sound(one, undisturbed)
        assert len(one["scores"]) == n_records
        assert one["reports"][0] == ["report.html", "report.pdf"]
        assert one["hidden"] == []
    assert found["codes"] == [0], found["log"]
    assert_sound(found, undisturbed)
    assert len(found["scores"]) == 3
