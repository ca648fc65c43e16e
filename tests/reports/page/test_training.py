"""The part on training: lines and their gaps, the table, and where it stands in a report."""

import dataclasses
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from figure_checks import SVG, WIDTHS, assert_inside, drawn_svg, written
from rendered import build, build_side_by_side

from earmark.reports.figures.lines import due, in_order, training
from earmark.reports.figures.parts import FigureError, figure_csv
from earmark.reports.page import training as page_training
from earmark.reports.page.side_by_side import Compared, side_by_side
from earmark.reports.record.files import Run
from earmark.reports.record.schema import TrainingLog
from earmark.reports.render.data_files import plots_of, write_figures
from earmark.reports.render.html import page_html
from earmark.reports.render.markdown import page_markdown
from earmark.reports.render.pdf import pdf_bytes

NAN = math.nan
COLUMNS = ["step", "epoch", "loss", "learning_rate", "temperature", "samples_per_second"]
COLUMNS += ["data_wait", "mfu", "valid_loss", "R@1", "R@10"]


def log(n_epochs=4, *, rate=1e-3, temperature=0.07, bad_step=None, **changes):
    """A log of ten steps an epoch with a row every five, and a validation an epoch."""
    rows = []
    for step in range(5, 10 * n_epochs + 1, 5):
        loss = None if step == bad_step else 4.0 - step / 20
        rows.append(
            [step, (step + 9) // 10, loss, rate, temperature, 100 + step, 0.01, *[None] * 4]
        )
        if step % 10 == 0:
            score = 0.1 * step / 10
            rows.append([step, step // 10, *[None] * 6, 4.5 - step / 40, score / 2, score])
    return TrainingLog(columns=COLUMNS, rows=rows, **{"best_by": "R@10"} | changes)


def trained(sample, logs):
    """The sample's record, its first models with these logs."""
    models = [
        model.model_copy(update={"training": one})
        for model, one in zip(sample.record.models, [*logs, *[None] * 9], strict=False)
    ]
    return sample.record.model_copy(update={"models": models})


def lines_of(figure, title):
    """The lines of a panel as ``(x, y)``, without those of marks, rings and the legend."""
    (axes,) = (one for one in figure.axes if one.get_title(loc="left") == title)
    found = [line.get_data() for line in axes.lines if line.get_linestyle() == "-"]
    return [(np.asarray(x), np.asarray(y)) for x, y in found if len(x)]


def drawn(*, width="full", **changes):
    columns = {
        "model": ["a"] * 5 + ["b"] * 2,
        "step": [5, 10, 10, 15, 20, 5, 10],
        "quantities": {
            "R@10": [None, None, 0.25, None, None, None, 0.5],
            "loss": [3.0, 2.5, None, None, 1.5, 4.0, None],
            "learning_rate": [1e-3, 1e-3, None, 1e-3, 5e-4, 2e-3, None],
        },
    }
    return training(**columns | changes, width=width)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_panel_a_quantity_with_its_unit_and_a_line_a_model(width):
    figure = drawn(width=width)
    texts = written(figure)
    assert {"Training loss", "R@10 (%)", "Learning rate (10⁻³)", "Step", "a", "b"} <= set(texts)
    assert_inside(figure)


@pytest.mark.parametrize("width", WIDTHS)
def test_eight_models_of_long_names_stay_readable(width):
    names = [f"a-model-with-a-rather-long-name-of-number-{n}" for n in range(8)]
    rows = [(name, step) for name in names for step in (1000, 250_000)]
    figure = training(
        model=[name for name, _ in rows],
        step=[step for _, step in rows],
        quantities={"loss": [1.0] * 16, "valid_loss": [2.0] * 16, "temperature": [0.05] * 16},
        width=width,
    )
    assert_inside(figure)
    colours = re.findall(r"stroke: #(\w{6}); stroke-width: 1.1", drawn_svg(figure, face="Face"))
    assert len(set(colours)) == 8
    shapes = {path.attrib["d"] for path in ET.fromstring(drawn_svg(figure)).iter(f"{SVG}path")}
    assert len(shapes) > 8


def test_a_line_goes_over_validations_and_breaks_where_the_loss_was_not_finite():
    figure = drawn()
    (x, y), other = lines_of(figure, "Training loss")
    assert x.tolist() == [5, 10, 15, 20], "the validation's row is none of training"
    assert y.tolist()[:2] == [3.0, 2.5] and math.isnan(y[2]) and y[3] == 1.5
    assert [part.tolist() for part in other] == [[5], [4.0]]
    (x, y), _ = lines_of(figure, "R@10 (%)")
    assert (x.tolist(), y.tolist()) == ([10], [25.0])


def test_a_point_between_two_gaps_is_marked():
    steps = list(range(40))
    loss = [None if step in {19, 21} else 1.0 for step in steps]
    figure = training(
        model=["a"] * 40, step=steps, quantities={"loss": loss, "learning_rate": [1.0] * 40}
    )
    (axes,) = (one for one in figure.axes if one.get_title(loc="left") == "Training loss")
    marked = [x for line in axes.lines if line.get_linestyle() == "None" for x in line.get_xdata()]
    assert 20 in marked and len(marked) <= 6


def test_the_ring_stands_where_the_weights_were_taken():
    figure = drawn(exported={"a": ("R@10", 10.0), "b": ("R@10", 3.0)})
    (axes,) = (one for one in figure.axes if one.get_title(loc="left") == "R@10 (%)")
    rings = [line.get_xydata().tolist() for line in axes.lines if line.get_markersize() > 7]
    assert [ring for ring in rings if ring] == [[[10.0, 25.0]]]


def test_rates_far_apart_are_drawn_on_a_logarithmic_scale():
    quantities = {"learning_rate": [1e-3, 1e-3, None, 1e-3, 5e-4, 2e-5, 2e-5]}
    figure = drawn(quantities=quantities)
    (axes,) = (one for one in figure.axes if one.get_title(loc="left"))
    assert axes.get_title(loc="left") == "Learning rate" and axes.get_yscale() == "log"
    assert any("10⁻" in words for words in written(figure))
    (_, other) = lines_of(figure, "Learning rate")
    assert other[1].tolist() == [2e-5, 2e-5]


def test_nothing_to_draw_and_columns_that_do_not_fit_are_errors():
    with pytest.raises(FigureError, match="none is finite"):
        drawn(quantities={"loss": [None] * 7})
    with pytest.raises(FigureError, match="one length"):
        drawn(quantities={"loss": [1.0]})


def test_what_a_row_was_to_have_is_told_from_its_kind():
    values = {"loss": [1, NAN, NAN], "learning_rate": [1, 1, NAN], "valid_loss": [NAN, NAN, 2]}
    values = {name: np.array(column, float) for name, column in values.items()}
    assert due(values, "loss").tolist() == [True, True, False]
    assert due(values, "valid_loss").tolist() == [False, False, True]
    assert in_order({"R@1": 0, "temperature": 0, "valid_loss": 0, "loss": 0}) == [
        "loss", "valid_loss", "R@1", "temperature",
    ]  # fmt: skip


def test_a_record_without_logs_has_no_such_part(sample):
    assert page_training.sections(sample.record) == []
    report = build(sample.record, sample.items, sample.arrays)
    assert "Training" not in [section.title for section in report.sections]


def test_the_part_stands_after_the_tasks_and_names_who_brings_no_log(sample):
    record = trained(sample, [log(exported_step=40), log(n_epochs=2)])
    report = build(record, sample.items, sample.arrays)
    titles = [section.title for section in report.sections]
    assert titles.index("Training") == titles.index(record.tasks[-1].title) + 1
    assert titles.index("Training") == titles.index("Datasets") - 1
    said = page_markdown(report)
    without = "No log of a training came with **muse-audioset-vggish-2**"
    assert without in said
    assert "*Figure: Training.* One line per model over steps" in said
    assert "Ring: the step whose weights are measured here." in said


def test_the_table_says_how_each_training_went(sample):
    logs = [
        log(exported_step=40, bad_step=15, note="Thinned."),
        log(n_epochs=2, temperature=None, best_by="valid_loss", exported_step=10, note="Thinned."),
        log(best_by=None),
    ]
    (section,) = page_training.sections(trained(sample, logs))
    table = section.blocks[-1]
    rows = [[(cell.text, cell.sub) for cell in row] for row in table.rows]
    assert [column.label for column in table.columns] == [
        "Model", "Steps", "Epochs", "Best on validation", "At step", "Weights of step",
        "Loss, last", "Validation loss, last", "Temperature, last", "Samples/s, median",
    ]  # fmt: skip
    names = [model.id for model in sample.record.models]
    assert [[text for text, _ in row] for row in rows] == [
        [names[0], "40", "4", "40.0", "40", "40", "2.000", "3.500", "0.0700", "122.5"],
        [names[1], "20", "2", "4.000", "20", "10", "3.000", "4.000", "—", "112.5"],
        [names[2], "40", "4", "—", "—", "—", "2.000", "3.500", "0.0700", "122.5"],
    ]
    assert [row[3][1] for row in rows] == ["R@10 (%)", "Validation loss", ""]
    assert table.notes == [
        f"{names[0]} and {names[1]}: Thinned.",
        f"{names[0]}: 1\N{NO-BREAK SPACE}logged step without a finite loss.",
    ]


def test_the_data_is_what_was_logged(sample):
    (section,) = page_training.sections(trained(sample, [log(n_epochs=1, bad_step=5)]))
    (plot,) = next(block.plots for block in section.blocks if block.kind == "plots")
    name = sample.record.models[0].id
    assert figure_csv(plot.data) == (
        "model,step,loss,learning_rate,temperature,samples_per_second,valid_loss,R@10\n"
        f"{name},5,,0.001,0.07,105.0,,\n"
        f"{name},10,3.5,0.001,0.07,110.0,,\n"
        f"{name},10,,,,,4.25,0.1\n"
    )


def test_many_models_are_spread_over_figures_and_the_rest_said_to_be_in_the_table(sample):
    first = sample.record.models[0]
    models = [
        first.model_copy(update={"id": f"m{n}", "training": log(rate=1e-4 * (n + 1))})
        for n in range(20)
    ]
    (section,) = page_training.sections(sample.record.model_copy(update={"models": models}))
    (plots,) = (block.plots for block in section.blocks if block.kind == "plots")
    assert [plot.title for plot in plots] == ["Training (1 of 2)", "Training (2 of 2)"]
    said = ["".join(s.text for s in b.text) for b in section.blocks if b.kind == "paragraph"]
    assert said[1] == "The figures show the first 16 models; 4 more are in the table."
    assert len(section.blocks[-1].rows) == 20
    for plot in plots:
        assert_inside(plot.draw(width="column"))


def test_a_log_with_nothing_in_it_is_a_row_of_dashes_and_no_figure(sample):
    empty = TrainingLog(columns=["step", "loss"], rows=[[1, None]])
    (section,) = page_training.sections(trained(sample, [empty]))
    assert [block.kind for block in section.blocks] == ["paragraph", "paragraph", "table"]
    assert [cell.text for cell in section.blocks[-1].rows[0]][1:4] == ["1", "—", "—"]


def test_page_paper_and_files_have_the_figure_and_an_id_with_markup_stays_text(
    hostile, nasty, tmp_path
):
    record = trained(hostile, [log()] * 5)
    assert nasty in [model.id for model in record.models if model.training]
    whole = build(record, hostile.items, hostile.arrays)
    (part,) = (section for section in whole.sections if section.title == "Training")
    report = dataclasses.replace(whole, sections=[part], verdict=[])
    html = page_html(report)
    assert nasty not in html and "<script>alert" not in html
    assert html.count("<svg") == 2 and 'href="#training"' in html
    (tmp_path / "report.pdf").write_bytes(pdf_bytes(report))
    assert (tmp_path / "report.pdf").read_bytes()[:5] == b"%PDF-"
    files = {path.name for path in write_figures(report, tmp_path / "figures")}
    assert files == {f"figure-1-training.{kind}" for kind in ("csv", "svg", "pdf", "png")}


def test_models_of_several_runs_are_shown_together_each_once(sample):
    older = trained(sample, [])
    newer = trained(sample, [log(), log(n_epochs=2)])
    newer = newer.model_copy(update={"id": "another-run"})
    runs = [Run(one, sample.items, sample.arrays) for one in (older, newer)]
    side = side_by_side(runs, lambda task, items: Compared())
    assert not any("unlike cards" in note for note in side.notes)
    report = build_side_by_side(side)
    (part,) = (section for section in report.sections if section.title == "Training")
    names = [model.id for model in sample.record.models[:2]]
    assert [row[0].text for row in part.blocks[-1].rows] == names
    alone = dataclasses.replace(report, verdict=[], sections=[part])
    assert [plot.title for plot in plots_of(alone)] == ["Training"]


def test_a_log_that_names_no_step_is_refused():
    with pytest.raises(ValueError, match="each row of a training log has a step"):
        TrainingLog(columns=["step", "loss"], rows=[[None, 1.0]])
