"""Any Python callable as an encoder, or as an arousal/valence model.

    [models.mine]
    loader = "function"
    function = "path/to/embed.py:embed"
    sample_rate = 16000

with ``def embed(samples, sample_rate)``, which gets the mono float32 samples of a window, shape
``(n_samples,)``, in [-1, 1], and returns a vector ``(dimension,)``, frames ``(n_frames,
dimension)``, or several layers: a dict of names to either, or a list of either. A function of
batches gets ``(n_windows, n_samples)`` and returns the same with one more axis in front.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earmark.datasets.audio import Waveform, file_digest
from earmark.datasets.base import fingerprint
from earmark.datasets.registry import Registry, check_options
from earmark.models.base import (
    AROUSAL_VALENCE,
    UNKNOWN_TRAINING,
    Floats,
    ModelCard,
    ModelError,
    Plain,
    naming,
)
from earmark.models.encoders.windowed import Layers, Pooling, WindowedEncoder, windows_of
from earmark.models.support.adapter import RESAMPLER, check_clips
from earmark.models.support.crops import CropPolicy, embed_crops

FUNCTIONS = Registry("function", "earmark.functions", {})
"""None of its own: a function is named ``path/to/file.py:name`` or ``module:name``."""


class CalledNetwork:
    """Makes layers of what a function returns.

    Parameters
    ----------
    call
        The function, of samples, a rate and options.
    options
        Its keyword arguments.
    name
        What errors call it.
    sample_rate
        In Hz.
    batched
        Whether it takes ``(n_windows, n_samples)``; else one window after the other.
    """

    shortest = 1

    def __init__(
        self,
        call: Callable[..., Any],
        *,
        options: Mapping[str, Any],
        name: str,
        sample_rate: int,
        batched: bool,
    ) -> None:
        self.call = call
        self.options = options
        self.name = name
        self.sample_rate = sample_rate
        self.batched = batched

    def layers(self, windows: Floats) -> dict[str, Tensor]:
        """Return what the function gives, by layer, with an axis of windows in front."""
        if self.batched:
            return self._checked(self._ask(windows.copy()), axes=(2, 3), n=len(windows))
        each = [self._checked(self._ask(one.copy()), axes=(1, 2), n=None) for one in windows]
        if any(list(one) != list(each[0]) for one in each):
            raise ModelError(f"{self.name} gives other layers for one window than for another")
        stacked = {}
        for layer in each[0]:
            shapes = {tuple(one[layer].shape) for one in each}
            if len(shapes) > 1:
                raise ModelError(
                    f"{self.name} gives layer {layer!r} of shapes {sorted(shapes)} for windows of "
                    f"one length, expected one shape"
                )
            stacked[layer] = torch.stack([one[layer] for one in each])
        return stacked

    def _ask(self, samples: Floats) -> Any:
        with naming(f"function {self.name}"):
            return self.call(samples, self.sample_rate, **self.options)

    def _checked(self, found: Any, *, axes: tuple[int, int], n: int | None) -> dict[str, Tensor]:
        if isinstance(found, Mapping):
            parts = {str(name): value for name, value in found.items()}
        elif isinstance(found, list | tuple) and not _are_numbers(found):
            parts = {str(place): value for place, value in enumerate(found)}
        else:
            parts = {"0": found}
        return {layer: self._layer(layer, value, axes, n) for layer, value in parts.items()}

    def _layer(self, layer: str, value: Any, axes: tuple[int, int], n: int | None) -> Tensor:
        windows = "" if n is None else f"{n}, "
        expected = f"({windows}dimension) or ({windows}n_frames, dimension)"
        if isinstance(value, Tensor):
            value = value.detach().cpu().float().numpy()
        try:
            array = np.asarray(value, np.float32)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"{self.name} gives {type(value).__name__} for layer {layer!r}, expected numbers "
                f"of shape {expected}"
            ) from error
        if array.ndim not in axes or 0 in array.shape or (n is not None and len(array) != n):
            raise ModelError(
                f"{self.name} gives shape {array.shape} for layer {layer!r}, expected {expected}"
            )
        if not np.isfinite(array).all():
            raise ModelError(f"{self.name} gives numbers that are not finite in layer {layer!r}")
        return torch.from_numpy(np.ascontiguousarray(array))


def _are_numbers(found: Sequence[Any]) -> bool:
    return all(isinstance(one, int | float | np.number) for one in found)


class CalledAV:
    """An :class:`~earmark.models.base.ArousalValenceModel` of a function; windows are averaged."""

    def __init__(
        self,
        network: CalledNetwork,
        *,
        sample_rate: int,
        crop: CropPolicy,
        card: ModelCard,
        dimensions: Sequence[str] = AROUSAL_VALENCE,
    ) -> None:
        self.network = network
        self.dimensions = tuple(dimensions)
        self.sample_rate: int | None = sample_rate
        self.crop = crop
        self.card = card

    def predict_av(self, clips: Sequence[Waveform]) -> Floats:
        """Return arousal, valence of each clip, shape ``(n_clips, 2)``, or its own dimensions.

        Raises
        ------
        ModelError
            If a clip is empty, not mono, not finite or at another rate, or the function gives
            other than one number per dimension.
        """
        check_clips(clips, self.sample_rate)
        return embed_crops(
            clips, self.crop, self._values, dimension=len(self.dimensions), at_once=8
        )

    def _values(self, windows: Floats) -> Floats:
        found = self.network.layers(windows)
        rows = next(iter(found.values())).numpy()
        if len(found) != 1 or rows.shape != (len(windows), len(self.dimensions)):
            count = "two numbers" if len(self.dimensions) == 2 else f"{len(self.dimensions)}"
            raise ModelError(
                f"{self.network.name} gives {len(found)} outputs, the first of shape "
                f"{rows.shape[1:]} a window; expected {count}: {', '.join(self.dimensions)}"
            )
        return rows


def function(
    *,
    function: str,
    sample_rate: int,
    output: str = "embedding",
    options: Mapping[str, Any] | None = None,
    batched: bool = False,
    layers: Layers = "all",
    pooling: Pooling = "mean",
    window: float | str | None = None,
    hop: float | None = None,
    av_scale: Sequence[float] | None = None,
    dimensions: Sequence[str] | None = None,
    name: str | None = None,
    licence: str | None = None,
    citation: str | None = None,
    training_datasets: Sequence[str] | None = None,
) -> WindowedEncoder | CalledAV:
    """Return a model that asks a function.

    Parameters
    ----------
    function
        ``path/to/file.py:name`` or ``module:name``, called as ``name(samples, sample_rate)``. A
        class is made once, with the options, and then called like this.
    sample_rate
        In Hz, at which it gets its samples.
    output
        ``embedding``, or ``av``: two numbers, arousal and valence (or those of ``dimensions``).
    options
        Further keyword arguments of the function. The digest of a value that is a file, e.g. of
        weights, counts as the weights' digest.
    batched
        Whether it takes windows of one length together, ``(n_windows, n_samples)``.
    layers, pooling
        As of every encoder (:mod:`earmark.models.encoders.windowed`).
    window, hop
        In s; by default the whole clip.
    av_scale
        Ends of the scale of arousal and valence, e.g. ``[1, 9]``.
    dimensions
        What the numbers of ``output = "av"`` are, if not arousal and valence: those that pairs are
        judged by, e.g. ``["preference"]``.
    name
        Of the model; by default that of the function.
    licence, citation, training_datasets
        For the card.

    Raises
    ------
    ModelError
        If the function cannot be found, or gives something else than was promised.
    """
    if output not in ("embedding", "av"):
        raise ModelError(f"function: output = {output!r}, expected 'embedding' or 'av'")
    if dimensions is not None and output != "av":
        raise ModelError("function: dimensions are of output = 'av', and go with no embedding")
    if ":" not in function:
        raise ModelError(f"function: {function!r}, expected path/to/file.py:name, or module:name")
    given = dict(options or {})
    called = FUNCTIONS.factory(function)
    made_first = inspect.isclass(called)
    own = [] if made_first else list(inspect.signature(called).parameters)[:2]
    check_options(called, given, of=f"function {function!r}", own=own)
    crop = windows_of(window, hop, default=None, short="left short", of="function")
    network = CalledNetwork(
        called(**given) if made_first else called,
        options={} if made_first else given,
        name=function,
        sample_rate=sample_rate,
        batched=batched,
    )
    where, _, attribute = function.rpartition(":")
    card = ModelCard(
        id=name or attribute,
        version="1",
        weights_digest=_digest(called, given),
        licence=licence or "not stated",
        citation=citation or "unpublished",
        training_datasets=tuple(training_datasets or ()),
        crop_policy=str(crop),
        preprocessing={
            "function": f"{Path(where).name}:{attribute}",
            "batched": batched,
            **{f"option {key}": _plain(value) for key, value in given.items()},
        },
        notes=() if training_datasets else (UNKNOWN_TRAINING,),
        av_scale=(float(av_scale[0]), float(av_scale[1])) if av_scale else None,
    )
    if output == "av":
        rate: dict[str, Plain] = {"sample_rate": sample_rate, "resampler": RESAMPLER}
        named = tuple(dimensions or AROUSAL_VALENCE)
        if named != AROUSAL_VALENCE:
            rate["dimensions"] = ", ".join(named)
        card = replace(card, preprocessing=rate | dict(card.preprocessing))
        return CalledAV(network, sample_rate=sample_rate, crop=crop, card=card, dimensions=named)
    return WindowedEncoder(
        network,
        sample_rate=sample_rate,
        crop=crop,
        pooling=pooling,
        layers=layers,
        card=card,
        of=f"function {function}",
    )


def _digest(called: Callable[..., Any], options: Mapping[str, Any]) -> str:
    """Return one sha256 of the code's file and of the options' values that are files."""
    source = inspect.getsourcefile(called)
    parts = [f"code {file_digest(Path(source))}"] if source else []
    for key, value in options.items():
        if isinstance(value, str) and Path(value).expanduser().is_file():
            parts.append(f"{key} {file_digest(Path(value).expanduser())}")
    return fingerprint(parts)


def _plain(value: Any) -> Plain:
    """Return an option for the card; of a file its name, since its digest counts already."""
    if isinstance(value, str) and Path(value).expanduser().is_file():
        return Path(value).name
    return value if isinstance(value, str | int | float | bool) else repr(value)
