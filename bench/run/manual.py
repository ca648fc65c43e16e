"""What can be said of a name: options with types and defaults, from signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from docstring_parser import DocstringStyle, parse, parse_from_object
from pydantic import BaseModel

from earmark.bench.run.suite import Head, Source, TaskEntry, read_suite, shipped_suites
from earmark.bench.tasks.registry import TASKS
from earmark.datasets.base import DataError
from earmark.datasets.files.names import suggest
from earmark.datasets.registry import DATASETS, Registry, options_of
from earmark.models.registry import MODELS

REGISTRIES: Mapping[str, Registry] = {"model": MODELS, "dataset": DATASETS, "task": TASKS}
VARIABLES: Mapping[str, str] = {
    "EARMARK_DATA": "The folder of datasets: the first place that {data} stands for.",
    "EARMARK_SHARED_DATA": "A second folder of datasets, for data that several users share.",
    "EARMARK_CACHE": "Where `earmark fetch` keeps what it downloads and `earmark bench` what it "
    "makes; default: ~/.cache/earmark, or the same below XDG_CACHE_HOME.",
    "EARMARK_WEIGHTS": "Folders of weights, separated as PATH is, in which a name such as "
    "msd-musicnn-1 is looked for.",
    "EARMARK_STORE": "The folder of kept embeddings; default: store.",
    "EARMARK_DEBUG": "Set: an error shows its traceback (as --debug does).",
}
PLACEHOLDERS: Mapping[str, str] = {
    "{data}": "In a suite's option: the first of EARMARK_DATA, EARMARK_SHARED_DATA, "
    "../shared/data and the cache that holds the rest of the path.",
    "{models}": "The same for the folder models beside each of these.",
}
_COMMON: Mapping[str, str] = {
    "root": "The folder of the files, which are laid out as the text above says.",
    "path": "The table, a CSV file.",
    "split": "Which clips are taken; the text above says what each split is.",
    "audio": "The folder of the clips, if it is not where the layout has it.",
    "table": "The name of the table below the root.",
    "missing": "What to do about clips without a file: an error, or leave them out (drop).",
    "id": "What records call the set; default: the name of the folder or file.",
    "title": "What reports call the set; default: its id.",
    "version": "Of the set, for its card.",
    "licence": "Of the set, for its card.",
    "citation": "BibTeX, for the set's card.",
    "source": "Where the set is from, for its card.",
    "synthetic": "Whether a program made the music, for the set's card.",
}
"""Of options that many datasets have, and that no docstring repeats."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option, or key."""

    name: str
    type: str
    default: str | None
    """As Python or TOML writes it; None: it must be given."""
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """What there is to say of a name."""

    name: str
    kind: str
    """``model``, ``dataset``, ``task``, ``suite``, or what else."""
    target: str
    """Where it is from."""
    text: str
    sections: Mapping[str, list[Option]] = field(default_factory=dict)


def describe(name: str, *, files: Mapping[str, Page] | None = None) -> list[Page]:
    """Return the pages of a name: one for each registry that knows it.

    ``files`` are pages of further kinds of files, by name.

    Raises
    ------
    DataError
        If nothing is called so; the message has the nearest names.
    """
    own = {page.name: page for page in (_suite_file(), _variables())} | dict(files or {})
    pages = [*_pages(name), *([own[name]] if name in own else [])]
    if not pages:
        raise DataError(
            f"nothing is called {name!r}. {suggest(name, [*names(), *own], most=3)} "
            f"`earmark list models`, datasets, tasks or suites lists names"
        )
    return pages


def names() -> list[str]:
    """Return every registered name and shipped suite, each once."""
    found = [name for registry in REGISTRIES.values() for name in registry.targets()]
    return list(dict.fromkeys([*found, *(path.stem for path in shipped_suites())]))


def _pages(name: str) -> Iterator[Page]:
    for kind, registry in REGISTRIES.items():
        if name in registry.targets() or (":" in name and kind == "model"):
            yield _registered(name, kind, registry)
    yield from (_suite(path) for path in shipped_suites() if path.stem == name)


def file_page(name: str, target: str, tables: Mapping[str, list[Option]], module: object) -> Page:
    """Return the page of a kind of file: what its module says, and the keys of its tables."""
    return Page(name, "file", target, _unmarked(inspect.getdoc(module) or ""), tables)


def _suite_file() -> Page:
    tables = {
        "[suite]": keys(Head),
        "[datasets.NAME] and [models.NAME], beside the loader's own options": keys(Source),
        "[[tasks]], beside the task's own options": keys(TaskEntry),
    }
    return file_page("suite", "a TOML file for `earmark run`", tables, inspect.getmodule(Head))


def _variables() -> Page:
    sections = {
        title: [Option(key, "", "", text) for key, text in group.items()]
        for title, group in (("of the environment", VARIABLES), ("placeholders", PLACEHOLDERS))
    }
    return Page("variables", "setting", "read by every command", "", sections)


def _registered(name: str, kind: str, registry: Registry) -> Page:
    factory = registry.factory(name)
    target = registry.targets().get(name, name)
    module = inspect.getmodule(factory)
    text = "\n\n".join(
        part for part in (_summary(factory), _unmarked(inspect.getdoc(module) or "")) if part
    )
    sections = {"options": options(factory)}
    if kind == "task":
        sections["keys of every task"] = keys(TaskEntry)
    return Page(name, kind, target, text, sections)


def options(factory: Callable[..., Any]) -> list[Option]:
    """Return the options of a factory, with what its docstring says of each."""
    said, types = _said(factory), _types(factory)
    return [
        Option(
            name,
            "" if one.annotation is one.empty else _type(types.get(name, one.annotation)),
            None if one.default is one.empty else _value(one.default),
            said.get(name, ""),
        )
        for name, one in options_of(factory).items()
        if one.kind is not one.VAR_KEYWORD
    ]


def _said(thing: Any) -> dict[str, str]:
    """Return what numpydoc's Parameters say, those that stand together each by itself."""
    found: dict[str, str] = {}
    for each in thing.__mro__ if isinstance(thing, type) else [thing]:
        for one in parse(each.__doc__ or "", DocstringStyle.NUMPYDOC).params:
            for name in one.arg_name.split(", "):
                found.setdefault(name.lstrip("*"), _plain(one.description or ""))
    return {**_COMMON, **found}


def keys(kind: type[BaseModel]) -> list[Option]:
    """Return the keys of a table of settings, with the docstring below each."""
    said: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if isinstance(one, type) and issubclass(one, BaseModel) and one is not BaseModel:
            parsed = parse_from_object(one)
            said |= {each.arg_name: _plain(each.description or "") for each in parsed.params}
    return [
        Option(
            name,
            _type(info.annotation),
            None if info.is_required() else _value(info.default),
            said.get(name, ""),
        )
        for name, info in kind.model_fields.items()
        if not info.exclude
    ]


def _suite(path: Any) -> Page:
    suite = read_suite(path)
    comment = re.match(r"(?:#.*\n)+", suite.text)
    text = " ".join(line.lstrip("# ") for line in comment[0].splitlines()) if comment else ""
    needs = {name: one.options.get("root", "") for name, one in suite.datasets.items()}
    sections = {
        "datasets": [Option(n, suite.datasets[n].loader, "", str(r)) for n, r in needs.items()],
        "models": [Option(name, one.loader, "", "") for name, one in suite.models.items()],
        "tasks": [
            Option(suite.id_of(one), one.task, "", f"on {', '.join(one.datasets)}")
            for one in suite.tasks
        ],
        "fetched with --fetch": [Option(name, "", "", "") for name in suite.suite.fetch],
    }
    return Page(path.stem, "suite", str(path), f"{suite.suite.title}. {text}", sections)


def _summary(thing: Any) -> str:
    parsed = parse(inspect.getdoc(thing) or "", DocstringStyle.NUMPYDOC)
    return "\n\n".join(
        _plain(part) for part in (parsed.short_description, parsed.long_description) if part
    )


def _plain(text: str) -> str:
    """Return a text without the marks of reStructuredText, in one line a paragraph."""
    return "\n\n".join(" ".join(part.split()) for part in _unmarked(text).split("\n\n"))


def _unmarked(text: str) -> str:
    text = re.sub(r":\w+:`~?\.?(?:earmark\.)?([\w.]+)`", r"`\1`", text)
    return text.replace("``", "`")


def _types(thing: Any) -> Mapping[str, Any]:
    """Return the types of a factory's options; texts where a name is imported for types alone."""
    try:
        return get_type_hints(thing)
    except NameError:
        return {}


def _type(annotation: Any) -> str:
    """Return a type as people write it, without None, which the default says."""
    if get_origin(annotation) is Literal:
        return " or ".join(repr(one) for one in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        parts = [_type(one) for one in get_args(annotation) if one is not type(None)]
        return " or ".join(dict.fromkeys(parts))
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text.removesuffix(" | None"))


def _value(default: Any) -> str:
    if isinstance(default, BaseModel):
        return "those below"
    return "none" if default is None else repr(default)
