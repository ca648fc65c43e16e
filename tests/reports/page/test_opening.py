"""The first screen: a figure of every model, a table of the best, and three plain sentences."""

import pytest
from figure_checks import WIDTHS, assert_inside
from rendered import VIEWS, build

from earmark.reports.content import plain
from earmark.reports.findings.headlines import headlines_of
from earmark.reports.findings.plain import sentences
from earmark.reports.page.opening import MOST, figure, table


@pytest.fixture(scope="module")
def headlines(sample):
    return headlines_of(sample.record, VIEWS)


def changed(sample, task=0, **update):
    """The sample with one task alone, changed."""
    one = sample.record.tasks[task].model_copy(update=update)
    return sample.record.model_copy(update={"tasks": [one]})


def test_it_is_one_figure_one_table_of_at_most_ten_rows_and_three_sentences(sample):
    plots, board, said = build(sample.record, sample.items, sample.arrays).verdict
    assert len(plots.plots) == 1 and 1 <= len(board.rows) <= MOST and len(said.items) == 3


def test_the_figure_has_every_score_its_interval_chance_and_standing(sample, headlines):
    plot = figure(headlines)
    data = plot.data
    assert len({len(column) for column in data.values()}) == 1
    drawn = {}
    for place, (panel, model) in enumerate(zip(data["panel"], data["model"], strict=True)):
        drawn[panel, model] = place
    for headline in headlines:
        name = f"{headline.name}: {headline.side}" if headline.side else headline.name
        for score in headline.scores:
            place = drawn[name, score.model]
            assert data["value"][place] == score.value
            assert data["chance"][place] == score.chance
            assert (data["low"][place], data["high"][place]) == (
                score.interval.low,
                score.interval.high,
            )
            standing = data["standing"][place]
            assert (standing == "best") == (score.model == headline.best.model)
            if score.model in headline.level:
                assert standing == "level"
    for width in WIDTHS:
        assert_inside(plot.draw(width=width))


def test_of_many_models_and_scores_the_best_are_drawn_and_the_rest_is_counted(headlines):
    first = headlines[0]
    scores = tuple(
        first.best.model_copy(update={"model": f"m{n:02}", "value": 0.9 - n / 100})
        for n in range(MOST + 4)
    )
    many = [type(first)(**{**_fields(first), "scores": scores, "name": f"t{n}"}) for n in range(12)]
    plot = figure(many)
    assert len(set(plot.data["model"])) == MOST == len(set(plot.data["panel"]))
    assert "m00" in plot.data["model"] and "4\N{NO-BREAK SPACE}models and 2" in plot.caption
    for width in WIDTHS:
        assert_inside(plot.draw(width=width))


def _fields(headline):
    return {name: getattr(headline, name) for name in type(headline).__dataclass_fields__}


def test_a_row_says_who_is_best_how_sure_that_is_and_against_what(sample, headlines):
    block = table(sample.record, headlines)
    heads = [column.label for column in block.columns]
    assert heads[:3] == ["Task", "Best model", "Clearly best?"] and "Guessing" in heads
    for row, headline in zip(block.rows, headlines, strict=True):
        assert row[1].text.removesuffix("†") == headline.best.model
        tested = "yes" if headline.won else "no"
        assert row[2].text == (tested if headline.rivals.compared else "not tested")
        assert headline.scores[1].model in row[2].sub
        assert row[3].sort == headline.best.value


def test_one_model_alone_is_not_ranked(sample):
    task = sample.record.tasks[1]
    model = task.models[0]
    record = changed(
        sample,
        1,
        models=[model],
        scores=[score for score in task.scores if score.model == model],
        comparisons=[],
        groups=[],
    )
    headlines = headlines_of(record, VIEWS)
    assert "Clearly best?" not in [column.label for column in table(record, headlines).columns]
    said = [plain(one) for one in sentences(record, VIEWS)]
    assert said[0].startswith(f"{model} is the only model on both scores")
    assert said[1] == "There is no second model on any of them, so nothing is ranked."


def test_sentences_name_the_winner_the_doubt_and_the_caution(sample):
    task = sample.record.tasks[0]
    kept = [score for score in task.scores if score.dimension == "arousal"]
    record = changed(
        sample, scores=kept, groups=[g for g in task.groups if g.dimension == "arousal"]
    )
    (headline,) = headlines_of(record, VIEWS)
    first, second, third = [plain(one) for one in sentences(record, VIEWS)]
    assert first.startswith(f"{headline.best.model} is best: it reaches ")
    assert "guessing gives 50.0" in first
    assert ("may be luck" in second) == bool(headline.level or headline.rivals.ahead)
    assert third.startswith("Keep in mind: ") and "Keep in mind: S" not in third


def test_a_lead_that_no_test_looked_at_is_not_called_certain(sample):
    record = changed(sample, groups=[], comparisons=[])
    assert {row[2].text for row in table(record, headlines_of(record, VIEWS)).rows} == {
        "not tested"
    }
    assert "no test was made" in plain(sentences(record, VIEWS)[1])
