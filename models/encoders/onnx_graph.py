"""Any ONNX graph with a waveform or a mel spectrogram as its input, by onnxruntime.

    [models.mine]
    loader = "onnx"
    weights = "path/to/encoder.onnx"
    sample_rate = 16000

A graph with a mel spectrogram as its input says which one::

    mel = {n_fft = 1024, hop = 320, bands = 64, log = "db"}

and one that predicts arousal and valence where they are among its outputs::

    arousal = "out[2]"
    valence = "out[6]"
    av_scale = [0, 1]

Sizes that the graph fixes are kept: a fixed number of samples or frames is the window's length, a
fixed batch of one is fed one window after the other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earmark.datasets.audio import Waveform, file_digest
from earmark.datasets.base import fingerprint
from earmark.datasets.files.names import suggest
from earmark.models.base import UNKNOWN_TRAINING, Floats, ModelCard, ModelError
from earmark.models.encoders.mel import MelFrontEnd, mel_front_end
from earmark.models.encoders.windowed import Layers, Pooling, WindowedEncoder, pool, windows_of
from earmark.models.support.adapter import RESAMPLER, check_clips, require
from earmark.models.support.crops import CropPolicy, embed_crops

_OF = "onnx"
_PLACE = re.compile(r"(?P<name>.+?)(?:\[(?P<column>\d+)\])?")
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_AT_ONCE = 8


class GraphNetwork:
    """A graph, fed with waveforms or with mel spectrograms; a layer is one of its outputs.

    Parameters
    ----------
    session
        Of onnxruntime.
    mel
        The front end; None: the waveform goes in.
    transposed
        Whether outputs of three axes are ``(n, dimension, n_frames)``.
    n_parameters
        Of the graph, for the report's inference cost.
    """

    def __init__(
        self, session: Any, *, mel: MelFrontEnd | None, transposed: bool, n_parameters: int
    ) -> None:
        self.session = session
        self.mel = mel
        self.transposed = transposed
        self.n_parameters = n_parameters
        inputs = session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(one.name for one in inputs)
            raise ModelError(f"{_OF}: the graph has {len(inputs)} inputs ({names}), expected one")
        self.input = inputs[0]
        if self.input.type not in _TYPES:
            raise ModelError(
                f"{_OF}: the graph's input {self.input.name!r} is {self.input.type}, expected "
                f"numbers of a floating point type"
            )
        self.dtype = np.dtype(_TYPES[self.input.type])
        self._sizes = [one if isinstance(one, int) else None for one in self.input.shape]
        axes = (3, 4) if mel else (1, 2, 3)
        channel = self._sizes[1] if len(self._sizes) == (4 if mel else 3) else 1
        if len(self._sizes) not in axes or channel not in (1, None):
            what = "a mel spectrogram: (n, bands, frames)" if mel else "a waveform: (n, n_samples)"
            hint = "" if mel else "; a graph of a mel spectrogram needs the option mel"
            raise ModelError(
                f"{_OF}: the graph's input {self.input.name!r} has shape {self.input.shape}, "
                f"expected {what}, with or without an axis of one channel{hint}"
            )
        self._bands_first = self._find_bands() if mel else True
        self.shortest = mel.shortest if mel else 1

    @property
    def fixed_samples(self) -> int | None:
        """Samples of the only window that the graph takes; None: of any length."""
        if self.mel is None:
            return self._sizes[-1]
        frames = self._sizes[-1] if self._bands_first else self._sizes[-2]
        return None if frames is None else self.mel.samples_of(frames)

    def outputs(self, windows: Floats) -> dict[str, Tensor]:
        """Return what the graph gives for windows ``(n, n_samples)``, by the outputs' names."""
        names = [one.name for one in self.session.get_outputs()]
        alone = len(self._sizes) == 1 or self._sizes[0] == 1
        batches = [windows[i : i + 1] for i in range(len(windows))] if alone else [windows]
        found = [self._run(batch, names) for batch in batches]
        return {
            name: torch.from_numpy(
                np.concatenate([np.asarray(one[i], np.float32) for one in found])
            )
            for i, name in enumerate(names)
        }

    def layers(self, windows: Floats) -> dict[str, Tensor]:
        """Return the outputs as frames ``(n, n_frames, dimension)``, or as vectors."""
        return {name: self._framed(name, one) for name, one in self.outputs(windows).items()}

    def _framed(self, name: str, found: Tensor) -> Tensor:
        if found.ndim == 4:  # maps (n, channels, height, width): each place is a frame
            return found.flatten(2).transpose(1, 2)
        if found.ndim == 3 and self.transposed:
            return found.transpose(1, 2)
        if found.ndim in (2, 3):
            return found
        raise ModelError(
            f"{_OF}: the graph's output {name!r} has shape {tuple(found.shape)}, expected (n, "
            f"dimension), (n, n_frames, dimension) or (n, channels, height, width)"
        )

    def _run(self, windows: Floats, names: list[str]) -> list[Any]:
        given = windows if self.mel is None else self.mel(windows)
        if self.mel is not None and not self._bands_first:
            given = given.swapaxes(1, 2)
        if len(self._sizes) == given.ndim + 1:
            given = given[:, np.newaxis]
        if len(self._sizes) == 1:
            given = given[0]
        try:
            found = self.session.run(names, {self.input.name: given.astype(self.dtype)})
        except Exception as error:  # of the runtime's own classes
            raise ModelError(
                f"{_OF}: the graph does not take an input of shape {given.shape}: "
                f"{str(error)[:300]}; it declares {self.input.shape}"
            ) from error
        if len(self._sizes) == 1:
            return [np.asarray(one)[np.newaxis] for one in found]
        return list(found)

    def _find_bands(self) -> bool:
        """Return whether the bands come before the frames."""
        assert self.mel is not None
        first, second = self._sizes[-2:]
        bands = self.mel.bands
        if first == bands or (first is None and second != bands):
            return True
        if second == bands:
            return False
        raise ModelError(
            f"{_OF}: the graph's input {self.input.name!r} has shape {self.input.shape}, which has "
            f"no axis of {bands} bands"
        )


class GraphAV:
    """An :class:`~earmark.models.base.ArousalValenceModel` of a graph; windows are averaged."""

    def __init__(
        self,
        network: GraphNetwork,
        *,
        arousal: str,
        valence: str,
        sample_rate: int,
        crop: CropPolicy,
        card: ModelCard,
    ) -> None:
        self.network = network
        self.places = [_place(arousal, "arousal"), _place(valence, "valence")]
        self.sample_rate: int | None = sample_rate
        self.crop = crop
        self.card = card
        noise = np.random.default_rng(0).standard_normal((1, _probe(crop, sample_rate)))
        self._two(0.1 * noise.astype(np.float32))  # wrong names are found before the first clip

    def predict_av(self, clips: Sequence[Waveform]) -> Floats:
        """Return arousal, valence of each clip, shape ``(n_clips, 2)``.

        Raises
        ------
        ModelError
            If a clip is empty, not mono, not finite or at another rate.
        """
        check_clips(clips, self.sample_rate)
        return embed_crops(clips, self.crop, self._two, dimension=2, at_once=_AT_ONCE)

    def _two(self, windows: Floats) -> Floats:
        found = self.network.outputs(windows)
        return np.stack([self._one(found, *place) for place in self.places], axis=1)

    def _one(self, found: Mapping[str, Tensor], name: str, column: int | None) -> Floats:
        if name not in found:
            raise ModelError(f"{_OF}: the graph has no output {name!r}. {suggest(name, found)}")
        values = found[name]
        if values.ndim == 1:
            values = values[:, None]
        rows = pool(values, "mean") if values.ndim == 3 else values
        n_columns = rows.shape[1]
        if rows.ndim != 2 or (n_columns > 1 if column is None else column >= n_columns):
            raise ModelError(
                f"{_OF}: the graph's output {name!r} has shape {tuple(values.shape)}; name one of "
                f"its columns, from '{name}[0]' to '{name}[{n_columns - 1}]'"
            )
        return rows[:, column or 0].numpy()


def onnx(
    *,
    weights: str,
    sample_rate: int,
    mel: Mapping[str, Any] | None = None,
    layers: Layers = "all",
    pooling: Pooling = "mean",
    transposed: bool = False,
    window: float | str | None = None,
    hop: float | None = None,
    short: str | None = None,
    arousal: str | None = None,
    valence: str | None = None,
    av_scale: Sequence[float] | None = None,
    device: str = "auto",
    name: str | None = None,
    licence: str | None = None,
    citation: str | None = None,
    training_datasets: Sequence[str] | None = None,
) -> WindowedEncoder | GraphAV:
    """Return a graph as an encoder, or as an arousal/valence model.

    The number format is the graph's own.

    Parameters
    ----------
    weights
        The file; tensors that lie in files beside it are found, too.
    sample_rate
        In Hz.
    mel
        Settings of :func:`earmark.models.encoders.mel.mel_front_end`; without them the waveform
        goes in.
    layers
        ``all``, ``last``, or names of the graph's outputs.
    pooling
        ``mean``, ``mean+std`` or ``max`` over the frames of an output that has any.
    transposed
        Whether outputs of three axes are ``(n, dimension, n_frames)``.
    window, hop
        In s. By default the length that the graph fixes, else the whole clip.
    short
        What happens to clips shorter than a window that the graph fixes: ``zero-padded`` (as by
        default) or ``repeated``.
    arousal, valence
        The graph's outputs that hold them, ``name`` or ``name[column]``.
    av_scale
        Ends of their scale, e.g. ``[1, 9]``.
    device
        ``cpu``, ``cuda`` or ``auto``.
    name
        Of the model; by default the file's.
    licence, citation, training_datasets
        For the card.

    Raises
    ------
    ModelError
        If the graph cannot be read, or its input or outputs are not as the options say.
    """
    if (arousal is None) != (valence is None):
        raise ModelError(f"{_OF}: arousal and valence belong together, one of them is not given")
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ModelError(f"{_OF}: {path} is no file; expected an ONNX graph")
    session, provider = _session(path, device)
    front = None if mel is None else mel_front_end(mel, sample_rate=sample_rate, of=_OF)
    n_parameters, beside = _initialisers(path)
    network = GraphNetwork(session, mel=front, transposed=transposed, n_parameters=n_parameters)
    crop = _crop(network, window, hop, short, sample_rate)
    card = ModelCard(
        id=name or path.stem,
        version="1",
        weights_digest=fingerprint(f"{one.name} {file_digest(one)}" for one in beside)
        if len(beside) > 1
        else file_digest(path),
        licence=licence or "not stated",
        citation=citation or "unpublished",
        training_datasets=tuple(training_datasets or ()),
        crop_policy=str(crop),
        preprocessing={
            "sample_rate": sample_rate,
            "resampler": RESAMPLER,
            "input": "waveform" if front is None else str(front),
            "precision": network.dtype.name,
            "provider": provider,
            **({"arousal": arousal, "valence": valence} if arousal and valence else {}),
        },
        notes=() if training_datasets else (UNKNOWN_TRAINING,),
        av_scale=(float(av_scale[0]), float(av_scale[1])) if av_scale else None,
    )
    if arousal is not None and valence is not None:
        return GraphAV(
            network,
            arousal=arousal,
            valence=valence,
            sample_rate=sample_rate,
            crop=crop,
            card=card,
        )
    return WindowedEncoder(
        network,
        sample_rate=sample_rate,
        crop=crop,
        pooling=pooling,
        layers=layers,
        card=card,
        of=f"{_OF}: {path.name}",
        at_once=_AT_ONCE,
    )


def _session(path: Path, device: str) -> tuple[Any, str]:
    """Return a session of onnxruntime and what runs it."""
    runtime = require("onnxruntime", extra="onnx", of=_OF)
    cuda, cpu = "CUDAExecutionProvider", "CPUExecutionProvider"
    available = runtime.get_available_providers()
    if device not in ("cpu", "cuda", "auto"):
        raise ModelError(f"{_OF}: device = {device!r}, expected 'cpu', 'cuda' or 'auto'")
    if device == "cuda" and cuda not in available:
        raise ModelError(
            f"{_OF}: device = 'cuda', but onnxruntime has {', '.join(available)}; install "
            f"onnxruntime-gpu, or choose 'cpu'"
        )
    wanted = [cuda, cpu] if device != "cpu" and cuda in available else [cpu]
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors; of warnings there are many about unused weights
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = runtime.InferenceSession(str(path), options, providers=wanted)
    except Exception as error:  # of the runtime's own classes
        raise ModelError(
            f"{_OF}: {path} cannot be read as an ONNX graph: {str(error)[:300]}"
        ) from error
    return session, str(session.get_providers()[0])


def _initialisers(path: Path) -> tuple[int, list[Path]]:
    """Return the number of weights of a graph, and the files that hold them."""
    library = require("onnx", extra="onnx", of=_OF)
    graph = library.load(str(path), load_external_data=False).graph
    files = {path.name: path}
    for tensor in graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                files[entry.value] = path.parent / entry.value
    return sum(math.prod(one.dims) for one in graph.initializer), list(files.values())


def _crop(
    network: GraphNetwork,
    window: float | str | None,
    hop: float | None,
    short: str | None,
    sample_rate: int,
) -> CropPolicy:
    fixed = network.fixed_samples
    if short not in (None, "zero-padded", "repeated"):
        raise ModelError(f"{_OF}: short = {short!r}, expected 'zero-padded' or 'repeated'")
    if fixed is None:
        if short is not None and window is None:
            raise ModelError(f"{_OF}: short needs a window; the graph takes clips of any length")
        return windows_of(window, hop, default=None, short=short or "left short", of=_OF)  # type: ignore[arg-type]
    seconds = fixed / sample_rate
    if window is not None and (isinstance(window, str) or round(window * sample_rate) != fixed):
        raise ModelError(
            f"{_OF}: window = {window!r}, but the graph takes {fixed} samples, {seconds:g} s, alone"
        )
    return windows_of(seconds, hop, default=None, short=short or "zero-padded", of=_OF)  # type: ignore[arg-type]


def _probe(crop: CropPolicy, sample_rate: int) -> int:
    return crop.n_samples(sample_rate) or 3 * sample_rate


def _place(text: str, what: str) -> tuple[str, int | None]:
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ModelError(f"{_OF}: {what} = {text!r}, expected 'name' or 'name[column]'")
    return found["name"], None if found["column"] is None else int(found["column"])
