"""A tagger's own tags as a joint audio-text model: the supervised reference of a tagging task.

A clip's vector holds the probabilities of the *n* tags over the root of *n*, and one more value
that brings it to unit length; the vector of a text that names a tag is that tag's unit vector. The
cosine of the two is the tag's probability over the root of *n*, so that each tag ranks clips as the
tagger does, and zero-shot tagging scores a tagger as its authors do.

A text names the tag whose name stands in it as whole words; of several, that of most words ("no
vocals", not "vocals"). Upper and lower case, and "-" or a space, are the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.datasets.base import fingerprint, first_ten
from earmark.models.adapters.conse import BatchTagger, Tagger, open_tagger
from earmark.models.base import Floats, ModelCard, ModelError
from earmark.models.support.adapter import check_texts, unit_vectors

_WORD = re.compile(r"\w+")


class OwnTags:
    """A tagger as a joint model that reads the names of its own tags alone."""

    def __init__(self, tagger: Tagger) -> None:
        self.tagger = tagger
        self.sample_rate = tagger.sample_rate
        self.dimension = len(tagger.tags) + 1
        self._words = [_words(tag) for tag in tagger.tags]
        if len(set(self._words)) < len(self._words):
            raise ModelError(
                f"own-tags: {tagger.card.id} has a tag twice: {first_ten(tagger.tags)}"
            )
        self.card = self._card()

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return unit vectors of shape ``(n_clips, n_tags + 1)``.

        Raises
        ------
        ModelError
            If the tagger gives what are no probabilities.
        """
        if not clips:
            return np.empty((0, self.dimension), np.float32)
        if isinstance(self.tagger, BatchTagger):
            found = self.tagger.tag_probabilities(clips)
        else:
            found = np.stack([self.tagger.probabilities(clip) for clip in clips])
        values = np.asarray(found, np.float64)
        n_tags = len(self.tagger.tags)
        if values.shape != (len(clips), n_tags) or not ((values >= 0) & (values <= 1)).all():
            raise ModelError(
                f"own-tags: {self.tagger.card.id} gives values of shape {values.shape}, expected a "
                f"probability in [0, 1] for each of {n_tags} tags"
            )
        values /= np.sqrt(n_tags)
        rest = np.sqrt(np.maximum(0, 1 - np.square(values).sum(axis=1, keepdims=True)))
        return unit_vectors(np.hstack([values, rest]), dimension=self.dimension, of="clip")

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Return the unit vector of the tag that each text names, ``(n_texts, n_tags + 1)``.

        Raises
        ------
        ModelError
            If a text names none of the tags, or two equally.
        """
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(rows, check_texts(texts), strict=True):
            row[self._named(text)] = 1
        return rows

    def _named(self, text: str) -> int:
        found = [
            index for index, tag in enumerate(self._words) if f" {tag} " in f" {_words(text)} "
        ]
        most = max((len(self._words[index].split()) for index in found), default=0)
        longest = [index for index in found if len(self._words[index].split()) == most]
        if len(longest) != 1:
            tags = self.tagger.tags
            said = " and ".join(repr(tags[index]) for index in longest) or "none of its tags"
            raise ModelError(
                f"own-tags: the text {text[:60]!r} names {said}; {self.tagger.card.id} reads the "
                f"names of its own {len(tags)} tags, one a text: {first_ten(tags)}"
            )
        return longest[0]

    def _card(self) -> ModelCard:
        card = self.tagger.card
        return replace(
            card,
            id=f"{card.id}-tags",
            version=f"{card.version}+1",
            crop_policy=f"{card.crop_policy} of the probabilities",
            preprocessing={**card.preprocessing, "tags_sha256": fingerprint(self.tagger.tags)},
            notes=(
                *card.notes,
                "Supervised: it reads the names of the tags alone that it was trained on. Beside "
                "zero-shot models it is a reference.",
            ),
        )


def own_tags(
    *,
    tagger: str = "MTT_musicnn",
    tags: Sequence[str] | None = None,
    weights: str | None = None,
    device: str = "cpu",
) -> OwnTags:
    """Return a tagger as a joint model that reads its own tags.

    Parameters
    ----------
    tagger, tags, weights, device
        As of :func:`earmark.models.adapters.conse.conse`.

    Raises
    ------
    ModelError
        If the weights are not found, or are no tagger.
    """
    return OwnTags(open_tagger(tagger, tags=tags, weights=weights, device=device))


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))
