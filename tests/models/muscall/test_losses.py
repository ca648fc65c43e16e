"""The losses against independent references, hand-worked values and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.losses import NTXentLoss

from earmark.models.muscall.config import LossConfig
from earmark.models.muscall.losses import (
    Rows,
    nt_xent,
    pair_weights,
    paper_weights,
    released_weights,
    same_group,
    unit,
    with_self_supervision,
)
from earmark.models.muscall.losses import info_nce as info_nce_of_rows

sizes = st.integers(2, 9)
seeds = st.integers(0, 10_000)


def random_logits(n: int, seed: int = 0, scale: float = 5.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, n, generator=generator, dtype=torch.float64)


def info_nce(logits: torch.Tensor, **options) -> torch.Tensor:
    """InfoNCE of a whole batch by its logits: rows are clips, columns texts."""
    texts = torch.eye(len(logits), dtype=logits.dtype)
    return info_nce_of_rows(Rows.alone(logits), Rows.alone(texts), scale=1.0, **options)


def of_config(logits, config, similarity) -> torch.Tensor:
    weights = pair_weights(similarity, config)
    return info_nce(logits, combination=config.combination, weights=weights)


def nt_xent_of(views, other_views, **options) -> torch.Tensor:
    return nt_xent(unit(Rows.alone(views)), unit(Rows.alone(other_views)), **options)


def random_similarity(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    captions = torch.rand(n, 7, generator=generator, dtype=torch.float64)
    captions /= captions.norm(dim=1, keepdim=True)
    return captions @ captions.T


def info_nce_by_loops(logits: list[list[float]], weights: list[float]) -> float:
    """Equations 1, 2 and 4 as printed, pair by pair."""
    n, total = len(logits), 0.0
    for i in range(n):
        positive = math.exp(logits[i][i])
        over_texts = sum(math.exp(logits[i][j]) for j in range(n))
        over_clips = sum(math.exp(logits[j][i]) for j in range(n))
        total -= weights[i] * math.log(positive / over_texts) / n
        total -= weights[i] * math.log(positive / over_clips) / n
    return total


@given(sizes, seeds)
def test_info_nce_is_the_papers_equations_summed_pair_by_pair(n, seed):
    logits, weights = random_logits(n, seed), random_logits(n, seed + 1)[0].exp()
    assert info_nce(logits).item() == pytest.approx(
        info_nce_by_loops(logits.tolist(), [1.0] * n), rel=1e-12
    )
    assert info_nce(logits, weights=weights).item() == pytest.approx(
        info_nce_by_loops(logits.tolist(), weights.tolist()), rel=1e-12
    )


def test_info_nce_agrees_with_pytorch_metric_learning():
    audio, text = torch.randn(2, 8, 5, dtype=torch.float64)
    labels = torch.arange(8)
    reference = NTXentLoss(temperature=0.07)
    expected = reference(audio, labels, ref_emb=text, ref_labels=labels.clone()) + reference(
        text, labels, ref_emb=audio, ref_labels=labels.clone()
    )
    cosines = torch.nn.functional.normalize(audio) @ torch.nn.functional.normalize(text).T
    assert info_nce(cosines / 0.07).item() == pytest.approx(expected.item(), rel=1e-12)


def test_the_released_mean_is_half_of_the_papers_sum():
    logits, weights = random_logits(6), paper_weights(random_similarity(6))
    for given_weights in (None, weights):
        paper = info_nce(logits, combination="sum", weights=given_weights)
        released = info_nce(logits, combination="mean", weights=given_weights)
        assert released.item() == pytest.approx(paper.item() / 2, rel=1e-12)


def test_two_pairs_told_apart_by_nothing_cost_the_logarithm_of_two_each_way():
    assert info_nce(torch.zeros(2, 2)).item() == pytest.approx(2 * math.log(2))


def test_the_two_directions_change_places_with_the_towers():
    audio, text = (Rows.alone(random_logits(5, seed)) for seed in (0, 1))
    loss = info_nce_of_rows(audio, text, scale=0.1)
    assert info_nce_of_rows(text, audio, scale=0.1).item() == pytest.approx(loss.item(), rel=1e-15)


@given(sizes, seeds)
def test_the_order_of_the_pairs_does_not_matter(n, seed):
    logits, similarity = random_logits(n, seed), random_similarity(n, seed)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    for config in (LossConfig(), LossConfig(weighting="released", kappa=0.01)):
        loss = of_config(logits, config, similarity)
        shuffled = of_config(logits[order][:, order], config, similarity[order][:, order])
        assert shuffled.item() == pytest.approx(loss.item(), rel=1e-9)


def test_gradients_equal_finite_differences():
    logits = random_logits(4, scale=1.0).requires_grad_()
    weights = paper_weights(random_similarity(4))
    assert torch.autograd.gradcheck(info_nce, (logits,))
    assert torch.autograd.gradcheck(lambda x: info_nce(x, weights=weights), (logits,))
    assert torch.autograd.gradcheck(lambda x: info_nce(x, combination="mean"), (logits,))
    views = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: nt_xent_of(v[0], v[1]), (views,))


def test_the_papers_weights_by_hand():
    # Row means 0.55, 0.5 and 0.45 of similarity 1.65 / 3, 1.5 / 3, 1.35 / 3; kappa 0.05 makes
    # e ** 11, e ** 10 and e ** 9, in the proportion e : 1 : 1 / e.
    similarity = torch.tensor(
        [[1.0, 0.4, 0.25], [0.4, 1.0, 0.1], [0.25, 0.1, 1.0]], dtype=torch.float64
    )
    parts = [math.e, 1.0, 1 / math.e]
    expected = [3 * part / sum(parts) for part in parts]
    assert paper_weights(similarity, kappa=0.05).tolist() == pytest.approx(expected, rel=1e-12)


def test_the_papers_weights_keep_the_relations_of_equation_3():
    similarity = random_similarity(6)
    as_written = torch.exp(similarity.mean(dim=1) / 0.05)
    weights = paper_weights(similarity, kappa=0.05)
    torch.testing.assert_close(weights / weights[0], as_written / as_written[0])


def test_the_released_weights_by_hand():
    # To the others: 0.65, 0.5 and 0.35 (each / 3); of their sum 13/30, 10/30 and 7/30; k = 0.1
    # makes the exponents 13/3, 10/3 and 7/3, in the proportion e : 1 : 1 / e.
    similarity = torch.tensor(
        [[1.0, 0.4, 0.25], [0.4, 1.0, 0.1], [0.25, 0.1, 1.0]], dtype=torch.float64
    )
    parts = [math.e, 1.0, 1 / math.e]
    expected = [3 * part / sum(parts) for part in parts]
    assert released_weights(similarity, k=0.1).tolist() == pytest.approx(expected, rel=1e-12)


def test_the_released_weights_ignore_what_a_caption_says_to_itself():
    similarity = random_similarity(5)
    other = similarity.clone().fill_diagonal_(-7.0)
    torch.testing.assert_close(released_weights(similarity), released_weights(other))


@pytest.mark.parametrize("weigh", [paper_weights, released_weights])
@given(n=sizes, seed=seeds)
def test_weights_have_mean_one_and_are_never_negative(weigh, n, seed):
    weights = weigh(random_similarity(n, seed))
    assert weights.mean().item() == pytest.approx(1, rel=1e-12)
    assert (weights >= 0).all()


@pytest.mark.parametrize("weigh", [paper_weights, released_weights])
def test_captions_that_are_all_alike_weigh_the_same(weigh):
    torch.testing.assert_close(weigh(torch.ones(4, 4)), torch.ones(4))


@pytest.mark.parametrize("weigh", [paper_weights, released_weights])
def test_weights_carry_no_gradient(weigh):
    assert not weigh(random_similarity(3).requires_grad_()).requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_where_equation_3_as_written_does(dtype):
    similarity = random_similarity(256).to(dtype)
    assert torch.exp(similarity.mean(dim=1) / 0.005).isinf().any()
    weights = paper_weights(similarity)
    assert weights.isfinite().all()
    assert weights.mean().item() == pytest.approx(1, rel=1e-5)
    assert weights.argmax() == similarity.float().mean(dim=1).argmax()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_of_half_precision_stay_near_those_of_double(dtype):
    def losses(one, other):
        rows = unit(Rows.alone(one)), unit(Rows.alone(other))
        return info_nce_of_rows(*rows, scale=14.0).item(), nt_xent(*rows).item()

    views = torch.randn(2, 64, 16).to(dtype)
    assert losses(*views) == pytest.approx(losses(*views.double()), rel=1e-5)
    rows = unit(Rows(torch.full((1, 4), 300.0, dtype=dtype), torch.ones(2, 4), 1))
    assert rows.own.dtype == torch.float32
    assert rows.own.norm() == pytest.approx(1)


def test_a_pair_with_more_weight_counts_for_more():
    logits = torch.tensor([[5.0, 0.0, 0.0], [0.0, 0.0, 5.0], [0.0, 0.0, 5.0]])
    bad_pair_matters = torch.tensor([0.5, 2.0, 0.5])
    assert info_nce(logits, weights=bad_pair_matters) > info_nce(logits)


def test_a_config_chooses_among_the_losses():
    logits, similarity = random_logits(5), random_similarity(5)
    plain = LossConfig(combination="mean", weighting=None)
    paper = LossConfig(weighting="paper", kappa=0.02)
    released = LossConfig(combination="mean", weighting="released", kappa=0.01)
    expected = {
        plain: info_nce(logits, combination="mean"),
        paper: info_nce(logits, weights=paper_weights(similarity, kappa=0.02)),
        released: info_nce(
            logits, combination="mean", weights=released_weights(similarity, k=0.01)
        ),
    }
    for config, loss in expected.items():
        assert of_config(logits, config, similarity) == loss
    assert len({loss.item() for loss in expected.values()}) == 3


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_nt_xent_agrees_with_pytorch_metric_learning(temperature):
    views = torch.randn(2, 7, 5, dtype=torch.float64)
    labels = torch.arange(7).repeat(2)
    expected = NTXentLoss(temperature=temperature)(views.flatten(0, 1), labels)
    assert nt_xent_of(views[0], views[1], temperature=temperature).item() == pytest.approx(
        expected.item(), rel=1e-12
    )


def test_nt_xent_of_two_opposite_clips_by_hand():
    # Each vector: its partner at cosine 1, two others at -1; temperature 0.5 doubles them.
    views = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    expected = -math.log(math.exp(2) / (math.exp(2) + 2 * math.exp(-2)))
    assert nt_xent_of(views, views).item() == pytest.approx(expected, rel=1e-12)


@given(sizes, seeds, st.floats(0.1, 100))
def test_nt_xent_does_not_mind_order_of_views_nor_length_of_vectors(n, seed, length):
    generator = torch.Generator().manual_seed(seed)
    views = torch.randn(2, n, 4, generator=generator, dtype=torch.float64)
    loss = nt_xent_of(views[0], views[1]).item()
    assert nt_xent_of(views[1], length * views[0]).item() == pytest.approx(loss, rel=1e-9)


def test_the_joint_loss_is_equation_5():
    joint = with_self_supervision(torch.tensor(2.0), torch.tensor(7.0), weight=0.3)
    assert joint.item() == pytest.approx(0.3 * 7 + 0.7 * 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paper_weights(torch.zeros(3)), r"similarity has shape \(3,\)"),
        (lambda: released_weights(torch.ones(1, 1)), "square matrix of 2 items or more"),
        (lambda: released_weights(torch.eye(3)), "between the 3 captions sum to 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Of one clip

AUDIO = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
TEXT = torch.tensor([[0.8, 0.6], [0.0, 1.0], [-1.0, 0.0]])


def test_captions_of_one_clip_are_no_mismatches_of_each_other():
    # Similarities, audio by text: [.8, 0, -1], [.6, 1, 0], [.96, .8, -.6]; scale 2.
    # Pairs 0 and 1 are of one clip: each keeps itself and pair 2 in its denominator.
    def entropy(own: float, *others: float) -> float:
        return math.log(sum(math.exp(2 * s) for s in (own, *others))) - 2 * own

    by_audio = entropy(0.8, -1) + entropy(1, 0) + entropy(-0.6, 0.96, 0.8)
    by_text = entropy(0.8, 0.96) + entropy(1, 0.8) + entropy(-0.6, -1, 0)
    audio, text = Rows.alone(AUDIO), Rows.alone(TEXT)
    same = same_group(Rows.alone(torch.tensor([7, 7, 8])))
    loss = info_nce_of_rows(audio, text, scale=2.0, combination="mean", same=same)
    assert loss.item() == pytest.approx((by_audio + by_text) / 6, rel=1e-6)


# Shares of a batch on several processes

N, DIMENSION = 12, 8


@pytest.fixture
def sides():
    generator = torch.Generator().manual_seed(1)
    return [
        F.normalize(torch.randn(N, DIMENSION, generator=generator, dtype=torch.float64), dim=1)
        for _ in range(2)
    ]


def shares(matrix, processes):
    """The rows as each of several processes has them."""
    n = len(matrix) // processes
    return [Rows(part, matrix, rank * n) for rank, part in enumerate(matrix.split(n))]


def mean_over_processes(loss_of, processes, *matrices):
    own = zip(*(shares(matrix, processes) for matrix in matrices), strict=True)
    return torch.stack([loss_of(*rows) for rows in own]).mean()


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("combination", ["sum", "mean"])
def test_info_nce_of_shares_is_that_of_the_whole_batch(sides, processes, combination):
    scale = torch.tensor(9.0, dtype=torch.float64)
    whole = info_nce(scale * sides[0] @ sides[1].T, combination=combination)
    local = mean_over_processes(
        lambda audio, text: info_nce_of_rows(audio, text, scale=scale, combination=combination),
        processes,
        *sides,
    )
    assert local.item() == pytest.approx(whole.item(), abs=1e-12)


@pytest.mark.parametrize("processes", [1, 3])
def test_weighted_info_nce_of_shares_is_that_of_the_whole_batch(sides, processes):
    scale, similarity = torch.tensor(9.0, dtype=torch.float64), sides[1] @ sides[1].T
    weights = paper_weights(similarity, kappa=0.1)
    whole = info_nce(scale * sides[0] @ sides[1].T, weights=weights)
    local = mean_over_processes(
        lambda audio, text: info_nce_of_rows(
            audio, text, scale=scale, combination="sum", weights=weights[audio.places]
        ),
        processes,
        *sides,
    )
    assert local.item() == pytest.approx(whole.item(), abs=1e-12)


@pytest.mark.parametrize("processes", [1, 2, 6])
def test_nt_xent_of_shares_is_that_of_the_whole_batch(sides, processes):
    whole = nt_xent_of(*sides, temperature=0.5)
    local = mean_over_processes(
        lambda views, others: nt_xent(views, others, temperature=0.5), processes, *sides
    )
    assert local.item() == pytest.approx(whole.item(), abs=1e-12)


@pytest.mark.parametrize("processes", [1, 2])
def test_pairs_of_one_group_leave_the_denominators(sides, processes):
    groups = torch.tensor([0, 1, 2, 0, 4, 5, 6, 4, 8, 0, 10, 11])
    scale = torch.tensor(5.0, dtype=torch.float64)
    logits = scale * sides[0] @ sides[1].T
    same = (groups[:, None] == groups) & ~torch.eye(N, dtype=torch.bool)
    masked, pairs = logits.masked_fill(same, -torch.inf), torch.arange(N)
    whole = (F.cross_entropy(masked, pairs) + F.cross_entropy(masked.T, pairs)) / 2
    local = mean_over_processes(
        lambda audio, text, ids: info_nce_of_rows(
            audio, text, scale=scale, combination="mean", same=same_group(ids)
        ),
        processes,
        *sides,
        groups,
    )
    assert local.item() == pytest.approx(whole.item(), abs=1e-12)
    assert local < info_nce(logits, combination="mean")


def test_gradients_of_shares_add_up_to_those_of_the_whole_batch(sides):
    sides = [side.requires_grad_() for side in sides]
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    logits = scale * sides[0] @ sides[1].T
    whole = torch.autograd.grad(info_nce(logits, combination="mean"), [*sides, scale])
    mean = mean_over_processes(
        lambda audio, text: info_nce_of_rows(audio, text, scale=scale, combination="mean"),
        3,
        *sides,
    )
    local = torch.autograd.grad(mean, [*sides, scale])
    for one, other in zip(whole, local, strict=True):
        assert (one - other).abs().max() < 1e-12
