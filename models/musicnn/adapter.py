"""musicnn's taggers as audio embedders, with their layers, and as taggers.

A clip comes at its own rate and is resampled to 16 kHz with the filter behind which the networks
were trained (resampy's, in librosa of 2019). Behind torchaudio's default filter, which leaves more
of the highest bands, zero-shot genres of 321 excerpts were right in .61 and not .63.

A clip is cut into patches of 187 frames (2.992 s), one after the other as the released package does
by default, and what does not fill a patch at the end is left out; a shorter clip is repeated to the
length of one. A vector is the mean over patches, a tag's probability too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from earmark.datasets.audio import Waveform, file_digest
from earmark.datasets.files.names import suggest
from earmark.datasets.resampling import KAISER_BEST, resampled
from earmark.models.base import Floats, ModelCard, ModelError
from earmark.models.musicnn.checkpoints import CITATION, Checkpoint, read_checkpoint
from earmark.models.musicnn.front_end import FFT, HOP, SAMPLE_RATE, log_mel
from earmark.models.musicnn.network import N_BANDS, PATCH_FRAMES, VGG, Musicnn
from earmark.models.support.adapter import (
    check_clips,
    inference,
    pick_device,
    unit_vectors,
)
from earmark.models.support.weights import check_weights

NETWORKS: Mapping[str, type[Musicnn] | type[VGG]] = {"musicnn": Musicnn, "vgg": VGG}
PATCH_SAMPLES = (PATCH_FRAMES - 1) * HOP
"""Of the shortest clip that fills a patch, at 16 kHz."""
_AT_ONCE = 16
"""Patches that go through the network together; no vector depends on it."""


class MusicnnModel:
    """A :class:`~earmark.models.base.LayerEmbedder` and a tagger.

    Parameters
    ----------
    network
        Gives tag logits and layers of patches.
    tags
        In the order of the logits.
    layers
        Which of the network's layers, in its order; the last one is the model's own vector.
    hop_frames
        From a patch's start to the next one's, in frames of 16 ms.
    """

    sample_rate: int | None = None

    def __init__(
        self,
        network: Musicnn | VGG,
        *,
        tags: Sequence[str],
        card: ModelCard,
        device: torch.device,
        layers: Sequence[str] | None = None,
        hop_frames: int = PATCH_FRAMES,
    ) -> None:
        if not 1 <= hop_frames <= PATCH_FRAMES:
            raise ModelError(
                f"musicnn: hop_frames is {hop_frames}, expected 1 to {PATCH_FRAMES}: a longer hop "
                f"leaves out audio between patches"
            )
        self.network = network.eval().to(device)
        self.layer_dimensions = _chosen(network.layer_dimensions, layers)
        self.dimension = list(self.layer_dimensions.values())[-1]
        self.tags = tuple(tags)
        self.hop_frames = hop_frames
        self.device = device
        self.card = card

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return unit vectors of the last of its layers, shape ``(n_clips, dimension)``.

        Raises
        ------
        ModelError
            If a clip is empty, not mono or not finite.
        """
        last = list(self.layer_dimensions)[-1]
        (rows,) = self._means(clips, {last: self.dimension}, lambda found: [found[1][last]])
        return unit_vectors(rows, dimension=self.dimension, of="clip")

    def embed_layers(self, clips: Sequence[Waveform]) -> dict[str, Floats]:
        """Return unit vectors of each layer, shape ``(n_clips, its dimension)``, in one pass.

        Raises
        ------
        ModelError
            If a clip is empty, not mono or not finite.
        """
        sizes = self.layer_dimensions
        rows = self._means(clips, sizes, lambda found: [found[1][name] for name in sizes])
        return {
            name: unit_vectors(each, dimension=sizes[name], of="clip")
            for name, each in zip(sizes, rows, strict=True)
        }

    def tag_probabilities(self, clips: Sequence[Waveform]) -> Floats:
        """Return how probable each tag is, shape ``(n_clips, n_tags)``, in [0, 1].

        Raises
        ------
        ModelError
            If a clip is empty, not mono or not finite.
        """
        (rows,) = self._means(
            clips, {"tags": len(self.tags)}, lambda found: [torch.sigmoid(found[0])]
        )
        return rows.astype(np.float32)

    def probabilities(self, clip: Waveform) -> Floats:
        """Return the tags' probabilities of one clip, shape ``(n_tags,)``."""
        return np.asarray(self.tag_probabilities([clip])[0])

    def _means(
        self,
        clips: Sequence[Waveform],
        sizes: Mapping[str, int],
        wanted: Callable[[tuple[Tensor, dict[str, Tensor]]], list[Tensor]],
    ) -> list[np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
        """Return means over each clip's patches, ``(n_clips, size)``, of what is wanted of them."""
        check_clips(clips, self.sample_rate)
        sums = [np.zeros((len(clips), size)) for size in sizes.values()]
        counts = np.zeros((len(clips), 1))
        with inference():
            for owners, patches in _batches(self._patches(clips)):
                found = wanted(self.network(patches))
                np.add.at(counts, owners, 1)
                for total, each in zip(sums, found, strict=True):
                    np.add.at(total, owners, each.cpu().double().numpy())
        return [total / np.maximum(counts, 1) for total in sums]

    def _patches(self, clips: Sequence[Waveform]) -> Iterator[tuple[int, Tensor]]:
        """Yield each patch, ``(187, 96)``, with the place of its clip."""
        for owner, clip in enumerate(clips):
            at_16_khz = resampled([clip.samples], clip.sample_rate, SAMPLE_RATE, by=KAISER_BEST)
            samples = np.concatenate(list(at_16_khz))
            if len(samples) < PATCH_SAMPLES:
                samples = np.resize(samples, PATCH_SAMPLES)  # repeats its input from the start
            frames = log_mel(torch.from_numpy(samples).to(self.device))
            for start in range(0, len(frames) - PATCH_FRAMES + 1, self.hop_frames):
                yield owner, frames[start : start + PATCH_FRAMES]


def musicnn(
    *,
    weights: str = "MSD_musicnn",
    layers: Sequence[str] | str | None = None,
    hop_frames: int = PATCH_FRAMES,
    device: str = "auto",
) -> MusicnnModel:
    """Return a released network of musicnn.

    Parameters
    ----------
    weights
        ``MSD_musicnn``, ``MTT_musicnn``, ``MSD_vgg`` or ``MTT_vgg``, which ``earmark fetch
        musicnn`` brings, or the path of such a file.
    layers
        Names, or one name; None or ``all``: every layer. Of the two musicnn: ``timbral``,
        ``temporal``, ``cnn1`` to ``cnn3``, ``pooled``, ``penultimate``; of vgg: ``pool1`` to
        ``pool5``.
    hop_frames
        From a patch's start to the next one's: 187 as the package does, 93 as Essentia does.
    device
        ``cpu``, ``cuda``, ``mps`` or ``auto``.

    Raises
    ------
    ModelError
        If the weights are not found, damaged, or a layer is unknown.
    """
    checkpoint = read_checkpoint(weights)
    network = _network(checkpoint)
    if isinstance(layers, str):
        layers = None if layers == "all" else [layers]
    return MusicnnModel(
        network,
        tags=checkpoint.tags,
        card=_card(checkpoint, hop_frames, _chosen(network.layer_dimensions, layers)),
        device=pick_device(device),
        layers=layers,
        hop_frames=hop_frames,
    )


def _network(checkpoint: Checkpoint) -> Musicnn | VGG:
    made = NETWORKS.get(checkpoint.architecture)
    if made is None:
        raise ModelError(
            f"musicnn: {checkpoint.path} is a network {checkpoint.architecture!r}, expected one of "
            f"{', '.join(NETWORKS)}"
        )
    network = made()
    check_weights(
        checkpoint.tensors,
        {name: value.shape for name, value in network.state_dict().items()},
        path=checkpoint.path,
        of=f"musicnn's network {checkpoint.architecture}",
        fix="Run `earmark fetch musicnn` again",
    )
    network.load_state_dict(dict(checkpoint.tensors))
    return network


def _chosen(known: Mapping[str, int], layers: Sequence[str] | None) -> dict[str, int]:
    for name in layers or ():
        if name not in known:
            raise ModelError(f"musicnn: no layer {name!r}. {suggest(name, known)}")
    return {name: size for name, size in known.items() if layers is None or name in layers}


def _batches(patches: Iterator[tuple[int, Tensor]]) -> Iterator[tuple[list[int], Tensor]]:
    waiting: list[tuple[int, Tensor]] = []
    for patch in patches:
        waiting.append(patch)
        if len(waiting) == _AT_ONCE:
            yield [owner for owner, _ in waiting], torch.stack([each for _, each in waiting])
            waiting = []
    if waiting:
        yield [owner for owner, _ in waiting], torch.stack([each for _, each in waiting])


def _card(checkpoint: Checkpoint, hop_frames: int, layers: Mapping[str, int]) -> ModelCard:
    seconds, hop = (n * HOP / SAMPLE_RATE for n in (PATCH_FRAMES, hop_frames))
    return ModelCard(
        id=checkpoint.name,
        version="1",
        weights_digest=file_digest(checkpoint.path),
        licence=checkpoint.licence,
        citation=CITATION,
        training_datasets=(checkpoint.training_dataset,),
        crop_policy=f"windows({seconds:.2f} s, {hop:.2f} s), mean; what fills none is left out",
        preprocessing={
            "sample_rate": SAMPLE_RATE,
            "resampler": f"sinc, {KAISER_BEST.zero_crossings} zero crossings, Kaiser window of "
            f"{KAISER_BEST.beta:.4f}, rolloff {KAISER_BEST.rolloff:.4f} (resampy's kaiser_best)",
            "window_samples": FFT,
            "frame_hop_samples": HOP,
            "window": "Hann, periodic, centred, mirrored at the ends",
            "bands": f"{N_BANDS}, Slaney's scale and normalisation, 0 to 8000 Hz, of the power",
            "compression": "log10(1 + 10000 x), in single precision",
            "patch_frames": PATCH_FRAMES,
            "patch_hop_frames": hop_frames,
            "short_clips": f"repeated to {PATCH_SAMPLES} samples",
            "layers": ", ".join(layers),
        },
        notes=(
            f"On the test clips of its training set its authors report ROC-AUC "
            f"{checkpoint.roc_auc:.4f} and PR-AUC {checkpoint.pr_auc:.4f}.",
        ),
    )
