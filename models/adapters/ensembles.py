"""Several models as one: of arousal and valence, or of audio and text.

Arousal/valence models predict on unlike scales, and what they err in differs; each one's
predictions are brought to mean 0 and deviation 1, then averaged. Mean and deviation are learnt
once, on a stated set, and are part of the model: what an ensemble says of a clip does not depend on
the clips beside it.

Of joint audio-text models the similarities are averaged: their vectors, each times the root of
its weight, stand one behind the other. Their dot product is the weighted sum of the models'
cosines, and with weights of sum 1 they are of unit norm.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.datasets.audio import Waveform
from earmark.datasets.base import fingerprint
from earmark.datasets.files.atomic_files import write_whole
from earmark.models.adapters.text_axis import JointModel
from earmark.models.base import (
    ArousalValenceModel,
    AudioEmbedder,
    Floats,
    ModelCard,
    ModelError,
    PatchHead,
    Plain,
    TextEmbedder,
)
from earmark.models.support.adapter import check_texts, unit_vectors
from earmark.models.support.weights import open_given

Doubles = NDArray[np.float64]
_FORMAT = "earmark-av-moments-1"
_DIMENSIONS = ("arousal", "valence")


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and deviation of each model's predictions on one set."""

    mean: Doubles
    """Shape ``(n_models, 2)``: arousal, valence."""
    deviation: Doubles
    models: tuple[str, ...]
    """Ids of the models' cards, in their order."""
    learnt_on: str
    """The set, in words, with its fingerprint where it has one."""
    n: int
    """Clips that they were learnt on."""

    def __post_init__(self) -> None:
        shape = (len(self.models), 2)
        if self.mean.shape != shape or self.deviation.shape != shape:
            raise ModelError(
                f"moments of {len(self.models)} models have shapes {self.mean.shape} and "
                f"{self.deviation.shape}, expected {shape}"
            )
        known = np.isfinite(self.mean) & np.isfinite(self.deviation) & (self.deviation > 0)
        if not known.all():
            model, column = np.argwhere(~known)[0]
            raise ModelError(
                f"{_DIMENSIONS[column]} of {self.models[model]} has mean "
                f"{self.mean[model, column]:g} and deviation {self.deviation[model, column]:g}, "
                f"expected finite numbers and a deviation above 0"
            )

    def average(self, predictions: ArrayLike, *, weights: Sequence[float] | None = None) -> Doubles:
        """Return the weighted mean of standardised predictions, shape ``(n, 2)``.

        Parameters
        ----------
        predictions
            Shape ``(n_models, n, 2)``.
        weights
            One a model, above 0; by default equal. They are scaled to the sum 1.

        Raises
        ------
        ModelError
            If shapes or weights do not fit.
        """
        values = np.asarray(predictions, np.float64)
        if values.ndim != 3 or values.shape[::2] != self.mean.shape:
            raise ModelError(
                f"predictions have shape {values.shape}, expected ({len(self.models)}, n, 2)"
            )
        shares = shares_of(weights, len(self.models))
        standardised = (values - self.mean[:, None]) / self.deviation[:, None]
        return np.asarray(np.einsum("m,mnd->nd", shares, standardised))


def learn_moments(predictions: Mapping[str, ArrayLike], *, learnt_on: str) -> Moments:
    """Return mean and population deviation of models' predictions on the same clips.

    Parameters
    ----------
    predictions
        Model id to ``(n, 2)``: arousal, valence.
    learnt_on
        The set, in words: it is stated on the card.

    Raises
    ------
    ModelError
        If a model's predictions are not finite, of another number of clips, or constant, or the set
        is not stated.
    """
    if not learnt_on.strip():
        raise ModelError("learnt_on is empty: name the set that the moments are learnt on")
    tables = {model: np.asarray(values, np.float64) for model, values in predictions.items()}
    n = len(next(iter(tables.values()), ()))
    for model, table in tables.items():
        if table.shape != (n, 2) or n < 2 or not np.isfinite(table).all():
            raise ModelError(
                f"predictions of {model} have shape {table.shape}, expected finite numbers of "
                f"shape ({n}, 2), at least two clips"
            )
        for name, column in zip(_DIMENSIONS, table.T, strict=True):
            if np.ptp(column) == 0:
                raise ModelError(f"{name} of {model} is {column[0]:g} for all {n} clips")
    values = np.stack(list(tables.values())) if tables else np.empty((0, 0, 2))
    return Moments(values.mean(axis=1), values.std(axis=1), tuple(tables), learnt_on, n)


def shares_of(weights: Sequence[float] | None, n: int) -> Doubles:
    """Return weights of sum 1, equal where none are given.

    Raises
    ------
    ModelError
        If there is not one finite number above 0 a model.
    """
    given = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    if given.shape != (n,) or not (np.isfinite(given) & (given > 0)).all():
        raise ModelError(f"weights are {weights}, expected {n} numbers above 0, one a model")
    return np.asarray(given / given.sum())


def save_moments(moments: Moments, path: Path | str) -> None:
    """Write moments as JSON.

    Raises
    ------
    ModelError
        If the file cannot be written.
    """
    content: dict[str, Any] = {"format": _FORMAT, **asdict(moments)}
    content |= {name: getattr(moments, name).tolist() for name in ("mean", "deviation")}
    try:
        write_whole(Path(path), (json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        raise ModelError(f"moments {path} cannot be written: {error}") from error


def load_moments(path: Path | str) -> Moments:
    """Return what :func:`save_moments` wrote.

    Raises
    ------
    ModelError
        If the file cannot be read or holds something else.
    """
    try:
        content = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT:
            raise ValueError(f"expected the format {_FORMAT}")
        mean, deviation = (np.array(content.pop(name), float) for name in ("mean", "deviation"))
        return Moments(mean, deviation, tuple(content.pop("models")), **content)
    except ModelError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"moments {path} cannot be read: {error!r}") from error


class AVEnsemble:
    """Several AV models as one; its values are means of z-scores and have no scale.

    Parameters
    ----------
    moments
        Of the models, in their order.
    weights
        One a model, above 0; by default equal.

    Raises
    ------
    ModelError
        If there are fewer than two models, one predicts no arousal and valence, the moments are of
        other models, or the models hear clips at different rates.
    """

    def __init__(
        self,
        models: Sequence[ArousalValenceModel],
        moments: Moments,
        *,
        weights: Sequence[float] | None = None,
    ) -> None:
        ids = tuple(model.card.id for model in models)
        if len(models) < 2:
            raise ModelError(f"av-ensemble: {len(models)} model, expected two or more")
        if ids != moments.models:
            raise ModelError(
                f"av-ensemble: the models are {', '.join(ids)}, the moments were learnt of "
                f"{', '.join(moments.models)}; give these, in this order, or learn them anew"
            )
        rates = [model.sample_rate for model in models]
        if len(set(rates)) > 1:
            raise ModelError(
                f"av-ensemble: its models hear audio at {', '.join(map(str, rates))} Hz (None: as "
                f"it comes), expected one rate"
            )
        self.models = tuple(models)
        self.moments = moments
        self.weights = shares_of(weights, len(models))
        self.sample_rate = rates[0]
        self.card = ensemble_card(
            [model.card for model in models], moments, weights=self.weights.tolist()
        )

    def predict_av(self, clips: Sequence[Waveform]) -> Floats:
        """Return arousal, valence of each clip, shape ``(n_clips, 2)``; raises as the models."""
        return self._average([model.predict_av(clips) for model in self.models])

    def _average(self, predictions: Sequence[Floats]) -> Floats:
        found = self.moments.average(np.stack(predictions), weights=self.weights.tolist())
        return np.asarray(found, np.float32)


class PatchAVEnsemble(AVEnsemble):
    """Several heads on one embedder: an ensemble that is itself a ``PatchHead``."""

    def __init__(
        self, models: Sequence[Any], moments: Moments, *, weights: Sequence[float] | None = None
    ) -> None:
        super().__init__(models, moments, weights=weights)
        self.embedder = models[0].embedder

    def predict_av(self, clips: Sequence[Waveform]) -> Floats:
        """Return arousal, valence of each clip, shape ``(n_clips, 2)``; each is heard once."""
        rows = [self.predict_av_from_patches(self.embedder.embed_patches(clip)) for clip in clips]
        return np.stack(rows) if rows else np.empty((0, 2), np.float32)

    def predict_av_from_patches(self, patches: Floats) -> Floats:
        """Return arousal, valence, shape ``(2,)``, of patches ``(n_patches, dimension)``."""
        heads: Sequence[Any] = self.models
        row: Floats = self._average([h.predict_av_from_patches(patches)[None] for h in heads])[0]
        return row

    def predict_av_from_means(self, means: Floats) -> Floats:
        """Return arousal, valence, shape ``(n, 2)``, of mean embeddings ``(n, dimension)``.

        Raises
        ------
        ModelError
            If one of the heads needs every patch.
        """
        heads: Sequence[Any] = self.models
        return self._average([head.predict_av_from_means(means) for head in heads])


def join(
    models: Sequence[Any], moments: Moments, *, weights: Sequence[float] | None = None
) -> AVEnsemble:
    """Return AV models as one; heads of one embedder as a ``PatchHead``."""
    for model in models:
        if not isinstance(model, ArousalValenceModel):
            raise ModelError(f"av-ensemble: {type(model).__name__} predicts no arousal and valence")
    cards = [model.embedder.card if isinstance(model, PatchHead) else None for model in models]
    shared = cards and cards[0] is not None and all(card == cards[0] for card in cards)
    return (PatchAVEnsemble if shared else AVEnsemble)(models, moments, weights=weights)


def av_ensemble(
    *,
    models: Sequence[Mapping[str, Any]],
    moments: str,
    weights: Sequence[float] | None = None,
) -> AVEnsemble:
    """Return several AV models as one.

    Parameters
    ----------
    models
        ``{loader = "...", ...}`` each, with the loader's options.
    moments
        A file that :func:`save_moments` wrote, of these models in this order.
    weights
        One a model; by default equal.

    Raises
    ------
    DataError
        If a loader or one of its options is unknown.
    """
    made = [open_given(given, of="av-ensemble: a model") for given in models]
    return join(made, load_moments(moments), weights=weights)


def ensemble_card(
    cards: Sequence[ModelCard], moments: Moments, *, weights: Sequence[float] | None = None
) -> ModelCard:
    """Return the card of the ensemble of models with these cards, in the order of the moments."""
    shares = shares_of(weights, len(cards))
    unique = dict.fromkeys
    stated: dict[str, Plain] = {}
    for number, (card, weight) in enumerate(zip(cards, shares, strict=True), 1):
        own: dict[str, Plain] = {"id": card.id, "version": card.version, "weight": float(weight)}
        own |= {"crop_policy": card.crop_policy, **card.preprocessing}
        stated |= {f"{number}_{name}": value for name, value in own.items()}
    numbers = [f"{value!r}" for one in (moments.mean, moments.deviation) for value in one.ravel()]
    parts = [
        f"{weight!r} {card.weights_digest}" for weight, card in zip(shares, cards, strict=True)
    ]
    return ModelCard(
        id="av-ensemble-" + "+".join(card.id for card in cards),
        version="1",
        weights_digest=fingerprint([*parts, *numbers]),
        licence="; ".join(unique(card.licence for card in cards)),
        citation="\n".join(unique(card.citation for card in cards)),
        training_datasets=tuple(unique(one for card in cards for one in card.training_datasets)),
        crop_policy="; ".join(unique(card.crop_policy for card in cards)),
        preprocessing={
            **stated,
            "moments_learnt_on": moments.learnt_on,
            "moments_clips": moments.n,
        },
        notes=(
            *unique(note for card in cards for note in card.notes),
            f"Arousal, valence: the mean of the models' z-scores, whose means and deviations were "
            f"learnt on {moments.learnt_on} ({moments.n} clips).",
        ),
    )


class JointEnsemble:
    """An :class:`AudioEmbedder` and :class:`TextEmbedder` made of several.

    Parameters
    ----------
    weights
        One a model, above 0; they are scaled to the sum 1.

    Raises
    ------
    ModelError
        If there are fewer than two models, weights are not one a model, or the models hear audio
        at different sample rates.
    """

    def __init__(self, models: Sequence[JointModel], weights: Sequence[float]) -> None:
        if len(models) < 2:
            raise ModelError(f"ensemble: {len(models)} model, expected two or more")
        if len(weights) != len(models) or not all(0 < weight < np.inf for weight in weights):
            raise ModelError(
                f"ensemble: weights are {list(weights)}, expected {len(models)} numbers above 0, "
                f"one a model"
            )
        rates = [model.sample_rate for model in models]
        if len(set(rates)) > 1:
            raise ModelError(
                f"ensemble: its models hear audio at {', '.join(map(str, rates))} Hz (None: as it "
                f"comes), expected one rate"
            )
        self.models = tuple(models)
        self.weights = tuple(float(weight) / sum(weights) for weight in weights)
        self.sample_rate = rates[0]
        self.dimension = sum(model.dimension for model in models)
        self.card = _card(self.models, self.weights)

    def embed_audio(self, clips: Sequence[Waveform]) -> Floats:
        """Return unit vectors of shape ``(n_clips, dimension)``; raises as the models."""
        return self._joined(lambda model: model.embed_audio(clips), of="clip")

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors of shape ``(n_texts, dimension)``; raises as the models."""
        texts = check_texts(texts)
        return self._joined(lambda model: model.embed_text(texts), of="text")

    def _joined(self, embed: Callable[[JointModel], NDArray[np.float32]], *, of: str) -> Floats:
        parts = [
            np.sqrt(weight) * embed(model).astype(np.float64)
            for model, weight in zip(self.models, self.weights, strict=True)
        ]
        return unit_vectors(np.concatenate(parts, axis=1), dimension=self.dimension, of=of)


def ensemble(
    *, models: Sequence[Mapping[str, Any]], weights: Sequence[float] | None = None
) -> JointEnsemble:
    """Return several joint models as one.

    Parameters
    ----------
    models
        ``{loader = "...", ...}`` each, with the loader's options.
    weights
        Of the models' similarities; by default equal.

    Raises
    ------
    ModelError
        If a model does not embed both audio and text.
    DataError
        If a loader or one of its options is unknown.
    """
    made = [open_given(given, of="ensemble: a model") for given in models]
    for given, model in zip(models, made, strict=True):
        if not (isinstance(model, AudioEmbedder) and isinstance(model, TextEmbedder)):
            raise ModelError(f"ensemble: {given['loader']} does not embed both audio and text")
    return JointEnsemble(made, [1.0] * len(made) if weights is None else weights)


def _card(models: Sequence[JointModel], weights: Sequence[float]) -> ModelCard:
    cards = [model.card for model in models]
    stated = {
        f"{number}_{name}": value
        for number, card in enumerate(cards, 1)
        for name, value in (
            ("id", card.id),
            ("version", card.version),
            ("crop_policy", card.crop_policy),
            *card.preprocessing.items(),
        )
    }
    parts = [
        f"{weight:.6g} {card.weights_digest}" for weight, card in zip(weights, cards, strict=True)
    ]
    unique = dict.fromkeys
    return ModelCard(
        id="ensemble-" + "+".join(card.id for card in cards),
        version="1",
        weights_digest=fingerprint(parts),
        licence="; ".join(unique(card.licence for card in cards)),
        citation="\n".join(unique(card.citation for card in cards)),
        training_datasets=tuple(unique(one for card in cards for one in card.training_datasets)),
        crop_policy="; ".join(unique(card.crop_policy for card in cards)),
        preprocessing={
            **stated,
            **{f"{number}_weight": weight for number, weight in enumerate(weights, 1)},
        },
        notes=tuple(unique(note for card in cards for note in card.notes)),
    )
