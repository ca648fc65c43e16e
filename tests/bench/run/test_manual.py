"""What `earmark describe` says: every option of everything that is registered, by name."""

import json
import re
from pathlib import Path

import pytest

from earmark.bench.cli.catalogue import policy_page
from earmark.bench.run import manual
from earmark.bench.run.suite import shipped_suites
from earmark.datasets.base import DataError
from earmark.datasets.registry import options_of

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", [*manual.names(), "suite", "policy", "variables"])
def test_every_option_and_key_is_explained(name):
    pages = manual.describe(name, files={"policy": policy_page()})
    assert pages
    for page in pages:
        if page.kind == "suite":
            assert page.sections["tasks"] and page.text
            continue
        for title, options in page.sections.items():
            bare = [one.name for one in options if not one.text]
            assert not bare, f"{page.kind} {name}, {title}: {bare}"
        if page.kind in manual.REGISTRIES:
            factory = manual.REGISTRIES[page.kind].factory(name)
            assert page.text
            known = options_of(factory).values()
            known = [one.name for one in known if one.kind is not one.VAR_KEYWORD]
            assert [one.name for one in page.sections["options"]] == known


def test_types_and_defaults_are_as_a_suite_writes_them():
    (page,) = manual.describe("gtzan")
    split = next(one for one in page.sections["options"] if one.name == "split")
    assert (split.type, split.default) == ("'all' or 'fault-filtered'", "'all'")
    root = page.sections["options"][0]
    assert (root.name, root.default) == ("root", None)


def test_the_variables_are_those_that_the_code_reads():
    read = set()
    for folder in ("bench", "datasets", "models", "reports", "earmark"):
        for path in (ROOT / folder).rglob("*.py"):
            if "speed" not in path.parts:
                read |= set(re.findall(r"EARMARK_[A-Z_]+", path.read_text()))
    assert read == set(manual.VARIABLES)


def test_a_name_that_is_two_things_has_two_pages(earmark):
    code, out, _ = earmark("describe", "musav", "--json")
    assert code == 0
    assert [page["kind"] for page in json.loads(out)] == ["dataset", "task"]
    code, out, _ = earmark("describe", "musav")
    assert (code, "baselines: Sequence[str], default ('loudness',)" in out) == (0, True)
    assert len(shipped_suites()) > 3


def test_an_unknown_name_gets_the_nearest(earmark):
    with pytest.raises(DataError, match="Did you mean 'conse'"):
        manual.describe("conce")
    code, _, err = earmark("describe", "no such thing")
    assert (code, "nothing is called 'no such thing'" in err) == (3, True)
