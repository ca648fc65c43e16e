"""Runs in MLflow and in Weights & Biases, read back from the files that were written."""

import csv
import io
import json
import struct
from importlib.util import find_spec

import pytest
from gated_runs import all_scores, recording

from earmark.bench.run.record_exports import export_record
from earmark.datasets.base import DataError
from earmark.models.base import ModelError
from earmark.reports.record.files import read


def needs(package, *others):
    missing = [one for one in (package, *others) if find_spec(one) is None]
    reason = f"{', '.join(missing)} is not installed: pip install 'earmark[{package}]'"
    return pytest.mark.skipif(bool(missing), reason=reason)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    made = recording()
    made.record["models"][0]["crop_policy"] = "x" * 6001
    return read(made.write(tmp_path_factory.mktemp("tracked")))


def numbers(record, model):
    """Every defined score of a model with the ends of its interval, by its name in a tracker."""
    found = {}
    for key, value in all_scores(record).items():
        if key[1] == model and value[0] is not None:
            parts = (key[0], *filter(None, key[2:]))
            ends = zip(("value", "low", "high"), value, strict=True)
            found |= {"/".join((*parts, end)): one for end, one in ends if one is not None}
    return found


def models(record):
    return {key[1] for key in all_scores(record)}


def only_scores(values):
    return {k: v for k, v in values.items() if k.rsplit("/", 1)[-1] in {"value", "low", "high"}}


@needs("mlflow", "sqlalchemy", "alembic")
def test_mlflow_has_every_score_to_the_last_bit(record, tmp_path):
    from mlflow.tracking import MlflowClient

    done = export_record("mlflow", record, tmp_path, {"experiment": "mine"})
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mine")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert runs.keys() == models(record)
    for model, run in runs.items():
        # What its names do not take is an underscore: "genres/accuracy/A _label_ track/value".
        no_name = str.maketrans(dict.fromkeys("(){},", "_"))
        wanted = {key.translate(no_name): one for key, one in numbers(record, model).items()}
        assert only_scores(run.data.metrics) == wanted
        assert run.data.tags["earmark.run"] == record.id and run.info.status == "FINISHED"
        assert run.data.params["suite_digest"] == record.suite.digest
        (table,) = (tmp_path / "artifacts" / run.info.run_id).rglob("scores.csv")
        rows = list(csv.DictReader(io.StringIO(table.read_text())))
        assert len(rows) == sum(key[1] == model for key in all_scores(record))
    assert any("crop_policy: longer than 6,000" in text for text in done.left_out)
    with pytest.raises(DataError, match="already; give another folder"):
        export_record("mlflow", record, tmp_path, {"experiment": "mine"})


def logged(path):
    """Records of a ``.wandb`` file: a log of LevelDB's format, in blocks of 32 KiB."""
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    at, whole = 7, b""
    while at + 7 <= len(data):
        if (room := 32768 - at % 32768) < 7:
            at += room
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in {1, 4}:  # the whole record, or its last part
            yield whole
            whole = b""


@needs("wandb")
def test_weights_and_biases_has_every_score_to_the_last_bit(record, tmp_path):
    from wandb.proto.wandb_internal_pb2 import Record

    done = export_record("wandb", record, tmp_path, {"project": "mine"})
    found = {}
    for path in done.files:
        entries = [Record.FromString(one) for one in logged(path)]
        (run,) = (one.run for one in entries if one.HasField("run"))
        summary = {
            (item.key or "/".join(item.nested_key)): json.loads(item.value_json)
            for one in entries
            if one.HasField("summary")
            for item in one.summary.update
        }
        numeric = {k: v for k, v in summary.items() if isinstance(v, int | float)}
        assert only_scores(numeric) == numbers(record, run.display_name)
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        assert config["suite_digest"] == record.suite.digest and run.project == "mine"
        (table,) = path.parent.rglob("*.table.json")
        content = json.loads(table.read_text())
        rows = [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]
        keys = ("task", "model", "metric", "subset", "dimension")
        found |= {
            tuple(row[key] or "" for key in keys): tuple(row[k] for k in ("value", "low", "high"))
            for row in rows
        }
    assert found == all_scores(record)
    assert "outcomes by item" in done.left_out[0]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_without_its_package_an_exporter_says_how_to_install_it(
    name, record, tmp_path, monkeypatch
):
    module = {"mlflow": "mlflow.tracking", "wandb": "wandb"}[name]
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ModelError, match=rf"{name}.*pip install"):
        export_record(name, record, tmp_path, {})
