"""What a report may be told of a kind of task without knowing any: its words, findings, figures.

A task brings one :class:`View`; whoever builds a page hands in those of the record's kinds. A kind
without one is shown by :data:`GENERIC`: its scores, tables and protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from earmark.reports.content import Audible, Block, Gap, Plot, Text
from earmark.reports.record.schema import Plain, RunRecord, TaskResult
from earmark.reports.words import Metric

if TYPE_CHECKING:
    import pandas as pd

    from earmark.reports.content import Arrays

Views = Mapping[str, "View"]
"""Views by the kind of the task."""
PROTOCOL: Mapping[str, Mapping[str, str]] = {
    "interval": {
        "wilson-or-jackknife": "95 %: Wilson score with the design effect of units for means in "
        "[0, 1], otherwise studentised jackknife over units"
    },
    "paired test": {
        "sign-flips": "sign flips of units' influences, Holm over the pairs of models of a set"
    },
    "within a set": {"nested-folds": "folds of whole units, nested"},
    "across sets": {
        "without-tested-clips": "trained on the whole set without clips that are tested on"
    },
    "standardisation": {"fitted-rows": "learned on the rows that are fitted on, in every fold"},
    "vector": {"patch-mean": "mean of its patches", "unit-vector": "vector of unit norm"},
}
"""As :attr:`View.protocol`, for parts of a protocol that several kinds of task share."""


def _none(*_: object) -> list[Any]:
    return []


@dataclass(frozen=True, slots=True)
class View:
    """How results of one kind of task are shown; every part may be left out."""

    noun: str = "item"
    """What the task calls one of its items: ``clip``, ``pair``, ``query``."""
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    """How its own metrics are written, beside those that :mod:`earmark.reports.words` knows."""
    subsets: Mapping[str, str] = field(default_factory=dict)
    """How its subsets are written where their names in the record are not words."""
    protocol: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By the name of a part of the protocol, the sentence of each of its values (tokens)."""
    directions: Callable[[TaskResult], Sequence[str]] = _none
    """Subsets that findings tell of besides that of the headline."""
    people: Callable[[TaskResult], list[Text]] = _none
    """How models stand to people, where the task knows more than its references say."""
    findings: Callable[[TaskResult, str, str], list[Text]] = _none
    """Further sentences, of the task, its headline metric and its headline subset."""
    figures: Callable[[TaskResult, pd.DataFrame, Arrays, RunRecord], list[Plot | Gap]] = _none
    """From the task, its items and its arrays; a gap for a figure that lacks its data."""
    tables: Callable[[TaskResult, pd.DataFrame], list[Block]] = _none
    """Tables made from the items, beside those that the record holds."""
    audible: Callable[[str], Mapping[str, Audible]] = lambda title: {}
    """By the title of a table in the record, what its columns name that can be played."""

    def sentence(self, name: str, value: Plain) -> Plain:
        """Return the sentence of a token of the protocol; any other value is its own.

        A part that is said of one model, as ``crop of <model>``, is looked up without it, too.
        """
        for part in (name, name.partition(" of ")[0]):
            for known in (self.protocol, PROTOCOL):
                if (found := known.get(part, {}).get(str(value))) is not None:
                    return found
        return value


GENERIC = View()


def view_of(views: Views, task: TaskResult) -> View:
    """Return the view of a task's kind."""
    return views.get(task.kind, GENERIC)
