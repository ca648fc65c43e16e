"""Excerpts of clips for the players of a report (``earmark report --audio``).

The datasets are opened again as the suite in the record says, and held against the fingerprint in
the record. A dataset whose loader is code of the user's own is not opened: a record may come from
somebody else, and a report runs no code that a record names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earmark.bench.run.suite import Suite, SuiteError, parse_suite
from earmark.datasets.audio import AudioError, as_mp3, load, middle
from earmark.datasets.base import Clip, DataError, Progress
from earmark.datasets.files.data_paths import placed
from earmark.datasets.registry import DATASETS
from earmark.reports.page.players import MIB, Excerpt, Excerpts, Wish, size
from earmark.reports.record.schema import ItemProblem, RunRecord

SECONDS = 10.0
SAMPLE_RATE = 24_000
"""In Hz: up to 12 kHz are heard, in half the bytes of a whole spectrum."""
_FREE = re.compile(
    r"\b(CC0|CC[ -]BY(?![\w -]*\bND)|Apache|MIT|public domain|none needed)\b", re.IGNORECASE
)


@dataclass(slots=True)
class _Opened:
    """A dataset's clips by id, and what else names them."""

    card: Any
    clips: Mapping[str, Clip]
    of_caption: Mapping[str, str] = field(default_factory=dict)
    """The first clip of each caption, by its words and by its id."""
    of_pair: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def excerpts_of(
    wishes: Sequence[Wish],
    records: Sequence[RunRecord],
    *,
    mib: float,
    progress: Progress = lambda done, total, name: None,
) -> Excerpts:
    """Return excerpts of what was wished for, in that order, until they come to ``mib``.

    Whatever cannot be found or decoded is named with the reason; nothing here ends a report.
    """
    opened: dict[tuple[str, str], _Opened | str] = {}
    clips: dict[tuple[str, str], Clip | str] = {}
    asked: dict[Wish, list[tuple[str, str]]] = {}
    for wish in wishes:
        place = (wish.dataset, wish.task)
        if place not in opened:
            opened[place] = _open(*place, records)
        asked[wish] = []
        for item, clip in _clips(wish, opened[place]):
            asked[wish].append((wish.dataset, item))
            clips.setdefault((wish.dataset, item), clip)
    made, lost, left_out = _cut_all(clips, int(mib * MIB), progress)
    heard = {dataset for dataset, _ in made}
    cards = {place[0]: one.card for place, one in opened.items() if isinstance(one, _Opened)}
    return Excerpts(
        of={
            wish: [made[key] for key in keys]
            for wish, keys in asked.items()
            if keys and all(key in made for key in keys)
        },
        how=f"at most {SECONDS:g} s from the middle of each, mono at {SAMPLE_RATE // 1000} kHz, "
        f"as MP3",
        mib=mib,
        left_out=left_out,
        unplayable=lost,
        warnings=[
            f"{cards[name].title}: “{cards[name].licence}” does not say that everybody may pass "
            f"its audio on. Do so only if you may."
            for name in cards
            if name in heard and not may_be_passed_on(cards[name].licence)
        ],
    )


def may_be_passed_on(licence: str) -> bool:
    """Return whether a card's licence allows everybody to pass excerpts of the audio on.

    What is not known to allow it is taken not to.

    >>> may_be_passed_on("audio CC BY-NC-SA 1.0 (Magnatune); annotations: none stated")
    True
    >>> may_be_passed_on("CC BY-SA 4.0 (captions); the audio is not distributed")
    False
    """
    parts = licence.split(";")
    of_audio = [part for part in parts if "audio" in part.casefold()]
    annotated = re.compile(r"\((annotations|captions|judgements|ratings)\)", re.IGNORECASE)
    rest = [part for part in parts if not annotated.search(part)]
    return any(_FREE.search(part) for part in of_audio or rest)


def _open(name: str, task: str, records: Sequence[RunRecord]) -> _Opened | str:
    """Return a dataset of the records, or why there is none."""
    found = [(record, entry) for record in records for entry in record.datasets if entry.id == name]
    if not found:
        return f"no record lists the dataset {name}"
    if len({entry.fingerprint for _, entry in found}) > 1:
        return f"the runs have unlike data under the name {name}"
    record, entry = found[0]
    try:
        suite = parse_suite(record.suite.toml.encode(), of=f"in the record {record.id}")
        source = suite.datasets.get(name)
        if source is None:
            return f"the suite in the record {record.id} does not list {name}"
        if source.loader not in DATASETS.targets():
            return (
                f"{name} was opened by {source.loader}, which is no dataset that is registered "
                f"here; a report runs no code that a record names"
            )
        dataset = DATASETS.create(source.loader, placed(source.options))
        if dataset.fingerprint != entry.fingerprint:
            return (
                f"the {name} available here is not what was run: its fingerprint is "
                f"{dataset.fingerprint[:12]}, in the record {entry.fingerprint[:12]}"
            )
        return _indexed(dataset, audio=_audio_option(suite, name, task))
    except (DataError, SuiteError, OSError) as error:
        return str(error)


def _audio_option(suite: Suite, dataset: str, task: str) -> str | None:
    """Return where a task says that the audio of a dataset lies, if it says so."""
    options = (one.options for one in suite.tasks if (one.task, one.dataset) == (task, dataset))
    return next((placed(found["audio"]) for found in options if found.get("audio")), None)


def _indexed(dataset: Any, *, audio: str | None) -> _Opened:
    clips = dataset.clips(audio=audio) if callable(dataset.clips) else dataset.clips
    opened = _Opened(dataset.card, {clip.id: clip for clip in clips})
    if hasattr(dataset, "captions"):
        owners = [clips[index].id for index in dataset.clip_of.tolist()]
        # The first of several clips counts, as for the query in the table.
        by_words = dict(zip(reversed(dataset.captions), reversed(owners), strict=True))
        opened.of_caption = by_words | dict(zip(dataset.caption_ids, owners, strict=True))
    if hasattr(dataset, "pairs"):
        opened.of_pair = {
            pair.id: (pair.song_a, pair.song_b)
            for dimension in dataset.dimensions
            for pair in dataset.pairs(dimension)
        }
    return opened


def _clips(wish: Wish, opened: _Opened | str) -> Iterator[tuple[str, Clip | str]]:
    """Yield the ids of the clips that are meant, each with the clip or why there is none."""
    if isinstance(opened, str):
        yield wish.name, opened
        return
    ids: tuple[str, ...] = (wish.name,)
    if wish.what == "pair":
        ids = opened.of_pair.get(wish.name, ())
    elif wish.what != "clip":
        owner = opened.of_caption.get(wish.name)
        ids = () if owner is None else (owner,)
    if not ids:
        yield wish.name, f"{wish.dataset} has no such {wish.what}"
    for name in ids:
        yield name, opened.clips.get(name, f"{wish.dataset} has no such clip")


def _cut_all(
    clips: Mapping[tuple[str, str], Clip | str], most: int, progress: Progress
) -> tuple[dict[tuple[str, str], Excerpt], list[ItemProblem], int]:
    """Return excerpts, what could not be had, and how many were not begun for lack of room."""
    made: dict[tuple[str, str], Excerpt] = {}
    lost: list[ItemProblem] = []
    total, left_out = 0, 0
    for number, (key, clip) in enumerate(clips.items(), start=1):
        if isinstance(clip, str) or clip.path is None:
            reason = clip if isinstance(clip, str) else f"no audio of it is available in {key[0]}"
            lost.append(ItemProblem(item=key[1], reason=reason))
        elif left_out:
            left_out += 1
        else:
            try:
                excerpt = Excerpt(*key, cut(clip.path))
            except AudioError as error:
                lost.append(ItemProblem(item=key[1], reason=f"{error.path.name}: {error.reason}"))
            else:
                total += size(excerpt)
                if total > most:
                    left_out += 1
                else:
                    made[key] = excerpt
        progress(number, len(clips), "excerpts")
    return made, lost, left_out


def cut(path: Path, *, seconds: float = SECONDS) -> bytes:
    """Return the middle of a file as MP3, the same bytes for the same file.

    Raises
    ------
    AudioError
        If it cannot be decoded, or is silent.
    """
    samples = load(path, sample_rate=SAMPLE_RATE).samples
    return as_mp3(middle(samples, round(seconds * SAMPLE_RATE)), SAMPLE_RATE)
