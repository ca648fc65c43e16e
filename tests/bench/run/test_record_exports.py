"""`earmark export-record`: what other formats hold of a record is what the record holds."""

import csv
import importlib.util
import json
import math
from pathlib import Path

import jsonschema
import pytest
import yaml
from gated_runs import all_scores as scores
from gated_runs import recording

from earmark.bench.run.record_exports import EXPORTERS, EveryEvalEverExporter, export_record
from earmark.datasets.base import DataError
from earmark.reports.record.files import read
from earmark.reports.record.lookup import headline

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return recording().write(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="module")
def record(folder):
    return read(folder)


def test_the_table_has_every_score_to_the_last_bit(record, tmp_path):
    done = export_record("csv", record, tmp_path, {})
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {
        tuple(row[key] for key in ("task", "model", "metric", "subset", "dimension")): tuple(
            float(row[key]) if row[key] else None for key in ("value", "low", "high")
        )
        for row in rows
    }
    assert found == scores(record)
    marked = {(row["task"], row["metric"]) for row in rows if row["headline"] == "True"}
    assert marked == {(task.id, headline(task)[0]) for task in record.tasks if task.scores}
    with (tmp_path / "protocol.csv").open(newline="") as file:
        keys = [(row["task"], row["key"]) for row in csv.DictReader(file)]
    assert keys == [(task.id, key) for task in record.tasks for key in task.protocol]
    assert "outcomes by item" in done.left_out[0]


def test_every_eval_ever_has_each_models_scores_with_their_uncertainty(record, tmp_path):
    done = export_record("eee", record, tmp_path, {"organisation": "us", "developer": "Lab"})
    wanted = {key: value for key, value in scores(record).items() if value[0] is not None}
    found = {}
    for path in done.files:
        content = json.loads(path.read_text())
        model = content["model_info"]["name"]
        folder = path.parent.relative_to(tmp_path).as_posix()
        assert folder == f"data/{record.suite.name}/{content['model_info']['id']}"
        assert content["source_metadata"]["source_organization_name"] == "us"
        for one in content["evaluation_results"]:
            details = one["score_details"]
            task, metric = one["evaluation_name"].split(" (")[0].split("/")
            between = details.get("uncertainty", {}).get("confidence_interval", {})
            place = details["details"]["subset"], details["details"]["dimension"]
            key = (task, model, metric, *place)
            found[key] = (details["score"], between.get("lower"), between.get("upper"))
    assert found == {key: value for key, value in wanted.items() if key[1] != "random"}
    assert any("random" in text for text in done.left_out) == any(k[1] == "random" for k in wanted)
    again = export_record("eee", record, tmp_path, {"developer": "Lab"})
    assert again.files == done.files and len(list(tmp_path.rglob("*.json"))) == len(done.files)


def test_files_for_every_eval_ever_are_valid_by_its_own_schema(record, tmp_path):
    schema = json.loads((HERE / "every_eval_ever" / "eval.schema.json").read_text())
    assert schema["version"] == EveryEvalEverExporter.VERSION
    validator = jsonschema.Draft7Validator(schema)
    unbounded = set()
    for path in export_record("eee", record, tmp_path, {}).files:
        content = json.loads(path.read_text(), parse_constant=pytest.fail)
        assert [error.message for error in validator.iter_errors(content)] == []
        for one in content["evaluation_results"]:
            config, score = one["metric_config"], one["score_details"]["score"]
            assert float(config["min_score"]) <= score <= float(config["max_score"])
            unbounded.add(math.isinf(float(config["max_score"])))
        del content["model_info"]["additional_details"]["deployment_type"]
        assert len(list(validator.iter_errors(content))) == 1
    assert unbounded == {True, False}


def test_files_for_every_eval_ever_pass_its_own_validator(record, tmp_path):
    if importlib.util.find_spec("every_eval_ever") is None:
        pytest.skip("every_eval_ever is not installed (it needs Python 3.12)")
    from every_eval_ever.validator.validation_core import validate_aggregate

    for path in export_record("eee", record, tmp_path, {"developer": "Lab"}).files:
        place = path.relative_to(tmp_path).as_posix()
        report = validate_aggregate(path, repo_path=place, run_semantic_checks=True)
        assert (report.valid, report.errors, report.warnings) == (True, [], [])


def test_the_hub_gets_the_headline_scores_of_one_model(record, tmp_path):
    task = next(task for task in record.tasks if task.scores)
    model = next(score.model for score in task.scores if score.model != "random")
    options = {"model": model, "benchmarks": {task.dataset: "org/bench"}}
    done = export_record("hf", record, tmp_path, options)
    rows = yaml.safe_load((tmp_path / ".eval_results" / f"{record.suite.name}.yaml").read_text())
    values = {
        key: value[0]
        for key, value in scores(record).items()
        if key[0] == task.id and key[1] == model and (key[2], key[3]) == headline(task)
    }
    own = [row for row in rows if row["dataset"] == {"id": "org/bench", "task_id": task.id}]
    assert sorted(row["value"] for row in own) == sorted(values.values())
    section = (tmp_path / "README.section.md").read_text()
    assert section.startswith("## Evaluation") and section.count("\n|") > 2
    assert len(done.left_out) >= 2
    with pytest.raises(DataError, match="no headline score of 'nobody'"):
        export_record("hf", record, tmp_path, {"model": "nobody"})


def test_the_command_says_what_it_wrote_and_what_not(folder, tmp_path, earmark):
    code, out, err = earmark("export-record", folder, tmp_path / "out", "--to", "csv")
    assert code == 0, err
    assert "scores.csv" in out and "not in it: outcomes by item" in out
    code, _, err = earmark("export-record", folder, tmp_path / "out", "--to", "cvs")
    assert (code, "Did you mean 'csv'?" in err) == (3, True)
    wrong = ("--to", "eee", "--option", "relationship=friend")
    code, _, err = earmark("export-record", folder, tmp_path / "out", *wrong)
    assert (code, "expected first_party, third_party" in err) == (3, True)
    assert set(EXPORTERS.targets()) >= {"csv", "eee", "hf", "mlflow", "wandb"}
