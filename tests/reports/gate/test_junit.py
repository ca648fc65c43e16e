"""JUnit XML: what the schemas of Jenkins' xUnit plug-in and of Surefire ask, element by element."""

from dataclasses import fields
from xml.etree import ElementTree

import gate_verdicts
import pytest
from hypothesis import given
from hypothesis import strategies as st
from junit_schemas import assert_valid_everywhere

from earmark.bench.gate.verdict import Gated, Run, Verdict
from earmark.reports.gate.junit import render_junit


def parsed(verdict):
    root = ElementTree.fromstring(render_junit(verdict).encode())
    assert_valid_everywhere(root)
    for suite in root:
        for word, kind in (("errors", "error"), ("failures", "failure"), ("skipped", "skipped")):
            assert int(suite.get(word)) == len(suite.findall(f"testcase/{kind}"))
        assert int(suite.get("tests")) == len(suite.findall("testcase")) > 0
    for word in ("tests", "errors", "failures"):
        assert int(root.get(word)) == sum(int(suite.get(word)) for suite in root)
    return root


def test_the_sample_has_the_keys_of_a_real_verdict():
    assert gate_verdicts.row().keys() == {one.name for one in fields(Gated)}
    assert gate_verdicts.RUN.keys() == {one.name for one in fields(Run)}
    assert gate_verdicts.verdict().keys() == {one.name for one in fields(Verdict)} | {"exit_code"}


@pytest.mark.parametrize("outcome", ["pass", "regression", "inconclusive", "invalid"])
def test_a_document_is_valid_whatever_the_outcome(outcome):
    parsed(gate_verdicts.verdict(outcome))
    parsed(gate_verdicts.verdict(outcome, metrics=[]))
    parsed(gate_verdicts.verdict(outcome, candidate=None, baseline=None, metrics=[]))


def test_a_suite_is_a_task_and_a_case_a_score():
    root = parsed(gate_verdicts.mixed())
    assert [suite.get("name") for suite in root] == ["comparability", "tags", "captions", "ratings"]
    cases = {(c.get("classname"), c.get("name")): [e.tag for e in c] for c in root.iter("testcase")}
    assert cases == {
        ("earmark.gate", "genres (1 of 1)"): ["error"],
        ("earmark.tags.muscall", "roc_auc ensemble"): ["error"],
        ("earmark.captions.dcase", "recall_at_10 text-to-audio"): ["failure"],
        ("earmark.captions.clap", "recall_at_10 text-to-audio"): ["skipped"],
        ("earmark.captions.muq", "recall_at_10 text-to-audio"): ["skipped"],
        ("earmark.captions.muscall", "recall_at_10 text-to-audio"): ["system-out"],
        ("earmark.ratings.muscall", "rmse all valence"): ["system-out"],
    }
    (failure,) = root.iter("failure")
    assert "more than the margin" in failure.get("message")
    assert "difference: −10.0" in failure.text


def test_digests_stand_in_the_properties():
    root = parsed(gate_verdicts.verdict())
    found = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert found["item_digest muscall/text-to-audio"] == "a" * 64
    assert found["dataset_fingerprint"] == "b" * 64
    assert found["weights_digest muscall"] == "c" * 64
    assert found["baseline_weights_digest muscall"] == "d" * 64
    assert found["policy_sha256"] == "e" * 64
    assert found["candidate_id"] == gate_verdicts.RUN["id"]
    assert found["candidate_git_commit"] == "0123456789abcdef"


@given(st.text(max_size=60))
def test_any_name_and_cause_gives_a_document_that_can_be_read(words):
    failed = gate_verdicts.row(task=words, model=words, status="fail", causes=[words])
    holes = [{"where": words, "cause": words}]
    parsed(gate_verdicts.verdict("regression", metrics=[failed], holes=holes))
