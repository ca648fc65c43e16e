"""`earmark score`: outputs in files, held against independent implementations."""

import csv
import json

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from earmark.reports.record.files import read
from earmark.reports.record.lookup import HALF_CREDIT

REPLICATES = ("--replicates", 200)


def write(path, header, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([header, *rows])
    return path


@pytest.fixture
def scored(earmark, tmp_path, monkeypatch):
    """Score files; return the record's task, and its scores by model and metric."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code, out, err = earmark("score", *arguments, *REPLICATES, "--json")
        assert code == 0, err
        folder = json.loads(out)[0]["record"]
        (task,) = read(folder).tasks
        assert (tmp_path / folder / "report.html").is_file()
        dimension = [score.dimension for score in task.scores]
        assert set(dimension) in ({None}, {"arousal", "valence"}, {"liking"})
        assert not any("items" in warning for warning in task.warnings)  # scores are their items'
        return task, {(s.model, s.metric, s.dimension): s for s in task.scores}

    return call


@pytest.fixture
def lists(tmp_path):
    """Top tens of 40 queries among 60 items by two systems, and what is relevant."""
    rng = np.random.default_rng(0)
    items = [f"d{number:02}" for number in range(60)]
    relevant = {f"q{q}": rng.choice(items, rng.integers(1, 5), replace=False) for q in range(40)}
    pairs = [(query, item) for query, found in relevant.items() for item in found]
    write(tmp_path / "truth.csv", ["query", "item"], pairs)
    systems = {}
    for system in ("one", "two"):
        systems[system] = {q: rng.choice(items, 10, replace=False).tolist() for q in relevant}
        rows = [
            (query, item, rank)
            for query, found in systems[system].items()
            for rank, item in enumerate(found, start=1)
        ]
        rng.shuffle(rows)
        write(tmp_path / f"{system}.csv", ["query", "item", "rank"], rows)
    return relevant, systems


def test_ranked_lists_are_scored_as_trec_eval_scores_them(lists, scored, tmp_path):
    ir_measures = pytest.importorskip("ir_measures", reason="the reference is not installed")
    relevant, systems = lists
    task, found = scored("retrieval", "one.csv", "two.csv", "--truth", "truth.csv")
    qrels = [ir_measures.Qrel(q, d, 1) for q, wanted in relevant.items() for d in wanted]
    names = {"Success@10": "recall_at_10", "AP@10": "map_at_10", "nDCG@10": "ndcg_at_10"}
    names |= {"Success@1": "recall_at_1", "Success@5": "recall_at_5"}
    measures = [ir_measures.parse_measure(name) for name in names]
    for system, ranked in systems.items():
        run = [
            ir_measures.ScoredDoc(query, item, -place)
            for query, items in ranked.items()
            for place, item in enumerate(items)
        ]
        expected = ir_measures.calc_aggregate(measures, qrels, run)
        for measure, (_, own) in zip(measures, names.items(), strict=True):
            score = found[system, own, None]
            assert score.value == pytest.approx(expected[measure], abs=1e-12), own
            assert score.interval.low <= score.value <= score.interval.high
            assert score.chance is None
    assert task.headline_metric == "recall_at_10"
    assert {(pair.model, pair.other) for pair in task.comparisons} == {("one", "two")}
    assert not any(metric == "mrr" for _, metric, _ in found)

    # The same as a run and qrels of TREC, and among a known number of items.
    qrels = [f"{q} 0 {d} 1" for q, wanted in relevant.items() for d in wanted]
    (tmp_path / "truth.qrels").write_text("\n".join([*qrels, "q0 0 d99 0"]))
    lines = [
        f"{query} Q0 {item} 1 {10 - place} x"
        for query, items in systems["one"].items()
        for place, item in enumerate(items)
    ]
    (tmp_path / "one.run").write_text("\n".join(lines))
    _, again = scored("retrieval", "one.run", "--truth", "truth.qrels", "--n-items", 60)
    for key, score in again.items():
        assert score.value == found[key].value
        assert score.chance is not None


def test_similarities_are_scored_whole(scored, tmp_path):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(2, 30, 6))
    table = vectors[0] @ vectors[1].T
    names = [f"x{number}" for number in range(30)]
    write(tmp_path / "truth.csv", ["query", "item"], [(f"q{n}", f"x{n}") for n in range(30)])
    np.save(tmp_path / "plain.npy", table)
    order = rng.permutation(30)
    np.savez(
        tmp_path / "named.npz",
        similarity=table[:, order],
        queries=[f"q{n}" for n in range(30)],
        items=np.array(names)[order],
    )
    _, found = scored("retrieval", "plain.npy", "named.npz", "--truth", "truth.csv")
    own = np.diag(table)[:, None]
    ranks = 1 + (table > own).sum(axis=1)
    for system in ("plain", "named"):
        assert found[system, "mrr", None].value == pytest.approx(np.mean(1 / ranks), abs=1e-12)
        score = found[system, "recall_at_5", None]
        assert score.value == pytest.approx(np.mean(ranks <= 5), abs=1e-12)
        assert score.chance == pytest.approx(5 / 30)


def test_tags_are_scored_as_scikit_learn_scores_them(scored, tmp_path):
    rng = np.random.default_rng(2)
    labels = (rng.random((80, 6)) < 0.3).astype(int)
    tags = [f"tag {number}" for number in range(6)]
    ids = [f"clip {number}" for number in range(80)]
    write(
        tmp_path / "mtat.csv", ["item", *tags], [[i, *r] for i, r in zip(ids, labels, strict=True)]
    )
    scores = {name: rng.normal(labels, 2) for name in ("a", "b")}
    for name, table in scores.items():
        rows = [[i, *row] for i, row in zip(ids, table.tolist(), strict=True)]
        write(tmp_path / f"{name}.csv", ["item", *tags[::-1]], [[r[0], *r[:0:-1]] for r in rows])
    task, found = scored("tags", "a.csv", "b.csv", "--truth", "mtat.csv")
    for name, table in scores.items():
        for metric, theirs in (
            ("roc_auc", roc_auc_score),
            ("average_precision", average_precision_score),
        ):
            expected = theirs(labels, table, average="macro")
            assert found[name, metric, None].value == pytest.approx(expected, abs=1e-12)
    assert task.comparisons and task.kind == "tagging"


def test_classes_are_scored_as_scikit_learn_scores_them(scored, tmp_path):
    rng = np.random.default_rng(3)
    classes = ["blues", "jazz", "pop", "rock"]
    truth = rng.choice(classes, 90)
    write(tmp_path / "genres.csv", ["item", "label"], list(enumerate(truth)))
    table = rng.normal(size=(90, 4)) + 1.5 * (truth[:, None] == classes)
    write(
        tmp_path / "soft.csv",
        ["item", *classes],
        [[n, *row] for n, row in enumerate(table.tolist())],
    )
    hard = np.array(classes)[table.argmax(axis=1)]
    write(tmp_path / "hard.csv", ["item", "label"], list(enumerate(hard)))
    _, found = scored("classes", "soft.csv", "hard.csv", "--truth", "genres.csv")
    for name in ("soft", "hard"):
        expected = accuracy_score(truth, hard)
        assert found[name, "accuracy", None].value == pytest.approx(expected, abs=1e-12)
        expected = f1_score(truth, hard, average="macro")
        assert found[name, "macro_f1", None].value == pytest.approx(expected, abs=1e-12)


def test_ratings_are_scored_as_scipy_scores_them(scored, tmp_path):
    rng = np.random.default_rng(4)
    rated = rng.uniform(1, 9, (50, 2)).round(3)
    predicted = rated + rng.normal(size=(50, 2))
    write(
        tmp_path / "rated.csv",
        ["item", "arousal", "valence"],
        [[f"s{n}", *row] for n, row in enumerate(rated.tolist())],
    )
    write(
        tmp_path / "mine.csv",
        ["songid", "arousal_mean", "valence_mean"],
        [[f"s{n}", *row] for n, row in enumerate(predicted.tolist())],
    )
    scales = ("--scale", 1, 9, "--model-scale", 1, 9)
    _, found = scored("ratings", "mine.csv", "--truth", "rated.csv", *scales)
    for column, dimension in enumerate(("arousal", "valence")):
        expected = pearsonr(rated[:, column], predicted[:, column]).statistic
        score = found["mine", "pearson_r", dimension]
        assert score.value == pytest.approx(expected, abs=1e-12)
        error = np.sqrt(np.mean((rated[:, column] - predicted[:, column]) ** 2))
        assert found["mine", "rmse", dimension].value == pytest.approx(error, abs=1e-12)


FAULTS = [
    ("item,label\na,x\nb,y\n", "item,label\na,x\n", "lacks 1 of 2: no item b"),
    ("item,label\na,x\nb,y\n", "item,label\na,x\nb,z\n", "predicts z for b, expected one of x, y"),
    ("item,label\na,x\nb,y\n", "item,x,y\na,1,0\nb,nan,0\n", "x of b is 'nan', expected a finite"),
    ("item,label\na,x\nb,y\n", "item,x\na,1\nb,0\n", "has no column y"),
    ("item,label\na,x\na,y\n", "item,label\na,x\n", "the item a stands in line 2 already"),
    ("item,label\na,x\nb,\n", "item,label\na,x\n", "has no label"),
]


@pytest.mark.parametrize(("truth", "given", "message"), FAULTS)
def test_what_is_wrong_with_a_file_is_named(truth, given, message, earmark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "truth.csv").write_text(truth)
    (tmp_path / "mine.csv").write_text(given)
    code, _, err = earmark("score", "classes", "mine.csv", "--truth", "truth.csv")
    assert code == 3
    assert message in err
    assert not (tmp_path / "runs").exists()


def test_what_lacks_is_left_out_where_that_is_allowed(scored, tmp_path):
    rows = [(number, "xy"[number % 2]) for number in range(20)]
    write(tmp_path / "truth.csv", ["item", "label"], rows)
    write(tmp_path / "mine.csv", ["item", "label"], rows[:15])
    task, found = scored("classes", "mine.csv", "--truth", "truth.csv", "--allow-missing")
    score = found["mine", "accuracy", None]
    assert (score.value, score.n, score.n_items) == (1.0, 15, 20)
    assert any("15 of 20 are scored" in warning for warning in task.warnings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tag", "a.csv", "--truth", "b.csv"), "score knows no 'tag'. Did you mean 'tags'?"),
        (("tags", "a.csv", "--truth", "b.csv"), "no such file"),
        (("tags", "a.csv", "--truth", "b.csv", "--n-items", 3), "--n-items is of retrieval"),
        (("ratings", "a.csv", "--truth", "b.csv"), "needs the scale of the truth"),
    ],
)
def test_what_cannot_be_scored_is_said(arguments, message, earmark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = earmark("score", *arguments)
    assert code == 3
    assert message in err


@pytest.fixture
def liked(tmp_path):
    """Six pairs by three listeners, and what two models say of their songs."""
    rows = [
        (f"t{n}", f"{n}a", f"{n}b", f"ann{who}", "liking", "a")
        for n in range(6)
        for who in range(3)
    ]
    header = ["triplet", "a", "b", "annotator", "dimension", "higher_value"]
    songs = [(f"{n}{side}", side == "a", side == "b") for n in range(6) for side in "ab"]
    write(tmp_path / "right.csv", ["id", "liking"], [(song, int(a)) for song, a, _ in songs])
    write(tmp_path / "wrong.csv", ["songid", "liking_mean"], [(s, int(b)) for s, _, b in songs])
    return write(tmp_path / "liked.csv", header, rows)


def test_pairs_are_scored_on_any_dimension(scored, liked):
    task, scores = scored("pairs", "right.csv", "wrong.csv", "--truth", liked)
    assert (task.kind, task.dataset) == ("pairwise", "liked")
    values = {model: scores[model, HALF_CREDIT, "liking"].value for model in task.models}
    assert values == {"right": 1, "wrong": 0}


def test_the_command_musav_takes_any_judged_set(earmark, liked, tmp_path):
    code, out, err = earmark("musav", tmp_path / "right.csv", "--data", liked, *REPLICATES)
    assert code == 0, err
    assert "Liking: one annotator against the two others 100.0 %, chance 50.0 %" in out
    assert "loudness (baseline): liked states no loudness" in out
