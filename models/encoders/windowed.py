"""What every generic encoder of audio shares: windows, layers, pooling, unit norm, batches, card.

Conventions
-----------
* A clip is cut into windows by a :class:`~earmark.models.support.crops.CropPolicy`. Windows of one
  length go through the network together, so that none is padded to its neighbours' length.
* A network gives each layer's frames *that hold audio*: what an input of fixed length is filled up
  with is left out before pooling.
* Pooling over the frames: ``mean``; ``mean+std`` (both, one after the other, so that a vector is
  twice as long; the standard deviation of the population); ``max``.
* A clip's vector of a layer is the mean of its windows' unit vectors, at unit norm again.
* One forward pass gives all layers; the last one is the model's own vector.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal, Protocol, get_args

import numpy as np
import torch
from torch import Tensor

from earmark.datasets.audio import Waveform
from earmark.datasets.files.names import suggest
from earmark.models.base import ClipError, Floats, ModelCard, ModelError
from earmark.models.support.adapter import RESAMPLER, check_clips, inference, unit_vectors
from earmark.models.support.crops import CropPolicy, Short, embed_crops

Pooling = Literal["mean", "mean+std", "max"]
Layers = str | Sequence[str | int]
_NO_DIRECTION = 1e-6
"""The norm of a vector up to which it has none."""
_PROBED_SECONDS = 3.0
"""Of noise, from which the layers and their sizes are learned when a model is opened."""


class Network(Protocol):
    """What gives the frames of its layers for windows of one length."""

    @property
    def shortest(self) -> int:
        """Samples of the shortest window that gives a frame."""
        ...

    def layers(self, windows: Floats) -> Mapping[str, Tensor]:
        """Return each layer's frames, in the network's order, of windows ``(n, n_samples)``.

        A layer has shape ``(n, n_frames, dimension)``, or ``(n, dimension)`` where the network has
        pooled it already.
        """
        ...


class WindowedEncoder:
    """A :class:`~earmark.models.base.LayerEmbedder` of a network.

    Parameters
    ----------
    network
        Gives the layers.
    sample_rate
        In Hz, of the clips.
    crop
        Which windows the network reads.
    pooling
        Over the frames of a window.
    layers
        ``all``, ``last``, or names; a negative number counts from the last.
    card
        Without what is decided here: rate, layers and pooling are added to its preprocessing.
    of
        What errors call the model.
    at_once
        Windows that go through the network together; no vector depends on it.
    """

    def __init__(
        self,
        network: Network,
        *,
        sample_rate: int,
        crop: CropPolicy,
        pooling: Pooling,
        layers: Layers,
        card: ModelCard,
        of: str,
        at_once: int = 8,
    ) -> None:
        if pooling not in get_args(Pooling):
            raise ModelError(
                f"{of}: pooling = {pooling!r}, expected one of {', '.join(get_args(Pooling))}"
            )
        self.network = network
        self.sample_rate: int | None = sample_rate
        self.crop = crop
        self.pooling: Pooling = pooling
        self.at_once = at_once
        self._of = of
        self._sizes: dict[str, int] = {}
        self._sizes = self._probed(sample_rate)
        chosen = chosen_layers(layers, list(self._sizes), of=of)
        self.layer_dimensions: Mapping[str, int] = {name: self._sizes[name] for name in chosen}
        self.dimension = self.layer_dimensions[chosen[-1]]
        self.card = replace(
            card,
            crop_policy=str(crop),
            preprocessing={
                "sample_rate": sample_rate,
                "resampler": RESAMPLER,
                **card.preprocessing,
                "pooling": f"{pooling} over the frames that hold audio",
                "layers": ", ".join(chosen),
            },
        )

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return unit vectors of the last of its layers, shape ``(n_clips, dimension)``.

        Raises
        ------
        ModelError
            If a clip is empty, not mono, not finite or at another rate.
        """
        last = list(self.layer_dimensions)[-1]
        return self._embed(clips, [last])[last]

    def embed_layers(self, clips: Sequence[Waveform]) -> dict[str, Floats]:
        """Return unit vectors of each layer, shape ``(n_clips, its dimension)``, in one pass.

        Raises
        ------
        ModelError
            If a clip is empty, not mono, not finite or at another rate.
        """
        return self._embed(clips, list(self.layer_dimensions))

    def _embed(self, clips: Sequence[Waveform], names: Sequence[str]) -> dict[str, Floats]:
        check_clips(clips, self.sample_rate)
        for index, clip in enumerate(clips):
            if len(clip.samples) < self.network.shortest:
                raise ClipError(
                    f"clip {index} has {len(clip.samples)} samples, {self._of} needs at least "
                    f"{self.network.shortest}"
                )
        sizes = [self._sizes[name] for name in names]

        def encode(windows: Floats) -> Floats:
            pooled = self._pooled(windows, names)
            return np.concatenate([self._units(pooled[name], name) for name in names], axis=1)

        with inference(), kept_generators():
            rows = embed_crops(clips, self.crop, encode, dimension=sum(sizes), at_once=self.at_once)
        parts = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
        return {name: self._clips(part, name) for name, part in zip(names, parts, strict=True)}

    def _units(self, rows: Floats, name: str) -> Floats:
        """Return windows' vectors at unit norm; one of zeros, as of silence, has no say."""
        norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        if not np.isfinite(norms).all():
            raise ModelError(
                f"{self._of}: layer {name!r} gives numbers that are not finite; is the number "
                f"format too small for it (dtype)?"
            )
        return np.asarray(rows / np.where(norms > _NO_DIRECTION, norms, np.inf), np.float32)

    def _clips(self, rows: Floats, name: str) -> Floats:
        for index, row in enumerate(rows):
            if np.linalg.norm(row) <= _NO_DIRECTION:
                raise ClipError(
                    f"clip {index}: layer {name!r} of {self._of} gives zeros, which have no "
                    f"direction; is it silent?"
                )
        return unit_vectors(rows, dimension=self._sizes[name], of="clip")

    def _pooled(self, windows: Floats, names: Sequence[str] | None = None) -> dict[str, Floats]:
        """Return a vector of each window by layer, ``(n, dimension)``, of any length."""
        found = self.network.layers(windows)
        pooled = {}
        for name in found if names is None else names:
            frames = found[name]
            if len(frames) != len(windows) or frames.ndim not in (2, 3) or frames.shape[1] < 1:
                raise ModelError(
                    f"{self._of}: layer {name!r} has shape {tuple(frames.shape)} for "
                    f"{len(windows)} windows, expected ({len(windows)}, dimension) or "
                    f"({len(windows)}, n_frames, dimension)"
                )
            vectors = pool(frames.float(), self.pooling)
            if self._sizes and vectors.shape[1] != self._sizes[name]:
                raise ModelError(
                    f"{self._of}: layer {name!r} gives vectors of {vectors.shape[1]} values, of "
                    f"the first windows of {self._sizes[name]}; is the time axis the second one?"
                )
            pooled[name] = vectors.cpu().numpy()
        return pooled

    def _probed(self, sample_rate: int) -> dict[str, int]:
        """Return the size of each layer's vector, from one pass over noise."""
        length = round(_PROBED_SECONDS * sample_rate)
        window = self.crop.n_samples(sample_rate)
        if window is not None:
            length = min(window, length) if self.crop.short == "left short" else window
        noise = 0.1 * np.random.default_rng(0).standard_normal((1, length))
        with inference(), kept_generators():
            found = self._pooled(noise.astype(np.float32))
        if not found:
            raise ModelError(f"{self._of} gives no layer")
        return {name: rows.shape[1] for name, rows in found.items()}


def pool(frames: Tensor, pooling: Pooling) -> Tensor:
    """Return one vector of each window, ``(n, dimension)``, of its frames ``(n, n_frames, d)``.

    What is pooled already, of shape ``(n, d)``, is left as it is.
    """
    if frames.ndim == 2:
        return frames
    if pooling == "max":
        return frames.amax(dim=1)
    mean = frames.mean(dim=1)
    if pooling == "mean":
        return mean
    return torch.cat([mean, frames.std(dim=1, unbiased=False)], dim=1)


def chosen_layers(layers: Layers, known: Sequence[str], *, of: str) -> list[str]:
    """Return the names of the layers that an option asks for, in the network's order."""
    if layers == "all":
        return list(known)
    if layers == "last":
        return [known[-1]]
    wanted = [layers] if isinstance(layers, str) else list(layers)
    names = set()
    for one in wanted:
        counted = isinstance(one, int) and not isinstance(one, bool) and one < 0
        name = known[int(one)] if counted and -int(one) <= len(known) else str(one)
        if name not in known:
            raise ModelError(f"{of}: no layer {name!r}. {suggest(name, known)}")
        names.add(name)
    if not names:
        raise ModelError(f"{of}: layers is empty; give 'all', 'last', or names of {known}")
    return [name for name in known if name in names]


def windows_of(
    window: float | str | None,
    hop: float | None,
    *,
    default: float | None,
    longest: float | None = None,
    short: Short = "left short",
    of: str,
) -> CropPolicy:
    """Return the crop policy of the options ``window`` and ``hop``.

    Parameters
    ----------
    window
        In s, or ``whole``; None: ``default``.
    hop
        From a window's start to the next one's, in s; None: the window's length.
    default
        In s; None: the whole clip.
    longest
        What the network reads at most, in s; None: any length.
    short
        What happens to shorter clips.
    """
    if isinstance(window, str) and window != "whole":
        raise ModelError(f"{of}: window = {window!r}, expected seconds, or 'whole'")
    seconds = default if window is None else window
    if seconds is None or isinstance(seconds, str):
        if hop is not None:
            raise ModelError(f"{of}: a hop needs a window in s; the whole clip is read at once")
        if longest is not None:
            raise ModelError(
                f"{of}: window = 'whole', but the network reads {longest:g} s at once: give a "
                f"window of at most that"
            )
        return CropPolicy("whole")
    if longest is not None and seconds > longest + 1e-9:
        raise ModelError(
            f"{of}: window = {seconds:g} s, but the network reads {longest:g} s at once, and what "
            f"is longer would be cut off; give at most that"
        )
    return CropPolicy("windows", float(seconds), float(hop or seconds), short)


@contextmanager
def kept_generators() -> Iterator[None]:
    """Leave the global random generators as they were.

    Encoders of transformers draw for every layer whether to skip it, in vain outside training.
    """
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
