"""What adapters do alike: inputs checked, crops averaged, unit norm, devices, packages."""

from __future__ import annotations

import csv
import importlib
import importlib.metadata
import os
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from earmark.datasets.audio import Waveform
from earmark.models.base import Floats, ModelCard, ModelError
from earmark.models.support.crops import CropPolicy, embed_crops

if TYPE_CHECKING:
    import torch

    from earmark.models.support.exported import TrainingLog

RESAMPLER = "torchaudio sinc_interp_hann, width 6, rolloff 0.99, after downmix"
"""What :mod:`earmark.datasets.audio` brings clips to a model's rate with; for the card."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_DIRECTION = 1e-6


class TruncationWarning(UserWarning):
    """A text is longer than the model reads; what it lost is said in the message."""


def check_clips(clips: Sequence[Waveform], sample_rate: int | None) -> None:
    """Raise unless clips are mono, finite, not empty and at the rate that the model hears.

    Raises
    ------
    ModelError
        Naming the first clip that is not, by its place in the list.
    """
    for index, clip in enumerate(clips):
        samples = clip.samples
        if samples.ndim != 1 or samples.size == 0:
            raise ModelError(
                f"clip {index} has shape {samples.shape}, expected mono samples (n_samples,), at "
                f"least one"
            )
        if sample_rate is not None and clip.sample_rate != sample_rate:
            raise ModelError(
                f"clip {index} is at {clip.sample_rate} Hz, this model hears {sample_rate} Hz; "
                f"load it with sample_rate={sample_rate}"
            )
        if not np.isfinite(samples).all():
            raise ModelError(f"clip {index} has samples that are not finite; decode it again")


def check_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts with lone surrogates, which are no characters, read as U+FFFD.

    Raises
    ------
    ModelError
        If ``texts`` is a single string or holds something else than strings.
    """
    if isinstance(texts, str):
        raise ModelError(f"expected a list of texts, got the one text {texts[:40]!r}")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise ModelError(f"text {index} is {text!r}, expected a str")
    return [_SURROGATE.sub("\ufffd", text) for text in texts]


def warn_truncated(texts: Sequence[str], lost: Sequence[int], *, kept: int) -> None:
    """Warn if texts lost tokens from their end; ``lost`` says how many each, ``kept`` the limit."""
    cut = [index for index, number in enumerate(lost) if number > 0]
    if cut:
        worst = max(cut, key=lambda index: lost[index])
        warnings.warn(
            f"{len(cut)} of {len(texts)} texts truncated to {kept} tokens; text {worst} "
            f"{texts[worst][:40]!r} loses {lost[worst]}",
            TruncationWarning,
            stacklevel=3,
        )


def unit_vectors(rows: ArrayLike, *, dimension: int, of: str) -> Floats:
    """Return rows ``(n, dimension)`` at unit L2 norm, float32.

    Raises
    ------
    ModelError
        If a row is not finite, or so short that it has no direction.
    """
    wide = np.asarray(rows, np.float64).reshape(-1, dimension)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > _NO_DIRECTION)))
    if bad.size:
        raise ModelError(
            f"{of} {bad[0]} has a vector of norm {norms[bad[0], 0]:g}, which has no direction"
        )
    return np.asarray(wide / norms, np.float32)


_DEVICES = "expected 'cpu', 'cuda', 'cuda:1', 'mps' or 'auto'"


def pick_device(name: str) -> torch.device:
    """Return the device called ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; ``auto``: CUDA's if any.

    Of several processes on one machine, ``auto`` and ``cuda`` give each its own of the devices that
    it sees: by torchrun's ``LOCAL_RANK``, or SLURM's ``SLURM_LOCALID``.

    Raises
    ------
    ModelError
        If there is no such device.
    """
    import torch

    number = torch.cuda.device_count()
    if name == "auto" and not torch.cuda.is_available():
        return torch.device("cpu")
    if name == "auto" or (name == "cuda" and number and _local_rank() is not None):
        # A scheduler may let each process see its own device alone, which is number 0 there.
        return torch.device("cuda", (_local_rank() or 0) % number)
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ModelError(f"device {name!r}: {_DEVICES}") from None
    if device.type == "mps" and (reason := _why_no_mps(device.index or 0)):
        raise ModelError(f"device {name!r}: {reason}; choose 'cpu' or 'auto'")
    if device.type not in ("cpu", "cuda", "mps"):
        raise ModelError(f"device {name!r}: {_DEVICES}")
    if device.type == "cuda" and (device.index or 0) >= number:
        raise ModelError(
            f"device {name!r}: PyTorch finds {number} CUDA devices; choose 'cpu' or 'auto'"
        )
    return device


_DTYPES = ("float32", "float16", "bfloat16")


def pick_dtype(name: str, *, of: str) -> torch.dtype:
    """Return the number format called ``float32``, ``float16`` or ``bfloat16``.

    Raises
    ------
    ModelError
        If it is none of them; ``of`` begins the message.
    """
    import torch

    if name not in _DTYPES:
        raise ModelError(f"{of}: dtype = {name!r}, expected one of {', '.join(_DTYPES)}")
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _local_rank() -> int | None:
    """Return this process's place on its machine, as torchrun or SLURM says it; None if neither."""
    for name in ("LOCAL_RANK", "SLURM_LOCALID"):
        if (text := os.environ.get(name, "")).isdigit():
            return int(text)
    return None


def _why_no_mps(index: int) -> str | None:
    import torch

    if not torch.backends.mps.is_built():
        return "this PyTorch was built without MPS, which is for Apple's GPUs alone"
    if not torch.backends.mps.is_available():
        return "PyTorch finds no MPS here; it needs macOS 12.3 or newer and an Apple GPU"
    return None if index == 0 else "there is one MPS device, 'mps'"


@contextmanager
def inference() -> Iterator[None]:
    """No gradients, and no TF32, whose 10-bit products move vectors by a thousandth on a GPU."""
    import torch

    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def install_command(extra: str) -> str:
    """Return the command that installs what an extra of Earmark needs, by its own metadata."""
    try:
        listed = importlib.metadata.requires("earmark") or []
    except importlib.metadata.PackageNotFoundError:
        listed = []
    wanted = [
        f"'{requirement.strip()}'"
        for requirement, _, marker in (one.partition(";") for one in listed)
        if re.search(rf"extra == ['\"]{extra}['\"]", marker)
    ]
    in_checkout = f"'.[{extra}]'"
    return f"pip install {' '.join(wanted) or in_checkout}"


def require(package: str, *, extra: str, of: str) -> Any:
    """Import a package that comes with one of Earmark's extras.

    Raises
    ------
    ModelError
        If it is not installed; the message says how to.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ModelError(
            f"{of} needs the package {package}, which cannot be imported ({error}); "
            f"run: {install_command(extra)}"
        ) from error


def read_texts(path: str | Path) -> list[str]:
    """Return the texts of a ``.csv`` file's column ``caption``, or the lines of any other file.

    Raises
    ------
    ModelError
        If the file cannot be read, has no such column, or holds no text.
    """
    path = Path(path).expanduser()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                rows = csv.DictReader(file)
                if "caption" not in (rows.fieldnames or ()):
                    raise ModelError(
                        f"{path}: its columns are {', '.join(rows.fieldnames or ())}, expected one "
                        f"named 'caption'"
                    )
                texts = [row["caption"] or "" for row in rows]
            else:
                texts = file.read().splitlines()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"texts {path} cannot be read: {error}") from error
    texts = [text.strip() for text in texts if text.strip()]
    if not texts:
        raise ModelError(f"{path} holds no text")
    return texts


class TextAdapter(ABC):
    """Makes a :class:`~earmark.models.base.TextEmbedder` of what encodes batches of texts."""

    dimension: int
    max_tokens: int | None = None
    """What a text is truncated to; None: nothing is."""
    texts_at_once: ClassVar[int | None] = None
    """Bounds the memory; None: the model makes batches itself."""

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors of shape ``(n_texts, dimension)``.

        Warns if texts are longer than the model reads.

        Raises
        ------
        ModelError
            If ``texts`` is no list of strings.
        """
        texts = check_texts(texts)
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        if self.max_tokens is not None:
            warn_truncated(texts, self._tokens_lost(texts), kept=self.max_tokens)
        size = self.texts_at_once or len(texts)
        with inference():
            rows = [self._encode_text(texts[i : i + size]) for i in range(0, len(texts), size)]
        return unit_vectors(np.concatenate(rows), dimension=self.dimension, of="text")

    @abstractmethod
    def _encode_text(self, texts: list[str]) -> Floats:
        """Return a vector for each text, ``(n_texts, dimension)``, of any length."""

    def _tokens_lost(self, texts: list[str]) -> list[int]:
        """Return how many tokens of each text are beyond ``max_tokens``."""
        raise NotImplementedError


class JointAdapter(TextAdapter):
    """Makes a joint model of what encodes crops of one length, and batches of texts."""

    crops_at_once: ClassVar[int] = 8
    """Bounds the memory; no vector depends on it."""

    def __init__(
        self,
        *,
        sample_rate: int,
        dimension: int,
        crop: CropPolicy,
        card: ModelCard,
        device: torch.device,
        training_log: TrainingLog | None = None,
    ) -> None:
        self.sample_rate: int | None = sample_rate
        self.dimension = dimension
        self.crop = crop
        self.card = card
        self.device = device
        self.training_log = training_log

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return unit vectors of shape ``(n_clips, dimension)``.

        Raises
        ------
        ModelError
            If a clip is empty, not mono, not finite or at another rate.
        """
        check_clips(clips, self.sample_rate)
        encode, size = self._encode_audio, self.crops_at_once
        with inference():
            rows = embed_crops(clips, self.crop, encode, dimension=self.dimension, at_once=size)
        return unit_vectors(rows, dimension=self.dimension, of="clip")

    @abstractmethod
    def _encode_audio(self, crops: Floats) -> Floats:
        """Return a vector for each crop, shape ``(n_crops, dimension)``."""
