"""A trained head on its embedder, as an arousal/valence model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.datasets.base import fingerprint
from earmark.models.av_heads.head import COLUMNS, TrainedHead, load_head
from earmark.models.base import (
    AudioEmbedder,
    Floats,
    LayerEmbedder,
    ModelCard,
    ModelError,
    PatchEmbedder,
    layers_of,
)
from earmark.models.support.weights import open_given, towers_of


class StackedLayers:
    """The layers of an encoder one after the other: what a head that chose a layer reads."""

    def __init__(self, embedder: LayerEmbedder) -> None:
        self.embedder = embedder
        self.card = embedder.card
        self.sample_rate = embedder.sample_rate
        self.dimension = sum(embedder.layer_dimensions.values())

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return the layers' unit vectors, shape ``(n_clips, sum of dimensions)``."""
        found = self.embedder.embed_layers(clips)
        return np.concatenate([found[name] for name in self.embedder.layer_dimensions], axis=1)


class AVHead:
    """A head on an embedder of whole clips; an AV model.

    Raises
    ------
    ModelError
        If the embedder is not the one that the head was trained on.
    """

    def __init__(self, trained: TrainedHead, embedder: AudioEmbedder | PatchEmbedder) -> None:
        trained.embedder.check(
            embedder,
            dimension=trained.head.dimension,
            of=f"av-head {trained.name} was",
            noun="embedder",
        )
        if trained.head.n_values != len(COLUMNS):
            raise ModelError(
                f"av-head {trained.name} gives {trained.head.n_values} values of a clip, expected "
                f"{' and '.join(COLUMNS)}"
            )
        self.trained = trained
        self.embedder: Any = embedder
        self.sample_rate = embedder.sample_rate
        self.card = _card(trained, embedder.card, patched=isinstance(embedder, PatchEmbedder))

    def predict_av(self, clips: Sequence[Waveform]) -> Floats:
        """Return arousal, valence of each clip, shape ``(n_clips, 2)``; raises as the embedder."""
        return self.predict_av_from_vectors(self.embedder.embed_audio(clips))

    def predict_av_from_vectors(self, vectors: Floats) -> Floats:
        """Return arousal, valence, shape ``(n, 2)``, of the embedder's vectors ``(n, dimension)``.

        Raises
        ------
        ModelError
            If they are of another dimension or not finite.
        """
        vectors = np.asarray(vectors)
        if vectors.ndim != 2 or not len(vectors):
            if vectors.ndim == 2:
                return np.empty((0, 2), np.float32)
            raise ModelError(f"{self.card.id}: vectors have shape {vectors.shape}, expected (n, d)")
        # Rows go one by one: a product's rounding may depend on the batch.
        rows = [self.trained.head(vectors[i : i + 1])[0] for i in range(len(vectors))]
        return np.asarray(rows, np.float32)


class PatchAVHead(AVHead):
    """A head on an embedder of patches; an AV model and a :class:`~earmark.models.base.PatchHead`.

    Its value for a clip is that at the clip's mean embedding, on which it was trained, whether it
    is affine or not.
    """

    def predict_av(self, clips: Sequence[Waveform]) -> Floats:
        """Return arousal, valence of each clip, shape ``(n_clips, 2)``; raises as the embedder."""
        rows = [self.predict_av_from_patches(self.embedder.embed_patches(clip)) for clip in clips]
        return np.stack(rows) if rows else np.empty((0, 2), np.float32)

    def predict_av_from_patches(self, patches: Floats) -> Floats:
        """Return arousal, valence, shape ``(2,)``, of a clip's patches ``(n_patches, dimension)``.

        Raises
        ------
        ModelError
            If there is no patch, or they are of another dimension or not finite.
        """
        patches = np.asarray(patches)
        if patches.ndim != 2 or not len(patches):
            raise ModelError(
                f"{self.card.id}: patches have shape {patches.shape}, expected (n_patches, "
                f"{self.trained.head.dimension}), at least one"
            )
        # As precise as means that are kept in files, so that a clip is heard as it was in training.
        mean = patches.mean(axis=0, dtype=np.float64).astype(np.float32)
        row: Floats = self.predict_av_from_vectors(mean[None])[0]
        return row

    def predict_av_from_means(self, means: Floats) -> Floats:
        """Return arousal, valence, shape ``(n, 2)``, of mean embeddings ``(n, dimension)``.

        Exact: means are what the head reads of a clip. Raises as `predict_av_from_vectors`.
        """
        return self.predict_av_from_vectors(means)


def put_on(trained: TrainedHead, embedder: object) -> AVHead:
    """Return a head on its embedder, as a ``PatchHead`` where that gives patches.

    Raises
    ------
    ModelError
        If it is no embedder of audio, or not the one that the head was trained on.
    """
    if isinstance(embedder, PatchEmbedder):
        return PatchAVHead(trained, embedder)
    if isinstance(embedder, LayerEmbedder) and len(layers_of(embedder)) > 1:
        stacked = StackedLayers(embedder)
        if trained.head.dimension == stacked.dimension:
            return AVHead(trained, stacked)
    if isinstance(embedder, AudioEmbedder):
        return AVHead(trained, embedder)
    raise ModelError(
        f"av-head: {type(embedder).__name__} embeds no audio: it has neither embed_audio nor "
        f"embed_patches"
    )


def av_head(
    *, weights: str, embedder: Mapping[str, Any] | None = None, towers: str = "registered"
) -> AVHead:
    """Return a trained head on its embedder.

    Parameters
    ----------
    weights
        The file that was written of the head.
    embedder
        How the embedder is opened: ``{loader = "...", ...}`` with the loader's options; by default
        as it was for training.
    towers
        ``trust`` opens whatever code the weights file names as its embedder's loader; by default
        only a registered model is opened.

    Raises
    ------
    ModelError
        If the weights are not found or damaged, or the embedder is not that of the training.
    DataError
        If a loader or one of its options is unknown, or the file names one that is not registered.
    """
    trained = load_head(weights)
    if embedder is not None:
        return put_on(trained, open_given(embedder, of="av-head: embedder"))
    tower = trained.embedder
    with towers_of(weights, towers=towers, option="embedder", of="av-head"):
        found = open_given({"loader": tower.loader, **tower.options}, of="av-head: embedder")
        return put_on(trained, found)


def _card(trained: TrainedHead, embedder: ModelCard, *, patched: bool) -> ModelCard:
    vectors = "the clip's mean embedding" if patched else "the clip's vector of unit norm"
    kind = "affine" if trained.head.affine else "one hidden layer"
    learned = ", ".join(trained.datasets) or "a dataset that is not stated"
    utility = "" if trained.scale else " Its values are utilities, which have no scale."
    return ModelCard(
        id=f"{trained.name}@{embedder.id}",
        version="1",
        weights_digest=fingerprint([embedder.weights_digest, trained.digest]),
        licence=f"{trained.licence} (what the head is learned from), {embedder.licence} (embedder)",
        citation="\n".join(filter(None, (embedder.citation, trained.citation))) or "unpublished",
        training_datasets=tuple(dict.fromkeys((*trained.datasets, *embedder.training_datasets))),
        crop_policy=f"{embedder.crop_policy}, the head's value at {vectors}",
        preprocessing={
            **embedder.preprocessing,
            "embedder": embedder.id,
            "embedder_sha256": embedder.weights_digest,
            "head_sha256": trained.digest,
            "head_reads": vectors,
            **{f"training_{name}": value for name, value in trained.facts.items()},
        },
        notes=(
            *embedder.notes,
            f"Arousal, valence: a head ({kind}) learned from {learned}.{utility}",
        ),
        av_scale=trained.scale,
    )
