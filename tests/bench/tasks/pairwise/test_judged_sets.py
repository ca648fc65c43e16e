"""The task of any judged pairs: dimensions of one's own, any number of annotators, files."""

import csv
import itertools

import numpy as np
import pytest
import soundfile
from invented_musav import write_musav
from invented_ratings import write_table

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store
from earmark.bench.tasks.av_predictions import read_predictions
from earmark.bench.tasks.pairwise.task import MusAVAgreement, PairwiseAgreement, evaluate
from earmark.bench.tasks.pairwise.view import (
    CROSSED,
    LISTENERS,
    PROBABILITY,
    SELECTIVE,
    STRENGTHS,
    WITHOUT,
)
from earmark.bench.tasks.task import Context
from earmark.datasets.base import DataError
from earmark.datasets.judgements import judged, musav
from earmark.models.av_heads.pairwise import collect, cross_validate_pairwise
from earmark.models.base import ModelCard
from earmark.reports.record.lookup import HALF_CREDIT

RATE = 8_000
JUDGED = ["triplet", "a", "b", "annotator", "dimension", "higher_value"]


def write_judged(root, *, dimensions=("preference",), annotators=4, n_triplets=10, noise=0.5):
    """A table of judged triplets of songs whose hidden quality is their number in the triplet."""
    rng = np.random.default_rng(0)
    rows = []
    for dimension, number in itertools.product(dimensions, range(n_triplets)):
        for a, b in itertools.combinations(range(3), 2):
            for who in range(annotators):
                heard = b - a + noise * rng.standard_normal()
                label = "ab" if abs(heard) < 0.2 else "b" if heard > 0 else "a"
                songs = (f"s{number}-{i}" for i in (a, b))
                rows.append((f"t{number}", *songs, f"ann{who}", dimension, label))
    write_table(root / "judgements.csv", JUDGED, rows)
    return root


class Loud:
    """Embeds the level of a clip, and nothing else: a unit vector that turns with it."""

    card = ModelCard(
        id="loud",
        version="1",
        weights_digest="0" * 64,
        licence="CC0",
        citation="none",
        training_datasets=(),
        crop_policy="whole",
        preprocessing={},
    )
    sample_rate = RATE
    dimension = 2

    def embed_audio(self, clips):
        turns = np.array([clip.samples.std() for clip in clips])
        return np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)


def truth(dataset, n=1):
    return {song: (float(song[-1]),) * n for song in dataset.song_ids}


def run(dataset, predictions, **options):
    return evaluate(dataset, predictions, **{"replicates": 200} | options)


def test_a_preference_by_four_annotators_is_scored_under_its_own_name(tmp_path):
    dataset = judged.load(write_judged(tmp_path / "liked"), title="Songs people like")
    mirror = {song: (-value,) for song, (value,) in truth(dataset).items()}
    result = run(dataset, {"right": truth(dataset), "wrong": mirror}).result
    assert (result.kind, result.dataset) == ("pairwise", "liked")
    assert result.title == "Pairwise agreement with listeners: Songs people like"
    assert result.protocol["annotators per pair"] == 4
    values = {(s.model, s.subset): s.value for s in result.scores if s.metric == HALF_CREDIT}
    assert {s.dimension for s in result.scores} == {"preference"}
    assert {subset for _, subset in values} == set(dataset.subsets)
    assert all(value == (model == "right") for (model, _), value in values.items())
    (skipped,) = result.not_run
    assert "states no loudness" in skipped.reason
    names = {line.name for line in result.references}
    assert names == {"chance", "one annotator against the others"}
    assert not any("MusAV" in table.note + table.title for table in result.tables)


@pytest.mark.parametrize("annotators", [1, 2])
def test_few_annotators_have_no_human_reference_and_are_scored_all_the_same(tmp_path, annotators):
    dataset = judged.load(write_judged(tmp_path, annotators=annotators))
    result = run(dataset, {"right": truth(dataset)}).result
    assert {line.name for line in result.references} == {"chance"}
    assert "gt" in {score.subset for score in result.scores}
    assert "gt.fa" not in dataset.subsets or annotators == 2


def test_votes_without_names_are_scored_without_a_word_on_annotators(tmp_path):
    rows = [("liked", f"{n}-2", f"{n}-1", 3) for n in range(6)]
    write_table(tmp_path / "judgements.csv", ["dimension", "higher", "lower", "votes"], rows)
    dataset = judged.load(tmp_path)
    result = run(dataset, {"right": truth(dataset)}).result
    assert {s.value for s in result.scores if s.metric == HALF_CREDIT} == {1.0}
    assert not any("annotator" in table.title for table in result.tables)


def test_a_model_is_scored_on_the_dimensions_that_it_speaks_of(tmp_path):
    dataset = judged.load(write_judged(tmp_path, dimensions=("liking", "tempo"), annotators=3))
    both = {song: (v, -v) for song, (v,) in truth(dataset).items()}
    tempo = {song: (np.nan, v) for song, (v,) in truth(dataset).items()}
    output = run(dataset, {"both": both, "tempo only": tempo})
    found = {
        (s.model, s.dimension): s.value
        for s in output.result.scores
        if (s.metric, s.subset) == (HALF_CREDIT, "gt")
    }
    assert found == {("both", "liking"): 1, ("both", "tempo"): 0, ("tempo only", "tempo"): 1}
    with pytest.raises(DataError, match="tempo only: not finite for s0-0"):
        run(dataset, {"tempo only": tempo | {"s0-0": (np.nan, np.nan)}})


def test_files_hold_some_dimensions_by_either_name(tmp_path):
    write_table(tmp_path / "m.csv", ["id", "tempo"], [("x", 1), ("y", 2)])
    (one,) = read_predictions(tmp_path / "m.csv", ("liking", "tempo"), some=True)
    assert {song: values[1] for song, values in one.values.items()} == {"x": 1, "y": 2}
    assert all(np.isnan(values[0]) for values in one.values.values())
    with pytest.raises(DataError, match="no column liking_mean; expected songid, liking_mean"):
        read_predictions(tmp_path / "m.csv", ("liking", "tempo"))
    with pytest.raises(DataError, match="expected songid and one or more of liking_mean"):
        read_predictions(tmp_path / "m.csv", ("liking", "valence"), some=True)


def test_musav_is_scored_alike_by_both_tasks_but_for_its_name(tmp_path):
    dataset = musav.load(write_musav(tmp_path))
    rng = np.random.default_rng(1)
    said = {"m": {song: tuple(rng.normal(size=2)) for song in dataset.song_ids}}
    preset, general = (run(dataset, said, kind=kind) for kind in ("musav", "pairwise"))
    assert preset.items == general.items
    assert preset.result.scores == general.result.scores
    assert preset.result.tables == general.result.tables
    assert (preset.result.kind, general.result.kind) == ("musav", "pairwise")


@pytest.mark.parametrize(
    ("annotators", "dimensions"), [(1, ("preference",)), (4, ("preference", "tempo"))]
)
def test_a_head_learns_from_each_set_of_judgements(tmp_path, annotators, dimensions):
    dataset = judged.load(write_judged(tmp_path, dimensions=dimensions, annotators=annotators))
    rows = np.random.default_rng(0).normal(size=(len(dataset.song_ids), 4))
    rows[:, 0] = [float(song[-1]) for song in dataset.song_ids]
    compared = collect(
        dataset.comparisons(), dataset.song_ids, dimensions=dataset.dimensions
    ).compared
    found = cross_validate_pairwise(rows, compared, folds=5, seed=0)
    said = {song: tuple(row) for song, row in zip(dataset.song_ids, found.values[0], strict=True)}
    scores = run(dataset, {"head": said}).result.scores
    assert all(s.value > 0.9 for s in scores if (s.metric, s.subset) == (HALF_CREDIT, "gt"))


def test_an_embedder_gets_a_head_out_of_fold(tmp_path):
    dataset = judged.load(write_judged(tmp_path / "liked"))
    for number, song in enumerate(dataset.song_ids):
        noise = np.random.default_rng(number).standard_normal(RATE) * 0.1
        path = tmp_path / "liked" / "audio" / f"{song}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, noise * (1 + int(song[-1])), RATE)
    context = Context("t", Embeddings(Store(tmp_path / "store")), 200, 0)
    output = PairwiseAgreement(baselines=()).run(context, dataset, {"loud": Loud()}).output
    (score,) = (s for s in output.result.scores if (s.metric, s.subset) == (HALF_CREDIT, "gt"))
    assert (score.model, score.dimension, score.value) == ("loud", "preference", 1.0)
    assert "out of fold" in output.result.protocol["predictions of loud"]


def test_the_surest_pairs_are_those_farthest_apart(tmp_path):
    dataset = judged.load(write_judged(tmp_path, n_triplets=30, noise=1.5))
    said = {
        s: (v + np.random.default_rng(n).normal(),)
        for n, (s, (v,)) in enumerate(truth(dataset).items())
    }
    result = run(dataset, {"m": said}).result
    (table,) = (t for t in result.tables if t.title == SELECTIVE)
    pairs = [p for p in dataset.ground_truth("preference") if p.higher_value != "ab"]
    gaps = np.array([said[p.song_a][0] - said[p.song_b][0] for p in pairs])
    right = (gaps > 0) == [p.higher_value == "a" for p in pairs]
    order = np.argsort(-np.abs(gaps))
    for row in table.rows:
        cells = dict(zip(table.columns, row, strict=True))
        n = round(cells["share"] * len(pairs))
        assert (cells["n"], cells["accuracy"]) == (n, pytest.approx(right[order[:n]].mean()))
        assert cells["low"] < cells["accuracy"] <= cells["high"]
    (score,) = (s for s in result.scores if (s.metric, s.subset) == (HALF_CREDIT, "gt"))
    assert (cells["share"], cells["accuracy"]) == (1, score.value)


def table_of(result, title):
    (found,) = (t for t in result.tables if t.title == title)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def with_a_guesser(root):
    """Four listeners, of whom the last answers by lot."""
    write_judged(root, n_triplets=30, noise=0.7)
    rng = np.random.default_rng(1)
    with (root / "judgements.csv").open(newline="") as lines:
        header, *rows = csv.reader(lines)
    for row in rows:
        if row[3] == "ann3":
            row[5] = str(rng.choice(["a", "b"]))
    write_table(root / "judgements.csv", header, rows)
    return judged.load(root)


def test_who_answers_by_lot_is_marked_and_scores_are_shown_without(tmp_path):
    dataset = with_a_guesser(tmp_path)
    noise = np.random.default_rng(0)
    said = {s: (v + 0.8 * noise.normal(),) for s, (v,) in truth(dataset).items()}
    result = run(dataset, {"m": said}).result
    listeners = table_of(result, LISTENERS)
    assert {row["annotator"]: row["marked"] for row in listeners} == {
        **dict.fromkeys(("ann0", "ann1", "ann2")),
        "ann3": "unreliable",
    }
    fewer = dataset.without({"ann3"})
    (row,) = table_of(result, WITHOUT)
    for name, of in (("all", dataset), ("without", fewer)):
        scores = run(of, {"m": said}).result.scores
        (score,) = (s for s in scores if (s.metric, s.subset) == (HALF_CREDIT, "gt"))
        assert (row[name], row[f"{name} n"]) == (score.value, score.n)
        assert row[f"{name} low"] == score.interval.low
    crossed, alone = (
        [row[f"{over} {end}"] for end in ("low", "high")]
        for row in table_of(result, CROSSED)
        for over in ("triplets and listeners", "triplets")
    )
    assert crossed[0] < alone[0] < row["all"]  # listeners differ: another study would, too


def test_a_probability_and_strengths_come_of_the_same_pairs(tmp_path):
    dataset = judged.load(write_judged(tmp_path, n_triplets=30, noise=1.5))
    noise = np.random.default_rng(0)
    known = {s: (v + 0.3 * noise.normal(),) for s, (v,) in truth(dataset).items()}
    nothing = {s: (noise.normal(),) for s in dataset.song_ids}
    result = run(dataset, {"known": known, "nothing": nothing}).result
    gt = dataset.ground_truth("preference")
    sure, unsure = table_of(result, PROBABILITY)
    assert sure["n"] == unsure["n"] == len(gt)
    assert sure["log loss"] < 0.6 < unsure["log loss"] < 0.8
    assert sure["Brier"] < unsure["Brier"]
    knows, knows_not = table_of(result, STRENGTHS)
    assert knows["low"] > 0.7 > 0.3 > abs(knows_not["r"])
    assert knows["n"] == len(dataset.song_ids)


def test_one_annotator_has_no_table_of_annotators(tmp_path):
    dataset = judged.load(write_judged(tmp_path, annotators=1, n_triplets=12))
    titles = {t.title for t in run(dataset, {"m": truth(dataset)}).result.tables}
    assert {PROBABILITY, SELECTIVE, STRENGTHS, CROSSED} <= titles
    assert not {LISTENERS, WITHOUT} & titles


def test_the_task_musav_refuses_what_was_judged_otherwise(tmp_path):
    dataset = judged.load(write_judged(tmp_path))
    with pytest.raises(DataError, match="has preference, judged by 4: take the task pairwise"):
        MusAVAgreement().wanted(None, dataset, {})
    assert PairwiseAgreement().wanted(None, dataset, {}).clips == []
