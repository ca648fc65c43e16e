"""What songs are compared by: arousal and valence as MusAV asked, others, and one's own.

One's own stand in a TOML file::

    [dimensions.tension]
    question = "Which song is more tense?"
    low = "relaxed"
    high = "tense"
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from earmark.bench.judge.plan import Dimension
from earmark.datasets.base import DataError
from earmark.datasets.files.names import suggest
from earmark.datasets.files.text_files import parse_toml

PRESETS: Final[Mapping[str, Dimension]] = MappingProxyType(
    {
        one.name: one
        for one in (
            Dimension(
                name="arousal",
                question="Which song has the higher arousal: more energy and stimulation?",
                low="calm, sleepy",
                high="energetic, exciting",
            ),
            Dimension(
                name="valence",
                question="Which song has the higher valence: more pleasant and positive?",
                low="negative, sad, tense",
                high="positive, happy, pleasant",
            ),
            Dimension(
                name="preference",
                question="Which song do you like more?",
                low="like it less",
                high="like it more",
            ),
            Dimension(
                name="similarity",
                question="Which song is more similar to the reference that you were given?",
                low="less similar",
                high="more similar",
            ),
        )
    }
)
DEFAULT = "arousal,valence"


def dimensions_of(said: str) -> tuple[Dimension, ...]:
    """Return the dimensions of ``arousal,valence``, of other presets, or of a TOML file.

    Raises
    ------
    DataError
        If a name is unknown, or the file does not hold dimensions as the module's text says.
    """
    if said.endswith(".toml"):
        return _of_file(Path(said))
    names = [name.strip() for name in said.split(",") if name.strip()]
    for name in names:
        if name not in PRESETS:
            raise DataError(
                f"no dimension {name!r}{suggest(name, PRESETS)}; one's own stand in a TOML file: "
                f"[dimensions.{name}] with question, low and high"
            )
    if not names or len(set(names)) < len(names):
        raise DataError(f"dimensions are {said!r}, expected one or more different names")
    return tuple(PRESETS[name] for name in names)


def _of_file(path: Path) -> tuple[Dimension, ...]:
    try:
        content = parse_toml(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    tables = content.get("dimensions")
    if not isinstance(tables, dict) or not tables or content.keys() != {"dimensions"}:
        raise DataError(f"{path}: expected tables [dimensions.<name>] with question, low, high")
    found = []
    for name, table in tables.items():
        try:
            found.append(Dimension.model_validate({**table, "name": name}))
        except (ValidationError, TypeError) as error:
            what = error.errors()[0] if isinstance(error, ValidationError) else None
            detail = f"{'.'.join(map(str, what['loc']))}: {what['msg']}" if what else str(error)
            raise DataError(f"{path}: [dimensions.{name}]: {detail}") from None
    return tuple(found)
