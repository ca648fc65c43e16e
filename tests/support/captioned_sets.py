"""Invented sets of captioned clips, and vectors of models for them."""

import numpy as np

from earmark.bench.tasks.vectors import JointVectors
from earmark.datasets.base import Captioned, Clip, DatasetCard, fingerprint

CARD = DatasetCard(
    id="invented",
    title="invented captions",
    version="1",
    licence="CC0",
    citation="none",
    source="drawn by lot",
    synthetic=True,
)


def captioned(captions_of, *, units=None, labels=None):
    """A set from the captions of each clip; clip 3 is ``c3`` and its second caption ``c3#2``."""
    captions = [text for texts in captions_of for text in texts]
    ids = [f"c{i}#{j + 1}" for i, texts in enumerate(captions_of) for j in range(len(texts))]
    clip_of = [i for i, texts in enumerate(captions_of) for _ in texts]
    clips = tuple(
        Clip(
            f"c{i}",
            None,
            label=labels[i] if labels else None,
            unit=units[i] if units else None,
        )
        for i in range(len(captions_of))
    )
    return Captioned(
        card=CARD,
        clips=clips,
        captions=tuple(captions),
        caption_ids=tuple(ids),
        clip_of=np.array(clip_of, np.int64),
        split="all",
        rule="as drawn",
        fingerprint=fingerprint(captions),
    )


def one_caption_each(n_clips, **options):
    return captioned([[f"caption {i}"] for i in range(n_clips)], **options)


def unit_rows(rows):
    rows = np.asarray(rows, float)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def vectors_of(dataset, models, *, heard=None):
    """JointVectors from ``models``: name to a pair of functions, of a clip's id and of a text."""
    clips = tuple(clip for clip in dataset.clips if heard is None or clip.id in heard)
    texts = tuple(dict.fromkeys(dataset.captions))
    return JointVectors(
        clips=clips,
        audio={
            m: unit_rows([listen(clip.id) for clip in clips]) for m, (listen, _) in models.items()
        },
        texts=texts,
        text={m: unit_rows([read(text) for text in texts]) for m, (_, read) in models.items()},
    )


def by_lot(seed, dimension=16):
    """A model that knows nothing: each clip and each text has a direction drawn by lot."""

    def draw(kind):
        def vector(name):
            own = int.from_bytes(fingerprint([kind, name, str(seed)])[:8].encode(), "little")
            return np.random.default_rng(own).normal(size=dimension)

        return vector

    return draw("clip"), draw("text")


def knowing(dataset, *, noise, seed=0, dimension=16):
    """A model that puts a clip's captions near the clip, the nearer the less noise."""
    listen, off = by_lot(seed, dimension)
    clip_of = {}
    for caption, clip in zip(dataset.captions, dataset.clip_of.tolist(), strict=True):
        clip_of.setdefault(caption, dataset.clips[clip].id)
    return listen, lambda text: listen(clip_of[text]) + noise * off(text)


def constant(dimension=16):
    """A collapsed model: everything is the same."""
    return (lambda _: np.ones(dimension)), (lambda _: np.ones(dimension))
