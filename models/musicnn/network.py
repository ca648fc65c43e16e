"""The two networks of musicnn: patches of 187 frames of 96 mel bands to tags, and their layers.

``Musicnn``: filters over most of the bands (timbral) and filters over time alone (temporal) side by
side, three convolutions over time with residual connections, maximum and mean over time, a dense
layer [1]_. ``VGG``: five blocks of 3 x 3 filters. Every convolution is followed by ReLU and then by
batch normalisation, as the released weights were trained.

The parameters bear the names of the released checkpoints' variables (``conv2d_5``, ``1CNN``), so
that a checkpoint is read by name.

References
----------
.. [1] J. Pons, X. Serra, "musicnn: Pre-trained convolutional neural networks for music audio
       tagging", ISMIR 2019 late-breaking/demo.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

N_BANDS, PATCH_FRAMES, N_TAGS = 96, 187, 50
EPSILON = 1e-3
"""Of batch normalisation, TensorFlow's default."""


class Normalised(nn.Module):
    """Batch normalisation by what training has gathered, over dimension 1."""

    gamma: Tensor
    beta: Tensor
    moving_mean: Tensor
    moving_variance: Tensor

    def __init__(self, n: int) -> None:
        super().__init__()
        for name, value in (("gamma", 1), ("beta", 0), ("moving_mean", 0), ("moving_variance", 1)):
            self.register_parameter(name, nn.Parameter(torch.full((n,), float(value))))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x, self.moving_mean, self.moving_variance, self.gamma, self.beta, eps=EPSILON
        )


class Weighted(nn.Module):
    """Kernel and bias of a convolution or dense layer, in PyTorch's order of dimensions."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        nn.init.kaiming_uniform_(self.kernel, a=5**0.5)


class Musicnn(nn.Module):
    """The musically motivated network; its input may have any number of frames.

    Layers: ``timbral`` and ``temporal``, the filters over bands and over time, and ``cnn1`` to
    ``cnn3``, the convolutions (mean over time of each); ``pooled``: maximum and mean over time of
    all these filters together; ``penultimate``: the dense layer, normalised.
    """

    TIMBRAL, TEMPORAL, MIDDLE, DENSE = 204, 51, 64, 200
    layer_dimensions: Mapping[str, int] = {
        "timbral": 2 * TIMBRAL,
        "temporal": 3 * TEMPORAL,
        "cnn1": MIDDLE,
        "cnn2": MIDDLE,
        "cnn3": MIDDLE,
        "pooled": 2 * (2 * TIMBRAL + 3 * TEMPORAL + 3 * MIDDLE),
        "penultimate": DENSE,
    }

    def __init__(self) -> None:
        super().__init__()
        first = 2 * self.TIMBRAL + 3 * self.TEMPORAL
        pooled = self.layer_dimensions["pooled"]
        sizes = [1, *[self.TIMBRAL] * 2, *[self.TEMPORAL] * 3, *[self.MIDDLE] * 3]
        for index, size in enumerate([*sizes, pooled, self.DENSE]):
            self.add_module(f"batch_normalization{_numbered(index)}", Normalised(size))
        kernels = [
            *[(self.TIMBRAL, int(share * N_BANDS), 7) for share in (0.4, 0.7)],
            *[(self.TEMPORAL, 1, n_frames) for n_frames in (128, 64, 32)],
            *[(self.MIDDLE, n, 7) for n in (first, self.MIDDLE, self.MIDDLE)],
        ]
        for index, shape in enumerate(kernels):
            self.add_module(f"conv2d{_numbered(index)}", Weighted(*shape))
        self.dense = Weighted(self.DENSE, pooled)
        self.dense_1 = Weighted(N_TAGS, self.DENSE)

    def forward(self, patches: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return tag logits ``(n, 50)`` and layers ``(n, dimension)`` of ``(n, n_frames, 96)``."""
        x = self._norm(0)(patches[:, None])[:, 0]
        timbral = torch.cat([self._over_bands(index, x) for index in (0, 1)], 1)
        temporal = torch.cat([self._over_bands(index, x) for index in (2, 3, 4)], 1)
        first = torch.cat([timbral, temporal], 1)  # (n, 561, n_frames)
        cnn1 = self._over_time(5, first)
        cnn2 = cnn1 + self._over_time(6, cnn1)
        cnn3 = cnn2 + self._over_time(7, cnn2)
        every = torch.cat([first, cnn1, cnn2, cnn3], 1)
        # The checkpoints' order: maximum and mean of the first channel, of the second, ...
        pooled = torch.stack([every.amax(2), every.mean(2)], 2).flatten(1)
        penultimate = self._norm(10)(self.dense_values(pooled).relu())
        logits = F.linear(penultimate, self.dense_1.kernel, self.dense_1.bias)
        means = {"timbral": timbral, "temporal": temporal, "cnn1": cnn1, "cnn2": cnn2, "cnn3": cnn3}
        layers = {name: value.mean(2) for name, value in means.items()}
        return logits, {**layers, "pooled": pooled, "penultimate": penultimate}

    def dense_values(self, pooled: Tensor) -> Tensor:
        """Return the dense layer before its ReLU, which Essentia calls its embeddings."""
        return F.linear(self._norm(9)(pooled), self.dense.kernel, self.dense.bias)

    def _over_bands(self, index: int, x: Tensor) -> Tensor:
        """Return the maximum over bands of a convolution, ``(n, n_filters, n_frames)``."""
        conv, norm = self._weighted(index), self._norm(index + 1)
        _, n_bands, n_frames = conv.kernel.shape
        # A convolution over time at each place on the bands: half the time of one in two
        # dimensions with a single channel. TensorFlow's "same": of an even filter's padding the
        # odd one comes after.
        places = x.unfold(2, n_bands, 1).permute(0, 2, 3, 1)
        padded = F.pad(places.flatten(0, 1), ((n_frames - 1) // 2, n_frames // 2))
        found = F.conv1d(padded, conv.kernel, conv.bias).view(*places.shape[:2], len(conv.bias), -1)
        # What follows is monotone in each channel, so that it need not see every place: the
        # maximum is that of the highest place, or of the lowest one where it is multiplied by less
        # than 0.
        best = torch.where(norm.gamma[:, None] < 0, found.amin(1), found.amax(1))
        return cast(Tensor, norm(best.relu()))

    def _over_time(self, index: int, x: Tensor) -> Tensor:
        conv = self._weighted(index)
        found = F.conv1d(x, conv.kernel, conv.bias, padding=3).relu()
        return cast(Tensor, self._norm(index + 1)(found))

    def _weighted(self, index: int) -> Weighted:
        return cast(Weighted, self.get_submodule(f"conv2d{_numbered(index)}"))

    def _norm(self, index: int) -> Normalised:
        return cast(Normalised, self.get_submodule(f"batch_normalization{_numbered(index)}"))


_FILTERS = 128
_POOLS = (((4, 1), 2), ((2, 2), 2), ((2, 2), 2), ((2, 2), 2), ((4, 4), 4))
"""Size (frames, bands) and stride of each block's maximum."""


class VGG(nn.Module):
    """The baseline of 3 x 3 filters; its input has 187 frames.

    Layers: ``pool1`` to ``pool4`` (128 each: mean over time and bands) and ``pool5`` (256: what the
    tags are read from).
    """

    layer_dimensions: Mapping[str, int] = {
        "pool1": 128,
        "pool2": 128,
        "pool3": 128,
        "pool4": 128,
        "pool5": 256,
    }

    def __init__(self) -> None:
        super().__init__()
        self.batch_normalization = Normalised(1)
        for block in range(1, len(_POOLS) + 1):
            before = 1 if block == 1 else _FILTERS
            self.add_module(f"{block}CNN", Weighted(_FILTERS, before, 3, 3))
            self.add_module(f"batch_normalization_{block}", Normalised(_FILTERS))
        self.dense = Weighted(N_TAGS, 2 * _FILTERS)

    def forward(self, patches: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return tag logits ``(n, 50)`` and layers ``(n, dimension)`` of ``(n, 187, 96)``."""
        x = self.batch_normalization(patches[:, None])
        layers = {}
        for block, (size, stride) in enumerate(_POOLS, 1):
            conv = cast(Weighted, self.get_submodule(f"{block}CNN"))
            x = F.conv2d(x, conv.kernel, conv.bias, padding=1).relu()
            x = F.max_pool2d(self.get_submodule(f"batch_normalization_{block}")(x), size, stride)
            layers[f"pool{block}"] = x.mean((2, 3))
        # The checkpoints' order: time, bands, filters.
        flat = x.permute(0, 2, 3, 1).flatten(1)
        layers[f"pool{len(_POOLS)}"] = flat
        return F.linear(flat, self.dense.kernel, self.dense.bias), layers


def _numbered(index: int) -> str:
    """Return how TensorFlow numbers layers of one kind: nothing, ``_1``, ``_2``, ..."""
    return f"_{index}" if index else ""
