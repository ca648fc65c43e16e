"""What the record says of a retrieval beside its scores: the protocol, and what to beware of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from earmark.bench.tasks.retrieval.pools import Draw, HeardSet, Outcomes
from earmark.bench.tasks.retrieval.protocol import Setting
from earmark.bench.tasks.retrieval.scores import HEADLINE, unit_name, usable_ks
from earmark.bench.tasks.task import INTERVALS, PAIRED_TEST
from earmark.bench.tasks.vectors import JointVectors
from earmark.datasets.base import Captioned, first_ten
from earmark.reports.record.schema import Plain


def protocol_of(
    dataset: Captioned,
    heard: HeardSet,
    draws: Sequence[Draw],
    setting: Setting,
    crops: Mapping[str, str],
    *,
    replicates: int,
    seed: int,
) -> dict[str, Plain]:
    """Return how the scores came about, in words."""
    sizes = [len(draw.clips) for draw in draws]
    texts = {"all": "all of a clip's", "one": "one a clip, drawn at random in each draw"}
    several = len(heard.pairs) > len(heard.captioned)
    of_heard = {clip.id for clip in heard.clips}
    rows = sum(dataset.clips[index].id in of_heard for index in dataset.clip_of.tolist())
    in_words = texts[setting.captions] if several else "one a clip"
    if rows > len(heard.captions):
        in_words += f"; {rows} with {len(heard.captions)} texts, each of them one query and item"
    unit = f"{unit_name(heard)}, {len(np.unique(heard.units))} of them"
    if heard.fused:
        unit += f"; {heard.fused} clips stand together with others, for they share a caption"
    whole = setting.pool == "all" or sizes[0] == len(heard.captioned)
    return {
        "protocol": setting.protocol,
        "split": dataset.split,
        "pool": f"{sizes[0]} clips drawn without replacement"
        if not whole
        else f"the whole set: {sizes[0]} clips",
        "draws": f"{len(draws)}, seeded" if len(draws) > 1 or not whole else "none",
        "captions": in_words,
        "directions": ", ".join(setting.directions),
        "similarity": "cosine",
        "ties": "expectation over all orders of tied items; top hits: against the model",
        "several relevant items": setting.rule,
        **{f"crop of {model}": crop for model, crop in crops.items()},
        "unit of resampling": unit,
        "interval": f"{INTERVALS}; of the median rank, percentile bootstrap"
        + ("; units with their queries in all draws" if len(draws) > 1 else ""),
        "paired test": f"{HEADLINE}, {PAIRED_TEST}",
        "replicates": replicates,
        "seed": seed,
    }


def warnings_of(
    dataset: Captioned,
    heard: HeardSet,
    outcomes: Outcomes,
    setting: Setting,
) -> list[str]:
    """Return what a reader must know before believing the scores."""
    found = []
    unheard = len(dataset.clips) - len(heard.clips)
    if unheard:
        found.append(
            f"{unheard} of {len(dataset.clips)} clips could not be heard: they and their captions "
            f"are left out for all models, see the problems"
        )
    bare = [heard.clips[i].id for i in np.setdiff1d(np.arange(len(heard.clips)), heard.captioned)]
    if bare:
        role = "only wrong answers to captions" if setting.pool == "all" else "not in the pools"
        found.append(f"{len(bare)} clips have no caption and are {role}: {first_ten(bare)}")
    some = next(iter(outcomes.values()))
    for way, drawn in some.items():
        if 10 not in usable_ks(drawn):
            fewest = min(ranks.n_items for ranks in drawn.by_draw)
            found.append(f"{way}: {fewest} items are too few for R@10, which is left undefined")
    if len(np.unique(heard.units)) < 2:
        found.append("all clips are one unit: there are no intervals and no paired tests")
    return found


def same_sound(vectors: JointVectors) -> list[str]:
    """Return a warning if clips have the same vector as another one from every model."""
    first: dict[bytes, str] = {}
    same = []
    for index, clip in enumerate(vectors.clips):
        rows = b"".join(each[index].tobytes() for each in vectors.audio.values())
        other = first.setdefault(hashlib.sha256(rows).digest(), clip.id)
        if other != clip.id:
            same.append(f"{clip.id} as {other}")
    if not same:
        return []
    return [
        f"{len(same)} clips sound the same as another to every model, and each is a wrong answer "
        f"to the other's own captions: {first_ten(same)}"
    ]
