"""What a report claims in words must follow from the record, and from nothing else."""

import pytest

from earmark.reports.content import plain
from earmark.reports.findings import contaminated, findings, has_seen
from earmark.reports.record import Group, Interval, Reference, Score, Table, TaskResult


def score(model, value, low=None, high=None, **changes):
    interval = None
    if low is not None:
        interval = Interval(
            low=low, high=high, method="bootstrap", unit="triplet", n_units=9, replicates=99
        )
    values = {
        "model": model,
        "metric": "pairwise_accuracy",
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
            Group(subset="gt", metric="pairwise_accuracy", dimension="arousal", models=list(models))
            for models in groups
        ],
    }
    return TaskResult(**values | changes)


def said(*args, **kwargs):
    return [
        plain(text).replace("\N{NO-BREAK SPACE}", " ") for text in findings(task(*args, **kwargs))
    ]


BEST = score("a", 0.80, 0.75, 0.85)
NEXT = score("b", 0.78, 0.70, 0.84)
LAST = score("c", 0.51, 0.46, 0.56)


def test_the_best_is_named_with_those_it_cannot_be_told_apart_from():
    first, chance = said([LAST, NEXT, BEST], groups=[("a", "b"), ("c",)])
    assert first == (
        "On arousal (set gt, 120 pairs), a has the highest accuracy, 80.0 % [75.0, 85.0], and "
        "cannot be told apart from b."
    )
    assert chance == "Not distinguishable from chance: c on arousal."


def test_the_best_alone_in_its_group_is_told_apart():
    assert said([BEST, NEXT], groups=[("a",), ("b",)])[0].endswith(
        ", told apart from every other model."
    )


def test_overlapping_groups_are_taken_together():
    text = said([BEST, NEXT, LAST], groups=[("a", "b"), ("a", "c")])[0]
    assert text.endswith("cannot be told apart from any other model.")


def test_without_comparisons_nothing_is_ranked():
    assert said([BEST, NEXT])[0].endswith("[75.0, 85.0]; no comparison was made.")


def test_one_model_is_not_called_the_best():
    assert said([BEST]) == ["On arousal (set gt, 120 pairs), a has accuracy 80.0 % [75.0, 85.0]."]


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
        "Overall (set gt, 120 items), b has the lowest RMSE, 0.500 [0.400, 0.600]; "
        "no comparison was made."
    )
    assert level == "Not distinguishable from chance: a."
    assert worse == "Worse than chance: c."


def test_a_score_below_chance_is_called_worse_than_chance():
    assert said([score("a", 0.4, 0.35, 0.45)])[-1] == "Worse than chance: a on arousal."


def test_scores_without_an_interval_are_held_against_nothing():
    assert len(said([score("a", 0.9), score("b", 0.1)])) == 1


def reference(value, **changes):
    values = {"name": "one annotator", "subset": "gt", "metric": "pairwise_accuracy"}
    return Reference(**values | {"value": value, "dimension": "arousal"} | changes)


def test_models_are_held_against_the_human_reference():
    lines = [reference(0.76), reference(0.5, name="chance")]
    text = said([BEST, NEXT, score("d", 0.9, 0.88, 0.92), LAST], references=lines)[1]
    assert text == (
        "Held against “one annotator” (76.0 % on arousal), d is above; a and b cannot be told "
        "apart from it; c is below."
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
        "Held to the same 3,271 judgements of arousal as one annotator, a is above; b cannot be "
        "told apart from that annotator; c is below."
    )
    assert not any("Held against" in text for text in texts)


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
