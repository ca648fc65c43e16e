"""Pages of the site that the program writes: commands, and every registered name."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from earmark.bench import cli
from earmark.bench.cli.catalogue import policy_page
from earmark.bench.run.manual import REGISTRIES, Page, describe

KINDS = {"model": "Models", "dataset": "Datasets", "task": "Tasks"}


def write(folder: Path) -> None:
    """Write all pages into a folder of their own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "commands.md").write_text("\n".join(_commands()))
    for kind, registry in REGISTRIES.items():
        own = folder / f"{kind}s"
        own.mkdir()
        names = [name for name, at in registry.targets().items() if at.startswith("earmark.")]
        rows = []
        for name in names:
            page = next(one for one in describe(name) if one.kind == kind)
            (own / f"{name}.md").write_text("\n".join(_page(page)))
            rows.append(f"| [`{name}`]({kind}s/{name}.md) | {_first_sentence(page.text)} |")
        index = [f"# {KINDS[kind]}", "", "| name | what it is |", "|---|---|", *rows, ""]
        index += ["```{toctree}", ":hidden:", "", *(f"{kind}s/{name}" for name in names), "```", ""]
        (folder / f"{kind}s.md").write_text("\n".join(index))
    made = folder.parent / "_gallery" / "gallery.md"
    nothing = "None was made in this build.\n"
    (folder / "gallery.md").write_text(made.read_text() if made.is_file() else nothing)
    files = [*describe("suite"), policy_page(), *describe("variables")]
    for page in files:
        (folder / f"{page.name}.md").write_text("\n".join(_page(page)))


def _page(page: Page) -> Iterator[str]:
    yield f"# {page.name}"
    yield ""
    yield f"*{page.kind}*, `{page.target}`"
    for part in re.split(r"\n\n+", page.text):
        yield ""
        yield _paragraph(part)
    for title, options in page.sections.items():
        if not options:
            continue
        yield f"\n## {title[0].upper()}{title[1:]}\n"
        yield "| name | type | default | |"
        yield "|---|---|---|---|"
        for one in options:
            default = "required" if one.default is None else f"`{one.default}`" * bool(one.default)
            kind = f"`{one.type}`" if one.type else ""
            yield f"| `{one.name}` | {_cell(kind)} | {_cell(default)} | {_cell(one.text)} |"
    yield ""


def _paragraph(text: str) -> str:
    """Return a paragraph of a docstring as Markdown: headings, code and lists as they were."""
    lines = text.split("\n")
    if len(lines) > 1 and set(lines[1]) == {"-"}:
        rest = "\n".join(lines[2:])
        return f"## {lines[0]}\n\n{_paragraph(rest) if rest else ''}"
    if lines[0].startswith("    "):
        return f"```text\n{text}\n```"
    if lines[0].startswith(".. ["):
        joined = " ".join(line.strip() for line in lines)
        return re.sub(r"\s*\.\. \[(\d+)\]", r"\n- [\1]", joined).strip()
    return _escaped(text.replace("::", ":"))


def _escaped(text: str) -> str:
    return re.sub(r"(?<!`)<([^>`]*)>(?!`)", r"&lt;\1&gt;", text).replace("]_", "]")


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|").replace("\n", " ")


def _first_sentence(text: str) -> str:
    return _cell(text.split("\n\n")[0].split(". ")[0].rstrip("."))


def _commands() -> Iterator[str]:
    """Yield a section for each command, as the command line itself has it."""
    yield "# Commands\n"
    yield "`earmark COMMAND --help` says the same in a terminal.\n"
    root = typer.main.get_command(cli.app)
    for heading, commands in cli.COMMANDS.items():
        yield f"## {heading}\n"
        for name in commands:
            yield from _command(f"earmark {name}", root.commands[name].load())


def _command(name: str, command: Any) -> Iterator[str]:
    inside = getattr(command, "commands", {})
    if not inside:
        yield f"### `{name}`\n"
        yield _escaped("\n\n".join(" ".join(p.split()) for p in (command.help or "").split("\n\n")))
        yield ""
        yield "| | | |"
        yield "|---|---|---|"
        for one in command.params:
            if "--help" in one.opts:
                continue
            words = ", ".join([*one.opts, *one.secondary_opts])
            if one.param_type_name == "argument":
                words = str(one.metavar or one.name).upper()
            default = "" if one.default in (None, (), False) else f"default `{one.default}`"
            said = "required" if one.required else default
            yield f"| `{words}` | {_cell(one.help or '')} | {_cell(said)} |"
        yield ""
    for own, each in inside.items():
        yield from _command(f"{name} {own}", each)
