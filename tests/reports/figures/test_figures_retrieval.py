"""Figures of retrieval: what is drawn follows from ranks and vectors; gaps are stated."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import WIDTHS, assert_inside, drawn_svg, written
from hypothesis import given
from hypothesis import strategies as st
from rendered import figures_of
from scipy.integrate import trapezoid
from scipy.stats import hypergeom

from earmark.bench.tasks.retrieval import view
from earmark.bench.tasks.retrieval.view import chance_recall, pool_size
from earmark.reports.content import TALLEST, Gap, Plot
from earmark.reports.figures.bars import rank_histogram
from earmark.reports.figures.lines import recall_curve, similarities
from earmark.reports.figures.parts import FigureError, figure_csv
from earmark.reports.figures.scatter import joint_map
from earmark.reports.record.schema import TaskResult

TITLES = (
    "Recall at every cut-off",
    "Ranks of the right items",
    "Similarity of aligned and of random pairs",
    "Map of audio and text, coloured by modality",
    "Map of audio and text, coloured by label",
)


@pytest.fixture(scope="module")
def found(joint):
    return joint.retrieval()


@pytest.fixture(scope="module")
def figures(found):
    return figures_of(*found)


def drawn(parts):
    return [part for part in parts if isinstance(part, Plot)]


def gaps(parts):
    return [part.reason for part in parts if isinstance(part, Gap)]


def test_a_complete_task_has_every_figure_and_no_gap(figures):
    assert [part.title for part in figures] == list(TITLES)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("number", range(len(TITLES)))
def test_every_text_is_inside_and_the_bytes_are_the_same(figures, number, width):
    first, second = (figures[number].draw(width=width) for _ in range(2))
    assert_inside(first)
    assert drawn_svg(first) == drawn_svg(second)


@pytest.mark.parametrize("n_models", [1, 12])
def test_one_model_and_twelve_fit(joint, n_models):
    models = [f"a-model-with-a-long-id-{number:02d}" for number in range(n_models)]
    for plot in drawn(figures_of(*joint.retrieval(models))):
        assert_inside(plot.draw(width="column"))
        assert plot.draw(width="full").get_figheight() <= TALLEST, plot.title


def test_every_figure_hands_out_its_data(figures):
    for plot in figures:
        lines = figure_csv(plot.data).splitlines()
        assert len(lines) > 10
        assert lines[0] == ",".join(plot.data)


def test_the_curve_is_the_share_of_ranks_and_chance_that_of_the_record(found, figures):
    task, items, _ = found
    data = pd.DataFrame(figures[0].data)
    for (model, way), rows in data.groupby(["model", "direction"]):
        subset = way.replace(" ", "-")
        ranks = items[(items.model == model) & (items.subset == subset)]["rank"]
        expected = [(ranks <= k).mean() for k in rows.k]
        np.testing.assert_allclose(rows.recall, expected, atol=1e-12)
        assert rows.recall.iloc[-1] == 1 and rows.k.iloc[-1] == pool_size(task, subset)
    # Of the record: 10 of 240 clips, and its score of R@10 for each model.
    of_record = {(s.model, s.subset): s.value for s in task.scores if s.metric == "recall_at_10"}
    for (model, way), rows in data[data.k == 10].groupby(["model", "direction"]):
        score = of_record[(model, way.replace(" ", "-"))]
        assert rows.recall.item() == pytest.approx(score, abs=1e-12)
    assert "chance" in written(figures[0].draw(width="full"))


@given(st.integers(1, 60), st.data())
def test_chance_is_that_of_drawing_without_replacement(n_items, data):
    n_relevant = data.draw(st.lists(st.integers(1, n_items), min_size=1, max_size=4))
    k = data.draw(st.integers(1, n_items))
    expected = np.mean([1 - hypergeom(n_items, m, k).pmf(0) for m in n_relevant])
    assert chance_recall(np.array(n_relevant), n_items, [k])[0] == pytest.approx(expected, abs=1e-9)


def test_densities_are_densities(figures):
    data = pd.DataFrame(figures[2].data)
    for _, rows in data.groupby(["model", "pairs"]):
        assert trapezoid(rows.density, rows.similarity) == pytest.approx(1, abs=0.02)
        assert rows.similarity.between(-1, 1).all()


def test_bars_and_chance_are_shares_of_all_queries(figures):
    data = pd.DataFrame(figures[1].data)
    for _, rows in data.groupby(["model", "direction"]):
        assert rows.share.sum() == pytest.approx(1, abs=1e-12)
        assert rows.chance.sum() == pytest.approx(1, abs=1e-12)
        assert (rows.low.iloc[1:].to_numpy() == rows.high.iloc[:-1].to_numpy()).all()


def test_many_ranges_of_ranks_are_labelled_as_far_as_there_is_room():
    edges = np.unique(np.rint(np.geomspace(1, 5001, 25)))
    n = len(edges) - 1
    columns = {
        "model": ["m"] * n, "direction": ["text to audio"] * n, "low": edges[:-1],
        "high": edges[1:], "share": np.full(n, 1 / n), "chance": np.full(n, np.nan),
    }  # fmt: skip
    for width in WIDTHS:
        figure = rank_histogram(**columns, width=width)
        assert_inside(figure)
        labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
        assert labels[0] == "1" and 3 < len(labels) <= n
    assert len(labels) < n


def test_the_modality_gap_is_stated_and_colours_follow_the_arrays(found, figures):
    _, _, arrays = found
    assert "Modality gap" in figures[3].caption and "random" in figures[3].caption
    data = pd.DataFrame(figures[3].data)
    audio = data[(data.model == "muscall") & (data.modality == "audio")]
    expected = arrays["map.muscall"][arrays["map.modality"] == 0]
    np.testing.assert_array_equal(audio[["x", "y"]].to_numpy(), expected.astype(float))
    of_label = pd.DataFrame(figures[4].data).groupby("model").label.value_counts()
    assert of_label["muscall"]["jazz"] == (arrays["map.label"] == "jazz").sum()


def test_labels_beyond_the_tenth_are_grey_and_counted(found):
    task, items, arrays = found
    labels = np.array([f"genre {i % 12:02d}" for i in range(720)])
    part = figures_of(task, items, arrays | {"map.label": labels})[-1]
    assert "The 10 most frequent of 12 labels" in part.caption
    assert set(part.data["label"]) == {*(f"genre {i:02d}" for i in range(10)), "other or none"}
    assert_inside(part.draw(width="column"))


def test_a_map_of_many_points_is_thinned_and_says_so(found):
    task, items, arrays = found
    n = 3000
    big = {"map.modality": np.arange(n) % 2, "map.label": np.full(n, "")}
    big |= {f"map.{m}": np.random.default_rng(1).normal(size=(n, 2)) for m in task.models}
    plot = next(p for p in drawn(figures_of(task, items, arrays | big)) if "modality" in p.title)
    assert len(plot.data["x"]) <= view.MOST_POINTS
    assert "One in 3 of 3,000 points is shown." in plot.caption


def test_clips_without_labels_are_a_stated_gap(joint):
    parts = figures_of(*joint.retrieval(["muscall"], labelled=False))
    assert [part.title for part in drawn(parts)] == list(TITLES[:4])
    assert gaps(parts) == ["No map coloured by label: the clips have no labels."]


def test_missing_arrays_are_stated_gaps(found):
    task, items, _ = found
    parts = figures_of(task, items, {})
    assert [part.title for part in drawn(parts)] == [TITLES[0]]
    said = " ".join(gaps(parts))
    for figure in ("histogram of ranks", "densities of similarity of muscall", "map of audio"):
        assert f"No {figure}" in said


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (np.full(9, 0.5, np.float32), "all 9 aligned similarities are 0.500"),
        (np.full(9, np.nan, np.float32), "0 of 9 aligned similarities are numbers"),
        (np.zeros(0, np.float32), "0 of 0 aligned similarities are numbers"),
    ],
)
def test_a_sample_without_a_density_is_a_stated_gap(found, sample, reason):
    task, items, arrays = found
    parts = figures_of(task, items, arrays | {"aligned.muscall": sample})
    assert f"No densities of similarity of muscall: {reason}." in gaps(parts)
    plot = next(p for p in drawn(parts) if p.title == TITLES[2])
    assert set(plot.data["model"]) == set(task.models) - {"muscall"}


def test_ranks_that_are_missing_are_named(found):
    task, items, arrays = found
    some = items.copy()
    some.loc[some.model == "muscall", "rank"] = np.nan
    parts = figures_of(task, some, arrays)
    assert "muscall" not in parts[0].data["model"]
    said = "Some or all ranks are missing: muscall (text to audio) and muscall (audio to text)."
    assert said in gaps(parts)
    none = figures_of(task, items.assign(rank=np.nan), {})
    assert drawn(none) == [] and "No R@k curve: no query has a rank." in gaps(none)
    assert "have no column rank" in gaps(figures_of(task, items.drop(columns="rank"), {}))[0]


def test_the_axis_names_the_pool_and_not_the_last_k_that_is_drawn(found):
    columns = {"model": ["m"] * 2, "direction": ["text to audio"] * 2, "k": [1, 50]}
    columns["recall"] = [0.1, 0.5]
    for pool, expected in (({"text to audio": 200}, " (of 200)"), (None, "")):
        (axes,) = recall_curve(**columns, pool=pool).axes
        assert axes.get_xlabel() == f"k, first items looked at{expected}"
    task, items, _ = found[:3]
    plot = view._recall(task, items)[0]
    n = {
        way: f"{part['item'].nunique()}\N{NO-BREAK SPACE}queries"
        for way, part in items.groupby("subset")
    }
    assert (
        f"({n['text-to-audio']} text to audio and {n['audio-to-text']} audio to text)"
        in plot.caption
    )
    assert "to the whole pool" in plot.caption


def test_without_a_pool_size_there_is_no_chance(found):
    task, items, arrays = found
    scores = [s.model_copy(update={"upper_bound": None}) for s in task.scores]
    bare = TaskResult(**task.model_dump() | {"scores": [s.model_dump() for s in scores]})
    parts = drawn(figures_of(bare, items, arrays))
    assert "Chance is not known." in parts[0].caption
    assert np.isnan(parts[1].data["chance"]).all()


def test_a_map_with_points_of_the_wrong_shape_is_a_stated_gap(found):
    task, items, arrays = found
    parts = figures_of(task, items, arrays | {"map.random": np.zeros((3, 2))})
    assert "No map of random: its points are missing." in gaps(parts)
    assert "random" not in next(p for p in drawn(parts) if "modality" in p.title).data["model"]


@pytest.mark.parametrize(
    ("draw", "columns", "match"),
    [
        (similarities, ("model", "pairs", "similarity", "density"), "no density to draw"),
        (joint_map, ("model", "kind", "x", "y"), "no point of the map to draw"),
        (recall_curve, ("model", "direction", "k", "recall"), "no recall to draw"),
        (
            rank_histogram,
            ("model", "direction", "low", "high", "share", "chance"),
            "no rank to draw",
        ),
    ],
)
def test_nothing_to_draw_is_an_error(draw, columns, match):
    with pytest.raises(FigureError, match=match):
        draw(**{name: [] for name in columns})
    full = {name: [1.0] for name in columns}
    with pytest.raises(FigureError, match="one length"):
        draw(**full | {columns[0]: []})


def test_pairs_of_another_kind_are_an_error():
    with pytest.raises(FigureError, match="pairs are aligned, random, got other"):
        similarities(model=["m"], pairs=["other"], similarity=[0.1], density=[1.0])


def test_ids_with_markup_stay_text(joint, nasty):
    texts = []
    for plot in drawn(figures_of(*joint.retrieval([nasty]))):
        texts += written(plot.draw(width="full"))
    assert any("<script>" in (text or "") for text in texts)
