"""Several records on one leaderboard: what is ranked together, what is shown apart, and why."""

import numpy as np
import pytest
from rendered import build_side_by_side

from earmark.bench.tasks.registry import VIEWS
from earmark.reports.content import Bullets, TableBlock, plain
from earmark.reports.page import leaderboard
from earmark.reports.page.side_by_side import Compared, side_by_side
from earmark.reports.record.files import Run
from earmark.reports.record.schema import Cost, RecordError
from earmark.reports.render.html import page_html
from earmark.reports.render.markdown import page_markdown
from earmark.reports.render.pdf import pdf_bytes

NOT_COMPARED = Compared(how=["Not compared."])


def renamed(names, entries):
    return [entry for entry in entries if entry.model in names]


def run_of(sample, name, models, **changes):
    """Return the sample as a run of its own with some of its models."""
    tasks = []
    for task in sample.record.tasks:
        tasks.append(
            task.model_copy(
                update={
                    "models": [m for m in task.models if m in models],
                    "scores": renamed(models, task.scores),
                    "comparisons": [],
                    "groups": [],
                    "tables": [],
                }
                | changes.get(task.id, {})
            )
        )
    record = sample.record.model_copy(
        update={
            "id": name,
            "tasks": tasks,
            "models": [m for m in sample.record.models if m.id in models],
            "not_run": [],
        }
    )
    items = {key: table[table.model.isin(models)] for key, table in sample.items.items()}
    return Run(record, items, sample.arrays)


@pytest.fixture(scope="module")
def halves(sample):
    names = [model.id for model in sample.record.models]
    return run_of(sample, "one", names[:3]), run_of(sample, "two", names[2:])


def test_models_of_two_runs_on_the_same_items_stand_on_one_board(halves, sample):
    asked = []

    def compare(task, items, arrays):
        asked.append((task.id, sorted(items.model.unique())))
        return NOT_COMPARED

    side = side_by_side(halves, compare)
    names = [model.id for model in sample.record.models]
    assert [task.models for task in side.record.tasks] == [names, names]
    assert asked == [("musav", sorted(names)), ("gtzan-av", sorted(set(names)))]
    assert [len(task.scores) for task in side.record.tasks] == [
        len(task.scores) for task in sample.record.tasks
    ]
    assert {key: len(table) for key, table in side.items.items()} == {
        key: len(table) for key, table in sample.items.items()
    }
    assert side.apart == []
    assert side.notes == [f"{names[2]} is in the runs 1 and 2, with the same weights and scores."]
    assert side.origin[names[2]] == [1, 2] and side.origin[names[4]] == [2]
    assert side.record.tasks[0].protocol["comparison of runs"] == "Not compared."


def test_models_out_of_fold_stay_so_under_their_names_here(sample):
    names = [model.id for model in sample.record.models]
    runs = [
        run_of(sample, name, own, **{"gtzan-av": {"out_of_fold": [own[0]]}})
        for name, own in (("one", names[:2]), ("two", names[2:]))
    ]
    side = side_by_side(runs, lambda *_: NOT_COMPARED)
    assert [task.out_of_fold for task in side.record.tasks] == [[], [names[0], names[2]]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("items", "items (of all)"),
        ("protocol", "protocol (rescaling)"),
        ("metric", "the metrics or the headline"),
        ("fingerprint", "the files of the dataset (fingerprint)"),
    ],
)
def test_runs_that_differ_are_shown_apart_and_say_in_what(sample, change, reason):
    names = [model.id for model in sample.record.models]
    one = run_of(sample, "one", names[:2])
    other = run_of(sample, "two", names[2:])
    task = other.record.tasks[1]
    record = other.record
    if change == "items":
        scores = [s.model_copy(update={"item_digest": "0" * 64}) for s in task.scores]
        task = task.model_copy(update={"scores": scores})
    elif change == "protocol":
        task = task.model_copy(update={"protocol": task.protocol | {"rescaling": "onto 1 to 9"}})
    elif change == "metric":
        scores = [s.model_copy(update={"upper_bound": 2.0}) for s in task.scores]
        task = task.model_copy(update={"scores": scores})
    else:
        first, second = record.datasets
        datasets = [first, second.model_copy(update={"fingerprint": "f" * 64})]
        record = record.model_copy(update={"datasets": datasets})
    record = record.model_copy(update={"tasks": [record.tasks[0], task]})
    side = side_by_side([one, Run(record, other.items, other.arrays)], lambda *_: NOT_COMPARED)
    assert [task.models for task in side.record.tasks] == [names, names[:2], names[2:]]
    assert [task.id for task in side.record.tasks] == ["musav", "gtzan-av", "gtzan-av-2"]
    assert [task.title[-7:] for task in side.record.tasks[1:]] == ["(run 1)", "(run 2)"]
    (said,) = side.apart
    assert said.endswith(f"run 2 and run 1 differ in {reason}, so their models are not ranked "
                         "together.")  # fmt: skip
    report = build_side_by_side(side)
    warnings = [b for b in report.sections[0].blocks if isinstance(b, Bullets)]
    assert plain(warnings[0].items[0]) == f"Shown apart. {said}"


def test_what_a_protocol_says_of_single_models_keeps_no_runs_apart(sample):
    names = [model.id for model in sample.record.models]
    runs = []
    for number, some in enumerate((names[:2], names[2:])):
        protocol = {"rescaling": "none", "quadrants": "e1 to e4", "seed": number}
        protocol |= {f"crop of {name}": f"centre {number}" for name in some}
        runs.append(run_of(sample, f"r{number}", some, **{"gtzan-av": {"protocol": protocol}}))
    side = side_by_side(runs, lambda *_: NOT_COMPARED)
    assert side.apart == []
    protocol = side.record.tasks[1].protocol
    assert protocol["seed"] == "0; 1"
    assert [protocol[f"crop of {name}"][-1] for name in names] == ["0", "0", "1", "1", "1"]


@pytest.mark.parametrize("changed", ["weights", "scores"])
def test_one_name_for_two_models_stands_once_for_each_run(sample, changed):
    name = sample.record.models[0].id
    one, other = (run_of(sample, label, [name]) for label in ("one", "two"))
    record = other.record
    if changed == "weights":
        models = [m.model_copy(update={"weights_digest": "f" * 64}) for m in record.models]
        record = record.model_copy(update={"models": models})
    else:
        task = record.tasks[1]
        scores = [
            s.model_copy(update={"value": s.value and s.value / 2, "interval": None})
            for s in task.scores
        ]
        task = task.model_copy(update={"scores": scores})
        record = record.model_copy(update={"tasks": [record.tasks[0], task]})
    side = side_by_side([one, Run(record, other.items, other.arrays)], lambda *_: NOT_COMPARED)
    labels = [f"{name} (run 1)", f"{name} (run 2)"]
    assert side.record.tasks[1].models == labels
    assert [model.id for model in side.record.models] == labels
    assert set(side.items["gtzan-av"].model) == set(labels)
    unlike = "cards" if changed == "weights" else "scores"
    assert side.notes == [
        f"{name} has different {unlike} in the runs 1 and 2: shown once for each."
    ]


def test_arrays_of_models_are_joined_and_unlike_shared_ones_are_left_out_by_name(sample, joint):
    task, items, arrays = joint.retrieval(["muscall", "random"])
    other, other_items, other_arrays = joint.retrieval(["clap-larger-music"])
    runs = [
        Run(
            sample.record.model_copy(update={"id": name, "tasks": [t], "models": []}),
            {"retrieval": i},
            {"retrieval": a},
        )
        for name, t, i, a in (
            ("one", task, items, arrays),
            ("two", other, other_items, other_arrays),
        )
    ]
    side = side_by_side(runs, lambda *_: NOT_COMPARED)
    assert "map.clap-larger-music" in side.arrays["retrieval"]
    assert side.record.tasks[0].models == ["muscall", "random", "clap-larger-music"]
    gaps = next(t for t in side.record.tasks[0].tables if t.title == "Modality gap")
    assert [row[0] for row in gaps.rows] == ["muscall", "random", "clap-larger-music"]
    changed = {**other_arrays, "map.item": np.array(["other"] * 720)}
    runs[1] = Run(runs[1].record, runs[1].items, {"retrieval": changed})
    side = side_by_side(runs, lambda *_: NOT_COMPARED)
    assert "map.clap-larger-music" not in side.arrays["retrieval"]
    assert side.record.tasks[0].warnings == [
        "No figures of arrays for clap-larger-music of run 2: its map.item are not those of run 1."
    ]


def test_a_run_that_holds_one_task_twice_has_a_board_for_each(sample):
    names = [model.id for model in sample.record.models]
    one, other = run_of(sample, "one", names[:2]), run_of(sample, "two", names[2:])
    task = one.record.tasks[1]
    again = task.model_copy(update={"id": "again"})
    record = one.record.model_copy(update={"tasks": [task, again]})
    items = dict.fromkeys((task.id, "again"), one.items[task.id])
    side = side_by_side([Run(record, items, {}), other], lambda *_: NOT_COMPARED)
    assert [(t.id, t.models) for t in side.record.tasks] == [
        ("gtzan-av", names),
        ("again", names[:2]),
        ("musav", names[2:]),
    ]


def test_one_record_or_the_same_twice_is_refused(halves):
    with pytest.raises(RecordError, match="at least two records, got 1"):
        side_by_side(halves[:1], lambda *_: NOT_COMPARED)
    with pytest.raises(RecordError, match="record one is given more than once"):
        side_by_side([halves[0], halves[0]], lambda *_: NOT_COMPARED)


def test_the_leaderboard_has_intervals_chance_letters_daggers_and_cost(sample):
    section = leaderboard.leaderboard(sample.record, VIEWS)
    (board,) = (block for block in section.blocks if isinstance(block, TableBlock))
    heads = [(column.group, column.label) for column in board.columns[1:]]
    pairs = "Pairwise agreement with listeners on MusAV"
    assert heads[:2] == [
        (pairs, "Accuracy (%, ties half), arousal, gt"),
        (pairs, "Accuracy (%, ties half), valence, gt"),
    ]
    rows = {row[0].text: row for row in board.rows}
    trained = rows["deam-msd-musicnn-2"]
    assert "†" not in trained[1].text and trained[3].text.endswith("†")
    assert trained[1].sub.startswith("[") and trained[1].sub.split("] ")[1] in "abcdefg a b"
    assert [cell.text for cell in board.foot[0]] == ["chance", "50.0", "50.0", "0.000", "0.000"]
    assert any(note.startswith("†: trained on this dataset") for note in board.notes)
    assert plain(section.blocks[-1].text).startswith("The inference cost is not known")


def test_daggers_stand_on_a_board_of_several_runs_by_either_name_of_the_dataset(halves):
    side = side_by_side(halves, lambda *_: NOT_COMPARED)
    known = [
        entry.model_copy(update={"known_as": "GTZAN-excerpts", "title": "Mine"})
        if entry.id == "gtzan_excerpts"
        else entry
        for entry in side.record.datasets
    ]
    for datasets in (side.record.datasets, known):
        record = side.record.model_copy(update={"datasets": datasets})
        board = leaderboard.leaderboard(record, VIEWS, side.origin).blocks[0]
        seen = {row[0].text: [cell.text[-1] == "†" for cell in row[1:]] for row in board.rows}
        assert seen.pop("deam-msd-musicnn-2") == [False, False, True, True]
        assert not any(any(daggers) for daggers in seen.values())
        assert any(note.startswith("†: trained on this dataset") for note in board.notes)


def costing(run, model, clips, **changes):
    cost = Cost(clips=clips, seconds=10, device="cpu", dtype="float32", **changes)
    models = [
        one.model_copy(update={"cost": cost}) if one.id == model else one
        for one in run.record.models
    ]
    return Run(run.record.model_copy(update={"models": models}), run.items, run.arrays)


def test_what_runs_measured_makes_no_two_models_and_is_dated(halves):
    one, two = halves
    name = one.record.models[2].id
    older = "2025-01-02T00:00:00+00:00"
    runs = [costing(one, name, 50, measured=older), costing(two, name, 40)]
    side = side_by_side(runs, lambda *_: NOT_COMPARED)
    assert side.notes == [f"{name} is in the runs 1 and 2, with the same weights and scores."]
    (cost,) = [m.cost for m in side.record.models if m.cost is not None]
    assert (cost.clips, cost.measured) == (50, older)
    side = side_by_side([one, runs[1]], lambda *_: NOT_COMPARED)
    (cost,) = [m.cost for m in side.record.models if m.cost is not None]
    assert (cost.clips, cost.measured) == (40, two.record.created)
    table = next(
        block
        for block in leaderboard.leaderboard(side.record, VIEWS, side.origin).blocks
        if isinstance(block, TableBlock) and block.caption == "Inference cost"
    )
    row = next(row for row in table.rows if row[0].text == name)
    assert [cell.text for cell in row[1:4]] == ["1, 2", "4.00", "40"]
    assert row[-1].text == "on 4 May 2026"


def test_a_leaderboard_is_a_page_a_paper_and_markdown(halves, tmp_path):
    report = build_side_by_side(side_by_side(halves, lambda *_: NOT_COMPARED))
    html, text = page_html(report), page_markdown(report)
    assert "Run 2: two" in html and "Leaderboard" in html
    assert "The inference cost is not known" in text
    assert "**Models by task**" in text
    (tmp_path / "report.pdf").write_bytes(pdf_bytes(report))
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")
