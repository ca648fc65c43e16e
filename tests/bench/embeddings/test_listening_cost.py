"""What listening costs: what is counted, what is kept, and what it never changes."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from stored_rows import open_space

from earmark.bench.embeddings import cost as listening_cost
from earmark.bench.embeddings.cost import (
    ENOUGH,
    Meter,
    keep,
    kept,
    resident_mib,
    supersedes,
    through_patches,
    traits,
)
from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store
from earmark.datasets.base import Clip
from earmark.models.base import ModelCard, ModelError
from earmark.reports.record.schema import Cost

RATE = 8000


@dataclass
class Listener:
    """A model with a PyTorch module of 15 numbers behind two attributes."""

    digest: str = "d" * 64
    sample_rate: int | None = RATE
    dimension: int = 4
    parts: Any = field(default_factory=lambda: {"tower": [torch.nn.Linear(4, 3)]})

    @property
    def card(self) -> ModelCard:
        return ModelCard("listener", "1", self.digest, "MIT", "", (), "all")

    def embed_audio(self, clips):
        return np.stack([self._unit(clip.samples) for clip in clips])

    def embed_patches(self, clip):
        return np.resize(clip.samples, (3, 4))

    def _unit(self, samples):
        vector = np.resize(samples, 4).astype(np.float64) + 1
        return (vector / np.linalg.norm(vector)).astype(np.float32)


@dataclass
class Head:
    """A head on patches, whose own part says how many numbers it has."""

    embedder: Listener

    def __post_init__(self):
        self.own = Counted()
        self.card = ModelCard("head", "1", "e" * 64, "MIT", "", (), "all")

    def predict_av_from_patches(self, patches):
        return patches.mean(axis=0)[:2]

    def predict_av_from_means(self, means):
        return means[:, :2]


class Counted:
    n_parameters = 100
    dtype = np.dtype("float16")


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    rng = np.random.default_rng(0)
    for number in range(7):
        soundfile.write(tmp_path / f"{number}.wav", rng.uniform(-0.5, 0.5, 800), RATE)
    return [Clip(f"clip{number}", tmp_path / f"{number}.wav") for number in range(7)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def ticking(seconds=2.0):
    """Return a clock on which every look takes so many seconds."""
    ticks = count()
    return lambda: next(ticks) * seconds


def cost(clips=200, seconds=10.0, **changes):
    return Cost(**{"clips": clips, "seconds": seconds, "device": "cpu", "dtype": "f"} | changes)


# What is read off a model


def test_parameters_are_counted_once_however_often_a_module_is_held():
    tower = torch.nn.Linear(4, 3).half()
    found = traits(Listener(parts={"a": tower, "b": [tower, torch.nn.Linear(2, 2)]}))
    assert found == listening_cost.Traits(15 + 6, ("cpu",), ("float16", "float32"))


def test_what_says_its_own_number_is_asked_and_not_looked_into():
    counted = Counted()
    counted.inner = torch.nn.Linear(4, 3)
    assert traits(Listener(parts=counted)) == listening_cost.Traits(100, ("cpu",), ("float16",))


@pytest.mark.parametrize(("digest", "expected"), [("d" * 64, None), ("untrained", 0)])
def test_numbers_that_nobody_counts_are_unknown_and_without_weights_there_are_none(
    digest, expected
):
    assert traits(Listener(digest, parts=np.zeros(9))).parameters == expected


def test_the_device_is_that_of_the_parameters():
    with torch.device("meta"):
        tower = torch.nn.Linear(4, 3)
    assert traits(Listener(parts=[tower])).devices == ("meta",)


def test_a_model_that_holds_itself_is_read_to_an_end():
    model = Listener()
    model.parts["again"] = model
    assert traits(model).parameters == 15


# What is timed


def test_the_first_call_warms_up_and_counts_if_there_is_no_other():
    meter = Meter(Listener())
    assert meter.cost() is None
    meter.add(clips=8, seconds=5)
    assert (meter.cost().clips, meter.cost().seconds) == (8, 5)
    meter.add(clips=8, seconds=4)
    meter.add(clips=2, seconds=1)
    assert (meter.cost().clips, meter.cost().clips_per_second) == (10, 2)


def test_a_first_call_that_did_the_work_of_all_counts():
    # A model that listens to its reference, the same clips, when it is first called.
    meter = Meter(Listener())
    meter.add(clips=8, seconds=60)
    meter.add(clips=312, seconds=0.25)
    assert (meter.cost().clips, meter.cost().seconds) == (320, 60.25)


def test_a_clock_that_stands_still_measures_nothing():
    meter = Meter(Listener())
    meter.add(clips=8, seconds=0)
    assert meter.cost() is None


def test_only_the_models_calls_on_clips_are_counted(store, clips):
    embeddings = Embeddings(store, clock=ticking())
    assert embeddings.cost(Listener()) is None
    found = embeddings.audio_vectors(Listener(), clips, batch_size=2)
    measured = embeddings.cost(Listener())
    # Four calls of 1, 2, 2 and 2 clips, 2 s each; the first is not counted.
    assert (found.seconds, measured.seconds, measured.clips) == (8, 6, 6)
    assert (measured.device, measured.dtype, measured.parameters) == ("cpu", "float32", 15)
    assert measured.measured is None


def test_texts_are_no_clips(store):
    class Reader(Listener):
        def embed_text(self, texts):
            return np.eye(4, dtype=np.float32)[: len(texts)]

    embeddings = Embeddings(store, clock=ticking())
    assert embeddings.text_vectors(Reader(), ["a", "b"]).seconds == 4  # one, then the rest
    assert embeddings.cost(Reader()) is None


def test_the_peak_is_the_highest_of_all_looks(tmp_path):
    looks = iter([100.0, None, *[50.0] * 999])
    meter = Meter(Listener(), resident=lambda: next(looks))
    space = open_space(tmp_path)
    with meter.listening(space):
        meter.add(clips=1, seconds=1)
    assert meter.cost().peak_memory_mib == 100
    looks = iter([70.0, 300.04, *[60.0] * 999])
    with meter.listening(space):
        pass
    assert meter.cost().peak_memory_mib == 300
    assert kept(space.folder).peak_memory_mib == 300


def test_memory_that_cannot_be_had_is_unknown(tmp_path):
    meter = Meter(Listener(), resident=lambda: None)
    with meter.listening(open_space(tmp_path)):
        meter.add(clips=1, seconds=1)
    assert meter.cost().peak_memory_mib is None


def test_this_process_holds_some_memory():
    held = resident_mib()
    assert held is None or held > 10


# What is kept


def test_from_the_store_the_cost_is_known_with_the_moment_of_its_measurement(store, clips):
    first = Embeddings(store, clock=ticking())
    first.audio_vectors(Listener(), clips, batch_size=2)
    again = Embeddings(Store(store.root), clock=ticking())
    assert again.audio_vectors(Listener(), clips).seconds is None
    found = again.cost(Listener())
    assert datetime.fromisoformat(found.measured).tzinfo is not None
    assert found.model_copy(update={"measured": None}) == first.cost(Listener())


def test_what_is_kept_is_no_part_of_the_key_and_no_damage(store, clips):
    Embeddings(store, clock=ticking()).audio_vectors(Listener(), clips)
    (space,) = store.spaces()
    assert (space.folder / listening_cost.COST).exists()
    assert "seconds" not in space.identity and space.verify() == []


def test_a_store_of_older_days_has_no_cost(store, clips):
    Embeddings(store).audio_vectors(Listener(), clips)
    (path,) = store.root.glob("*/cost.json")
    path.unlink()
    again = Embeddings(store)
    assert again.audio_vectors(Listener(), clips).ids
    assert again.cost(Listener()) is None


@pytest.mark.parametrize("content", ["", '{"clips": 0}', "null", "[1"])
def test_a_damaged_file_is_as_none_and_said(store, clips, content, caplog):
    Embeddings(store).audio_vectors(Listener(), clips)
    (path,) = store.root.glob("*/cost.json")
    path.write_text(content)
    with caplog.at_level(logging.WARNING):
        assert Embeddings(store).cost(Listener()) is None
    assert str(path) in caplog.text


@pytest.mark.parametrize(
    ("new", "old", "wins"),
    [
        (5, 4, True),
        (5, 5, True),
        (5, 6, False),
        (ENOUGH, 10_000, True),
        (ENOUGH - 1, 10_000, False),
    ],
)
def test_a_measurement_replaces_an_older_one_of_no_more_clips_or_has_enough(
    tmp_path, new, old, wins
):
    space = open_space(tmp_path)
    keep(space, cost(old))
    keep(space, cost(new))
    assert supersedes(cost(new), cost(old)) is wins
    assert kept(space.folder).clips == (new if wins else old)


def test_a_few_clips_more_do_not_hide_what_was_measured_on_many(store, clips):
    Embeddings(store, clock=ticking()).audio_vectors(Listener(), clips[:6], batch_size=1)
    later = Embeddings(store, clock=ticking(9))
    later.audio_vectors(Listener(), clips)
    assert (later.cost(Listener()).clips, later.cost(Listener()).seconds) == (5, 10)
    assert later.cost(Listener()).measured is not None


def test_of_several_processes_one_is_kept(store, clips):
    for rank in (0, 1):
        share = Embeddings(store, share=(rank, 2), clock=ticking())
        share.audio_vectors(Listener(), clips, batch_size=1)
    whole = Embeddings(store)
    assert len(whole.audio_vectors(Listener(), clips).ids) == 7
    assert whole.cost(Listener()).clips_per_second == 0.5
    assert 1 <= whole.cost(Listener()).clips < 6


def test_a_disk_that_takes_no_cost_ends_no_run(store, clips, monkeypatch, caplog):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(listening_cost, "write_whole", full)
    embeddings = Embeddings(store, clock=ticking())
    with caplog.at_level(logging.WARNING):
        embeddings.audio_vectors(Listener(), clips)
    assert "is not kept" in caplog.text
    assert embeddings.cost(Listener()).clips == 6  # the first call warms up


def test_a_run_that_was_ended_keeps_the_cost_of_what_it_heard(store, clips):
    class Failing(Listener):
        asked = 0

        def embed_audio(self, clips):
            Failing.asked += 1
            if Failing.asked == 4:
                raise ModelError("no more")
            return super().embed_audio(clips)

    with pytest.raises(ModelError, match="no more"):
        Embeddings(store, clock=ticking()).audio_vectors(Failing(), clips, batch_size=1)
    assert Embeddings(store).cost(Listener()).clips == 2


# Heads


def test_a_head_costs_what_its_network_costs_and_its_own_part(store, clips):
    embeddings = Embeddings(store, clock=ticking())
    head = Head(Listener())
    embeddings.av_from_patches(head, clips)
    found = embeddings.cost(head)
    # Seven calls of one clip each in both, 2 s each; the first is not counted.
    assert (found.clips, found.seconds) == (6, 12 + 12)
    assert (found.parameters, found.dtype) == (115, "float16, float32")
    assert embeddings.cost(Listener()).seconds == 12
    again = Embeddings(store).cost(Head(Listener()))
    assert (again.seconds, again.measured is None) == (24, False)


def test_a_head_that_was_never_measured_with_its_network_has_no_cost(store, clips):
    embeddings = Embeddings(store)
    embeddings.patches(Listener(), clips)
    assert embeddings.cost(Head(Listener())) is None


def test_through_patches_seconds_a_clip_add_up():
    head = cost(10, 1.0, peak_memory_mib=5, measured="2026-01-02T00:00:00+00:00")
    network = cost(100, 20.0, device="A GPU", measured="2026-01-01T00:00:00+00:00")
    both = through_patches(head, network)
    assert (both.clips, both.seconds, both.device) == (10, 3.0, "A GPU, cpu")
    assert (both.peak_memory_mib, both.measured) == (5, network.measured)
    assert json.loads(both.model_dump_json())["clips"] == 10
