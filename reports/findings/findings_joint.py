"""What came out of tasks on audio and text: sentences beside those of every task.

Chance, the sentinel (a model that hears and reads nothing), how well pairs are told apart, and
how far the words of a prompt move a score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earmark.reports import words as formats
from earmark.reports.content import Span, Text, named_models
from earmark.reports.record.lookup import (
    GAP,
    PROMPTS,
    SENTINEL,
    against,
    best_first,
    is_alarm,
    select,
    table,
)
from earmark.reports.record.schema import Plain, Score, TaskResult

KINDS = ("retrieval", "zero_shot_classification", "zero_shot_tagging", "probe")


def broken_sentinel(task: TaskResult, metric: str, subset: str) -> list[Text]:
    """Return the alarm: random vectors score far above chance, so the scores mean nothing."""
    score = _sentinel(task, metric, subset)
    if score is None or score.chance is None or not is_alarm(score):
        return []
    return [
        (
            Span("Do not trust this task. ", "strong"),
            Span(SENTINEL, "name"),
            Span(", a model that hears and reads nothing, scores "),
            Span("far above chance", "strong"),
            Span(
                f" ({_value(score)}, chance {_at(score, score.chance)}). Either labels leak into "
                "the items, or the level of chance is wrong; luck does this one time in 740. Run "
                "it again with another seed before any number below is used."
            ),
        )
    ]


def sound_sentinel(task: TaskResult, metric: str, subset: str) -> list[Text]:
    """Return that random vectors score no better than chance, as they must, but for luck."""
    score = _sentinel(task, metric, subset)
    if score is None or score.value is None or score.chance is None:
        return []
    if is_alarm(score):
        return []
    standing = against(score, score.chance)
    said = {
        "level": " is at chance, as it must be",
        "better": (
            " scores a little above chance, which luck does one time in 40; another seed tells"
        ),
        "worse": " scores below chance, which luck does one time in 40",
        "unknown": " has no interval, so whether it is at chance is not known",
    }
    return [
        (
            Span("Sanity check: "),
            Span(SENTINEL, "name"),
            Span(f", which hears and reads nothing,{said[standing]} ({_value(score)})."),
        )
    ]


def beside(task: TaskResult, metric: str, subset: str) -> list[Text]:
    """Return the level of chance, how pairs are told apart, and the spread of prompts."""
    if task.kind not in KINDS:
        return []
    return [
        *_chance(task, metric, subset),
        *_pairs(task, metric, subset),
        *_prompts(task, metric, subset),
    ]


def other_directions(task: TaskResult, subset: str) -> list[str]:
    """Return the directions of a retrieval besides that of the headline."""
    if task.kind != "retrieval":
        return []
    return list(dict.fromkeys(score.subset for score in task.scores if score.subset != subset))


def _chance(task: TaskResult, metric: str, subset: str) -> list[Text]:
    scores = [
        score
        for score in select(task.scores, metric=metric, subset=subset)
        if score.value is not None and score.chance is not None and score.model != SENTINEL
    ]
    if not scores:
        return []
    levels = sorted({_at(score, score.chance or 0.0) for score in scores})
    above = [score for score in scores if against(score, score.chance or 0.0) == "better"]
    level = Span(f"Chance is {formats.listed(levels)}. ")
    if len(scores) == 1:
        verb = "is" if above else "is not"
        return [
            (level, *named_models([scores[0].model]), Span(f" {verb} above it, interval and all."))
        ]
    many = formats.plural(len(scores), "model")
    who = "Every model is" if len(above) == len(scores) else f"{len(above)} of {many} are"
    return [(level, Span(f"{who} above it, interval and all."))]


def _pairs(task: TaskResult, metric: str, subset: str) -> list[Text]:
    if task.kind != "retrieval":
        return []
    rows = table(task, GAP, "model", "gap", "aligned above random (ROC-AUC)")
    row = _row_of_best(task, rows, metric, subset)
    if row is None:
        return []
    apart, gap = row["aligned above random (ROC-AUC)"], row["gap"]
    if not isinstance(apart, float | int) or not isinstance(gap, float | int):
        return []
    return [
        (
            Span("Of an aligned and a random pair, "),
            Span(str(row["model"]), "name"),
            Span(
                f" finds the aligned one more similar {formats.percent(float(apart))} of the time; "
                f"its centroids of audio and text lie {formats.number(float(gap), 2)} apart."
            ),
        )
    ]


def _prompts(task: TaskResult, metric: str, subset: str) -> list[Text]:
    rows = table(task, PROMPTS, "model", "lowest", "highest", "best prompt")
    rows = [row for row in rows if row.get("metric", metric) in {metric, *_titles(metric)}]
    row = _row_of_best(task, rows, metric, subset)
    if row is None:
        return []
    said = [_spread(row, metric)]
    others = [r for r in rows if r["model"] not in {row["model"], SENTINEL} and _width(r) > 0]
    widest = max(others, key=_width, default=None)
    if widest is not None and _width(widest) > _width(row):
        said.append(_spread(widest, metric, of=True))
    return [text for text in said if text]


def _titles(metric: str) -> tuple[str, str]:
    how = formats.metric(metric)
    return how.title, how.head


def _spread(row: Mapping[str, Plain], metric: str, *, of: bool = False) -> Text:
    low, high = row["lowest"], row["highest"]
    if not isinstance(low, float | int) or not isinstance(high, float | int):
        return ()
    how = formats.metric(metric)
    points = formats.number(how.factor * (high - low), how.digits)
    unit = f"\N{NO-BREAK SPACE}{how.difference_unit}" if how.difference_unit else ""
    ends = f"{formats.with_unit(float(low), metric)} to {formats.with_unit(float(high), metric)}"
    return (
        Span("The words of the prompt move "),
        Span(str(row["model"]), "name"),
        Span(" most of all, " if of else "’s " + formats.metric_in_text(metric) + " "),
        Span(f"by {points}{unit}", "strong"),
        Span(f" ({ends}; best: “{row['best prompt']}”)."),
    )


def _width(row: Mapping[str, Plain]) -> float:
    low, high = row["lowest"], row["highest"]
    if not isinstance(low, float | int) or not isinstance(high, float | int):
        return 0.0
    return float(high - low)


def _row_of_best(
    task: TaskResult, rows: list[Mapping[str, Plain]], metric: str, subset: str
) -> Mapping[str, Any] | None:
    """Return the row of the model that is best on the headline; None if the table has none."""
    by_model = {str(row["model"]): row for row in rows}
    for score in best_first(select(task.scores, metric=metric, subset=subset)):
        if score.model in by_model and score.value is not None:
            return by_model[score.model]
    return None


def _sentinel(task: TaskResult, metric: str, subset: str) -> Score | None:
    if task.kind not in KINDS:
        return None
    scores = select(task.scores, metric=metric, subset=subset)
    return next((score for score in scores if score.model == SENTINEL), None)


def _value(score: Score) -> str:
    return formats.value_in_text(score)


def _at(score: Score, value: float) -> str:
    return formats.with_unit(value, score.metric)
