"""The labels of a version never change: drawn here from fixed facts, not from music."""

import hashlib
import json
from dataclasses import asdict

from earmark.datasets.etude.describe import ATTRIBUTES, Affect, caption, rate, tags
from earmark.datasets.etude.judge import judge, triplets
from earmark.datasets.etude.layouts import (
    LABELS_VERSION,
    VERSION,
    gtzan_name,
    label,
    mtat_path,
    musav_id,
    split_of,
    track_id,
)
from earmark.datasets.etude.score import VERSION as MUSIC_VERSION
from earmark.datasets.judgements.rules import DIMENSIONS

PINNED = {"1": "92e90479e6de2100f63289f2467db8bf9c31975242b556e124ee666dc8bb0fb4"}


def digest(rows):
    return hashlib.sha256(json.dumps(list(rows)).encode()).hexdigest()


def labels():
    """Yield labels of every kind of a hundred invented tracks."""
    songs, truth = {}, {}
    for number in range(100):
        true = [name for place, name in enumerate(ATTRIBUTES) if (place * 7 + number * 13) % 5 < 2]
        felt = Affect(1 + number * 0.08, 9 - (number * 37 % 100) * 0.08)
        written = caption(true, seed=11, number=number)
        yield [tags(true), written.text, written.mentions]
        yield [asdict(rating) for rating in rate(felt, seed=11, number=number)]
        yield [split_of(number), track_id(number), gtzan_name(number), mtat_path(number, 10)]
        songs[musav_id(number)] = f"genre {number % 4}"
        truth[musav_id(number)] = felt
    groups = triplets(songs, seed=11)
    for dimension in DIMENSIONS:
        said = [asdict(judgement) for judgement in judge(groups, truth, dimension, seed=11)]
        assert {row.pop("votes") for row in said} == {1}  # not a label; younger than the digests
        yield said


def test_labels_are_those_of_the_version():
    # If a label is meant to change, raise LABELS_VERSION and pin the new digest beside the old:
    # numbers computed on a corpus are comparable within its version alone.
    assert PINNED[LABELS_VERSION] == digest(labels())


def test_the_version_of_the_corpus_is_that_of_its_music_and_its_labels():
    assert f"{MUSIC_VERSION}.{LABELS_VERSION}" == VERSION


def test_a_track_depends_on_its_own_score_alone(scores):
    one = label(scores[17])
    assert one == label(scores[17])
    assert (one.number, one.genre, one.loudness) == (17, "pop", scores[17].loudness)
    assert one.id == 100_017
    assert one.split == "test"
    assert set(one.caption.mentions) <= set(one.attributes)
