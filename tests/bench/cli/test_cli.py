"""The command line: cheap to start, exact in its exit codes, and helpful about mistakes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer

from earmark.bench import cli
from earmark.datasets.judgements.musav import load

HEAVY = ("torch", "tensorflow", "essentia", "matplotlib", "pandas", "scipy", "sklearn", "pyarrow")


def command_names(group, *above: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command, those of groups of commands too."""
    for name, command in group.commands.items():
        if isinstance(command, cli.LazyCommand):
            command = command.load()
        yield (*above, name)
        if hasattr(command, "commands"):  # a group
            yield from command_names(command, *above, name)


APP = typer.main.get_command(cli.app)
HELP = ("--help", *(" ".join((*names, "--help")) for names in command_names(APP)))


@pytest.fixture
def data(tmp_path, write_musav):
    return write_musav(tmp_path / "musav", n_triplets=15)


@pytest.fixture
def predictions(tmp_path, data):
    rng = np.random.default_rng(0)
    path = tmp_path / "mine.jsonl"
    rows = [
        {"songid": song, "model": "mine", "arousal_mean": a, "valence_mean": v}
        for song, (a, v) in zip(
            load(data).song_ids, rng.uniform(1, 9, (len(load(data).song_ids), 2)), strict=True
        )
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


MISTAKES = (
    "run nosuch.toml",
    "run --replicates many",
    "bench nosuch.toml",
    "embed",
    "gate nosuch --baseline nosuch --policy nosuch.toml",
    "gate nosuch --baseline nosuch --policy {policy}",
    "gate {policy} --baseline",
    "compare nosuch nosuch",
    "baseline update nosuch --reason none",
    "report nosuch",
    "report nosuch --format docx",
    "musav nosuch.jsonl",
    "musav --datas",
    "train nosuch.toml",
    "export nosuch.pt out",
    "prepare nosuch out",
    "check-data musav nosuch",
    "check-data nosuch nosuch",
    "check-model nosuch",
    "etude build out --tracks 3",
    "etude nosuch",
    "fetch nosuch",
    "list nosuch",
    "nosuch",
)
ANSWERS = (
    "list models",
    "list datasets",
    "list suites",
    "run",
    "run --json",
    "fetch",
    "doctor",
    "--version",
)


def test_help_mistakes_and_lists_import_nothing_heavy(tmp_path):
    policy = tmp_path / "gate.toml"
    policy.write_text(
        Path(cli.__file__).parents[1].joinpath("baselines").joinpath("etude.toml").read_text()
    )
    asked = [line.format(policy=policy) for line in (*HELP, *MISTAKES, *ANSWERS)]
    # In one process, so that the test is quick: what is imported stays, the first is to blame.
    code = (
        "import json, sys\nfrom earmark.bench import cli\nfound = {}\n"
        "for line in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['earmark', *line.split()]\n"
        "    try:\n        cli.main()\n"
        "    except SystemExit as done:\n        code = done.code or 0\n"
        f"    heavy = {HEAVY!r} + ('numpy',) * (len(found) < {len(HELP)})\n"
        "    there = [m for m in heavy if m in sys.modules]\n"
        f"    if len(found) < {len(HELP)}:  # a help needs the command line's own modules alone\n"
        "        there += [m for m in sys.modules if m.startswith('earmark.')\n"
        "                  and m != 'earmark.bench' and not m.startswith('earmark.bench.cli')]\n"
        "    found.setdefault(line, (code, there))\n"
        "sys.stdout = sys.__stdout__\nprint('\\n' + json.dumps(found))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, json.dumps(asked)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert {line: heavy for line, (_, heavy) in found.items() if heavy} == {}
    assert {found[line][0] for line in HELP} == {0}
    wrong = [line.format(policy=policy) for line in MISTAKES]
    assert {line: found[line][0] for line in wrong if found[line][0] not in (3, 64)} == {}


def test_the_help_of_the_whole_says_what_each_command_says_of_itself():
    said = {name: one for part in cli.COMMANDS.values() for name, (_, one) in part.items()}
    own = {name: command.load().help.split("\n\n")[0] for name, command in APP.commands.items()}
    assert {name: " ".join(text.split()) for name, text in own.items()} == said


def test_scoring_predictions_imports_no_deep_learning(predictions, data):
    code = (
        "import sys; from earmark.bench import cli\n"
        "try:\n    cli.main()\nexcept SystemExit as done:\n    assert not done.code\n"
        "heavy = {'torch', 'tensorflow', 'essentia', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    arguments = ["musav", str(predictions), "--data", str(data), "--replicates", "100"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_musav_prints_every_set_of_both_dimensions(earmark, predictions, data):
    code, out, _ = earmark("musav", predictions, "--data", data, "--replicates", 100)
    assert code == 0
    for text in (
        "Arousal:",
        "Valence:",
        "gt.ct.fa",
        "ismir2022.gt",
        "mine",
        "loudness (baseline)",
        "official",
        "ties",
    ):
        assert text in out


def test_musav_as_json_is_the_whole_result(earmark, predictions, data):
    code, out, _ = earmark("musav", predictions, "--data", data, "--replicates", 100, "--json")
    result = json.loads(out)
    assert code == 0
    assert result["models"] == ["mine", "loudness (baseline)"]
    assert {score["subset"] for score in result["scores"]} >= {"gt", "ismir2022.gt.ct.fa"}


def test_several_files_are_scored_together(earmark, predictions, data, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text(predictions.read_text().replace('"mine"', '"other"'))
    code, out, _ = earmark(
        "musav", predictions, other, "--data", data, "--replicates", 100, "--json"
    )
    assert code == 0
    assert json.loads(out)["models"] == ["mine", "other", "loudness (baseline)"]


def test_one_model_name_in_two_files_is_refused(earmark, predictions, data, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text(predictions.read_text())
    code, _, err = earmark("musav", predictions, other, "--data", data)
    assert code == 3
    assert "model 'mine' is in" in err


def test_missing_songs_end_with_code_3_and_a_list(earmark, predictions, data):
    lines = predictions.read_text().splitlines(keepends=True)
    predictions.write_text("".join(lines[12:]))
    code, out, err = earmark("musav", predictions, "--data", data)
    assert (code, out) == (3, "")
    assert "12 songs missing" in err
    assert "and 2 more (12 in all)" in err
    assert "Traceback" not in err
    arguments = ("musav", predictions, "--data", data, "--allow-missing", "--replicates", 100)
    code, out, _ = earmark(*arguments)
    assert code == 0
    assert "no prediction for 12 of 45 judged songs" in " ".join(out.split())


@pytest.mark.parametrize("line", ['{"songid": "x", "arousal_mean": NaN, "valence_mean": 1}', "{"])
def test_faulty_predictions_end_with_code_3(earmark, predictions, data, line):
    predictions.write_text(predictions.read_text() + line + "\n")
    code, _, err = earmark("musav", predictions, "--data", data)
    assert code == 3
    assert "line 46" in err


def test_data_that_is_not_there_ends_with_code_3_and_the_mend(earmark, predictions, tmp_path):
    code, _, err = earmark("musav", predictions, "--data", tmp_path / "nowhere")
    assert code == 3
    assert "nowhere not found" in err
    assert "EARMARK_DATA" in err


@pytest.mark.parametrize(
    "arguments", [["musav"], ["nonsense"], ["run", "--replicates", "many"], ["musav", "--datas"]]
)
def test_usage_errors_end_with_code_64(earmark, arguments):
    assert earmark(*arguments)[0] == 64


def test_an_internal_error_ends_with_code_70_without_a_traceback(earmark, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("the cat ate it")

    monkeypatch.setattr("earmark.bench.run.suite.read_suite", broken)
    code, _, err = earmark("list", "suites")
    assert code == 70
    assert "internal error: RuntimeError: the cat ate it" in err
    assert "Traceback" not in err


def test_the_version_is_the_packages(earmark):
    from importlib.metadata import version

    code, out, _ = earmark("--version")
    assert (code, out.strip()) == (0, version("earmark"))


def test_list_names_models_datasets_and_suites(earmark):
    assert "essentia-av" in earmark("list", "models")[1]
    assert "musav" in json.loads(earmark("list", "datasets", "--json")[1])
    assert "av_real.toml" in earmark("list", "suites")[1]
    code, _, err = earmark("list", "cats")
    assert (code, "expected models, datasets, tasks or suites" in err) == (3, True)


def test_check_data_passes_good_data_and_names_a_fault_by_line(earmark, data):
    code, out, _ = earmark("check-data", "musav", data)
    assert (code, "0 problems" in out) == (0, True)
    path = data / "data" / "annotations" / "annotations.arousal.all"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(["not json\n", *lines[1:]]))
    code, out, _ = earmark("check-data", "musav", data)
    assert code == 3
    assert "annotations.arousal.all:1" in out


def test_fetch_lists_what_there_is_with_its_licence(earmark, tmp_path):
    code, out, _ = earmark("fetch", "--cache", tmp_path)
    assert code == 0
    assert "msd-musicnn-1" in out
    assert "CC BY-NC-SA 4.0" in out


def test_fetch_refuses_an_unknown_name_before_any_download(earmark, tmp_path):
    code, _, err = earmark("fetch", "msd-musicn-1", "--cache", tmp_path)
    assert code == 3
    assert "Did you mean 'msd-musicnn-1'" in err
    assert not list(tmp_path.iterdir())


def test_what_an_installed_package_holds_need_not_be_downloaded(monkeypatch, tmp_path):
    from earmark.bench.cli import catalogue

    for there in (True, False):
        monkeypatch.setattr(catalogue, "find_spec", lambda name, there=there: there or None)
        assert catalogue.is_available("minilm", cache=tmp_path) == there


def test_an_empty_folder_is_not_taken_for_a_download(monkeypatch, tmp_path):
    from earmark.bench.cli.catalogue import is_available
    from earmark.datasets.files.fetch import describe

    monkeypatch.chdir(tmp_path)
    for name in ("EARMARK_DATA", "EARMARK_SHARED_DATA", "EARMARK_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "musav").mkdir()
    assert not is_available("musav", cache=tmp_path)
    for file in describe("musav").files:
        path = tmp_path / "musav" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert is_available("musav", cache=tmp_path)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("describe musicn", ["musicnn"]),
        ("check-model conse", ["conse"]),
        ("fetch musicn", ["musicnn"]),
        ("run --avail", ["--available"]),
        ("judge exp", ["export"]),
    ],
)
def test_the_shell_completes_commands_options_and_names(words, expected, monkeypatch, earmark):
    monkeypatch.setenv("_EARMARK_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"earmark {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
    code, out, _ = earmark()
    assert (code, out.split()) == (0, expected)
