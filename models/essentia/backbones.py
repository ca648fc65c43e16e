"""Frozen Essentia embedders: audio to one vector a patch, through Essentia's own preprocessing.

Clips arrive mono at their own rate and are resampled with Essentia's ``Resample(quality=1)``, which
is what its ``MonoLoader`` does by default and what published embeddings were made with. Quality 4,
which Essentia's examples show, moves arousal and valence by up to a point on a scale of 1 to 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.datasets.base import DataError
from earmark.datasets.files.fetch import find_weights
from earmark.models.base import Floats, ModelCard, ModelError, Plain
from earmark.models.essentia import sources
from earmark.models.essentia.library import (
    GATE_LUFS,
    RESAMPLE_QUALITY,
    SAMPLE_RATE,
    Graph,
    integrated_loudness,
    library_version,
    load,
    read_graph,
    resample,
    run,
)
from earmark.models.musicnn.checkpoints import CITATION


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """How one released embedder is run."""

    name: str
    algorithm: str
    """In ``essentia.standard``; it computes the mel bands and cuts the patches."""
    input: str
    output: str
    dimension: int
    patch_frames: int
    hop_frames: int
    bands: int
    frame_hop: int
    """In samples at 16 kHz."""
    training_datasets: tuple[str, ...]
    citation: str

    @property
    def patch_samples(self) -> int:
        """Samples at 16 kHz that a patch spans."""
        return self.patch_frames * self.frame_hop

    def fits(self, graph: Graph) -> bool:
        """Return whether the graph takes this backbone's patches and has its output."""
        node = graph.nodes.get(self.input)
        patch = (self.patch_frames, self.bands)
        return graph.has(self.output) and node is not None and (node.shape or ())[-2:] == patch


SPECS = (
    BackboneSpec(
        name="msd-musicnn-1",
        algorithm="TensorflowPredictMusiCNN",
        input="model/Placeholder",
        output="model/dense/BiasAdd",
        dimension=200,
        patch_frames=187,
        hop_frames=93,
        bands=96,
        frame_hop=256,
        training_datasets=("msd",),
        citation=CITATION,
    ),
    BackboneSpec(
        name="audioset-vggish-3",
        algorithm="TensorflowPredictVGGish",
        input="model/Placeholder",
        output="model/vggish/embeddings",
        dimension=128,
        patch_frames=96,
        hop_frames=93,
        bands=64,
        frame_hop=160,
        training_datasets=("audioset",),
        citation=sources.VGGISH,
    ),
    BackboneSpec(
        name="discogs-effnet-bs64-1",
        algorithm="TensorflowPredictEffnetDiscogs",
        input="serving_default_melspectrogram",
        output="PartitionedCall:1",
        dimension=1280,
        patch_frames=128,
        hop_frames=62,
        bands=96,
        frame_hop=256,
        training_datasets=("discogs",),
        citation=sources.EFFNET,
    ),
    BackboneSpec(  # that of the MusAV paper, on which EffNet heads of the first generation stand
        name="effnet-discogs-1",
        algorithm="TensorflowPredictEffnetDiscogs",
        input="melspectrogram",
        output="onnx_tf_prefix_BatchNormalization_496/add_1",
        dimension=200,
        patch_frames=128,
        hop_frames=64,
        bands=96,
        frame_hop=256,
        training_datasets=("discogs",),
        citation=sources.EFFNET,
    ),
)


def spec_of(graph: Graph) -> BackboneSpec:
    """Return how to run a backbone, by the nodes of its graph; its file name plays no part.

    Raises
    ------
    ModelError
        If it is none of the known backbones.
    """
    for spec in SPECS:
        if spec.fits(graph):
            return spec
    known = "; ".join(
        f"{s.name}: {s.input} [.., {s.patch_frames}, {s.bands}] -> {s.output}" for s in SPECS
    )
    raise ModelError(
        f"{graph.path} is not a known embedder: its inputs are {graph.inputs()}; expected one of "
        f"{known}"
    )


class EssentiaBackbone:
    """A released embedder; a :class:`~earmark.models.base.PatchEmbedder`.

    A clip so short that Essentia cuts no patch from it (under 2.96 s for MusiCNN) is repeated end
    to end to the length of one patch. Longer clips lose what follows their last whole patch.

    Parameters
    ----------
    loudness
        Integrated loudness in LUFS to which each clip is scaled first; None: as it is.
    """

    sample_rate: int | None = None

    def __init__(self, graph: Graph, *, loudness: float | None = None) -> None:
        if loudness is not None and not GATE_LUFS < loudness <= 0:
            raise ModelError(f"loudness must be above {GATE_LUFS:g} and at most 0 LUFS: {loudness}")
        self.spec = spec_of(graph)
        self.graph = graph
        self.loudness = loudness
        self.dimension = self.spec.dimension
        self.card = self._card()

    def embed_patches(self, clip: Waveform) -> Floats:
        """Return one vector a patch, shape ``(n_patches, dimension)``, at least one patch.

        Raises
        ------
        ModelError
            If the clip is empty, not mono or not finite, too quiet to be normalised where that is
            asked for, or Essentia fails.
        """
        samples = self._prepare(clip)
        patches = self._patches(samples)
        if not len(patches):
            # np.resize repeats its input from the start.
            patches = self._patches(np.resize(samples, self.spec.patch_samples))
        if patches.ndim != 2 or patches.shape[1] != self.dimension or not len(patches):
            raise ModelError(
                f"{self.graph.path}: {self.spec.output} has shape {patches.shape}, expected "
                f"(n_patches, {self.dimension})"
            )
        if not np.isfinite(patches).all():
            raise ModelError(f"{self.graph.path}: an embedding of a finite clip is not finite")
        return patches

    def _patches(self, samples: Floats) -> Floats:
        return np.asarray(run(self._algorithm, samples, source=self.card.id), np.float32)

    def _prepare(self, clip: Waveform) -> Floats:
        """Return the clip at the wanted loudness and 16 kHz."""
        samples = np.ascontiguousarray(clip.samples, dtype=np.float32)
        if samples.ndim != 1 or not samples.size:
            raise ModelError(f"a clip must be mono and not empty, got shape {samples.shape}")
        if not np.isfinite(samples).all():
            raise ModelError("a clip has samples that are not finite")
        if self.loudness is not None:
            gain_db = self.loudness - integrated_loudness(samples, clip.sample_rate)
            samples = samples * np.float32(10 ** (gain_db / 20))
        if clip.sample_rate != SAMPLE_RATE:
            samples = resample(samples, clip.sample_rate)
        return samples

    @cached_property
    def _algorithm(self) -> Any:
        return load(
            self.spec.algorithm,
            self.graph,
            input=self.spec.input,
            output=self.spec.output,
            patchSize=self.spec.patch_frames,
            patchHopSize=self.spec.hop_frames,
            lastPatchMode="discard",
        )

    def _card(self) -> ModelCard:
        spec = self.spec
        preprocessing: dict[str, Plain] = {
            "sample_rate": SAMPLE_RATE,
            "resampler": "Essentia Resample, straight from the clip's own rate",
            "resample_quality": RESAMPLE_QUALITY,
            "features": spec.algorithm,
            "output": spec.output,
            "patch_frames": spec.patch_frames,
            "patch_hop_frames": spec.hop_frames,
            "frame_hop_samples": spec.frame_hop,
            "short_clips": f"without a whole patch: repeated to {spec.patch_samples} samples",
            "last_patch": "discarded unless whole",
            "library": library_version(),
            "loudness": "as it is" if self.loudness is None else f"{self.loudness:g} LUFS",
        }
        notes: tuple[str, ...] = ()
        if self.loudness is not None:
            notes = (
                f"Each clip is scaled to {self.loudness:g} LUFS (EBU R 128, integrated), measured "
                "at its own rate on the mono downmix as two equal channels: 3 LU more than one "
                "channel alone, and not the loudness of a stereo original, whose channels lose "
                "power in the downmix where they differ. Peaks above 1 are not clipped.",
            )
        suffix = "" if self.loudness is None else f"@{self.loudness:g}LUFS"
        patch_s, hop_s = (
            n * spec.frame_hop / SAMPLE_RATE for n in (spec.patch_frames, spec.hop_frames)
        )
        return ModelCard(
            id=f"{self.graph.path.stem}{suffix}",
            version="1",
            weights_digest=self.graph.digest,
            licence=sources.LICENCE,
            citation=f"{sources.ESSENTIA}\n{spec.citation}",
            training_datasets=spec.training_datasets,
            crop_policy=f"windows({patch_s:.2f} s, {hop_s:.2f} s), the whole clip",
            preprocessing=preprocessing,
            notes=notes,
        )


def essentia_backbone(
    *, name: str = "msd-musicnn-1", weights: str | None = None, loudness: float | None = None
) -> EssentiaBackbone:
    """Return a released embedder by its name.

    Parameters
    ----------
    name
        As in ``earmark fetch``, or the path of a ``.pb`` file; looked for as
        :func:`earmark.datasets.files.fetch.find_weights` says.
    weights
        A folder to look in first.
    loudness
        As :class:`EssentiaBackbone`.

    Raises
    ------
    ModelError
        If the file is not found or is no known embedder.
    """
    try:
        path = find_weights(name, folders=[weights] if weights else [])
    except DataError as error:
        raise ModelError(str(error)) from error
    return EssentiaBackbone(read_graph(path), loudness=loudness)
