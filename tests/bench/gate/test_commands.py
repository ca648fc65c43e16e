"""The commands gate, compare and baseline update: on files, with their exit codes."""

import json
import subprocess
from xml.etree import ElementTree

import pytest
from gated_runs import recording
from junit_schemas import assert_valid_everywhere

from earmark.bench.cli import INVALID, USAGE
from earmark.bench.gate.baseline import write_baseline
from earmark.bench.gate.evidence import truth_of
from earmark.reports.record import files as record_io

TASKS = ("captions", "genres", "tags", "ratings")
POLICY = "version = 1\n[defaults]\nmargin = 0.05\n[statistics]\nreplicates = 500\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs on disk, and a policy."""
    folder = tmp_path_factory.mktemp("runs")
    base = recording(run="base", tasks=TASKS)
    again = base.copy()
    again.record["id"] = "again"
    for name in ("one", "two"):
        again.model(name)["weights_digest"] = "second"
    dirty = base.copy()
    dirty.record["id"] = "dirty"
    dirty.record["environment"]["git_dirty"] = True
    empty = base.copy()
    empty.record |= {"id": "empty", "tasks": []}
    empty.items, empty.arrays = {}, {}
    worse = recording(run="worse", weights="second", noise=1.8, seed=1, tasks=TASKS)
    slightly = recording(run="slightly", weights="second", noise=1.05, seed=1, tasks=TASKS)
    small = [
        recording(run="small", tasks=("genres",)),
        recording(run="small-worse", weights="second", noise=1.8, seed=1, tasks=("genres",)),
    ]
    for run in (base, again, worse, slightly, dirty, empty, *small):
        run.write(folder)
    (folder / "gate.toml").write_text(POLICY)
    return folder


@pytest.fixture(autouse=True)
def without_github(monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def gate(earmark, folder, run, *options, baseline="base"):
    return earmark(
        "gate",
        folder / run,
        "--baseline",
        folder / baseline,
        "--policy",
        folder / "gate.toml",
        *options,
    )


@pytest.mark.parametrize(
    ("run", "code", "words"),
    [
        ("base", 0, "Gate: pass"),
        ("again", 0, "Gate: pass"),
        ("worse", 1, "Gate: regression"),
        ("slightly", 2, "Gate: inconclusive"),
        ("empty", 3, "no task"),
        ("absent", 3, "no run record"),
    ],
)
def test_each_outcome_has_its_exit_code(earmark, folder, run, code, words):
    found, printed, _ = gate(earmark, folder, run)
    assert found == code
    assert words in printed


def test_a_wrong_command_line_is_no_outcome_of_the_gate(earmark, folder):
    assert earmark("gate", folder / "base")[0] == USAGE
    assert gate(earmark, folder, "base", "--alpha", "0.1")[0] == USAGE


def test_a_policy_that_cannot_be_followed_is_invalid_and_named(earmark, folder, tmp_path):
    (tmp_path / "typo.toml").write_text("version = 1\n[defaults]\nmargn = 0.1\n")
    policy = ("--policy", tmp_path / "typo.toml")
    code, _, error = earmark("gate", folder / "base", "--baseline", folder / "base", *policy)
    assert code == INVALID
    assert "Did you mean 'margin'?" in error


def test_failing_scores_stand_first_and_json_is_all_there_is(earmark, folder):
    code, printed, _ = gate(earmark, folder, "worse", "--json")
    verdict = json.loads(printed)
    assert code == verdict["exit_code"] == 1
    states = [row["status"] for row in verdict["metrics"]]
    assert states == sorted(states, key=["invalid", "fail", "inconclusive", "pass"].index)
    assert states[0] == "fail"


def test_every_output_says_the_same(earmark, folder, tmp_path, monkeypatch):
    step = tmp_path / "step.md"
    step.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    out = tmp_path / "out"
    code, printed, _ = gate(
        earmark, folder, "small-worse", "--out", out, "--report", baseline="small"
    )
    assert code == 1
    verdict = json.loads((out / "verdict.json").read_text())
    failed = sum(row["status"] == "fail" for row in verdict["metrics"])
    junit = ElementTree.parse(out / "junit.xml").getroot()
    assert_valid_everywhere(junit)
    assert int(junit.get("failures")) == failed > 0
    summary = (out / "summary.md").read_text()
    assert f"{failed} failed" in summary
    assert step.read_text() == "before\n" + summary
    assert (out / "comment.md").read_text().startswith("<!-- earmark-gate: invented -->\n")
    html = (out / "report.html").read_text()
    assert "Gate against the baseline" in html and f"{failed} failed" in html
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF")
    assert str(out / "report.pdf") in printed


def test_a_damaged_or_unknown_record_is_invalid_and_leaves_a_verdict(earmark, folder, tmp_path):
    run = tmp_path / "newer"
    run.mkdir()
    content = json.loads((folder / "base" / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(content | {"schema_version": 99}))
    code, printed, _ = gate(earmark, folder, run, "--out", tmp_path / "out")
    assert code == 3
    assert "schema version 99" in printed
    junit = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    assert int(junit.get("errors")) == 1
    (run / "run.json").write_text("{")
    assert gate(earmark, folder, run)[0] == 3
    code, printed, _ = gate(earmark, folder, "base", baseline=run)
    assert code == 3
    assert "baseline: " in printed


def test_a_verdict_that_cannot_be_written_is_an_error(earmark, folder, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, error = gate(earmark, folder, "base", "--out", tmp_path / "file" / "out")
    assert code == INVALID
    assert "the verdict (pass) could not be written" in error
    assert gate(earmark, folder, "base", "--report")[0] == INVALID


@pytest.fixture(scope="module")
def kept(folder, tmp_path_factory):
    """A baseline as it stands in a repository."""
    from earmark.bench.cli.gate import update_baseline

    return update_baseline(
        folder / "base", reason="first", out=tmp_path_factory.mktemp("baselines")
    )


def test_a_kept_baseline_names_no_folder_of_whoever_made_it(tmp_path):
    base = recording(run="base", tasks=("genres",))
    paths = ["--store", "/home/somebody/store", "--out=/home/somebody/runs", "suites/own.toml"]
    base.record["command"] = ["earmark", "bench", *paths]
    place = write_baseline(base.evidence(), tmp_path / "kept", reason="first")
    command = record_io.read(place).command
    assert command == ["earmark", "bench", "--store", "store", "--out=runs", "suites/own.toml"]
    assert "somebody" not in (place / "run.json").read_text()


def test_a_kept_baseline_holds_outcomes_and_nothing_of_third_parties(folder, kept):
    record = record_io.read(kept)
    full = record_io.read(folder / "base")
    assert kept.name == full.suite.name
    for task in record.tasks:
        columns = record_io.read_items(kept, task.id).columns
        assert not set(columns) & truth_of(task.kind)
        assert not {"query", "label", "rated", "truth", "unit"} & set(columns)
        assert not task.tables and not task.problems
        assert not {"labels", "tags", "classes"} & set(task.arrays)
        assert task.scores == next(one for one in full.tasks if one.id == task.id).scores
    note = json.loads((kept / "baseline.json").read_text())
    assert (note["reason"], note["run"]) == ("first", "base")


@pytest.mark.parametrize(("run", "code"), [("base", 0), ("again", 0), ("worse", 1)])
def test_the_gate_decides_the_same_on_a_kept_baseline(earmark, folder, kept, run, code):
    found, printed, _ = gate(earmark, folder, run, "--json", baseline=kept)
    assert found == code
    whole = json.loads(gate(earmark, folder, run, "--json")[1])
    assert json.loads(printed)["metrics"] == whole["metrics"]


def test_a_kept_baseline_still_notices_a_changed_truth(earmark, folder, kept, tmp_path):
    changed = recording(run="changed", weights="second", tasks=TASKS)
    changed.items["ratings"]["rated"] += 0.5
    changed.items["genres"].loc[0, "label"] = "pop"
    run = changed.write(tmp_path)
    code, printed, _ = gate(earmark, folder, run, "--json", baseline=kept)
    assert code == 3
    causes = [hole["cause"] for hole in json.loads(printed)["holes"]]
    assert any("differs in rated" in cause for cause in causes)
    assert any("differs in label" in cause for cause in causes)


def test_a_kept_baseline_that_was_touched_is_refused(earmark, folder, kept, tmp_path):
    import shutil

    copy = shutil.copytree(kept, tmp_path / "copy")
    text = (copy / "run.json").read_text()
    (copy / "run.json").write_text(text.replace('"value": 0.', '"value": 0.0'))
    code, printed, _ = gate(earmark, folder, "base", baseline=copy)
    assert code == 3
    assert "is not the file that" in printed
    (copy / "run.json").write_text(text)
    note = json.loads((copy / "baseline.json").read_text())
    (copy / "baseline.json").write_text(json.dumps(note | {"baseline_version": 2}))
    code, printed, _ = gate(earmark, folder, "base", baseline=copy)
    assert code == 3
    assert "baseline version 2" in printed


def test_a_baseline_is_replaced_as_a_whole(earmark, folder, tmp_path):
    for run in ("base", "again"):
        code, printed, error = earmark(
            "baseline", "update", folder / run, "--reason", f"because of {run}", "--out", tmp_path
        )
        assert code == 0, error
        assert str(tmp_path / "invented") in printed
        note = json.loads((tmp_path / "invented" / "baseline.json").read_text())
        assert note["reason"] == f"because of {run}"
    assert [path.name for path in tmp_path.iterdir()] == ["invented"]


@pytest.mark.parametrize(
    ("run", "reason", "words"),
    [
        ("dirty", "why", "dirty tree"),
        ("base", "  ", "needs a reason"),
        ("empty", "why", "has no task"),
        ("absent", "why", "no run record"),
    ],
)
def test_a_run_that_can_be_no_baseline_leaves_the_earlier_one(
    earmark, folder, tmp_path, run, reason, words
):
    update = ("baseline", "update")
    earmark(*update, folder / "base", "--reason", "first", "--out", tmp_path)
    before = (tmp_path / "invented" / "baseline.json").read_bytes()
    code, _, error = earmark(*update, folder / run, "--reason", reason, "--out", tmp_path)
    assert code == INVALID
    assert words in error
    assert (tmp_path / "invented" / "baseline.json").read_bytes() == before


def test_a_dirty_tree_around_the_baselines_is_refused_but_for_themselves(earmark, folder, tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True
        )

    git("init")
    (tmp_path / "code.py").write_text("x = 1\n")
    git("add", "code.py")
    git("commit", "-m", "first")
    out = tmp_path / "bench" / "baselines"
    update = ("baseline", "update", folder / "base", "--reason", "why", "--out", out)
    assert earmark(*update)[0] == 0
    assert earmark(*update)[0] == 0
    (tmp_path / "code.py").write_text("x = 2\n")
    code, _, error = earmark(*update)
    assert code == INVALID
    assert "is dirty" in error


def test_a_baseline_is_made_of_a_run_and_not_of_a_baseline(earmark, kept, tmp_path):
    code, _, error = earmark("baseline", "update", kept, "--reason", "why", "--out", tmp_path)
    assert code == INVALID
    assert "is a baseline already" in error


def test_compare_names_what_flipped(earmark, folder):
    code, printed, _ = earmark("compare", folder / "base", folder / "worse", "--json")
    assert code == 0
    found = {
        (one["task"], one["model"], one["dimension"]): one
        for one in json.loads(printed)["differences"]
    }
    one = found["genres", "one", None]
    old = record_io.read_items(folder / "base", "genres")
    new = record_io.read_items(folder / "worse", "genres")
    both = [
        table[(table["model"] == "one") & (table["subset"] == "ensemble")].set_index("item")
        for table in (old, new)
    ]
    change = both[1]["accuracy"] - both[0]["accuracy"]
    assert {flip["item"] for flip in one["lost"]} == set(change.index[change < 0])
    assert {flip["item"] for flip in one["gained"]} == set(change.index[change > 0])
    assert one["difference"] == pytest.approx(change.mean(), abs=1e-12)
    assert one["effects"]["d_z"] == pytest.approx(change.mean() / change.std(), abs=1e-12)
    assert one["effects"]["odds"] == pytest.approx((change > 0).sum() / (change < 0).sum())
    assert one["p_value"] <= one["p_holm"] < 0.05
    assert found["ratings", "one", "valence"]["effects"]["cohen_q"] < 0
    code, printed, _ = earmark("compare", folder / "base", folder / "worse")
    assert code == 0
    assert f"{len(one['gained'])} better, {len(one['lost'])} worse, of 120" in printed


def test_two_equal_runs_have_no_flips(earmark, folder, kept):
    code, printed, _ = earmark("compare", kept, folder / "again", "--json")
    assert code == 0
    for one in json.loads(printed)["differences"]:
        assert one["difference"] == 0
        assert one["p_value"] == 1
        assert not one["gained"] and not one["lost"]


def test_compare_says_what_it_cannot(earmark, folder):
    code, printed, _ = earmark("compare", folder / "base", folder / "worse", "--metric", "mapp")
    assert code == INVALID
    assert "it has no metric 'mapp'" in printed
    code, printed, _ = earmark("compare", folder / "base", folder / "empty")
    assert code == INVALID
    assert "no task in common" in printed
    median = ("--task", "captions", "--metric", "median_rank")
    code, printed, _ = earmark("compare", folder / "base", folder / "worse", *median)
    assert code == INVALID
    assert "compare the mean rank" in printed
