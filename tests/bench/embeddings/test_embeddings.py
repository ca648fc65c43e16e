"""Each clip is heard once a model, bad files do not end a run, and bad vectors do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.bench.embeddings.embeddings import Embeddings
from earmark.bench.embeddings.store import Space, Store
from earmark.datasets.audio import Waveform, decoded_files
from earmark.datasets.base import Clip, DataError
from earmark.models.base import (
    ArousalValenceModel,
    AudioEmbedder,
    ClipError,
    ModelCard,
    ModelError,
    PatchEmbedder,
    TextEmbedder,
)

RATE = 8000


@dataclass
class Fake:
    """A model of all kinds whose numbers follow from what it hears, and who counts it."""

    version: str = "1"
    dimension: int = 4
    sample_rate: int | None = RATE
    heard: list[int] = field(default_factory=list)
    """Batch sizes."""

    @property
    def card(self) -> ModelCard:
        return ModelCard("fake", self.version, "untrained", "MIT", "", (), "all")

    def _vector(self, values: np.ndarray) -> np.ndarray:
        vector = np.resize(values.astype(np.float64), self.dimension) + 0.1 * float(self.version)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    def embed_audio(self, clips: Sequence[Waveform]) -> np.ndarray:
        self.heard.append(len(clips))
        assert {clip.sample_rate for clip in clips} <= {self.sample_rate or RATE}
        return np.stack([self._vector(clip.samples) for clip in clips])

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        self.heard.append(len(texts))
        return np.stack([self._vector(np.frombuffer(f"{t:4}".encode(), "u1")) for t in texts])

    def predict_av(self, clips: Sequence[Waveform]) -> np.ndarray:
        self.heard.append(len(clips))
        return np.stack([clip.samples[:2] * 9 for clip in clips])

    def embed_patches(self, clip: Waveform) -> np.ndarray:
        self.heard.append(1)
        n_patches = 1 + len(clip.samples) % 3
        return np.resize(clip.samples, (n_patches, self.dimension))


def noise(number: int) -> np.ndarray:
    samples = np.random.default_rng(number).uniform(-0.5, 0.5, RATE // 10 + number)
    return np.round(samples * 2**15).astype(np.int16)


def make_clips(folder: Path, numbers: Sequence[int]) -> list[Clip]:
    clips = []
    for place, number in enumerate(numbers):
        path = folder / f"{place:03}.wav"
        soundfile.write(path, noise(number), RATE)
        clips.append(Clip(id=f"clip{place}", path=path))
    return clips


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    return make_clips(tmp_path, range(10))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def expected_vectors(numbers: Sequence[int], *, version: str = "1") -> np.ndarray:
    fake = Fake(version)
    return fake.embed_audio([Waveform(noise(n).astype("f4") / 2**15, RATE) for n in numbers])


def test_the_fake_is_what_the_protocols_ask_for():
    for protocol in (AudioEmbedder, TextEmbedder, ArousalValenceModel, PatchEmbedder):
        assert isinstance(Fake(), protocol)


# Once, and in order


def test_vectors_come_in_the_order_of_the_clips(store, clips):
    found = Embeddings(store).audio_vectors(Fake(), clips[::-1], batch_size=3)
    assert found.ids == tuple(clip.id for clip in clips[::-1])
    np.testing.assert_array_equal(found.rows, expected_vectors(range(10))[::-1])
    assert found.rows.dtype == np.float32
    assert found.problems == found.warnings == ()


@pytest.mark.parametrize("kind", ["audio_vectors", "av", "patches"])
def test_a_second_call_neither_decodes_nor_embeds(store, clips, kind):
    first = getattr(Embeddings(store), kind)(Fake(), clips)
    decoded = decoded_files()
    fake = Fake()
    again = getattr(Embeddings(Store(store.root)), kind)(fake, clips)
    assert (decoded_files() - decoded, fake.heard) == (0, [])
    assert (first.seconds > 0, again.seconds) == (True, None)
    if kind == "patches":
        first, again = (dict(patches) for patches in (first, again))
        assert list(first) == list(again) == [clip.id for clip in clips]
    else:
        first, again = (dict(zip(f.ids, f.rows, strict=True)) for f in (first, again))
    for name, rows in first.items():
        np.testing.assert_array_equal(again[name], rows)


def test_only_what_is_missing_is_embedded(store, clips):
    Embeddings(store).audio_vectors(Fake(), clips[2:5])
    fake = Fake()
    decoded = decoded_files()
    found = Embeddings(store).audio_vectors(fake, clips, batch_size=4)
    assert fake.heard == [1, 4, 2]  # how long one takes is not known before the first
    assert decoded_files() - decoded == 7
    np.testing.assert_array_equal(found.rows, expected_vectors(range(10)))


def test_identical_bytes_are_embedded_once_whatever_they_are_called(store, tmp_path):
    clips = make_clips(tmp_path, [1, 2, 1, 1, 2])
    same_path = Clip("alias", clips[0].path)
    fake = Fake()
    found = Embeddings(store).audio_vectors(fake, [*clips, same_path], batch_size=1)
    assert fake.heard == [1, 1]
    assert found.ids == ("clip0", "clip1", "clip2", "clip3", "clip4", "alias")
    np.testing.assert_array_equal(found.rows, expected_vectors([1, 2, 1, 1, 2, 1]))


def test_a_renamed_file_is_known_and_a_changed_one_is_not(store, clips):
    Embeddings(store).audio_vectors(Fake(), clips)
    moved = clips[0].path.rename(clips[0].path.with_name("moved.wav"))
    soundfile.write(clips[1].path, noise(77), RATE)
    fake = Fake()
    found = Embeddings(store).audio_vectors(fake, [Clip("moved", moved), clips[1]])
    assert fake.heard == [1]
    np.testing.assert_array_equal(found.rows, expected_vectors([0, 77]))


@given(texts=st.lists(st.text(max_size=4), max_size=12), batch_size=st.integers(1, 5))
@settings(deadline=None)
def test_texts_come_in_order_and_each_is_embedded_once(tmp_path_factory, texts, batch_size):
    store, fake = Store(tmp_path_factory.mktemp("store")), Fake()
    texts = [text.encode(errors="replace").decode() for text in texts]
    found = Embeddings(store).text_vectors(fake, texts, batch_size=batch_size)
    assert found.ids == tuple(texts)
    assert found.rows.shape == (len(texts), 4)
    assert sum(fake.heard) == len(set(texts))
    assert all(size <= batch_size for size in fake.heard)
    for text, vector in zip(texts, found.rows, strict=True):
        np.testing.assert_array_equal(vector, Fake().embed_text([text])[0])
    assert Embeddings(store).text_vectors(fake, texts).seconds is None


def test_two_versions_of_a_model_do_not_see_each_others_vectors(store, clips):
    for version in ("1", "2", "1", "2"):
        found = Embeddings(store).audio_vectors(Fake(version), clips)
        np.testing.assert_array_equal(found.rows, expected_vectors(range(10), version=version))


@pytest.mark.parametrize("batch_size", [1, 3, 10, 64])
def test_the_batch_size_enters_no_key(store, clips, batch_size):
    Embeddings(store).audio_vectors(Fake(), clips, batch_size=batch_size)
    fake = Fake()
    Embeddings(store).audio_vectors(fake, clips, batch_size=2)
    assert fake.heard == []
    assert len(list(store.spaces())) == 1


def test_clips_arrive_at_the_models_rate_or_at_their_own(store, clips):
    at_own_rate = Embeddings(store).av(Fake(sample_rate=None), clips[:1])
    np.testing.assert_array_equal(at_own_rate.rows[0], noise(0)[:2].astype("f4") / 2**15 * 9)
    half = Fake(version="2", sample_rate=RATE // 2)
    assert Embeddings(store).audio_vectors(half, clips[:2]).rows.shape == (2, 4)


def test_patches_are_read_one_clip_at_a_time(store, clips):
    patches = Embeddings(store).patches(Fake(), clips)
    assert len(patches) == 10
    for number, clip in enumerate(clips):
        samples = noise(number).astype("f4") / 2**15
        np.testing.assert_array_equal(
            patches[clip.id], np.resize(samples, (1 + len(samples) % 3, 4))
        )
    with pytest.raises(KeyError):
        patches["unknown"]


def test_half_precision_gives_the_same_numbers_cold_and_warm(store, clips):
    cold = Embeddings(store, dtype="float16").audio_vectors(Fake(), clips)
    warm = Embeddings(store, dtype="float16").audio_vectors(Fake(), clips)
    np.testing.assert_array_equal(cold.rows, warm.rows)
    np.testing.assert_array_equal(
        cold.rows, expected_vectors(range(10)).astype(np.float16).astype(np.float32)
    )
    assert cold.rows.dtype == np.float32


def test_nothing_to_do_gives_nothing(store):
    found = Embeddings(store).audio_vectors(Fake(), [])
    assert (found.ids, found.rows.shape, found.problems) == ((), (0, 4), ())
    assert dict(Embeddings(store).patches(Fake(), [])) == {}
    assert Embeddings(store).text_vectors(Fake(), []).rows.shape == (0, 4)


def test_progress_counts_every_item_once(store, clips):
    Embeddings(store).audio_vectors(Fake(), clips[:3])
    clips[5].path.write_bytes(b"not audio")
    calls = []
    embeddings = Embeddings(store, progress=lambda *call: calls.append(call))
    embeddings.audio_vectors(Fake(), clips, batch_size=4)
    assert [(total, name) for _, total, name in calls] == [(10, "fake: audio_vectors")] * len(calls)
    done = [done for done, _, _ in calls]
    assert (done[0], done[-1]) == (3, 10)
    assert done == sorted(set(done))


# Bad files


def break_files(clips: list[Clip]) -> list[Clip]:
    clips[1].path.write_bytes(b"not audio at all")
    clips[3].path.write_bytes(b"")
    clips[4].path.unlink()
    clips[6].path.write_bytes(clips[6].path.read_bytes()[:-1200])
    return [*clips, Clip("absent", None)]


@pytest.mark.parametrize("kind", ["audio_vectors", "av", "patches"])
def test_bad_files_are_named_in_order_and_do_not_end_the_run(store, clips, kind):
    clips = break_files(clips)
    for _ in range(2):
        found = getattr(Embeddings(store), kind)(Fake(), clips)
        ids = list(found) if kind == "patches" else list(found.ids)
        assert ids == [f"clip{number}" for number in (0, 2, 5, 7, 8, 9)]
        assert [problem.item for problem in found.problems] == [
            *(f"clip{number}" for number in (1, 3, 4, 6)),
            "absent",
        ]
        for number, problem in zip((1, 3, 4, 6), found.problems[:-1], strict=True):
            assert str(clips[number].path) in problem.reason
        assert "no audio" in found.problems[-1].reason


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_a_clip_that_the_model_cannot_hear_is_its_own_problem(
    store, clips, monkeypatch, batch_size
):
    good, expected = Fake.embed_audio, np.delete(expected_vectors(range(10)), [2, 7], axis=0)
    too_short = [RATE // 10 + 2, RATE // 10 + 7]

    def embed(self, heard):
        for clip in heard:
            if len(clip.samples) in too_short:
                raise ClipError(f"too short: {len(clip.samples)} samples")
        return good(self, heard)

    monkeypatch.setattr(Fake, "embed_audio", embed)
    found = Embeddings(store).audio_vectors(Fake(), clips, batch_size=batch_size)
    assert [(one.item, one.reason) for one in found.problems] == [
        ("clip2", "fake cannot hear it: too short: 802 samples"),
        ("clip7", "fake cannot hear it: too short: 807 samples"),
    ]
    np.testing.assert_array_equal(found.rows, expected)


def test_every_clip_of_a_bad_file_is_named(store, tmp_path):
    clips = make_clips(tmp_path, [1, 2, 1])
    for number in (0, 2):
        clips[number].path.write_bytes(b"the same garbage")
    found = Embeddings(store).audio_vectors(Fake(), clips)
    assert [problem.item for problem in found.problems] == ["clip0", "clip2"]
    assert found.ids == ("clip1",)


def test_a_file_that_is_mended_is_embedded_the_next_time(store, clips):
    whole = clips[1].path.read_bytes()
    clips[1].path.write_bytes(whole[:-1200])
    assert len(Embeddings(store).audio_vectors(Fake(), clips).problems) == 1
    clips[1].path.write_bytes(whole)
    fake = Fake()
    assert Embeddings(store).audio_vectors(fake, clips).problems == ()
    assert fake.heard == [1]


def test_clips_of_the_same_id_are_refused(store, clips):
    with pytest.raises(DataError, match=r"clip ids must be unique.*clip1"):
        Embeddings(store).audio_vectors(Fake(), [*clips, clips[1]])


# Bad models


def nan(rows: np.ndarray) -> np.ndarray:
    rows[2:, 1] = np.nan
    return rows


def infinite(rows: np.ndarray) -> np.ndarray:
    rows[2:, 1] = -np.inf
    return rows


BAD_VECTORS = {
    "nan": (nan, "got nan"),
    "infinite": (infinite, "got -inf"),
    "too long": (lambda rows: np.pad(rows, ((0, 0), (0, 1))), r"shape \(4,\), got .*\(5,\)"),
    "double": (lambda rows: rows.astype(float), "expected NumPy float32 .* got float64"),
    "list": (lambda rows: [list(row) for row in rows], "got <class 'list'>"),
    "not unit": (lambda rows: rows * np.float32(1.002), "expected unit norm .* L2 norm 1.002"),
    "zero": (lambda rows: rows * 0, "L2 norm 0"),
}


@pytest.mark.parametrize("bad", BAD_VECTORS)
def test_a_bad_vector_is_refused_with_the_model_and_the_clip(store, clips, monkeypatch, bad):
    spoil, message = BAD_VECTORS[bad]
    good = Fake.embed_audio
    monkeypatch.setattr(Fake, "embed_audio", lambda self, heard: spoil(good(self, heard)))
    # the first clip is asked for alone; of a batch of three, nan and infinite are in the last row
    name = "clip3" if bad in ("nan", "infinite") else "clip0"
    with pytest.raises(ModelError, match=rf"^fake: audio_vectors of clip {name}: .*{message}"):
        Embeddings(store).audio_vectors(Fake(), clips, batch_size=3)
    (space,) = store.spaces()
    assert len(space) == (3 if name == "clip3" else 0)  # the good rows before it are kept
    assert np.isfinite(list(space.get(space._index.where).values())).all()


def test_a_norm_within_the_tolerance_is_taken(store, clips, monkeypatch):
    good = Fake.embed_audio
    monkeypatch.setattr(Fake, "embed_audio", lambda s, heard: good(s, heard) * np.float32(0.9995))
    assert len(Embeddings(store).audio_vectors(Fake(), clips).ids) == 10


def test_bad_patches_predictions_and_texts_are_refused_too(store, clips, monkeypatch):
    monkeypatch.setattr(Fake, "embed_patches", lambda s, heard: np.empty((0, 4), np.float32))
    with pytest.raises(ModelError, match=r"patches of clip clip0: .*'n_patches', 4\), got"):
        Embeddings(store).patches(Fake(), clips)
    monkeypatch.setattr(Fake, "predict_av", lambda s, heard: np.full((1, 2), np.nan, np.float32))
    with pytest.raises(ModelError, match=r"av of clip clip0: .* got nan"):
        Embeddings(store).av(Fake(), clips)
    monkeypatch.setattr(Fake, "embed_text", lambda s, texts: np.ones((1, 4), np.float32))
    with pytest.raises(ModelError, match=r"text_vectors of 'calm': .* L2 norm 2"):
        Embeddings(store).text_vectors(Fake(), ["calm"])


def test_a_number_beyond_half_precision_is_refused_not_made_infinite(store, clips, monkeypatch):
    monkeypatch.setattr(Fake, "embed_patches", lambda s, heard: np.full((2, 4), 7e4, np.float32))
    with pytest.raises(ModelError, match=r"finite in float16, got 70000"):
        Embeddings(store, dtype="float16").patches(Fake(), clips)


def test_too_few_vectors_are_refused(store, clips, monkeypatch):
    good = Fake.embed_audio
    monkeypatch.setattr(Fake, "embed_audio", lambda self, heard: good(self, heard)[:2])
    with pytest.raises(ModelError, match=r"fake: gave 2 audio_vectors for 3 items \(clip clip1,"):
        Embeddings(store).audio_vectors(Fake(), clips, batch_size=3)


CALLS = {
    "embed_audio": ("audio_vectors", {"batch_size": 3}),
    "predict_av": ("av", {"batch_size": 3}),
    "embed_patches": ("patches", {}),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("failure", [ModelError("out of weights"), RuntimeError("input too short")])
def test_a_models_own_error_names_model_call_and_clip(store, clips, monkeypatch, call, failure):
    """The clip that the model fails on, of a batch of three; what was made before is kept."""
    good, short = getattr(Fake, call), len(noise(5))

    def fail(self, heard):
        if short in [len(clip.samples) for clip in (heard if isinstance(heard, list) else [heard])]:
            raise failure
        return good(self, heard)

    monkeypatch.setattr(Fake, call, fail)
    said = re.escape(str(failure))
    kind, options = CALLS[call]
    with pytest.raises(ModelError, match=rf"^fake: {call} of clip clip5: .*{said}") as caught:
        getattr(Embeddings(store), kind)(Fake(), clips, **options)
    assert caught.value.__cause__ is failure  # its traceback is there for --debug
    (space,) = store.spaces()
    assert len(space) == (5 if call == "embed_patches" else 4)  # 0; 1, 2, 3; then 4 with 5 and 6


def test_an_error_names_the_text_or_all_of_a_batch_if_none_fails_alone(store, clips, monkeypatch):
    good = Fake.embed_text
    monkeypatch.setattr(
        Fake, "embed_text", lambda self, texts: good(self, [{"b": None}.get(t, t) for t in texts])
    )
    with pytest.raises(ModelError, match=r"^fake: embed_text of 'b': \w+Error"):
        Embeddings(store).text_vectors(Fake(), ["a", "b", "c"])

    def fail(self, heard):
        if len(heard) > 1:
            raise MemoryError

        return Fake.embed_audio(self, heard)

    fake = Fake()
    monkeypatch.setattr(fake, "embed_audio", lambda heard: fail(fake, heard))
    with pytest.raises(ModelError, match=r"embed_audio of clip clip1, clip clip2: MemoryError \("):
        Embeddings(store).audio_vectors(fake, clips, batch_size=2)


class Slow(Fake):
    """Takes 4 s a clip on a clock of its own, and is interrupted."""

    def __init__(self, *, until: int = 99) -> None:
        super().__init__()
        self.now, self.until = 0.0, until

    def embed_audio(self, clips: Sequence[Waveform]) -> np.ndarray:
        for _ in clips:
            if self.now >= self.until:
                raise KeyboardInterrupt
            self.now += 4
        return super().embed_audio(clips)


def test_a_slow_model_is_asked_for_ten_seconds_at_once(store, clips):
    slow = Slow()
    found = Embeddings(store, clock=lambda: slow.now).audio_vectors(slow, clips)
    assert slow.heard == [1, 2, 2, 2, 2, 1]
    np.testing.assert_array_equal(found.rows, expected_vectors(range(10)))


@pytest.mark.parametrize("killed_at", [3, 9, 14, 21, 30])
def test_what_a_killed_process_loses_is_at_most_ten_seconds_of_work(
    store, clips, monkeypatch, killed_at
):
    monkeypatch.setattr(Space, "close", lambda self: None)  # as a kill: nothing more is written
    slow = Slow(until=killed_at)
    with pytest.raises(KeyboardInterrupt):
        Embeddings(store, clock=lambda: slow.now).audio_vectors(slow, clips)
    (space,) = Store(store.root).spaces()
    assert slow.now - 4 * len(space) <= 10


def test_a_fast_model_is_asked_in_whole_batches(store, clips):
    fake = Fake()
    Embeddings(store, clock=lambda: 0.0).audio_vectors(fake, clips, batch_size=4)
    assert fake.heard == [1, 4, 4, 1]


def test_a_dimension_that_changed_without_a_new_version_is_refused(store, clips):
    Embeddings(store).audio_vectors(Fake(), clips)
    with pytest.raises(ModelError, match=r"the store has audio_vectors of 4 .* now gives 5"):
        Embeddings(store).audio_vectors(Fake(dimension=5), clips)


@pytest.mark.parametrize("share", [(1, 1), (-1, 2), (0, 0)])
def test_bad_options_are_refused(store, clips, share):
    with pytest.raises(ValueError, match="share must be"):
        Embeddings(store, share=share)
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        Embeddings(store, workers=0)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        Embeddings(store).audio_vectors(Fake(), clips, batch_size=0)
