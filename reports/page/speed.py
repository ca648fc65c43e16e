"""How fast the code is beside a reference: ratios saved by pytest-benchmark, and their section.

``pytest bench/speed --benchmark-json F`` writes a file of pytest-benchmark with a :class:`Ratio` in
the ``extra_info`` of each benchmark. Both sides ran in one process in turns, so that a ratio is
known better than either time, and says as much on another machine.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationError
from pydantic import model_validator as whole

from earmark.reports import words
from earmark.reports.content import (
    Block,
    Cell,
    Column,
    Page,
    Paragraph,
    Section,
    TableBlock,
    text,
)
from earmark.reports.record.schema import Part, RecordError

KEY: Final = "ratio"
"""In a benchmark's ``extra_info``."""
Verdict = Literal["fast enough", "too slow", "undecided"]


class Ratio(Part):
    """Time of the reference divided by time of ours: 2 is twice as fast. Higher is better."""

    name: str
    reference: str
    """What ours is held against."""
    ratio: float = Field(gt=0)
    """The median over rounds."""
    low: float = Field(gt=0)
    high: float = Field(gt=0)
    level: float = Field(gt=0, lt=1)
    """The coverage of the interval of the median, by order statistics."""
    ratios: list[float] = Field(min_length=1)
    """Of each round."""
    target: float = Field(gt=0)
    clock: Literal["wall", "processor"]
    ours_seconds: float = Field(gt=0)
    reference_seconds: float = Field(gt=0)
    """Medians over rounds; the reference's for as much work as ours does."""
    busy: str = ""
    """Why the machine was too busy to be measured on; empty where it was not."""
    verdict: Verdict

    @whole(mode="after")
    def _hangs_together(self) -> Self:
        if not self.low <= self.ratio <= self.high:
            raise ValueError(f"{self.name}: {self.ratio} is not in [{self.low}, {self.high}]")
        if (expected := decide(self.low, self.high, self.target, busy=self.busy)) != self.verdict:
            raise ValueError(f"{self.name}: the verdict is {self.verdict!r}, expected {expected!r}")
        return self


def decide(low: float, high: float, target: float, *, busy: str = "") -> Verdict:
    """Return what an interval says of a target; on a busy machine no ratio is too slow.

    >>> decide(5.1, 6.0, 5.0), decide(4.0, 6.0, 5.0), decide(4.0, 4.9, 5.0)
    ('fast enough', 'undecided', 'too slow')
    """
    if low >= target:
        return "fast enough"
    return "too slow" if high < target and not busy else "undecided"


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """What one file of pytest-benchmark says."""

    path: Path
    machine: str
    date: str
    """ISO 8601."""
    commit: str
    ratios: list[Ratio]


def read_benchmarks(path: Path | str) -> Benchmarks:
    """Read the ratios of a file that ``pytest bench/speed --benchmark-json FILE`` wrote.

    Raises
    ------
    RecordError
        If the file cannot be read, is none of pytest-benchmark's, or holds no ratio or a bad one.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise RecordError(f"speed file {path}: {error.strerror or error}") from error
    except ValueError as error:  # neither UTF-8 nor JSON
        raise RecordError(f"speed file {path} is not JSON ({error}){_EXPECTED}") from error
    if not isinstance(content, dict) or not {"benchmarks", "machine_info"} <= content.keys():
        raise RecordError(f"speed file {path} is no file of pytest-benchmark{_EXPECTED}")
    try:
        ratios = [
            Ratio.model_validate(one["extra_info"][KEY])
            for one in content["benchmarks"]
            if KEY in one["extra_info"]
        ]
        found = Benchmarks(
            path=path,
            machine=_machine(content["machine_info"]),
            date=str(content["datetime"]),
            commit=_commit(content.get("commit_info") or {}),
            ratios=ratios,
        )
        words.moment(found.date)
    except ValidationError as error:
        raise RecordError(
            f"speed file {path}: {error.errors()[0]['msg']} ({error.error_count()} faults)"
            f"{_EXPECTED}"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(
            f"speed file {path} is no whole file of pytest-benchmark: {error!r}{_EXPECTED}"
        ) from error
    if not ratios:
        raise RecordError(f"speed file {path} has no ratio in any extra_info{_EXPECTED}")
    return found


_EXPECTED = "; expected what `pytest bench/speed --benchmark-json FILE` writes"


def _machine(info: Mapping[str, Any]) -> str:
    """Return the processor, as pytest-benchmark or else as ``bench/speed`` found it out."""
    said = info.get("earmark") or {}
    brand = said.get("processor") or (info.get("cpu") or {}).get("brand_raw")
    cores = said.get("cores") or (info.get("cpu") or {}).get("count")
    parts = [str(brand or info.get("processor") or info["machine"])]
    parts += [words.plural(int(cores), "core")] if cores else []
    parts += [f"Python {info['python_version']}"]
    return ", ".join(parts)


def _commit(info: Mapping[str, Any]) -> str:
    commit = info.get("id")
    if not commit:
        return ""
    return f"{str(commit)[:12]}{', with uncommitted changes' if info.get('dirty') else ''}"


def with_speed(page: Page, found: Sequence[Benchmarks]) -> Page:
    """Return a report with the section on speed before its datasets; as it is if there are none."""
    if not found:
        return page
    place = next(
        (place for place, one in enumerate(page.sections) if one.anchor == "datasets"),
        len(page.sections),
    )
    sections = [*page.sections[:place], section(found), *page.sections[place:]]
    return dataclasses.replace(page, sections=sections)


def section(found: Sequence[Benchmarks]) -> Section:
    """Return the part of the report that says how fast the code is beside references."""
    blocks: list[Block] = []
    slow = [
        f"{ratio.name} ({one.machine})"
        for one in found
        for ratio in one.ratios
        if ratio.verdict == "too slow"
    ]
    if slow:
        blocks.append(
            Paragraph(text(f"Certainly below the target: {words.listed(slow)}."), "warning")
        )
    blocks += [_table(one) for one in found]
    return Section(title="Speed", anchor="speed", blocks=blocks)


def _table(found: Benchmarks) -> TableBlock:
    commit = f", commit {found.commit}" if found.commit else ""
    return TableBlock(
        caption=f"Times faster than a reference, on {found.machine}, "
        f"{words.moment(found.date)}{commit}",
        columns=[
            Column("Benchmark"),
            Column("Compared with"),
            Column("Ours (s)", numeric=True),
            Column("Reference (s)", numeric=True),
            Column("Ratio", numeric=True),
            Column("Target", numeric=True),
            Column("Verdict"),
        ],
        rows=[_row(ratio) for ratio in found.ratios],
        notes=[
            "The median over rounds in which both sides took turns in one process, after their "
            "results were found equal, with an interval of the median by order statistics (at "
            "least 95 %). Too slow: the whole interval lies below the target. Undecided: it "
            "holds the target, or others were at work on the machine. Times of the reference are "
            "for as much work as ours does.",
        ],
    )


def _row(ratio: Ratio) -> list[Cell]:
    shown = f"[{significant(ratio.low)}, {significant(ratio.high)}]"
    clock = "" if ratio.clock == "wall" else "processor time"
    tone: Literal["plain", "strong"] = "strong" if ratio.verdict == "too slow" else "plain"
    return [
        Cell(ratio.name, sub=f"{len(ratio.ratios)} rounds"),
        Cell(ratio.reference),
        Cell(significant(ratio.ours_seconds), sub=clock, sort=ratio.ours_seconds),
        Cell(significant(ratio.reference_seconds), sub=clock, sort=ratio.reference_seconds),
        Cell(significant(ratio.ratio), sub=shown, sort=ratio.ratio, tone=tone),
        Cell(significant(ratio.target), sort=ratio.target),
        Cell(ratio.verdict, sub=ratio.busy, tone=tone),
    ]


def significant(value: float) -> str:
    """Return a positive number with three significant digits.

    >>> significant(0.012345), significant(1.5), significant(1234.5), significant(0.96)
    ('0.0123', '1.50', '1,234', '0.960')
    """
    return words.number(value, max(0, 2 - math.floor(math.log10(value))))
