"""The TOML of frozen towers, preset ``locked``: which vectors, which texts, how they are joined.

::

    preset = "locked"
    seed = 0

    [data]
    embeddings = "{data}/musav_embeddings/msd-musicnn-1.npz"
    texts = "{data}/musav/data/genres.chunk_000-006.jsonl"
    text_key = "genres"
    datasets = ["musav"]                 # ids, for the contamination flag
    licence = "CC BY-NC-SA 4.0"          # the weights are derived from it

    [audio]                              # what made the embeddings: a model and its options
    loader = "essentia-backbone"
    name = "msd-musicnn-1"

    [text]
    loader = "sentence-bert"

    [training]
    temperature = 0.15

An unknown key is refused. Relative paths start at the file's own folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from earmark.datasets.base import DataError
from earmark.datasets.files.places import PLACES, placed
from earmark.datasets.files.text_files import UnreadableError, parse_toml
from earmark.datasets.registry import check_options
from earmark.models.base import ModelError

PRESET = "locked"


@dataclass(frozen=True, slots=True)
class PairsConfig:
    """The stored vectors and their texts (:mod:`earmark.datasets.captions.stored_pairs`)."""

    embeddings: str
    texts: str
    id_key: str = "id"
    text_key: str = "caption"
    datasets: tuple[str, ...] = ()
    """Ids of the datasets, for the card: by them contamination is found."""
    licence: str = "not stated"


@dataclass(frozen=True, slots=True)
class ProjectionConfig:
    """What is learned, and how; the defaults are the preset."""

    dimension: int | None = None
    """Of the joint space; None: that of the text tower."""
    start: Literal["ridge", "random"] = "ridge"
    """Where the projections start: ``ridge`` regression from audio to text vectors, with the
    directions of the text tower kept; or drawn by lot."""
    ridge: float = 100.0
    """Penalty of that regression, on audio vectors of unit variance."""
    template: str = "{} music"
    """Put around each text, for names such as genres; ``{}`` leaves texts as they are."""
    several: Literal["each", "joined"] = "each"
    """An item's texts are pairs of their own, or one text with commas."""
    epochs: int = 20
    batch_size: int = 512
    learning_rate: float = 3e-4
    """At the start of one cosine to 0; Adam with betas 0.9 and 0.98."""
    text_rate: float = 0.1
    """Learning rate of the text projection as a share of ``learning_rate``: texts to be read later
    may be of other kinds than the few of the pairs. 0 keeps the projection as it starts."""
    dropout: float = 0.3
    """Share of the audio vector's values that are left out, drawn anew for each pair and step."""
    temperature: float = 0.15
    """At the start; it is learned."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "dimension"):
            value = getattr(self, name)
            least = 2 if name == "batch_size" else 1
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}, expected {least} or more")
        for name in ("ridge", "learning_rate", "temperature"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}, expected above 0")
        if not 0 <= self.text_rate <= 1:
            raise ValueError(f"text_rate is {self.text_rate}, expected 0 to 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}, expected 0 or more and below 1")
        if self.template.count("{}") != 1:
            raise ValueError(f"template {self.template!r} must hold '{{}}' once")


@dataclass(frozen=True, slots=True)
class LockedConfig:
    """All of a training of projections."""

    data: PairsConfig
    audio: Mapping[str, Any]
    """``loader`` and its options, as in a suite."""
    text: Mapping[str, Any]
    seed: int = 0
    training: ProjectionConfig = field(default_factory=ProjectionConfig)


_TABLES: dict[str, type] = {"data": PairsConfig, "training": ProjectionConfig}


def is_locked(path: Path | str) -> bool:
    """Return whether a config file is of this preset; False where it cannot be read as TOML."""
    try:
        return parse_toml(Path(path).read_bytes()).get("preset") == PRESET
    except (OSError, UnreadableError):
        return False


def load_locked_config(path: Path | str) -> LockedConfig:
    """Read a config file, its paths resolved.

    Raises
    ------
    ModelError
        If the file is missing or no TOML, a key is unknown (with the nearest known one) or missing,
        or has a value that is not allowed.
    DataError
        If a place such as ``{data}/...`` is nowhere.
    """
    path = Path(path)
    try:
        content = parse_toml(path.read_bytes())
    except OSError as error:
        raise ModelError(f"config {path}: {error.strerror or error}") from error
    except UnreadableError as error:
        raise ModelError(f"config {path} is not TOML: {error}") from error
    if content.pop("preset", None) != PRESET:
        raise ModelError(f'config {path}: expected preset = "{PRESET}"')
    config = parse_locked_config(content, of=f"config {path}")
    places = {
        name: _place(getattr(config.data, name), path.parent) for name in ("embeddings", "texts")
    }
    return parse_locked_config(
        {**content, "data": {**content["data"], **places}}, of=f"config {path}"
    )


def parse_locked_config(content: Mapping[str, Any], *, of: str = "config") -> LockedConfig:
    """Return the config of a TOML file's content.

    Raises
    ------
    ModelError
        As :func:`load_locked_config`; ``of`` begins the message.
    """
    try:
        check_options(LockedConfig, content, of=of)
        for name, table in _TABLES.items():
            check_options(table, _table(content, name), of=f"{of}: [{name}]")
    except DataError as error:
        raise ModelError(str(error)) from error
    for name in ("audio", "text"):
        if "loader" not in _table(content, name):
            raise ModelError(f"{of}: [{name}] needs the key 'loader', the name of a model")
    try:
        return TypeAdapter(LockedConfig).validate_python(dict(content))
    except ValidationError as error:
        parts = []
        for item in error.errors()[:10]:
            place = ".".join(str(step) for step in item["loc"])
            parts.append(f"{place}: {item['msg'].removeprefix('Value error, ')}")
        raise ModelError(f"{of}: {'; '.join(parts)}") from error


def _table(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, Mapping):
        raise DataError(f"{name} is {table!r}, expected a table [{name}]")
    return table


def _place(given: str, folder: Path) -> str:
    return str(placed(given) if given.startswith(PLACES) else folder / Path(given).expanduser())
