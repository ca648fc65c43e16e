"""How networks of transformers are fed, and which of their frames hold audio.

Most take a waveform or what their feature extractor makes of it, and give hidden states
``(n, n_frames, dimension)``: :class:`HubNetwork`. A few differ: Whisper has a decoder that is not
asked, CLAP's tower gives maps, AST's patches lie on two axes, MuQ takes the waveform as it is.

Layer 0 is what goes into the first layer; the last layer is what the network gives in the end,
after its final normalisation where it has one.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earmark.models.base import Floats, ModelError
from earmark.models.support.pretrained import muq_explained

_TRIED_SECONDS = 60.0
"""On which an extractor must show that it cuts nothing off, where the whole clip is one window."""


class HubNetwork:
    """A network that takes waveforms, or what its feature extractor makes of them.

    Parameters
    ----------
    model
        Of transformers, or with its interface.
    extractor
        Its feature extractor; None: the waveform goes in as it is.
    sample_rate
        In Hz.
    """

    longest: float | None = None
    """What it reads at once, in s; None: any length."""

    def __init__(
        self,
        model: Any,
        extractor: Any | None,
        *,
        sample_rate: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.model = model.eval().to(device=device, dtype=dtype)
        self.extractor = extractor
        self.sample_rate = sample_rate
        self.device = device
        self.dtype = dtype
        self._accepted = set(inspect.signature(self._forward()).parameters)

    @property
    def shortest(self) -> int:
        """Samples of the shortest window: what the first frame of stacked convolutions spans."""
        config = getattr(self.model, "config", None)
        kernels, strides = (getattr(config, f"conv_{name}", None) for name in ("kernel", "stride"))
        span = 1
        if isinstance(kernels, Sequence) and isinstance(strides, Sequence):
            for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
                span = (span - 1) * int(stride) + int(kernel)
        return span

    def layers(self, windows: Floats) -> dict[str, Tensor]:
        """Return the hidden states of the frames that hold audio, by layer."""
        inputs = self._inputs(windows)
        found = self._run(inputs)
        states = self._states(found)
        return {
            str(index): self._holding_audio(state, inputs, windows.shape[1])
            for index, state in enumerate(states)
        }

    def check_reads_all(self, seconds: float | None, *, of: str) -> None:
        """Refuse a window of which the feature extractor leaves out the end."""
        if self.extractor is None:
            return
        n_samples = round((seconds or self.longest or _TRIED_SECONDS) * self.sample_rate)
        noise = np.random.default_rng(0).standard_normal((2, n_samples)).astype(np.float32)
        noise[1] = noise[0]
        noise[1, -max(1, n_samples // 10) :] *= -0.5
        one, other = (self._inputs(noise[i : i + 1])[self._main] for i in (0, 1))
        if one.shape == other.shape and torch.equal(one, other):
            raise ModelError(
                f"{of}: its feature extractor cuts windows of {n_samples / self.sample_rate:g} s "
                f"shorter; give a smaller window, in s"
            )

    @property
    def _main(self) -> str:
        """The name of the input that holds the audio."""
        names = getattr(self.extractor, "model_input_names", None) or ["input_values"]
        return str(names[0])

    def _forward(self) -> Any:
        return self.model.forward

    def _inputs(self, windows: Floats) -> dict[str, Tensor]:
        if self.extractor is None:
            found: Mapping[str, Any] = {self._main: torch.from_numpy(windows)}
        else:
            found = self.extractor(
                list(windows), sampling_rate=self.sample_rate, return_tensors="pt"
            )
        inputs = {}
        for name, value in found.items():
            tensor = torch.as_tensor(value).to(self.device)
            if name == "attention_mask" and bool(tensor.all()):
                continue  # nothing is filled up
            inputs[name] = tensor.to(self.dtype) if tensor.is_floating_point() else tensor
        return inputs

    def _run(self, inputs: Mapping[str, Tensor]) -> Any:
        takes_all = any(name in self._accepted for name in ("kwargs", "args"))
        given = {name: t for name, t in inputs.items() if takes_all or name in self._accepted}
        return self.model(**given, output_hidden_states=True)

    def _states(self, found: Any) -> list[Tensor]:
        hidden = getattr(found, "hidden_states", None)
        last = getattr(found, "last_hidden_state", None)
        states = list(hidden) if isinstance(hidden, tuple | list) else []
        if isinstance(hidden, Tensor):
            states = [hidden]
        if isinstance(last, Tensor):
            same = (
                states and states[-1].ndim == last.ndim and states[-1].shape[-1] == last.shape[-1]
            )
            states = [*states[:-1], last] if same else [*states, last]
        if not states:
            raise ModelError(
                f"{type(self.model).__name__} gives neither hidden_states nor last_hidden_state, "
                f"but {', '.join(getattr(found, 'keys', list)()) or type(found).__name__}; wrap it "
                f"by the loader 'function'"
            )
        return states

    def _holding_audio(self, state: Tensor, inputs: Mapping[str, Tensor], n_samples: int) -> Tensor:
        mask = inputs.get("attention_mask")
        if mask is not None:
            share = float(mask[0].sum()) / mask.shape[1]
        elif self.longest is not None:
            share = n_samples / round(self.longest * self.sample_rate)
        else:
            share = 1.0
        return state[:, : max(1, math.ceil(min(1.0, share) * state.shape[1] - 1e-6))]


class WhisperEncoder(HubNetwork):
    """Whisper without its decoder; audio is filled up with silence to 30 s."""

    def __init__(self, model: Any, extractor: Any, **options: Any) -> None:
        super().__init__(model.get_encoder(), extractor, **options)
        self.longest = float(extractor.chunk_length)


class CLAPAudio(HubNetwork):
    """The audio tower of CLAP, before its projection; each place of its maps is a frame.

    The extractor crops what is longer at random, and marks a clip of each batch, drawn by lot, as
    "longer"; no window here is.
    """

    def __init__(self, model: Any, extractor: Any, **options: Any) -> None:
        super().__init__(model.audio_model, extractor, **options)
        self.longest = float(extractor.max_length_s)

    def _inputs(self, windows: Floats) -> dict[str, Tensor]:
        inputs = super()._inputs(windows)
        return inputs | {
            "is_longer": torch.zeros(len(windows), 1, dtype=torch.bool).to(self.device)
        }

    def _states(self, found: Any) -> list[Tensor]:
        maps = [*found.hidden_states[:-1], found.last_hidden_state]
        return [one.flatten(2).transpose(1, 2) for one in maps]

    def _holding_audio(self, state: Tensor, inputs: Mapping[str, Tensor], n_samples: int) -> Tensor:
        return state  # shorter windows are repeated


class ASTEncoder(HubNetwork):
    """The audio spectrogram transformer; frames are its patches, without its two class tokens."""

    _fbank_window, _fbank_hop = 0.025, 0.010  # s, of Kaldi's filter banks

    def __init__(self, model: Any, extractor: Any, **options: Any) -> None:
        super().__init__(model, extractor, **options)
        self.longest = extractor.max_length * self._fbank_hop
        config = model.config
        self._patch, self._stride = int(config.patch_size), int(config.time_stride)
        self._n_times = (int(config.max_length) - self._patch) // self._stride + 1

    @property
    def shortest(self) -> int:
        """Samples of one window of the filter bank."""
        return round(self._fbank_window * self.sample_rate)

    def _holding_audio(self, state: Tensor, inputs: Mapping[str, Tensor], n_samples: int) -> Tensor:
        hop = round(self._fbank_hop * self.sample_rate)
        n_frames = 1 + (n_samples - self.shortest) // hop
        n_valid = min(self._n_times, max(1, (n_frames - self._patch) // self._stride + 1))
        patches = state[:, 2:]  # band by band, in each one all times
        by_time = patches.reshape(len(patches), -1, self._n_times, patches.shape[2])
        return by_time[:, :, :n_valid].flatten(1, 2)


class MuQNetwork(HubNetwork):
    """MuQ, of the package ``muq``: the waveform goes in as it is."""

    def _run(self, inputs: Mapping[str, Tensor]) -> Any:
        with muq_explained():
            return self.model(inputs[self._main], output_hidden_states=True)


FAMILIES: Mapping[str, type[HubNetwork]] = {
    "whisper": WhisperEncoder,
    "clap": CLAPAudio,
    "audio-spectrogram-transformer": ASTEncoder,
    "muq": MuQNetwork,
}
"""By ``model_type``; any other one is a :class:`HubNetwork`."""
