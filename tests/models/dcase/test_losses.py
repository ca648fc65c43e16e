"""The triplet loss by hand and by gradcheck, and its impostors."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.models.base import ModelError
from earmark.models.dcase.losses import sample_impostors, triplet_ranking_loss

AUDIO = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
TEXT = torch.tensor([[0.8, 0.6], [0.0, 1.0], [-1.0, 0.0]])


def seeded(seed: int = 16) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_has_the_value_worked_by_hand():
    # Pair 0: S = .8; impostor audio 1: .6; impostor text 2: -1.  .6-.8+1 + max(0,-1-.8+1) = .8
    # Pair 1: S = 1;  impostor audio 2: .8; impostor text 0: .6.  .8-1+1 + .6-1+1 = 1.4
    # Pair 2: S = -.6; impostor audio 0: -1; impostor text 1: .8. -1+.6+1 + .8+.6+1 = 3
    loss = triplet_ranking_loss(
        AUDIO,
        TEXT,
        impostor_audio=torch.tensor([1, 2, 0]),
        impostor_text=torch.tensor([2, 0, 1]),
    )
    assert loss.item() == pytest.approx((0.8 + 1.4 + 3.0) / 3, rel=1e-6)


def test_is_zero_where_every_impostor_is_a_margin_away():
    vectors = torch.eye(3)
    indices = torch.tensor([1, 2, 0]), torch.tensor([2, 0, 1])
    options = {"impostor_audio": indices[0], "impostor_text": indices[1]}
    assert triplet_ranking_loss(vectors, vectors, **options, margin=1.0) == 0
    assert triplet_ranking_loss(vectors, vectors, **options, margin=1.5) == pytest.approx(1.0)


def test_has_the_gradient_of_its_value():
    # The first random batch of these seeds keeps every hinge away from its corner.
    torch.manual_seed(3)
    audio, text = (
        F.normalize(torch.randn(5, 7, dtype=torch.float64), dim=1).requires_grad_()
        for _ in range(2)
    )
    impostor_audio, impostor_text = sample_impostors(list("abcde"), seeded())

    def loss(audio: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return triplet_ranking_loss(
            audio, text, impostor_audio=impostor_audio, impostor_text=impostor_text, margin=0.3
        )

    assert torch.autograd.gradcheck(loss, (audio, text))


@settings(deadline=None)
@given(
    clips=st.lists(st.sampled_from("abcd"), min_size=2, max_size=12).filter(
        lambda clips: len(set(clips)) > 1
    ),
    seed=st.integers(0, 2**31),
)
def test_impostors_are_of_another_clip_and_of_two_pairs_where_there_are_two(clips, seed):
    audio, text = sample_impostors(clips, seeded(seed))
    for pair, (other_audio, other_text) in enumerate(
        zip(audio.tolist(), text.tolist(), strict=True)
    ):
        assert clips[other_audio] != clips[pair] != clips[other_text]
        choices = sum(clip != clips[pair] for clip in clips)
        assert (other_audio != other_text) or choices == 1


def test_impostors_are_drawn_uniformly():
    clips, generator = ["a", "a", "b", "c", "d"], seeded()
    audio, text = Counter(), Counter()
    for _ in range(3000):
        drawn = sample_impostors(clips, generator)
        audio[drawn[0][0].item()] += 1
        text[drawn[1][0].item()] += 1
    for counts in (audio, text):
        assert counts.keys() == {2, 3, 4}
        # Standard deviation of a count: sqrt(3000 * 1/3 * 2/3) = 26.
        assert all(abs(count - 1000) < 104 for count in counts.values())


def test_impostors_follow_the_generator_and_nothing_else():
    clips = list("abcdefgh")
    torch.manual_seed(1)
    first = sample_impostors(clips, seeded(5))
    torch.manual_seed(2)
    again = sample_impostors(clips, seeded(5))
    assert all(torch.equal(*both) for both in zip(first, again, strict=True))
    other = sample_impostors(clips, seeded(6))
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("clips", [["a"], ["a", "a", "a"], []])
def test_a_batch_of_one_clip_is_an_error_and_no_endless_loop(clips):
    message = rf"{len(clips)} pairs holds {len(set(clips))} clip.*at least two clips"
    with pytest.raises(ModelError, match=message):
        sample_impostors(clips, seeded())
