"""Records that travel: a run's scores in the formats of other places, with what these cannot hold.

An exporter is a class with ``write(record, out)``; it is registered below or by an entry point of
the group ``earmark.exporters``. None of them sends anything anywhere.

* ``csv``: one row per score, with interval, chance and protocol; opens in any program.
* ``eee``: Every Eval Ever, https://github.com/evaleval/every_eval_ever, schema 0.3.0: one JSON file
  per model, intervals in ``uncertainty``.
* ``hf``: for a model's repository on the Hugging Face hub: ``.eval_results/*.yaml``
  (https://huggingface.co/docs/hub/eval-results) and a section for its README.
* ``mlflow`` and ``wandb``: see :mod:`earmark.bench.run.trackers`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol

from earmark.datasets.base import DataError
from earmark.datasets.files.atomic_files import write_whole
from earmark.datasets.files.names import as_file_name
from earmark.datasets.registry import Registry
from earmark.reports import words
from earmark.reports.record.lookup import RANDOM_BASELINE, headline, score_row
from earmark.reports.record.schema import DatasetEntry, Plain, RunRecord, Score, TaskResult


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
        "mlflow": "earmark.bench.run.trackers:MlflowExporter",
        "wandb": "earmark.bench.run.trackers:WandbExporter",
    },
)
ITEMS = "outcomes by item, arrays, comparisons and groups of models: they stay in the run's folder"


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


def scores_of(record: RunRecord) -> Iterator[tuple[TaskResult, DatasetEntry | None, Score]]:
    """Yield every score with its task and its dataset."""
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
        protocol = [
            {"task": task.id, "key": key, "value": value}
            for task in record.tasks
            for key, value in task.protocol.items()
        ]
        files = [out / "scores.csv", out / "protocol.csv"]
        write_whole(files[0], as_csv(self.COLUMNS, self.rows(record)).encode())
        write_whole(files[1], as_csv(("task", "key", "value"), protocol).encode())
        return Exported(files, [ITEMS])

    @classmethod
    def rows(cls, record: RunRecord) -> list[dict[str, Plain]]:
        """Return one row per score."""
        rows = []
        for task, dataset, score in scores_of(record):
            row = score_row(task, score) | {
                "run": record.id,
                "created": record.created,
                "dataset_version": dataset.version if dataset else "",
            }
            row["interval_method"] = row["method"]
            rows.append({name: row[name] for name in cls.COLUMNS})
        return rows


class EveryEvalEverExporter:
    """One JSON file per model, where the database of Every Eval Ever has it.

    Parameters
    ----------
    organisation
        Who evaluated.
    relationship
        Of the evaluator to the model: ``first_party``, ``third_party``, ``collaborative`` or
        ``other``.
    developer
        Who made the models; the database has a folder per developer.
    availability
        Of the models: ``open_weights``, ``closed_weights`` or ``unknown``.
    """

    VERSION = "0.3.0"
    CHOICES: ClassVar[Mapping[str, Sequence[str]]] = {
        "relationship": ("first_party", "third_party", "collaborative", "other"),
        "availability": ("open_weights", "closed_weights", "unknown"),
    }

    def __init__(
        self,
        *,
        organisation: str = "not stated",
        relationship: str = "other",
        developer: str = "unknown",
        availability: str = "unknown",
    ) -> None:
        stated = {"relationship": relationship, "availability": availability}
        for name, value in stated.items():
            if value not in self.CHOICES[name]:
                raise DataError(f"{name} is {value!r}, expected {', '.join(self.CHOICES[name])}")
        self.organisation = organisation
        self.relationship = relationship
        self.developer = developer
        self.availability = availability

    def write(self, record: RunRecord, out: Path) -> Exported:
        """Write ``data/<suite>/<developer>/<model>/<uuid>.json`` per model but the baseline."""
        left = [ITEMS]
        if self.developer == "unknown":
            left.append(
                "who made the models, without which its database refuses a folder "
                "(option developer)"
            )
        files = []
        models = dict.fromkeys(score.model for _, _, score in scores_of(record))
        for model in models:
            own = [one for one in scores_of(record) if one[2].model == model]
            undefined = sum(score.value is None for _, _, score in own)
            if undefined:
                left.append(f"{undefined} scores of {model} that are undefined")
            if model == RANDOM_BASELINE:
                left.append("the random baseline, which is no model of anybody's")
                continue
            results = [self._result(*one, record) for one in own if one[2].value is not None]
            if results:
                name, developer = (as_file_name(one, other="_") for one in (model, self.developer))
                # The same of the same run, so that a second export replaces the first.
                digest = hashlib.sha256(f"{record.id}/{model}".encode()).digest()
                own_file = f"{uuid.UUID(bytes=digest[:16], version=4)}.json"
                path = out / "data" / record.suite.name / developer / name / own_file
                path.parent.mkdir(parents=True, exist_ok=True)
                content = self._of_model(record, model, f"{developer}/{name}", results)
                write_whole(path, (json.dumps(content, indent=1) + "\n").encode())
                files.append(path)
        return Exported(files, left)

    def _of_model(
        self, record: RunRecord, model: str, known_as: str, results: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        entry = next((one for one in record.models if one.id == model), None)
        stated = {} if entry is None else {
            "weights_sha256": entry.weights_digest,
            "adapter_version": entry.version,
            "licence": entry.licence,
            "crop_policy": entry.crop_policy,
            "training_datasets": ", ".join(entry.training_datasets),
        }  # fmt: skip
        stated["model_availability"] = self.availability
        # Without code the numbers came in a file.
        own = entry is not None and entry.code is not None
        stated["deployment_type"] = "self_deployed" if own else "unknown"
        created = datetime.fromisoformat(record.created).timestamp()
        return {
            "schema_version": self.VERSION,
            "evaluation_id": f"{record.suite.name}/{known_as}/{created}",
            "evaluation_timestamp": record.created,
            "retrieved_timestamp": str(time.time()),
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
            "model_info": {
                "name": model,
                "id": known_as,
                "developer": self.developer,
                "additional_details": stated,
            },
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
        low, high = score.lower_bound, score.upper_bound
        config = {
            "evaluation_description": f"{score.metric} of {task.title}",
            "metric_id": score.metric,
            "metric_name": words.metric(score.metric).title,
            "lower_is_better": not score.higher_is_better,
            "score_type": "continuous",
            "min_score": "-Infinity" if low is None else low,
            "max_score": "Infinity" if high is None else high,
            "additional_details": {key: str(value) for key, value in task.protocol.items()},
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
            for task, dataset, score in scores_of(record)
            if score.model == self.model
            and score.value is not None
            and headline(task) == (score.metric, score.subset)
        ]
        if not own:
            known = sorted({score.model for _, _, score in scores_of(record)})
            raise DataError(
                f"run {record.id} has no headline score of {self.model!r}; its models are "
                f"{', '.join(known)}"
            )
        lines, left = [], [ITEMS, "scores that are not the headline of their task"]
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


def as_csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a table."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
