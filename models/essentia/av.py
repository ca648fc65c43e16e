"""Arousal and valence from Essentia's released models: a frozen embedder and a small head.

Two generations of heads are released. The first (2022) takes ``flatten_in_input``, gives
``dense_out`` and is affine: frozen batch normalisation and one dense layer, so that its value at a
clip's mean embedding is the mean of its values. The second (2023) takes ``model/Placeholder``,
gives ``model/Identity`` and has a hidden layer: it must see each patch. A clip's arousal and
valence are the means over its patches, on the scale of the training set (1 to 9 for emoMusic and
DEAM).

The graphs give (valence, arousal) by their documentation; everything here gives (arousal, valence).

References
----------
.. [1] D. Bogdanov et al., "MusAV: A dataset of relative arousal-valence annotations for validation
       of audio models", ISMIR 2022, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.datasets.base import DataError, fingerprint
from earmark.datasets.files.fetch import find_weights
from earmark.models.base import Floats, ModelCard, ModelError
from earmark.models.essentia import sources
from earmark.models.essentia.backbones import EssentiaBackbone
from earmark.models.essentia.library import Graph, load, read_graph, run

COLUMNS = ("valence-arousal", "arousal-valence")
"""What a head's graph gives, in this order; the first is what Essentia documents for all."""
_PROBES, _PROBE_SCALES, _PROBE_TOLERANCE = 32, (1.0, 10.0), 1e-4


@dataclass(frozen=True, slots=True)
class HeadGeneration:
    """Where a generation of heads takes its embeddings and gives its values."""

    number: int
    input: str
    output: str


GENERATIONS = (
    HeadGeneration(1, "flatten_in_input", "dense_out"),
    HeadGeneration(2, "model/Placeholder", "model/Identity"),
)


class EssentiaAVModel:
    """A released head on a released embedder; an AV model and a ``PatchHead``."""

    sample_rate: int | None = None

    def __init__(
        self, embedder: EssentiaBackbone, head: Graph, *, columns: str = COLUMNS[0]
    ) -> None:
        if columns not in COLUMNS:
            raise ModelError(f"columns must be {' or '.join(COLUMNS)}, got {columns!r}")
        self.embedder = embedder
        self.head = head
        self.columns = columns
        self.generation = _generation(head)
        shape = head.nodes[self.generation.input].shape or ()
        if shape[-1:] != (embedder.dimension,):
            raise ModelError(
                f"head {head.path} takes embeddings of {shape[-1] if shape else '?'} dimensions, "
                f"the embedder {embedder.card.id} gives {embedder.dimension}: choose the embedder "
                f"that the head was trained on"
            )
        self.card = self._card()

    def predict_av(self, clips: Sequence[Waveform]) -> Floats:
        """Return arousal and valence of each clip, shape ``(n_clips, 2)``.

        Clips are heard one by one: neither their order nor their company changes a number.
        """
        rows = [self.predict_av_from_patches(self.embedder.embed_patches(clip)) for clip in clips]
        return np.stack(rows) if rows else np.empty((0, 2), np.float32)

    def predict_av_from_patches(self, patches: Floats) -> Floats:
        """Return shape ``(2,)``: arousal and valence, the mean of the head's values over patches.

        Raises
        ------
        ModelError
            If the patches are not of shape ``(n_patches, dimension)``, at least one, and finite.
        """
        return np.asarray(self._values(patches).mean(axis=0, dtype=np.float64), np.float32)

    def predict_av_from_means(self, means: Floats) -> Floats:
        """Return shape ``(n_clips, 2)`` from mean embeddings ``(n_clips, dimension)``.

        Raises
        ------
        ModelError
            If the head is not :attr:`affine`, or the means are not finite and of this shape.
        """
        if not self.affine:
            raise ModelError(
                f"{self.card.id} is not affine: its value at a mean embedding is not the mean of "
                f"its values, so it needs every patch or the audio"
            )
        return self._values(means)

    @cached_property
    def affine(self) -> bool:
        """Whether the head's value midway between two embeddings is the mean of its values there.

        Probed on 64 pairs of normal random embeddings, of standard deviation 1 and 10 (those of
        music have about 2.4); the deviation may be 1e-4 of the range of the values.
        """
        rng = np.random.default_rng(0)
        shape = (2, _PROBES, self.embedder.dimension)
        one, other = np.concatenate(
            [rng.normal(0, scale, shape) for scale in _PROBE_SCALES], axis=1
        )
        points = np.concatenate([one, other, (one + other) / 2]).astype(np.float32)
        at_one, at_other, midway = np.split(self._values(points).astype(np.float64), 3)
        deviation = np.abs(midway - (at_one + at_other) / 2).max()
        return bool(deviation <= _PROBE_TOLERANCE * np.ptp(np.concatenate([at_one, at_other])))

    def _values(self, embeddings: Floats) -> Floats:
        """Return arousal and valence of each row."""
        embeddings = np.ascontiguousarray(embeddings, dtype=np.float32)
        if (
            embeddings.ndim != 2
            or embeddings.shape[1] != self.embedder.dimension
            or not len(embeddings)
        ):
            raise ModelError(
                f"{self.card.id} takes embeddings of shape (n, {self.embedder.dimension}), n >= 1, "
                f"got {embeddings.shape}"
            )
        if not np.isfinite(embeddings).all():
            row = int(np.flatnonzero(~np.isfinite(embeddings).all(axis=1))[0])
            raise ModelError(f"{self.card.id}: embedding {row} is not finite")
        values = np.asarray(run(self._algorithm, embeddings, source=self.card.id), np.float32)
        if values.shape != (len(embeddings), 2):
            raise ModelError(
                f"head {self.head.path} gives shape {values.shape} for {len(embeddings)} "
                f"embeddings, expected two values each: it predicts no arousal and valence"
            )
        return np.ascontiguousarray(values[:, ::-1]) if self.columns == COLUMNS[0] else values

    @cached_property
    def _algorithm(self) -> Any:
        return load(
            "TensorflowPredict2D",
            self.head,
            input=self.generation.input,
            output=self.generation.output,
            dimensions=self.embedder.dimension,
        )

    def _card(self) -> ModelCard:
        embedder = self.embedder.card
        stem = self.head.path.stem
        known = sources.HEAD_TRAINING.get(stem.partition("-")[0])
        unknown = f"What {stem} was trained on is not known: no contamination is reported."
        datasets, citation, notes = known if known else ((), "", (unknown,))
        suffix = embedder.id.removeprefix(self.embedder.graph.path.stem)
        suffix += "" if self.columns == COLUMNS[0] else f"@{self.columns}"
        notes = (*notes, *sources.HEAD_NOTES.get(self.head.digest, ()))
        return ModelCard(
            id=f"{stem}{suffix}",
            version="1",
            weights_digest=fingerprint([embedder.weights_digest, self.head.digest]),
            licence=embedder.licence,
            citation="\n".join(filter(None, (embedder.citation, sources.HEADS, citation))),
            training_datasets=(*embedder.training_datasets, *datasets),
            crop_policy=f"{embedder.crop_policy}, mean of the head's values",
            preprocessing={
                **embedder.preprocessing,
                "embedder": embedder.id,
                "embedder_sha256": embedder.weights_digest,
                "head_sha256": self.head.digest,
                "head_generation": self.generation.number,
                "head_columns": self.columns,
            },
            notes=(*embedder.notes, *notes),
            av_scale=sources.RATING_SCALE if known else None,
        )


def _generation(head: Graph) -> HeadGeneration:
    for generation in GENERATIONS:
        if head.has(generation.input, generation.output):
            return generation
    expected = " or ".join(f"{g.input} -> {g.output}" for g in GENERATIONS)
    raise ModelError(
        f"{head.path} is not a released arousal/valence head: expected nodes {expected}, its "
        f"inputs are {head.inputs()}"
    )


def essentia_av(
    *,
    head: str,
    backbone: str = "msd-musicnn-1",
    loudness: float | None = None,
    weights: str | None = None,
    columns: str = COLUMNS[0],
) -> EssentiaAVModel:
    """Return a released AV model.

    Parameters
    ----------
    head, backbone
        Names such as ``emomusic-msd-musicnn-2``, looked for as
        :func:`earmark.datasets.files.fetch.find_weights` says, or paths of ``.pb`` files.
    loudness
        Integrated loudness in LUFS to scale each clip to, e.g. -20, at which MusAV's annotators
        heard the tracks; None: clips stay as they are, as the models were trained.
    weights
        A folder to look for named weights in first.
    columns
        Order of the graph's two values, if not the documented ``valence-arousal``.

    Raises
    ------
    ModelError
        If weights are not found or not what they should be, the head does not fit the embedder, or
        Essentia is not installed.
    """
    folders = (Path(weights),) if weights is not None else ()
    try:
        graphs = [read_graph(find_weights(name, folders=folders)) for name in (backbone, head)]
    except DataError as error:
        raise ModelError(str(error)) from error
    embedder = EssentiaBackbone(graphs[0], loudness=loudness)
    return EssentiaAVModel(embedder, graphs[1], columns=columns)
