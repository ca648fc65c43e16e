"""Records in experiment trackers: one run per model, in MLflow and in Weights & Biases.

Both hold numbers by name, ``<task>/<metric>/<subset>[/<dimension>]/value`` and beside it ``low``,
``high``, ``chance`` and ``n``, and each model's whole table of scores. Everything is written to
files; the trackers' own reports of errors and use are switched off.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from earmark.bench.run.record_exports import ITEMS, Exported, TableExporter, as_csv, scores_of
from earmark.datasets.base import DataError
from earmark.models.support.adapter import require
from earmark.reports.record.schema import Plain, RunRecord

T = TypeVar("T", float, str)


class MlflowExporter:
    """One run per model in ``mlflow.db``, a tracking store in one SQLite file.

    MLflow no longer opens its older stores of many small files unless told to. To look at it:
    ``mlflow ui --backend-store-uri sqlite:///mlflow.db``.

    Parameters
    ----------
    experiment
        Its name; by default the suite's.
    """

    def __init__(self, *, experiment: str | None = None) -> None:
        self.experiment = experiment

    def write(self, record: RunRecord, out: Path) -> Exported:
        """Write ``mlflow.db``, and ``artifacts`` with the table of scores."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        tracking = require("mlflow.tracking", extra="mlflow", of="the exporter mlflow")
        entities = require("mlflow.entities", extra="mlflow", of="the exporter mlflow")
        store = out.resolve() / "mlflow.db"
        client = tracking.MlflowClient(tracking_uri=f"sqlite:///{store}")
        experiment = self._experiment(client, record, out)
        moment = round(1000 * datetime.fromisoformat(record.created).timestamp())
        left = [ITEMS]
        for model in _models(record):
            values, unnamed = _fitting(_values(record, model))
            settings, cut = _fitting(_settings(record, model))
            tags = {"earmark.run": record.id, "earmark.model": model}
            run = client.create_run(experiment, start_time=moment, tags=tags, run_name=model)
            metrics = [entities.Metric(key, one, moment, 0) for key, one in values.items()]
            params = [entities.Param(key, one) for key, one in settings.items()]
            for start in range(0, len(metrics), 1000):  # as many as a batch may have
                client.log_batch(run.info.run_id, metrics=metrics[start : start + 1000])
            for start in range(0, len(params), 100):
                client.log_batch(run.info.run_id, params=params[start : start + 100])
            table = as_csv(TableExporter.COLUMNS, _rows(record, model))
            client.log_text(run.info.run_id, table, "scores.csv")
            client.set_terminated(run.info.run_id, end_time=moment)
            left += _undefined(record, model)
            left += [f"{model}, {one}" for one in (*unnamed, *cut)]
        return Exported([store], left)

    def _experiment(self, client: Any, record: RunRecord, out: Path) -> str:
        name = self.experiment or record.suite.name
        if known := client.get_experiment_by_name(name):
            wanted = f"tags.`earmark.run` = '{record.id}'"
            if client.search_runs([known.experiment_id], wanted, max_results=1):
                raise DataError(f"{out}/mlflow.db has run {record.id} already; give another folder")
            return str(known.experiment_id)
        artifacts = (out.resolve() / "artifacts").as_uri()
        return str(client.create_experiment(name, artifact_location=artifacts))


class WandbExporter:
    """One offline run per model for Weights & Biases; ``wandb sync`` sends them, if you want to.

    Parameters
    ----------
    project
        Its name; by default the suite's.
    """

    def __init__(self, *, project: str | None = None) -> None:
        self.project = project

    def write(self, record: RunRecord, out: Path) -> Exported:
        """Write ``wandb/offline-run-*``."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        wandb = require("wandb", extra="wandb", of="the exporter wandb")
        # Only the record: nothing of this process, its machine or its repository.
        off = ("disable_code", "disable_git", "x_disable_meta", "x_disable_machine_info")
        quiet = wandb.Settings(
            silent=True,
            console="off",
            x_disable_stats=True,
            x_save_requirements=False,
            **dict.fromkeys(off, True),
        )
        files, left = [], [ITEMS]
        for model in _models(record):
            run = wandb.init(
                mode="offline",
                dir=out,
                project=self.project or record.suite.name,
                name=model,
                # The same of the same run: what is sent twice is there once.
                id=hashlib.sha256(f"{record.id}/{model}".encode()).hexdigest()[:16],
                config=_settings(record, model),
                tags=[record.suite.name],
                settings=quiet,
                reinit="create_new",  # a run of the caller's own goes on
            )
            run.summary.update(_values(record, model))
            rows = [list(row.values()) for row in _rows(record, model)]
            columns = list(TableExporter.COLUMNS)
            run.log({"scores": wandb.Table(columns, rows, allow_mixed_types=True)})
            files.append(Path(run.settings.sync_file))
            run.finish()
            left += _undefined(record, model)
        return Exported(files, left)


def _models(record: RunRecord) -> list[str]:
    return list(dict.fromkeys(score.model for _, _, score in scores_of(record)))


def _rows(record: RunRecord, model: str) -> list[dict[str, Plain]]:
    return [row for row in TableExporter.rows(record) if row["model"] == model]


def _values(record: RunRecord, model: str) -> dict[str, float]:
    """Return a model's numbers by name."""
    values: dict[str, float] = {}
    for task, _, score in scores_of(record):
        if score.model != model or score.value is None:
            continue
        parts = (task.id, score.metric, score.subset, score.dimension)
        name = "/".join(part for part in parts if part is not None)
        values |= {f"{name}/value": score.value, f"{name}/n": score.n}
        if score.interval:
            values |= {f"{name}/low": score.interval.low, f"{name}/high": score.interval.high}
        if score.chance is not None:
            values[f"{name}/chance"] = score.chance
    return values


def _settings(record: RunRecord, model: str) -> dict[str, str]:
    """Return what a model's numbers were made of: its card, the suite, each task's protocol."""
    entry = next((one for one in record.models if one.id == model), None)
    card = {} if entry is None else {
        "version": entry.version,
        "weights_digest": entry.weights_digest,
        "licence": entry.licence,
        "crop_policy": entry.crop_policy,
        "training_datasets": ", ".join(entry.training_datasets),
    }  # fmt: skip
    made = {
        "run": record.id,
        "created": record.created,
        "earmark_version": record.earmark_version,
        "suite": record.suite.name,
        "suite_digest": record.suite.digest,
        "seed": str(record.seed),
        "replicates": str(record.replicates),
    }
    found = {f"model/{key}": value for key, value in card.items()} | made
    for task in record.tasks:
        if model in task.models:
            found |= {f"{task.id}/{key}": str(value) for key, value in task.protocol.items()}
    return found


def _undefined(record: RunRecord, model: str) -> list[str]:
    n = sum(one.model == model and one.value is None for _, _, one in scores_of(record))
    return [f"{n} scores of {model} that are undefined, but in its table"] if n else []


def _fitting(values: Mapping[str, T]) -> tuple[dict[str, T], list[str]]:
    """Return what MLflow can hold by names that it takes, and what it cannot.

    Names have up to 250 letters, digits and ``_-. :/``, parameters up to 6,000 characters.
    """
    named: dict[str, T] = {}
    left = []
    for key, value in values.items():
        name = re.sub(r"[^\w\-. :/]", "_", key)
        if len(name) > 250 or name in named:
            left.append(f"{key}: as a name of MLflow it is too long, or another's")
        elif isinstance(value, str) and len(value) > 6000:
            left.append(f"{key}: longer than 6,000 characters")
        else:
            named[name] = value
    return named, left
