"""Several joint audio-text models as one, whose similarity is the weighted mean of theirs.

The vectors of the models, each times the root of its weight, stand one behind the other: their dot
product is the weighted sum of the models' cosines, and with weights of sum 1 they are of unit norm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.datasets.audio import Waveform
from earmark.datasets.base import fingerprint
from earmark.datasets.files.places import placed
from earmark.models.adapters.text_axis import JointModel
from earmark.models.base import AudioEmbedder, Floats, ModelCard, ModelError, TextEmbedder
from earmark.models.support.adapter import check_texts, unit_vectors


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
    from earmark.models.registry import MODELS

    made = []
    for given in models:
        if not isinstance(given, Mapping) or "loader" not in given:
            raise ModelError(
                f"ensemble: a model is {given!r}, expected a table with a key 'loader'"
            )
        options = {key: placed(value) for key, value in given.items() if key != "loader"}
        model = MODELS.create(given["loader"], options)
        if not (isinstance(model, AudioEmbedder) and isinstance(model, TextEmbedder)):
            raise ModelError(f"ensemble: {given['loader']} does not embed both audio and text")
        made.append(model)
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
