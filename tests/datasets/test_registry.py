"""The registry: lazy, helpful about unknown names and options, and loud about collisions."""

import sys

import pytest

from earmark.datasets import registry
from earmark.datasets.base import DataError
from earmark.datasets.registry import DATASETS, Registry, check_options

THINGS = Registry(
    "thing", "earmark.test-things", {"path": "pathlib:PurePath", "ghost": "no.such:x"}
)


def test_naming_what_is_known_imports_nothing():
    before = set(sys.modules)
    assert "musav" in DATASETS.targets()
    assert not {name for name in set(sys.modules) - before if name.startswith("earmark.datasets.")}


def test_creates_from_a_name_a_target_or_a_file(tmp_path):
    (tmp_path / "mine.py").write_text("def make(size=1):\n    return size\n")
    assert str(THINGS.factory("path")("a")) == "a"
    assert THINGS.create("fractions:Fraction", {"numerator": 3}) == 3
    assert THINGS.create(f"{tmp_path}/mine.py:make", {"size": 5}) == 5


def test_two_files_of_one_name_are_two_modules(tmp_path):
    for name, value in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(f"def make():\n    return {value}\n")
    made = [THINGS.create(f"{tmp_path}/{name}/mine.py:make", {}) for name in ("a", "b")]
    assert made == [1, 2]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pth", "Did you mean 'path'"),
        ("zzzzzz", "Known: ghost, path"),
        ("ghost", "cannot import no.such"),
        ("pathlib:Nope", "pathlib has no 'Nope'"),
        ("sys:path", "expected a class or a function"),
        ("/no/where.py:make", "no file /no/where.py"),
    ],
)
def test_what_cannot_be_found_is_told_with_what_can(name, message):
    with pytest.raises(DataError) as error:
        THINGS.factory(name)
    assert message in str(error.value)


def test_an_unknown_option_is_refused_with_the_nearest():
    with pytest.raises(DataError, match=r"no option 'numerater'\. Did you mean 'numerator'"):
        THINGS.create("fractions:Fraction", {"numerater": 3})


def test_what_takes_no_option_says_so_and_the_callers_own_parameters_are_none(tmp_path):
    (tmp_path / "none.py").write_text("def make():\n    return 1\ndef own(data):\n    return 2\n")
    with pytest.raises(DataError, match=r"has no option 'size'\. It takes no option\.$"):
        THINGS.create(f"{tmp_path}/none.py:make", {"size": 1})
    with pytest.raises(DataError, match=r"it has no option 'data'\. It takes no option\.$"):
        check_options(THINGS.factory(f"{tmp_path}/none.py:own"), {"data": 1}, of="it", own=["data"])


def test_a_missing_option_is_named(tmp_path):
    (tmp_path / "mine.py").write_text("def make(size):\n    return size\n")
    with pytest.raises(DataError, match="needs the option 'size'"):
        THINGS.create(f"{tmp_path}/mine.py:make", {})


def test_two_packages_may_not_claim_one_name(monkeypatch):
    from importlib.metadata import EntryPoint

    claimed = [EntryPoint("path", "other:Path", THINGS.group)]
    monkeypatch.setattr(registry, "entry_points", lambda group: claimed)
    with pytest.raises(DataError, match="registered twice: as pathlib:PurePath and as other:Path"):
        THINGS.targets()
