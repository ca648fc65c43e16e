"""Names to things: a lazy registry of datasets, also used for models and tasks.

A name is looked up among the built-in ones (kept as ``module:attribute`` text, so that naming one
imports nothing), then among the entry points of installed packages, and a name with a colon is
itself read as ``module:attribute``, or ``path/to/file.py:attribute``.

A name with a colon runs whatever code it names. Users may write one (on the command line, in a
suite); what a file of somebody else says is opened within :func:`named_by`, which refuses it.
"""

from __future__ import annotations

import importlib
import inspect
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Unpack, get_args, get_origin, get_type_hints

from earmark.datasets.base import DataError
from earmark.datasets.files.names import suggest
from earmark.datasets.files.user_modules import import_file

_NAMED_BY: ContextVar[tuple[str, str] | None] = ContextVar("_NAMED_BY", default=None)
"""The file that names loaders now, and the fix; None where the user names them."""


@contextmanager
def named_by(file: str, *, fix: str) -> Iterator[None]:
    """Open registered loaders alone within the block, at any depth: a file names them.

    ``file`` begins the error of a loader that is not registered; ``fix`` ends it.
    """
    # The outermost file counts: what it names may not lift the rule for itself.
    token = _NAMED_BY.set(_NAMED_BY.get() or (file, fix))
    try:
        yield
    finally:
        _NAMED_BY.reset(token)


def naming_file() -> str | None:
    """Return the file that names loaders and options now; None where the user does."""
    found = _NAMED_BY.get()
    return found and found[0]


class Registry:
    """Factories by name; ``kind`` is the word for error messages, ``group`` of entry points."""

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        self.kind = kind
        self.group = group
        self._builtin = dict(builtin)

    def targets(self) -> dict[str, str]:
        """Return every known name with its ``module:attribute``, built-in ones first.

        Raises
        ------
        DataError
            If an installed package registers a name that is taken.
        """
        found = dict(self._builtin)
        for point in entry_points(group=self.group):
            if found.get(point.name, point.value) != point.value:
                raise DataError(
                    f"{self.kind} {point.name!r} is registered twice: as {found[point.name]} and "
                    f"as {point.value}; rename one of the entry points in group {self.group!r}"
                )
            found[point.name] = point.value
        return found

    def factory(self, name: str) -> Callable[..., Any]:
        """Return the callable behind a name.

        Raises
        ------
        DataError
            If the name is unknown (with the nearest known ones), its target cannot be imported, or
            a file names code that is not registered (:func:`named_by`).
        """
        if ":" in name and (named := _NAMED_BY.get()):
            raise DataError(
                f"{named[0]} names the loader {name!r}, which is no registered {self.kind}; it was "
                f"not opened, since a file must not choose the code that runs. {named[1]}"
            )
        target = name if ":" in name else self.targets().get(name)
        if target is None:
            known = sorted(self.targets())
            raise DataError(
                f"unknown {self.kind} {name!r}. {suggest(name, known, most=3)} "
                f"Your own: module:attribute, or path/to/file.py:attribute"
            )
        module_name, _, attribute = target.rpartition(":")
        module = _import(module_name, of=f"{self.kind} {name!r}")
        if not hasattr(module, attribute):
            raise DataError(f"{self.kind} {name!r}: {module_name} has no {attribute!r}")
        found = getattr(module, attribute)
        if not callable(found):
            raise DataError(
                f"{self.kind} {name!r}: {target} is a {type(found).__name__}, expected a class or "
                f"a function that returns the {self.kind}"
            )
        return found  # type: ignore[no-any-return]

    def create(self, name: str, options: Mapping[str, Any], *, of: str | None = None) -> Any:
        """Call the factory behind a name with options as they come from a suite.

        ``of`` is what errors call it; by default the kind and the name.
        """
        factory = self.factory(name)
        check_options(factory, options, of=of or f"{self.kind} {name!r}")
        made = factory(**options)
        _remember(made, factory)
        return made


_MADE_IN: dict[int, tuple[weakref.ref[Any], str]] = {}


def _remember(made: Any, factory: Callable[..., Any]) -> None:
    key = id(made)
    with suppress(TypeError):  # what allows no weak reference; its class says where it is from
        seen = weakref.ref(made, lambda _: _MADE_IN.pop(key, None))
        _MADE_IN[key] = (seen, str(getattr(factory, "__module__", "")))


def made_in(thing: Any) -> str | None:
    """Return the module of the factory that a registry made a thing with, None if none did."""
    seen, module = _MADE_IN.get(id(thing), (None, None))
    return module if seen is not None and seen() is thing else None


def options_of(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return a factory's parameters by name, those of ``**options: Unpack[...]`` one by one."""
    parameters = dict(inspect.signature(factory).parameters)
    for rest in [p for p in parameters.values() if p.kind is p.VAR_KEYWORD]:
        hint = get_type_hints(factory)[rest.name] if "Unpack[" in str(rest.annotation) else None
        if get_origin(hint) is Unpack:
            del parameters[rest.name]
            names = get_args(hint)[0].__annotations__
            named = (inspect.Parameter(n, rest.KEYWORD_ONLY, default=None) for n in names)
            parameters |= {parameter.name: parameter for parameter in named}
    return parameters


def check_options(
    factory: Callable[..., Any], options: Mapping[str, Any], *, of: str, own: Collection[str] = ()
) -> None:
    """Hold options against a signature before the call, so that a typo gets a clear error.

    ``own`` are parameters that the caller gives, which are no options.

    Raises
    ------
    DataError
        If an option is unknown or a required one is missing.
    """
    parameters = {name: p for name, p in options_of(factory).items() if name not in own}
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for option in options:
        if option not in parameters:
            hint = suggest(option, parameters) if parameters else "It takes no option."
            raise DataError(f"{of} has no option {option!r}. {hint}")
    missing = [
        p.name
        for p in parameters.values()
        if p.default is p.empty and p.name not in options and p.kind is not p.VAR_POSITIONAL
    ]
    if missing:
        raise DataError(f"{of} needs the option {', '.join(map(repr, missing))}")


def _import(name: str, *, of: str) -> ModuleType:
    if not name.endswith(".py"):
        try:
            return importlib.import_module(name)
        except ImportError as error:
            raise DataError(f"{of}: cannot import {name}: {error}") from error
    path = Path(name).expanduser().resolve()
    if not path.is_file():
        raise DataError(f"{of}: no file {path}")
    return import_file(path)


DATASETS = Registry(
    "dataset",
    "earmark.datasets",
    {
        "musav": "earmark.datasets.judgements.musav:load",
        "gtzan": "earmark.datasets.gtzan:load",
        "magnatagatune": "earmark.datasets.magnatagatune:load",
        "musiccaps": "earmark.datasets.captions.musiccaps:load",
        "song-describer": "earmark.datasets.captions.song_describer:load",
        "clotho": "earmark.datasets.captions.clotho:load",
        "caption-manifest": "earmark.datasets.captions.manifest:load",
        "caption-csv": "earmark.datasets.captions.csv:load",
        "emomusic": "earmark.datasets.ratings.emomusic:load",
        "deam": "earmark.datasets.ratings.deam:load",
        "muse": "earmark.datasets.ratings.muse:load",
        "pmemo": "earmark.datasets.ratings.pmemo:load",
        "mer-taffc": "earmark.datasets.judgements.mer_taffc:load",
        "ccmed-wcmed": "earmark.datasets.judgements.ccmed_wcmed:load",
        "emusic": "earmark.datasets.judgements.rankings:load_emusic",
        "ranked-folder": "earmark.datasets.judgements.rankings:load",
        "pairwise": "earmark.datasets.judgements.judged:load",
        "pairwise-csv": "earmark.datasets.judgements.judged:load",
        "musav-judgements": "earmark.datasets.judgements.musav:load_judgements",
        "rated-folder": "earmark.datasets.ratings.folder:load_rated_folder",
        "label-table": "earmark.datasets.tables:load_labels",
        "tag-table": "earmark.datasets.tables:load_tags",
        "relevance-table": "earmark.datasets.tables:load_relevance",
    },
)
