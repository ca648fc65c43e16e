"""Learning the two projections of frozen towers from stored vectors (preset ``locked``).

Conventions
-----------
A *pair* is an item and one of its texts; items may have several texts, texts several items. A pair
of one batch is a positive of another where they share the item or the text, since telling them
apart is not what is to be learned; its target is spread evenly over its positives.

Nothing is drawn but from the seed, over pairs in the order of ids, so that equal pairs give equal
weights in whatever order they came. Centring and regression are in double precision, the steps in
single precision.

References
----------
.. [1] X. Zhai et al., "LiT: Zero-Shot Transfer with Locked-image text Tuning", CVPR 2022, eq. 1.
.. [2] P. Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, eq. 2: several positives,
       the mean outside the logarithm.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from earmark.datasets.base import Progress
from earmark.datasets.captions.stored_pairs import StoredPairs, load_pairs
from earmark.models.adapters.locked import Learned, Projection, open_tower, save_learned
from earmark.models.base import ModelError
from earmark.models.support.exported import METRICS
from earmark.models.support.weights import Tower, tower_of
from earmark.models.training.config import LockedConfig, ProjectionConfig

WEIGHTS = "weights.safetensors"
MAX_SCALE = 100.0
"""Similarities are multiplied with at most this, as in CLIP: one over the lowest temperature."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Epoch:
    """How the training stood at the end of an epoch."""

    step: int
    """Steps done."""
    loss: float
    """Mean of the epoch."""
    learning_rate: float
    """Of its last step."""
    temperature: float


@dataclass(frozen=True, slots=True)
class Projections:
    """What was learned, and how the loss fell."""

    audio: Projection
    text: Projection
    temperature: float
    epochs: tuple[Epoch, ...]

    @property
    def losses(self) -> tuple[float, ...]:
        """The mean loss of each epoch."""
        return tuple(epoch.loss for epoch in self.epochs)


def multi_positive_info_nce(logits: Tensor, positives: Tensor) -> Tensor:
    """Return the mean of both directions' InfoNCE with several positives a row [2]_.

    Parameters
    ----------
    logits
        Shape ``(n, n)``: similarities of clips (rows) and texts, over the temperature.
    positives
        Symmetric mask ``(n, n)``, True on the diagonal. With no other positives this is InfoNCE.
    """
    targets = positives.to(logits.dtype)
    targets = targets / targets.sum(dim=1, keepdim=True)
    directions = [F.cross_entropy(side, targets) for side in (logits, logits.T)]
    return torch.stack(directions).mean()


def shared(pairs: Tensor) -> Tensor:
    """Return which pairs ``(n, 2)`` of item and text share one of them, shape ``(n, n)``."""
    item, text = pairs.T
    same: list[Tensor] = [each[:, None] == each[None, :] for each in (item, text)]
    return same[0] | same[1]


def train_projections(
    audio: ArrayLike,
    text: ArrayLike,
    pairs: ArrayLike,
    *,
    config: ProjectionConfig | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Projections:
    """Learn projections of items' vectors and texts' vectors from pairs of them.

    Parameters
    ----------
    audio
        Shape ``(n_items, audio_dimension)``.
    text
        Shape ``(n_texts, text_dimension)``.
    pairs
        Which item belongs to which text, by their rows, shape ``(n_pairs, 2)``.

    Raises
    ------
    ModelError
        If shapes do not fit, a value is not finite, vectors are all alike, there are fewer than two
        pairs, or the loss is not finite.
    """
    config = config or ProjectionConfig()
    items, texts = _vectors(audio, of="audio"), _vectors(text, of="text")
    both = _pairs(pairs, n_items=len(items), n_texts=len(texts))
    draws = torch.Generator().manual_seed(seed)
    audio_mean, text_mean = items[both[:, 0]].mean(dim=0), texts[both[:, 1]].mean(dim=0)
    items, texts = items - audio_mean, texts - text_mean
    scale = _scale(items, of="audio")
    _scale(texts, of="text")
    items = items / scale
    start = _start(items, texts, both, config=config, draws=draws)
    weights = [each.float().requires_grad_() for each in start]
    items, texts = items.float(), texts.float()
    log_scale = torch.tensor(-math.log(config.temperature)).requires_grad_()
    rates = (1.0, config.text_rate, 1.0)
    groups = [
        {"params": [each], "lr": config.learning_rate * rate}
        for each, rate in zip((*weights, log_scale), rates, strict=True)
    ]
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.98))
    batches_each = len(list(_batches(len(both), config.batch_size, None)))
    steps = config.epochs * batches_each
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    ended = []
    for epoch in range(config.epochs):
        found = list[float]()
        rate = 0.0
        for rows in _batches(len(both), config.batch_size, draws):
            optimiser.zero_grad()
            batch = both[rows]
            logits = log_scale.exp() * _similarity(
                _dropped(items[batch[:, 0]], config.dropout, draws), texts[batch[:, 1]], *weights
            )
            loss = multi_positive_info_nce(logits, shared(batch))
            found.append(loss.item())
            if not math.isfinite(found[-1]):
                raise ModelError(
                    f"locked: the loss of epoch {epoch + 1} is {found[-1]}; a smaller "
                    f"learning_rate (now {config.learning_rate:g}) may help"
                )
            loss.backward()  # type: ignore[no-untyped-call]
            rate = optimiser.param_groups[0]["lr"]
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                log_scale.clamp_(max=math.log(MAX_SCALE))
        loss_now, temperature = sum(found) / len(found), float((-log_scale.detach()).exp())
        ended.append(Epoch((epoch + 1) * batches_each, loss_now, rate, temperature))
        if progress is not None:
            progress(epoch + 1, config.epochs, "epochs")
    audio_matrix, text_matrix = (each.detach().double().numpy() for each in weights)
    return Projections(
        audio=Projection(audio_mean.numpy(), scale, audio_matrix),
        text=Projection(text_mean.numpy(), 1.0, text_matrix),
        temperature=ended[-1].temperature,
        epochs=tuple(ended),
    )


def _similarity(items: Tensor, texts: Tensor, audio: Tensor, text: Tensor) -> Tensor:
    return F.normalize(items @ audio, dim=1) @ F.normalize(texts @ text, dim=1).T


def _dropped(vectors: Tensor, share: float, draws: torch.Generator) -> Tensor:
    if share == 0:
        return vectors
    kept = torch.rand(vectors.shape, generator=draws, dtype=vectors.dtype) >= share
    return vectors * kept / (1 - share)


def _batches(n: int, size: int, draws: torch.Generator | None) -> Iterator[Tensor]:
    """Yield the rows of each batch, of nearly equal sizes, so that none has but few negatives."""
    order = torch.arange(n) if draws is None else torch.randperm(n, generator=draws)
    yield from torch.tensor_split(order, math.ceil(n / size))


def _start(
    items: Tensor, texts: Tensor, pairs: Tensor, *, config: ProjectionConfig, draws: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the projections to begin with, of audio and of text."""
    n_audio, n_text = items.shape[1], texts.shape[1]
    dimension = config.dimension or n_text
    if config.start == "random":
        sizes = (n_audio, n_text)
        drawn = [
            torch.randn(n, dimension, generator=draws, dtype=torch.float64) / math.sqrt(n)
            for n in sizes
        ]
        return drawn[0], drawn[1]
    if dimension > n_text:
        raise ModelError(
            f"locked: dimension is {dimension}, but text vectors have {n_text} values; "
            f'with start = "ridge" the joint space is at most as large, take start = "random"'
        )
    item, text = items[pairs[:, 0]], texts[pairs[:, 1]]
    gram = item.T @ item + config.ridge * torch.eye(n_audio, dtype=torch.float64)
    regression = torch.linalg.solve(gram, item.T @ text)
    kept = torch.eye(n_text, dtype=torch.float64)
    if dimension < n_text:
        # The directions of the text space in which audio differs most.
        kept = torch.linalg.eigh(regression.T @ regression)[1].flip(1)[:, :dimension]
    return (regression @ kept).contiguous(), kept.contiguous()


def _vectors(given: ArrayLike, *, of: str) -> Tensor:
    rows = np.asarray(given, np.float64)
    if rows.ndim != 2 or not rows.size:
        raise ModelError(f"locked: {of} vectors have shape {rows.shape}, expected (n, dimension)")
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        raise ModelError(f"locked: {of} vector {bad[0]} is not finite; embed it again")
    return torch.from_numpy(rows)


def _pairs(given: ArrayLike, *, n_items: int, n_texts: int) -> Tensor:
    pairs = np.asarray(given)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or len(pairs) < 2 or pairs.dtype.kind not in "iu":
        raise ModelError(
            f"locked: pairs have shape {pairs.shape} and type {pairs.dtype}, expected (n_pairs, 2) "
            f"whole numbers, at least 2 pairs"
        )
    if pairs.min() < 0 or (pairs >= (n_items, n_texts)).any():
        raise ModelError(f"locked: a pair is not of the {n_items} items and {n_texts} texts")
    return torch.from_numpy(pairs.astype(np.int64))


def _scale(centred: Tensor, *, of: str) -> float:
    spread = float(centred.std(correction=0))
    if spread < 1e-9:
        raise ModelError(f"locked: all {of} vectors are alike; nothing can be learned from them")
    return spread


def texts_of(pairs: StoredPairs, config: ProjectionConfig) -> tuple[list[str], Indices]:
    """Return the texts as they are embedded, each once and sorted, and all pairs ``(n, 2)``."""
    given = [
        [", ".join(texts)] if config.several == "joined" else list(texts) for texts in pairs.texts
    ]
    named = [[config.template.replace("{}", text) for text in texts] for texts in given]
    unique = sorted({text for texts in named for text in texts})
    place = {text: index for index, text in enumerate(unique)}
    rows = [(item, place[text]) for item, texts in enumerate(named) for text in texts]
    return unique, np.array(rows, np.int64)


def train_locked(
    config: LockedConfig, out: Path | str, *, progress: Progress | None = None
) -> Learned:
    """Train the projections that a config describes; write ``weights.safetensors`` into a folder.

    ``metrics.csv`` beside it says how each epoch ended.

    Raises
    ------
    ModelError
        If a tower is not available or does not fit the stored vectors, nothing can be learned from
        these, or the folder cannot be written.
    DataError
        If the data cannot be read.
    """
    pairs = load_pairs(
        config.data.embeddings,
        config.data.texts,
        id_key=config.data.id_key,
        text_key=config.data.text_key,
    )
    audio, audio_tower = _tower(config, "audio")
    text, text_tower = _tower(config, "text")
    if audio.dimension != pairs.embeddings.shape[1]:
        raise ModelError(
            f"locked: the stored embeddings have {pairs.embeddings.shape[1]} values, those of "
            f"{audio.card.id} {audio.dimension}: name the embedder that made them as [audio]"
        )
    texts, rows = texts_of(pairs, config.training)
    found = train_projections(
        pairs.embeddings,
        text.embed_text(texts),
        rows,
        config=config.training,
        seed=config.seed,
        progress=progress,
    )
    learned = Learned(
        audio=found.audio,
        text=found.text,
        temperature=found.temperature,
        audio_tower=audio_tower,
        text_tower=text_tower,
        datasets=config.data.datasets,
        licence=config.data.licence,
        facts={
            "pairs_sha256": pairs.fingerprint,
            "items": len(pairs.ids),
            "pairs": len(rows),
            "texts": len(texts),
            "items_without_text": pairs.without_text,
            "seed": config.seed,
            **{
                name: "as the text tower" if value is None else value
                for name, value in asdict(config.training).items()
            },
        },
    )
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_metrics(found.epochs, folder / METRICS)
    except OSError as error:
        raise ModelError(f"{folder} cannot be written: {error}") from error
    save_learned(learned, folder / WEIGHTS)
    return learned


def _write_metrics(epochs: Sequence[Epoch], path: Path) -> None:
    names = [each.name for each in fields(Epoch)]
    rows = [[number, *astuple(epoch)] for number, epoch in enumerate(epochs, 1)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        # The step first, as in the log of every training.
        writer.writerow([names[0], "epoch", *names[1:]])
        writer.writerows([step, number, *rest] for number, step, *rest in rows)


def _tower(config: LockedConfig, side: str) -> tuple[Any, Tower]:
    given = dict(getattr(config, side))
    model = open_tower(given, side=side)
    return model, tower_of(model.card, loader=str(given.pop("loader")), options=given)
