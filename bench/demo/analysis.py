"""What a joint audio-text model makes of songs: genres, moods, arousal and valence, neighbours.

Conventions
-----------
A song is several parts, each with a unit vector; the song's vector is their mean at unit norm. A
label is written in several ways, each with a unit vector; the label's vector is their mean at unit
norm (:mod:`earmark.bench.tasks.zero_shot.prompts`). The label with the largest cosine to the song
is the answer. Two things say how sure it is, and neither is a calibrated probability:

* the *agreement*: the share of all pairs of a part and a wording that answer the same;
* the *lead*: the cosine of the answer less that of the next label.

How often answers of a given lead are right is known for one set (:data:`MEASURED`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from earmark.bench.metrics.base import Floats
from earmark.bench.metrics.regression import evaluate
from earmark.bench.metrics.statistics import Estimate
from earmark.bench.tasks.vectors import unit_rows
from earmark.bench.tasks.zero_shot.prompts import fill
from earmark.models.adapters.text_axis import JointModel, TextAxisAV

GENRES = (
    *("blues", "classical", "country", "disco", "electronic", "folk"),
    *("hip hop", "jazz", "metal", "pop", "reggae", "rock"),
)
MOODS = (
    *("happy", "party", "romantic", "relaxing"),
    *("melancholic", "dark", "aggressive", "energetic"),
)
GENRE_WORDINGS = ("{label}", "A {label} track", "{label} music", "this sounds like {label}")
MOOD_WORDINGS = ("{label} music", "a {label} song", "music with a {label} mood", "this is {label}")

Sureness = Literal["clear", "leaning", "a guess"]
LEADS: Mapping[Sureness, float] = {"clear": 0.4, "leaning": 0.2, "a guess": -np.inf}
"""The least lead of each; see :data:`MEASURED`."""
N_NEAREST, N_FOUND = 3, 5


@dataclass(frozen=True, slots=True)
class Answer:
    """The best label of a song, and how sure it is."""

    label: str
    agreement: int
    """Of :attr:`votes`: pairs of a part and a wording that answer the same."""
    votes: int
    lead: float
    """Cosine of the label less that of the next one."""
    second: str

    @property
    def sureness(self) -> Sureness:
        """How sure, in a word."""
        return next(word for word, least in LEADS.items() if self.lead >= least)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A song near another one."""

    name: str
    cosine: float
    closer_than: float
    """Share of all pairs of songs that are less alike."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A song that a text finds."""

    name: str
    cosine: float
    parts: int
    """Parts of the song that are nearer to the text than half of all parts of all songs."""
    of: int


@dataclass(frozen=True, slots=True)
class Vectors:
    """Unit vectors of songs and of their parts."""

    names: tuple[str, ...]
    parts: tuple[Floats, ...]
    """Of each song, shape ``(n_parts, dimension)``."""

    @property
    def songs(self) -> Floats:
        """Shape ``(n_songs, dimension)``."""
        means = np.array([each.mean(axis=0) for each in self.parts])
        return unit_rows(means, model="the demo's model", of=list(self.names))


def text_rows(model: JointModel, texts: Sequence[str]) -> Floats:
    """Return unit vectors of texts, shape ``(n_texts, dimension)``."""
    return unit_rows(model.embed_text(list(texts)), model=model.card.id, of=list(texts))


def answers(
    model: JointModel, vectors: Vectors, labels: Sequence[str], wordings: Sequence[str]
) -> list[Answer]:
    """Return the best of at least two labels for each song."""
    each = np.stack([text_rows(model, [fill(one, label) for label in labels]) for one in wordings])
    mean = each.mean(axis=0)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    cosines = vectors.songs @ mean.T
    found = []
    for row, own in zip(cosines, vectors.parts, strict=True):
        order = np.argsort(-row, kind="stable")
        votes = np.einsum("pd,wld->pwl", own, each).argmax(axis=2).ravel()
        found.append(
            Answer(
                label=labels[order[0]],
                agreement=int((votes == order[0]).sum()),
                votes=len(votes),
                lead=float(row[order[0]] - row[order[1]]),
                second=labels[order[1]],
            )
        )
    return found


def nearest(vectors: Vectors) -> list[list[Neighbour]]:
    """Return the songs nearest to each one, the nearest first."""
    songs = vectors.songs
    cosines = songs @ songs.T
    pairs = np.sort(cosines[np.triu_indices(len(songs), 1)])
    found = []
    for place, row in enumerate(cosines):
        order = [other for other in np.argsort(-row, kind="stable") if other != place]
        found.append(
            [
                Neighbour(
                    vectors.names[other],
                    float(row[other]),
                    float(np.searchsorted(pairs, row[other] - 1e-12) / len(pairs)),
                )
                for other in order[:N_NEAREST]
            ]
        )
    return found


def hits(model: JointModel, vectors: Vectors, query: str) -> list[Hit]:
    """Return the songs that are nearest to a text, the nearest first."""
    (text,) = text_rows(model, [query])
    own = [parts @ text for parts in vectors.parts]
    typical = np.median(np.concatenate(own))
    cosines = vectors.songs @ text
    return [
        Hit(
            vectors.names[place],
            float(cosines[place]),
            int((own[place] > typical).sum()),
            len(own[place]),
        )
        for place in np.argsort(-cosines, kind="stable")[:N_FOUND]
    ]


@dataclass(frozen=True, slots=True)
class Plane:
    """Arousal and valence by text axis."""

    values: Floats
    """Arousal, valence of each song, shape ``(n_songs, 2)``; without a scale."""
    errors: Floats
    """Standard error over a song's parts, of the same shape; NaN of a song of one part."""
    with_loudness: Estimate | None
    """Spearman's correlation of arousal with loudness; None of fewer than three songs."""


def plane(model: JointModel, vectors: Vectors, loudness: Sequence[float]) -> Plane:
    """Return where songs lie between the prompts of each axis, and what loudness says of them."""
    axis = TextAxisAV(model)
    values = axis.predict_av_from_vectors(np.asarray(vectors.songs, np.float32)).astype(np.float64)
    errors = np.full(values.shape, np.nan)
    for row, own in zip(errors, vectors.parts, strict=True):
        if len(own) > 1:
            each = axis.predict_av_from_vectors(np.asarray(own, np.float32)).astype(np.float64)
            row[:] = each.std(axis=0, ddof=1) / np.sqrt(len(own))
    return Plane(values, errors, rank_correlation(values[:, 0], loudness))


def rank_correlation(one: Sequence[float] | Floats, other: Sequence[float]) -> Estimate | None:
    """Return Spearman's correlation with its interval over songs; None of fewer than three."""
    from scipy.stats import rankdata

    if len(one) < 3:
        return None
    return evaluate(rankdata(one), rankdata(other))["pearson_r"]


@dataclass(frozen=True, slots=True)
class Measured:
    """How often answers were right on a set with known labels."""

    sureness: Sureness
    n: int
    right: int


MEASURED = (Measured("clear", 103, 82), Measured("leaning", 89, 40), Measured("a guess", 129, 28))
"""Of :data:`GENRES` on 321 six-second excerpts of GTZAN, by MSD_musicnn and all-MiniLM-L6-v2."""
MEASURED_AV = {"arousal": (0.49, 0.52), "valence": (0.14, -0.04)}
"""Spearman's correlation with ratings of these excerpts: of the text axis, and of loudness."""


def by_sureness(found: Sequence[Answer], truth: Sequence[str]) -> tuple[Measured, ...]:
    """Return how many answers of each sureness there are, and how many of them are right."""
    rows = []
    for word in LEADS:
        right = [
            a.label == label for a, label in zip(found, truth, strict=True) if a.sureness == word
        ]
        rows.append(Measured(word, len(right), sum(right)))
    return tuple(rows)
