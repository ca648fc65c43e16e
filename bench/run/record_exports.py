"""Records that travel: a run's scores in the formats of other places, with what these cannot hold.

An exporter is a class with ``write(record, out)``; it is registered below or by an entry point of
the group ``earmark.exporters``. None of them sends anything anywhere.

* ``csv``: one row per score, with interval, chance and protocol; opens in any program.
* ``eee``: Every Eval Ever, https://github.com/evaleval/every_eval_ever, schema 0.2.1: one JSON file
  per model, intervals in ``uncertainty``.
* ``hf``: for a model's repository on the Hugging Face hub: ``.eval_results/*.yaml``
  (https://huggingface.co/docs/hub/eval-results) and a section for its README.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from earmark.datasets.base import DataError
from earmark.datasets.files.atomic_files import write_whole
from earmark.datasets.files.names import as_file_name
from earmark.datasets.registry import Registry
from earmark.reports import words
from earmark.reports.record.lookup import RANDOM_BASELINE, headline, score_row
from earmark.reports.record.schema import DatasetEntry, RunRecord, Score, TaskResult


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and what of the record it does not hold."""

    files: list[Path]
    left_out: list[str] = field(default_factory=list)


class RecordExporter(Protocol):
    """Writes a record for another place."""

    def write(self, record: RunRecord, out: Path) -> Exported:
        """Write files into a folder."""
        ...


EXPORTERS = Registry(
    "exporter of records",
    "earmark.exporters",
    {
        "csv": "earmark.bench.run.record_exports:TableExporter",
        "eee": "earmark.bench.run.record_exports:EveryEvalEverExporter",
        "hf": "earmark.bench.run.record_exports:HubExporter",
    },
)
_ITEMS = "outcomes by item, arrays, comparisons and groups of models: they stay in the run's folder"


def export_record(to: str, record: RunRecord, out: Path, options: Mapping[str, Any]) -> Exported:
    """Write a record by the exporter of this name.

    Raises
    ------
    DataError
        If there is none, it knows no such option, or the folder cannot be written to.
    """
    exporter: RecordExporter = EXPORTERS.create(to, options)
    try:
        out.mkdir(parents=True, exist_ok=True)
        return exporter.write(record, out)
    except OSError as error:
        raise DataError(f"{out} cannot be written to: {error.strerror or error}") from error


def _scores(record: RunRecord) -> Iterator[tuple[TaskResult, DatasetEntry | None, Score]]:
    by_name = {one.id: one for one in record.datasets}
    for task in record.tasks:
        for score in task.scores:
            yield task, by_name.get(task.dataset), score


class TableExporter:
    """One table of all scores."""

    COLUMNS = (
        *("run", "created", "task", "kind", "dataset", "dataset_version", "model", "metric"),
        *("subset", "dimension", "value", "low", "high", "level", "chance", "n", "n_items"),
        *("unit", "n_units", "interval_method", "higher_is_better", "headline", "reason"),
    )

    def write(self, record: RunRecord, out: Path) -> Exported:
        """Write ``scores.csv`` and ``protocol.csv``."""
        rows = []
        for task, dataset, score in _scores(record):
            row = score_row(task, score) | {
                "run": record.id,
                "created": record.created,
                "dataset_version": dataset.version if dataset else "",
            }
            row["interval_method"] = row["method"]
            rows.append({name: row[name] for name in self.COLUMNS})
        protocol = [
            {"task": task.id, "key": key, "value": value}
            for task in record.tasks
            for key, value in task.protocol.items()
        ]
        files = [
            _write_table(out / "scores.csv", self.COLUMNS, rows),
            _write_table(out / "protocol.csv", ("task", "key", "value"), protocol),
        ]
        return Exported(files, [_ITEMS])


class EveryEvalEverExporter:
    """One JSON file per model, for the database of Every Eval Ever.

    Parameters
    ----------
    organisation
        Who evaluated.
    relationship
        Of the evaluator to the model: ``first_party``, ``third_party``, ``collaborative`` or
        ``other``.
    """

    VERSION = "0.2.1"
    RELATIONSHIPS = ("first_party", "third_party", "collaborative", "other")

    def __init__(self, *, organisation: str = "not stated", relationship: str = "other") -> None:
        if relationship not in self.RELATIONSHIPS:
            raise DataError(
                f"relationship is {relationship!r}, expected {', '.join(self.RELATIONSHIPS)}"
            )
        self.organisation = organisation
        self.relationship = relationship

    def write(self, record: RunRecord, out: Path) -> Exported:
        """Write ``<model>.json`` for each model but the random baseline."""
        left = [_ITEMS]
        files = []
        models = dict.fromkeys(score.model for _, _, score in _scores(record))
        for model in models:
            own = [one for one in _scores(record) if one[2].model == model]
            undefined = sum(score.value is None for _, _, score in own)
            if undefined:
                left.append(f"{undefined} scores of {model} that are undefined")
            if model == RANDOM_BASELINE:
                left.append("the random baseline, which is no model of anybody's")
                continue
            results = [self._result(*one, record) for one in own if one[2].value is not None]
            if results:
                path = out / f"{as_file_name(model, other='_')}.json"
                content = self._of_model(record, model, results)
                write_whole(path, (json.dumps(content, indent=1) + "\n").encode())
                files.append(path)
        return Exported(files, left)

    def _of_model(
        self, record: RunRecord, model: str, results: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        entry = next((one for one in record.models if one.id == model), None)
        now = str(time.time())
        stated = {} if entry is None else {
            "weights_sha256": entry.weights_digest,
            "adapter_version": entry.version,
            "licence": entry.licence,
            "crop_policy": entry.crop_policy,
            "training_datasets": ", ".join(entry.training_datasets),
        }  # fmt: skip
        return {
            "schema_version": self.VERSION,
            "evaluation_id": f"{record.suite.name}/{model}/{now}",
            "evaluation_timestamp": record.created,
            "retrieved_timestamp": now,
            "source_metadata": {
                "source_name": f"earmark run {record.id}",
                "source_type": "evaluation_run",
                "source_organization_name": self.organisation,
                "evaluator_relationship": self.relationship,
            },
            "eval_library": {
                "name": "earmark",
                "version": record.earmark_version,
                "additional_details": {"suite_sha256": record.suite.digest, "run": record.id},
            },
            "model_info": {"name": model, "id": model, "additional_details": stated},
            "evaluation_results": list(results),
        }

    def _result(
        self, task: TaskResult, dataset: DatasetEntry | None, score: Score, record: RunRecord
    ) -> dict[str, Any]:
        details = {
            "subset": score.subset,
            "dimension": score.dimension or "",
            "chance": "" if score.chance is None else repr(score.chance),
            "n": str(score.n),
            "n_items": str(score.n_items),
            "items_sha256": score.item_digest,
        }
        found: dict[str, Any] = {"score": score.value, "details": details}
        if interval := score.interval:
            found["uncertainty"] = {
                "confidence_interval": {
                    "lower": interval.low,
                    "upper": interval.high,
                    "confidence_level": interval.level,
                    "method": f"{interval.method}, over {interval.unit}s",
                },
                "num_samples": interval.n_units,
            }
        config: dict[str, Any] = {
            "evaluation_description": f"{score.metric} of {task.title}",
            "lower_is_better": not score.higher_is_better,
            "additional_details": {key: str(value) for key, value in task.protocol.items()},
        }
        if score.lower_bound is not None and score.upper_bound is not None:
            config |= {
                "score_type": "continuous",
                "min_score": score.lower_bound,
                "max_score": score.upper_bound,
            }
        place = ", ".join(filter(None, (score.subset, score.dimension)))
        return {
            "evaluation_name": f"{task.id}/{score.metric} ({place})",
            "evaluation_timestamp": record.created,
            "source_data": {
                "dataset_name": dataset.title if dataset else task.dataset,
                "source_type": "other",
                "additional_details": {}
                if dataset is None
                else {
                    "version": dataset.version,
                    "fingerprint_sha256": dataset.fingerprint,
                    "source": dataset.source,
                    "synthetic": str(dataset.synthetic),
                },
            },
            "metric_config": config,
            "score_details": found,
        }


class HubExporter:
    """Headline scores of one model, for its repository on the Hugging Face hub.

    Parameters
    ----------
    model
        The model of the record.
    benchmarks
        Datasets of the record to benchmark datasets of the hub, e.g. ``{ musav = "org/musav" }``.
    """

    def __init__(self, *, model: str, benchmarks: Mapping[str, str] | None = None) -> None:
        self.model = model
        self.benchmarks = dict(benchmarks or {})

    def write(self, record: RunRecord, out: Path) -> Exported:
        """Write ``.eval_results/<suite>.yaml`` and ``README.section.md``."""
        own = [
            (task, dataset, score)
            for task, dataset, score in _scores(record)
            if score.model == self.model
            and score.value is not None
            and headline(task) == (score.metric, score.subset)
        ]
        if not own:
            known = sorted({score.model for _, _, score in _scores(record)})
            raise DataError(
                f"run {record.id} has no headline score of {self.model!r}; its models are "
                f"{', '.join(known)}"
            )
        lines, left = [], [_ITEMS, "scores that are not the headline of their task"]
        for task, _, score in own:
            if (hub := self.benchmarks.get(task.dataset)) is None:
                left.append(
                    f"{task.id}: no benchmark of the hub is named for the dataset {task.dataset} "
                    f"(option benchmarks)"
                )
                continue
            where = ", ".join(filter(None, (score.subset, score.dimension)))
            lines += [
                f"- dataset: {{id: {json.dumps(hub)}, task_id: {json.dumps(task.id)}}}",
                f"  value: {json.dumps(score.value)}",
                f"  date: {json.dumps(record.created[:10])}",
                f"  notes: {json.dumps(f'{score.metric} ({where}){_between(score)}')}",
            ]
        files = [self._section(record, own, out)]
        if lines:
            path = out / ".eval_results" / f"{record.suite.name}.yaml"
            path.parent.mkdir(exist_ok=True)
            write_whole(path, ("\n".join(lines) + "\n").encode())
            files.append(path)
        return Exported(files, left)

    def _section(
        self,
        record: RunRecord,
        own: Sequence[tuple[TaskResult, DatasetEntry | None, Score]],
        out: Path,
    ) -> Path:
        lines = [
            "## Evaluation",
            "",
            f"Earmark {record.earmark_version}, suite {record.suite.name}, {record.created[:10]}.",
            "",
            "| dataset | metric | value | 95 % interval | chance | n |",
            "|---|---|---|---|---|---|",
        ]
        for task, dataset, score in own:
            metric = words.metric(score.metric).title
            place = ", ".join(filter(None, (score.subset, score.dimension)))
            ends = (score.interval.low, score.interval.high) if score.interval else ()
            told = [score.value or 0.0, *ends, *([] if score.chance is None else [score.chance])]
            value, *rest = (words.with_unit(one, score.metric) for one in told)
            interval = " to ".join(rest[:2]) if ends else ""
            shown = [value, interval, "" if score.chance is None else rest[-1]]
            title = dataset.title if dataset else task.dataset
            lines.append(f"| {title} | {metric} ({place}) | {' | '.join(shown)} | {score.n} |")
        path = out / "README.section.md"
        write_whole(path, ("\n".join(lines) + "\n").encode())
        return path


def _between(score: Score) -> str:
    if score.interval is None:
        return ""
    level = f"{100 * score.interval.level:g} %"
    return f", {level} interval {score.interval.low:.4g} to {score.interval.high:.4g}"


def _write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Path:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, stream.getvalue().encode())
    return path
