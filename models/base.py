"""What a model implements to be measured: small protocols, a card, and the errors.

A model implements what it can do and tasks ask for what they need. Arrays at these seams are
NumPy float32. Audio is mono, in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.audio import Waveform

Floats = NDArray[np.float32]
Plain = str | int | float | bool

UNTRAINED = "untrained"
"""The weights digest of a model without trained weights."""


UNKNOWN_TRAINING = (
    "What these weights were trained on is not stated (option training_datasets): no "
    "contamination can be found."
)


class ModelError(ValueError):
    """A model, its weights or what it was given is not as expected; the message names the fix."""


class ClipError(ModelError):
    """One clip that a model cannot hear, e.g. too short: a problem of that clip, not of the run."""


def in_words(error: BaseException) -> str:
    """Return what went wrong in code that is not Earmark's, for a message that names the code.

    >>> in_words(KeyError("weights"))
    "KeyError: 'weights' (--debug shows where)"
    """
    if type(error).__module__.startswith("earmark."):
        return str(error)  # it names the thing and the fix already
    text = str(error)
    said = f": {text[:500]}" if text else ""
    return f"{type(error).__name__}{said} (--debug shows where)"


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Turn whatever an adapter raises within into a `ModelError` that begins with what was asked.

    An adapter that ends the program (``sys.exit``) has failed, too.
    """
    try:
        yield
    except ModelError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"{what}: {in_words(error)}") from error


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What identifies a model's numbers: two models with equal cards give equal vectors."""

    id: str
    version: str
    """Of the adapter: raised whenever the same weights would give other numbers."""
    weights_digest: str
    """sha256 of every weights file, in hexadecimal; :data:`UNTRAINED` where there are none."""
    licence: str
    citation: str
    """BibTeX."""
    training_datasets: tuple[str, ...]
    """Ids of the datasets the weights have seen, for the contamination flag."""
    crop_policy: str
    """How long audio is cut, e.g. ``all patches, mean``; never random in evaluation."""
    preprocessing: Mapping[str, Plain] = field(default_factory=dict)
    """Everything that changes the numbers: rates in Hz, hops in samples, resampler, loudness."""
    notes: tuple[str, ...] = ()
    av_scale: tuple[float, float] | None = None
    """Ends of the rating scale that an arousal/valence model predicts on, e.g. 1 and 9."""


@runtime_checkable
class AudioEmbedder(Protocol):
    """Maps each clip to one vector of unit L2 norm."""

    card: ModelCard
    sample_rate: int | None
    """In Hz, at which clips must arrive; None: at their own rate, the model resamples.

    Clips are brought to it by torchaudio's windowed sinc (:mod:`earmark.datasets.resampling`).
    Another resampler, e.g. soxr, can move a prediction by a tenth on a scale of 1 to 9: a model
    that was trained through one of its own takes None and uses that.
    """
    dimension: int

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return vectors of shape ``(n_clips, dimension)``."""
        ...


@runtime_checkable
class KeptEmbedder(Protocol):
    """Has the vectors of clips by their ids, so that none is decoded.

    It is an :class:`AudioEmbedder`, too, which is never asked to embed audio.
    """

    card: ModelCard
    dimension: int

    def rows_of(self, ids: Sequence[str]) -> Mapping[str, Floats]:
        """Return the vector of unit L2 norm, ``(dimension,)``, of each id that has one."""
        ...


@runtime_checkable
class LayerEmbedder(Protocol):
    """An audio encoder that gives the vectors of several layers in one forward pass.

    It is an :class:`AudioEmbedder`, too: its own vector, ``embed_audio``, is the last layer's.
    """

    card: ModelCard
    sample_rate: int | None
    dimension: int
    """Of the last layer."""
    layer_dimensions: Mapping[str, int]
    """The size of each layer's vector, by name, in the network's order."""

    def embed_layers(self, clips: Sequence[Waveform]) -> Mapping[str, Floats]:
        """Return vectors of unit L2 norm by layer, each of shape ``(n_clips, its dimension)``."""
        ...


def layers_of(model: object) -> dict[str, int]:
    """Return the layers of a model and their dimensions; none where it has no choice of layers.

    A model that was opened with one layer is a plain :class:`AudioEmbedder`.
    """
    if not isinstance(model, LayerEmbedder) or len(model.layer_dimensions) < 2:
        return {}
    return {str(name): int(size) for name, size in model.layer_dimensions.items()}


@runtime_checkable
class TextEmbedder(Protocol):
    """Maps each text to one vector of unit L2 norm."""

    card: ModelCard
    dimension: int

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Return vectors of shape ``(n_texts, dimension)``."""
        ...


AROUSAL_VALENCE = ("arousal", "valence")


def dimensions_of(model: object) -> tuple[str, ...]:
    """Return what the values of a model's ``predict_av`` are: its ``dimensions``, if it has any."""
    return tuple(getattr(model, "dimensions", AROUSAL_VALENCE))


@runtime_checkable
class ArousalValenceModel(Protocol):
    """Predicts arousal and valence of whole clips.

    Or anything else that pairs are judged by: a model with an attribute ``dimensions``, e.g.
    ``("preference",)``, gives one value for each of these.
    """

    card: ModelCard
    sample_rate: int | None

    def predict_av(self, clips: Sequence[Waveform]) -> Floats:
        """Return shape ``(n_clips, 2)``: arousal, valence (or a column for each dimension)."""
        ...


@runtime_checkable
class PatchEmbedder(Protocol):
    """A frozen network that gives a clip one vector a patch; several heads may share it."""

    card: ModelCard
    sample_rate: int | None
    dimension: int

    def embed_patches(self, clip: Waveform) -> Floats:
        """Return shape ``(n_patches, dimension)``."""
        ...


@runtime_checkable
class PatchHead(Protocol):
    """An AV model that reads the patches of a frozen embedder, so that audio is heard once."""

    card: ModelCard
    embedder: PatchEmbedder

    def predict_av_from_patches(self, patches: Floats) -> Floats:
        """Return shape ``(2,)``: arousal, valence of the clip with these patches."""
        ...

    def predict_av_from_means(self, means: Floats) -> Floats:
        """Return shape ``(n_clips, 2)`` from mean embeddings ``(n_clips, dimension)``.

        Raises
        ------
        ModelError
            If the head is not affine: its value at the mean is not the mean of its values.
        """
        ...
