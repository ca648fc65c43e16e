"""Holes that gates were fooled by, each planted in a copy of a run, and what is to be said."""

import numpy as np


def without_tasks(run):
    run.record["tasks"], run.items, run.arrays = [], {}, {}


def without_task(run):
    run.record["tasks"] = [task for task in run.record["tasks"] if task["id"] != "genres"]
    run.items.pop("genres")
    run.arrays.pop("genres")
    run.record["not_run"] = [{"what": "genres", "reason": "the disk was full"}]


def without_metric(run):
    task = run.task("genres")
    task["scores"] = [s for s in task["scores"] if s["metric"] != "macro_f1"]


def without_subset(run):
    task = run.task("captions")
    task["scores"] = [s for s in task["scores"] if s["subset"] != "audio-to-text"]


def without_model(run):
    task = run.task("musav")
    task["scores"] = [s for s in task["scores"] if s["model"] != "two"]
    task["comparisons"], task["groups"] = [], []
    task["models"].remove("two")
    run.items["musav"] = run.items["musav"][run.items["musav"]["model"] != "two"]


def without_item(run):
    run.items["captions"] = run.items["captions"][run.items["captions"]["item"] != "c5#1"]


def without_item_of_one_model(run):
    table = run.items["captions"]
    run.items["captions"] = table[(table["item"] != "c5#1") | (table["model"] != "one")]


def with_extra_item(run):
    table = run.items["genres"]
    extra = table[table["item"] == "g000"].assign(item="g999")
    run.items["genres"] = type(table)(np.vstack([table, extra]), columns=table.columns).astype(
        table.dtypes.to_dict()
    )


def with_duplicate(run):
    table = run.items["genres"]
    run.items["genres"] = table.iloc[[*range(len(table)), 0]].reset_index(drop=True)


def with_other_dataset(run):
    run.record["datasets"][0]["fingerprint"] = "another"


def with_other_version(run):
    run.record["datasets"][1]["version"] = "1.1"


def with_other_split(run):
    run.task("captions")["protocol"]["split"] = "valid"


def with_other_prompts(run):
    run.task("genres")["protocol"]["prompts"] = "{label} music"


def with_other_protocol(run):
    run.task("captions")["protocol"]["ties"] = "best case"


def with_new_protocol_key(run):
    run.task("musav")["protocol"]["songs cut"] = "30 s"


def with_other_bounds(run):
    for score in run.scores("genres", metric="accuracy"):
        score["upper_bound"] = 100.0


def with_other_chance(run):
    for score in run.scores("genres", metric="accuracy"):
        score["chance"] = 0.01


def with_other_direction(run):
    for score in run.scores("ratings", metric="pearson_r"):
        score["higher_is_better"] = False


def with_nan(run):
    run.items["captions"].loc[3, "recall_at_10"] = np.nan


def with_infinity(run):
    run.items["ratings"].loc[3, "predicted"] = np.inf


def with_nan_in_arrays(run):
    run.arrays["tags"]["scores.one"][2, 1] = np.nan


def with_undefined_score(run):
    for score in run.scores("genres", metric="accuracy", model="one"):
        score |= {"value": None, "reason": "nothing was scored", "interval": None}


def with_constant_outcomes(run):
    table = run.items["musav"]
    table.loc[table["model"] == "one", "difference"] = 0.0


def with_one_guess(run):
    table = run.items["genres"]
    table.loc[table["model"] == "one", "predicted"] = "jazz"


def with_newer_code(run):
    run.record["earmark_version"] = "0.10.0"


def with_rounded_scores(run):
    for task in run.record["tasks"]:
        for score in task["scores"]:
            score["value"] = None if score["value"] is None else round(score["value"], 3)


def with_negated_score(run):
    for score in run.scores("ratings", metric="pearson_r", model="one"):
        score["value"] = -score["value"]
        score["interval"] = None


def with_negated_accuracy(run):
    for score in run.scores("genres", metric="accuracy", model="one"):
        score["value"] = -score["value"]
        score["interval"] = None


def with_swapped_tasks(run):
    """Two tasks under each other's names, with all that belongs to them."""
    a, b = run.task("captions"), run.task("genres")
    a["id"], b["id"] = "genres", "captions"
    for group in (run.items, run.arrays):
        group["captions"], group["genres"] = group["genres"], group["captions"]


def with_swapped_items(run):
    run.items["captions"], run.items["genres"] = run.items["genres"], run.items["captions"]


def with_swapped_models(run):
    """Each model's outcomes under the other's name; the scores as they were."""
    table = run.items["genres"]
    table["model"] = table["model"].replace({"one": "two", "two": "one"})


def with_random_outcomes(run):
    table = run.items["captions"]
    columns = [c for c in table.columns if c not in ("model", "item", "subset", "query")]
    rows = {name: table.index[table["model"] == name] for name in ("one", "random")}
    table.loc[rows["one"], columns] = table.loc[rows["random"], columns].to_numpy()


def with_shuffled_labels(run):
    table = run.items["genres"]
    labels = dict(zip(table["item"], table["label"], strict=True))
    names = list(labels)
    values = np.random.default_rng(0).permutation(list(labels.values()))
    shuffled = dict(zip(names, values, strict=True))
    table["label"] = table["item"].map(shuffled)


def with_shuffled_tags(run):
    labels = run.arrays["tags"]["labels"]
    run.arrays["tags"]["labels"] = np.random.default_rng(0).permutation(labels)


def with_shuffled_ratings(run):
    table = run.items["ratings"]
    table["rated"] = np.random.default_rng(0).permutation(table["rated"])


def with_other_outcomes_of_random(run):
    table = run.items["genres"]
    rows = table.index[table["model"] == "random"]
    table.loc[rows, "margin"] = np.random.default_rng(0).permutation(table.loc[rows, "margin"])


def with_another_kind_of_task(run):
    run.task("genres")["kind"] = "probe"


def without_outcomes(run):
    run.items["genres"] = run.items["genres"][["model"]]


PLANTED = {
    without_tasks: "no task",
    without_task: "task missing from the candidate: it did not run: the disk was full",
    without_metric: "metric missing: macro_f1",
    without_subset: "scores missing",
    without_model: "models missing: two",
    without_item: "item sets differ",
    without_item_of_one_model: "item sets differ",
    with_extra_item: "item sets differ",
    with_duplicate: "duplicate items in the candidate: g000",
    with_other_dataset: "changed dataset: fingerprint",
    with_other_version: "changed dataset: version",
    with_other_split: "changed protocol: split",
    with_other_prompts: "changed protocol: prompts",
    with_other_protocol: "changed protocol: ties",
    with_new_protocol_key: "changed protocol: songs cut",
    with_other_bounds: "changed metric definition: upper_bound",
    with_other_chance: "changed metric definition: chance",
    with_other_direction: "changed metric definition: higher_is_better",
    with_nan: "NaN or infinity: recall_at_10",
    with_infinity: "NaN or infinity: predicted",
    with_nan_in_arrays: "NaN or infinity",
    with_undefined_score: "undefined in the candidate: nothing was scored",
    with_constant_outcomes: "constant scores in the candidate",
    with_one_guess: "constant scores in the candidate: every item is predicted to be 'jazz'",
    with_rounded_scores: "the score is not that of its items in the candidate",
    with_negated_score: "the score is not that of its items in the candidate",
    with_negated_accuracy: "score outside its bounds in the candidate",
    with_swapped_tasks: "the task's kind changed",
    with_swapped_items: "item sets differ",
    with_swapped_models: "the score is not that of its items",
    with_random_outcomes: "exactly the outcomes of 'random'",
    with_shuffled_labels: "the truth that items are held against differs in label",
    with_shuffled_tags: "the truth that items are held against differs in arrays/labels",
    with_shuffled_ratings: "the truth that items are held against differs in rated",
    with_other_outcomes_of_random: "random has not changed, yet",
    with_another_kind_of_task: "the task's kind changed",
    without_outcomes: "no per-item outcomes in the candidate: not gateable",
}
