"""How a reader sees zero-shot classification and tagging: chance, prompts, classes or tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earmark.bench.tasks.labels import view as labels
from earmark.reports.content import Arrays, Gap, Plot, Text
from earmark.reports.findings.task import about_chance
from earmark.reports.record.lookup import headline
from earmark.reports.record.schema import RunRecord, TaskResult
from earmark.reports.view import View

if TYPE_CHECKING:
    import pandas as pd


def _findings(task: TaskResult, metric: str, subset: str) -> list[Text]:
    return [
        *about_chance(task, metric, subset),
        *labels.about_prompts(task, metric, subset),
    ]


def _classes(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord
) -> list[Plot | Gap]:
    chosen = headline(task)
    if chosen is None:
        return []
    return [*labels.prompts(task, chosen[:1]), *labels.confusions(task, arrays, *chosen)]


def _tags(
    task: TaskResult, items: pd.DataFrame, arrays: Arrays, record: RunRecord
) -> list[Plot | Gap]:
    chosen = headline(task)
    if chosen is None:
        return []
    return [*labels.prompts(task, labels.TAGGING), *labels.tags(task, *chosen)]


_PROTOCOL = {
    "source of the prompts": {
        "earmark": "the four prompts of Guinot et al. (SLAP, ISMIR 2025); for classes also that of "
        "LAION-CLAP's README",
        "muscall-paper": "Manco et al., ISMIR 2022, section 5.2 and table 2, which gives each "
        "prompt's score and no ensemble; the released script uses the bare label alone",
        "suite": "the suite",
    },
    "ensemble": {"mean-unit-vector": "mean of the prompts' unit vectors, at unit norm again"},
    "centring": {
        "audio": "the mean of the scored clips' vectors is subtracted from each of them, then unit "
        "norm again; transductive, without labels",
        "text": "the mean of a template's vectors over all labels is subtracted from each of them, "
        "then unit norm again",
        "both": "the mean of the scored clips' vectors is subtracted from each of them, and the "
        "mean of a template's vectors over all labels from each of those, then unit norm again; "
        "transductive, without labels",
    },
    "macro mean": {
        "defined-tags": "over the tags that some of the scored clips have and some have not"
    },
}

CLASSIFICATION = View(
    noun="clip",
    protocol=_PROTOCOL | {"ties": {"shared": "classes with equal scores share a clip"}},
    findings=_findings,
    figures=_classes,
)
TAGGING = View(
    noun="clip",
    protocol=_PROTOCOL | {"ties": {"shared": "equal scores share a threshold"}},
    findings=_findings,
    figures=_tags,
)
