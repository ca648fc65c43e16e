"""Any encoder of audio in transformers' format: MERT, wav2vec2, HuBERT, WavLM, Whisper, AST, ...

    [models.mert]
    loader = "transformers-audio"
    weights = "m-a-p/MERT-v1-95M"

Code that comes with weights is never run unless the user says ``trust_remote_code = true``. MERT
needs none: without its constant-Q branch, which the releases of version 1 do not use, its network
is HuBERT's, and transformers' own is taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from earmark.datasets.audio import file_digest
from earmark.datasets.base import fingerprint, first_ten
from earmark.datasets.registry import naming_file
from earmark.models.base import UNKNOWN_TRAINING, ModelCard, ModelError, Plain
from earmark.models.encoders.families import FAMILIES, HubNetwork
from earmark.models.encoders.known import KNOWN, Known
from earmark.models.encoders.windowed import (
    Layers,
    Pooling,
    WindowedEncoder,
    windows_of,
)
from earmark.models.support.adapter import pick_device, pick_dtype, require
from earmark.models.support.pretrained import (
    hub_name,
    pretrained_folder,
    quiet_loading,
    settings_digest,
    weights_digest,
)

_OF = "transformers-audio"
_SECONDS = 30.0
"""Of a window where the network reads any length: attention's memory grows with its square."""
_MUQ_RATE = 24_000
_NOT_USED = ("masked_spec_embed",)
"""Weights that some checkpoints lack and that only training reads."""


def transformers_audio(
    *,
    weights: str,
    revision: str | None = None,
    layers: Layers = "all",
    pooling: Pooling = "mean",
    window: float | str | None = None,
    hop: float | None = None,
    sample_rate: int | None = None,
    device: str = "auto",
    dtype: str = "float32",
    trust_remote_code: bool = False,
    licence: str | None = None,
    training_datasets: Sequence[str] | None = None,
) -> WindowedEncoder:
    """Return an encoder with its layers.

    Parameters
    ----------
    weights
        A folder, or a name of the hub such as ``m-a-p/MERT-v1-95M``.
    revision
        Commit, tag or branch on the hub.
    layers
        ``all``, ``last``, or numbers: 0 is what goes into the first layer, -1 the last one. The
        last of them is the model's own vector.
    pooling
        ``mean``, ``mean+std`` or ``max`` over the frames that hold audio.
    window, hop
        In s; ``window = "whole"`` reads a clip at once. By default 30 s, or what the network's
        input holds, without overlap.
    sample_rate
        In Hz, where the weights come without a feature extractor: the waveform goes in as it is.
    device
        ``cpu``, ``cuda``, ``mps`` or ``auto``.
    dtype
        ``float32``, ``float16`` or ``bfloat16``.
    trust_remote_code
        Runs the Python code that comes with the weights.
    licence, training_datasets
        For the card, where Earmark does not know them.

    Raises
    ------
    ModelError
        If the weights are not found, are damaged, need code that is not trusted, or are no
        encoder of audio.
    """
    if trust_remote_code and (file := naming_file()):
        raise ModelError(
            f"{_OF}: {file} asks for trust_remote_code; only the user may, in a suite or on the "
            f"command line"
        )
    folder = pretrained_folder(
        weights, revision=revision, extra="transformers", of=_OF, code=trust_remote_code
    )
    config = _config(folder)
    kind = _kind(config)
    if kind == "muq" and dtype != "float32":
        raise ModelError(f"{_OF}: MuQ gives NaN in {dtype}; its authors ask for float32")
    number_format, chosen = pick_dtype(dtype, of=_OF), pick_device(device)
    model = _model(folder, config, kind, trust=trust_remote_code)
    extractor = _extractor(folder, sample_rate, kind, trust=trust_remote_code)
    rate = int(extractor.sampling_rate) if extractor is not None else (sample_rate or _MUQ_RATE)
    network = FAMILIES.get(kind, HubNetwork)(
        model, extractor, sample_rate=rate, device=chosen, dtype=number_format
    )
    crop = windows_of(
        window, hop, default=network.longest or _SECONDS, longest=network.longest, of=_OF
    )
    network.check_reads_all(crop.seconds, of=f"{_OF}: {weights}")
    name = hub_name(weights)
    return WindowedEncoder(
        network,
        sample_rate=rate,
        crop=crop,
        pooling=pooling,
        layers=layers,
        of=f"{_OF}: {name}",
        card=_card(
            folder,
            name,
            network,
            precision=dtype,
            code=trust_remote_code,
            licence=licence,
            training_datasets=training_datasets,
        ),
    )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{_OF}: {path} cannot be read ({error}); expected a folder as transformers' "
            f"save_pretrained writes it"
        ) from error
    if not isinstance(found, dict):
        raise ModelError(f"{_OF}: {path} holds no table of settings")
    return found


def _kind(config: Mapping[str, Any]) -> str:
    """Return the ``model_type``; MuQ's configuration has none, but sizes that no other has."""
    if "model_type" not in config and {"encoder_depth", "label_rate"} <= set(config):
        return "muq"
    return str(config.get("model_type", ""))


def _model(folder: Path, config: dict[str, Any], kind: str, *, trust: bool) -> Any:
    if kind == "muq":
        muq = require("muq", extra="muq", of=f"{_OF}: MuQ")
        with _explained(folder), quiet_loading():
            return muq.MuQ.from_pretrained(str(folder)).float()
    library = require("transformers", extra="transformers", of=_OF)
    options: dict[str, Any] = {"trust_remote_code": trust}
    loader = library.AutoModel
    if kind == "mert_model" and not trust:
        options = {"config": _hubert(config, library, folder)}
        loader = library.HubertModel
    elif "auto_map" in config and not trust and kind not in library.CONFIG_MAPPING:
        raise ModelError(
            f"{_OF}: {folder.name} needs the Python code that comes with it, which is not run "
            f"unless you say so: read it, then set trust_remote_code = true"
        )
    with _explained(folder), quiet_loading():
        model, info = loader.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, **options
        )
    missing = [one for one in info["missing_keys"] if not one.endswith(_NOT_USED)]
    wrong = {"missing": missing, "of another shape": info["mismatched_keys"]}
    if any(wrong.values()):
        said = "; ".join(
            f"{what}: {first_ten(sorted(map(str, names)))}"
            for what, names in wrong.items()
            if names
        )
        raise ModelError(f"{_OF}: {folder} does not hold the weights of its config.json: {said}")
    return model.float()


def _hubert(config: Mapping[str, Any], library: Any, folder: Path) -> Any:
    """Return HuBERT's configuration of a MERT whose network is HuBERT's."""
    extras = {
        "feature_extractor_cqt": bool(config.get("feature_extractor_cqt", False)),
        "deepnorm": bool(config.get("deepnorm", False)),
        "attention_relax": float(config.get("attention_relax", -1)) > 0,
    }
    if used := [name for name, on in extras.items() if on]:
        raise ModelError(
            f"{_OF}: {folder.name} is a MERT with {', '.join(used)}, which transformers' HuBERT "
            f"lacks; read the Python code that comes with it, then set trust_remote_code = true"
        )
    left_out = {"model_type", "auto_map", "architectures", *extras, "torch_dtype", "dtype"}
    return library.HubertConfig(**{k: v for k, v in config.items() if k not in left_out})


def _extractor(folder: Path, sample_rate: int | None, kind: str, *, trust: bool) -> Any | None:
    if kind == "muq":
        return None
    library = require("transformers", extra="transformers", of=_OF)
    held = [folder / name for name in ("preprocessor_config.json", "processor_config.json")]
    if not any(path.is_file() for path in held):
        if sample_rate is None:
            raise ModelError(
                f"{_OF}: {folder} has no preprocessor_config.json, so that how audio goes in is "
                f"not known; give sample_rate, in Hz, if it takes the waveform as it is"
            )
        return None
    with _explained(folder), quiet_loading():
        extractor = library.AutoFeatureExtractor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=trust
        )
    rate = getattr(extractor, "sampling_rate", None)
    if not isinstance(rate, int):
        raise ModelError(
            f"{_OF}: {folder.name} has the feature extractor {type(extractor).__name__}, which "
            f"states no sampling rate: it is not for audio"
        )
    if sample_rate not in (None, rate):
        raise ModelError(f"{_OF}: sample_rate = {sample_rate}, but {folder.name} reads {rate} Hz")
    return extractor


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Name the folder in what the libraries raise about it."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # what damaged folders raise is the libraries' affair
        raise ModelError(
            f"{_OF}: {folder} cannot be loaded: {type(error).__name__}: {str(error)[:300]}"
        ) from error


def _card(
    folder: Path,
    name: str,
    network: HubNetwork,
    *,
    precision: str,
    code: bool,
    licence: str | None,
    training_datasets: Sequence[str] | None,
) -> ModelCard:
    known = KNOWN.get(name, Known("see the model's page", f"see the model's page: {name}"))
    trained_on = tuple(training_datasets) if training_datasets else known.training_datasets
    extractor = network.extractor
    preprocessing: dict[str, Plain] = {
        "network": type(network.model).__name__,
        "features": type(extractor).__name__ if extractor is not None else "waveform as it is",
        "longest_input_s": network.longest or "any",
        "settings_sha256": settings_digest(folder),
        "precision": precision,
    }
    if code:
        files = sorted(folder.rglob("*.py"))
        preprocessing["code_sha256"] = fingerprint(
            [f"{path.relative_to(folder).as_posix()} {file_digest(path)}" for path in files]
        )
    notes = [known.note] if known.note else []
    if not trained_on and not notes:
        notes = [UNKNOWN_TRAINING]
    return ModelCard(
        id=name.rpartition("/")[2],
        version="1",
        weights_digest=weights_digest(folder),
        licence=licence or known.licence,
        citation=known.citation,
        training_datasets=trained_on,
        crop_policy="",
        preprocessing=preprocessing,
        notes=tuple(notes),
    )
