"""Weights in and out: the released code's checkpoints, and safetensors files of our own.

Two formats are read, both without running any code from the file:

* **released**: what the released code saves, ``{"epoch", "state_dict", "optimizer"}`` by
  ``torch.save``, or its state dict alone as safetensors, under that code's names. Pooling and the
  SSL head follow from the names. A checkpoint trained with SSL holds a second copy of the audio
  encoder, ``audio_ssl.simclr.encoder.*``, which is ignored, and the projector, which is loaded.
* **earmark**: safetensors under this package's names with the config in the file's metadata.

Weights in half precision are widened to single precision.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from earmark.datasets.files.config_files import validated
from earmark.models.base import ModelError
from earmark.models.muscall.audio import mel_filter_bank
from earmark.models.muscall.config import RELEASED, RELEASED_SSL, MusCALLConfig
from earmark.models.muscall.model import MusCALL
from earmark.models.support.weights import check_weights, read_safetensors, read_torch, tensors_of

_METADATA_KEY = "earmark.muscall"
_BLOCK = r"text_encoder\.blocks\.(\d+)"
# Our names to the released code's: the first pattern that matches the beginning is replaced.
_RELEASED_NAMES = (
    (r"audio_encoder\.pool\.projection", "audio_backbone.final_linear"),
    (r"audio_encoder\.pool", "audio_backbone.attnpool"),
    (r"audio_encoder", "audio_backbone"),
    (rf"{_BLOCK}\.attention_norm", r"textual_head.transformer.layers.\1.0.norm"),
    (rf"{_BLOCK}\.attention\.qkv", r"textual_head.transformer.layers.\1.0.fn.to_qkv"),
    (rf"{_BLOCK}\.attention\.out", r"textual_head.transformer.layers.\1.0.fn.out_projection"),
    (rf"{_BLOCK}\.feed_forward_norm", r"textual_head.transformer.layers.\1.1.norm"),
    (rf"{_BLOCK}\.feed_forward", r"textual_head.transformer.layers.\1.1.fn.mlp"),
    (r"text_encoder\.final_norm", "textual_head.transformer.norm_out"),
    (r"text_encoder\.unused_norm", "textual_head.ln_final"),
    (r"text_encoder", "textual_head"),
    (r"projector", "audio_ssl.simclr.projector"),
)
_WINDOW = "audio_backbone.spec.spectrogram.window"
_FILTER_BANK = "audio_backbone.spec.mel_scale.fb"
_ENCODER_COPY = "audio_ssl.simclr.encoder."


def released_name(name: str) -> str:
    """Return what the released code calls an entry of our state dict.

    >>> released_name("text_encoder.blocks.3.attention.qkv.weight")
    'textual_head.transformer.layers.3.0.fn.to_qkv.weight'
    """
    for pattern, replacement in _RELEASED_NAMES:
        renamed, matches = re.subn(rf"^{pattern}(?=\.)", replacement, name)
        if matches:
            return renamed
    return name


def load(path: str | Path) -> MusCALL:
    """Return the model of a checkpoint in either format, in evaluation mode.

    Raises
    ------
    ModelError
        If the file is none (:func:`load_released`), or the config in its metadata is not
        understood.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        return load_released(path)
    state, metadata = read_safetensors(path)
    if (text := metadata.get(_METADATA_KEY)) is None:
        return _of_released(state, path, RELEASED)
    model = MusCALL(_config(text, path))
    _fill(model, state, path=path, names={name: name for name in model.state_dict()})
    return model.eval()


def load_released(path: str | Path, *, config: MusCALLConfig = RELEASED) -> MusCALL:
    """Return the model of a released checkpoint, in evaluation mode.

    ``config`` needs naming only where training differed from the released defaults, e.g. in
    ``clip_seconds`` or in the text encoder's depth.

    Raises
    ------
    ModelError
        If the file is absent, truncated, holds anything but tensors and plain containers, or
        other names, shapes, front end or values than finite weights of this config.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return _of_released(read_safetensors(path)[0], path, config)
    content = read_torch(path, mapped=True)  # an optimizer's state is three times the weights' size
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict):
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ModelError(
            f"{path}: expected a dict with epoch, state_dict and optimizer, found {found}"
        )
    return _of_released(tensors_of(state, path), path, config)


def _of_released(state: Mapping[str, Tensor], path: Path, config: MusCALLConfig) -> MusCALL:
    state = {name: value for name, value in state.items() if not name.startswith(_ENCODER_COPY)}
    average = any(name.startswith("audio_backbone.final_linear.") for name in state)
    projected = any(name.startswith("audio_ssl.simclr.projector.") for name in state)
    config = replace(
        config,
        audio=replace(config.audio, pooling="average" if average else "attention"),
        self_supervision=(config.self_supervision or RELEASED_SSL) if projected else None,
    )
    model = MusCALL(config)
    names = {name: released_name(name) for name in model.state_dict()}
    _fill(model, state, path=path, names=names, computed=_front_end(model))
    return model.eval()


def save(model: MusCALL, path: str | Path) -> None:
    """Write weights and config as one safetensors file, from which :func:`load` makes the model.

    Raises
    ------
    ModelError
        If the model is a copy made for inference, whose weights no longer have their names.
    """
    if model.folded:
        raise ModelError(
            f"a model made by for_inference() is not saved to {path}: save the model it was made of"
        )
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, path, metadata={_METADATA_KEY: json.dumps(asdict(model.config))})


def _front_end(model: MusCALL) -> dict[str, Tensor]:
    audio = model.config.audio
    return {_WINDOW: torch.hann_window(audio.n_fft), _FILTER_BANK: mel_filter_bank(audio)}


def _fill(
    model: MusCALL,
    state: Mapping[str, Tensor],
    *,
    path: Path,
    names: Mapping[str, str],
    computed: Mapping[str, Tensor] | None = None,
) -> None:
    """Load what the file calls ``names[ours]``; ``computed`` must equal what the file holds."""
    computed = computed or {}
    own = model.state_dict()
    expected = {theirs: own[ours].shape for ours, theirs in names.items()}
    expected |= {name: value.shape for name, value in computed.items()}
    check_weights(
        state,
        expected,
        path=path,
        of="this MusCALL",
        fix="Pass load_released the config of the training; positional_embedding follows from "
        "audio.clip_seconds",
    )
    for name, value in computed.items():
        if not torch.allclose(state[name].float(), value, rtol=0, atol=1e-3):
            raise ModelError(
                f"{path}: {name} is not that of the config's front end: pass load_released the "
                f"config of the training (sample_rate, f_min, f_max)"
            )
    model.load_state_dict({ours: state[theirs] for ours, theirs in names.items()})


def _config(text: str, path: Path) -> MusCALLConfig:
    try:
        values = json.loads(text)
        if lacking := [each.name for each in fields(MusCALLConfig) if each.name not in values]:
            raise ValueError(f"it lacks {', '.join(lacking)}")
        return validated(MusCALLConfig, values, of="config", error=ValueError)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: the config in its metadata is not understood ({error}); it was written by "
            f"another version of earmark"
        ) from error
