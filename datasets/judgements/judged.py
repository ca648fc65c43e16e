"""Judged pairs of any songs: which of two is higher on a dimension, as several listeners say.

Any set of such judgements, whatever was asked: arousal and valence, preference, likeness to a
reference. From the raw judgements follow agreement, outcome, consistency and ground-truth sets, by
:mod:`earmark.datasets.judgements.rules`; models are scored on these, and heads learn from the
judgements themselves (:meth:`JudgedPairs.comparisons`). The loader :func:`load` opens either of
these layouts; :mod:`.musav` opens MusAV as released.

Layout: MusAV's
---------------
As ``earmark judge export`` writes it. The root is the folder, or its ``data/``::

    data/judged.toml                          optional; see below
    data/triplets.jsonl                       {"tripletid", "songids": [three], "triplet_type"}
    data/annotations/annotations.<dimension>.all
                                              {"tripletid", "songid_a", "songid_b", "annotator",
                                              "type": <dimension>, "higher_value": a, b, ab, ...}
    data/audio.ebur128                        optional: <song id> <LUFS>
    data/genres.jsonl                         optional: {"id", "genres": [...]}
    data/audio_chunks/**/ID.mp3               optional, or audio/, or excerpts/

``judged.toml`` says whose the set is, and what was asked::

    title = "Our catalogue, judged"
    licence = "CC BY 4.0"
    citation = "@misc{...}"

    [dimensions.arousal]
    question = "Which song has the higher arousal?"
    low = "calm"
    high = "excited"

Layout: a table
---------------
::

    judgements.csv        triplet,a,b,annotator,dimension,higher_value; or
                          dimension,higher,lower[,tied][,votes][,annotator]
    audio/<id>.wav        at any depth, or another audio file; optional

:mod:`earmark.datasets.judgements.sheets` says more of both kinds of table.

What is resampled together is a triplet. A table may name none, or songs may be in several: then it
is all that comparisons join, and where everything hangs together, each pair by itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar, Unpack, cast

from earmark.datasets.base import (
    CardOptions,
    Clip,
    DataError,
    DatasetCard,
    Problem,
    card_of_folder,
    fingerprint,
    refuse,
    with_origin,
)
from earmark.datasets.files.text_files import UnreadableError, parse_toml
from earmark.datasets.judgements import musav_files as files
from earmark.datasets.judgements import sheets
from earmark.datasets.judgements.pairwise import PairwiseJudgements, Said, assemble
from earmark.datasets.judgements.rules import (
    SUBSETS,
    Judgement,
    Pair,
    Triplet,
    derive_pairs,
    select,
)
from earmark.datasets.ratings.table import audio_paths

BySong = TypeVar("BySong", dict[str, float], dict[str, tuple[str, ...]])
ABOUT = "judged.toml"
TABLE = "judgements.csv"
AUDIO = ("audio_chunks", "audio", "excerpts")
DIMENSION = re.compile(r"[^\W_](?:[\w .-]{0,38}[\w])?")
"""How a dimension may be called: up to 40 letters, digits, ``_``, ``.``, ``-`` and blanks."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What listeners were asked on one dimension; blank where it is not known."""

    question: str = ""
    low: str = ""
    """The low end, in words."""
    high: str = ""


@dataclass(frozen=True)
class JudgedPairs:
    """Judgements of pairs of songs and all that follows from them.

    Everything is in a canonical order (triplet, then song ids), whatever the order in the files.
    """

    root: Path
    """In the layout of MusAV, the folder that holds ``annotations/``."""
    card: DatasetCard
    fingerprint: str
    """Digest of the judgements, their triplets and which of their songs are in MuSe."""
    dimensions: tuple[str, ...]
    asked: Mapping[str, Asked]
    """By dimension."""
    song_ids: tuple[str, ...]
    """The judged songs, sorted."""
    annotators: tuple[str, ...]
    """Those that are known by name; none where it is only known how many said what."""
    per_pair: int
    """Judgements of a complete pair; one with fewer is never ground truth."""
    triplets: Mapping[str, Triplet]
    """All that were to be judged, by id: what is resampled together. Judged or not."""
    subsets: tuple[str, ...]
    """Those of :data:`.rules.SUBSETS` that make sense here."""
    muse_ids: frozenset[str]
    """The judged songs that are also in MuSe; the ``ismir2022`` subsets do without them."""
    namespace: str
    """As of :class:`earmark.datasets.base.RatedClips`."""
    _audio: tuple[str, ...] = field(repr=False)
    _may_lack_files: bool = field(repr=False)
    _judgements: Mapping[str, tuple[Judgement, ...]] = field(repr=False)
    _pairs: Mapping[str, tuple[Pair, ...]] = field(repr=False)

    @property
    def is_musav(self) -> bool:
        """Whether it has all sets of MusAV: a list of MuSe's songs belongs to it."""
        return self.subsets == SUBSETS

    @cached_property
    def loudness(self) -> Mapping[str, float]:
        """EBU R128 integrated loudness in LUFS by song id; read on first use, empty if not known.

        Raises
        ------
        DataError
            If ``audio.ebur128`` has a problem that :func:`validate` lists.
        """
        return self._read("audio.ebur128", files.read_loudness)

    @cached_property
    def genres(self) -> Mapping[str, tuple[str, ...]]:
        """Genres by song id; read on first use, empty if not known.

        Raises
        ------
        DataError
            If ``genres.jsonl`` has a problem that :func:`validate` lists.
        """
        return self._read("genres.jsonl", files.read_genres)

    def _read(
        self, name: str, reader: Callable[[Path, Mapping[str, Triplet], list[Problem]], BySong]
    ) -> BySong:
        if self._may_lack_files and not (self.root / name).exists():
            return cast(BySong, {})
        problems: list[Problem] = []
        found = reader(self.root, self.triplets, problems)
        refuse(f"{self.card.id} at {self.root}", problems)
        return found

    def judgements(self, dimension: str) -> tuple[Judgement, ...]:
        """Return the raw judgements of one dimension."""
        return self._judgements[self._known(dimension)]

    def pairs(self, dimension: str) -> tuple[Pair, ...]:
        """Return every judged pair, ground truth or not."""
        return self._pairs[self._known(dimension)]

    def ground_truth(self, dimension: str, subset: str = "gt") -> tuple[Pair, ...]:
        """Return the pairs of one of ``subsets``, the ``ab`` (equal) ones among them."""
        return select(self.pairs(dimension), subset, muse=self.muse_ids, of=self.subsets)

    def without(self, annotators: Collection[str]) -> JudgedPairs:
        """Return the set without what some annotators said.

        A pair is complete with one judgement less than before, at least one. Songs that nobody else
        judged are gone. The card and what is read on first use stay as they are.

        Raises
        ------
        DataError
            If one of them is not an annotator of the set, or nobody would be left.
        """
        if strange := sorted(set(annotators) - set(self.annotators)):
            raise DataError(f"{self.card.id} has no annotator {strange[0]!r}")
        kept = {
            name: [one for one in rows if one.annotator not in annotators]
            for name, rows in self._judgements.items()
        }
        if not any(kept.values()):
            raise DataError(f"{self.card.id}: nobody is left without {', '.join(annotators)}")
        per_pair = max(1, self.per_pair - 1) if annotators else self.per_pair
        muse = self.muse_ids if any("ismir2022" in one for one in self.subsets) else None
        reading = files.Reading(self.root, dict(self.triplets), kept, per_pair, muse)
        made = build(reading, lambda digest: self.card, namespace=self.namespace)
        return replace(
            made,
            card=self.card,
            asked=self.asked,
            subsets=self.subsets,
            _audio=self._audio,
            _may_lack_files=self._may_lack_files,
        )

    def _known(self, dimension: str) -> str:
        if dimension not in self.dimensions:
            there = " or ".join(self.dimensions)
            raise DataError(f"{self.card.id} has no dimension {dimension!r}, expected {there}")
        return dimension

    @cached_property
    def units(self) -> Mapping[str, str | None]:
        """Each judged song's triplet; None for all where songs are in several."""
        places = Counter(song for triplet in self.triplets.values() for song in triplet.songs)
        if any(n > 1 for n in places.values()):
            return dict.fromkeys(self.song_ids)
        of = {song: t.id for t in self.triplets.values() for song in t.songs}
        return {song: of[song] for song in self.song_ids}

    def clips(self, *, audio: Path | str | None = None) -> tuple[Clip, ...]:
        """Return one clip a judged song, in the order of ``song_ids``; its unit is its triplet.

        Parameters
        ----------
        audio
            Where the recordings are, if not in the dataset's own folder: files named
            ``<song id>.mp3`` (or another audio suffix) at any depth. A song without one gets the
            path None.

        Raises
        ------
        DataError
            If there is more than one file of a song, or no folder ``audio``.
        """
        name = f"{self.card.id} audio"
        paths = audio_paths(self.song_ids, of=name, root=self.root, usual=self._audio, audio=audio)
        return tuple(Clip(song, paths.get(song), unit=unit) for song, unit in self.units.items())

    def comparisons(
        self, *, subset: str | None = None, audio: Path | str | None = None
    ) -> PairwiseJudgements:
        """Return the judgements as comparisons; a clip's unit is its triplet.

        Parameters
        ----------
        subset
            One of ``subsets``: what the annotators agree on, one comparison per pair. None: what
            each annotator said, without ``not_selected``.
        audio
            As of :meth:`clips`.

        Raises
        ------
        DataError
            If the subset is unknown, or as :meth:`clips`.
        """
        said, silent = [], 0
        for dimension in self.dimensions:
            answers = (
                self.judgements(dimension)
                if subset is None
                else self.ground_truth(dimension, subset)
            )
            for answer in answers:
                silent += answer.higher_value == "not_selected"
                if answer.higher_value != "not_selected":
                    said.append(_said(dimension, answer))
        rule = f"ground truth {subset}" if subset else f"judgements; {silent} not_selected left out"
        clips = self.clips(audio=audio)
        return assemble(said, clips, self.card, rule=rule, namespace=self.namespace)


def _said(dimension: str, answer: Judgement | Pair) -> Said:
    songs = answer.song_a, answer.song_b
    higher, lower = songs[::-1] if answer.higher_value == "b" else songs
    tied = answer.higher_value == "ab"
    if isinstance(answer, Pair):
        return Said(dimension, higher, lower, tied)
    return Said(dimension, higher, lower, tied, answer.votes, answer.annotator or None)


def load(
    root: Path | str,
    *,
    table: str | None = None,
    audio: Path | str | None = None,
    per_pair: int | None = None,
    **card: Unpack[CardOptions],
) -> JudgedPairs:
    """Open judged pairs, laid out as the module's text says; nothing is decoded.

    Tolerated, and noted on the card: incomplete pairs, and triplets with fewer than three pairs.
    Loudness and genres are read on first use, and only that fails if their files have problems.
    Everything else that :func:`validate` finds is an error.

    Parameters
    ----------
    table
        The table in the root, if it is not ``judgements.csv``; the root may be a table itself.
    audio
        The folder of the clips, if it is not the set's own.
    per_pair
        Judgements of a complete pair: one with fewer is never ground truth. By default the most
        that a pair has; 1 in a table of what is higher and lower.

    Raises
    ------
    DataError
        If ``root`` holds neither, or a row is missing, malformed, duplicate or contradictory; the
        message has the first ten problems and how many there are.
    """
    folder, reading, about = _read_set(Path(root), table)
    refuse(f"judged pairs at {root}", [*about.faults, *reading.faults])
    if per_pair is not None:
        if per_pair < 1:
            raise DataError(f"judged pairs at {root}: per_pair is {per_pair}, expected at least 1")
        reading.per_pair = per_pair
    options: dict[str, Any] = {"licence": "not stated", "citation": "not stated"}
    options |= {"source": "not stated"} | about.card | card
    named = card_of_folder(folder, **options)
    own = AUDIO if folder == reading.data else (*AUDIO, *(f"../{name}" for name in AUDIO))
    if audio is not None:
        own = (str(Path(audio).resolve()),)
    found = build(reading, partial(_versioned, named), asked=about.asked, audio=own)
    found.clips(audio=audio)  # two files of a song, or no folder, are said when it is opened
    return found


def validate(root: Path | str, *, table: str | None = None) -> list[Problem]:
    """Return everything that is wrong with the files, in the order of reading."""
    try:
        _, reading, about = _read_set(Path(root), table)
    except DataError as error:
        return [Problem(Path(root), str(error))]
    problems = [*about.faults, *reading.faults, *reading.gaps]
    if (reading.data / "audio.ebur128").exists():
        files.read_loudness(reading.data, reading.triplets, problems)
    if (reading.data / "genres.jsonl").exists():
        files.read_genres(reading.data, reading.triplets, problems)
    return problems + files.check_audio(reading)


@dataclass(slots=True)
class About:
    """What ``judged.toml`` says of a set."""

    card: dict[str, str] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)
    faults: list[Problem] = field(default_factory=list)


def read_about(data: Path) -> About | None:
    """Read what a set says of itself; None: it has no ``judged.toml``."""
    path = data / ABOUT
    if not path.is_file():
        return None
    about = About()
    try:
        found = parse_toml(path.read_bytes())
    except (UnreadableError, OSError) as error:
        text = error.reason if isinstance(error, UnreadableError) else str(error)
        about.faults.append(Problem(path, text))
        return about
    asked = found.pop("dimensions", {})
    _take_texts(found, ("title", "licence", "citation", "source", "version"), about.card, about)
    if not isinstance(asked, dict) or not all(isinstance(one, dict) for one in asked.values()):
        about.faults.append(Problem(path, "dimensions: expected a table [dimensions.<name>] each"))
        return about
    for name, texts in asked.items():
        known: dict[str, str] = {}
        _take_texts(texts, ("question", "low", "high"), known, about, of=f"dimensions.{name}.")
        about.asked[name] = Asked(**known)
        if fault := wrong_dimension(name):
            about.faults.append(Problem(path, fault))
    about.faults = [Problem(path, one.message) for one in about.faults]
    return about


def _take_texts(
    given: Mapping[str, Any],
    names: tuple[str, ...],
    into: dict[str, str],
    about: About,
    of: str = "",
) -> None:
    for name, value in given.items():
        if name not in names:
            fault = f"{of}{name} is not known, expected {', '.join(names)}"
        elif not isinstance(value, str):
            fault = f"{of}{name} is {value!r}, expected text"
        else:
            into[name] = value.strip()
            continue
        about.faults.append(Problem(Path(ABOUT), fault))


def wrong_dimension(name: str) -> str | None:
    """Return what is wrong with the name of a dimension."""
    if DIMENSION.fullmatch(name) and name not in ("all", "any"):
        return None
    return f"dimension is {name!r}, expected a word such as arousal or preference"


def _versioned(card: DatasetCard, digest: str) -> DatasetCard:
    return replace(card, version=digest[:12]) if card.version == "not stated" else card


def build(
    reading: files.Reading,
    card_of: Callable[[str], DatasetCard],
    *,
    asked: Mapping[str, Asked] | None = None,
    namespace: str = "",
    audio: tuple[str, ...] = AUDIO,
    may_lack_files: bool = True,
) -> JudgedPairs:
    """Return the set that was read without a fault; ``card_of`` its digest gets its notes."""
    judgements = {
        name: tuple(sorted(rows, key=_place)) for name, rows in reading.judgements.items()
    }
    pairs = {
        name: derive_pairs(rows, reading.triplets, per_pair=reading.per_pair)
        for name, rows in judgements.items()
    }
    judged = [pair for rows in pairs.values() for pair in rows]
    songs = sorted({song for pair in judged for song in (pair.song_a, pair.song_b)})
    muse = None if reading.muse is None else reading.muse.intersection(songs)
    digest = digest_of(judgements, reading.triplets, muse)
    card = card_of(digest)
    notes = (*card.notes, *_notes(reading, pairs))
    annotators = {j.annotator for rows in judgements.values() for j in rows} - {""}
    return JudgedPairs(
        root=reading.data,
        card=with_origin(replace(card, notes=notes), reading.data),
        fingerprint=digest,
        dimensions=tuple(judgements),
        asked={name: (asked or {}).get(name, Asked()) for name in judgements},
        song_ids=tuple(songs),
        annotators=tuple(sorted(annotators)),
        per_pair=reading.per_pair,
        triplets=reading.triplets,
        subsets=_subsets(reading),
        muse_ids=muse or frozenset(),
        namespace=namespace,
        _audio=audio,
        _may_lack_files=may_lack_files,
        _judgements=judgements,
        _pairs=pairs,
    )


def digest_of(
    judgements: Mapping[str, tuple[Judgement, ...]],
    triplets: Mapping[str, Triplet],
    muse: frozenset[str] | None,
) -> str:
    """Return the fingerprint of judgements in canonical order."""
    return fingerprint(_content(judgements, triplets, muse))


def _content(
    judgements: Mapping[str, tuple[Judgement, ...]],
    triplets: Mapping[str, Triplet],
    muse: frozenset[str] | None,
) -> Iterator[str]:
    for dimension, rows in sorted(judgements.items()):
        for j in rows:
            songs, kind = f"{j.song_a} {j.song_b}", triplets[j.triplet].type
            votes = "" if j.votes == 1 else f" {j.votes!r}"
            yield f"{dimension} {j.triplet} {kind} {songs} {j.annotator} {j.higher_value}{votes}"
    if muse is not None:
        yield f"muse {' '.join(sorted(muse))}"


def _place(judgement: Judgement) -> tuple[object, ...]:
    j = judgement
    return (j.triplet, j.song_a, j.song_b, j.annotator, j.higher_value, j.votes)


def _subsets(reading: files.Reading) -> tuple[str, ...]:
    """Return the ground-truth sets that differ: all eight of MusAV's."""
    rows = [judgement for rows in reading.judgements.values() for judgement in rows]
    left_out = set()
    if max(len(reading.triplets[j.triplet].songs) for j in rows) != 3:
        left_out.add("ct")  # of a triplet with one judged pair, a table names two songs
    if reading.per_pair == 1 and all(j.votes <= 1 for j in rows):
        pairs = Counter((j.dimension, j.song_a, j.song_b) for j in rows)
        left_out |= {"fa"} if max(pairs.values()) == 1 else set()
    if reading.muse is None:
        left_out.add("ismir2022")
    return tuple(subset for subset in SUBSETS if left_out.isdisjoint(subset.split(".")))


def _notes(reading: files.Reading, pairs: Mapping[str, tuple[Pair, ...]]) -> Iterator[str]:
    yield from reading.notes
    for dimension, rows in pairs.items():
        of_three = [p for p in rows if len(reading.triplets[p.triplet].songs) == 3]
        judged = Counter(pair.triplet for pair in of_three)
        lacking = sum(n < 3 for n in judged.values())
        if lacking:
            yield (
                f"{lacking} of {len(judged)} triplets have fewer than three judged pairs of "
                f"{dimension} and count as incomplete"
            )
    for path, n in Counter(problem.path for problem in reading.gaps).items():
        first = next(problem for problem in reading.gaps if problem.path == path)
        yield f"{path.name}: {n} gap(s), the first: {first.message}"


def _read_set(root: Path, table: str | None) -> tuple[Path, files.Reading, About]:
    """Return the folder that names the set, what was read, and what it says of itself."""
    data = files.data_folder(root)
    sheet = root if root.is_file() else root / (table or TABLE)
    if data is not None and table is None and not root.is_file():
        about = read_about(data) or About()
        if about.faults:
            return root, files.Reading(data), about
        return root, files.read_any(data, tuple(about.asked)), about
    if not sheet.is_file():
        raise DataError(
            f"judged pairs at {root}: expected annotations/annotations.<dimension>.all and "
            f"triplets.jsonl (or both in data/), or the table {sheet.name}; found neither"
        )
    reading = sheets.read(sheet)
    for name in reading.judgements:
        if fault := wrong_dimension(name):
            reading.faults.append(Problem(sheet, fault))
    about = read_about(sheet.parent) or About()
    strange = [name for name in about.asked if name not in reading.judgements]
    if strange and not reading.faults:
        message = f"dimension {strange[0]} has no judgement in {sheet.name}"
        about.faults.append(Problem(sheet.parent / ABOUT, message))
    return (sheet.with_suffix("") if root.is_file() else root), reading, about
