"""Deliberate regressions, run from a suite to the verdict: the gate names model, task and cause."""

import json
from pathlib import Path

import broken_models
import numpy as np
import pytest
import soundfile
from gated_runs import recording

from earmark.bench.gate.checks import check_exchanged
from earmark.bench.gate.evidence import read_evidence
from earmark.bench.gate.policy import Limits, Policy, Statistics
from earmark.bench.gate.verdict import judge
from earmark.bench.run.runner import run_suite
from earmark.datasets.judgements.musav import load

MODELS = Path(broken_models.__file__)
N_TONES = 60
TONES = """
[suite]
name = "tones"
title = "Tones and their frequencies"
replicates = 200
[datasets.tones]
loader = "caption-csv"
root = "{root}"
[models.ear]
{model}
[[tasks]]
task = "retrieval"
dataset = "tones"
"""
PAIRS = """
[suite]
name = "pairs"
title = "Pairs"
replicates = 200
[datasets.musav]
loader = "musav"
root = "{root}"
[[tasks]]
task = "musav"
dataset = "musav"
predictions = ["{file}"]
"""


def policy(replay="exact", **limits):
    options = {"margin": 0.2, "min_items": 30} | limits
    return Policy(
        version=1,
        defaults=Limits(**options),
        statistics=Statistics(replicates=500, replay=replay),
    )


def said(verdict):
    rows = [(row.task, row.model, cause) for row in verdict.metrics for cause in row.causes]
    return [(hole.where, "", hole.cause) for hole in verdict.holes] + rows


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """``tones(model)`` runs the suite with a model's lines; a store of its own each time."""
    root = tmp_path_factory.mktemp("tones")
    lines = ["path,caption"]
    for number in range(N_TONES):
        hertz = 200 + 50 * number
        wave = 0.1 * (1 + number % 5) * np.sin(2 * np.pi * hertz * np.arange(2000) / 8000)
        soundfile.write(root / f"{number}.wav", wave.astype(np.float32), 8000, "FLOAT")
        lines.append(f"{number}.wav,a tone of {hertz} hertz")
    (root / "captions.csv").write_text("\n".join(lines) + "\n")

    def run(loader, **options):
        work = tmp_path_factory.mktemp("run")
        model = [f'loader = "{MODELS}:{loader}"', *(f'{k} = "{v}"' for k, v in options.items())]
        (work / "tones.toml").write_text(TONES.format(root=root, model="\n".join(model)))
        folder, _ = run_suite(
            work / "tones.toml", out=work / "runs", store=work / "store", available=True
        )
        return folder and read_evidence(folder)

    return run


@pytest.fixture(scope="module")
def whole(tones):
    return tones("tone_listener")


def test_the_working_model_passes_beside_itself(tones, whole):
    verdict = judge(tones("tone_listener"), whole, policy())
    assert verdict.exit_code == 0, said(verdict)
    assert {row.method for row in verdict.metrics} == {"exact replay"}
    assert all(row.baseline > 0.9 for row in verdict.metrics)


def test_a_tokeniser_that_knows_no_word_is_named(tones, whole):
    broken = tones("unknown_words", model=f"{MODELS}:tone_listener")
    for replay in ("exact", "statistical"):
        verdict = judge(broken, whole, policy(replay))
        assert verdict.exit_code == 3
        (task,) = {row.task for row in verdict.metrics}
        assert any(
            (where, model) == (task, "ear") and "constant scores in the candidate" in cause
            for where, model, cause in said(verdict)
        )


def test_vectors_that_are_not_of_unit_norm_are_named(tones, whole, tmp_path):
    assert tones("unnormalised", model=f"{MODELS}:tone_listener") is None, "nothing else ran"
    # Beside another task, the run leaves a record, and the gate says why the task is not in it.
    root = next(iter(whole.record.suite.toml.split('root = "')[1:])).split('"')[0]
    suite = TONES.format(
        root=root,
        model=f'loader = "{MODELS}:unnormalised"\nmodel = "{MODELS}:tone_listener"',
    )
    sound = f'[models.sound]\nloader = "{MODELS}:tone_listener"\nversion = "2"\n'
    suite = suite.replace("[[tasks]]", f'{sound}[[tasks]]\nmodels = ["ear"]')
    suite += '[[tasks]]\ntask = "retrieval"\ndataset = "tones"\nmodels = ["sound"]\nid = "other"\n'
    (tmp_path / "tones.toml").write_text(suite)
    folder, _ = run_suite(
        tmp_path / "tones.toml", out=tmp_path / "runs", store=tmp_path / "store", available=True
    )
    verdict = judge(read_evidence(folder), whole, policy())
    assert verdict.exit_code == 3
    (cause,) = (cause for _, _, cause in said(verdict) if "did not run" in cause)
    assert "task missing from the candidate" in cause
    assert "tone-listener: audio_vectors of clip" in cause
    assert "expected unit norm" in cause


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, write_musav):
    """``pairs(exchange)`` scores one model's predictions on invented judgements."""
    root = write_musav(tmp_path_factory.mktemp("musav"), n_triplets=90)
    dataset = load(root)
    heard = {song: np.zeros(2) for song in dataset.song_ids}
    for column, dimension in enumerate(("arousal", "valence")):
        for pair in dataset.ground_truth(dimension, "gt"):
            step = {"a": 1.0, "b": -1.0, "ab": 0.0}[pair.higher_value]
            heard[pair.song_a][column] += step
            heard[pair.song_b][column] -= step

    def run(*, exchange=False, noise=0.0):
        work = tmp_path_factory.mktemp("run")
        rng = np.random.default_rng(3)
        rows = []
        for song, values in heard.items():
            arousal, valence = values + 0.4 * rng.normal(size=2) + noise * rng.normal(size=2)
            if exchange:
                arousal, valence = valence, arousal
            rows.append({"songid": song, "arousal_mean": arousal, "valence_mean": valence})
        file = work / "listener.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (work / "pairs.toml").write_text(PAIRS.format(root=root, file=file))
        folder, _ = run_suite(work / "pairs.toml", out=work / "runs", store=work / "store")
        return read_evidence(folder)

    return run


@pytest.mark.parametrize("replay", ["exact", "statistical"])
def test_swapped_axes_are_named_by_the_gate_and_by_the_run_itself(pairs, replay):
    verdict = judge(pairs(exchange=True), pairs(), policy(replay, must_beat_chance=False))
    assert verdict.exit_code == 1, said(verdict)
    causes = [cause for _, model, cause in said(verdict) if model == "listener"]
    assert any("arousal and valence are exchanged: its arousal follows" in one for one in causes)
    assert any("the run itself says: listener: arousal and valence look" in one for one in causes)


def test_a_model_trained_anew_is_not_taken_for_exchanged(pairs):
    before, after = pairs(), pairs(noise=0.2)
    tables = [run.items[before.record.tasks[0].id] for run in (after, before)]
    assert list(check_exchanged(*tables, "listener")) == []
    assert list(check_exchanged(tables[0].drop(columns="difference"), tables[1], "x")) == []
    swapped = pairs(exchange=True, noise=0.2).items[before.record.tasks[0].id]
    assert len(list(check_exchanged(swapped, tables[1], "listener"))) == 1


def test_where_only_texts_went_wrong_the_verdict_says_where_to_look():
    whole = recording(tasks=("captions", "genres"))
    broken = recording(tasks=("captions", "genres"), collapsed_text=True)
    candidate = whole.copy()
    candidate.items["captions"] = broken.items["captions"]
    candidate.task("captions")["scores"] = broken.task("captions")["scores"]
    for run in (whole, candidate):
        run.task("genres")["kind"] = "probe"
    verdict = judge(candidate.evidence(), whole.evidence(), policy())
    assert verdict.exit_code == 3
    hints = [words for words in verdict.warnings if "look at the prompts, the tokeniser" in words]
    assert len(hints) == 1
    assert hints[0].startswith("one: what it makes of audio alone is as it was (genres)")
