"""What is true of the tracks and captions of a built Etude corpus: the oracle of retrieval.

A ranking by true attributes is the ceiling that the captions allow. Of a caption that mentions five
attributes, the oracle's score of a track is how many of them the track has, as a share. A caption's
own track always has all of them and scores 1, and so does any other track of which the caption is
true as well: where these are more than k, no model can be sure of recall at k.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import DataError, first_ten
from earmark.datasets.etude.attributes import as_vectors
from earmark.datasets.etude.corpus import SPLITS
from earmark.datasets.etude.manifest import ATTRIBUTES_FILE, read_corpus


@dataclass(frozen=True, slots=True)
class Oracle:
    """True attributes of clips and of their captions, one caption a clip, in one order."""

    attributes: tuple[str, ...]
    clip_ids: tuple[str, ...]
    """As the loaders of the manifests, of MagnaTagATune and of emoMusic name them."""
    captions: tuple[str, ...]
    clip_attributes: NDArray[np.uint8]
    """Shape ``(n_clips, n_attributes)``: 1 where the clip has the attribute, else 0."""
    caption_attributes: NDArray[np.uint8]
    """Shape ``(n_clips, n_attributes)``: 1 where the clip's caption mentions it, else 0."""

    def scores(self) -> NDArray[np.float64]:
        """Return the share of each caption's attributes that each clip has.

        Shape ``(n_captions, n_clips)``, in [0, 1]; 1 on the diagonal.
        """
        mentioned = self.caption_attributes.astype(np.float64)
        had: NDArray[np.float64] = mentioned @ self.clip_attributes.T.astype(np.float64)
        had /= mentioned.sum(axis=1, keepdims=True)
        return had

    def ordered(self, clip_ids: Sequence[str]) -> Oracle:
        """Return the oracle of some of the clips, in the order given.

        Raises
        ------
        DataError
            If an id is not one of its clips.
        """
        place = {name: i for i, name in enumerate(self.clip_ids)}
        unknown = [name for name in clip_ids if name not in place]
        if unknown:
            raise DataError(f"the oracle has no clip {first_ten(unknown)}: of another split?")
        rows = np.array([place[name] for name in clip_ids], np.int64)
        return Oracle(
            self.attributes,
            tuple(clip_ids),
            tuple(self.captions[row] for row in rows.tolist()),
            self.clip_attributes[rows],
            self.caption_attributes[rows],
        )


def oracle(root: Path | str, *, split: str) -> Oracle:
    """Return the oracle of a split of a built corpus, ordered by clip id.

    Raises
    ------
    DataError
        If the split is unknown, the folder holds no finished corpus, or its file is damaged.
    """
    if split not in SPLITS:
        raise DataError(f"Etude has no split {split!r}; expected one of {', '.join(SPLITS)}")
    if read_corpus(root).fingerprint is None:
        raise DataError(f"the Etude corpus in {root} is not finished: build it again to its end")
    place = Path(root) / ATTRIBUTES_FILE
    try:
        said: dict[str, Any] = json.loads(place.read_bytes())
        rows = sorted((r for r in said["tracks"] if r["split"] == split), key=lambda r: r["id"])
        return Oracle(
            attributes=tuple(said["attributes"]),
            clip_ids=tuple(row["id"] for row in rows),
            captions=tuple(row["caption"] for row in rows),
            clip_attributes=as_vectors([row["attributes"] for row in rows]),
            caption_attributes=as_vectors([row["mentions"] for row in rows]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{place} is damaged: {error!r}; build the corpus again") from error
