"""Which clips a dataset lists, and the classes that they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from earmark.datasets.base import Clip, DataError, first_ten

ENSEMBLE = "ensemble"
"""The subset of scores by the mean of all prompts' vectors."""
MEAN = "mean of prompts"
"""The subset of means of a metric over the prompts."""

ENSEMBLE = "ensemble"
MEAN = "mean of prompts"
"""Subsets beside a prompt's own: its vectors averaged, and its scores."""


def listed_clips(dataset: Any) -> Sequence[Clip]:
    """Return a dataset's clips.

    Raises
    ------
    DataError
        If it has none, or is of a kind that does not list them (pairs to judge).
    """
    clips = getattr(dataset, "clips", None)
    if not isinstance(clips, Sequence):
        raise DataError(f"{_name(dataset)} ({type(dataset).__name__}) is no list of labelled clips")
    if not clips:
        raise DataError(f"{_name(dataset)}: there is no clip to score: the split is empty")
    return clips


def classes_of(dataset: Any, classes: Sequence[str] | None) -> tuple[str, ...]:
    """Return the classes to tell apart: as given, the dataset's own, or the labels sorted.

    Raises
    ------
    DataError
        If the dataset has no labels, or a clip has none or one outside the given classes.
    """
    clips = listed_clips(dataset)
    bare = [clip.id for clip in clips if not clip.label]
    if bare:
        raise DataError(
            f"{_name(dataset)}: {len(bare)} of {len(clips)} clips have no label: "
            f"{first_ten(bare)}; a clip needs one class (for tags, take zero_shot_tagging)"
        )
    if classes is None:
        own = tuple(class_texts(dataset))
        return own or tuple(sorted({clip.label for clip in clips if clip.label}))
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise DataError(f"classes must be a list of names, got {classes!r}")
    strange = [f"{clip.id} ({clip.label!r})" for clip in clips if clip.label not in classes]
    if strange:
        raise DataError(
            f"{_name(dataset)}: {len(strange)} of {len(clips)} clips have a label outside the "
            f"classes {first_ten(list(classes))}: {first_ten(strange)}"
        )
    return tuple(classes)


def class_texts(dataset: Any) -> Mapping[str, str]:
    """Return the classes that a dataset names itself, in order, each as prompts write it."""
    found: Mapping[str, str] = getattr(dataset, "class_texts", {})
    return found


def unheard(n_scored: int, n_clips: int) -> list[str]:
    """Return a warning where clips could not be scored."""
    left = n_clips - n_scored
    return [f"{left} of {n_clips} clips could not be scored, see the problems"] if left else []


def unit_word(clips: Sequence[Clip]) -> str:
    """Return ``clip``, or ``unit`` where clips are resampled together."""
    return "clip" if all(clip.unit is None for clip in clips) else "unit"


def _name(dataset: Any) -> str:
    card = getattr(dataset, "card", None)
    return str(card.id) if card is not None else type(dataset).__name__
