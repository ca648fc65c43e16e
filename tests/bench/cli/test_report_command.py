"""``earmark report``: formats, places, several records, and how their models are compared."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from earmark.bench.cli.report import (
    ReportError,
    parsed_formats,
    report,
)
from earmark.bench.gate.leaderboard import compare_models
from earmark.reports.record import files as record_io
from earmark.reports.record.files import load
from earmark.reports.record.schema import RecordError

sys.path.insert(0, str(Path(__file__).parents[2] / "reports"))

import report_sample
import report_sample_joint as joint

MODELS = ("muscall", "clap-larger-music", "dcase-baseline", "random")


@pytest.fixture(scope="module")
def base():
    return report_sample.sample().record


def written(base, name, parts, folder):
    """Write a record of these tasks and return its folder."""
    record = base.model_copy(
        update={"id": name, "tasks": [task for task, _, _ in parts], "not_run": []}
    )
    return record_io.write(
        record,
        items={task.id: items for task, items, _ in parts},
        arrays={task.id: arrays for task, _, arrays in parts},
        runs_folder=folder,
    )


def half(part, models):
    task, items, arrays = part
    others = tuple(f".{m}" for m in task.models if m not in models)
    arrays = {key: value for key, value in arrays.items() if not key.endswith(others)}
    task = task.model_copy(
        update={
            "models": list(models),
            "scores": [s for s in task.scores if s.model in models],
            "comparisons": [],
            "groups": [],
            "tables": [t for t in task.tables if not t.title.startswith("Failures")],
            "arrays": sorted(arrays),
        }
    )
    return task, items[items.model.isin(models)].reset_index(drop=True), arrays


@pytest.fixture(scope="module")
def two(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    whole = joint.classification(MODELS, kind="probe")
    return [written(base, n, [half(whole, m)], folder) for n, m in
            (("one", MODELS[:2]), ("two", MODELS[2:]))]  # fmt: skip


def test_models_of_two_runs_are_compared_on_the_same_items():
    task, items, arrays = joint.classification(MODELS, kind="probe")
    found = compare_models(task, items, arrays)
    assert found.how == [
        "accuracy (cross-validated): paired on 400 items, randomisation over units, Holm."
    ]
    values = {s.model: s.value for s in task.scores if s.metric == "accuracy"}
    hits = {m: items[items.model == m].accuracy.to_numpy() for m in MODELS}
    assert len(found.comparisons) == 6
    for pair in found.comparisons:
        assert pair.difference == pytest.approx(values[pair.model] - values[pair.other], abs=1e-12)
        spread = np.std(hits[pair.model] - hits[pair.other]) / np.sqrt(400)
        width = (pair.interval.high - pair.interval.low) / 2
        assert width == pytest.approx(1.96 * spread, rel=0.15)
        assert pair.n == 400 and pair.interval.unit == "clip"
    assert found.groups[-1].models == ["random"]


def test_the_order_of_items_in_a_record_does_not_matter():
    task, items, arrays = joint.classification(MODELS[:2], kind="probe")
    shuffled = items.sample(frac=1, random_state=3).reset_index(drop=True)
    assert compare_models(task, items, arrays) == compare_models(task, shuffled, arrays)


def test_both_directions_of_retrieval_are_compared():
    task, items, arrays = joint.retrieval(MODELS[:2])
    found = compare_models(task, items, arrays)
    assert {pair.subset for pair in found.comparisons} == {"text-to-audio", "audio-to-text"}


def test_pairs_are_compared_with_half_credit_as_the_task_itself_does():
    sample = report_sample.sample()
    task = sample.record.tasks[0]
    found = compare_models(task, sample.items[task.id], {})
    own = {
        (p.model, p.other, p.dimension): p.difference for p in task.comparisons if p.subset == "gt"
    }
    made = {(p.model, p.other, p.dimension): p.difference for p in found.comparisons}
    assert all(how.startswith("pairwise_accuracy_half_credit (gt, ") for how in found.how)
    assert all(": paired on" in how for how in found.how)
    assert len(made) == len(own) > 10
    for (model, other, side), difference in own.items():
        there = made.get((model, other, side))
        if there is None:
            there = -made[other, model, side]
        assert there == pytest.approx(difference, abs=1e-12)


def test_correlations_are_compared_from_the_predictions():
    sample = report_sample.sample()
    task = sample.record.tasks[1]
    found = compare_models(task, sample.items[task.id], {})
    assert [how.split(":")[1][:7] for how in found.how] == [" paired", " paired"]
    values = {(s.model, s.dimension): s.value for s in task.scores if s.metric == "pearson_r"}
    for pair in found.comparisons:
        expected = values[pair.model, pair.dimension] - values[pair.other, pair.dimension]
        assert pair.difference == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda t: t.assign(accuracy=1 - t.accuracy), "do not add up to its score"),
        (lambda t: t.drop(columns="accuracy"), "no per-item outcomes of accuracy in the record"),
        (lambda t: t.drop(columns="unit"), "the records keep no outcomes by item"),
        (lambda t: t.iloc[:-5], "the outcomes of clap-larger-music are not on the items of musc"),
        (lambda t: t[t.model != "muscall"], "(the records keep no outcomes of muscall by item)"),
        (lambda t: t[t.model == "muscall"], "no outcomes of clap-larger-music by item)"),
    ],
)
def test_outcomes_that_do_not_carry_the_scores_leave_an_unpaired_comparison_that_says_so(
    damage, reason
):
    task, items, arrays = joint.classification(MODELS[:2], kind="probe")
    found = compare_models(task, damage(items), arrays)
    (how,) = found.how
    assert "unpaired, from the intervals of the scores" in how and reason in how
    (pair,) = found.comparisons
    assert pair.interval is None and 0 < pair.p_value == pair.p_holm


def test_unpaired_p_values_are_those_of_two_normal_estimates():
    task, items, arrays = joint.classification(MODELS[:2], kind="probe")
    (pair,) = compare_models(task, items.drop(columns="unit"), arrays).comparisons
    one, other = (s for s in task.scores if s.metric == "accuracy")
    errors = [(s.interval.high - s.interval.low) / (2 * 1.959963984540054) for s in (one, other)]
    from scipy.stats import norm

    z = abs(one.value - other.value) / np.hypot(*errors)
    assert pair.p_value == pytest.approx(2 * norm.sf(z), rel=1e-6)


def test_several_records_become_one_leaderboard(two, tmp_path):
    paths = report(two, out=tmp_path / "board", formats="html,md")
    assert [path.name for path in paths] == ["report.html", "report.md"]
    text = paths[1].read_text(encoding="utf-8")
    assert "# Arousal" in text
    board = text.split("**Models by task**")[1]
    ranked = [line.split(" ")[1] for line in board.splitlines() if line.startswith("| ")][2:6]
    assert ranked == ["clap-larger-music", "muscall", "dcase-baseline", "random"]
    assert "paired on 400 items" in text


def test_one_record_is_rendered_beside_itself_or_where_asked(two, tmp_path):
    assert report([two[0]], out=None, formats="md") == [two[0] / "report.md"]
    assert report([two[0] / "run.json"], out=None, formats="md") == [two[0] / "report.md"]
    assert report([two[0]], out=tmp_path, formats="pdf") == [tmp_path / "report.pdf"]


def test_figures_are_exported_each_with_its_data_and_the_same_bytes_again(two, tmp_path):
    first = report([two[0]], out=tmp_path / "a", formats="md", figures=True)[1:]
    again = report([two[0]], out=tmp_path / "b", formats="md", figures=True)[1:]
    assert {path.suffix for path in first} == {".svg", ".pdf", ".png", ".csv"}
    assert first[0].name == "figure-1-every-model-on-every-task.csv"
    assert first[4].name.startswith("figure-2-genres-made-from-noise-linear-probe-accuracy")
    assert len(first) % 4 == 0 and len(first) >= 8
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    starts = {path.suffix: path.read_bytes()[:4] for path in first}
    assert starts == {".svg": b"<svg", ".pdf": b"%PDF", ".png": b"\x89PNG", ".csv": b"mode"} | {
        ".csv": starts[".csv"]
    }


def test_formats_are_read_from_one_word_or_several():
    assert parsed_formats("html, pdf,md,html") == ["html", "pdf", "md"]
    for wrong, named in (("html,doc", "'doc'"), (",", "none")):
        with pytest.raises(ReportError, match=rf"format {named} .*expected some of html, pdf, md"):
            parsed_formats(wrong)


def test_several_records_need_a_folder(two):
    with pytest.raises(ReportError, match="a report of 2 records needs a folder: give --out DIR"):
        report(two, out=None)


def test_a_folder_that_cannot_be_written_is_named(two, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match=r"reports could not be written to .*file"):
        report([two[0]], out=tmp_path / "file" / "in", formats="md")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"schema_version": 1', '"schema_version": 7'), "schema version 7, this Earmark reads"),
        (('"value": 0', '"value": NaN, "x": 0'), "tasks\\[0\\].scores"),
        (('"tasks": [', '"tasks": [['), "is not valid JSON"),
    ],
)
def test_a_damaged_record_is_refused_in_words(two, tmp_path, earmark, change, message):
    import re
    import shutil

    copy = Path(shutil.copytree(two[0], tmp_path / "copy"))
    text = (copy / "run.json").read_text()
    assert change[0] in text
    (copy / "run.json").write_text(text.replace(*change, 1))
    code, _, err = earmark("report", copy)
    assert code == 3 and re.search(message, err)


def test_a_record_that_was_cut_off_is_refused_in_words(two, tmp_path):
    import shutil

    copy = Path(shutil.copytree(two[0], tmp_path / "copy"))
    text = (copy / "run.json").read_text()
    (copy / "run.json").write_text(text[: len(text) // 2])
    with pytest.raises(RecordError, match="the file ends too early"):
        load(copy)
    (copy / "run.json").write_text(text)
    items = next((copy / "items").iterdir())
    items.write_bytes(items.read_bytes()[:-10])
    with pytest.raises(RecordError, match="is not the file written with this record"):
        load(copy)


def test_a_task_with_no_score_and_no_item_is_a_stated_gap(base, tmp_path):
    task, items, _ = joint.classification(MODELS[:1], kind="probe")
    nothing = {"scores": [], "comparisons": [], "groups": [], "tables": [], "arrays": []}
    task = task.model_copy(update=nothing)
    folder = written(base, "empty", [(task, items.iloc[:0], {})], tmp_path)
    (path,) = report([folder], out=None, formats="md")
    text = path.read_text(encoding="utf-8")
    assert "No score was computed." in text
    (path,) = report([folder], out=None, formats="html")
    assert "<figure" not in path.read_text(encoding="utf-8")


def test_the_command_prints_what_it_wrote(two, tmp_path, earmark):
    code, out, _ = earmark("report", *two, "--out", tmp_path, "--format", "md")
    assert code == 0 and out.split() == [str(tmp_path / "report.md")]
    code, _, err = earmark("report", *two)
    assert code == 3 and "give --out DIR" in err


SAVED_SPEED = {
    "machine_info": {"machine": "x86_64", "processor": "AMD", "python_version": "3.11.7"},
    "commit_info": {"id": None},
    "datetime": "2026-05-04T10:00:00+00:00",
    "benchmarks": [
        {
            "extra_info": {
                "ratio": {
                    "name": "ranks",
                    "reference": "argsort",
                    "ratio": 6.5,
                    "low": 6.0,
                    "high": 7.0,
                    "level": 0.97,
                    "ratios": [6.0, 6.5, 7.0],
                    "target": 5.0,
                    "clock": "wall",
                    "ours_seconds": 0.01,
                    "reference_seconds": 0.07,
                    "busy": "",
                    "verdict": "fast enough",
                }
            }
        }
    ],
}


def test_saved_speed_stands_in_the_report_of_one_record_and_of_several(earmark, two, tmp_path):
    speed = tmp_path / "speed.json"
    speed.write_text(json.dumps(SAVED_SPEED))
    for runs in ([two[0]], two):
        out = tmp_path / f"out-{len(runs)}"
        asked = ("report", *runs, "--out", out, "--format", "md", "--speed", speed)
        code, _, err = earmark(*asked)
        assert code == 0, err
        shown = (out / "report.md").read_text()
        assert "## Speed" in shown
        assert "on AMD, Python 3.11.7, 4 May 2026, 10:00 UTC" in shown
        assert shown.index("| ranks") < shown.index("## Datasets")


@pytest.mark.parametrize("command", ["report", "bench"])
def test_a_speed_file_that_is_none_is_refused_by_name_before_any_work(
    earmark, tmp_path, two, command
):
    speed = tmp_path / "other.json"
    speed.write_text('{"scores": []}')
    given = two[0] if command == "report" else "musav_baselines"
    code, out, err = earmark(command, given, "--speed", speed)
    assert (code, out) == (3, "")
    assert f"speed file {speed} is no file of pytest-benchmark" in err


def test_a_brief_report_stands_beside_the_whole_one(base, tmp_path, capsys):
    run = written(base, "one", [half(joint.retrieval(), MODELS[:2])], tmp_path)
    paths = report([run], brief=True, formats="html,md")
    assert [path.name for path in paths] == ["brief.html", "brief.md"]
    assert f"earmark report {run.name}" in paths[1].read_text().replace("\\", "")
    with pytest.raises(ReportError, match="no tables of clips to play"):
        report([run], brief=True, audio=True)
