"""A whole report in a line and three sentences: to the letter, for one, two and many models."""

from itertools import combinations

import pytest
from rendered import build

from earmark.bench.tasks.registry import VIEWS
from earmark.reports.content import Bullets, Paragraph, Section, plain, text
from earmark.reports.findings.summary import sentences, verdict
from earmark.reports.page.leaderboard import leaderboard
from earmark.reports.record.schema import Comparison, Group, Interval, NotRun, Score, TaskResult

N = 200


def interval(low, high):
    return Interval(low=low, high=high, method="bootstrap", unit="clip", n_units=9, replicates=99)


def score(model, value, *, side=None, half=0.05, n=N, metric="accuracy", **changes):
    values = {
        "model": model,
        "metric": metric,
        "value": value,
        "reason": None if value is not None else "no predictions",
        "interval": None if value is None else interval(value - half, value + half),
        "subset": "s",
        "dimension": side,
        "n": n,
        "n_items": n,
        "chance": 0.1,
        "higher_is_better": True,
        "lower_bound": 0.0,
        "upper_bound": 1.0,
        "item_digest": "0" * 64,
    }
    return Score(**values | changes)


def task(name, values, *groups, sides=(None,), dataset="real", n=N, scores=None, **changes):
    """Return a task where `values` are those of its models, compared where there are groups."""
    scores = scores or [score(m, v, side=s, n=n) for s in sides for m, v in values.items()]
    apart = [
        Comparison(
            model=one.model,
            other=other.model,
            metric=one.metric,
            subset="s",
            dimension=one.dimension,
            difference=one.value - other.value,
            interval=interval(one.value - other.value - 0.02, one.value - other.value + 0.02),
            p_value=0.01,
            p_holm=0.5 if any({one.model, other.model} <= set(g) for g in groups) else 0.01,
            minimum_detectable_difference=0.03,
            n=n,
        )
        for one, other in combinations(scores, 2)
        if groups and one.dimension == other.dimension and None not in (one.value, other.value)
    ]
    return TaskResult(
        **{
            "id": name,
            "kind": "zero_shot_classification",
            "dataset": dataset,
            "title": f"{name.capitalize()}: a set",
            "protocol": {},
            "models": list(dict.fromkeys(s.model for s in scores)),
            "scores": scores,
            "comparisons": apart,
            "groups": [
                Group(subset="s", metric="accuracy", dimension=side, models=list(models))
                for side in sides
                for models in groups
            ],
        }
        | changes
    )


@pytest.fixture
def record_of(sample):
    """Make a record of tasks, on a dataset `real` and a synthetic one `made`."""

    def make(*tasks, trained=None, dirty=False, **changes):
        card = sample.record.models[0]
        models = [
            card.model_copy(update={"id": m, "training_datasets": (trained or {}).get(m, [])})
            for m in dict.fromkeys(m for one in tasks for m in one.models)
        ]
        entry = sample.record.datasets[1]
        update = {"known_as": None, "synthetic": False}
        datasets = [
            entry.model_copy(update=update | {"id": "real", "title": "Real songs"}),
            entry.model_copy(
                update=update | {"id": "made", "title": "Made songs", "synthetic": True}
            ),
        ]
        environment = sample.record.environment.model_copy(update={"git_dirty": dirty})
        update = {"tasks": list(tasks), "models": models, "datasets": datasets, "not_run": []}
        return sample.record.model_copy(update=update | {"environment": environment} | changes)

    return make


def said(record):
    spans = [verdict(record, VIEWS), *sentences(record, VIEWS)]
    return [plain(one).replace("\N{NO-BREAK SPACE}", " ") for one in spans]


ALONE = "All of this holds for Real songs alone: other music may give other scores."
SOUND = "No model’s card names a dataset that it is scored on and every score is above chance "


def test_one_task_that_is_won(record_of):
    assert said(record_of(task("zero", {"a": 0.6, "b": 0.5}, ["a"], ["b"]))) == [
        "a is best and significantly better than every other model.",
        "a has accuracy 60.0 % [55.0, 65.0] over 200 clips, 10.0 points [8.0, 12.0] above b "
        "(significant).",
        f"{SOUND}with the whole interval.",
        ALONE,
    ]


def test_one_model_beside_chance(record_of):
    values = {"a": 0.6, "random": 0.11}
    assert said(record_of(task("zero", values, ["a"], ["random"]))) == [
        "a, the only model here besides random, is above chance.",
        "a has accuracy 60.0 % [55.0, 65.0] over 200 clips, where chance is 10.0 %.",
        "No model’s card names a dataset that it is scored on, every score is above chance "
        "with the whole interval and random, which uses no input, is never above chance.",
        ALONE,
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, "a, the only model here, is not significantly different from chance."),
        (0.01, "a, the only model here, is below chance."),
    ],
)
def test_one_model_that_is_not_above_chance(record_of, value, expected):
    assert said(record_of(task("zero", {"a": value})))[0] == expected


def test_one_model_without_an_interval_is_held_against_nothing(record_of):
    bare = [score("a", 0.6, interval=None)]
    first, lead, *_ = said(record_of(task("zero", {}, scores=bare)))
    assert first == (
        "a, the only model here, is compared with nothing: there is no interval, or no level of "
        "chance."
    )
    assert lead == "a has accuracy 60.0 % over 200 clips, where chance is 10.0 %."


def test_one_model_on_several_tasks(record_of):
    tasks = [task("zero", {"a": 0.6}), task("probe", {"a": 0.1}), task("tags", {"a": 0.7})]
    assert said(record_of(*tasks)) == [
        "a, the only model here, is above chance on 2 of 3 tasks.",
        "On “Zero”, a has accuracy 60.0 % [55.0, 65.0] over 200 clips, where chance is 10.0 %; on "
        "“Probe”, a has accuracy 10.0 % [5.0, 15.0] over 200 clips, where chance is 10.0 %; the "
        "leaderboard has the other.",
        "a is not significantly different from chance on “Probe”.",
        ALONE,
    ]
    assert said(record_of(*tasks[::2]))[0] == (
        "a, the only model here, is above chance on both tasks."
    )
    assert said(record_of(tasks[1], task("tags", {"a": 0.05})))[0] == (
        "a, the only model here, is not above chance on any of the 2 tasks."
    )


def test_everything_at_chance(record_of):
    values = {"a": 0.12, "b": 0.1, "c": 0.02}
    one = task("zero", values, ["a", "b"], ["c"])
    first, _, doubt, _ = said(record_of(one))
    assert first == "No model is above chance."
    assert doubt == "a and b are not significantly different from chance; c is below chance."
    first, _, doubt, _ = said(record_of(one, task("probe", {"a": 0.1, "b": 0.1}, ["a", "b"])))
    assert first == "No model is above chance on any of the 2 tasks."
    assert doubt == (
        "a is not significantly different from chance on “Zero” and “Probe” and b on “Zero” and "
        "“Probe”; c is "
        "below chance on “Zero”."
    )


def test_everything_at_chance_of_two_dimensions(record_of):
    rated = task("av", {"a": 0.1, "b": 0.12}, ["a", "b"], sides=("arousal", "valence"))
    first, _, doubt, _ = said(record_of(rated))
    assert first == "No model is above chance on any of the 2 headline scores."
    assert doubt == "No model is significantly different from chance anywhere."


def test_everything_tied(record_of):
    one = task("zero", {"a": 0.6, "b": 0.59, "c": 0.58}, ["a", "b", "c"])
    first, lead, *_ = said(record_of(one))
    assert first == "a has the best value; no other model is significantly different from it."
    assert lead.endswith("1.0 points [−1.0, 3.0] above b (not significant).")
    other = task("probe", {"b": 0.7, "c": 0.69}, ["b", "c"])
    assert said(record_of(one, other))[0] == (
        "No model is significantly different from the best on any of the 2 tasks."
    )


def test_two_boards_are_told_one_by_one(record_of):
    sides = ("arousal", "valence")
    rated = task("av", {"a": 0.6, "b": 0.59, "c": 0.3}, ["a", "b"], ["c"], sides=sides)
    assert said(record_of(rated))[:2] == [
        "On arousal, a is best but not significantly different from b; on valence, a is best but "
        "not "
        "significantly different from b.",
        "On arousal, a has accuracy 60.0 % [55.0, 65.0] over 200 clips, 1.0 points [−1.0, 3.0] "
        "above b (not significant); on valence, a has accuracy 60.0 % [55.0, 65.0] over 200 clips, "
        "1.0 points [−1.0, 3.0] above b (not significant).",
    ]
    tasks = [
        task("zero", {"a": 0.6, "b": 0.5, "c": 0.4}, ["a", "b", "c"]),
        task("probe", {"a": 0.5, "b": 0.6}),
    ]
    assert said(record_of(*tasks))[0] == (
        "On “Zero”, a is best but not significantly different from any other model; on “Probe”, "
        "b has the "
        "best value; no comparison was made."
    )
    assert said(record_of(*tasks))[1].endswith("over 200 clips, the next is a with 50.0 %.")


def won(name, best, *others, level=()):
    values = {best: 0.8} | {m: 0.7 - n / 10 for n, m in enumerate([*level, *others])}
    return task(name, values, [best, *level], *[[m] for m in others])


def test_the_best_on_most_tasks_is_named_with_those_it_cannot_be_told_apart_from(record_of):
    tasks = [
        won("one", "a", "b", "c"),
        won("two", "a", "c", level=["b"]),
        won("three", "a", "c", level=["b"]),
        won("four", "c", "a"),
        won("five", "b", "a"),
    ]
    first, lead, *_ = said(record_of(*tasks))
    assert first == (
        "a is best on 3 of 5 tasks; it is not significantly different from b on 2 of them; c is "
        "best on 1 "
        "and b on 1."
    )
    assert lead == (
        "On “One”, a has accuracy 80.0 % [75.0, 85.0] over 200 clips, 10.0 points [8.0, 12.0] "
        "above b (significant); on “Two”, a has accuracy 80.0 % [75.0, 85.0] over 200 clips, "
        "10.0 points [8.0, 12.0] above b (not significant); the leaderboard has the other 3."
    )


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        (
            [won("one", "a", "b"), won("two", "a", "b"), won("three", "a", "b")],
            "a is best on all 3 tasks, significantly better than every other model on each of "
            "them.",
        ),
        (
            [won("one", "a", "b"), won("two", "a", "b"), won("three", "b", "a")],
            "a is best on 2 of 3 tasks, significantly better than every other model on each of "
            "them; b is "
            "best on 1.",
        ),
        (
            [won("one", "a", "c", level="b"), won("two", "a", level="b"), won("x", "c", "a")],
            "a is best on 2 of 3 tasks; it is not significantly different from b on any; c is "
            "best on 1.",
        ),
        (
            [won("one", "a", "d", level="b"), won("two", "a", level="c"), won("x", "a", "c")],
            "a is best on all 3 tasks; on 2 of them, other models are not significantly "
            "different from it.",
        ),
        (
            [won("one", "a", "b"), won("two", "b", "a"), won("three", "c", "a", level="b")],
            "a, b and c are each best on 1 of 3 tasks; on 1 of 3 tasks the best is not "
            "significantly different from another model.",
        ),
        (
            [won(str(n), m, "x") for n, m in enumerate("abcd")],
            "No model is best on more than one of the 4 tasks, significantly better than every "
            "other model.",
        ),
        (
            [task(str(n), {"a": 0.8, "b": 0.5}) for n in range(3)],
            "a is best on all 3 tasks; no comparison was made there.",
        ),
    ],
)
def test_the_verdict_on_many_tasks(record_of, tasks, expected):
    assert said(record_of(*tasks))[0] == expected


def test_arousal_and_valence_that_two_models_share(record_of):
    tasks = []
    for name in ("one", "two"):
        scores = [score("a", 0.8, side="arousal"), score("b", 0.5, side="arousal")]
        scores += [score("b", 0.8, side="valence"), score("a", 0.5, side="valence")]
        sides = ("arousal", "valence")
        tasks.append(task(name, {}, ["a"], ["b"], scores=scores, sides=sides))
    assert said(record_of(*tasks))[0] == (
        "a is best on arousal and b on valence of every task, significantly better than every "
        "other model."
    )


def test_the_best_was_trained_on_what_it_is_scored_on(record_of):
    trained = {"a": ["real"]}
    first, _, doubt, _ = said(record_of(task("x", {"a": 0.6, "b": 0.5}, "a", "b"), trained=trained))
    assert first == (
        "a is best (though trained on this dataset) and significantly better than every other "
        "model."
    )
    assert doubt == (
        "a was trained on Real songs, on which it is scored (†): fit, not generalisation."
    )
    tasks = [won("one", "a", "b"), won("two", "a", "b"), won("x", "b", "a")]
    tasks[1] = tasks[1].model_copy(update={"out_of_fold": ["a"]})
    assert said(record_of(*tasks, trained=trained | {"b": ["Real"]}))[::2][:2] == [
        "a is best on 2 of 3 tasks, though trained on the dataset of 1 of them, significantly "
        "better than "
        "every other model on each of them; b is best on 1.",
        "a and b were trained on Real songs, on which they are scored (†): fit, not "
        "generalisation.",
    ]


def test_nothing_ran(record_of):
    gap = NotRun(what="zero", reason="no data")
    assert said(record_of(not_run=[gap])) == [
        "No task of this suite ran.",
        "1 part of the suite could not run (zero).",
    ]
    empty = task("zero", {"a": None})
    assert said(record_of(empty)) == ["Nothing was scored."]


def test_random_above_chance_comes_first_of_all_doubts(record_of):
    values = {"a": 0.6, "b": 0.1, "random": 0.3}
    warned = task("zero", values, ["a"], ["random"], ["b"], warnings=["w", "v"])
    record = record_of(warned, dirty=True)
    assert said(record)[2] == (
        "Do not trust the task: random, which uses no input, is far above chance there; b is not "
        "significantly different from chance; 2 warnings stand on the task’s page; the code that "
        "ran had "
        "uncommitted changes."
    )
    assert said(record)[0] == "a is best and significantly better than every other model."


def test_random_a_little_above_chance_is_put_down_to_luck(record_of):
    # Half widths are .05 = 1.96 standard errors: .16 is 2.4 of them above chance, .18 is 3.1.
    little, far = (task("zero", {"a": 0.6, "random": value}, ["a"]) for value in (0.16, 0.18))
    assert said(record_of(little))[2] == (
        "Random, which uses no input, is slightly above chance on the task, as happens by "
        "chance once in 40 times."
    )
    assert said(record_of(far))[2].startswith("Do not trust the task: ")


def test_of_many_models_at_chance_the_number_is_given(record_of):
    values = {"a": 0.6} | {f"m{n}": 0.1 for n in range(5)}
    groups = [["a"], [f"m{n}" for n in range(5)]]
    one, two = task("zero", values, *groups), task("probe", values, *groups, warnings=["w"])
    assert said(record_of(one))[2] == "5 of 6 models are not significantly different from chance."
    assert said(record_of(one, two, won("x", "a")))[2] == (
        "5 of 6 models are somewhere not significantly different from chance; 1 warning stands "
        "on the page of "
        "“Probe”."
    )


def test_what_cannot_be_said(record_of):
    gaps = [NotRun(what=f"model {n}", reason="absent") for n in range(4)]
    made = task("zero", {"a": 0.6, "b": 0.5}, ["a"], ["b"], dataset="made")
    few = task("probe", {"a": 0.6, "b": 0.5}, ["a"], ["b"], n=85)
    assert said(record_of(made, few, not_run=gaps))[-1] == (
        "Synthetic data: Made songs is made by a program, so the scores there show that the "
        "measuring works and not how good a model is; “Probe” rests on only 85 clips; 4 parts of "
        "the suite could not run."
    )
    assert said(record_of(few))[-1] == "It rests on only 85 clips."
    less = task("tags", {"a": 0.6}, n=1, not_run=[NotRun(what="b", reason="absent")])
    assert said(record_of(few, less))[-1] == (
        "Both tasks rest on fewer than 100 items each, one on 1 clip; 1 part of the suite could "
        "not run (b in tags)."
    )


def test_of_errors_the_lowest_is_best_and_leads_are_positive(record_of):
    errors = {"metric": "rmse", "higher_is_better": False, "chance": 1.0}
    scores = [score("b", 0.5, **errors), score("a", 0.9, **errors)]
    one = task("av", {}, ["a"], ["b"], scores=scores)
    lead = said(record_of(one))[1]
    assert lead == (
        "b has RMSE 0.500 [0.450, 0.550] over 200 clips, 0.400 [0.380, 0.420] below a "
        "(significant)."
    )


def with_pair(one, model, other, **changes):
    """Return the task with the tested difference of two models replaced."""
    pairs = [
        pair.model_copy(update=changes) if (pair.model, pair.other) == (model, other) else pair
        for pair in one.comparisons
    ]
    return one.model_copy(update={"comparisons": pairs})


def test_above_and_below_are_of_the_tested_difference_and_never_of_the_values(record_of):
    # Gaps: a's own items are easier; on the 50 that both answered, b is better.
    both = {"difference": -0.2, "interval": interval(-0.3, -0.1), "n": 50}
    one = with_pair(task("zero", {"a": 0.6, "b": 0.5}, ["a"], ["b"]), "a", "b", **both)
    assert said(record_of(one))[:2] == [
        "a has the best value, though on the items that all share b is significantly better.",
        "a has accuracy 60.0 % [55.0, 65.0] over 200 clips, 20.0 points [10.0, 30.0] below b on "
        "50 clips that all share (significant).",
    ]
    swapped = with_pair(
        task("zero", {"b": 0.5, "a": 0.6}, ["a"], ["b"]),
        *("b", "a"), difference=0.2, interval=interval(0.1, 0.3), n=50,
    )  # fmt: skip
    assert said(record_of(swapped))[:2] == said(record_of(one))[:2]
    assert said(record_of(one, won("x", "a"), won("y", "a")))[0].startswith(
        "a is best on all 3 tasks; on 1 of them, another model is significantly better on the "
        "items that all share."
    )


def test_a_test_of_another_metric_says_nothing_about_the_headline(record_of):
    one = task("zero", {"a": 0.6, "b": 0.5}, ["a"], ["b"])
    other = {"metric": "macro_f1"}
    one = one.model_copy(
        update={
            "comparisons": [pair.model_copy(update=other) for pair in one.comparisons],
            "groups": [group.model_copy(update=other) for group in one.groups],
        }
    )
    assert said(record_of(one))[:2] == [
        "a has the best value; no comparison was made.",
        "a has accuracy 60.0 % [55.0, 65.0] over 200 clips, the next is b with 50.0 %.",
    ]


def test_a_value_is_said_to_rest_on_the_items_that_were_scored(record_of):
    scores = [score("a", 0.6, n=12, n_items=200), score("b", 0.5, n=12, n_items=200)]
    _, lead, _, limit = said(record_of(task("zero", {}, ["a"], ["b"], scores=scores)))
    assert lead.startswith("a has accuracy 60.0 % [55.0, 65.0] over 12 of 200 clips, ")
    assert limit == "It rests on only 12 clips."


def test_a_leaderboard_says_whose_values_rest_on_a_part_of_the_items(record_of):
    scores = [score("a", 0.6, n=12, n_items=200), score("b", 0.5), score("c", None, n=0)]
    (table, *_) = leaderboard(record_of(task("zero", {}, scores=scores)), VIEWS).blocks
    assert "Scored on a part of the items: a on 12 of 200." in table.notes
    many = [score(f"m{n}", 0.5, n=100 + n) for n in range(5)]
    (table, *_) = leaderboard(record_of(task("zero", {}, scores=many)), VIEWS).blocks
    assert not [note for note in table.notes if note.startswith("Scored on")]
    many = [one.model_copy(update={"n_items": 400}) for one in many]
    (table, *_) = leaderboard(record_of(task("zero", {}, scores=many)), VIEWS).blocks
    assert "Scored on a part of the items: 5 models, m0 on 100 of 400." in table.notes


def test_a_model_that_was_scored_on_fewer_items_than_others_is_doubted(record_of):
    scores = [
        score("a", 1.0, n=7, n_items=200),
        score("b", 0.5),
        score("c", 0.4, n=195, n_items=200),
    ]
    one = task("zero", {}, ["a", "b", "c"], scores=scores)
    assert said(record_of(one))[2].startswith(
        "a was scored on 7 of the 200 clips of other models, so the values are not of one list"
    )
    more = [*scores[:2], score("c", 0.4, n=50, n_items=200)]
    assert said(record_of(task("zero", {}, scores=more)))[2].startswith(
        "a and c were scored on as few as 7 of the 200 clips of other models, so the values"
    )


HALF, OFFICIAL = "pairwise_accuracy_half_credit", "pairwise_accuracy"


def test_pairs_are_ranked_by_the_accuracy_that_is_tested_and_many_ties_are_doubted(record_of):
    # Rounded predictions: dropped ties flatter them, half credit does not.
    scores = [score(m, v, metric=OFFICIAL) for m, v in (("rounded", 0.88), ("float", 0.84))]
    scores += [
        score("rounded", 0.80, metric=HALF, ties=45),
        score("float", 0.84, metric=HALF, ties=9),
    ]
    pair = with_pair(task("zero", {"x": 0.5, "y": 0.5}, ["x"], ["y"]), "x", "y").comparisons[0]
    pair = pair.model_copy(
        update={
            "model": "rounded",
            "other": "float",
            "metric": HALF,
            "difference": -0.04,
            "interval": interval(-0.06, -0.02),
        }
    )
    groups = [Group(subset="s", metric=HALF, models=[m]) for m in ("float", "rounded")]
    one = task("musav", {}, scores=scores, kind="musav", comparisons=[pair], groups=groups)
    assert said(record_of(one))[:3] == [
        "float is best and significantly better than every other model.",
        "float has accuracy 84.0 % [79.0, 89.0] over 200 pairs, 4.0 points [2.0, 6.0] above "
        "rounded (significant).",
        "rounded gives both songs of 22.5 % of the pairs one value, which counts half right.",
    ]


def test_what_only_rounds_off_is_not_below_chance(record_of):
    # 4 of 40 in ten classes: sums of tenths are not a tenth to the last bit.
    low, high, chance = 0.1, 0.10000000000000002, 0.10000000000000005
    assert high < chance
    at = [score("a", high, interval=interval(low, high), chance=chance)]
    assert said(record_of(task("zero", {}, scores=at)))[0] == (
        "a, the only model here, is not significantly different from chance."
    )
    for far, word in ((0.1 - 1e-6, "below"), (0.1 + 1e-6, "above")):
        apart = [score("a", far, interval=interval(far, far), chance=chance)]
        assert said(record_of(task("zero", {}, scores=apart)))[0] == (
            f"a, the only model here, is {word} chance."
        )


def test_tasks_of_one_title_are_told_apart_by_their_ids(record_of):
    tasks = [task(n, {"a": 0.6, "b": 0.5}, ["a"], ["b"], title="T: x") for n in ("t-1", "t-2")]
    assert said(record_of(*tasks))[0].startswith(
        "On t-1, a is best and significantly better than every"
    )


def test_a_name_with_markup_is_text_and_keeps_its_case(record_of):
    record = record_of(task("zero", {"<b>a": 0.6, "b": 0.5}, ["<b>a"], ["b"]))
    assert said(record)[0] == "<b>a is best and significantly better than every other model."


def test_the_leaderboard_begins_with_a_line_and_at_most_three_sentences(sample):
    blocks = build(sample.record, sample.items, sample.arrays).sections[0].blocks
    (place,) = (n for n, b in enumerate(blocks) if isinstance(b, Paragraph) and b.tone == "lead")
    assert plain(blocks[place].text) == plain(verdict(sample.record, VIEWS))
    assert isinstance(blocks[place + 1], Bullets) and len(blocks[place + 1].items) == 3


def test_a_gates_verdict_comes_first(sample):
    judged = Section("Gate", "gate", [Paragraph(text("Gate: pass."), "lead")])
    blocks = build(sample.record, sample.items, sample.arrays, gate=judged).verdict
    assert plain(blocks[0].text) == "Gate: pass."
    assert [block.kind for block in blocks[1:]] == ["plots", "table", "bullets"]
