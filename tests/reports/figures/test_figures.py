"""Figures: drawn from columns, the same bytes each time, nothing clipped, nothing blank."""

import csv
import io
import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from figure_checks import SVG, WIDTHS, assert_inside, drawn_svg, written

from earmark.reports.figures import bars, lines, rows
from earmark.reports.figures import parts as figures
from earmark.reports.figures import scatter as figures_predictions
from earmark.reports.figures.parts import fitting, fitting_all, text_width
from earmark.reports.figures.style import MUTED, PAPER, SERIES, TEXT, new_figure, palette


def accuracy_columns(models=("a model", "other"), subsets=("gt", "gt.fa")):
    rows = list(itertools.product(models, subsets, ("arousal", "valence")))
    value = np.linspace(0.52, 0.88, len(rows))
    return {
        "model": [m for m, _, _ in rows],
        "subset": [s for _, s, _ in rows],
        "dimension": [d for _, _, d in rows],
        "value": value,
        "low": value - 0.03,
        "high": value + 0.04,
    }


def agreement_columns():
    return {
        "dimension": ["arousal", "valence"],
        "triplet_type": ["global", "genre"],
        "full": [817, 126],
        "majority": [314, 186],
        "disagreement": [539, 103],
        "incomplete": [0, 3],
    }


def selective_columns(models=("a model", "other")):
    rows = [
        (model, side, share, 0.9 - 0.3 * share, 0.85 - 0.3 * share, 0.95 - 0.3 * share)
        for model in models
        for side in ("arousal", "valence")
        for share in (0.1, 0.5, 1.0)
    ]
    names = ("model", "dimension", "share", "accuracy", "low", "high")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def calibration_columns(models=("a model", "other")):
    rows = list(itertools.product(models, ("arousal", "valence"), range(1, 11)))
    value = np.array([0.5 + 0.04 * step for _, _, step in rows])
    return {
        "model": [m for m, _, _ in rows],
        "dimension": [d for _, d, _ in rows],
        "bin": [step for _, _, step in rows],
        "accuracy": value,
        "low": value - 0.1,
        "high": value + 0.05,
    }


def ratings_columns(n=60):
    random = np.random.default_rng(0)
    rated = random.uniform(-10, 10, size=2 * n)
    return {
        "dimension": ["arousal"] * n + ["valence"] * n,
        "rated": rated,
        "predicted": 5 + 0.3 * rated + random.normal(size=2 * n),
        "label": [f"e{1 + i % 4}" for i in range(2 * n)],
    }


DRAWN = {
    "accuracy": (rows.accuracy, accuracy_columns),
    "agreement": (bars.agreement, agreement_columns),
    "calibration": (lines.calibration, calibration_columns),
    "selective": (lines.selective, selective_columns),
    "ratings": (figures_predictions.ratings, ratings_columns),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", DRAWN)
def test_a_figure_is_well_formed_and_the_same_bytes_each_time(kind, width):
    draw, columns = DRAWN[kind]
    first, second = (drawn_svg(draw(**columns(), width=width)) for _ in range(2))
    assert first == second
    root = ET.fromstring(first)
    assert root.attrib["role"] == "img"
    assert root.find(f"{SVG}title").text == "A title"
    assert root.find(f"{SVG}desc").text == "What it shows"
    assert root.attrib["viewBox"].split()[2] == f"{72 * {'column': 3.3, 'full': 7}[width]:g}"
    assert "<metadata" not in first


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", DRAWN)
def test_no_text_leaves_the_figure(kind, width):
    draw, columns = DRAWN[kind]
    assert_inside(draw(**columns(), width=width))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("n_models", [1, 16])
@pytest.mark.parametrize("length", [4, 60])
def test_names_of_any_length_fit(n_models, length, width):
    models = [f"{number:02d}-" + "m" * (length - 3) for number in range(n_models)]
    lines = [
        figures.Line("chance", 0.5),
        figures.Line("one annotator against the two others", 0.856, "arousal"),
        figures.Line("published", 0.87, "arousal", "gt"),
    ]
    columns = accuracy_columns(models, subsets=("gt", "s" * length))
    assert_inside(rows.accuracy(**columns, lines=lines, width=width))


@pytest.mark.parametrize("kind", DRAWN)
def test_the_data_come_back_from_the_csv(kind):
    columns = DRAWN[kind][1]()
    header, *rows = csv.reader(io.StringIO(figures.figure_csv(columns)))
    assert header == list(columns)
    back = dict(zip(header, zip(*rows, strict=True), strict=True))
    for name, values in columns.items():
        if isinstance(values[0], str):
            assert list(back[name]) == list(values)
        else:
            np.testing.assert_array_equal(np.array(back[name], float), values)


@pytest.mark.parametrize(
    ("kind", "emptied"),
    [
        ("accuracy", {"value": [np.nan] * 8}),
        (
            "agreement",
            {part: [0, 0] for part in ("full", "majority", "disagreement", "incomplete")},
        ),
        ("calibration", {"accuracy": [np.nan] * 40}),
        ("ratings", {"predicted": [np.nan] * 120}),
    ],
)
def test_nothing_to_show_is_an_error(kind, emptied):
    draw, columns = DRAWN[kind]
    with pytest.raises(figures.FigureError, match=r"no .* to draw: .* none finite"):
        draw(**columns() | emptied)


@pytest.mark.parametrize("kind", DRAWN)
def test_no_rows_at_all_is_an_error(kind):
    draw, columns = DRAWN[kind]
    with pytest.raises(figures.FigureError, match="to draw"):
        draw(**{name: [] for name in columns()})


@pytest.mark.parametrize("kind", DRAWN)
def test_columns_of_unlike_length_are_an_error(kind):
    draw, columns = DRAWN[kind]
    content = columns()
    first = next(iter(content))
    with pytest.raises(figures.FigureError, match="columns of a figure need one length"):
        draw(**content | {first: list(content[first])[:-1]})


def test_a_line_of_a_set_that_is_not_drawn_is_an_error():
    line = figures.Line("human", 0.8, "arousal", "gt.ct")
    with pytest.raises(figures.FigureError, match=r"line 'human' is of set 'gt\.ct'"):
        rows.accuracy(**accuracy_columns(), lines=[line])


def test_a_missing_interval_leaves_its_mark():
    columns = accuracy_columns(models=["a"], subsets=["gt"])
    columns |= {"low": [np.nan] * 2, "high": [np.nan] * 2}
    assert "arousal".capitalize() in written(rows.accuracy(**columns))


def test_names_stay_text_and_never_become_mathematics_or_markup(nasty):
    text = "$x_1$ & <b>"
    texts = written(rows.accuracy(**accuracy_columns(models=[text, nasty])))
    assert text in texts
    assert not any("\\mathdefault" in (t or "") for t in texts)


def test_control_characters_do_not_break_the_svg():
    assert "a\N{REPLACEMENT CHARACTER}b" in written(
        rows.accuracy(**accuracy_columns(models=["a\x0bb", "c"]))
    )


@pytest.mark.parametrize("kind", DRAWN)
def test_a_figure_for_a_page_names_every_colour_and_one_for_paper_its_face(kind):
    draw, columns = DRAWN[kind]
    figure = draw(**columns())
    themed, printed = drawn_svg(figure), drawn_svg(figure, face="Libertinus Serif")
    assert not re.search(r"#[0-9a-f]{6}\b", themed)
    assert set(re.findall(r"var\((--[\w-]+)\)", themed)) <= set(palette("light"))
    assert "font-family" not in themed
    assert "var(" not in printed
    assert set(re.findall(r"font-family: ([^;\"]+)", printed)) == {"'Libertinus Serif'"}


def test_two_figures_of_a_page_share_no_id():
    figure = rows.accuracy(**accuracy_columns())
    ids = [set(re.findall(r' id="([^"]+)"', drawn_svg(figure, name=n))) for n in ("fig1", "fig2")]
    assert ids[0] and not ids[0] & ids[1]
    referred = set(re.findall(r'(?:href="#|url\(#)([^")]+)', drawn_svg(figure, name="fig1")))
    assert referred <= ids[0]


def test_a_label_that_looks_like_svg_is_left_alone():
    figure = new_figure("column", 1)
    label = ' id="x" fill="#0072b2" url(#y) font-family: a; 1.23456'
    figure.text(0.1, 0.5, label)
    assert written(figure) == [label]


def test_the_identity_is_drawn_only_where_both_scales_are_known():
    columns = ratings_columns()
    same = figures_predictions.ratings(**columns, rated_scale=(-10, 10), predicted_scale=(-10, 10))
    texts = set(written(same))
    assert {"dashed: identity; line: least squares", "Rated arousal (−10 to 10)"} <= texts
    mapped = figures_predictions.ratings(**columns, rated_scale=(-10, 10), predicted_scale=(1, 9))
    texts = written(mapped)
    assert "dashed: identity, scales mapped; line: least squares" in texts
    assert "Predicted valence (1 to 9)" in texts
    ends = [list(zip(*line.get_data(), strict=True)) for line in mapped.axes[0].lines]
    assert [(-10, 1), (10, 9)] in ends
    for scales in ({}, {"rated_scale": (-10, 10)}, {"predicted_scale": (1, 9)}):
        texts = written(figures_predictions.ratings(**columns, **scales))
        assert "line: least squares" in texts
        assert not any("identity" in label for label in texts)


def test_residuals_are_drawn_with_the_means_of_tenths():
    rated = np.linspace(-10, 10, 40)
    figure = figures_predictions.residuals(
        model=["m"] * 40,
        dimension=["arousal"] * 40,
        rated=rated,
        residual=-rated / 2,
        scale=(-10, 10),
    )
    assert_inside(figure)
    assert {"m", "Arousal", "Rated (−10 to 10)", "Predicted − rated"} <= set(written(figure))
    mean = figure.axes[0].lines[-1]
    tenths = rated.reshape(10, 4).mean(axis=1)
    np.testing.assert_allclose(mean.get_xdata(), tenths, rtol=0, atol=1e-12)
    np.testing.assert_allclose(mean.get_ydata(), -tenths / 2, rtol=0, atol=1e-12)
    nan = [float("nan")]
    with pytest.raises(figures.FigureError, match="no residual to draw"):
        figures_predictions.residuals(model=["m"], dimension=["arousal"], rated=nan, residual=nan)


def test_many_labels_are_not_coloured_and_many_points_are_shown_as_density():
    few, many = ratings_columns(), ratings_columns()
    many["label"] = [f"genre {i}" for i in range(120)]
    assert "e1" in written(figures_predictions.ratings(**few))
    assert "genre 1" not in written(figures_predictions.ratings(**many))
    dense = ratings_columns(n=figures_predictions.MOST_POINTS + 1)
    text = drawn_svg(figures_predictions.ratings(**dense))
    assert text.count("<use") < figures_predictions.MOST_POINTS and "fill-opacity" in text


def test_a_dimension_without_predictions_has_no_panel():
    columns = ratings_columns()
    columns["predicted"][60:] = np.nan
    texts = written(figures_predictions.ratings(**columns))
    assert "Arousal" in texts and "Valence" not in texts


def test_drawing_leaves_pyplot_and_the_users_settings_alone():
    code = (
        "import sys, matplotlib; matplotlib.rcParams['font.size'] = 31.0;"
        "from earmark.reports.figures.bars import agreement;"
        "agreement(dimension=['a'], triplet_type=['t'], full=[1], majority=[1], disagreement=[1],"
        "incomplete=[0]);"
        "print('matplotlib.pyplot' in sys.modules, matplotlib.rcParams['font.size'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "31.0"]


def linear(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG 2.2's contrast ratio."""
    dark, light = sorted(linear(c) @ [0.2126, 0.7152, 0.0722] for c in (one, other))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_type_and_marks_stand_out_from_the_page(theme):
    page = getattr(PAPER, theme)
    for ink in (TEXT, MUTED):
        assert contrast(getattr(ink, theme), page) >= 4.5
    for ink in SERIES:
        assert contrast(getattr(ink, theme), page) >= 3


# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision
# deficiency", IEEE TVCG 15(6), 2009: severity 1.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def lab(rgb):
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
              [0.0193339, 0.1191920, 0.9503041]]  # fmt: skip
    ratio = np.array(to_xyz) @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", BLINDNESS)
def test_models_are_told_apart_whatever_colours_a_reader_sees(kind, theme):
    seen = [lab(np.array(BLINDNESS[kind]) @ linear(getattr(ink, theme))) for ink in SERIES]
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(one - other) > 12


def test_names_that_are_cut_to_the_same_show_where_they_differ():
    names = [f"ridge(etude-{pair})@descriptors" for pair in ("1+etude-2", "1+etude-3", "2+etude-3")]
    room = 100.0
    shown = fitting_all([*names, "oracle", names[0]], room)
    assert len({fitting(name, room) for name in names}) == 1  # each by itself
    assert len(set(shown[:3])) == 3 and shown[3:] == ["oracle", shown[0]]
    assert all(text_width(one, 7) <= room for one in shown)
    assert all(name[12:21] in one for name, one in zip(names, shown, strict=False))
    assert fitting_all(["a" * 40 + "b", "a" * 40], 1000.0) == [
        "aaaaaaaaaaaaaaaaa…aaaaaaaaaaaaaaab",
        "aaaaaaaaaaaaaaaaa…aaaaaaaaaaaaaaaa",
    ]
