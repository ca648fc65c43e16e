"""Models to compare with: one that knows nothing, one that knows Etude's truth, and changed levels.

``random``
    The lot is decided by the sound or the text itself (and the seed), so that the same item always
    has the same outcome, in any batch, on any machine and in any version of NumPy: SHAKE-256 of the
    content gives the bits, Box and Muller's transform makes them normal, and the direction is
    uniform on the sphere.

``etude-oracle``
    The ceiling of retrieval on Etude: no model can do better but by luck. It recognises the
    corpus's own clips by their samples and its own captions by their words, and refuses everything
    else. A clip's score for a caption is the share of the caption's attributes that the clip has.
    As cosines: a clip is its 0/1 vector over 16, filled up to unit norm in one more coordinate that
    captions leave empty; a caption is its 0/1 vector at unit norm. Equal shares give exactly equal
    cosines.

:func:`with_gain`, :func:`at_loudness`
    Any model on clips at another level: by a gain, or at one loudness.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from earmark.datasets.audio import Waveform, decode_ahead
from earmark.datasets.base import DataError, first_ten
from earmark.datasets.captions import manifest as captions_manifest
from earmark.datasets.etude.layouts import CITATION, SPLITS, oracle, read_corpus
from earmark.datasets.loudness import SILENCE_LUFS, loudness
from earmark.models.base import (
    UNTRAINED,
    ArousalValenceModel,
    AudioEmbedder,
    ClipError,
    Floats,
    ModelCard,
    ModelError,
    PatchEmbedder,
    PatchHead,
    layers_of,
)
from earmark.models.support.adapter import check_clips, check_texts, unit_vectors


class RandomModel:
    """A random baseline: audio and text embedder and AV model that knows nothing."""

    sample_rate: int | None = None

    def __init__(self, *, seed: int = 0, dimension: int = 512) -> None:
        if dimension < 2:
            raise ModelError(f"random: dimension is {dimension}, expected at least 2")
        self.seed = seed
        self.dimension = dimension
        self.card = ModelCard(
            id=f"random-{dimension}d-seed{seed}",
            version="1",
            weights_digest=UNTRAINED,
            licence="Apache-2.0",
            citation="unpublished",
            training_datasets=(),
            crop_policy="whole",
            preprocessing={"seed": seed, "generator": "SHAKE-256 of the content, Box-Muller"},
            notes=("Drawn by lot: every task must put it at chance.",),
        )

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return unit vectors of shape ``(n_clips, dimension)``, decided by rate and samples.

        Raises
        ------
        ModelError
            If a clip is empty, not mono or not finite.
        """
        return self._unit([self._normal("audio", _content(c), self.dimension) for c in _ok(clips)])

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors of shape ``(n_texts, dimension)``, decided by the characters.

        Raises
        ------
        ModelError
            If ``texts`` is no list of strings.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise ModelError(f"expected a list of texts, got {texts!r:.60}")
        contents = (text.encode("utf-8", "surrogatepass") for text in texts)
        return self._unit([self._normal("text", one, self.dimension) for one in contents])

    def predict_av(self, clips: Sequence[Waveform]) -> Floats:
        """Return arousal, valence of each clip, shape ``(n_clips, 2)``: standard normal."""
        rows = [self._normal("av", _content(clip), 2) for clip in _ok(clips)]
        return np.asarray(rows, np.float32).reshape(-1, 2)

    def _unit(self, rows: list[Floats]) -> Floats:
        return unit_vectors(rows, dimension=self.dimension, of="item")

    def _normal(self, kind: str, content: bytes, number: int) -> Floats:
        pairs = (number + 1) // 2
        lot = hashlib.shake_256(f"{self.seed} {kind} ".encode() + content)
        bits = np.frombuffer(lot.digest(16 * pairs), "<u8").astype(np.float64).reshape(2, pairs)
        one, other = (bits + 0.5) / 2.0**64
        radius = np.sqrt(-2 * np.log(np.minimum(one, 1 - 2.0**-53)))
        drawn = np.concatenate(
            [radius * np.cos(2 * np.pi * other), radius * np.sin(2 * np.pi * other)]
        )
        return drawn[:number].astype(np.float32)


def _ok(clips: Sequence[Waveform]) -> Sequence[Waveform]:
    check_clips(clips, None)
    return clips


def _content(clip: Waveform) -> bytes:
    samples = np.ascontiguousarray(clip.samples, "<f4")
    return f"{clip.sample_rate} ".encode() + samples.tobytes()


def random_model(*, seed: int = 0, dimension: int = 512) -> RandomModel:
    """Return the random baseline: equal seeds give equal vectors, whatever the machine.

    Parameters
    ----------
    seed
        Of the vectors.
    dimension
        Of the vectors, at least 2.

    Raises
    ------
    ModelError
        If the dimension is below 2.
    """
    return RandomModel(seed=seed, dimension=dimension)


_SCALE = 16
"""A clip's vector stays within the unit sphere for up to 256 attributes, and 1/16 is exact."""


class EtudeOracle:
    """Embeds the clips and captions of one built corpus by their true attributes."""

    sample_rate: int | None = None

    def __init__(self, root: Path, split: str) -> None:
        corpus = read_corpus(root)
        self._truth = oracle(root, split=split)
        self._root, self._split = root, split
        self.dimension = len(self._truth.attributes) + 1
        if self.dimension > _SCALE**2:
            raise ModelError(f"etude-oracle: {self.dimension - 1} attributes, at most 255 fit")
        mentions = self._truth.caption_attributes
        self._captions = dict(zip(self._truth.captions, mentions, strict=True))
        self.card = ModelCard(
            id=f"etude-oracle-{split}",
            version="1",
            weights_digest=hashlib.sha256(f"{corpus.fingerprint} {split}".encode()).hexdigest(),
            licence="Apache-2.0",
            citation=CITATION,
            training_datasets=(),
            crop_policy="whole",
            preprocessing={"corpus": corpus.fingerprint or "", "split": split},
            notes=(
                "Knows the true attributes of every clip and caption: the ceiling of retrieval, "
                "no model that listens.",
            ),
        )

    @cached_property
    def _clips(self) -> dict[bytes, int]:
        """Digest of each clip's samples to its row."""
        opened = captions_manifest.load(self._root / "captions", split=self._split)
        row = {name: index for index, name in enumerate(self._truth.clip_ids)}
        paths = {clip.path: row[clip.id] for clip in opened.clips if clip.path is not None}
        found: dict[bytes, int] = {}
        for path, heard in decode_ahead(list(paths), sample_rate=None, workers=2):
            if not isinstance(heard, Waveform):
                raise DataError(f"Etude at {self._root}: {path}: {heard}; build the corpus again")
            found[_digest(heard)] = paths[path]
        return found

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return unit vectors of shape ``(n_clips, dimension)``.

        Raises
        ------
        ModelError
            If a clip is none of the split's, as the manifests' files decode at their own rate.
        """
        check_clips(clips, None)
        rows = [self._clips.get(_digest(clip)) for clip in clips]
        strange = [f"number {i}" for i, row in enumerate(rows) if row is None]
        if strange:
            raise ModelError(
                f"etude-oracle knows the clips of {self._root} ({self._split}) alone, as WAV; it "
                f"does not know {first_ten(strange)} of this batch"
            )
        known = [row for row in rows if row is not None]
        vectors = np.zeros((len(rows), self.dimension), np.float64)
        vectors[:, :-1] = self._truth.clip_attributes[known] / _SCALE
        vectors[:, -1] = np.sqrt(1 - np.square(vectors[:, :-1]).sum(axis=1))
        return vectors.astype(np.float32)

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors of shape ``(n_texts, dimension)``.

        Raises
        ------
        ModelError
            If a text is no caption of the split.
        """
        strange = [text for text in check_texts(texts) if text not in self._captions]
        if strange:
            raise ModelError(
                f"etude-oracle knows the captions of {self._root} ({self._split}) alone, not "
                f"{first_ten([repr(text) for text in strange])}"
            )
        vectors = np.zeros((len(texts), self.dimension), np.float64)
        for vector, text in zip(vectors, texts, strict=True):
            mentioned = self._captions[text]
            vector[:-1] = mentioned / np.sqrt(mentioned.sum(dtype=np.float64))
        return vectors.astype(np.float32)


def _digest(clip: Waveform) -> bytes:
    samples = np.ascontiguousarray(clip.samples, "<f4")
    return hashlib.sha256(f"{clip.sample_rate} ".encode() + samples.tobytes()).digest()


def etude_oracle(*, root: str, split: str = "test") -> EtudeOracle:
    """Return the oracle of a split of a built corpus.

    Parameters
    ----------
    root
        The folder of the corpus.
    split
        ``train``, ``valid`` or ``test``.

    Raises
    ------
    DataError
        If the folder holds no finished corpus, or has no such split.
    """
    if split not in SPLITS:
        raise DataError(f"Etude has no split {split!r}; expected one of {', '.join(SPLITS)}")
    return EtudeOracle(Path(root), split)


class _Gained:
    """What all have in common: samples times the gain in float32, which nothing clips."""

    def __init__(self, model: Any, gain_db: float) -> None:
        self.model = model
        self.gain_db = gain_db
        self.sample_rate: int | None = model.sample_rate
        self.card = _card(model.card, gain_db)

    def _louder(self, clip: Waveform) -> Waveform:
        return replace(clip, samples=clip.samples * np.float32(10 ** (self.gain_db / 20)))


class GainedPatchEmbedder(_Gained):
    """A :class:`~earmark.models.base.PatchEmbedder`."""

    def __init__(self, model: PatchEmbedder, gain_db: float) -> None:
        super().__init__(model, gain_db)
        self.dimension = model.dimension

    def embed_patches(self, clip: Waveform) -> Floats:
        """Return the patches of the clip with the gain; raises as the model."""
        found: Floats = self.model.embed_patches(self._louder(clip))
        return found


class GainedAudioEmbedder(_Gained):
    """An :class:`~earmark.models.base.AudioEmbedder`."""

    def __init__(self, model: AudioEmbedder, gain_db: float) -> None:
        super().__init__(model, gain_db)
        self.dimension = model.dimension

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return the vectors of the clips with the gain; raises as the model."""
        found: Floats = self.model.embed_audio([self._louder(clip) for clip in clips])
        return found


class GainedLayerEmbedder(GainedAudioEmbedder):
    """A :class:`~earmark.models.base.LayerEmbedder`."""

    def __init__(self, model: Any, gain_db: float) -> None:
        super().__init__(model, gain_db)
        self.layer_dimensions: Mapping[str, int] = model.layer_dimensions

    def embed_layers(self, clips: Sequence[Waveform]) -> Mapping[str, Floats]:
        """Return the vectors of each layer of the clips with the gain; raises as the model."""
        found: Mapping[str, Floats] = self.model.embed_layers([self._louder(c) for c in clips])
        return found


class GainedAVModel(_Gained):
    """An :class:`~earmark.models.base.ArousalValenceModel`."""

    def __init__(self, model: ArousalValenceModel, gain_db: float) -> None:
        super().__init__(model, gain_db)

    def predict_av(self, clips: Sequence[Waveform]) -> Floats:
        """Return arousal, valence of the clips with the gain; raises as the model."""
        found: Floats = self.model.predict_av([self._louder(clip) for clip in clips])
        return found


def with_gain(model: Any, gain_db: float) -> Any:
    """Return an embedder, or else an AV model, that hears its clips with a gain in dB.

    Raises
    ------
    ModelError
        If the gain is not finite, or it is neither.
    """
    if not np.isfinite(gain_db):
        raise ModelError(f"a gain is {gain_db} dB, expected a finite number")
    if isinstance(model, PatchEmbedder):
        return GainedPatchEmbedder(model, gain_db)
    if layers_of(model):
        return GainedLayerEmbedder(model, gain_db)
    if isinstance(model, AudioEmbedder):
        return GainedAudioEmbedder(model, gain_db)
    if isinstance(model, ArousalValenceModel):
        return GainedAVModel(model, gain_db)
    raise ModelError(f"{type(model).__name__} neither embeds audio nor predicts arousal, valence")


def _card(card: ModelCard, gain_db: float) -> ModelCard:
    return replace(
        card,
        id=f"{card.id} {gain_db:+g} dB",
        preprocessing={**card.preprocessing, "gain_db": float(gain_db), "clipping": "none"},
    )


class _AtLoudness:
    """A model of any kind that hears every clip at one integrated loudness in LUFS."""

    def __init__(self, model: Any, lufs: float) -> None:
        self.model = model
        self.lufs = lufs
        self.card = _card_at_loudness(model.card, lufs)
        if isinstance(model, PatchHead):
            self.embedder = at_loudness(model.embedder, lufs)
        for name in _AS_THEY_ARE:
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))

    def _scaled(self, clip: Waveform) -> Waveform:
        found = loudness_as_stereo(clip)
        if found <= SILENCE_LUFS:
            raise ClipError(f"no block is above {SILENCE_LUFS:g} LUFS: it cannot be normalised")
        return replace(clip, samples=clip.samples * np.float32(10 ** ((self.lufs - found) / 20)))


def _embed_audio(self: _AtLoudness, clips: Sequence[Waveform]) -> Floats:
    found: Floats = self.model.embed_audio([self._scaled(clip) for clip in clips])
    return found


def _embed_layers(self: _AtLoudness, clips: Sequence[Waveform]) -> Mapping[str, Floats]:
    found: Mapping[str, Floats] = self.model.embed_layers([self._scaled(clip) for clip in clips])
    return found


def _predict_av(self: _AtLoudness, clips: Sequence[Waveform]) -> Floats:
    found: Floats = self.model.predict_av([self._scaled(clip) for clip in clips])
    return found


def _embed_patches(self: _AtLoudness, clip: Waveform) -> Floats:
    found: Floats = self.model.embed_patches(self._scaled(clip))
    return found


_LISTENING = {
    "embed_audio": _embed_audio,
    "embed_layers": _embed_layers,
    "predict_av": _predict_av,
    "embed_patches": _embed_patches,
}
_AS_THEY_ARE = (
    "sample_rate",
    "dimension",
    "layer_dimensions",
    "embed_text",
    "predict_av_from_patches",
    "predict_av_from_means",
    "predict_av_from_vectors",
)


def at_loudness(model: Any, lufs: float) -> Any:
    """Return a model of any kind that hears every clip at an integrated loudness in LUFS.

    A clip without a block above the gate of -70 LUFS is a :class:`ClipError`.

    Raises
    ------
    ModelError
        If the loudness is not above -70 and at most 0 LUFS.
    """
    if not SILENCE_LUFS < lufs <= 0:
        raise ModelError(
            f"loudness is {lufs} LUFS, expected a number above {SILENCE_LUFS:g} and at most 0"
        )
    # Only the methods that the model has: tasks go by them.
    methods = {name: method for name, method in _LISTENING.items() if hasattr(model, name)}
    kind = type("AtLoudness", (_AtLoudness,), {**methods, "__module__": __name__})
    return kind(model, lufs)


def loudness_as_stereo(clip: Waveform) -> float:
    """Return a clip's integrated loudness in LUFS as two equal channels, as a player plays it.

    A clip shorter than 0.5 s is repeated to it.
    """
    heard = np.resize(clip.samples, max(clip.samples.size, clip.sample_rate // 2))
    found = loudness(heard, clip.sample_rate)
    return found if found <= SILENCE_LUFS else found + 10 * float(np.log10(2))


def _card_at_loudness(card: ModelCard, lufs: float) -> ModelCard:
    return replace(
        card,
        id=f"{card.id}@{lufs:g}LUFS",
        preprocessing={**card.preprocessing, "heard_at_lufs": float(lufs)},
        notes=(
            *card.notes,
            f"Each clip is scaled to {lufs:g} LUFS (EBU R 128, integrated), measured at the rate "
            f"that it is heard at, on the mono downmix as two equal channels. Peaks above 1 are "
            f"not clipped.",
        ),
    )
