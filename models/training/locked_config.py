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

from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass

from earmark.datasets.files.config_files import Count, Share, read_toml, validated
from earmark.datasets.files.places import PLACES, placed
from earmark.datasets.files.text_files import UnreadableError, parse_toml
from earmark.models.base import ModelError

PRESET = "locked"

Finite = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, config=_STRICT)
class PairsConfig:
    """The stored vectors and their texts (:mod:`earmark.datasets.captions.stored_pairs`)."""

    embeddings: str
    texts: str
    id_key: str = "id"
    text_key: str = "caption"
    datasets: tuple[str, ...] = ()
    """Ids of the datasets, for the card: by them contamination is found."""
    licence: str = "not stated"


@dataclass(frozen=True, slots=True, config=_STRICT)
class ProjectionConfig:
    """What is learned, and how; the defaults are the preset."""

    dimension: Count | None = None
    """Of the joint space; None: that of the text tower."""
    start: Literal["ridge", "random"] = "ridge"
    """Where the projections start: ``ridge`` regression from audio to text vectors, with the
    directions of the text tower kept; or drawn by lot."""
    ridge: Finite = 100.0
    """Penalty of that regression, on audio vectors of unit variance."""
    template: str = "{} music"
    """Put around each text, for names such as genres; ``{}`` leaves texts as they are."""
    several: Literal["each", "joined"] = "each"
    """An item's texts are pairs of their own, or one text with commas."""
    epochs: Count = 20
    batch_size: Annotated[int, Field(ge=2)] = 512
    learning_rate: Finite = 3e-4
    """At the start of one cosine to 0; Adam with betas 0.9 and 0.98."""
    text_rate: Share = 0.1
    """Learning rate of the text projection as a share of ``learning_rate``: texts to be read later
    may be of other kinds than the few of the pairs. 0 keeps the projection as it starts."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Share of the audio vector's values that are left out, drawn anew for each pair and step."""
    temperature: Finite = 0.15
    """At the start; it is learned."""

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, template: str) -> str:
        if template.count("{}") != 1:
            raise ValueError(f"template {template!r} must hold '{{}}' once")
        return template


@dataclass(frozen=True, slots=True, config=_STRICT)
class LockedConfig:
    """All of a training of projections."""

    data: PairsConfig
    audio: dict[str, Any]
    """``loader`` and its options, as in a suite."""
    text: dict[str, Any]
    seed: int = 0
    training: ProjectionConfig = field(default_factory=ProjectionConfig)

    @field_validator("audio", "text")
    @classmethod
    def _names_a_loader(cls, table: dict[str, Any]) -> dict[str, Any]:
        if "loader" not in table:
            raise ValueError("needs the key 'loader', the name of a model")
        return table


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
    content = read_toml(path, of="config", error=ModelError)
    if content.pop("preset", None) != PRESET:
        raise ModelError(f'config {path}: expected preset = "{PRESET}"')
    config = validated(LockedConfig, content, of=f"config {path}", error=ModelError)
    embeddings, texts = (
        _place(given, path.parent) for given in (config.data.embeddings, config.data.texts)
    )
    return replace(config, data=replace(config.data, embeddings=embeddings, texts=texts))


def _place(given: str, folder: Path) -> str:
    return str(placed(given) if given.startswith(PLACES) else folder / Path(given).expanduser())
