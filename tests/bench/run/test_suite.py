"""Suites: what is read, and what is refused with the place and the mend."""

import pytest

from earmark.bench.run.suite import SuiteError, parse_suite, read_suite

GOOD = """
[suite]
name = "small"
title = "A small suite"
[datasets.songs]
loader = "rated-folder"
root = "{data}/songs"
[models.one]
loader = "essentia-av"
head = "h1"
[[tasks]]
task = "av_regression"
dataset = "songs"
"""


def read(tmp_path, text):
    path = tmp_path / "suite.toml"
    path.write_text(text)
    return read_suite(path)


def test_reads_options_as_they_stand_and_measures_all_models_by_default(tmp_path):
    suite = read(tmp_path, GOOD)
    assert suite.datasets["songs"].options == {"root": "{data}/songs"}
    assert suite.models_of(suite.tasks[0]) == ["one"]
    assert suite.id_of(suite.tasks[0]) == "av_regression-songs"
    assert suite.text == GOOD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('title = "A small suite"', 'titel = "x"'), "Did you mean 'title'"),
        (('dataset = "songs"', 'dataset = "song"'), "Did you mean 'songs'"),
        (('dataset = "songs"', 'dataset = "songs"\nmodels = ["two"]'), "Listed: one"),
        (('name = "small"', 'name = "../x"'), "suite.name"),
        (('head = "h1"', "head = "), "is not TOML"),
        (("[suite]", "[suit]"), "unknown key 'suit'. Did you mean 'suite'"),
        (('loader = "essentia-av"', ""), "models.one.loader is missing"),
        (('title = "A small suite"', 'title = "x"\nreplicates = 3'), "suite.replicates"),
    ],
)
def test_a_suite_that_does_not_fit_is_refused_with_its_place(tmp_path, change, message):
    with pytest.raises(SuiteError) as error:
        read(tmp_path, GOOD.replace(*change))
    assert message in str(error.value)
    assert "suite.toml" in str(error.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_byte_order_mark_and_other_line_ends_change_nothing_but_the_digest(tmp_path, end):
    path = tmp_path / "suite.toml"
    path.write_bytes(("\ufeff" + GOOD.replace("\n", end)).encode())
    found = read_suite(path)
    assert found.datasets == read(tmp_path, GOOD).datasets
    assert found.text == GOOD.replace("\n", end)
    path.write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(SuiteError, match="is not UTF-8 but UTF-16: save it as UTF-8"):
        read_suite(path)


def test_two_tasks_of_one_id_are_refused(tmp_path):
    with pytest.raises(SuiteError, match="two tasks are called"):
        read(tmp_path, GOOD + '[[tasks]]\ntask = "av_regression"\ndataset = "songs"\n')


def test_an_absent_suite_is_named(tmp_path):
    with pytest.raises(SuiteError, match=r"nowhere\.toml: No such file"):
        read_suite(tmp_path / "nowhere.toml")


def test_the_random_model_joins_the_tasks_that_are_held_against_it_and_no_other(tmp_path):
    suite = read(tmp_path, GOOD + '[[tasks]]\ntask = "retrieval"\ndataset = "songs"\n')
    held = suite.with_random_baseline({"retrieval"})
    assert [held.models_of(task) for task in held.tasks] == [["one"], ["one", "random"]]
    assert held.models["random"].loader == "random"
    assert held.text == suite.text
    assert suite.with_random_baseline({"other"}) is suite


def test_a_random_model_of_the_suites_own_is_kept_with_its_options(tmp_path):
    own = (
        '[models.random]\nloader = "random"\nseed = 3\n'
        '[[tasks]]\ntask = "retrieval"\ndataset = "songs"\n'
    )
    suite = read(tmp_path, GOOD + own)
    assert suite.with_random_baseline({"retrieval"}) is suite
    held = read(tmp_path, GOOD + own + 'models = ["one"]\n').with_random_baseline({"retrieval"})
    assert held.models_of(held.tasks[1]) == ["one", "random"]
    assert held.models["random"].options == {"seed": 3}


def test_another_model_of_the_name_random_is_refused(tmp_path):
    text = GOOD.replace("models.one", "models.random")
    suite = read(tmp_path, text + '[[tasks]]\ntask = "retrieval"\ndataset = "songs"\n')
    with pytest.raises(SuiteError, match="give it another name"):
        suite.with_random_baseline({"retrieval"})


LEARNS = (
    '\ntrain = ["songs"]\ntest = ["other"]\n[datasets.other]\nloader = "musav"\noptional = true\n'
)


def test_a_task_may_name_further_datasets_which_are_its_options(tmp_path):
    suite = read(tmp_path, GOOD + LEARNS)
    (task,) = suite.tasks
    assert task.datasets == ["songs", "other"]
    assert task.options == {"train": ["songs"], "test": ["other"]}
    assert suite.datasets["other"].optional
    assert suite.datasets["other"].options == {}
    assert not suite.datasets["songs"].optional


@pytest.mark.parametrize("change", [('["songs"]', '["song"]'), ('["other"]', '["song"]')])
def test_further_datasets_that_are_not_listed_are_refused(tmp_path, change):
    with pytest.raises(SuiteError, match=r"names the dataset 'song'.*Did you mean 'songs'"):
        read(tmp_path, GOOD + LEARNS.replace(*change))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("loudness = 3", "loudness is 3, expected at most 0"),
        ('loudness = -20\nembeddings = "e.npz"', "loudness = -20 and reads embeddings"),
        ('loudness = -20\npredictions = ["p.csv"]', "loudness = -20 and reads predictions"),
    ],
)
def test_a_loudness_that_cannot_be_heard_at_is_refused(line, message):
    suite = f"""
[suite]
name = "a"
title = "a"
[datasets.d]
loader = "musav"
[[tasks]]
task = "musav"
dataset = "d"
{line}
"""
    with pytest.raises(SuiteError, match=message):
        parse_suite(suite.encode(), of="a.toml")


@pytest.mark.parametrize("task", ["path/to/own_task.py:Nearest", "my_package.tasks:Nearest"])
def test_a_task_of_a_file_or_module_is_called_as_its_class_in_ids(tmp_path, task):
    suite = read(tmp_path, GOOD.replace("av_regression", task))
    assert suite.id_of(suite.tasks[0]) == "Nearest-songs"
