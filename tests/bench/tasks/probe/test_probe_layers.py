"""The layer for the headline is chosen inside the folds, and the curve of layers says no more."""

from __future__ import annotations

import numpy as np
import pytest
from layered import Layered, tones
from scipy import stats
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store
from earmark.bench.gate import checks
from earmark.bench.scoring.items import TaskItems, table_of
from earmark.bench.scoring.results import wrong_scores
from earmark.bench.tasks.probe import fit as probe_fit
from earmark.bench.tasks.probe import task as probe_task
from earmark.bench.tasks.probe.task import Probe
from earmark.bench.tasks.probe.view import LAYERS, VIEW
from earmark.bench.tasks.task import Context
from earmark.bench.tasks.vectors import JointVectors
from earmark.datasets.audio import decoded_files
from earmark.datasets.base import Clip, DatasetCard, RatedClips, Scale, Tagged
from earmark.models.adapters.references import random_model

CARD = DatasetCard("mine", "Mine", "1", "", "", "")
GRID = (0.01, 1.0)


def of_classes(labels):
    clips = tuple(Clip(f"c{n:03}", None, label=str(label)) for n, label in enumerate(labels))
    return RatedClips(CARD, clips, np.zeros((len(clips), 2)), Scale(0, 1), "0")


def joint(dataset, layers):
    rows = {name: normalize(table).astype(np.float32) for name, table in layers.items()}
    last = rows[list(rows)[-1]]
    return JointVectors(tuple(dataset.clips), {"m": last}, (), {}, layers={"m": rows})


def evaluate(dataset, vectors, **options):
    return probe_task.evaluate(dataset, vectors, Probe(**options), replicates=200)


def table(result, title):
    (found,) = [one for one in result.tables if one.title == title]
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def headline(result):
    metric = result.headline_metric
    (found,) = [one for one in result.scores if (one.model, one.metric) == ("m", metric)]
    return found


def planted(*, n=60, seed=3, noise=(3.0, 0.8, 0.9)):
    """Return classes, and layers of which the second knows a little more than the third."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(n) % 3)
    heard = rng.normal(size=(3, 6))[truth]
    names = ("front", "middle", "top")
    return truth, {
        name: heard + 3 * loud * rng.normal(size=heard.shape)
        for name, loud in zip(names, noise, strict=True)
    }


def by_hand(c, **options):
    return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000, **options))


def test_in_each_fold_layer_and_c_are_those_of_scikit_learns_inner_folds_by_hand():
    truth, layers = planted()
    output = evaluate(of_classes(truth), joint(of_classes(truth), layers), grid=GRID)
    units = np.array([f"c{n:03}" for n in range(len(truth))])
    rows = {
        name: normalize(normalize(table).astype(np.float32).astype(np.float64))
        for name, table in layers.items()
    }

    def inner(name, c, train):
        found = []
        parts = probe_fit.cross_validated(truth[train], units[train], folds=3, seed=2022)
        for part in parts:
            fit, held = train[part.train], train[part.test]
            model = by_hand(c, class_weight="balanced").fit(rows[name][fit], truth[fit])
            said = model.predict(rows[name][held])
            found.append(metrics.balanced_accuracy_score(truth[held], said))
        return np.mean(found)

    guess, chosen = np.full(len(truth), -1), []
    for fold in probe_fit.cross_validated(truth, units, folds=5, seed=2022):
        pairs = [(name, c) for name in layers for c in GRID]
        quality = np.array([inner(name, c, fold.train) for name, c in pairs])
        name, c = pairs[int(np.flatnonzero(quality >= quality.max() - 1e-12)[0])]
        fitted = by_hand(c, class_weight="balanced").fit(rows[name][fold.train], truth[fold.train])
        guess[fold.test] = fitted.predict(rows[name][fold.test])
        chosen.append((name, c))
    assert len({name for name, _ in chosen}) > 1, "a case in which folds choose different layers"
    assert output.items["predicted"] == [str(one) for one in guess]
    found = headline(output.result)
    assert found.value == pytest.approx(metrics.accuracy_score(truth, guess), abs=1e-12)
    fits = table(output.result, "Fits")
    assert [(row["layer"], row["C"]) for row in fits] == chosen
    names = [name for name, _ in chosen]
    counted = {row["layer"]: row["folds that chose it"] for row in table(output.result, LAYERS)}
    assert counted == {name: names.count(name) for name in layers}


def test_each_layer_by_itself_is_the_probe_of_that_layer_alone():
    truth, layers = planted()
    dataset = of_classes(truth)
    result = evaluate(dataset, joint(dataset, layers), grid=GRID).result
    for row in table(result, LAYERS):
        rows = normalize(layers[row["layer"]]).astype(np.float32)
        alone = evaluate(
            dataset, JointVectors(tuple(dataset.clips), {"m": rows}, (), {}), grid=GRID
        )
        own = headline(alone.result)
        assert row["value"] == own.value
        assert (row["low"], row["high"]) == (own.interval.low, own.interval.high)
        assert [one.title for one in alone.result.tables] == ["Per class", "Fits"]
    own = {"layer of m": "inner-folds", "layers of m": "front, middle, top"}
    assert result.protocol == alone.result.protocol | own
    assert not list(checks._definition(result, alone.result))  # said of one model


def test_tags_choose_the_layer_on_valid_even_with_one_c():
    rng = np.random.default_rng(0)
    parts = np.repeat(["train", "valid", "test"], 60)
    heard = rng.normal(size=(180, 6))
    labels = (heard @ rng.normal(size=(6, 3)) + rng.normal(size=(180, 3)) > 0.5).astype(np.uint8)
    layers = {"noise": rng.normal(size=(180, 6)), "knows": heard, "top": rng.normal(size=(180, 5))}
    clips = tuple(Clip(f"c{n:03}", None) for n in range(180))
    dataset = Tagged(CARD, clips, ("a", "b", "c"), labels, "s", tuple(parts), "rule", "0")
    result = evaluate(dataset, joint(dataset, layers), grid=[0.1]).result
    rows, train, test = normalize(heard), parts != "test", parts == "test"
    scores = [
        by_hand(0.1).fit(rows[train], labels[train, tag]).decision_function(rows[test])
        for tag in range(3)
    ]
    expected = metrics.roc_auc_score(labels[test], np.stack(scores, axis=1))
    assert headline(result).value == pytest.approx(expected, abs=1e-6)
    assert [row["folds that chose it"] for row in table(result, LAYERS)] == [0, 1, 0]
    assert result.protocol["layer of m"] == "valid"


def over_shuffles(n_shuffles=20, n_clips=60, n_layers=6):
    """Return accuracy less chance on shuffled labels: nested, and of the layer best on the test."""
    rng = np.random.default_rng(1)
    units = np.array([f"c{n:03}" for n in range(n_clips)])
    gains = []
    for _ in range(n_shuffles):
        truth = rng.permutation(np.arange(n_clips) % 4)
        layers = {f"l{n}": rng.normal(size=(n_clips, 5)) for n in range(n_layers)}
        folds = probe_fit.cross_validated(truth, units, folds=3, seed=2022)
        found = probe_fit.probe_layers(
            layers, truth, folds, n_outputs=4, units=units, grid=[0.1], seed=2022
        )
        each = [(one.scores.argmax(axis=1) == truth).mean() for one in found.layers.values()]
        nested = (found.scores.argmax(axis=1) == truth).mean()
        gains.append((nested - 1 / 4, max(each) - 1 / 4))
    return np.array(gains)


def test_shuffled_labels_give_no_gain_and_would_if_the_scored_clips_chose_the_layer():
    gains = over_shuffles()
    half = stats.t.ppf(0.975, len(gains) - 1) * stats.sem(gains)
    (low, low_by_test), (high, high_by_test) = gains.mean(axis=0) - half, gains.mean(axis=0) + half
    print(f"nested {low:+.4f} to {high:+.4f}, by test {low_by_test:+.4f} to {high_by_test:+.4f}")
    assert low <= 0 <= high
    assert low_by_test > 0.02


@pytest.fixture
def probed(tmp_path):
    clips = tones(tmp_path / "audio", 45)
    dataset = RatedClips(CARD, tuple(clips), np.zeros((45, 2)), Scale(0, 1), "0")
    context = Context("pr", Embeddings(Store(tmp_path / "store")), 200, 2022)
    models = {"m": Layered(), "random": random_model(dimension=8)}
    before = decoded_files()
    output = Probe(grid=[0.01], folds=3).run(context, dataset, models).output
    return output, models["m"], decoded_files() - before


def test_from_audio_the_layer_that_knows_is_found_with_one_decode_and_one_pass(probed):
    output, model, decoded = probed
    assert sum(model.passes) == 45
    assert decoded == 45 + 45  # the other model's, too
    rows = table(output.result, LAYERS)
    assert [row["folds that chose it"] for row in rows] == [0, 3, 0]
    assert headline(output.result).value == rows[1]["value"] > 0.9
    assert max(rows[0]["value"], rows[2]["value"]) < 0.6
    items = TaskItems(Probe.measure, table_of(output.items), output.arrays, output.result.scores)
    assert not list(wrong_scores(items))
    assert {one.model for one in output.result.comparisons} <= {"m", "random"}


def test_without_layers_there_is_no_figure_of_them(probed):
    output, _, _ = probed
    plain = [one for one in output.result.tables if one.title != LAYERS]
    result = output.result.model_copy(update={"tables": plain})
    titles = [
        one.title for one in VIEW.figures(result, table_of(output.items), output.arrays, None)
    ]
    assert titles and not any("layer" in title for title in titles)


def test_the_figure_has_each_layer_the_headline_and_chance(probed):
    output, _, _ = probed
    items = table_of(output.items)
    curve, *others = VIEW.figures(output.result, items, output.arrays, None)
    assert curve.title == "Scores by layer" and others
    assert curve.data["layer"] == ["front", "middle", "top"]
    rows = table(output.result, LAYERS)
    np.testing.assert_allclose(curve.data["value"], [100 * row["value"] for row in rows])
    assert "layer middle" in curve.description
    figure = curve.draw(width="full")
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["front", "middle", "top"]
    lines = [line.get_ydata() for line in axes.lines]
    level = {round(float(line[0]), 6) for line in lines if len(line) == 2}
    found = headline(output.result)
    assert {round(100 * found.value, 6), round(100 * found.chance, 6)} <= level
