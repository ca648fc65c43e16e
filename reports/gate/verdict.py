"""A gate's verdict in words and cells, the same wherever it is shown.

A verdict arrives as plain data (the gate's ``verdict.json``): this package knows nothing of how it
was reached. Differences in it are turned so that positive is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from earmark.reports import words
from earmark.reports.content import (
    Block,
    Bullets,
    Cell,
    Column,
    Facts,
    Paragraph,
    Section,
    Span,
    TableBlock,
    text,
)

Plain = Mapping[str, Any]

TITLES: Final = {
    "pass": "Gate: pass",
    "regression": "Gate: regression",
    "inconclusive": "Gate: inconclusive",
    "invalid": "Gate: invalid",
}
MEANINGS: Final = {
    "pass": "No gated metric is worse than the baseline by more than its margin.",
    "regression": "A gated metric is worse than the baseline by more than its margin, below its "
    "floor, or not repeated by the same weights.",
    "inconclusive": "For a critical metric, a loss beyond its margin is neither shown nor ruled "
    "out.",
    "invalid": "The run and its baseline cannot be compared, or a model is at chance or constant; "
    "the causes say which.",
}
PASSED: Final = "Gated scores that passed"
MOST_PASSED: Final = 12
"""Passed scores that are shown with the others; more are folded away."""
STATUS: Final = {
    "pass": "pass",
    "fail": "FAIL",
    "inconclusive": "undecided",
    "invalid": "INVALID",
}
HEADS: Final = (
    "",
    "task",
    "metric",
    "model",
    "baseline",
    "candidate",
    "difference",
    "interval",
    "margin",
    "detectable",
    "n",
)


def headline(verdict: Plain) -> str:
    """Return the verdict with its counts, in one sentence."""
    rows = verdict["metrics"]
    counts = [
        f"{sum(row['status'] == status for row in rows)} {word}"
        for status, word in (
            ("fail", "failed"),
            ("invalid", "invalid"),
            ("inconclusive", "undecided"),
            ("pass", "passed"),
        )
        if any(row["status"] == status for row in rows)
    ]
    improved = sum(bool(row["improved"]) for row in rows)
    better = f", {improved} improved" if improved else ""
    of = f" ({', '.join(counts)}{better})" if counts else ""
    return f"{words.plural(len(rows), 'score')} gated{of}. {MEANINGS[verdict['outcome']]}"


def name(row: Plain) -> str:
    """Return the subset and dimension of a row's metric, with the metric first."""
    where = [words.subset(row["subset"])] if row["subset"] != "all" else []
    where += [row["dimension"]] if row["dimension"] else []
    title = words.metric(row["metric"]).head
    return f"{title}, {', '.join(where)}" if where else title


def cells(row: Plain) -> list[str]:
    """Return one score as the columns of :data:`HEADS` have it."""
    status = STATUS[row["status"]] + (", improved" if row["improved"] else "")
    if row["tier"] != "critical":
        status += f" ({row['tier']})"
    low, high = row["low"], row["high"]
    between = f"[{value(row, low)}, {value(row, high)}]" if None not in (low, high) else ""
    margin = value(row, row["margin"])
    if row["method"] == "exact replay":
        margin, between = "exact", ""
    return [
        status,
        row["task"],
        name(row),
        row["model"],
        value(row, row["baseline"]),
        value(row, row["candidate"]),
        signed(row, row["difference"]),
        between,
        margin,
        value(row, row["minimum_detectable_difference"]),
        units(row),
    ]


def units(row: Plain) -> str:
    """Return the number of items, and of units where several stand together."""
    n_items = words.count(row["n_items"])
    if row["n_units"] in (0, row["n_items"]):
        return n_items
    return f"{n_items} ({words.plural(row['n_units'], row['unit'] or 'unit')})"


def value(row: Plain, number: float | None) -> str:
    """Return a value as its metric is written, or a dash."""
    if number is None:
        return words.NOTHING
    how = words.metric(row["metric"])
    return words.number(how.factor * number, how.digits)


def signed(row: Plain, number: float | None) -> str:
    """Return a difference with its sign."""
    written = value(row, number)
    return f"+{written}" if number is not None and number > 0 else written


def causes(verdict: Plain) -> list[tuple[str, str]]:
    """Return what went wrong: where, and why; runs and tasks first, then scores."""
    found = [(hole["where"], hole["cause"]) for hole in verdict["holes"]]
    for row in verdict["metrics"]:
        where = f"{row['task']} / {row['model']} / {name(row)}"
        found += [(where, cause) for cause in row["causes"] if not is_of_a_whole_task(row)]
    return found


def is_of_a_whole_task(row: Plain) -> bool:
    """Return whether a row is invalid for its task's sake alone, which the holes tell of."""
    causes = row["causes"]
    return bool(causes) and all("cannot be compared, see above" in cause for cause in causes)


def identities(verdict: Plain) -> list[tuple[str, str]]:
    """Return which runs and which policy these are."""
    found = []
    for side in ("candidate", "baseline"):
        run = verdict[side]
        if run is None:
            continue
        dirty = ", with uncommitted changes" if run["git_dirty"] else ""
        commit = f", commit {run['git_commit'][:12]}{dirty}" if run["git_commit"] else ""
        reason = f"; {run['reason']}" if run["reason"] else ""
        found.append((side, f"{run['id']}, Earmark {run['earmark_version']}{commit}{reason}"))
    policy = words.file_name(verdict["policy"])
    found.append(("policy", f"{policy} (sha256 {verdict['policy_digest'][:12]})"))
    return found


def method(verdict: Plain) -> str:
    """Return how it was decided, in a sentence."""
    return (
        f"Differences are turned so that positive is better. Paired bootstrap over units, "
        f"{verdict['replicates']:,} replicates, seed {verdict['seed']}; one-sided non-inferiority "
        f"at {verdict['alpha']:g}, failures after Holm’s correction. Detectable: the least margin "
        f"with which an unchanged model would pass {verdict['power']:.0%} of the time at this n."
    )


def section(verdict: Plain) -> Section:
    """Return the part of the report that says what the gate found."""
    blocks: list[Block] = [
        Paragraph(
            text(
                Span(f"{TITLES[verdict['outcome']]}. ", "strong"),
                headline(verdict),
            ),
            "lead" if verdict["outcome"] == "pass" else "warning",
        ),
        Facts([(side, text(words)) for side, words in identities(verdict)]),
    ]
    if found := causes(verdict):
        blocks.append(
            Bullets([text(Span(f"{where}. ", "strong"), why) for where, why in found], "warning")
        )
    if verdict["warnings"]:
        blocks.append(Bullets([text(one) for one in verdict["warnings"]]))
    passed = [row for row in verdict["metrics"] if row["status"] == "pass"]
    others = [row for row in verdict["metrics"] if row["status"] != "pass"]
    # What asks for nothing is folded away, unless it is little.
    if len(passed) <= MOST_PASSED:
        parts = [("Gated scores, those that did not pass first", [*others, *passed], False)]
    else:
        parts = [("Gated scores that did not pass", others, False), (PASSED, passed, True)]
    note = method(verdict)
    blocks += [
        _table(caption, rows, note, folded=folded) for caption, rows, folded in parts if rows
    ]
    return Section(title="Gate against the baseline", anchor="gate", blocks=blocks)


def _table(caption: str, rows: Sequence[Plain], note: str, *, folded: bool) -> TableBlock:
    numeric = {"baseline", "candidate", "difference", "interval", "margin", "detectable", "n"}
    order = [2, 1, 3, 0, *range(4, len(HEADS))]
    columns = [
        Column(words.sentence(HEADS[place] or "verdict"), numeric=HEADS[place] in numeric)
        for place in order
    ]
    return TableBlock(
        caption=caption,
        columns=columns,
        rows=[[Cell(cells(row)[place]) for place in order] for row in rows],
        notes=[note],
        folded=folded,
    )
