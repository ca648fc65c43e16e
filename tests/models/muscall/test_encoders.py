"""The two encoders' parts against PyTorch's own modules, and what they must not depend on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from earmark.models.muscall.audio import AttentionPool, AudioEncoder, AveragePool, Bottleneck
from earmark.models.muscall.config import PAPER, AudioConfig, TextConfig
from earmark.models.muscall.text import TextEncoder


def test_feature_maps_have_the_shapes_of_the_papers_model():
    encoder = AudioEncoder(PAPER.audio).eval()
    shapes = {}
    for name in ("conv1", "conv2", "conv3", "stem_pool", "layer1", "layer2", "layer3", "layer4"):

        def keep(module, inputs, output, name=name):
            shapes[name] = tuple(output.shape[1:])

        getattr(encoder, name).register_forward_hook(keep)
    with torch.no_grad():
        assert encoder(torch.zeros(1, 128, 626)).shape == (1, 256)
    assert shapes == {
        "conv1": (8, 64, 313),
        "conv2": (8, 64, 313),
        "conv3": (16, 64, 313),
        "stem_pool": (16, 32, 156),
        "layer1": (64, 32, 156),
        "layer2": (128, 16, 78),
        "layer3": (256, 8, 39),
        "layer4": (512, 4, 19),
    }


@pytest.mark.parametrize(
    "n_samples", [1, 15_360, 15_871, 16_384, 31_999, 160_000, 320_000, 480_123]
)
def test_the_grid_said_is_the_grid_made(n_samples, tiny_config):
    audio = tiny_config.audio
    encoder = AudioEncoder(audio).eval()
    seen = []
    encoder.layer4.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    n_frames = 1 + max(n_samples, audio.minimum_samples) // audio.hop_length
    with torch.no_grad():
        encoder(torch.zeros(1, audio.n_mels, n_frames))
    assert tuple(seen[0][2:]) == audio.grid(n_samples)


def test_a_sample_less_than_the_minimum_would_leave_an_empty_map():
    audio = AudioConfig()
    assert audio.minimum_samples == 15_360
    assert audio.grid(audio.minimum_samples) == (4, 1)
    n_frames = 1 + (audio.minimum_samples - 1) // audio.hop_length
    assert (n_frames + 1) // 2 // 16 == 0


def test_only_the_first_convolution_strides():
    encoder = AudioEncoder(PAPER.audio)
    strided = [
        name
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Conv2d) and module.stride != (1, 1)
    ]
    assert strided == ["conv1"]


def test_a_bottleneck_pools_before_its_last_convolution_and_before_its_shortcut():
    block = Bottleneck(8, 4, stride=2).double().eval()
    x = torch.randn(2, 8, 6, 10, dtype=torch.float64)
    inner = block.bn1(block.conv1(x)).relu()
    inner = block.bn2(block.conv2(inner)).relu()
    halved = inner.unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5))
    shortcut = x.unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5))
    expected = (block.bn3(block.conv3(halved)) + block.downsample(shortcut)).relu()
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-12)


def test_attention_pooling_is_the_mean_tokens_answer_of_full_attention():
    pool = AttentionPool((2, 3), 16, heads=4, features=5).double()
    full = nn.MultiheadAttention(16, 4, batch_first=True).double()
    with torch.no_grad():
        full.in_proj_weight.copy_(
            torch.cat([pool.q_proj.weight, pool.k_proj.weight, pool.v_proj.weight])
        )
        full.in_proj_bias.copy_(torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]))
        full.out_proj.weight.copy_(torch.eye(16))
    x = torch.randn(3, 16, 2, 3, dtype=torch.float64)
    places = x.flatten(2).transpose(1, 2)
    tokens = torch.cat([places.mean(1, keepdim=True), places], 1) + pool.positional_embedding
    expected = pool.c_proj(full(tokens, tokens, tokens)[0][:, 0])
    torch.testing.assert_close(pool(x), expected, rtol=0, atol=1e-12)


def test_gradients_of_attention_pooling_equal_finite_differences():
    pool = AttentionPool((1, 2), 4, heads=2, features=2).double()
    x = torch.randn(2, 4, 1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pool, (x,))


def test_positions_of_the_training_grid_are_the_learned_ones():
    pool = AttentionPool((4, 19), 8, heads=2, features=4)
    assert pool.positions((4, 19)) is pool.positional_embedding


@pytest.mark.parametrize("grid", [(4, 1), (4, 9), (4, 18), (4, 57), (2, 19)])
def test_positions_of_another_grid_are_interpolated_and_the_mean_tokens_kept(grid):
    pool = AttentionPool((4, 19), 8, heads=2, features=4)
    positions = pool.positions(grid)
    assert positions.shape == (1 + grid[0] * grid[1], 8)
    torch.testing.assert_close(positions[0], pool.positional_embedding[0], rtol=0, atol=0)


def test_interpolation_runs_over_bands_and_steps_each_on_its_own():
    pool = AttentionPool((4, 20), 2, heads=1, features=4)
    bands, steps = torch.meshgrid(torch.arange(4.0), torch.arange(20.0), indexing="ij")
    with torch.no_grad():
        pool.positional_embedding[1:, 0] = bands.flatten()
        pool.positional_embedding[1:, 1] = steps.flatten()
    by_band, by_step = pool.positions((4, 10))[1:].T.unflatten(1, (4, 10))
    torch.testing.assert_close(by_band, bands[:, :10])
    # Away from the edges a ramp stays a ramp, read at the middle of each pair of steps.
    inner = by_step[:, 2:-2]
    torch.testing.assert_close(inner, steps[:, :20].reshape(4, 10, 2).mean(2)[:, 2:-2])


def test_gradients_reach_positions_through_interpolation():
    pool = AttentionPool((2, 4), 8, heads=2, features=4)
    pool(torch.randn(2, 8, 2, 7)).sum().backward()
    assert pool.positional_embedding.grad is not None
    assert (pool.positional_embedding.grad.abs().sum(dim=1) > 0).all()


def test_average_pooling_is_the_projected_mean():
    pool = AveragePool(6, features=3).double()
    x = torch.randn(2, 6, 2, 5, dtype=torch.float64)
    expected = pool.projection(torch.stack([clip.flatten(1).mean(1) for clip in x]))
    torch.testing.assert_close(pool(x), expected, rtol=0, atol=1e-12)


def test_the_text_encoder_is_pytorchs_causal_transformer(token_ids, tiny_config):
    config = tiny_config.text
    ours = TextEncoder(config).double().eval()
    layer = nn.TransformerEncoderLayer(
        config.width,
        config.heads,
        4 * config.width,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )
    reference = nn.TransformerEncoder(
        layer, config.layers, norm=nn.LayerNorm(config.width), enable_nested_tensor=False
    )
    reference = reference.double().eval()
    with torch.no_grad():
        for block, theirs in zip(ours.blocks, reference.layers, strict=True):
            theirs.self_attn.in_proj_weight.copy_(block.attention.qkv.weight)
            theirs.self_attn.in_proj_bias.zero_()
            theirs.self_attn.out_proj.load_state_dict(block.attention.out.state_dict())
            theirs.norm1.load_state_dict(block.attention_norm.state_dict())
            theirs.norm2.load_state_dict(block.feed_forward_norm.state_dict())
            theirs.linear1.load_state_dict(block.feed_forward[0].state_dict())
            theirs.linear2.load_state_dict(block.feed_forward[3].state_dict())
        embedded = ours.token_embedding(token_ids) + ours.position_embedding.weight
        mask = nn.Transformer.generate_square_subsequent_mask(10, dtype=torch.float64)
        states = reference(embedded, mask=mask)
        expected = states[torch.arange(3), token_ids.argmax(dim=1)]
        torch.testing.assert_close(ours(token_ids), expected, rtol=0, atol=1e-12)


def test_what_stands_behind_the_end_token_is_not_read(token_ids, tiny_config):
    encoder = TextEncoder(tiny_config.text).eval()
    expected = encoder(token_ids)
    for padding in (7, 49):  # a word, and the end token with which CLIP itself pads
        padded = token_ids.clone()
        for row, end in enumerate((2, 5, 9)):
            padded[row, end + 1 :] = padding
        torch.testing.assert_close(encoder(padded), expected, rtol=0, atol=0)


def test_training_and_evaluation_read_the_same_tokens(token_ids, tiny_config):
    encoder = TextEncoder(tiny_config.text)
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "dropout"):
            module.dropout = 0.0
    trained = encoder.train()(token_ids[:2])
    torch.testing.assert_close(encoder.eval()(token_ids[:2]), trained)


def test_dropout_acts_in_training_only(token_ids, tiny_config):
    encoder = TextEncoder(tiny_config.text).train()
    assert not torch.equal(encoder(token_ids), encoder(token_ids))
    encoder.eval()
    assert torch.equal(encoder(token_ids), encoder(token_ids))


@pytest.mark.parametrize("layers", [1, 4, 8])
def test_depth_is_configurable(layers, token_ids):
    config = TextConfig(vocabulary=50, end_token=49, max_tokens=10, width=8, heads=2, layers=layers)
    encoder = TextEncoder(config)
    assert len(encoder.blocks) == layers
    assert encoder(token_ids).shape == (3, 8)


def test_the_unused_norm_changes_nothing_and_learns_nothing(token_ids, tiny_config):
    encoder = TextEncoder(tiny_config.text).eval()
    expected = encoder(token_ids)
    nn.init.normal_(encoder.unused_norm.weight)
    torch.testing.assert_close(encoder(token_ids), expected, rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in encoder.unused_norm.parameters())


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.tensor([[48, 3, 49], [48, 3, 0]]), "text 1 has no end token 49"),
        (torch.tensor([[50, 49]]), "int64 from 49 to 50, expected integers from 0 to 49"),
        (torch.tensor([[-1, 49]]), "from -1 to 49"),
        (torch.tensor([[1.0, 49.0]]), r"float32 from 1\.0 to 49\.0, expected integers"),
        (torch.full((1, 11), 49), r"shape \(1, 11\), expected .* 1 to 10 tokens"),
        (torch.tensor([48, 49]), r"shape \(2,\)"),
        (torch.zeros((0, 10), dtype=torch.long), r"shape \(0, 10\)"),
        (torch.zeros((2, 0), dtype=torch.long), r"shape \(2, 0\)"),
    ],
)
def test_bad_token_ids_are_named(ids, message, tiny_config):
    with pytest.raises(ValueError, match=message):
        TextEncoder(tiny_config.text)(ids)
