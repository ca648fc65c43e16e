"""Every hole that a gate was ever fooled by, planted in a copy of a run: caught, with its code."""

import numpy as np
import pytest
from gated_runs import recording
from planted_holes import (
    PLANTED,
    with_newer_code,
    without_item,
    without_metric,
    without_model,
    without_subset,
    without_task,
)

from earmark.bench.gate.baseline import write_baseline
from earmark.bench.gate.evidence import read_evidence
from earmark.bench.gate.policy import Limits, Policy, Rule, Statistics
from earmark.bench.gate.verdict import judge
from earmark.bench.tasks.registry import VIEWS
from earmark.bench.tasks.task import item_digest


def causes(verdict):
    return [hole.cause for hole in verdict.holes] + [
        cause for row in verdict.metrics for cause in row.causes
    ]


def gated(candidate, baseline, policy):
    return judge(candidate.evidence(), baseline.evidence(), policy)


def with_rules(*rules, **limits):
    options = {"margin": 0.05} | limits
    return Policy(
        version=1,
        defaults=Limits(**options),
        statistics=Statistics(replicates=500),
        metrics=list(rules),
    )


def test_the_unplanted_run_passes(first, again, policy):
    verdict = gated(again, first, policy)
    assert (verdict.outcome, verdict.exit_code) == ("pass", 0)
    assert not causes(verdict)
    assert {row.task for row in verdict.metrics} == set(first.items)
    assert {row.model for row in verdict.metrics} == {"one", "two"}
    assert {row.method for row in verdict.metrics} == {"paired bootstrap"}


def test_a_changed_sentence_of_a_protocol_passes_for_records_hold_its_token(monkeypatch, policy):
    before = recording(tasks=("captions",))
    view = VIEWS["retrieval"]
    assert "all orders" in view.sentence("ties", before.task("captions")["protocol"]["ties"])
    monkeypatch.setitem(view.protocol, "ties", {"expectation": "said in other words"})
    after = recording(tasks=("captions",), run="again")
    protocol = after.task("captions")["protocol"]
    assert view.sentence("ties", protocol["ties"]) == "said in other words"
    assert protocol == before.task("captions")["protocol"]
    assert gated(after, before, policy).outcome == "pass"


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_hole_is_invalid_and_named(plant, first, again, policy):
    candidate = again.copy()
    plant(candidate)
    verdict = gated(candidate, first, policy)
    assert verdict.exit_code == 3, causes(verdict)
    assert any(PLANTED[plant] in cause for cause in causes(verdict)), causes(verdict)


@pytest.mark.parametrize(
    "plant", [one for one in PLANTED if one is not without_task], ids=lambda plant: plant.__name__
)
def test_the_same_hole_in_the_baseline_is_invalid_too(plant, first, again, policy):
    baseline = first.copy()
    plant(baseline)
    verdict = gated(again, baseline, policy)
    # What a baseline lacks, a candidate may have: a new metric, subset or model is not gated.
    only_more = (without_metric, without_subset, without_model)
    assert (verdict.exit_code == 3) == (plant not in only_more), causes(verdict)


def test_a_baseline_of_newer_code_is_refused_and_a_candidate_of_newer_code_is_not(
    first, again, policy
):
    newer = first.copy()
    with_newer_code(newer)
    verdict = gated(again, newer, policy)
    assert verdict.exit_code == 3
    assert "the baseline is newer than the candidate's code" in causes(verdict)[0]
    candidate = again.copy()
    with_newer_code(candidate)
    assert gated(candidate, first, policy).exit_code == 0


def test_items_removed_from_both_runs_are_missed_by_the_stated_digest(first, again, policy):
    candidate, baseline = again.copy(), first.copy()
    for run in (candidate, baseline):
        without_item(run)
    verdict = gated(candidate, baseline, policy)
    assert verdict.exit_code == 3
    assert any("the score states the digest" in cause for cause in causes(verdict))


def with_half_the_clips(run):
    """Half of the clips gone without a trace: digests, counts and scores are of what is left."""
    table = run.items["genres"]
    run.items["genres"] = table[table["item"] < "g060"].reset_index(drop=True)
    for score in run.scores("genres", subset="ensemble", metric="accuracy"):
        own = run.items["genres"]
        own = own[(own["model"] == score["model"]) & (own["subset"] == "ensemble")]
        score |= {
            "value": float(own["accuracy"].mean()),
            "n": len(own),
            "item_digest": item_digest(own["item"]),
            "interval": None,
        }


def test_items_removed_from_both_runs_with_their_digests_are_missed_by_the_count(first, again):
    candidate, baseline = again.copy(), first.copy()
    for run in (candidate, baseline):
        with_half_the_clips(run)
    verdict = gated(candidate, baseline, with_rules(margin=0.1))
    assert verdict.exit_code == 3
    assert any("60 of 120 items were scored" in cause for cause in causes(verdict))
    for run in (candidate, baseline):
        for score in run.scores("genres", subset="ensemble", metric="accuracy"):
            score["n_items"] = 60
    assert gated(candidate, baseline, with_rules(margin=0.1)).exit_code == 0
    (score, *_) = first.scores("genres", subset="ensemble", metric="accuracy")
    for pinned in ({"items": 120}, {"item_digest": score["item_digest"]}, {"min_items": 100}):
        rule = Rule(task="genres", metric="accuracy", **pinned)
        verdict = gated(candidate, baseline, with_rules(rule, margin=0.1))
        assert verdict.exit_code == 3, pinned


@pytest.mark.parametrize("side", ["candidate", "baseline"])
@pytest.mark.parametrize("task", ["captions", "genres", "tags", "musav", "ratings"])
def test_a_model_that_knows_nothing_is_invalid_on_either_side(side, task, first, policy):
    # So much noise that nothing is left of the signal, and yet not the sentinel's own vectors.
    lost = recording(run="lost", weights="second", noise=400.0, seed=3, tasks=(task,))
    whole = first.copy()
    whole.record["tasks"] = [one for one in whole.record["tasks"] if one["id"] == task]
    whole.items = {task: whole.items[task]}
    whole.arrays = {task: whole.arrays[task]}
    pair = (lost, whole) if side == "candidate" else (whole, lost)
    verdict = gated(*pair, policy)
    assert verdict.exit_code == 3
    assert any(f"{side} at chance" in cause for cause in causes(verdict)), causes(verdict)


@pytest.mark.parametrize("task", ["captions", "genres", "tags", "musav", "ratings"])
def test_a_model_replaced_by_random_is_named(task, first, policy):
    replaced = recording(run="replaced", weights="second", tasks=(task,), knows_nothing=True)
    whole = recording(run="whole", tasks=(task,))
    verdict = gated(replaced, whole, policy)
    assert verdict.exit_code == 3
    assert any("at chance" in cause or "outcomes of 'random'" in cause for cause in causes(verdict))


@pytest.mark.parametrize("task", ["captions", "genres", "tags", "musav", "ratings"])
def test_a_collapsed_tower_is_named(task, policy):
    collapsed = recording(run="collapsed", weights="second", tasks=(task,), collapsed_text=True)
    verdict = gated(collapsed, recording(run="whole", tasks=(task,)), policy)
    assert verdict.exit_code == 3
    found = causes(verdict)
    assert any("constant scores" in c or "undefined" in c for c in found), found


@pytest.mark.parametrize("task", ["captions", "genres", "tags", "musav", "ratings"])
def test_a_front_end_that_depends_on_the_batch_is_no_replay(task, policy):
    """The same weights and data, and vectors that are a little off."""
    off = recording(run="off", tasks=(task,), noise=1.06)
    verdict = gated(off, recording(run="whole", tasks=(task,)), policy)
    assert verdict.exit_code == 1
    assert any("same weights and same data" in cause for cause in causes(verdict))


def test_an_exact_replay_passes_whatever_the_number_of_items(first, policy):
    verdict = gated(first, first, policy)
    assert verdict.exit_code == 0
    assert {row.method for row in verdict.metrics} == {"exact replay"}
    assert any("are the same run" in warning for warning in verdict.warnings)


def test_a_worse_model_is_a_regression_and_a_slightly_worse_one_undecided(first, policy):
    worse = recording(run="worse", weights="second", noise=1.8, seed=1)
    verdict = gated(worse, first, policy)
    assert (verdict.outcome, verdict.exit_code) == ("regression", 1)
    # The 60 triplets of the pairs are too few to fail a metric among ten.
    failed = {row.task for row in verdict.metrics if row.status == "fail"}
    assert failed == set(first.items) - {"musav"}
    slightly = recording(run="slightly", weights="second", noise=1.05, seed=1)
    verdict = gated(slightly, first, policy)
    assert (verdict.outcome, verdict.exit_code) == ("inconclusive", 2)
    assert any("cannot decide at this n" in warning for warning in verdict.warnings)


def test_a_better_model_passes_and_is_called_improved(first, policy):
    better = recording(run="better", weights="second", noise=0.5, seed=1)
    verdict = gated(better, first, policy)
    assert verdict.exit_code == 0
    assert sum(row.improved for row in verdict.metrics) >= 8


def test_tiers_decide_what_counts(first):
    worse = recording(run="worse", weights="second", noise=1.8, seed=1, tasks=("genres",))
    only = recording(run="only", tasks=("genres",))
    found = {
        tier: gated(worse, only, with_rules(tier=tier)).outcome
        for tier in ("critical", "supporting", "advisory")
    }
    assert found == {"critical": "regression", "supporting": "regression", "advisory": "pass"}
    slightly = recording(run="slightly", weights="second", noise=1.05, seed=1, tasks=("genres",))
    found = {
        tier: gated(slightly, only, with_rules(tier=tier)).outcome
        for tier in ("critical", "supporting", "advisory")
    }
    assert found == {"critical": "inconclusive", "supporting": "pass", "advisory": "pass"}
    toothless = gated(slightly, only, with_rules(tier="advisory"))
    assert any("none of them can fail" in warning for warning in toothless.warnings)
    broken = slightly.copy()
    broken.items["genres"]["accuracy"] = np.nan
    assert gated(broken, only, with_rules(tier="advisory")).exit_code == 3


def test_a_value_below_its_floor_is_a_regression_even_in_a_replay(first):
    rule = Rule(task="ratings", metric="rmse", floor=0.5, margin=0.5)
    verdict = gated(first, first, with_rules(rule))
    assert verdict.exit_code == 1
    assert any("above the floor" in cause for cause in causes(verdict))


@pytest.mark.parametrize(
    ("policy", "cause"),
    [
        (with_rules(Rule(task="genre", metric="accuracy")), "no task 'genre'. Did you mean"),
        (with_rules(Rule(task="genres", metric="acuracy")), "no metric 'acuracy'. Did you mean"),
        (
            with_rules(Rule(task="captions", metric="mrr", subset="text-to-music")),
            "no subset 'text-to-music'",
        ),
        (with_rules(Rule(task="genres", metric="accuracy", model="three")), "no model 'three'"),
        (
            with_rules(Rule(task="ratings", metric="rmse", direction="higher")),
            "direction comes from the metric",
        ),
        (with_rules(unit="triplet"), "changed unit: the policy resamples 'triplet'"),
        (with_rules(min_items=1000), "n below the minimum"),
        (with_rules(margin=None), "the policy gives no margin"),
        (with_rules(Rule(task="tags", metric="roc_auc", subset="*")), "not gateable"),
        (
            with_rules(Rule(task="ratings", metric="mae", must_beat_chance=True)),
            "states no chance level",
        ),
    ],
)
def test_a_policy_that_does_not_fit_the_runs_is_invalid(policy, cause, first, again):
    verdict = gated(again, first, policy)
    assert verdict.exit_code == 3
    assert any(cause in one for one in causes(verdict)), causes(verdict)


def test_a_policy_that_leaves_nothing_to_gate_is_invalid(first, again):
    everything = Policy(version=1, ignore=list(first.items))
    verdict = gated(again, first, everything)
    assert verdict.exit_code == 3
    assert "leaves nothing to gate" in causes(verdict)[0]


def with_wrong_pairs_tied(run):
    """Predictions so coarse that what was wrong is a tie, which the official score drops."""
    table = run.items["musav"]
    rows = (table["model"] == "one") & (table["outcome"] == -1)
    table.loc[rows, ["outcome", "difference"]] = 0
    for score in run.scores("musav", model="one"):
        if score["metric"] == "pairwise_accuracy":
            score |= {"value": 1.0, "n": int(score["correct"]), "interval": None}
        else:
            ties = score["n"] - score["correct"]
            score |= {"value": (score["correct"] + ties / 2) / score["n"], "interval": None}


def test_ties_cannot_take_the_hard_pairs_out_of_the_score(first, again):
    candidate = again.copy()
    with_wrong_pairs_tied(candidate)
    rules = [
        Rule(task="musav", metric=name, model="one", min_coverage=0.0)
        for name in ("pairwise_accuracy", "pairwise_accuracy_half_credit")
    ]
    verdict = gated(candidate, first, with_rules(rules[0]))
    assert verdict.exit_code == 3
    assert any("count in only one of the runs" in cause for cause in causes(verdict))
    assert gated(candidate, first, with_rules(rules[1])).exit_code == 0


def test_a_stated_number_of_items_that_do_not_count_is_noticed(first, again, policy):
    candidate = again.copy()
    for score in candidate.scores("genres", metric="accuracy", subset="ensemble"):
        score["n"] -= 20
    verdict = gated(candidate, first, policy)
    assert verdict.exit_code == 3
    assert any("states n = 100, 120 count" in cause for cause in causes(verdict))


def test_a_metric_without_outcomes_of_its_own_is_refused_and_never_compared_unpaired(first, again):
    runs = [again.copy(), first.copy()]
    for run in runs:
        run.items["captions"] = run.items["captions"].drop(columns="map_at_10")
    rule = Rule(task="captions", metric="map_at_10")
    verdict = gated(*runs, with_rules(rule))
    assert verdict.exit_code == 3
    assert any("not gateable: no per-item outcomes of map_at_10" in c for c in causes(verdict))
    assert gated(again, first, with_rules(rule)).exit_code == 0


def test_fifty_other_seeds_never_fail_an_unchanged_model():
    """The same outcomes from other weights, and those of a model as good as that."""
    base, same, kin = (
        recording(run=run, weights=run, seed=seed, tasks=("genres",)).evidence()
        for run, seed in (("base", 0), ("same", 0), ("kin", 1))
    )
    for seed in range(50):
        policy = Policy(
            version=1,
            defaults=Limits(margin=0.05),
            metrics=[Rule(task="genres", metric="accuracy", model="one")],
            statistics=Statistics(replicates=500, seed=seed),
        )
        assert judge(same, base, policy).outcome == "pass", seed
        if seed % 10 == 0:
            assert judge(kin, base, policy).outcome in ("pass", "inconclusive"), seed


def test_the_bootstraps_seed_and_replicates_are_no_change_of_protocol(first, again, policy):
    candidate = again.copy()
    for task in candidate.record["tasks"]:
        task["protocol"] |= {"seed": 7, "replicates": 9999}
    assert gated(candidate, first, policy).exit_code == 0


@pytest.mark.parametrize("kept", [False, True])
def test_breakdowns_and_means_over_prompts_are_gated_as_well(first, again, tmp_path, kept):
    rules = [
        Rule(task="musav", metric="pairwise_accuracy_half_credit", subset=subset, min_items=10)
        for subset in ("gt, genre triplets", "gt, global triplets")
    ] + [
        Rule(task="genres", metric=metric, subset="mean of prompts")
        for metric in ("macro_f1", "balanced_accuracy")
    ]
    baseline = first.evidence()
    if kept:
        write_baseline(baseline, tmp_path / "base", reason="first")
        baseline = read_evidence(tmp_path / "base")
    verdict = judge(again.evidence(), baseline, with_rules(*rules, margin=0.3))
    judged = {(row.subset, row.metric, row.method) for row in verdict.metrics if row.task != "tags"}
    assert {("gt, genre triplets", "pairwise_accuracy_half_credit", "paired bootstrap")} < judged
    assert {("mean of prompts", "macro_f1", "paired bootstrap")} < judged
    assert verdict.exit_code == 0, causes(verdict)


@pytest.mark.parametrize(
    ("machine", "replay", "code"),
    [
        ({}, "same-machine", 1),
        ({"processor": "another"}, "same-machine", 0),
        ({"cores": 64}, "same-machine", 0),
        ({"packages": {"numpy": "2.4.1"}}, "same-machine", 0),
        ({"packages": {"numpy": "2.4.0", "earmark": "0.2.0"}}, "same-machine", 1),
        ({"processor": "another"}, "exact", 1),
        ({}, "statistical", 0),
    ],
)
def test_equal_weights_repeat_their_scores_where_the_machine_is_the_same(
    first, machine, replay, code
):
    candidate = first.copy()
    candidate.record["environment"] |= machine
    table = candidate.items["captions"]
    own = (table["model"] == "one") & (table["subset"] == "text-to-audio")
    hit = table.index[own & (table["recall_at_10"] == 1.0)][0]
    table.loc[hit, "recall_at_10"] = 0.0
    for score in candidate.scores(
        "captions", model="one", subset="text-to-audio", metric="recall_at_10"
    ):
        score["value"] = float(table.loc[own, "recall_at_10"].mean())
        score["interval"] = None
    policy = Policy(
        version=1,
        defaults=Limits(margin=0.2),
        statistics=Statistics(replicates=500, replay=replay),
    )
    verdict = gated(candidate, first, policy)
    assert verdict.exit_code == code, causes(verdict)
    elsewhere = [words for words in verdict.warnings if "not the baseline's machine" in words]
    assert bool(elsewhere) == (replay == "same-machine" and code == 0)


def test_models_that_were_read_from_the_store_are_told_from_those_listened_with(first, again):
    candidate = again.copy()
    candidate.model("one")["seconds"] = 3.0
    verdict = gated(candidate, first, with_rules())
    (words,) = (words for words in verdict.warnings if "not listened with anew" in words)
    assert words.startswith("read by the card alone (--trust-card, or a record of Earmark 0.1) or")
    assert "not listened with anew: two;" in words
    for known in ({"seconds": 0.0, "code": None}, {"seconds": None, "code": "c" * 64}):
        candidate.model("two").update(known)
        verdict = gated(candidate, first, with_rules())
        assert not any("not listened with anew" in words for words in verdict.warnings)
