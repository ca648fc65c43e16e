"""The documents' examples: commands parse, suites and configs are read, code runs as it stands."""

import ast
import importlib.util
import inspect
import re
import shlex
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer

from earmark import datasets
from earmark.bench import cli
from earmark.bench.gate.policy import read_policy
from earmark.bench.judge.plan import dimensions_of
from earmark.bench.run.suite import parse_suite
from earmark.bench.tasks.registry import TASKS, load_task
from earmark.datasets.judgements.judged import read_about
from earmark.datasets.registry import DATASETS, check_options
from earmark.models.conformance import check
from earmark.models.registry import MODELS
from earmark.models.training.config import parse_config

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
APP = typer.main.get_command(cli.app)
USAGE_ERROR = typer.BadParameter.__mro__[1]  # of the click that typer brings
README_PYTHON = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M)
PACKAGES = [ROOT / name for name in ("bench", "datasets", "models", "reports")]


def blocks(language):
    """Return each fenced block of a language, with the document that it stands in."""
    return [
        pytest.param(text, id=f"{path.name}-{number}")
        for path in DOCUMENTS
        for number, text in enumerate(
            re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.S | re.M)
        )
    ]


def shell_lines():
    """Return the command lines of indented blocks, joined where they go on, without comments."""
    for path in DOCUMENTS:
        prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.S | re.M)
        lines = re.findall(r"^    (\S.*(?:\\\n.*)*)", prose, re.M)
        yield from ((path.name, line.replace("\\\n", " ")) for line in lines)


def commands():
    return [
        pytest.param(shlex.split(line, comments=True)[1:], id=f"{name}-{number}")
        for number, (name, line) in enumerate(shell_lines())
        if line.startswith("earmark ")
    ]


def parse(words):
    """Parse a command line as the program does, without running it."""
    command, path, words = APP, [], list(words)
    while hasattr(command, "commands"):
        name = words.pop(0)
        assert name in command.commands, f"earmark {' '.join([*path, name])} is no command"
        command, path = command.commands[name], [*path, name]
        command = command.load() if isinstance(command, cli.LazyCommand) else command
    with command.make_context(" ".join(path), words, resilient_parsing=False):
        pass


@pytest.mark.parametrize("words", commands())
def test_commands_are_parsed_by_the_real_command_line(words):
    parse(words)


def test_a_wrong_command_or_option_would_be_found():
    for words in (["rum", "suite.toml"], ["run", "suite.toml", "--availible"], ["report"]):
        with pytest.raises((AssertionError, USAGE_ERROR)):
            parse(words)
    assert len(commands()) > 20


NAMED = r"(?:`|: |see |run |^    )earmark ([a-z-][^`\n;:,()|#]*)"


def unknown(words):
    """Return what of ``earmark <words>`` does not exist: a command, or an option of it."""
    command = APP
    while hasattr(command, "commands") and words and re.fullmatch(r"[a-z-]+", words[0]):
        if words[0] not in command.commands:
            return f"command {words[0]}" if command is APP else None
        command, words = command.commands[words[0]], words[1:]
        command = command.load() if isinstance(command, cli.LazyCommand) else command
    options = {name for one in (command, APP) for option in one.params for name in option.opts}
    options |= {name for option in command.params for name in option.secondary_opts}
    wrong = [word for word in words if word.startswith("--") and word not in options]
    return wrong[0] if wrong and wrong[0] != "--help" else None


def said_in_code():
    """Yield the strings of the packages, parts that vary left out."""
    for path in (path for package in PACKAGES for path in package.rglob("*.py")):
        tree = ast.parse(path.read_text())
        inside = {
            id(part)
            for one in ast.walk(tree)
            if isinstance(one, ast.JoinedStr)
            for part in one.values
        }
        for one in ast.walk(tree):
            if isinstance(one, ast.JoinedStr):
                words = (getattr(part, "value", None) for part in one.values)
                yield path, "".join(part if isinstance(part, str) else "X" for part in words)
            elif id(one) not in inside and isinstance(getattr(one, "value", None), str):
                yield path, one.value


def test_messages_and_documents_name_commands_and_options_that_exist():
    texts = [*said_in_code(), *((path, path.read_text()) for path in DOCUMENTS)]
    named = [
        (path.name, match[1].split())
        for path, text in texts
        for match in re.finditer(NAMED, text, re.M)
    ]
    assert [(name, words) for name, words in named if unknown(words)] == []
    assert len(named) > 60
    assert [path for path, text in texts if re.search(r"install.{0,12}earmark\[", text)] == []


@pytest.mark.parametrize("text", blocks("toml"))
def test_toml_is_read_as_what_it_is(text, tmp_path):
    content = tomllib.loads(text)
    if "suite" in content:
        suite = parse_suite(text.encode(), of="example")
        assert {task.task for task in suite.tasks} <= set(TASKS.targets())
        for kind, sources in ((DATASETS, suite.datasets), (MODELS, suite.models)):
            named = {one.loader for one in sources.values() if ":" not in one.loader}
            assert named <= set(kind.targets())
    elif "project" in content:
        (group,) = content["project"]["entry-points"]
        assert group in (MODELS.group, DATASETS.group, TASKS.group)
    elif "tasks" in content:
        (task,) = content["tasks"]
        load_task(task["task"].replace("path/to", str(ROOT / "docs")))
    elif "models" in content:
        for source in content["models"].values():
            loader = source.pop("loader")
            check_options(MODELS.factory(loader), source, of=loader)
    elif "preset" in content:
        parse_config(content)
    elif "defaults" in content:
        (tmp_path / "gate.toml").write_text(text)
        assert read_policy(tmp_path / "gate.toml").defaults.margin
    elif content.keys() == {"dimensions"}:
        (tmp_path / "mine.toml").write_text(text)
        assert dimensions_of(str(tmp_path / "mine.toml"))
    elif "dimensions" in content:
        (tmp_path / "judged.toml").write_text(text)
        about = read_about(tmp_path)
        assert about.faults == [] and about.card["licence"] and about.asked
    else:
        pytest.fail(f"a kind of TOML that no test reads: {text}")


def test_the_policy_of_the_documents_is_read():
    assert read_policy(ROOT / "docs" / "gate.toml")


def test_the_model_of_contributing_passes_every_check(tmp_path, monkeypatch, capsys):
    (example,) = (block.values[0] for block in blocks("python") if "MyModel" in block.values[0])
    file = tmp_path / "path" / "to" / "file.py"
    file.parent.mkdir(parents=True)
    file.write_text(example)
    np.save(tmp_path / "my.npy", np.array([[9.0, -2.0], [1.0, 4.0]]))
    (command,) = (one.values[0] for one in commands() if "path/to/file.py:MyModel" in one.values[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["earmark", *command])
    with pytest.raises(SystemExit) as done:
        cli.main()
    assert not done.value.code, capsys.readouterr().out


def test_the_benchmark_of_the_speed_document_is_called_as_it_is_defined(monkeypatch):
    (example,) = (block.values[0] for block in blocks("python") if "ratio(" in block.values[0])
    place = ROOT / "bench" / "speed" / "conftest.py"
    spec = importlib.util.spec_from_file_location("speed_conftest_of_docs", place)
    measuring = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, measuring)
    spec.loader.exec_module(measuring)
    measured = []

    def ratio(name, **options):
        inspect.signature(measuring.measure).bind(
            None, name, reference="plain", target=1.0, **options
        )
        options["same"](options["ours"](), options["plain"]())
        measured.append(name)

    names = {"np": np, "data": [3, 1, 2], "fast": np.sort, "reference": sorted}
    exec(compile(example, "docs/speed.md", "exec"), names)
    names["test_my_way"](ratio)
    assert measured == ["my way"]


def test_python_of_the_readme(tmp_path, monkeypatch, write_musav):
    first, second = README_PYTHON
    write_musav(tmp_path / "musav-dataset", n_triplets=10)
    musav = datasets.open("musav", root=tmp_path / "musav-dataset")
    (tmp_path / "musav-audio").mkdir()
    rng = np.random.default_rng(0)
    for song in musav.song_ids:
        sound = 0.1 * rng.random() * rng.normal(size=800)
        soundfile.write(tmp_path / "musav-audio" / f"{song}.wav", sound, 8000)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(first, "README.md", "exec"), names)
    assert "my_model" in names["run"].scores()["model"].tolist()

    vectors = rng.normal(size=(20, 4))
    names |= {"text_vectors": vectors, "audio_vectors": vectors}
    names["ranked_ids"] = np.argsort(-vectors @ vectors.T)[:, :10].tolist()
    names["right_ids"] = list(range(20))
    exec(compile(second, "README.md", "exec"), names)
    assert names["estimates"]["recall_at_10"].value > 0.5


@pytest.mark.parametrize(
    "notebook", sorted((ROOT / "docs").glob("notebook_*.md")), ids=lambda path: path.stem
)
def test_notebooks_run_from_first_cell_to_last(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cells = re.findall(r"^```{code-cell}\n(.*?)^```", notebook.read_text(), re.S | re.M)
    names = {"__name__": "a notebook"}
    last = None
    for cell in cells:
        *before, final = ast.parse(cell).body
        if not isinstance(final, ast.Expr):
            before, final = [*before, final], None
        exec(compile(ast.Module(before, []), notebook.name, "exec"), names)
        if final is not None:  # what a notebook shows
            last = eval(compile(ast.Expression(final.value), notebook.name, "eval"), names)
            assert repr(last)
    assert len(cells) > 2 and last is not None


def test_the_function_of_the_encoders_is_a_model(tmp_path):
    (example,) = (block.values[0] for block in blocks("python") if "def embed(" in block.values[0])
    (tmp_path / "embed.py").write_text(example)
    (source,) = (
        tomllib.loads(block.values[0])["models"]["mine"]
        for block in blocks("toml")
        if "embed.py:embed" in block.values[0]
    )
    source["function"] = source["function"].replace("path/to", str(tmp_path))
    model = MODELS.create(source.pop("loader"), source)
    failed = [one for one in check(model) if one.status == "fail"]
    assert failed == [] and model.dimension == 9


def test_every_python_block_is_run_by_a_test_above():
    assert len(blocks("python")) == 3 + len(README_PYTHON)
