"""Accumulated gradients are those of the whole batch, dropout and all three losses included."""

import copy

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from earmark.models.muscall.losses import Rows, info_nce, nt_xent, unit, with_self_supervision
from earmark.models.training.optimisation import backward

N, SIZE = 12, 3


class Towers(nn.Module):
    """Two small towers with a temperature; ``norm`` goes into the audio tower."""

    def __init__(self, *, dropout=0.0, norm=None):
        super().__init__()
        self.audio = nn.Sequential(nn.Linear(6, 16), norm or nn.LayerNorm(16), nn.ReLU())
        self.audio.extend([nn.Dropout(dropout), nn.Linear(16, 5)])
        self.text = nn.Sequential(nn.Linear(4, 8), nn.Dropout(dropout), nn.Linear(8, 5))
        self.logit_scale = nn.Parameter(torch.tensor(1.2))

    def forward(self, inputs):
        return {
            "audio": self.audio(inputs["sound"]),
            "other": self.audio(inputs["sound"] * 0.9),
            "text": self.text(inputs["words"]),
            "logit_scale": self.logit_scale * 1.0,
        }


@pytest.fixture
def fabric():
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(3)
    return {
        "sound": torch.randn(N, 6, generator=generator),
        "words": torch.randn(N, 4, generator=generator),
    }


def split(inputs, size):
    parts = [value.split(size) for value in inputs.values()]
    return [dict(zip(inputs, part, strict=True)) for part in zip(*parts, strict=True)]


def plain_loss(features):
    audio, text = (Rows.alone(features[side]) for side in ("audio", "text"))
    return info_nce(audio, text, scale=features["logit_scale"].exp(), combination="sum")


def weighted_loss(features):
    audio, text = (Rows.alone(features[side]) for side in ("audio", "text"))
    weights = torch.linspace(0.2, 1.8, len(features["audio"]))
    scale = features["logit_scale"].exp()
    return info_nce(audio, text, scale=scale, combination="sum", weights=weights)


def ssl_loss(features):
    views = nt_xent(*(unit(Rows.alone(features[side])) for side in ("audio", "other")))
    return with_self_supervision(plain_loss(features), views, weight=0.3)


LOSSES = [plain_loss, weighted_loss, ssl_loss]


def gradients(module):
    return {name: parameter.grad.clone() for name, parameter in module.named_parameters()}


def assert_equal_gradients(one, other):
    for name in one:
        assert one[name].abs().max() > 0, name
        assert (one[name] - other[name]).abs().max() < 1e-5 * one[name].abs().max(), name


@pytest.mark.parametrize("loss_of", LOSSES)
def test_accumulated_gradients_are_those_of_the_whole_batch(fabric, inputs, loss_of):
    module = Towers()
    whole, accumulated = copy.deepcopy(module), copy.deepcopy(module)
    reference = loss_of(whole(inputs))
    reference.backward()
    loss = backward(accumulated, split(inputs, SIZE), loss_of, fabric=fabric)
    assert loss.item() == pytest.approx(reference.item(), rel=1e-6)
    assert_equal_gradients(gradients(whole), gradients(accumulated))


@pytest.mark.parametrize("loss_of", LOSSES)
def test_one_micro_batch_is_plain_training(fabric, inputs, loss_of):
    module = Towers(norm=nn.BatchNorm1d(16))
    other = copy.deepcopy(module)
    loss_of(module(inputs)).backward()
    backward(other, [inputs], loss_of, fabric=fabric)
    assert_equal_gradients(gradients(module), gradients(other))
    for one, two in zip(module.buffers(), other.buffers(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("loss_of", LOSSES)
def test_dropout_and_batch_norm_are_those_of_the_first_pass(fabric, inputs, loss_of):
    """Against all micro-batches encoded one after the other, every graph kept in memory."""
    module = Towers(dropout=0.4, norm=nn.BatchNorm1d(16))
    reference, accumulated = copy.deepcopy(module), copy.deepcopy(module)
    torch.manual_seed(8)
    found = [reference(part) for part in split(inputs, SIZE)]
    features = {
        name: torch.cat([each[name] for each in found]) for name in ("audio", "other", "text")
    }
    loss_of({**features, "logit_scale": reference.logit_scale}).backward()
    torch.manual_seed(8)
    backward(accumulated, split(inputs, SIZE), loss_of, fabric=fabric)
    assert_equal_gradients(gradients(reference), gradients(accumulated))
    for one, two in zip(reference.buffers(), accumulated.buffers(), strict=True):
        assert torch.equal(one, two)


def test_random_numbers_go_on_as_after_one_pass(fabric, inputs):
    module = Towers(dropout=0.4)
    torch.manual_seed(8)
    for part in split(inputs, SIZE):
        module(part)
    expected = torch.rand(1)
    torch.manual_seed(8)
    backward(module, split(inputs, SIZE), plain_loss, fabric=fabric)
    assert torch.equal(torch.rand(1), expected)


def test_the_mean_of_micro_batches_losses_is_another_loss(fabric, inputs):
    module = Towers()
    accumulated = backward(module, split(inputs, SIZE), plain_loss, fabric=fabric)
    naive = torch.stack([plain_loss(module(part)) for part in split(inputs, SIZE)]).mean()
    assert accumulated > naive + 0.5


def test_nothing_goes_backwards_if_the_check_raises(fabric, inputs):
    module = Towers()

    def refuse(loss):
        raise ValueError(f"refused {loss.item():.1f}")

    with pytest.raises(ValueError, match="refused"):
        backward(module, split(inputs, SIZE), plain_loss, fabric=fabric, check=refuse)
    assert all(parameter.grad is None for parameter in module.parameters())


def test_features_that_do_not_learn_are_left_alone(fabric, inputs):
    module = Towers()
    module.text.requires_grad_(False)
    backward(module, split(inputs, SIZE), plain_loss, fabric=fabric)
    assert all(parameter.grad is None for parameter in module.text.parameters())
    assert module.audio[0].weight.grad.abs().max() > 0
