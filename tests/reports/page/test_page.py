"""The content of a report, before it is set: tables, their order, and what is never left out."""

import pytest
from markupsafe import escape
from rendered import build, figures_of, findings_of, render_html, render_pdf
from scipy.stats import binomtest

from earmark.bench.tasks.pairwise import view as musav
from earmark.reports import words as formats
from earmark.reports.content import Gap, Plots, Section, TableBlock, plain
from earmark.reports.page import page, tables
from earmark.reports.record.lookup import dataset_of
from earmark.reports.record.schema import ItemProblem, RecordError, TaskResult
from earmark.reports.render.markdown import page_markdown
from earmark.reports.view import GENERIC, View


def sections(parts):
    for part in parts:
        yield part
        yield from sections(part.sections)


def blocks(report, kind):
    found = [*report.verdict, *(b for part in sections(report.sections) for b in part.blocks)]
    return [block for block in found if isinstance(block, kind)]


@pytest.fixture(scope="module")
def report(sample):
    return build(sample.record, sample.items, sample.arrays)


def replaced(sample, **changes):
    """Return the sample's record with its first task changed."""
    first, *rest = sample.record.tasks
    task = TaskResult(**first.model_dump() | changes)
    return sample.record.model_copy(update={"tasks": [task, *rest]})


def test_every_table_is_rectangular(report):
    found = blocks(report, TableBlock)
    assert len(found) > 10
    for table in found:
        assert {len(row) for row in [*table.rows, *table.foot]} <= {len(table.columns)}, (
            table.caption
        )


def test_the_order_is_leaderboard_tasks_and_what_they_were_made_of(report, sample):
    assert [part.title for part in report.sections] == [
        "Leaderboard",
        *(task.title for task in sample.record.tasks),
        *("Datasets", "Models", "Citations", "Reproducibility"),
    ]
    assert [part.title for part in report.sections[1].sections] == [
        *("Scores", "Figures", "Comparisons", "Breakdowns", "Protocol"),
        "Items that could not be used",
    ]


HALF = "pairwise_accuracy_half_credit"


def test_a_verdict_table_holds_what_the_record_says(sample):
    task = sample.record.tasks[0]
    table = tables.verdict(task, metric=HALF, subset="gt", dimension="arousal")
    scores, official = (
        {
            score.model: score
            for score in task.scores
            if (score.metric, score.subset, score.dimension) == (metric, "gt", "arousal")
        }
        for metric in (HALF, "pairwise_accuracy")
    )
    assert [cell.text for cell in table.rows[-1]][:1] == ["loudness"]
    for row in table.rows:
        score = scores[row[0].text]
        assert row[1].text == f"{100 * score.value:.1f}"
        assert row[2].text == f"[{100 * score.interval.low:.1f}, {100 * score.interval.high:.1f}]"
        assert row[3].text == f"{formats.count(score.correct)} / {score.n}"
        share = f" ({formats.percent(score.ties / score.n_items)})" if score.ties else ""
        assert row[5].text == f"{score.ties}{share}"
        dropped = official[row[0].text]
        assert (row[6].text, row[7].text) == (f"{100 * dropped.value:.1f}", str(dropped.n))
        assert dropped.n == score.n - score.ties
    assert [row[1].sort for row in table.rows] == sorted(
        (r[1].sort for r in table.rows), reverse=True
    )
    assert [[cell.text for cell in row[:2]] for row in table.foot] == [
        ["one annotator against the two others", "85.6"],
        ["chance", "50.0"],
    ]
    assert [column.label for column in table.columns][6:] == [
        *("Official accuracy (%, ties dropped)", "n, official"),
        *("Relative to chance", "Relative to one annotator against the two others", "Group"),
    ]


def test_levels_of_chance_that_models_have_for_themselves_are_a_column(sample):
    # As of a linear probe: a row of chance would be that of one model, or one of a name each.
    task = sample.record.tasks[0]
    own = dict(zip(task.models, (0.5, 0.5 + 1e-16, 0.4, 0.3, 0.5), strict=True))
    scores = [s.model_copy(update={"chance": own[s.model]}) for s in task.scores]
    for chances, heads, feet in ((own, ["Chance"], 0), ({}, [], 1)):
        some = [s if chances else s.model_copy(update={"chance": 0.5}) for s in scores]
        changed = task.model_copy(update={"scores": some, "references": []})
        table = tables.verdict(changed, metric=HALF, subset="gt", dimension="arousal")
        assert [c.label for c in table.columns if c.label == "Chance"] == heads
        assert [row[0].text for row in table.foot] == ["chance"] * feet
        every = tables.every_set(changed, metric=HALF, dimension="arousal")
        (row,) = (row for row in every.foot if row[0].text == "chance")
        assert {cell.text for cell in row[1:]} == ({"—"} if chances else {"50.0"})


def test_a_score_without_a_value_shows_its_reason(sample):
    table = tables.verdict(
        sample.record.tasks[0], metric="pairwise_accuracy", subset="gt", dimension="valence"
    )
    row = table.rows[-1]
    assert (row[0].text, row[1].text, row[1].mark) == ("loudness", "—", "1")
    assert "(1) the model predicts no valence" in table.notes


def test_all_scores_are_in_the_long_table(report, sample):
    long = [table for table in blocks(report, TableBlock) if table.caption == "Every score"]
    assert [len(table.rows) for table in long] == [len(t.scores) for t in sample.record.tasks]
    assert all(table.folded for table in long)


def test_every_comparison_is_shown_once(report, sample):
    found = [t for t in blocks(report, TableBlock) if t.caption.startswith("Paired differences")]
    assert sum(len(table.rows) for table in found) == len(sample.record.tasks[0].comparisons)


def test_the_tasks_own_tables_are_shown_as_they_are(report, sample):
    captions = [table.caption for table in blocks(report, TableBlock)]
    for table in sample.record.tasks[0].tables:
        assert table.title in captions


def bullets(found):
    return "\n".join(
        plain(text) for block in found if block.kind == "bullets" for text in block.items
    )


def test_what_did_not_run_stands_before_the_leaderboard_and_warnings_with_their_task(
    report, sample
):
    board, musav, rated = report.sections[:3]
    for part in sample.record.not_run:
        assert f"Could not run. {part.what}: {part.reason}" in bullets(board.blocks)
    task = sample.record.tasks[0]
    for part in task.not_run:
        assert f"Could not run. {part.what}: {part.reason}" in bullets(musav.blocks)
    assert f"Warning. {task.warnings[0]}" in bullets(musav.blocks)
    assert "Contamination. deam-msd-musicnn-2 was trained on" in bullets(rated.blocks)
    assert "uncommitted changes" in bullets(board.blocks)


def test_the_findings_of_a_task_stand_on_its_page(report, sample):
    for section, task in zip(report.sections[1:3], sample.record.tasks, strict=True):
        assert section.blocks[0].items == findings_of(task)


def test_synthetic_data_are_flagged_in_plain_words(report, small):
    assert "ynthetic data: MusAV (pairs made from noise)" in bullets(report.verdict)
    real = [d.model_copy(update={"synthetic": False}) for d in small.record.datasets]
    record = small.record.model_copy(update={"datasets": real})
    assert "ynthetic" not in bullets(build(record, small.items, small.arrays).verdict)


def test_a_kind_that_is_not_known_is_shown_all_the_same(sample):
    changed = []
    for score in sample.record.tasks[1].scores:
        changed.append(score.model_dump() | {"dimension": None, "metric": "my_metric"})
    record = replaced(
        sample, kind="novel", scores=changed, comparisons=[], groups=[], references=[], problems=[]
    )
    part = build(record, sample.items, sample.arrays).sections[1]
    names = [inner.title for inner in part.sections]
    assert names == ["Scores", "Breakdowns", "Protocol"]
    table = part.sections[0].blocks[0]
    assert table.columns[1].label == "my metric"


def test_a_task_that_left_nothing_is_still_a_section(sample):
    nothing = {"scores": [], "comparisons": [], "groups": [], "references": [], "tables": []}
    record = replaced(sample, **nothing, models=[])
    part = build(record, sample.items, sample.arrays).sections[1]
    assert bullets(part.blocks).startswith("No score was computed.")


def test_a_record_without_tasks_says_so(sample):
    record = sample.record.model_copy(update={"tasks": []})
    assert plain(build(record, {}, {}).verdict[0].text) == "No task of this suite ran."


def test_a_task_finds_its_dataset_by_the_suites_name(sample):
    task = sample.record.tasks[1]
    assert dataset_of(sample.record, task) is sample.record.datasets[1]
    assert dataset_of(sample.record, task.model_copy(update={"dataset": "unheard-of"})) is None


def test_missing_items_are_an_error(sample):
    with pytest.raises(RecordError, match="needs the items of gtzan-av"):
        build(sample.record, {"musav": sample.items["musav"]}, {})


def test_a_long_list_of_bad_items_is_cut_and_says_so(sample):
    problems = [ItemProblem(item=f"clip {i}", reason="silent") for i in range(250)]
    record = replaced(sample, problems=[p.model_dump() for p in problems])
    part = next(
        p
        for p in sections(build(record, sample.items, sample.arrays).sections)
        if "used" in p.title
    )
    table = part.blocks[0]
    assert (table.caption, len(table.rows)) == ("250\N{NO-BREAK SPACE}items", page.MOST_PROBLEMS)
    assert table.notes == ["And 50 more, all in the record’s run.json."]


def test_each_kind_has_its_figures(report):
    first, board, *titles = [
        [plot.title for plot in found.plots] for found in blocks(report, Plots)
    ]
    assert first == ["Every model on every task"]
    assert board == [
        "Pairwise agreement with listeners on MusAV: Accuracy, gt",
        "Rated arousal and valence (GTZAN excerpts): Pearson r, all",
    ]
    assert titles[0] == [
        *(
            "Accuracy per ground-truth set",
            "Agreement of the judges",
            "Accuracy by predicted difference",
        )
    ]
    assert len(titles[1]) == 5 and all("Predicted against rated" in title for title in titles[1])


def test_many_sets_and_models_are_spread_over_figures_that_fit_a_page(sample):
    task = sample.record.tasks[0]
    names = [f"model {number:02d}" for number in range(24)]
    scores = [
        score.model_copy(update={"model": name})
        for name in names
        for score in task.scores
        if score.model == task.models[0] and score.metric == "pairwise_accuracy"
    ]
    many = task.model_copy(update={"models": names, "scores": scores, "tables": []})
    *drawn, _, _ = figures_of(many, sample.items["musav"], {}, sample.record)
    assert len(drawn) == 3
    assert drawn[0].title == "Accuracy per ground-truth set (1 of 3)"
    shown = [subset for plot in drawn for subset in dict.fromkeys(plot.data["subset"])]
    assert shown == list(dict.fromkeys(score.subset for score in scores))
    for plot in drawn:
        assert plot.draw(width="full").get_figheight() < 9.2


def test_wilsons_interval_is_that_of_scipy():
    low, high = musav._wilson(
        *(__import__("numpy").array(v, float) for v in ([0.8, 1, 0], [10, 7, 3]))
    )
    for k, n, lower, upper in zip([8, 7, 0], [10, 7, 3], low, high, strict=True):
        expected = binomtest(k, n).proportion_ci(method="wilson")
        assert (lower, upper) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_sections_have_unlike_anchors(report):
    anchors = [part.anchor for part in sections(report.sections)]
    assert len(set(anchors)) == len(anchors)
    assert all(isinstance(part, Section) for part in sections(report.sections))


@pytest.fixture(scope="module")
def joint_page(sample, joint):
    tasks = [joint.retrieval(["muscall", "random"]), joint.classification(["muscall", "random"])]
    record = sample.record.model_copy(update={"tasks": [task for task, _, _ in tasks]})
    items = {task.id: table for task, table, _ in tasks}
    arrays = {task.id: found for task, _, found in tasks}
    return record, items, arrays


def test_sets_of_audio_text_tasks_are_named_in_words(joint_page):
    report = build(*joint_page)
    captions = [table.caption for table in blocks(report, TableBlock)]
    assert {"Text to audio", "Text to audio: every metric", "Ensemble of prompts"} <= set(captions)
    assert "Paired differences, text to audio" in captions
    heads = {column.label for table in blocks(report, TableBlock) for column in table.columns}
    assert {"R@10 (%)", "mAP@10", "MRR", "Median rank (items, lower is better)"} <= heads
    assert {"audio to text", "“A {label} track”"} <= heads
    assert "720\N{NO-BREAK SPACE}queries of captions" in plain(report.sections[0].blocks[0].text)


def test_failures_of_the_best_model_stay_open_and_ranks_are_counts(joint_page):
    found = {t.caption: t for t in blocks(build(*joint_page), TableBlock)}
    assert not found["Failures of muscall"].folded
    assert not found["Failures of muscall, audio to text"].folded
    assert found["Failures of random"].folded
    ranks = [row[1].text for row in found["Failures of muscall"].rows]
    assert ranks and all(rank.isdecimal() for rank in ranks)


def test_a_figure_without_its_arrays_is_a_stated_gap_in_its_place(joint_page):
    record, items, _ = joint_page
    part = next(p for p in sections(build(record, items, {}).sections) if p.title == "Figures")
    kinds = [block.kind for block in part.blocks]
    assert kinds[0] == "plots" and set(kinds[1:]) == {"paragraph"}
    assert all(plain(block.text).startswith("No ") for block in part.blocks[1:])


def test_captions_with_markup_stay_text_on_page_and_paper(joint_page, tmp_path):
    record, items, arrays = joint_page
    one = record.model_copy(update={"tasks": record.tasks[:1]})
    bare = {"retrieval": {"rank_edges": arrays["retrieval"]["rank_edges"]}}
    html = render_html(one, items, bare)
    assert "&lt;b&gt;number&lt;/b&gt;" in html and "<b>number" not in html
    render_pdf(one, items, bare, tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_a_protocol_says_once_what_holds_for_several_models(sample):
    task = sample.record.tasks[0]
    a, b, *_ = task.models
    protocol = {
        "seed": 2022,
        f"crop of {a}": "whole",
        f"crop of {b}": "whole",
        **{f"scale of {model}": "1 to 9" for model in task.models},
        "crop of somebody": "whole",
    }
    (facts,) = page._protocol(task.model_copy(update={"protocol": protocol}), GENERIC)
    rows = [(name, plain(said)) for name, said in facts.rows[2:]]
    assert rows == [
        ("seed", "2022"),
        ("crop", f"{a} and {b}: whole"),
        ("scale, every model", "1 to 9"),
        ("crop of somebody", "whole"),
    ]


@pytest.mark.parametrize("place", [0, 1])
def test_undefined_scores_and_missing_tables_are_stated_gaps_and_no_blank_figure(sample, place):
    task = sample.record.tasks[place]
    scores = [
        score.model_copy(update={"value": None, "interval": None, "reason": "one class"})
        for score in task.scores
    ]
    bare = task.model_copy(update={"scores": scores, "tables": []})
    items = sample.items[task.id].copy()
    if "predicted" in items:
        items["predicted"] = float("nan")
    parts = figures_of(bare, items, {}, sample.record)
    assert all(isinstance(part, Gap) for part in parts) and len(parts) >= 3
    assert all(part.reason.startswith("No ") for part in parts)
    record = sample.record.model_copy(update={"tasks": [bare]})
    html = render_html(record, {task.id: items}, {})
    for part in parts:
        assert str(escape(part.reason)) in html
    assert "one class" in html and "<figure" not in html.split('id="task-')[1]


def test_tasks_of_one_title_are_told_apart_by_dataset_or_id(sample):
    first, second, *_ = sample.record.tasks
    alike = [
        first.model_copy(update={"title": "T", "id": name, "dataset": dataset})
        for name, dataset in (("one", "a"), ("two", "b"), ("three", "b"))
    ]
    record = sample.record.model_copy(update={"tasks": [*alike, second]})
    titles = [task.title for task in page.with_own_titles(record).tasks]
    assert titles == ["T, a", "T, two", "T, three", second.title]
    assert page.with_own_titles(sample.record) is sample.record


def test_residuals_are_on_the_ratings_scale_and_lack_models_without_one(small):
    (task,) = small.record.tasks
    items = small.items[task.id]
    first, second = (
        model.model_copy(update={"av_scale": scale})
        for model, scale in zip(small.record.models, [(1, 9), None], strict=True)
    )
    record = small.record.model_copy(update={"models": [first, second]})
    *_, plot, gap = figures_of(task, items, {}, record)
    assert plot.title == "Residuals" and set(plot.data["model"]) == {first.id}
    assert dataset_of(record, task).rating_scale == (-10, 10)
    mine = items[items.model == first.id].dropna(subset=["rated", "predicted"])
    expected = -10 + (mine.predicted - 1) / 8 * 20 - mine.rated
    assert plot.data["residual"] == pytest.approx(expected.tolist(), abs=1e-12)
    assert gap.reason.startswith(f"No residuals of {second.id}: predictions and ratings")


def test_a_task_says_how_its_own_metrics_subsets_and_protocol_are_written(small):
    task = small.record.tasks[0]
    scores = [s.model_copy(update={"metric": "grooves", "subset": "fast-one"}) for s in task.scores]
    own = task.model_copy(
        update={
            "kind": "own",
            "scores": scores[:1],
            "headline_metric": "grooves",
            "headline_subset": "fast-one",
            "protocol": {"ties": "half", "seed": 1},
        }
    )
    record = small.record.model_copy(update={"tasks": [own]})
    view = View(
        noun="bar",
        metrics={"grooves": formats.Metric("Grooves", "%", 1, 100)},
        subsets={"fast-one": "fast songs"},
        protocol={"ties": {"half": "a tie counts half"}},
    )
    said = page_markdown(page.build(record, small.items, {}, views={"own": view}))
    assert "Grooves (%)" in said and "fast songs" in said and "a tie counts half" in said
    assert "321 bars" in said
    generic = page_markdown(page.build(record, small.items, {}, views={}))
    assert "321 items" in generic and "ties: half" in generic
    assert "Figures" not in generic
