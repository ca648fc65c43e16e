"""The report on a study: what people say beside the models, by the names of the files."""

import json
from types import SimpleNamespace

import pytest
from tiny_study import make_plan, write_study
from typer.testing import CliRunner

from earmark.bench.cli import app
from earmark.bench.judge.exchange import as_csv, export, import_judgements
from earmark.bench.judge.report import divided_songs
from earmark.datasets.base import DataError
from earmark.datasets.judgements.rules import Judgement
from earmark.reports.record.files import load


@pytest.fixture
def study(tmp_path):
    """Six triplets: two hear the song's number; the third the opposite in one, else nothing."""
    folder = tmp_path / "study"
    plan = write_study(folder, make_plan(6))
    number = {song.id: n for n, song in enumerate(plan.songs)}

    def said(a, b, who, opposite):
        if who == 2 and not opposite:
            return "ab"
        return "a" if (number[a] > number[b]) == (who < 2) else "b"

    rows = [
        Judgement(triplet.id, a, b, plan.listeners[who], dimension.name, said(a, b, who, n == 0))
        for dimension in plan.dimensions
        for n, triplet in enumerate(plan.triplets)
        for a, b in triplet.pairs
        for who in triplet.listeners
    ]
    (tmp_path / "in.csv").write_text(as_csv(rows))
    return folder, plan, tmp_path / "in.csv"


def test_a_song_divides_people_as_far_as_their_answers_are_apart():
    said = [("x", "y", "a"), ("x", "y", "b"), ("x", "y", "ab"), ("y", "z", "a"), ("y", "z", "a"),
            ("y", "z", "not_selected"), ("z", "w", "b")]  # fmt: skip
    rows = [Judgement("t", a, b, f"p{n}", "arousal", v) for n, (a, b, v) in enumerate(said)]
    found = divided_songs(SimpleNamespace(judgements=lambda dimension: rows), "arousal")
    # Of x and y: a and b are 1 apart, either and equal a half; of y and z both say the same.
    assert [(one.song, one.difference, one.opposite, one.n) for one in found] == [
        ("x", pytest.approx(2 / 3), 1, 3),
        ("y", 0.5, 1, 4),
        ("z", 0.0, 0, 1),
    ]


def test_the_report_holds_people_models_and_players_by_the_names_of_files(study, tmp_path):
    folder, plan, table = study
    import_judgements(folder, table)
    export(folder, folder / "report" / "set")  # as an earlier report left it
    lines = ["songid,arousal,valence"]
    lines += [f"{song.id},{n},{-n}" for n, song in enumerate(plan.songs)]
    (tmp_path / "mine.csv").write_text("\n".join(lines) + "\n")
    words = ["judge", "report", str(folder), "--predictions", str(tmp_path / "mine.csv")]
    words += ["--json", "--replicates", "100", "--format", "html"]
    done = CliRunner().invoke(app, [*words, "--store", str(tmp_path / "store")])
    assert done.exit_code == 0, done.output
    files = json.loads(done.stdout)["files"]
    assert [path.rpartition("/")[2] for path in files] == ["run.json", "report.html"]
    (task,) = load(files[0].removesuffix("/run.json")).record.tasks
    value = {(one.dimension, one.model): one.value for one in task.scores if one.subset == "gt"}
    assert (value["arousal", "mine"], value["valence", "mine"]) == (1, 0)
    page = (folder / "report" / "report.html").read_text()
    assert "Songs that divide people" in page and "Listeners and their checks" in page
    assert (
        plan.songs[0].source in page and f"{plan.songs[3].source} / {plan.songs[5].source}" in page
    )
    assert page.count("data:audio/mpeg") > 5


def test_nothing_is_reported_before_anybody_judged(study):
    folder, _, _ = study
    done = CliRunner().invoke(app, ["judge", "report", str(folder)])
    assert isinstance(done.exception, DataError)
    assert "nobody has judged anything yet" in str(done.exception)
    assert not (folder / "report" / "set").exists()
