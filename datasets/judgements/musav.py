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
:mod:`earmark.datasets.judgements.rules`. The derived files that the release ships
(``*.agreement``, ``*.gt*``) are not read by :func:`load`; :func:`validate` compares them.

References
----------
.. [1] D. Bogdanov, X. Lizarraga-Seijas, P. Alonso-Jiménez, X. Serra, "MusAV: a dataset of relative
       arousal-valence annotations for validation of audio models", ISMIR 2022.
"""

from __future__ import annotations

from pathlib import Path

from earmark.datasets.base import DataError, DatasetCard, Problem, refuse
from earmark.datasets.judgements import judged
from earmark.datasets.judgements import musav_files as files
from earmark.datasets.judgements.judged import JudgedPairs
from earmark.datasets.judgements.pairwise import PairwiseJudgements
from earmark.datasets.judgements.rules import DIMENSIONS, SUBSETS, Judgement, Pair, Triplet

__all__ = [
    "DIMENSIONS",
    "SUBSETS",
    "Judgement",
    "MusAV",
    "Pair",
    "Triplet",
    "load",
    "load_judgements",
    "open_set",
    "validate",
]

MusAV = JudgedPairs
"""MusAV is judged pairs like any others."""

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


def load(root: Path | str) -> JudgedPairs:
    """Open MusAV at its repository's root, or at the ``data/`` in it.

    A folder with ``judged.toml`` is somebody's own set, opened as :func:`.judged.load` does.
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
    data = _data(root)
    if (data / judged.ABOUT).is_file():
        return judged.load(root)
    reading = files.read(data)
    refuse(f"MusAV at {root}", reading.faults)
    return _build(reading)


def open_set(root: Path | str) -> JudgedPairs:
    """Open MusAV where MuSe's songs lie beside it, else judged pairs in any layout.

    Raises
    ------
    DataError
        As :func:`load` or :func:`.judged.load`.
    """
    data = files.data_folder(root)
    return load(root) if data is not None and (data / files.MUSE).is_file() else judged.load(root)


def load_judgements(
    root: Path | str, *, subset: str | None = None, audio: Path | str | None = None
) -> PairwiseJudgements:
    """Open MusAV as comparisons of two songs each, by :meth:`.JudgedPairs.comparisons`.

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
        data = _data(root)
    except DataError as error:
        return [Problem(Path(root), str(error))]
    if (data / judged.ABOUT).is_file():
        return judged.validate(root)
    reading = files.read(data)
    problems = reading.faults + reading.gaps
    files.read_loudness(reading.data, reading.triplets, problems)
    files.read_genres(reading.data, reading.triplets, problems)
    if not reading.faults:
        musav = _build(reading)
        pairs = {dimension: musav.pairs(dimension) for dimension in DIMENSIONS}
        problems += files.compare_shipped(reading.data, pairs, muse=musav.muse_ids)
    return problems + files.check_audio(reading)


def _data(root: Path | str) -> Path:
    found = files.data_folder(root)
    if found is None:
        raise DataError(
            f"MusAV at {root}: expected data/annotations/ and data/triplets.jsonl, found neither; "
            f"clone https://github.com/MTG/musav-dataset and give its folder"
        )
    return found


def _build(reading: files.Reading) -> JudgedPairs:
    return judged.build(
        reading, _card, namespace="spotify", audio=("audio_chunks",), may_lack_files=False
    )


def _card(digest: str) -> DatasetCard:
    released = digest == RELEASE_FINGERPRINT
    return DatasetCard(
        id="musav",
        title="MusAV: relative arousal-valence annotations",
        version="2022-12-16 (09139ae)" if released else f"not the release: {digest[:12]}",
        licence="CC BY-NC-SA 4.0 (annotations); audio: non-commercial research only",
        citation=_CITATION,
        source="https://github.com/MTG/musav-dataset; audio: doi:10.5281/zenodo.7448344",
        notes=_RELEASE_NOTES if released else (),
    )
