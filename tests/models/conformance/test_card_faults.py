"""Each fault of a card fails under the name of its field."""

from __future__ import annotations

import dataclasses

import pytest
from honest_models import CARD, Reads, failures, statuses


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("licence", ""),
        ("licence", None),
        ("id", "two\nlines"),
        ("version", 1),
        ("weights_digest", "md5:abc"),
        ("citation", " "),
        ("training_datasets", ["gtzan"]),
        ("training_datasets", ("gtzan", "")),
        ("crop_policy", "random 10 s"),
        ("crop_policy", ""),
        ("preprocessing", {"hops": [1, 2]}),
        ("preprocessing", {"gain": float("nan")}),
        ("preprocessing", None),
    ],
)
def test_a_fault_of_the_card_fails_under_its_name(field, value):
    class Model(Reads):
        card = dataclasses.replace(CARD, **{field: value})

    assert failures(Model()) == {f"card.{field}"}


@pytest.mark.parametrize("policy", ["centre 10 s, never random", "windows, not at random"])
def test_a_crop_policy_may_say_that_it_is_not_random(policy):
    class Model(Reads):
        card = dataclasses.replace(CARD, crop_policy=policy)

    assert failures(Model()) == set()


def test_a_model_without_a_card_is_told_so():
    class Model(Reads):
        card = None

    assert failures(Model()) == {"card.type"}
    assert (
        "NoneType, expected an earmark.models.base.ModelCard"
        in statuses(Model())["card.type"].detail
    )
