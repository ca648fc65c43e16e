"""Frozen towers: any audio embedder and any text embedder, joined by two learned projections.

Neither tower is touched: on their vectors stand two linear maps into one space, learned from pairs
(:mod:`earmark.models.training.locked`). LiT [1]_ locks the tower of images and tunes the other;
here both are locked.

Both sides are centred on the means of training. Texts of another kind than those of the pairs, such
as captions where genre names were learned from, lie around another mean; a *reference* may take its
place, as in :mod:`earmark.models.adapters.conse`: a folder of audio, or a file of texts. No label
is read, but if it is what is evaluated, the evaluation is transductive, and the card says what it
was.

A weights file is one safetensors file: the two maps, and in its metadata the names of the towers
with the digests of their weights, and what was learned from. It is never joined to other towers
than those it was trained on.

References
----------
.. [1] X. Zhai et al., "LiT: Zero-Shot Transfer with Locked-image text Tuning", CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.audio import Waveform
from earmark.datasets.base import fingerprint
from earmark.models.adapters.conse import (
    AudioReference,
    TextReference,
    listen,
    read_audio_reference,
    read_text_reference,
)
from earmark.models.base import (
    AudioEmbedder,
    Floats,
    ModelCard,
    ModelError,
    PatchEmbedder,
    TextEmbedder,
)
from earmark.models.support.adapter import check_texts, unit_vectors
from earmark.models.support.exported import METRICS, TrainingLog, read_metrics, thinned
from earmark.models.support.weights import (
    Tower,
    not_understood,
    open_given,
    read_described,
    towers_of,
    write_described,
)

CITATION = """@inproceedings{zhai2022lit,
  author = {Zhai, Xiaohua and Wang, Xiao and Mustafa, Basil and Steiner, Andreas and
            Keysers, Daniel and Kolesnikov, Alexander and Beyer, Lucas},
  title = {{LiT}: Zero-Shot Transfer with Locked-image text Tuning},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2022}
}"""


class Locked:
    """Two frozen towers and their projections, as one joint audio-text model.

    Raises
    ------
    ModelError
        If a tower is not the one that was trained on, or embeds something else.
    """

    def __init__(
        self,
        learned: Learned,
        audio: AudioEmbedder | PatchEmbedder,
        text: TextEmbedder,
        *,
        id: str,
        audio_reference: AudioReference | None = None,
        text_reference: TextReference | None = None,
        training_log: TrainingLog | None = None,
    ) -> None:
        for side, tower, projection in (
            (audio, learned.audio_tower, learned.audio),
            (text, learned.text_tower, learned.text),
        ):
            tower.check(
                side,
                dimension=len(projection.mean),
                of="locked: the projections were",
                noun="tower",
            )
        self.learned = learned
        self.audio = audio
        self.text = text
        self.sample_rate = audio.sample_rate
        self.dimension: int = learned.audio.matrix.shape[1]
        self.audio_reference = audio_reference
        self.text_reference = text_reference
        self.training_log = training_log
        self._known: dict[bytes, Doubles] = {}
        centres = [
            "the mean of training" if one is None else one.stated
            for one in (audio_reference, text_reference)
        ]
        crop_policy = audio.card.crop_policy
        if isinstance(audio, PatchEmbedder):
            crop_policy += ", mean"
        self.card = _card(
            learned, audio.card, text.card, id=id, crop_policy=crop_policy, centres=centres
        )

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return unit vectors of shape ``(n_clips, dimension)``.

        Raises
        ------
        ModelError
            If a clip is heard exactly as the mean, or if a file of the reference cannot be read.
        """
        if not len(clips):
            return np.empty((0, self.dimension), np.float32)
        projected = self.audio_projection(self._features(clips))
        return unit_vectors(projected, dimension=self.dimension, of="clip")

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors of shape ``(n_texts, dimension)``.

        Raises
        ------
        ModelError
            If ``texts`` is no list of strings.
        """
        texts = check_texts(texts)
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        rows = self.text.embed_text(texts).astype(np.float64)
        return unit_vectors(self.text_projection(rows), dimension=self.dimension, of="text")

    @cached_property
    def audio_projection(self) -> Projection:
        """The learned one, centred on the reference if there is one."""
        if self.audio_reference is None:
            return self.learned.audio
        files = self.audio_reference.paths
        rows = [self._features([listen(path, self.sample_rate)])[0] for path in files]
        return replace(self.learned.audio, mean=np.mean(rows, axis=0))

    @cached_property
    def text_projection(self) -> Projection:
        """The learned one, centred on the reference if there is one."""
        if self.text_reference is None:
            return self.learned.text
        rows = self.text.embed_text(self.text_reference.texts).astype(np.float64)
        return replace(self.learned.text, mean=rows.mean(axis=0))

    def _features(self, clips: Sequence[Waveform]) -> Doubles:
        if self.audio_reference is None:
            return audio_features(self.audio, clips)
        # The clips that are evaluated may be the reference too: none is embedded twice.
        keys = [
            sha256(clip.samples.tobytes() + clip.sample_rate.to_bytes(8, "big")).digest()
            for clip in clips
        ]
        new = {key: clip for key, clip in zip(keys, clips, strict=True) if key not in self._known}
        if new:
            found = audio_features(self.audio, list(new.values()))
            self._known.update(zip(new, found, strict=True))
        return np.stack([self._known[key] for key in keys])


def audio_features(tower: AudioEmbedder | PatchEmbedder, clips: Sequence[Waveform]) -> Doubles:
    """Return what is kept of clips, ``(n_clips, dimension)``: vectors, or the mean over patches."""
    if isinstance(tower, PatchEmbedder):
        rows = [tower.embed_patches(clip).mean(axis=0, dtype=np.float64) for clip in clips]
        # As precise as what is kept in files, so that a clip is heard as it was in training.
        return np.asarray(rows, np.float32).reshape(-1, tower.dimension).astype(np.float64)
    return tower.embed_audio(clips).astype(np.float64)


def open_tower(given: Mapping[str, Any], *, side: str) -> Any:
    """Return the model that ``{loader = "...", ...}`` stands for; ``side`` is audio or text.

    Raises
    ------
    ModelError
        If it cannot be made, or does not embed that side.
    DataError
        If the name or an option is unknown.
    """
    model = open_given(given, of="locked: a tower")
    wanted = (AudioEmbedder, PatchEmbedder) if side == "audio" else (TextEmbedder,)
    if not isinstance(model, wanted):
        raise ModelError(
            f"locked: {given['loader']} ({type(model).__name__}) does not embed {side}"
        )
    return model


def locked(
    *,
    weights: str,
    audio: Mapping[str, Any] | None = None,
    text: Mapping[str, Any] | None = None,
    audio_reference: str | None = None,
    text_reference: str | None = None,
    towers: str = "registered",
) -> Locked:
    """Return a joint model of two frozen towers.

    Parameters
    ----------
    weights
        The folder that ``earmark train`` wrote into, with the log of the training, or the file
        ``weights.safetensors`` of it alone.
    audio, text
        How the towers are opened: ``{loader = "...", ...}`` with the loader's options; by default
        as they were for training.
    audio_reference
        A folder of audio files, at any depth, whose mean clips are centred on; by default the mean
        of training.
    text_reference
        A file of texts, ``.csv`` with a column ``caption`` or one a line, likewise.
    towers
        ``trust`` opens whatever code the weights file names as its towers' loaders; by default
        only registered models are opened.

    Raises
    ------
    ModelError
        If weights are not found or damaged, or a tower is not that of the training.
    DataError
        If a loader or one of its options is unknown, or the file names one that is not registered.
    """
    path = Path(weights).expanduser()
    file = path / "weights.safetensors" if path.is_dir() else path
    learned = load_learned(file)
    log = read_metrics(path / METRICS) if path.is_dir() else None
    opened = [
        _open_side(given, tower, side=side, file=file, towers=towers)
        for side, given, tower in (
            ("audio", audio, learned.audio_tower),
            ("text", text, learned.text_tower),
        )
    ]
    return Locked(
        learned,
        *opened,
        id=f"locked-{path.resolve().stem}",
        audio_reference=None if audio_reference is None else read_audio_reference(audio_reference),
        text_reference=None if text_reference is None else read_text_reference(text_reference),
        training_log=log and thinned(log),
    )


def _open_side(
    given: Mapping[str, Any] | None, tower: Tower, *, side: str, file: Path, towers: str
) -> Any:
    """Open a tower as the user says, or as the weights file does."""
    if given is not None:
        return open_tower(given, side=side)
    with towers_of(file, towers=towers, option=side, of="locked"):
        return open_tower({"loader": tower.loader, **tower.options}, side=side)


def _card(
    learned: Learned,
    audio: ModelCard,
    text: ModelCard,
    *,
    id: str,
    crop_policy: str,
    centres: Sequence[str],
) -> ModelCard:
    towers = {"audio": audio, "text": text}
    return ModelCard(
        id=id,
        version="1",
        weights_digest=fingerprint(
            [content_digest(learned), *(card.weights_digest for card in towers.values())]
        ),
        licence=(
            f"{learned.licence} (pairs that the projections are derived from), {audio.licence} "
            f"(audio tower), {text.licence} (text tower)"
        ),
        citation="\n".join((CITATION, audio.citation, text.citation)),
        training_datasets=tuple(
            dict.fromkeys((*learned.datasets, *audio.training_datasets, *text.training_datasets))
        ),
        crop_policy=crop_policy,
        preprocessing={
            **{
                f"{side}_{name}": value
                for side, card in towers.items()
                for name, value in (
                    ("id", card.id),
                    ("version", card.version),
                    *card.preprocessing.items(),
                )
            },
            **{f"training_{name}": value for name, value in learned.facts.items()},
            "temperature": learned.temperature,
            "centred_audio": centres[0],
            "centred_text": centres[1],
        },
        notes=(
            *audio.notes,
            *text.notes,
            f"Two projections on frozen towers, learned from pairs of "
            f"{', '.join(learned.datasets) or 'a dataset that is not stated'}.",
            f"Clips are centred on: {centres[0]}. Texts are centred on: {centres[1]}.",
        ),
    )


_METADATA_KEY = "earmark.locked"

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Projection:
    """An affine map of one tower's vectors: ``(v - mean) / scale @ matrix``."""

    mean: Doubles
    """Shape ``(dimension of the tower,)``."""
    scale: float
    matrix: Doubles
    """Shape ``(dimension of the tower, dimension)``."""

    def __call__(self, vectors: Doubles) -> Doubles:
        """Return shape ``(n, dimension)``, not yet of unit norm."""
        rows = (vectors - self.mean) / self.scale
        # Rows are multiplied one by one: a product's rounding may depend on the batch.
        return np.stack([row @ self.matrix for row in rows])


@dataclass(frozen=True, slots=True)
class Learned:
    """Two projections and all that a card says of them."""

    audio: Projection
    text: Projection
    temperature: float
    audio_tower: Tower
    text_tower: Tower
    datasets: tuple[str, ...]
    """Ids of the datasets of the pairs."""
    licence: str
    """Of what was learned from; the weights are derived from it."""
    facts: Mapping[str, str | int | float | bool]
    """Of the training: fingerprint of the pairs, their number, config, seed."""

    @property
    def n_parameters(self) -> int:
        """Numbers of both projections; those of the towers are theirs."""
        return sum(one.mean.size + 1 + one.matrix.size for one in (self.audio, self.text))


def save_learned(learned: Learned, path: Path | str) -> None:
    """Write a weights file; its bytes are decided by what was learned alone.

    Raises
    ------
    ModelError
        If the file cannot be written, or a value is not finite.
    """
    tensors = {
        f"{side}.{name}": value
        for side in ("audio", "text")
        for name, value in asdict(getattr(learned, side)).items()
    }
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise ModelError(f"{path} is not written: {name} has values that are not finite")
    parts = {
        each.name: getattr(learned, each.name)
        for each in fields(learned)
        if each.name not in ("audio", "text")
    }
    parts |= {name: asdict(parts[name]) for name in ("audio_tower", "text_tower")}
    write_described(path, tensors, parts, key=_METADATA_KEY, of="weights")


def load_learned(path: Path | str) -> Learned:
    """Return what :func:`save_learned` wrote.

    Raises
    ------
    ModelError
        If the file is absent, damaged, or no weights file of frozen towers.
    """
    path = Path(path).expanduser()
    tensors, parts = read_described(
        path,
        key=_METADATA_KEY,
        of="locked",
        kind="projections of frozen towers",
        expected='weights, which `earmark train` makes from a config with preset = "locked"',
    )
    try:
        learned = Learned(
            audio=_projection(tensors, "audio"),
            text=_projection(tensors, "text"),
            temperature=float(parts["temperature"]),
            audio_tower=Tower(**parts["audio_tower"]),
            text_tower=Tower(**parts["text_tower"]),
            datasets=tuple(parts["datasets"]),
            licence=str(parts["licence"]),
            facts=dict(parts["facts"]),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise not_understood(path, error, of="locked") from error
    _check_finite(learned, path)
    return learned


def _projection(tensors: Mapping[str, NDArray[Any]], side: str) -> Projection:
    mean, scale, matrix = (tensors[f"{side}.{name}"] for name in ("mean", "scale", "matrix"))
    if matrix.ndim != 2 or mean.shape != matrix.shape[:1]:
        raise ValueError(f"{side}: mean {mean.shape} and matrix {matrix.shape}")
    return Projection(mean, scale.item(), matrix)


def _check_finite(learned: Learned, path: Path) -> None:
    for side in (learned.audio, learned.text):
        if not all(np.isfinite(value).all() for value in (side.mean, side.scale, side.matrix)):
            raise ModelError(f"locked: {path} has values that are not finite; train it again")
    if learned.audio.matrix.shape[1] != learned.text.matrix.shape[1]:
        raise ModelError(f"locked: the two projections of {path} lead to spaces of different size")


def content_digest(learned: Learned) -> str:
    """Return the sha256 of the projections' values, in hexadecimal."""
    values = [
        np.ascontiguousarray(value, "<f8").tobytes()
        for one in (learned.audio, learned.text)
        for value in (one.mean, one.scale, one.matrix)
    ]
    return sha256(b"".join(values)).hexdigest()
