"""Local losses against the models' own losses, on one process and on several played ones."""

import pytest
import torch
import torch.nn.functional as F

from earmark.models.dcase.losses import contrastive_loss as dcase_contrastive
from earmark.models.muscall.config import LossConfig
from earmark.models.muscall.losses import contrastive_loss, nt_xent, paper_weights
from earmark.models.training.losses import Rows, local_info_nce, local_nt_xent, same_group, unit

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
    whole = contrastive_loss(
        scale * sides[0] @ sides[1].T, LossConfig(combination=combination, weighting=None)
    )
    local = mean_over_processes(
        lambda audio, text: local_info_nce(audio, text, scale=scale, combination=combination),
        processes,
        *sides,
    )
    assert local.item() == pytest.approx(whole.item(), abs=1e-12)


@pytest.mark.parametrize("processes", [1, 3])
def test_weighted_info_nce_of_shares_is_that_of_the_whole_batch(sides, processes):
    scale, similarity = torch.tensor(9.0, dtype=torch.float64), sides[1] @ sides[1].T
    whole = contrastive_loss(
        scale * sides[0] @ sides[1].T, LossConfig(kappa=0.1), similarity=similarity
    )
    weights = paper_weights(similarity, kappa=0.1)
    local = mean_over_processes(
        lambda audio, text: local_info_nce(
            audio, text, scale=scale, combination="sum", weights=weights[audio.places]
        ),
        processes,
        *sides,
    )
    assert local.item() == pytest.approx(whole.item(), abs=1e-12)


@pytest.mark.parametrize("processes", [1, 2, 6])
def test_nt_xent_of_shares_is_that_of_the_whole_batch(sides, processes):
    whole = nt_xent(*sides, temperature=0.5)
    local = mean_over_processes(
        lambda views, others: local_nt_xent(views, others, temperature=0.5), processes, *sides
    )
    assert local.item() == pytest.approx(whole.item(), abs=1e-12)


@pytest.mark.parametrize("processes", [1, 2])
def test_pairs_of_one_group_leave_the_denominators(sides, processes):
    groups = torch.tensor([0, 1, 2, 0, 4, 5, 6, 4, 8, 0, 10, 11])
    scale = torch.tensor(5.0, dtype=torch.float64)
    whole = dcase_contrastive(*sides, scale=scale, clip_ids=groups.tolist())
    local = mean_over_processes(
        lambda audio, text, ids: local_info_nce(
            audio, text, scale=scale, combination="mean", same=same_group(ids)
        ),
        processes,
        *sides,
        groups,
    )
    assert local.item() == pytest.approx(whole.item(), abs=1e-12)
    unmasked = contrastive_loss(
        scale * sides[0] @ sides[1].T, LossConfig(combination="mean", weighting=None)
    )
    assert local < unmasked


def test_gradients_of_shares_add_up_to_those_of_the_whole_batch(sides):
    sides = [side.requires_grad_() for side in sides]
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    config = LossConfig(combination="mean", weighting=None)
    whole = torch.autograd.grad(
        contrastive_loss(scale * sides[0] @ sides[1].T, config), [*sides, scale]
    )
    mean = mean_over_processes(
        lambda audio, text: local_info_nce(audio, text, scale=scale, combination="mean"), 3, *sides
    )
    local = torch.autograd.grad(mean, [*sides, scale])
    for one, other in zip(whole, local, strict=True):
        assert (one - other).abs().max() < 1e-12


def test_half_precision_is_widened_before_the_norm():
    rows = unit(Rows(torch.full((1, 4), 300.0, dtype=torch.float16), torch.ones(2, 4), 1))
    assert rows.own.dtype == torch.float32
    assert rows.own.norm() == pytest.approx(1)
    assert rows.places.tolist() == [1]
