"""MusAV: which of two songs has the higher arousal, and the higher valence.

2,092 songs in 699 triplets; three annotators compared the songs of each pair. The judgements are
public (https://github.com/MTG/musav-dataset); the 30-second previews are on request
(https://doi.org/10.5281/zenodo.7448344).

Layout
------
The official repository's own. The root is the repository, or its ``data/``::

    data/triplets.jsonl                          all triplets of the annotation pool
    data/annotations/annotations.arousal.all     raw judgements; likewise valence
    data/annotations/ismir2022/ismir2022-muse.songids
    data/audio.ebur128                           integrated loudness, LUFS
    data/genres.jsonl
    data/audio_chunks/**/XX/ID.mp3               optional; XX: first two characters of ID

Agreement, outcome, consistency and the ground-truth subsets are derived from the raw judgements by
:mod:`earmark.datasets.judgements.musav_files`. The derived files that the release ships
(``*.agreement``, ``*.gt*``) are not read by :func:`load`; :func:`validate` compares them.

References
----------
.. [1] D. Bogdanov, X. Lizarraga-Seijas, P. Alonso-Jiménez, X. Serra, "MusAV: a dataset of relative
       arousal-valence annotations for validation of audio models", ISMIR 2022.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from pathlib import Path

from earmark.datasets.base import (
    Clip,
    DataError,
    DatasetCard,
    Problem,
    audio_files,
    fingerprint,
    refuse,
    with_origin,
)
from earmark.datasets.judgements.musav_files import (
    DIMENSIONS,
    SUBSETS,
    Judgement,
    Pair,
    Reading,
    Triplet,
    check_audio,
    compare_shipped,
    derive_pairs,
    read,
    read_genres,
    read_loudness,
    select,
)
from earmark.datasets.judgements.pairwise import PairwiseJudgements, Said, assemble

__all__ = [
    "DIMENSIONS",
    "SUBSETS",
    "Judgement",
    "MusAV",
    "Pair",
    "Triplet",
    "load",
    "load_judgements",
    "validate",
]

RELEASE_FINGERPRINT = "410e28eddad49e1bc6477492b085cc6d2a3eab5895fdeafdc4aa50954f8e83d0"
"""Of the official repository at commit 09139ae (2022-12-16)."""

_CITATION = """\
@inproceedings{bogdanov2022musav,
  author = {Bogdanov, Dmitry and Lizarraga-Seijas, Xavier and Alonso-Jiménez, Pablo
            and Serra, Xavier},
  title = {{MusAV}: A dataset of relative arousal-valence annotations for validation of audio
           models},
  booktitle = {International Society for Music Information Retrieval Conference (ISMIR 2022)},
  address = {Bengaluru, India},
  year = {2022},
  url = {http://hdl.handle.net/10230/54181}
}"""

_RELEASE_NOTES = (
    "judgements come from 21 annotator ids, although the paper speaks of 20 annotators",
    "triplet 1b02f828d27049dfbae3caed2011ed46 is known to hold one recording under two ids; "
    "it is kept, as in the official ground truth",
)


@dataclass(frozen=True)
class MusAV:
    """The judgements of MusAV and all that follows from them.

    Everything is in a canonical order (triplet, then song ids), whatever the order in the files.
    """

    root: Path
    """The folder that holds ``annotations/``."""
    card: DatasetCard
    fingerprint: str
    """Digest of the judgements, their triplets and which of their songs are in MuSe."""
    song_ids: tuple[str, ...]
    """The judged songs, sorted."""
    annotators: tuple[str, ...]
    triplets: Mapping[str, Triplet]
    """All of the annotation pool by id, judged or not."""
    muse_ids: frozenset[str]
    """The judged songs that are also in MuSe; the ``ismir2022`` subsets do without them."""
    _judgements: Mapping[str, tuple[Judgement, ...]] = field(repr=False)
    _pairs: Mapping[str, tuple[Pair, ...]] = field(repr=False)

    @cached_property
    def loudness(self) -> Mapping[str, float]:
        """EBU R128 integrated loudness in LUFS by song id, over the pool; read on first use.

        Raises
        ------
        DataError
            If ``audio.ebur128`` has a problem that :func:`validate` lists.
        """
        problems: list[Problem] = []
        loudness = read_loudness(self.root, self.triplets, problems)
        refuse(f"MusAV at {self.root}", problems)
        return loudness

    @cached_property
    def genres(self) -> Mapping[str, tuple[str, ...]]:
        """Genres by song id, over the pool; read on first use.

        Raises
        ------
        DataError
            If ``genres.jsonl`` has a problem that :func:`validate` lists.
        """
        problems: list[Problem] = []
        genres = read_genres(self.root, self.triplets, problems)
        refuse(f"MusAV at {self.root}", problems)
        return genres

    def judgements(self, dimension: str) -> tuple[Judgement, ...]:
        """Return the raw judgements of one of :data:`DIMENSIONS`."""
        return self._judgements[_known(dimension)]

    def pairs(self, dimension: str) -> tuple[Pair, ...]:
        """Return every judged pair, ground truth or not."""
        return self._pairs[_known(dimension)]

    def ground_truth(self, dimension: str, subset: str = "gt") -> tuple[Pair, ...]:
        """Return the pairs of one of :data:`SUBSETS`, the ``ab`` (equal) ones among them."""
        return select(self.pairs(dimension), subset, muse=self.muse_ids)

    def clips(self, *, audio: Path | str | None = None) -> tuple[Clip, ...]:
        """Return one clip a judged song, in the order of ``song_ids``; its unit is its triplet.

        Parameters
        ----------
        audio
            Where the previews are, if not in ``audio_chunks/`` of the dataset: files named
            ``<song id>.mp3`` (or another audio suffix) at any depth. A song without one gets the
            path None.

        Raises
        ------
        DataError
            If there is more than one file of a song, or no folder ``audio``.
        """
        folder = self.root / "audio_chunks" if audio is None else Path(audio)
        if audio is not None and not folder.is_dir():
            raise DataError(
                f"MusAV audio: no folder {folder}, expected one with <song id>.mp3 in it"
            )
        unit = {song: t.id for t in self.triplets.values() for song in t.songs}
        path_of: dict[str, Path] = {}
        for path in audio_files(folder):
            if path.stem in unit and path.stem in path_of:
                both = f"{path_of[path.stem]} and {path}"
                raise DataError(f"song {path.stem} of MusAV has two files, remove one: {both}")
            path_of[path.stem] = path
        return tuple(Clip(song, path_of.get(song), unit=unit[song]) for song in self.song_ids)

    def comparisons(
        self, *, subset: str | None = None, audio: Path | str | None = None
    ) -> PairwiseJudgements:
        """Return the judgements as comparisons; a clip's unit is its triplet.

        Parameters
        ----------
        subset
            One of :data:`SUBSETS`: what the annotators agree on, one comparison per pair. None:
            what each annotator said, without ``not_selected``.
        audio
            As of :meth:`clips`.

        Raises
        ------
        DataError
            If the subset is unknown, or as :meth:`clips`.
        """
        said, silent = [], 0
        for dimension in DIMENSIONS:
            answers: Iterable[tuple[Judgement | Pair, str | None]] = (
                ((judgement, judgement.annotator) for judgement in self.judgements(dimension))
                if subset is None
                else ((pair, None) for pair in self.ground_truth(dimension, subset))
            )
            for answer, annotator in answers:
                songs = answer.song_a, answer.song_b
                silent += answer.higher_value == "not_selected"
                if answer.higher_value != "not_selected":
                    higher, lower = songs[::-1] if answer.higher_value == "b" else songs
                    tied = answer.higher_value == "ab"
                    said.append(Said(dimension, higher, lower, tied, annotator=annotator))
        rule = f"ground truth {subset}" if subset else f"judgements; {silent} not_selected left out"
        clips = self.clips(audio=audio)
        return assemble(said, clips, self.card, rule=rule, namespace="spotify")


def load(root: Path | str) -> MusAV:
    """Open MusAV at its repository's root, or at the ``data/`` in it.

    Tolerated, and noted on the card: pairs with fewer than three judgements (``incomplete``) or
    judged by someone on one dimension only, and triplets with fewer than three pairs. Loudness and
    genres are read on first use, and only that fails if their files have problems; the derived
    files may be absent. Everything else that :func:`validate` finds is an error.

    Raises
    ------
    DataError
        If ``root`` does not hold MusAV, or a row is missing, malformed, duplicate or contradictory;
        the message has the first ten problems and how many there are.
    """
    reading = read(root)
    refuse(f"MusAV at {root}", reading.faults)
    return _assemble(reading)


def load_judgements(
    root: Path | str, *, subset: str | None = None, audio: Path | str | None = None
) -> PairwiseJudgements:
    """Open MusAV as comparisons of two songs each: :func:`load`, then :meth:`MusAV.comparisons`.

    Parameters
    ----------
    subset
        The ground-truth set to take, e.g. ``gt.ct.fa``; None: ``gt``.
    """
    return load(root).comparisons(subset=subset, audio=audio)


def validate(root: Path | str) -> list[Problem]:
    """Return everything that is wrong with the files, in the order of reading.

    The shipped derived files are compared with the derivation once the raw files are sound: on
    unsound ones every comparison would only repeat the fault.
    """
    try:
        reading = read(root)
    except DataError as error:
        return [Problem(Path(root), str(error))]
    problems = reading.faults + reading.gaps
    read_loudness(reading.data, reading.triplets, problems)
    read_genres(reading.data, reading.triplets, problems)
    if not reading.faults:
        musav = _assemble(reading)
        pairs = {dimension: musav.pairs(dimension) for dimension in DIMENSIONS}
        problems += compare_shipped(reading.data, pairs, muse=musav.muse_ids)
    return problems + check_audio(reading)


def _assemble(reading: Reading) -> MusAV:
    judgements = {
        dimension: tuple(sorted(rows, key=attrgetter("triplet", "song_a", "song_b", "annotator")))
        for dimension, rows in reading.judgements.items()
    }
    pairs = {d: derive_pairs(rows, reading.triplets) for d, rows in judgements.items()}
    judged = [pair for dimension in DIMENSIONS for pair in pairs[dimension]]
    songs = sorted({song for pair in judged for song in (pair.song_a, pair.song_b)})
    muse = reading.muse.intersection(songs)
    digest = fingerprint(_content(judgements, reading.triplets, sorted(muse)))
    return MusAV(
        root=reading.data,
        card=with_origin(_card(digest, _notes(reading, pairs)), reading.data),
        fingerprint=digest,
        song_ids=tuple(songs),
        annotators=tuple(sorted({j.annotator for rows in judgements.values() for j in rows})),
        triplets=reading.triplets,
        muse_ids=muse,
        _judgements=judgements,
        _pairs=pairs,
    )


def _content(
    judgements: Mapping[str, tuple[Judgement, ...]],
    triplets: Mapping[str, Triplet],
    muse: list[str],
) -> Iterator[str]:
    for dimension in DIMENSIONS:
        for j in judgements[dimension]:
            songs, kind = f"{j.song_a} {j.song_b}", triplets[j.triplet].type
            yield f"{dimension} {j.triplet} {kind} {songs} {j.annotator} {j.higher_value}"
    yield f"muse {' '.join(muse)}"


def _card(digest: str, notes: tuple[str, ...]) -> DatasetCard:
    released = digest == RELEASE_FINGERPRINT
    return DatasetCard(
        id="musav",
        title="MusAV: relative arousal-valence annotations",
        version="2022-12-16 (09139ae)" if released else f"not the release: {digest[:12]}",
        licence="CC BY-NC-SA 4.0 (annotations); audio: non-commercial research only",
        citation=_CITATION,
        source="https://github.com/MTG/musav-dataset; audio: doi:10.5281/zenodo.7448344",
        notes=(_RELEASE_NOTES if released else ()) + notes,
    )


def _notes(reading: Reading, pairs: Mapping[str, tuple[Pair, ...]]) -> tuple[str, ...]:
    notes = []
    for dimension in DIMENSIONS:
        judged = Counter(pair.triplet for pair in pairs[dimension])
        lacking = sum(n < 3 for n in judged.values())
        if lacking:
            notes.append(
                f"{lacking} of {len(judged)} triplets have fewer than three judged pairs of "
                f"{dimension} and count as incomplete"
            )
    for path, n in Counter(problem.path for problem in reading.gaps).items():
        first = next(problem for problem in reading.gaps if problem.path == path)
        notes.append(f"{path.name}: {n} gap(s), the first: {first.message}")
    return tuple(notes)


def _known(dimension: str) -> str:
    if dimension not in DIMENSIONS:
        raise DataError(f"MusAV has no dimension {dimension!r}, expected {' or '.join(DIMENSIONS)}")
    return dimension
