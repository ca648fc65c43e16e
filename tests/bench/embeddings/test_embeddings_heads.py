"""Heads on kept patches: audio is heard once for all, and no head reads another's patches."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Store
from earmark.datasets.audio import Waveform, decoded_files
from earmark.datasets.base import Clip
from earmark.models.base import ClipError, ModelCard, ModelError, PatchHead

RATE = 8000


@dataclass
class Network:
    """A patch embedder whose numbers depend on its version, and which counts what it hears."""

    version: str = "1"
    heard: int = 0
    sample_rate: int | None = RATE
    dimension: int = 4

    @property
    def card(self) -> ModelCard:
        return ModelCard("network", self.version, "untrained", "MIT", "", (), "all")

    def embed_patches(self, clip: Waveform) -> np.ndarray:
        self.heard += 1
        return clip.samples[:40].reshape(10, 4) * np.float32(self.version)


@dataclass
class Head:
    """A head whose card says nothing of the version of its network."""

    embedder: Network
    gain: int = 1
    read: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def card(self) -> ModelCard:
        return ModelCard(f"head{self.gain}", "1", "untrained", "MIT", "", (), "all")

    def predict_av_from_patches(self, patches: np.ndarray) -> np.ndarray:
        self.read.append(patches.shape)
        return patches.mean(axis=0)[:2] * np.float32(self.gain)

    def predict_av_from_means(self, means: np.ndarray) -> np.ndarray:
        return means[:, :2] * np.float32(self.gain)


def samples(number: int) -> np.ndarray:
    values = np.random.default_rng(number).uniform(-0.5, 0.5, 800)
    return (np.round(values * 2**15) / 2**15).astype(np.float32)


def expected(n_clips: int, *, factor: int = 1) -> np.ndarray:
    scale = np.float32(factor)
    return np.stack([(samples(n)[:40].reshape(10, 4) * scale).mean(0)[:2] for n in range(n_clips)])


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    for number in range(6):
        soundfile.write(tmp_path / f"{number}.wav", samples(number), RATE, subtype="PCM_16")
    return [Clip(f"clip{number}", tmp_path / f"{number}.wav") for number in range(6)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_head_reads_the_patches_of_each_clip(store, clips):
    head = Head(Network())
    assert isinstance(head, PatchHead)
    found = Embeddings(store).av_from_patches(head, clips)
    assert found.ids == tuple(clip.id for clip in clips)
    np.testing.assert_array_equal(found.rows, expected(6))
    assert head.read == [(10, 4)] * 6


def test_heads_on_one_network_listen_once_and_a_second_run_reads_nothing(store, clips):
    network, decoded = Network(), decoded_files()
    heads = [Head(network), Head(network, gain=2)]
    for _ in range(2):
        for head in heads:
            found = Embeddings(store).av_from_patches(head, clips)
            np.testing.assert_allclose(found.rows, expected(6) * head.gain, rtol=1e-6)
    assert network.heard == 6
    assert decoded_files() - decoded == 6
    assert [len(head.read) for head in heads] == [6, 6]
    assert found.seconds is None


def test_a_head_on_another_version_of_its_network_is_asked_anew(store, clips):
    for version in ("1", "2", "1"):
        found = Embeddings(store).av_from_patches(Head(Network(version)), clips)
        np.testing.assert_array_equal(found.rows, expected(6, factor=int(version)))


def test_patches_kept_in_half_precision_give_values_of_their_own(store, clips):
    Embeddings(store).av_from_patches(Head(Network()), clips)
    head = Head(Network())
    half = Embeddings(store, dtype="float16").av_from_patches(head, clips)
    assert len(head.read) == 6
    np.testing.assert_allclose(half.rows, expected(6), atol=1e-3)


def test_a_bad_file_is_a_problem_of_every_clip_that_has_it(store, clips, tmp_path):
    clips[2].path.write_bytes(b"garbage")
    (tmp_path / "same.wav").write_bytes(b"garbage")
    clips.append(Clip("same", tmp_path / "same.wav"))
    found = Embeddings(store).av_from_patches(Head(Network()), clips)
    assert [problem.item for problem in found.problems] == ["clip2", "same"]
    assert str(clips[2].path) in found.problems[0].reason
    np.testing.assert_array_equal(found.rows, np.delete(expected(6), 2, axis=0))


def test_a_clip_that_the_network_cannot_hear_is_its_own_problem(store, clips):
    soundfile.write(clips[2].path, samples(2)[:1], RATE)

    class Strict(Network):
        def embed_patches(self, clip: Waveform) -> np.ndarray:
            if len(clip.samples) < 40:
                raise ClipError("too short")
            return super().embed_patches(clip)

    found = Embeddings(store).av_from_patches(Head(Strict()), clips)
    (problem,) = found.problems
    assert (problem.item, problem.reason) == ("clip2", "network cannot hear it: too short")
    np.testing.assert_array_equal(found.rows, np.delete(expected(6), 2, axis=0))


def test_errors_of_the_network_and_of_the_head_name_the_clip(store, clips, monkeypatch):
    monkeypatch.setattr(Head, "predict_av_from_patches", lambda self, p: p[0] * np.float32(np.nan))
    with pytest.raises(ModelError, match=r"^head1: av of clip clip0: .*got .*float32 of shape"):
        Embeddings(store).av_from_patches(Head(Network()), clips)
    monkeypatch.setattr(Network, "embed_patches", lambda self, clip: np.zeros((1, 3), np.float32))
    with pytest.raises(ModelError, match=r"^network: patches of clip clip0: expected .* 4\), got"):
        Embeddings(store).av_from_patches(Head(Network("3")), clips)


@pytest.mark.parametrize("rank", [0, 1])
def test_shared_work_on_heads_covers_the_clips_of_each_process(store, clips, rank):
    head = Head(Network())
    found = Embeddings(store, share=(rank, 2)).av_from_patches(head, clips)
    assert 0 < len(found.ids) < 6
    assert head.embedder.heard == len(head.read) == len(found.ids)
    whole = dict(zip([clip.id for clip in clips], expected(6), strict=True))
    np.testing.assert_array_equal(found.rows, [whole[name] for name in found.ids])
