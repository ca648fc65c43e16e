"""How fast MusCALL's audio tower and its front end are, against a plain way to the same numbers.

Run it by name (it is no part of the tests): ``pytest bench/speed/test_muscall_speed.py -s``.

The plain way is what the parts above are usually written as, and what the released code does:
torchaudio's mel spectrogram and decibels, BatchNorm beside the convolutions, memory in PyTorch's
default order, attention from every place of the map of which only the first answer is kept, and
the whole batch at once. On a quiet machine of two cores the released code encodes 54 clips of
20 s a second at its best batch size; the target is 1.3 times that. A shared machine says little in
clips a second, so both ways run in turns and the ratio of their best runs is what is asserted, and
only where the process was given its two cores. Results are compared before anything is timed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor
from torchaudio.functional import resample
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

from earmark.datasets.audio import load
from earmark.models.muscall import RELEASED, MusCALL
from earmark.models.muscall.resnet import AttentionPool

BATCH_SIZES = (1, 8, 32)
CLIP_SAMPLES = 20 * 16_000
TARGET = 1.3
ROUNDS = 7
ENOUGH_CORES = 1.4

# The released front end's filters above Nyquist; see the presets.
pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filterbank")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model() -> MusCALL:
    torch.manual_seed(0)
    model = MusCALL.from_preset("released")
    for module in model.audio_encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean = 0.1 * torch.randn(module.num_features)
            module.running_var = 0.5 + torch.rand(module.num_features)
    return model


def noise(n_clips: int, n_samples: int = CLIP_SAMPLES) -> Tensor:
    return 0.1 * torch.randn(n_clips, n_samples, generator=torch.Generator().manual_seed(n_clips))


class PlainFrontEnd:
    def __init__(self) -> None:
        audio = RELEASED.audio
        self.mel = MelSpectrogram(
            sample_rate=audio.sample_rate,
            n_fft=audio.n_fft,
            hop_length=audio.hop_length,
            f_min=audio.f_min,
            f_max=audio.f_max,
            n_mels=audio.n_mels,
            normalized=True,
        )
        self.decibels = AmplitudeToDB(top_db=audio.top_db)

    def __call__(self, waveforms: Tensor) -> Tensor:
        power = self.mel(waveforms).unsqueeze(1)
        decibels: Tensor = self.decibels(power)
        return decibels.squeeze(1)


def attend_from_everywhere(pool: AttentionPool, x: Tensor) -> Tensor:
    tokens = pool.tokens(x).transpose(0, 1)
    answers, _ = F.multi_head_attention_forward(
        tokens,
        tokens,
        tokens,
        tokens.shape[2],
        pool.heads,
        in_proj_weight=None,
        in_proj_bias=torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool.c_proj.weight,
        out_proj_bias=pool.c_proj.bias,
        training=False,
        need_weights=False,
        use_separate_proj_weight=True,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
    )
    return answers[0]


def plain_tower(model: MusCALL) -> Callable[[Tensor], Tensor]:
    encoder, front_end = model.audio_encoder, PlainFrontEnd()
    assert isinstance(encoder.pool, AttentionPool)
    pool = encoder.pool

    @torch.no_grad()
    def encode(waveforms: Tensor) -> Tensor:
        x = front_end(waveforms).unsqueeze(1)
        for number in (1, 2, 3):
            convolution, norm = getattr(encoder, f"conv{number}"), getattr(encoder, f"bn{number}")
            x = encoder.relu(norm(convolution(x)))
        x = encoder.stem_pool(x)
        x = encoder.layer4(encoder.layer3(encoder.layer2(encoder.layer1(x))))
        return F.normalize(model.audio_projection(attend_from_everywhere(pool, x)), dim=1)

    return encode


def assert_same(ours: Tensor, reference: Tensor) -> None:
    assert (ours - reference).abs().max() <= 1e-4 * reference.abs().max()


@dataclass
class Runs:
    """Wall-clock and processor seconds of each run of one way."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def time(self, run: Callable[[], object]) -> None:
        processor, wall = time.process_time(), time.perf_counter()
        run()
        self.wall.append(time.perf_counter() - wall)
        self.processor.append(time.process_time() - processor)


def in_turns(
    ours: Callable[[], object], plain: Callable[[], object], *, rounds: int = ROUNDS
) -> tuple[Runs, Runs]:
    """Time both, taking turns so that both meet the same load."""
    taken = Runs(), Runs()
    for _ in range(rounds):
        taken[0].time(ours)
        taken[1].time(plain)
    return taken


def report(benchmark: BenchmarkFixture, what: str, n_clips: int, taken: tuple[Runs, Runs]) -> None:
    ours, plain = taken
    pairs = zip(ours.wall, plain.wall, strict=True)
    figures = {
        "clips_per_second": n_clips / min(ours.wall),
        "plain_clips_per_second": n_clips / min(plain.wall),
        "ratio_of_best": min(plain.wall) / min(ours.wall),
        "median_ratio": statistics.median(theirs / own for own, theirs in pairs),
        "processor_ratio": min(plain.processor) / min(ours.processor),
        "cores_got": cores_got(ours, plain),
    }
    benchmark.extra_info |= figures
    print(f"\n{what}: " + ", ".join(f"{name} {value:.2f}" for name, value in figures.items()))


def record(benchmark: Any, run: Callable[[], object]) -> None:
    """Time ours once more for pytest-benchmark's own table (its fixture is not annotated)."""
    benchmark.pedantic(run, rounds=3)


def cores_got(*runs: Runs) -> float:
    """Return how many cores the process was given on the whole: near 2 on a quiet machine."""
    return sum(sum(each.processor) for each in runs) / sum(sum(each.wall) for each in runs)


@pytest.mark.parametrize("n_clips", BATCH_SIZES)
def test_audio_tower(benchmark: BenchmarkFixture, model: MusCALL, n_clips: int) -> None:
    waveforms, fast, plain = noise(n_clips), model.for_inference(), plain_tower(model)
    assert_same(fast.encode_audio(waveforms), plain(waveforms))
    taken = in_turns(lambda: fast.encode_audio(waveforms), lambda: plain(waveforms))
    report(benchmark, f"audio tower, batch {n_clips}", n_clips, taken)
    record(benchmark, partial(fast.encode_audio, waveforms))


def test_audio_tower_at_its_best_batch_beats_the_plain_one_at_its_best(
    benchmark: BenchmarkFixture, model: MusCALL
) -> None:
    fast, plain = model.for_inference(), plain_tower(model)
    batches = [noise(n_clips) for n_clips in BATCH_SIZES]
    of_batch = {
        len(waveforms): in_turns(partial(fast.encode_audio, waveforms), partial(plain, waveforms))
        for waveforms in batches
    }
    best, plain_best = (
        max(n_clips / min(taken[way].wall) for n_clips, taken in of_batch.items()) for way in (0, 1)
    )
    cores = cores_got(*(runs for taken in of_batch.values() for runs in taken))
    benchmark.extra_info |= {"ratio": best / plain_best, "cores_got": cores}
    print(
        f"\naudio tower, best batch of each: {best:.1f} clips/s, plain {plain_best:.1f}, ratio "
        f"{best / plain_best:.2f}, cores_got {cores:.2f}"
    )
    record(benchmark, partial(fast.encode_audio, batches[1]))
    if cores < ENOUGH_CORES:
        pytest.skip(f"got {cores:.2f} of 2 cores: others are at work, this was no measurement")
    assert best / plain_best >= TARGET


@pytest.mark.parametrize("n_clips", BATCH_SIZES)
def test_log_mel(benchmark: BenchmarkFixture, model: MusCALL, n_clips: int) -> None:
    waveforms, plain = noise(n_clips), PlainFrontEnd()
    assert_same(model.log_mel(waveforms), plain(waveforms))
    with torch.inference_mode():
        taken = in_turns(lambda: model.log_mel(waveforms), lambda: plain(waveforms))
        report(benchmark, f"log-mel, batch {n_clips}", n_clips, taken)
        record(benchmark, partial(model.log_mel, waveforms))


def test_loading_and_resampling_a_stereo_file(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Ours mixes down first and keeps the kernel; the plain way does neither."""
    path = tmp_path / "stereo.wav"
    soundfile.write(path, noise(2, 20 * 44_100).T.numpy(), 44_100, subtype="FLOAT")

    def ours() -> Tensor:
        return torch.from_numpy(load(path, sample_rate=16_000).samples)

    def plain() -> Tensor:
        samples, rate = soundfile.read(path, dtype="float32")
        resampled: Tensor = resample(torch.from_numpy(samples.T.copy()), rate, 16_000)
        return resampled.mean(dim=0)

    assert_same(ours(), plain())
    report(benchmark, "44.1 kHz stereo to 16 kHz mono", 1, in_turns(ours, plain, rounds=30))
    record(benchmark, ours)
