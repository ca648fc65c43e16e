"""The pairs of MusAV one by one: the surest errors and hits, and what loudness does to a model."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from earmark.bench.tasks.pairwise import view as musav
from earmark.reports.content import Paragraph, TableBlock, plain
from earmark.reports.record.schema import Score, TaskResult

MODELS = ("heard", "constant-sign")


def score(model, value):
    return Score(
        model=model, metric="pairwise_accuracy", value=value, subset="gt", dimension="arousal",
        n=40, n_items=40, chance=0.5, higher_is_better=True, lower_bound=0, upper_bound=1,
        item_digest="0",
    )  # fmt: skip


@pytest.fixture(scope="module")
def task():
    return TaskResult(
        id="t", kind="musav", dataset="d", title="T", protocol={"seed": 5},
        models=[*MODELS, musav.LOUDNESS],
        scores=[score("heard", 0.8), score("constant-sign", 0.5), score(musav.LOUDNESS, 0.6)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def items():
    """40 pairs in gt and 4 outside it, of 3 a triplet; the truth of pair n is a where n is even."""
    rng = np.random.default_rng(3)
    truth = np.where(np.arange(44) % 2, -1, 1)
    differences = {
        "heard": truth * rng.normal(0.8, 1, 44),
        "constant-sign": np.abs(rng.normal(1, 0.2, 44)),
        musav.LOUDNESS: truth * rng.normal(0.3, 1, 44),
    }
    rows = []
    for model, difference in differences.items():
        for n in range(44):
            right = np.sign(difference[n]) * truth[n]
            kind = "genre_triplet--jazz" if n % 3 else "global_triplet"
            rows.append(
                {"model": model, "item": f"s{n}-t{n}", "unit": f"u{n // 3}", "triplet_type": kind,
                 "dimension": "arousal", "truth": "a" if truth[n] > 0 else "b",
                 "difference": difference[n], "outcome": float(right), "gt": n < 40}
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_the_pairs_are_the_surest_errors_and_hits_of_the_headline_set(task, items):
    tables = {block.caption: block for block in musav.VIEW.tables(task, items)}
    table = tables[f"{musav.PAIRS}: heard"]
    assert not table.folded and tables[f"{musav.PAIRS}: constant-sign"].folded
    assert f"{musav.PAIRS}: {musav.LOUDNESS}" not in tables
    mine = items[(items.model == "heard") & items["gt"]]
    for outcome, named in ((-1, "wrong"), (1, "right")):
        size = mine[mine.outcome == outcome].set_index("item").difference.abs()
        expected = size.sort_values(ascending=False).index[: musav.EXTREMES].tolist()
        assert [row[2].text for row in table.rows if row[1].text == named] == expected
    first = table.rows[0]
    truth = mine.set_index("item").loc[first[2].text]
    assert first[3].text == {"a": "first", "b": "second"}[truth.truth]
    assert first[4].sort == truth.difference and (first[4].sort > 0) == (truth.truth == "b")
    share = 100 * (mine.difference.abs() <= abs(truth.difference)).mean()
    assert first[5].sort == pytest.approx(share, abs=1e-12)
    assert {row[6].text for row in table.rows} <= {"genre: jazz", "global"}


def test_loudness_bias_is_that_of_the_definition(task, items):
    table = next(b for b in musav.VIEW.tables(task, items) if b.caption == musav.BIAS)
    wide = items[items["gt"]].pivot(index="item", columns="model", values=["difference", "outcome"])
    loud = np.sign(wide["difference", musav.LOUDNESS])
    helps = wide["outcome", musav.LOUDNESS] > 0
    people, heard, *_ = table.rows
    assert people[0].text == "listeners" and people[2].sort == pytest.approx(helps.mean())
    assert heard[0].text == "heard"
    assert heard[2].sort == pytest.approx((np.sign(wide["difference", "heard"]) == loud).mean())
    rho = spearmanr(wide["difference", "heard"], wide["difference", musav.LOUDNESS])
    assert heard[3].sort == pytest.approx(rho.statistic, abs=1e-12)
    right = wide["outcome", "heard"] > 0
    assert heard[4].sort == pytest.approx(right[helps].mean(), abs=1e-12)
    assert heard[5].sort == pytest.approx(right[~helps].mean(), abs=1e-12)
    gap = 100 * (right[helps].mean() - right[~helps].mean())
    assert heard[6].sort == pytest.approx(gap, abs=1e-9)
    low, high = (float(edge.replace("−", "-")) for edge in heard[6].sub.strip("[]").split(", "))
    assert low < gap < high
    again = next(b for b in musav.VIEW.tables(task, items) if b.caption == musav.BIAS)
    assert again == table


def test_a_model_that_hears_loudness_alone_has_a_gap_of_100_points(task, items):
    alike = items[items.model == musav.LOUDNESS].assign(model="heard")
    both = pd.concat([items[items.model != "heard"], alike])
    table = next(b for b in musav.VIEW.tables(task, both) if b.caption == musav.BIAS)
    heard = next(row for row in table.rows if row[0].text == "heard")
    assert [heard[place].text for place in (2, 3, 4, 5, 6)] == [
        *("100.0", "1.000", "100.0", "0.0", "100.0")
    ]
    assert heard[6].sub == "[100.0, 100.0]"


def test_a_constant_model_has_no_correlation_and_half_of_its_ties(task, items):
    flat = items.copy()
    flat.loc[flat.model == "heard", ["difference", "outcome"]] = 0.0
    table = next(b for b in musav.VIEW.tables(task, flat) if b.caption == musav.BIAS)
    heard = next(row for row in table.rows if row[0].text == "heard")
    assert [cell.text for cell in heard[2:7]] == ["50.0", "—", "50.0", "50.0", "0.0"]


def test_what_is_lacking_is_said(task, items):
    quiet = items[items.model != musav.LOUDNESS]
    first, *rest = musav.VIEW.tables(task, quiet)
    assert isinstance(first, Paragraph) and "loudness of the songs is not in" in plain(first.text)
    assert all(isinstance(block, TableBlock) for block in rest) and len(rest) == 2
    (said,) = musav.VIEW.tables(task, items.drop(columns=["truth", "gt"]))
    assert plain(said.text).endswith("the items have no column gt and truth.")
    assert musav.VIEW.tables(task.model_copy(update={"scores": []}), items) == []
    blank = items.assign(outcome=np.nan)
    assert [plain(b.text)[:24] for b in musav.VIEW.tables(task, blank)] == [
        "No table of loudness bia"
    ]
