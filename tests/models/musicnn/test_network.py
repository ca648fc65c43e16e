"""Networks read from checkpoints, against the architecture computed step by step in its own order.

The reference keeps TensorFlow's order of dimensions (n, time, bands, channels) and its variables,
and does each step where the description has it.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from earmark.models.musicnn.adapter import musicnn


class Reference:
    def __init__(self, variables):
        self.variables = {name: torch.from_numpy(value) for name, value in variables.items()}

    def norm(self, x, name):
        v = {n: self.variables[f"{name}/{n}"] for n in ("gamma", "beta")}
        mean, variance = (self.variables[f"{name}/moving_{n}"] for n in ("mean", "variance"))
        return v["gamma"] * (x - mean) / torch.sqrt(variance + 0.001) + v["beta"]

    def conv(self, x, name, *, pad=(0, 0, 0, 0)):
        """Of (n, time, bands, channels), padded by (before, after) in time and in bands."""
        kernel = self.variables[f"{name}/kernel"].permute(3, 2, 0, 1)
        x = F.pad(x.permute(0, 3, 1, 2), (*pad[2:], *pad[:2]))
        return F.conv2d(x, kernel, self.variables[f"{name}/bias"]).relu().permute(0, 2, 3, 1)

    def dense(self, x, name):
        return x @ self.variables[f"{name}/kernel"] + self.variables[f"{name}/bias"]

    def musicnn(self, patches):
        x = self.norm(patches[..., None], "batch_normalization")
        pads = {"conv2d": (3, 3), "conv2d_1": (3, 3)}
        pads |= {"conv2d_2": (63, 64), "conv2d_3": (31, 32), "conv2d_4": (15, 16)}
        maps = []
        for index, (name, pad) in enumerate(pads.items(), 1):
            found = self.norm(self.conv(x, name, pad=(*pad, 0, 0)), f"batch_normalization_{index}")
            maps.append(found.amax(2))  # (n, time, channels)
        first = torch.cat(maps, 2)

        def middle(x, name, norm):
            found = self.conv(x[..., None], name, pad=(3, 3, 0, 0))  # (n, time, 1, channels)
            return self.norm(found, norm)[:, :, 0]

        cnn1 = middle(first, "conv2d_5", "batch_normalization_6")
        cnn2 = cnn1 + middle(cnn1, "conv2d_6", "batch_normalization_7")
        cnn3 = cnn2 + middle(cnn2, "conv2d_7", "batch_normalization_8")
        every = torch.cat([first, cnn1, cnn2, cnn3], 2)[..., None]
        pooled = torch.cat([every.amax(1), every.mean(1)], 2).flatten(1)
        dense = self.dense(self.norm(pooled, "batch_normalization_9"), "dense").relu()
        penultimate = self.norm(dense, "batch_normalization_10")
        layers = {
            "timbral": torch.cat(maps[:2], 2).mean(1),
            "temporal": torch.cat(maps[2:], 2).mean(1),
        }
        layers |= {"cnn1": cnn1.mean(1), "cnn2": cnn2.mean(1), "cnn3": cnn3.mean(1)}
        return self.dense(penultimate, "dense_1"), layers | {
            "pooled": pooled,
            "penultimate": penultimate,
        }

    def vgg(self, patches):
        x = self.norm(patches[..., None], "batch_normalization")
        layers = {}
        for index in range(1, 6):
            x = self.conv(x, f"{index}CNN", pad=(1, 1, 1, 1))
            x = self.norm(x, f"batch_normalization_{index}").permute(0, 3, 1, 2)
            size, stride = {1: ((4, 1), 2), 5: (4, 4)}.get(index, (2, 2))
            x = F.max_pool2d(x, size, stride).permute(0, 2, 3, 1)
            layers[f"pool{index}"] = x.flatten(1) if index == 5 else x.mean((1, 2))
        return self.dense(x.flatten(1), "dense"), layers


def test_is_the_architecture_of_the_checkpoints(untrained):
    network = musicnn(weights=str(untrained.path), device="cpu").network
    random = np.random.default_rng(1)
    patches = torch.from_numpy(random.uniform(0, 4, (3, 187, 96)).astype(np.float32))
    reference = Reference(untrained.variables)
    with torch.inference_mode():
        logits, layers = network(patches)
        expected, expected_layers = getattr(reference, untrained.name.split("_")[1])(patches)
    assert {name: tuple(rows.shape) for name, rows in layers.items()} == {
        name: (3, size) for name, size in network.layer_dimensions.items()
    }
    assert list(layers) == list(expected_layers) == list(network.layer_dimensions)
    for name, rows in (*layers.items(), ("logits", logits)):
        wanted = expected if name == "logits" else expected_layers[name]
        torch.testing.assert_close(rows, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
