"""Figures of zero-shot tasks and probes: prompts, confusions, tags; gaps are stated."""

import itertools

import numpy as np
import pandas as pd
import pytest
from figure_checks import WIDTHS, assert_inside, drawn_svg, written
from rendered import figures_of

from earmark.bench.tasks.labels.view import MOST_TAGGERS
from earmark.reports.content import TALLEST, Gap, Plot
from earmark.reports.figures.matrix import DARKEST, confusion, matrix_layout
from earmark.reports.figures.parts import FigureError
from earmark.reports.figures.rows import prompts, tags
from earmark.reports.figures.style import PAPER, SERIES, TEXT
from earmark.reports.record.schema import TaskResult


def plots_of(task, arrays):
    return figures_of(task, None, arrays)


def changed(task, **changes):
    return TaskResult(**task.model_dump() | changes)


def drawn(parts):
    return [part for part in parts if isinstance(part, Plot)]


def gaps(parts):
    return [part.reason for part in parts if isinstance(part, Gap)]


@pytest.fixture(scope="module")
def genres(joint):
    task, _, arrays = joint.classification()
    return task, arrays


@pytest.fixture(scope="module")
def tagged(joint):
    task, _, arrays = joint.tagging()
    return task, arrays


def test_each_kind_has_its_figures(joint, genres, tagged):
    assert [part.title for part in plots_of(*genres)] == [
        *("Scores by prompt", "Confusion of classes")
    ]
    assert [part.title for part in plots_of(*tagged)] == ["Scores by prompt", "Scores by tag"]
    task, _, arrays = joint.classification(["muscall", "random"], kind="probe")
    assert [part.title for part in plots_of(task, arrays)] == ["Confusion of classes"]
    probe = changed(tagged[0], kind="probe")
    assert [part.title for part in plots_of(probe, {})] == ["Scores by tag"]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("n_models", [1, 7])
def test_every_text_is_inside_a_figure_that_fits_a_page(joint, n_models, width):
    models = [f"a-model-with-a-long-id-{number:02d}" for number in range(n_models)]
    parts = []
    for task, _, arrays in (joint.classification(models), joint.tagging(models)):
        parts += drawn(plots_of(task, arrays))
    for plot in parts:
        figure = plot.draw(width=width)
        assert_inside(figure)
        if width == "full":
            assert figure.get_figheight() <= TALLEST, plot.title


def test_the_same_bytes_each_time(genres, tagged):
    for plot in [*drawn(plots_of(*genres)), *drawn(plots_of(*tagged))[:2]]:
        first, second = (drawn_svg(plot.draw(width="column")) for _ in range(2))
        assert first == second


def test_prompts_are_the_scores_of_the_record_with_the_ensemble_apart(genres):
    task, arrays = genres
    plot = plots_of(task, arrays)[0]
    data = pd.DataFrame(plot.data)
    of_record = {
        (s.model, s.subset): (100 * s.value, 100 * s.interval.low, 100 * s.interval.high)
        for s in task.scores
        if s.metric == "accuracy"
    }
    assert {
        (row.model, row.prompt): (row.value, row.low, row.high) for row in data.itertuples()
    } == of_record
    texts = written(plot.draw(width="full"))
    assert {"ensemble", "A {label} track", "chance", "Accuracy (%)"} <= set(texts)


def test_the_mean_of_prompts_is_not_drawn_as_a_prompt(genres):
    task, arrays = genres
    extra = [
        s.model_dump() | {"subset": "mean of prompts"}
        for s in task.scores
        if s.subset == "ensemble"
    ]
    more = changed(task, scores=[*(s.model_dump() for s in task.scores), *extra])
    assert "mean of prompts" not in plots_of(more, arrays)[0].data["prompt"]


def test_many_prompts_are_drawn_alike_and_the_caption_says_so(joint):
    many = tuple(f"{{label}} number {i}" for i in range(14))
    task, _, arrays = joint.classification(["muscall", "random"], prompts=many)
    plot = plots_of(task, arrays)[0]
    assert "too many prompts to label" in plot.caption
    for width in WIDTHS:
        figure = plot.draw(width=width)
        assert_inside(figure)
        assert {"ensemble", "a prompt"} <= set(written(figure))
        assert "{label} number 3" not in written(figure)


@pytest.mark.parametrize("n_prompts", [0, 1])
def test_too_few_prompts_are_a_stated_gap(joint, n_prompts):
    task, _, arrays = joint.classification(["muscall"], prompts=("A {label}",)[:n_prompts])
    (said,) = gaps(plots_of(task, arrays))
    expected = "“A {label}” is the only one" if n_prompts else "no prompt was scored by itself"
    assert said.startswith(f"No figure of the prompts: {expected}")


def test_confusions_hold_the_counts_and_name_what_is_confused(genres):
    task, arrays = genres
    data = pd.concat([pd.DataFrame(part.data) for part in plots_of(task, arrays)[1:]])
    for model in task.models:
        table = data[data.model == model].pivot(index="truth", columns="predicted", values="clips")
        classes = list(arrays["classes"])
        np.testing.assert_array_equal(
            table.loc[classes, classes].to_numpy(), arrays[f"confusion.{model}"]
        )
    assert "most often takes" in plots_of(task, arrays)[1].description


def test_a_count_stands_in_each_cell_and_parts_of_a_clip_are_seen():
    figure = confusion(
        model=["m"] * 4,
        truth=["a", "a", "b", "b"],
        predicted=["a", "b", "a", "b"],
        clips=[3, 0, 0.25, 7.5],
    )
    texts = written(figure)
    assert {"3", "<1", "8", "a (3)", "b (8)"} <= set(texts) and "0" not in texts


def test_more_classes_than_numbers_have_room_for_still_fit():
    names = [f"class number {i}" for i in range(50)]
    cells = list(itertools.product(names, names))
    columns = {
        "model": ["m"] * len(cells), "truth": [c[0] for c in cells],
        "predicted": [c[1] for c in cells], "clips": np.ones(len(cells)),
    }  # fmt: skip
    for width in WIDTHS:
        figure = confusion(**columns, classes=names, width=width)
        assert_inside(figure)
        assert "1" not in written(figure)
    assert matrix_layout(names, 1, "full").height <= TALLEST


def linear(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def channels(colour):
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_numbers_are_read_on_the_darkest_cell(theme):
    page, ink, type_ = (getattr(part, theme) for part in (PAPER, SERIES[0], TEXT))
    mixed = DARKEST * channels(ink) + (1 - DARKEST) * channels(page)
    cell = "#" + "".join(f"{round(value):02x}" for value in mixed)
    dark, light = sorted(linear(c) @ [0.2126, 0.7152, 0.0722] for c in (cell, type_))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_missing_or_empty_confusions_are_stated_gaps(genres):
    task, arrays = genres
    assert gaps(plots_of(task, {}))[-1].startswith("No confusion matrix of muscall, clap")
    broken = arrays | {
        "confusion.muscall": np.zeros((10, 10)),
        "confusion.random": np.zeros((3, 3)),
    }
    parts = plots_of(task, broken)
    assert gaps(parts) == [
        "No confusion matrix of muscall and random: the record has no clips counted in one."
    ]
    assert not {"muscall", "random"} & {m for p in drawn(parts)[1:] for m in p.data["model"]}


def test_tags_are_sorted_and_hold_what_the_table_says(tagged):
    task, arrays = tagged
    table = next(t for t in task.tables if t.title == "Per tag")
    rows = pd.DataFrame(table.rows, columns=table.columns)
    (plot,) = drawn(plots_of(task, arrays))[1:]
    data = pd.DataFrame(plot.data)
    models = task.groups[0].models + task.groups[1].models
    assert list(dict.fromkeys(data.model)) == models[:MOST_TAGGERS]
    assert plot.caption.endswith("A tag without a mark has no score.")
    first = data[data.model == models[0]]
    assert first.roc_auc.dropna().is_monotonic_decreasing and first.roc_auc.isna().sum() == 1
    for model in models[:MOST_TAGGERS]:
        here = data[data.model == model]
        mine = rows[rows.model == model].set_index("tag").loc[here.tag]
        np.testing.assert_array_equal(mine["ROC-AUC"].to_numpy(float), here.roc_auc)
        np.testing.assert_array_equal(mine["chance PR-AUC"].to_numpy(float), here.pr_auc_chance)
        np.testing.assert_array_equal(mine["clips"], here.clips)
    texts = written(plot.draw(width="full"))
    assert {*data.tag, "muscall", "chance", "clips"} <= set(texts)


def test_only_the_best_models_tags_have_intervals(tagged):
    (plot,) = drawn(plots_of(*tagged))[1:]
    left = plot.draw(width="full").axes[0]
    (bars,) = [c for c in left.collections if len(c.get_segments()) > 1]
    data = pd.DataFrame(plot.data)
    first = data[data.model == data.model[0]]
    known = first[["roc_auc_low", "roc_auc_high"]].dropna()
    segments = [segment for segment in bars.get_segments() if len(segment) == 2]
    ends = sorted((float(s[0, 0]), float(s[1, 0])) for s in segments if np.isfinite(s).all())
    assert ends == sorted(known.itertuples(index=False, name=None))


def test_models_beyond_those_drawn_are_named(joint):
    task, _, arrays = joint.tagging([f"m{i}" for i in range(6)], n_tags=3)
    parts = plots_of(task, arrays)
    assert len(drawn(parts)) == 2
    (said,) = gaps(parts)
    assert said.startswith("Tags of m") and "in the table “Per tag” alone" in said


def test_many_tags_are_spread_over_figures(joint):
    task, _, arrays = joint.tagging(["m"], n_tags=120)
    parts = plots_of(task, arrays)[1:]
    assert [part.title for part in parts] == [f"Scores by tag ({i} of 3)" for i in (1, 2, 3)]
    assert sum(len(part.data["tag"]) for part in parts) == 120


def test_matrices_share_their_labels(genres):
    plot = plots_of(*genres)[1]
    texts = written(plot.draw(width="full"))
    n_models = len(set(plot.data["model"]))
    rows = -(-n_models // 3)
    assert texts.count("True class (clips)") == rows
    assert texts.count("Predicted class") == min(n_models, 3)


def test_tags_without_a_table_or_a_score_are_stated_gaps(tagged):
    task, _ = tagged
    bare = changed(task, tables=[])
    assert gaps(plots_of(bare, {})) == ["No figure of the tags: the record has no table of them."]
    table = next(t for t in task.tables if t.title == "Per tag").model_dump()
    table["rows"] = [[*row[:4], *[None] * 6] for row in table["rows"]]
    empty = changed(task, tables=[table])
    assert gaps(plots_of(empty, {})) == ["No figure of the tags: no tag has a score."]


def test_scores_without_values_draw_nothing_blank(genres):
    task, arrays = genres
    undefined = [
        s.model_dump() | {"value": None, "reason": "one class", "interval": None}
        for s in task.scores
    ]
    parts = plots_of(changed(task, scores=undefined), arrays)
    assert gaps(parts)[0].startswith("No figure of the prompts: no prompt was scored")
    assert all("Confusion" in part.title for part in drawn(parts))
    nothing = changed(task, scores=[], comparisons=[], groups=[], headline_metric=None)
    assert plots_of(nothing, arrays) == []


@pytest.mark.parametrize(
    ("draw", "names", "match"),
    [
        (prompts, ("model", "prompt", "metric", "value", "low", "high"), "no score of a prompt"),
        (confusion, ("model", "truth", "predicted", "clips"), "no confusion to draw"),
        (
            tags,
            (
                *("tag", "clips", "model", "roc_auc", "roc_auc_low", "roc_auc_high"),
                *("pr_auc", "pr_auc_low", "pr_auc_high", "pr_auc_chance"),
            ),
            "no score of a tag",
        ),
    ],
)
def test_nothing_to_draw_is_an_error(draw, names, match):
    with pytest.raises(FigureError, match=match):
        draw(**{name: [] for name in names})
    with pytest.raises(FigureError, match="one length"):
        draw(**{name: [1.0] for name in names} | {names[0]: []})


def test_classes_and_prompts_with_markup_stay_text(joint, nasty):
    task, _, arrays = joint.classification(
        ["muscall"], classes=["<b>a</b>", "$x_1$"], prompts=(f"{nasty} {{label}}", "{label} & <i>")
    )
    texts = [text for plot in plots_of(task, arrays) for text in written(plot.draw(width="full"))]
    assert {"<b>a</b>", "$x_1$", "{label} & <i>"} <= set(texts)
