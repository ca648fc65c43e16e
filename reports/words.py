"""How numbers and metrics are written: sensible digits, the same everywhere.

Accuracies are in per cent with one decimal, correlations have three, counts a thousands
separator, and negative numbers a true minus.
"""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePath

from earmark.reports.record.schema import Comparison, Interval, Plain, RecordError, Score

NOTHING = "—"

# The wording of findings: sentences, tables and notes are built from these.
DIFFERENT = "significantly different"
NOT_DIFFERENT = f"not {DIFFERENT}"
BEATS_ALL = "significantly better than every other model"
NO_INPUT = "which uses no input"
"""Of the random baseline."""
ONCE_IN_40 = "as happens by chance once in 40 times"
WHOLE_INTERVAL = "with the whole interval"


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is written: ``value * factor`` with ``digits`` decimals in ``unit``."""

    title: str
    unit: str = ""
    digits: int = 3
    factor: float = 1.0
    remark: str = ""
    """What the head of a column says besides the unit."""

    @property
    def head(self) -> str:
        """The head of a column of values."""
        inside = ", ".join(part for part in (self.unit, self.remark) if part)
        return f"{self.title} ({inside})" if inside else self.title

    @property
    def difference_unit(self) -> str:
        """The unit of a difference of two values."""
        return "points" if self.unit == "%" else self.unit


_METRICS = {
    "pairwise_accuracy": Metric("Official accuracy", "%", 1, 100, remark="ties dropped"),
    "pairwise_accuracy_half_credit": Metric("Accuracy", "%", 1, 100, remark="ties half"),
    "accuracy": Metric("Accuracy", "%", 1, 100),
    "pearson_r": Metric("Pearson r"),
    "spearman_rho": Metric("Spearman ρ"),
    "kendall_tau": Metric("Kendall τ"),
    "concordance": Metric("CCC"),
    "ccc": Metric("CCC"),
    "r2": Metric("R²"),
    "rmse": Metric("RMSE"),
    "mae": Metric("MAE"),
    "balanced_accuracy": Metric("Balanced accuracy", "%", 1, 100),
    "macro_f1": Metric("Macro F1", "%", 1, 100),
    "roc_auc": Metric("ROC-AUC"),
    "average_precision": Metric("PR-AUC"),
    "mrr": Metric("MRR"),
    "reciprocal_rank": Metric("MRR"),
    "median_rank": Metric("Median rank", "items", 1, remark="lower is better"),
    "mean_rank": Metric("Mean rank", "items", 1, remark="lower is better"),
}
_AT_K = {
    "recall": Metric("R", "%", 1, 100),
    "map": Metric("mAP"),
    "ndcg": Metric("nDCG"),
}
_SUBSETS = {
    "text-to-audio": "text to audio",
    "audio-to-text": "audio to text",
    "ensemble": "ensemble of prompts",
    "mean of prompts": "mean of prompts",
    "cross-validated": "cross-validated",
}


def learn(metrics: Mapping[str, Metric], subsets: Mapping[str, str]) -> None:
    """Write further metrics and subsets, a task's own, in these words; known ones stay."""
    for name, how in metrics.items():
        _METRICS.setdefault(name, how)
    for name, said in subsets.items():
        _SUBSETS.setdefault(name, said)


def metric(name: str) -> Metric:
    """Return how a metric is written; one that is not known keeps its own name.

    >>> metric("recall_at_10").head, metric("my_metric").title
    ('R@10 (%)', 'my metric')
    """
    if name in _METRICS:
        return _METRICS[name]
    base, at, k = name.partition("_at_")
    if at and k.isdecimal() and base in _AT_K:
        return replace(_AT_K[base], title=f"{_AT_K[base].title}@{k}")
    words = name.replace("_", " ")
    if name.endswith("_accuracy"):
        return Metric(words.capitalize(), "%", 1, 100)
    return Metric(words)


def metric_in_text(name: str) -> str:
    """Return a metric's name inside a sentence.

    >>> metric_in_text("median_rank"), metric_in_text("pearson_r"), metric_in_text("map_at_10")
    ('median rank', 'Pearson r', 'mAP@10')
    """
    title = metric(name).title
    return title.lower() if title.lower().endswith(("accuracy", " rank")) else title


def sentence(words: str) -> str:
    """Return words with a capital first, and nothing else changed.

    >>> sentence("set GT")
    'Set GT'
    """
    return words[:1].upper() + words[1:]


def subset(name: str) -> str:
    """Return a set's name as a head has it; a prompt's template stands in quotes.

    >>> subset("text-to-audio"), subset("gt.ct"), subset("A {label} track")
    ('text to audio', 'gt.ct', '“A {label} track”')
    """
    return _SUBSETS.get(name, f"“{name}”" if "{" in name else name)


def in_subset(name: str) -> str:
    """Return a set's name as a sentence has it.

    >>> in_subset("text-to-audio"), in_subset("gt.ct"), in_subset("A {label} track")
    ('text to audio', 'set gt.ct', 'prompt “A {label} track”')
    """
    return (
        subset(name) if name in _SUBSETS else f"{'prompt' if '{' in name else 'set'} {subset(name)}"
    )


def number(value: float, digits: int) -> str:
    """Return a number with fixed decimals, a true minus, and no negative zero.

    >>> number(-0.0004, 3), number(-1234.5, 1)
    ('0.000', '−1,234.5')
    """
    written = f"{value:,.{digits}f}"
    if float(written.replace(",", "")) == 0:
        written = written.lstrip("-")
    return written.replace("-", "−")


def score_value(score: Score) -> str:
    """Return a score's value as its metric is written, or a dash."""
    if score.value is None:
        return NOTHING
    how = metric(score.metric)
    return number(how.factor * score.value, how.digits)


def interval(bounds: Interval | None, name: str) -> str:
    """Return ``[low, high]`` of an interval of this metric, or nothing."""
    if bounds is None:
        return ""
    how = metric(name)
    low, high = (number(how.factor * edge, how.digits) for edge in (bounds.low, bounds.high))
    return f"[{low}, {high}]"


def with_unit(value: float, name: str) -> str:
    r"""Return a value of a metric in running text.

    >>> with_unit(0.712, "pairwise_accuracy"), with_unit(0.5, "pearson_r")
    ('71.2\xa0%', '0.500')
    """
    how = metric(name)
    unit = f"\N{NO-BREAK SPACE}{how.unit}" if how.unit else ""
    return f"{number(how.factor * value, how.digits)}{unit}"


def difference(pair: Comparison) -> str:
    """Return a difference with its sign."""
    how = metric(pair.metric)
    written = number(how.factor * pair.difference, how.digits)
    return written if pair.difference < 0 else f"+{written}"


def p_value(p: float) -> str:
    r"""Return a p-value with three decimals, never as zero.

    >>> p_value(0.00004), p_value(0.04567), p_value(1)
    ('<\xa00.001', '0.046', '1.000')
    """
    return "<\N{NO-BREAK SPACE}0.001" if p < 0.001 else f"{p:.3f}"


def count(value: float) -> str:
    """Return a count with a thousands separator; halves are kept.

    >>> count(1223), count(711.5)
    ('1,223', '711.5')
    """
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def percent(share: float) -> str:
    r"""Return a share in per cent, where only all of it is written as 100.

    >>> percent(1), percent(0.9999), percent(0.5)
    ('100\xa0%', '99.9\xa0%', '50.0\xa0%')
    """
    space = "\N{NO-BREAK SPACE}"
    if share == 1:
        return f"100{space}%"
    return f"{math.floor(1000 * share) / 10:.1f}{space}%"


def cell(value: Plain) -> str:
    """Return a value of a task's own table.

    >>> cell(1234), cell(0.12345), cell(None), cell(True), cell("a")
    ('1,234', '0.123', '—', 'yes', 'a')
    """
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return number(value, 0)
    if isinstance(value, float):
        return number(value, 3) if abs(value) < 1000 else number(value, 1)
    return value


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def plural(number_of: int, noun: str) -> str:
    r"""Return a count with its noun.

    >>> plural(1, "model"), plural(2085, "pair")
    ('1\xa0model', '2,085\xa0pairs')
    """
    if number_of != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"
    return f"{number_of:,}\N{NO-BREAK SPACE}{noun}"


def duration(seconds: float) -> str:
    """Return wall time in its two largest units.

    >>> duration(0.4), duration(75), duration(7320)
    ('0.4 s', '1 min 15 s', '2 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def value_in_text(score: Score) -> str:
    """Return a score's value with its interval, or with the reason why there is none."""
    bounds = interval(score.interval, score.metric) or (f"({score.reason})" if score.reason else "")
    return f"{with_unit(score.value or 0.0, score.metric)} {bounds}".strip()


def scored(score: Score, noun: str) -> str:
    r"""Return what a value rests on, beside the items of the set where these are more.

    >>> from types import SimpleNamespace as Some
    >>> scored(Some(n=12, n_items=12), "clip"), scored(Some(n=12, n_items=100), "clip")
    ('12\xa0clips', '12 of 100\xa0clips')
    """
    part = f"{score.n:,} of " if score.n < score.n_items else ""
    return f"{part}{plural(score.n_items, noun)}"


def file_name(path: str) -> str:
    """Return a path by its name; of a page, only the machine it was made on knows the whole.

    >>> file_name("/data/run/policy.toml"), file_name("etude"), file_name("/")
    ('policy.toml', 'etude', '/')
    """
    return PurePath(path).name or path


def command(words: Sequence[str]) -> str:
    """Return a command to copy, with absolute paths by their names.

    >>> command(["earmark", "run", "/home/me/suite.toml", "--out=/tmp/runs", "a b"])
    "earmark run suite.toml --out=runs 'a b'"
    """
    named = []
    for word in words:
        option, equals, value = word.rpartition("=")
        named.append(f"{option}{equals}{file_name(value) if value.startswith('/') else value}")
    return shlex.join(named)


def moment(iso: str) -> str:
    """Return a moment of the record as a reader has it.

    >>> moment("2026-05-04T10:00:00+00:00")
    '4 May 2026, 10:00 UTC'
    """
    when = datetime.fromisoformat(iso)
    months = "January February March April May June July August September October November December"
    zone = "UTC" if not when.utcoffset() else when.strftime("UTC%:z")
    return f"{when.day} {months.split()[when.month - 1]} {when.year}, {when:%H:%M} {zone}"


def timestamp(created: str) -> int:
    """Return seconds since 1970 of ``created``, or ``SOURCE_DATE_EPOCH`` where it is set."""
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        if not epoch.isdecimal():
            raise RecordError(
                f"SOURCE_DATE_EPOCH is {epoch!r}, expected whole seconds since 1970: unset it"
            )
        return int(epoch)
    return int(datetime.fromisoformat(created).timestamp())
