"""Songs that are in two sets, and training sets without those that are tested on.

Songs are told by their ids where two sets share a namespace: ``spotify`` (MuSe and MusAV) and
``mediaeval`` (emoMusic and DEAM, whose songs to id 1000 are emoMusic's). Of other sets nothing is
known; their recordings may still be the same.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from earmark.datasets.base import RatedClips
from earmark.datasets.judgements.judged import JudgedPairs
from earmark.datasets.judgements.pairwise import PairwiseJudgements
from earmark.datasets.ratings.table import subset

Tested = RatedClips | JudgedPairs | PairwiseJudgements


def overlap(train: RatedClips, test: Tested) -> tuple[str, ...] | None:
    """Return the ids of the songs of ``train`` that are in ``test``, too, in the order of clips.

    None where it cannot be known, since the sets have no ids in common use.
    """
    namespace, ids = _known(test)
    if not namespace or namespace != train.namespace:
        return None
    return tuple(clip.id for clip in train.clips if clip.id in ids)


def without_overlap(train: RatedClips, test: Tested) -> RatedClips:
    """Return a training set without the songs that are tested on.

    The card says how many these were, or that it cannot be known; then all are kept.

    Raises
    ------
    DataError
        If no song would be left.
    """
    found, name = overlap(train, test), test.card.id
    if found is None:
        note = f"which songs are in {name}, too, is not known: the sets have no ids in common"
        return replace(train, card=replace(train.card, notes=(*train.card.notes, note)))
    note = (
        f"{len(found)} of {len(train.clips)} songs are in {name}, too (by {train.namespace} id): "
        f"removed"
    )
    gone = set(found)
    keep = np.array([clip.id not in gone for clip in train.clips])
    return subset(train, keep, note=note)


def _known(test: Tested) -> tuple[str, set[str]]:
    if isinstance(test, JudgedPairs):
        return test.namespace, set(test.song_ids)
    return test.namespace, {clip.id for clip in test.clips}
