"""Reading a policy: what is refused, and with which words."""

from pathlib import Path

import pytest

from earmark.bench.gate.policy import Limits, PolicyError, Rule, read_policy, settled


def written(tmp_path, text):
    path = tmp_path / "gate.toml"
    path.write_text(text)
    return path


def test_a_policy_is_read_with_its_digest(tmp_path):
    path = written(
        tmp_path,
        'version = 1\n[defaults]\nmargin = 0.02\n[[metrics]]\ntask = "t"\nmetric = "mrr"\n'
        'subset = "text-to-audio"\ntier = "advisory"\nrelative_margin = 0.1\n',
    )
    policy = read_policy(path)
    (rule,) = policy.metrics
    assert (rule.task, rule.metric, rule.subset) == ("t", "mrr", "text-to-audio")
    limits = settled(rule, policy.defaults)
    assert (limits.margin, limits.relative_margin) == (None, 0.1)
    assert (limits.tier, limits.must_beat_chance, limits.min_items) == ("advisory", True, 30)
    assert len(policy.digest) == 64 and policy.source == str(path)


def test_what_a_rule_does_not_say_the_defaults_do():
    rule = Rule(task="t", metric="m", min_items=5, must_beat_chance=False)
    limits = settled(rule, Limits(margin=0.1, min_items=50, tier="supporting"))
    assert limits.min_items == 5
    assert limits.must_beat_chance is False
    assert (limits.margin, limits.tier) == (0.1, "supporting")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "version None"),
        ("version = 2", "version 2, this Earmark reads version 1"),
        ("version = ", "is not TOML"),
        ("version = 1\n[default]\nmargin = 1.0", "unknown key 'default'. Did you mean 'defaults'?"),
        (
            "version = 1\n[defaults]\nmargn = 0.1",
            "unknown key 'defaults.margn'. Did you mean 'margin'?",
        ),
        (
            'version = 1\n[[metrics]]\ntask = "a"\nmetric = "b"\nflor = 1.0',
            "unknown key 'metrics.0.flor'. Did you mean 'floor'?",
        ),
        ("version = 1\n[statistics]\nsead = 1", "Did you mean 'seed'?"),
        ("version = 1\n[defaults]\nmargin = -0.1", "defaults.margin"),
        ("version = 1\n[defaults]\nmargin = 0.0", "margin is 0.0, expected above 0"),
        ("version = 1\n[defaults]\nmargin = nan", "finite"),
        ("version = 1\n[defaults]\nmargin = 0.1\nrelative_margin = 0.1", "give one"),
        ('version = 1\n[defaults]\ntier = "vital"', "'critical', 'supporting' or 'advisory'"),
        ('version = 1\n[defaults]\nmin_items = "many"', "defaults.min_items"),
        ('version = 1\n[[metrics]]\ntask = "a"', "metrics.0.metric"),
        ("version = 1\n[statistics]\nalpha = 0.9", "statistics.alpha"),
        ("version = 1\nsource = 'x'", "unknown key 'source'"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused_by_key(tmp_path, text, words):
    with pytest.raises(PolicyError) as refused:
        read_policy(written(tmp_path, text))
    assert words in str(refused.value)
    assert "gate.toml" in str(refused.value)


def test_an_absent_policy_is_named(tmp_path):
    with pytest.raises(PolicyError, match=r"policy .*absent\.toml: No such file"):
        read_policy(tmp_path / "absent.toml")


def test_the_example_in_the_documentation_can_be_read_with_a_mark_too(tmp_path):
    example = Path(__file__).parents[3] / "docs" / "gate.toml"
    policy = read_policy(example)
    own = {"source": "", "digest": ""}
    marked = tmp_path / "gate.toml"
    marked.write_bytes(b"\xef\xbb\xbf" + example.read_bytes())
    assert read_policy(marked).model_copy(update=own) == policy.model_copy(update=own)
    assert policy.defaults.margin == 0.02
    assert [rule.metric for rule in policy.metrics] == [
        "recall_at_10",
        "median_rank",
        "pairwise_accuracy_half_credit",
    ]
