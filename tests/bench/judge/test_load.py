"""Listeners at once: tests/support/judge_load.py, in which the figure of docs is measured."""

from judge_load import load


def test_no_answer_is_lost_or_doubled_when_the_server_is_killed_at_the_end(tmp_path):
    result = load(tmp_path / "study", listeners=6, triplets=6, pace=0, seconds=60)
    assert result.failed == []
    assert {*result.kept} == result.acknowledged and len(result.kept) == len({*result.kept})
    assert len(result.kept) == 6 * (3 + 1) * 6  # three triplets and a check each, all answered
