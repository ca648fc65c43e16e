"""`earmark export-record`: what other formats hold of a record is what the record holds."""

import csv
import json

import pytest
import yaml
from gated_runs import recording

from earmark.bench.run.record_exports import EXPORTERS, export_record
from earmark.datasets.base import DataError
from earmark.reports.record.files import read
from earmark.reports.record.lookup import headline


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return recording().write(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="module")
def record(folder):
    return read(folder)


def scores(record):
    """Every score with its interval, by what it is of."""
    return {
        (task.id, one.model, one.metric, one.subset, one.dimension or ""): (
            one.value,
            *((one.interval.low, one.interval.high) if one.interval else (None, None)),
        )
        for task in record.tasks
        for one in task.scores
    }


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
    done = export_record("eee", record, tmp_path, {"organisation": "us"})
    wanted = {key: value for key, value in scores(record).items() if value[0] is not None}
    found = {}
    for path in done.files:
        content = json.loads(path.read_text())
        required = "schema_version evaluation_id retrieved_timestamp source_metadata model_info"
        assert {*required.split(), "eval_library", "evaluation_results"} <= content.keys()
        assert content["source_metadata"]["source_organization_name"] == "us"
        for one in content["evaluation_results"]:
            assert {"evaluation_name", "source_data", "metric_config"} <= one.keys()
            assert isinstance(one["metric_config"]["lower_is_better"], bool)
            details = one["score_details"]
            texts = [
                *details["details"].values(),
                *one["source_data"]["additional_details"].values(),
            ]
            assert all(isinstance(text, str) for text in texts)
            task, metric = one["evaluation_name"].split(" (")[0].split("/")
            between = details.get("uncertainty", {}).get("confidence_interval", {})
            place = details["details"]["subset"], details["details"]["dimension"]
            key = (task, content["model_info"]["name"], metric, *place)
            found[key] = (details["score"], between.get("lower"), between.get("upper"))
    assert found == {key: value for key, value in wanted.items() if key[1] != "random"}
    assert any("random" in text for text in done.left_out) == any(k[1] == "random" for k in wanted)


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
    assert set(EXPORTERS.targets()) >= {"csv", "eee", "hf"}
