"""`earmark bench` holds what it ran against baselines that are kept, and ends with the verdict."""

import json
import re
import shutil
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest
from gated_runs import recording

from earmark.bench.cli import INVALID
from earmark.bench.cli import etude as etude_command
from earmark.bench.cli import report as report_command
from earmark.bench.cli.etude import Step
from earmark.bench.cli.gate import update_baseline
from earmark.bench.gate.policy import read_policy
from earmark.bench.run import runner
from earmark.bench.run.suite import read_suite, shipped_suites
from earmark.datasets.files.fetch import FetchError
from earmark.reports.record import files as record_io

ROOT = Path(__file__).parents[3]
SUITE = """
[suite]
name = "{name}"
title = "Invented"
[datasets.d]
loader = "rated-folder"
root = "nowhere"
[[tasks]]
task = "av_regression"
dataset = "d"
"""
POLICY = "version = 1\n[defaults]\nmargin = 0.05\n[statistics]\nreplicates = 500\n"
QUALITY = {
    "unchanged": {},
    "worse": {"weights": "second", "noise": 1.8, "seed": 1},
    "slightly": {"weights": "second", "noise": 1.05, "seed": 1},
}


@cache
def ran(how):
    """A record of the suite, as unchanged, worse, undecided or another set of clips."""
    if how == "other":
        return recording(run="other", tasks=("genres",), n_clips=100)
    return recording(run=how, tasks=("genres",), **QUALITY[how])


@pytest.fixture(scope="module")
def baselines(tmp_path_factory):
    """A folder with the baseline and the policy of the suite ``invented``."""
    folder = tmp_path_factory.mktemp("baselines")
    base = recording(run="base", tasks=("genres",)).write(tmp_path_factory.mktemp("runs"))
    update_baseline(base, reason="first", out=folder)
    (folder / "invented.toml").write_text(POLICY)
    return folder


@pytest.fixture
def bench(earmark, tmp_path, monkeypatch):
    """``bench(*arguments, invented="worse")`` runs suites of these names with these outcomes."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    made = []

    def make(folder, *, n_tracks, seconds, **_):
        made.append((n_tracks, seconds))
        return [Step("etude: corpus", True, 5.0), Step("train: tiny", False, 0.1)]

    rendered = report_command.render_reports

    def call(*arguments, render=False, **outcomes):
        def run_suite(path, *, out, **_):
            name = read_suite(path).suite.name
            if outcomes[name] is None:
                return None, []
            run = ran(outcomes[name]).copy()
            run.record["suite"]["name"] = name
            run.record["id"] = f"{name}-{outcomes[name]}"
            return run.write(out), []

        monkeypatch.setattr(etude_command, "make", make)
        monkeypatch.setattr(runner, "run_suite", run_suite)
        # Drawing takes most of the time, and most of these tests look at no picture.
        drawing = rendered if render else lambda *_, **__: []
        monkeypatch.setattr(report_command, "render_reports", drawing)
        suites = []
        for name in outcomes:
            suites.append(tmp_path / f"{name}.toml")
            suites[-1].write_text(SUITE.format(name=name))
        options = ("--out", tmp_path / "runs", "--store", tmp_path / "store")
        return earmark("bench", *suites, *options, *arguments)

    call.runs = tmp_path / "runs"
    call.made = made
    return call


@pytest.mark.parametrize(
    ("outcome", "code", "words"),
    [
        ("unchanged", 0, "Gate: pass. invented: pass"),
        ("worse", 1, "Gate: regression. invented: regression"),
        ("slightly", 2, "Gate: inconclusive. invented: inconclusive"),
        ("other", 3, "Gate: invalid. invented: invalid"),
        (None, 3, "earmark"),
    ],
)
def test_the_exit_code_is_the_verdicts(bench, baselines, outcome, code, words):
    found, printed, _ = bench("--baselines", baselines, invented=outcome)
    assert found == code
    if outcome is not None:
        assert printed.splitlines()[-1] == words
        place = bench.runs / f"invented-{outcome}"
        assert json.loads((place / "gate" / "verdict.json").read_text())["exit_code"] == code


def test_the_end_says_times_places_what_is_synthetic_and_the_verdict(bench, baselines):
    _, printed, _ = bench("--baselines", baselines, render=True, invented="worse")
    end = printed[printed.index("Gate of the suite invented") :]
    place = bench.runs / "invented-worse"
    for words in (
        "\nmade: etude: corpus 5 s\nwas there already: train: tiny\n",
        "\nmeasured and reported: invented ",
        "\nall in all: ",
        f"reports of invented: {place / 'report.html'}, report.pdf, run.json\n",
        f"verdict on invented: {place / 'gate' / 'verdict.json'}, junit.xml, summary.md, ",
        "\nsynthetic: invented. Etude, and the models trained on it, say nothing of music",
    ):
        assert words in end
    table = end[: end.index("genres / one")].splitlines()
    assert len(table) > 5 and max(map(len, table)) <= 80
    html = (place / "report.html").read_text()
    assert "Gate against the baseline" in html
    assert "Gate: regression" in html
    assert (place / "gate" / "comment.md").read_text().startswith("<!-- earmark-gate: invented")
    assert record_io.read(place).id == "invented-worse"


def test_the_worst_suite_decides_and_a_regression_weighs_more_than_a_doubt(bench, baselines):
    shutil.copytree(baselines / "invented", baselines / "twin", dirs_exist_ok=True)
    shutil.copy(baselines / "invented.toml", baselines / "twin.toml")
    both = {"invented": "worse", "twin": "slightly"}
    code, printed, _ = bench("--baselines", baselines, **both)
    last = printed.splitlines()[-1]
    assert (code, last) == (1, "Gate: regression. invented: regression; twin: inconclusive")
    assert bench("--baselines", baselines, invented="worse", twin="other")[0] == 3


def test_a_suite_with_a_baseline_that_could_not_run_is_invalid(bench, baselines):
    code, printed, _ = bench("--baselines", baselines, bare="unchanged", invented=None)
    assert code == 3
    assert "nothing of this suite could run, and it has a baseline" in printed
    last = printed.splitlines()[-1]
    assert last == "Gate: invalid. invented: invalid. Without a baseline: bare"
    assert (bench.runs / "gate" / "invented" / "junit.xml").exists()


def test_a_corpus_of_another_size_is_said_to_be_not_comparable(bench, baselines):
    code, printed, _ = bench("--tracks", 60, invented="worse")
    assert code == 0
    assert printed.splitlines()[-1].startswith("not gated: the baselines that come with Earmark")
    assert "1500 tracks of 10 s, not comparable with 60 of 10 s" in printed
    assert not (bench.runs / "invented-worse" / "gate").exists()
    shutil.rmtree(bench.runs)
    assert bench("--tracks", 60, "--baselines", baselines, invented="worse")[0] == 1
    assert bench.made == [(60, 10.0), (60, 10.0)]


def test_no_gate_is_made_where_none_is_wanted_or_kept(bench, baselines):
    code, printed, _ = bench("--no-gate", "--baselines", baselines, invented="worse")
    assert (code, printed.splitlines()[-1]) == (0, "not gated: as asked (--no-gate)")
    shutil.rmtree(bench.runs)
    code, printed, _ = bench(bare="unchanged")
    assert code == 0
    assert printed.splitlines()[-1].startswith("not gated: no baseline of bare in ")
    shutil.rmtree(bench.runs)
    code, printed, _ = bench("--baselines", baselines, bare="unchanged")
    assert code == INVALID, "who names baselines wants something to be gated"
    assert printed.splitlines()[-1].startswith("Gate: invalid. no baseline of bare in ")


def test_a_fault_in_the_policy_is_told_before_anything_is_made(bench, baselines, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(baselines, own)
    (own / "invented.toml").write_text(POLICY.replace("margin", "margn"))
    code, _, error = bench("--baselines", own, invented="unchanged")
    assert code == INVALID
    assert "Did you mean 'margin'?" in error
    (own / "invented.toml").unlink()
    code, _, error = bench("--baselines", own, invented="unchanged")
    assert code == INVALID
    assert "has no policy: write " in error
    code, _, error = bench("--baselines", tmp_path / "nowhere", invented="unchanged")
    assert code == INVALID
    assert "no folder of baselines" in error
    assert bench.made == []


def test_what_needs_no_training_is_fetched_and_measured_before_anything_is_trained(
    earmark, tmp_path, monkeypatch
):
    events = []

    def make(folder, *, n_tracks, seconds, configs=None, **_):
        events.append("corpus" if configs == {} else "training")
        steps = [Step("etude: corpus", configs == {}, 5.0)]
        return steps if configs == {} else [*steps, Step("train: tiny", True, 9.0)]

    def run_suite(path, *, out, scored, **_):
        name = read_suite(path).suite.name
        events.append(name)
        run = ran("unchanged").copy()
        run.record["suite"]["name"] = name
        run.record["id"] = name
        folder = run.write(out)
        for task in record_io.read(folder).tasks:
            scored(task)
        return folder, []

    monkeypatch.setattr(etude_command, "make", make)
    monkeypatch.setattr(runner, "run_suite", run_suite)
    monkeypatch.setattr(report_command, "render_reports", lambda *_, **__: [])
    monkeypatch.setattr("earmark.bench.cli.catalogue.is_available", lambda name: False)

    def fetch(name, **_):
        events.append(f"fetch {name}")
        raise FetchError(f"{name}: no index here")

    monkeypatch.setattr("earmark.datasets.files.fetch.fetch", fetch)
    trained = SUITE.format(name="a-trained")
    real = SUITE.format(name="real").replace('"nowhere"', '"{data}/etude/emomusic"')
    real = real.replace('title = "Invented"', 'title = "Invented"\nfetch = ["musicnn"]')
    places = [tmp_path / "a.toml", tmp_path / "b.toml"]
    for place, text in zip(places, (trained, real), strict=True):
        place.write_text(text)
    options = ("--out", tmp_path / "runs", "--store", tmp_path / "store", "--no-gate", "--fetch")
    code, printed, _ = earmark("bench", *places, *options)
    assert code == 0
    assert events == ["fetch musicnn", "corpus", "real", "training", "a-trained"]
    assert "could not fetch musicnn: musicnn: no index here" in printed
    assert re.search(r"one .*\(\d+ s after the start\)", printed)
    assert "made: etude: corpus 5 s, train: tiny 9 s" in printed
    # Alone it trains nothing.
    events.clear()
    earmark("bench", places[1], *options[:-1])
    assert events == ["corpus", "real"]


def shipped():
    folder = Path(str(files("earmark.bench.baselines")))
    return sorted(path for path in folder.glob("*.toml"))


@pytest.mark.parametrize("policy", shipped(), ids=lambda path: path.stem)
def test_a_policy_that_comes_with_earmark_is_one_of_a_suite_that_does(policy):
    suites = {read_suite(path).suite.name: read_suite(path) for path in shipped_suites()}
    suite = suites[policy.stem]
    tasks = {suite.id_of(task) for task in suite.tasks}
    rules = read_policy(policy)
    named = {rule.task for rule in rules.metrics} | set(rules.ignore)
    # A task on several sets has a result for each, called after both.
    assert all(any(name.startswith(task) for task in tasks) for name in named)
    assert {rule.model for rule in rules.metrics} - {None} <= set(suite.models)


def test_the_wheel_holds_every_file_of_a_baseline():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "earmark.bench.baselines" in setuptools["packages"]
    data = setuptools["package-data"]
    patterns = [
        re.escape(glob).replace(r"\*", "[^/]*")
        for glob in (*data["*"], *data["earmark.bench.baselines"])
    ]
    folder = ROOT / "bench" / "baselines"
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            name = path.relative_to(folder).as_posix()
            assert any(re.fullmatch(pattern, name) for pattern in patterns), name
    example = ["etude/run.json", "etude/baseline.json", "etude/items/a.parquet", "etude.toml"]
    for name in (*example, "etude/arrays/a.npz"):
        assert any(re.fullmatch(pattern, name) for pattern in patterns), name
