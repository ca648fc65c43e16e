"""What a report claims in words must follow from the record, and from nothing else."""

import pytest
from rendered import findings_of

from earmark.reports.content import plain
from earmark.reports.findings.task import contaminated, has_seen
from earmark.reports.record.schema import Group, Interval, Reference, Score, Table, TaskResult

BY = "pairwise_accuracy_half_credit"


def score(model, value, low=None, high=None, **changes):
    interval = None
    if low is not None:
        interval = Interval(
            low=low, high=high, method="bootstrap", unit="triplet", n_units=9, replicates=99
        )
    values = {
        "model": model,
        "metric": BY,
        "value": value,
        "reason": None if value is not None else "no predictions",
        "interval": interval,
        "subset": "gt",
        "dimension": "arousal",
        "n": 100,
        "n_items": 120,
        "chance": 0.5,
        "higher_is_better": True,
        "lower_bound": 0.0,
        "upper_bound": 1.0,
        "item_digest": "0" * 64,
    }
    return Score(**values | changes)


def task(scores, *, groups=(), **changes):
    values = {
        "id": "t",
        "kind": "musav",
        "dataset": "d",
        "title": "T",
        "protocol": {},
        "models": list(dict.fromkeys(s.model for s in scores)),
        "scores": list(scores),
        "groups": [
            Group(subset="gt", metric=BY, dimension="arousal", models=list(models))
            for models in groups
        ],
    }
    return TaskResult(**values | changes)


def said(*args, **kwargs):
    return [
        plain(text).replace("\N{NO-BREAK SPACE}", " ")
        for text in findings_of(task(*args, **kwargs))
    ]


BEST = score("a", 0.80, 0.75, 0.85)
NEXT = score("b", 0.78, 0.70, 0.84)
LAST = score("c", 0.51, 0.46, 0.56)


def test_the_best_is_named_with_those_it_cannot_be_told_apart_from():
    first, chance = said([LAST, NEXT, BEST], groups=[("a", "b"), ("c",)])
    assert first == (
        "On arousal (set gt, 100 of 120 pairs), a has the highest accuracy, 80.0 % [75.0, 85.0], "
        "and is not significantly different from b."
    )
    assert chance == "Not significantly different from chance: c on arousal."


def test_the_best_alone_in_its_group_is_told_apart():
    assert said([BEST, NEXT], groups=[("a",), ("b",)])[0].endswith(
        ", significantly better than every other model."
    )


def test_overlapping_groups_are_taken_together():
    text = said([BEST, NEXT, LAST], groups=[("a", "b"), ("a", "c")])[0]
    assert text.endswith("not significantly different from any other model.")


def test_without_comparisons_nothing_is_ranked():
    assert said([BEST, NEXT])[0].endswith("[75.0, 85.0]; no comparison was made.")


def test_one_model_is_not_called_the_best():
    assert said([BEST]) == [
        "On arousal (set gt, 100 of 120 pairs), a has accuracy 80.0 % [75.0, 85.0]."
    ]


def test_without_a_value_the_reason_is_given():
    assert said([score("a", None)])[0] == (
        "On arousal (set gt, 120 pairs), no model has a score: no predictions."
    )


def test_of_errors_the_lowest_is_best_and_their_chance_is_mirrored():
    errors = {"metric": "rmse", "higher_is_better": False, "chance": 1.0, "dimension": None}
    scores = [score("a", 0.9, 0.8, 1.1, **errors), score("b", 0.5, 0.4, 0.6, **errors)]
    scores.append(score("c", 1.4, 1.3, 1.5, **errors))
    first, level, worse = said(scores, kind="other")
    assert first == (
        "Overall (set gt, 100 of 120 items), b has the lowest RMSE, 0.500 [0.400, 0.600]; "
        "no comparison was made."
    )
    assert level == "Not significantly different from chance: a."
    assert worse == "Worse than chance: c."


def test_a_score_below_chance_is_called_worse_than_chance():
    assert said([score("a", 0.4, 0.35, 0.45)])[-1] == "Worse than chance: a on arousal."


def test_scores_without_an_interval_are_held_against_nothing():
    assert len(said([score("a", 0.9), score("b", 0.1)])) == 1


def reference(value, **changes):
    values = {"name": "one annotator", "subset": "gt", "metric": BY}
    return Reference(**values | {"value": value, "dimension": "arousal"} | changes)


def test_models_are_held_against_the_human_reference():
    lines = [reference(0.76), reference(0.5, name="chance")]
    text = said([BEST, NEXT, score("d", 0.9, 0.88, 0.92), LAST], references=lines)[1]
    assert text == (
        "Compared with “one annotator” (76.0 % on arousal), d is above; a and b are not "
        "significantly different from it; c is below."
    )


def test_a_reference_of_another_set_that_is_scored_is_not_used():
    other = score("a", 0.7, 0.6, 0.8, subset="gt.fa")
    texts = said([BEST, other], references=[reference(0.76, subset="gt.fa")])
    assert not any("annotator" in text for text in texts)
    texts = said([BEST, other], references=[reference(0.76, subset="all judgements")])
    assert any("annotator" in text for text in texts)


def test_where_models_and_people_met_the_same_judgements_that_is_what_is_said():
    table = Table(
        title="Models against one annotator, on the same judgements",
        columns=["dimension", "model", "n", "low", "high"],
        rows=[
            ["arousal", "a", 3271, 0.01, 0.05],
            ["arousal", "b", 3271, -0.02, 0.03],
            ["arousal", "c", 3271, -0.3, -0.2],
        ],
    )
    texts = said([BEST, NEXT, LAST], tables=[table], references=[reference(0.76)])
    assert texts[1] == (
        "On the same 3,271 judgements of arousal as one annotator, a is above; b is not "
        "significantly different from that annotator; c is below."
    )
    assert not any("Compared with" in text for text in texts)


def test_the_headline_is_the_tasks_own_choice():
    other = score("a", 0.7, 0.6, 0.8, subset="gt.fa", metric="accuracy")
    text = said([BEST, other], headline_subset="gt.fa", headline_metric="accuracy")[0]
    assert "set gt.fa" in text and "70.0 %" in text


def test_a_task_without_scores_says_so():
    assert said([], models=["a"]) == ["No score was computed."]


@pytest.mark.parametrize("name", ["gtzan_excerpts", "GTZAN-Excerpts", "gtzan excerpts"])
def test_a_dataset_is_recognised_however_it_is_written(sample, name):
    model = sample.record.models[0].model_copy(update={"training_datasets": ["deam", name]})
    assert has_seen(model, "gtzan_excerpts")
    assert not has_seen(model, "gtzan")


def test_training_on_what_is_scored_is_named(sample):
    (text,) = contaminated(sample.record)
    assert plain(text).startswith("deam-msd-musicnn-2 was trained on gtzan_excerpts, on which this")


def test_models_out_of_fold_are_not_called_contaminated(sample):
    tasks = [
        one.model_copy(update={"out_of_fold": ["deam-msd-musicnn-2"]})
        if one.dataset == "gtzan_excerpts"
        else one
        for one in sample.record.tasks
    ]
    assert contaminated(sample.record.model_copy(update={"tasks": tasks})) == []


def test_training_on_what_is_scored_is_named_by_the_cards_id_too(sample):
    datasets = [
        one.model_copy(update={"id": "mine", "known_as": one.id})
        if one.id == "gtzan_excerpts"
        else one
        for one in sample.record.datasets
    ]
    tasks = [
        one.model_copy(update={"dataset": "mine"}) if one.dataset == "gtzan_excerpts" else one
        for one in sample.record.tasks
    ]
    record = sample.record.model_copy(update={"datasets": datasets, "tasks": tasks})
    (text,) = contaminated(record)
    assert plain(text).startswith("deam-msd-musicnn-2 was trained on mine, on which this")


def recall(model, value, low=None, high=None, **changes):
    of_retrieval = {
        "metric": "recall_at_10",
        "subset": "text-to-audio",
        "dimension": None,
        "chance": 0.1,
        "n_items": 400,
    }
    return score(model, value, low, high, **of_retrieval | changes)


def of_retrieval(scores, **changes):
    return said(scores, kind="retrieval", **changes)


def test_a_retrieval_is_told_in_both_directions_with_its_chance():
    scores = [recall("a", 0.6, 0.55, 0.65), recall("b", 0.4, 0.35, 0.45)]
    scores += [s.model_copy(update={"subset": "audio-to-text"}) for s in scores]
    texts = of_retrieval(scores)
    assert texts == [
        "Overall (text to audio, 100 of 400 queries), a has the highest R@10, 60.0 % [55.0, 65.0]; "
        "no comparison was made.",
        "Overall (audio to text, 100 of 400 queries), a has the highest R@10, 60.0 % [55.0, 65.0]; "
        "no comparison was made.",
        "Chance is 10.0 %. Every model is above it with the whole interval.",
    ]


def test_random_is_not_among_every_model_above_chance():
    scores = [recall(name, 0.6, 0.55, 0.65) for name in "ab"] + [recall("random", 0.1, 0.05, 0.15)]
    assert "Chance is 10.0 %. Every model but random is above it with the whole interval." in (
        of_retrieval(scores)
    )


def test_random_above_chance_is_the_first_thing_that_is_said():
    scores = [recall("a", 0.6, 0.55, 0.65), recall("random", 0.2, 0.15, 0.25)]
    texts = of_retrieval(scores)
    assert texts[0].startswith("Do not trust this task. random, which uses no input, scores")
    assert "far above chance (20.0 % [15.0, 25.0], chance 10.0 %)" in texts[0]
    assert not any("Sanity check" in text for text in texts)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((0.08, 0.13), "is at chance, as it should be (10.0 % [8.0, 13.0])."),
        (
            (0.101, 0.15),
            "scores slightly above chance, as happens by chance once in 40 times; another seed "
            "will tell "
            "(12.0 % [10.1, 15.0]).",
        ),
        (
            (0.05, 0.09),
            "scores below chance, as happens by chance once in 40 times (10.0 % [5.0, 9.0]).",
        ),
        ((), "has no interval, so whether it is at chance is not known (10.0 %)."),
    ],
)
def test_random_near_chance_is_a_check_that_passed(bounds, expected):
    value = 0.12 if "above" in expected else 0.1
    texts = of_retrieval([recall("a", 0.6, 0.55, 0.65), recall("random", value, *bounds)])
    assert texts[-1].replace(", which uses no input,", "") == (f"Sanity check: random {expected}")
    assert not any("istinguishable" in text for text in texts)


def test_of_ranks_random_above_chance_is_that_it_ranks_lower():
    ranks = {"metric": "median_rank", "higher_is_better": False, "chance": 50.0}
    high = recall("random", 70.0, 65.0, 75.0, **ranks, upper_bound=None)
    low = recall("random", 30.0, 25.0, 35.0, **ranks, upper_bound=None)
    assert "scores below chance" in of_retrieval([high])[-1]
    assert of_retrieval([low])[0].startswith("Do not trust this task.")
    assert "has median rank 30.0 items [25.0, 35.0]" in of_retrieval([low])[1]


def test_a_single_model_is_named_beside_chance():
    texts = of_retrieval([recall("a", 0.6, 0.55, 0.65), recall("random", 0.1, 0.08, 0.13)])
    assert "Chance is 10.0 %. a is above it with the whole interval." in texts
    texts = of_retrieval([recall("a", 0.1, 0.05, 0.15)])
    assert "Chance is 10.0 %. a is not above it with the whole interval." in texts


def test_models_that_are_not_above_chance_are_counted():
    scores = [recall("a", 0.6, 0.55, 0.65), recall("b", 0.1, 0.08, 0.12)]
    assert "Chance is 10.0 %. 1 of 2 models are above it with the whole interval." in of_retrieval(
        scores
    )


def test_the_gap_of_the_best_model_is_told():
    table = Table(
        title="Modality gap",
        columns=["model", "gap", "aligned above random (ROC-AUC)"],
        rows=[["b", 0.1, 0.6], ["a", 0.42, 0.934]],
    )
    texts = of_retrieval([recall("b", 0.4), recall("a", 0.6)], tables=[table])
    assert (
        "Of an aligned and a random pair, a finds the aligned one more similar 93.4 % of the time; "
        "its centroids of audio and text lie 0.42 apart." in texts
    )


def test_the_spread_of_prompts_is_that_of_the_best_and_of_the_widest():
    table = Table(
        title="Prompts",
        columns=["model", "metric", "lowest", "highest", "best prompt"],
        rows=[
            ["a", "roc_auc", 0.1, 0.9, "not this metric"],
            ["a", "accuracy", 0.5, 0.6, "A {label}"],
            ["b", "accuracy", 0.1, 0.35, "{label}"],
        ],
    )
    genre = {"metric": "accuracy", "subset": "ensemble"}
    scores = [recall("a", 0.6, 0.5, 0.7, **genre), recall("b", 0.3, 0.2, 0.4, **genre)]
    texts = said(scores, kind="zero_shot_classification", tables=[table])
    assert texts[0].startswith("Overall (ensemble of prompts, 100 of 400 clips), a has the highest")
    assert texts[2:] == [
        "The words of the prompt move a’s accuracy by 10.0 points "
        "(50.0 % to 60.0 %; best: “A {label}”).",
        "The words of the prompt move b most of all, by 25.0 points "
        "(10.0 % to 35.0 %; best: “{label}”).",
    ]


def test_undefined_scores_of_every_model_leave_the_reason_alone():
    texts = of_retrieval([recall("a", None), recall("random", None)])
    assert texts == ["Overall (text to audio, 400 queries), no model has a score: no predictions."]
