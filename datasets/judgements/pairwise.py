"""Which of two clips has the higher arousal, or valence: comparisons from any source, in one form.

What learns or is tested on comparisons takes :class:`PairwiseJudgements`; MusAV's own become such
by :meth:`.musav.MusAV.comparisons`, rankings by :mod:`.rankings`, quadrants by :mod:`.mer_taffc`,
and those of one's own are read from a table.

Layout
------
::

    judgements.csv          dimension,higher,lower with this header, and of these what is known:
                            tied        1 where the two are held equal, else 0; default 0
                            votes       how many said so, e.g. 2; default 1
                            annotator   who said so
    audio/<id>.wav          at any depth, or another audio file; optional

``dimension`` is ``arousal`` or ``valence``; ``higher`` and ``lower`` are ids of clips, with or
without the suffix of their files. Of a tied pair the order means nothing. A pair may have several
rows that contradict each other, but not two of one annotator, or two that say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.base import (
    NOT_STATED,
    CardOptions,
    Clip,
    DataError,
    DatasetCard,
    Floats,
    Problem,
    card_of_folder,
    fingerprint,
    refuse,
    with_origin,
)
from earmark.datasets.files.text_files import as_number, read_table
from earmark.datasets.ratings.table import (
    DIMENSIONS,
    audio_paths,
    read_columns,
)


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Which of two clips is higher on one dimension; arrays have shape ``(n_comparisons,)``."""

    higher: NDArray[np.int64]
    """Indices into the clips."""
    lower: NDArray[np.int64]
    tied: NDArray[np.bool_]
    """Where the two are held equal; which is called higher then means nothing."""
    votes: Floats
    """How many said so, more than 0."""
    annotators: tuple[str | None, ...]
    """Who said so; None: not known, or several."""

    def __len__(self) -> int:
        return len(self.higher)


@dataclass(frozen=True, slots=True)
class PairwiseJudgements:
    """Clips and the comparisons of them, whatever set they come from."""

    card: DatasetCard
    clips: tuple[Clip, ...]
    """What is resampled, and kept in one fold, together is their unit: clips that are joined by
    comparisons. None where all hang together, or the source says nothing: then each clip is one."""
    comparisons: Mapping[str, Comparisons]
    """By dimension."""
    rule: str
    """In words: where the comparisons come from."""
    fingerprint: str
    """Digest of clips, units and comparisons."""
    namespace: str = ""
    """As of :class:`earmark.datasets.base.RatedClips`."""

    def of(self, dimension: str) -> Comparisons:
        """Return the comparisons of one dimension.

        Raises
        ------
        DataError
            If there are none; the message lists the dimensions that there are.
        """
        if dimension not in self.comparisons:
            there = " and ".join(self.comparisons)
            raise DataError(f"{self.card.id} has no comparisons of {dimension!r}, only of {there}")
        return self.comparisons[dimension]


@dataclass(frozen=True, slots=True)
class Said:
    """One comparison, by the names of its clips."""

    dimension: str
    higher: str
    lower: str
    tied: bool = False
    votes: float = 1.0
    annotator: str | None = None


def load(
    root: Path | str,
    *,
    table: str = "judgements.csv",
    audio: Path | str | None = None,
    **card: Unpack[CardOptions],
) -> PairwiseJudgements:
    """Open a table of comparisons, laid out as the module's text says; nothing is decoded.

    Parameters
    ----------
    audio
        The folder of the clips, if it is not ``audio`` below the root.

    Raises
    ------
    DataError
        If the table is absent, or :func:`validate` finds a problem.
    """
    root = Path(root)
    said, faults = _read(root / table)
    refuse(f"comparisons at {root}", faults)
    name = card.get("id") or root.resolve().name
    names = {each.higher for each in said} | {each.lower for each in said}
    paths = audio_paths(names, of=name, root=root, usual=("audio",), audio=audio)
    units = joined(said)
    clips = [Clip(each, paths.get(each), unit=units[each]) for each in sorted(names)]
    stated = with_origin(card_of_folder(root, **(NOT_STATED | card)), root)
    return assemble(said, clips, stated, rule=f"rows of {table}")


def validate(root: Path | str, *, table: str = "judgements.csv") -> list[Problem]:
    """Return all that is wrong with a table of comparisons."""
    return _read(Path(root) / table)[1]


def assemble(
    said: Iterable[Said],
    clips: Sequence[Clip],
    card: DatasetCard,
    *,
    rule: str,
    namespace: str = "",
) -> PairwiseJudgements:
    """Return comparisons in a canonical order; the clips stay in theirs."""
    rows = sorted(map(_in_order, said), key=_key)
    index = {clip.id: i for i, clip in enumerate(clips)}
    comparisons = {}
    for dimension in DIMENSIONS:
        of_it = [row for row in rows if row.dimension == dimension]
        if of_it:
            comparisons[dimension] = Comparisons(
                higher=np.array([index[row.higher] for row in of_it], np.int64),
                lower=np.array([index[row.lower] for row in of_it], np.int64),
                tied=np.array([row.tied for row in of_it], bool),
                votes=np.array([row.votes for row in of_it], float),
                annotators=tuple(row.annotator for row in of_it),
            )
    return build(clips, comparisons, card, rule=rule, namespace=namespace)


def by_level(levels: Floats, *, gap: float = 0.0) -> Comparisons:
    """Return the comparison of every two clips that differ in a level, and so in order.

    Parameters
    ----------
    levels
        Shape ``(n_clips,)``; NaN: not compared with any.
    gap
        Pairs whose levels differ by this or less are left out, equal ones among them.
    """
    first, second = np.triu_indices(len(levels), k=1)
    difference = levels[first] - levels[second]
    apart = np.abs(difference) > gap
    first, second, up = first[apart], second[apart], difference[apart] > 0
    return Comparisons(
        higher=np.where(up, first, second).astype(np.int64),
        lower=np.where(up, second, first).astype(np.int64),
        tied=np.zeros(len(first), bool),
        votes=np.ones(len(first)),
        annotators=(None,) * len(first),
    )


def build(
    clips: Sequence[Clip],
    comparisons: Mapping[str, Comparisons],
    card: DatasetCard,
    *,
    rule: str,
    namespace: str = "",
) -> PairwiseJudgements:
    """Return comparisons that are arrays already, with their fingerprint."""
    return PairwiseJudgements(
        card=card,
        clips=tuple(clips),
        comparisons=comparisons,
        rule=rule,
        fingerprint=fingerprint(_content(clips, comparisons)),
        namespace=namespace,
    )


def joined(said: Iterable[Said]) -> dict[str, str | None]:
    """Return each clip's unit: the first name of those that comparisons join it to.

    None for all clips if all hang together.

    >>> joined([Said("arousal", "b", "a"), Said("valence", "c", "d"), Said("arousal", "d", "c")])
    {'b': 'a', 'a': 'a', 'c': 'c', 'd': 'c'}
    """
    parent: dict[str, str] = {}

    def root_of(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    for each in said:
        one, other = sorted((root_of(each.higher), root_of(each.lower)))
        parent[other] = one
    roots = {name: root_of(name) for name in parent}
    if len(set(roots.values())) < 2:
        return dict.fromkeys(roots)
    return dict(roots)


def _read(path: Path) -> tuple[list[Said], list[Problem]]:
    header = read_table(path)[0]
    known = [name for name in ("tied", "votes", "annotator") if name in header]
    rows, problems = read_columns(path, ("dimension", "higher", "lower", *known))
    said: list[Said] = []
    line_of: dict[tuple[object, ...], int] = {}
    for line, row in rows:
        messages = list(_wrong(row))
        tied = row.get("tied") == "1"
        pair = sorted((row["higher"], row["lower"]))
        who = row.get("annotator") or None
        order = None if who else (tied or row["higher"])
        key = (row["dimension"], *pair, who, order)
        if not messages and key in line_of:
            what = f"{who} has judged" if who else "says the same of"
            fix = "keep one" if who else "keep one, with the votes of both"
            shown = f"{row['higher']} and {row['lower']}"
            messages.append(f"{what} {shown} already on line {line_of[key]}: {fix}")
        line_of.setdefault(key, line)
        problems += [Problem(path, message, line) for message in messages]
        if not messages:
            votes = float(row.get("votes", "1"))
            said.append(Said(row["dimension"], row["higher"], row["lower"], tied, votes, who))
    return said, problems


def _wrong(row: Mapping[str, str]) -> Iterator[str]:
    if row["dimension"] not in DIMENSIONS:
        yield f"dimension is {row['dimension']!r}, expected {' or '.join(DIMENSIONS)}"
    if not (row["higher"] and row["lower"]):
        yield "has a blank id, expected those of two clips"
    elif row["higher"] == row["lower"]:
        yield f"compares {row['higher']} with itself"
    if row.get("tied", "0") not in ("0", "1"):
        yield f"tied is {row['tied']!r}, expected 0 or 1"
    votes = row.get("votes", "1")
    if not as_number(votes) > 0:
        yield f"votes is {votes!r}, expected a number above 0"


def _in_order(row: Said) -> Said:
    if not row.tied or row.higher < row.lower:
        return row
    return Said(row.dimension, row.lower, row.higher, True, row.votes, row.annotator)


def _key(row: Said) -> tuple[object, ...]:
    pair = sorted((row.higher, row.lower))
    return (row.dimension, *pair, row.annotator or "", row.higher, row.tied, row.votes)


def _content(clips: Sequence[Clip], comparisons: Mapping[str, Comparisons]) -> Iterator[str]:
    for clip in clips:
        yield f"{clip.id}\t{clip.unit or ''}"
    for dimension, found in sorted(comparisons.items()):
        arrays = (found.higher, found.lower, found.tied.astype(np.int64))
        columns = zip(*(array.tolist() for array in arrays), strict=True)
        for row, votes, who in zip(columns, found.votes.tolist(), found.annotators, strict=True):
            yield f"{dimension}\t{row}\t{votes!r}\t{who or ''}"
