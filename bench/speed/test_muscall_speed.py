"""How fast MusCALL's audio tower and its front end are, against a plain way to the same numbers.

Run it by name (it is no part of the tests): ``pytest bench/speed/test_muscall_speed.py -s``.

The plain way is what the parts above are usually written as, and what the released code does:
torchaudio's mel spectrogram and decibels, BatchNorm beside the convolutions, memory in PyTorch's
default order, attention from every place of the map of which only the first answer is kept, and
the whole batch at once. On a quiet machine of two cores the released code encodes 54 clips of
20 s a second at its best batch size; the target is 1.3 times that. A shared machine says little in
clips a second, so both ways run in turns and the ratio is what is asserted. Results are compared
before anything is timed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor
from torchaudio.functional import resample
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram, Resample

from earmark.models.muscall import RELEASED, MusCALL
from earmark.models.muscall.resnet import AttentionPool

BATCH_SIZES = (1, 8, 32)
CLIP_SAMPLES = 20 * 16_000
TARGET = 1.3
ROUNDS = 7

Taken = tuple[list[float], list[float]]
"""Seconds of each run of ours, and of the plain way."""

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


def in_turns(
    ours: Callable[[], object], plain: Callable[[], object], *, rounds: int = ROUNDS
) -> Taken:
    """Return the seconds of each run of both, which take turns so that both meet the same load."""
    taken: Taken = ([], [])
    for _ in range(rounds):
        for run, seconds in zip((ours, plain), taken, strict=True):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
    return taken


def report(benchmark: BenchmarkFixture, what: str, n_clips: int, taken: Taken) -> None:
    ours, plain = taken
    ratio = statistics.median(b / a for a, b in zip(ours, plain, strict=True))
    rates = {
        "clips_per_second": n_clips / statistics.median(ours),
        "plain_clips_per_second": n_clips / statistics.median(plain),
        "ratio": ratio,
    }
    benchmark.extra_info |= rates
    print(
        f"\n{what}: {rates['clips_per_second']:.1f} clips/s, plain "
        f"{rates['plain_clips_per_second']:.1f}, median ratio {ratio:.2f}"
    )


@pytest.mark.parametrize("n_clips", BATCH_SIZES)
def test_audio_tower(benchmark: BenchmarkFixture, model: MusCALL, n_clips: int) -> None:
    waveforms, fast, plain = noise(n_clips), model.for_inference(), plain_tower(model)
    assert_same(fast.encode_audio(waveforms), plain(waveforms))
    taken = in_turns(lambda: fast.encode_audio(waveforms), lambda: plain(waveforms))
    report(benchmark, f"audio tower, batch {n_clips}", n_clips, taken)
    benchmark.pedantic(fast.encode_audio, args=(waveforms,), rounds=3)


def test_audio_tower_at_its_best_batch_beats_the_plain_one_at_its_best(
    benchmark: BenchmarkFixture, model: MusCALL
) -> None:
    fast, plain = model.for_inference(), plain_tower(model)
    batches = [noise(n_clips) for n_clips in BATCH_SIZES]
    ratios = []
    for _ in range(ROUNDS):
        best = [0.0, 0.0]
        for waveforms in batches:
            taken = in_turns(
                partial(fast.encode_audio, waveforms), partial(plain, waveforms), rounds=1
            )
            best = [max(b, len(waveforms) / t[0]) for b, t in zip(best, taken, strict=True)]
        ratios.append(best[0] / best[1])
    ratio = statistics.median(ratios)
    benchmark.extra_info |= {"ratio": ratio, "ratios": ratios}
    print(f"\naudio tower, best batch of each: median ratio {ratio:.2f} of {sorted(ratios)}")
    benchmark.pedantic(fast.encode_audio, args=(batches[1],), rounds=3)
    assert ratio >= TARGET


@pytest.mark.parametrize("n_clips", BATCH_SIZES)
def test_log_mel(benchmark: BenchmarkFixture, model: MusCALL, n_clips: int) -> None:
    waveforms, plain = noise(n_clips), PlainFrontEnd()
    assert_same(model.log_mel(waveforms), plain(waveforms))
    with torch.inference_mode():
        taken = in_turns(lambda: model.log_mel(waveforms), lambda: plain(waveforms))
        report(benchmark, f"log-mel, batch {n_clips}", n_clips, taken)
        benchmark.pedantic(model.log_mel, args=(waveforms,), rounds=3)


def test_resampling_after_downmix_with_a_kept_kernel(benchmark: BenchmarkFixture) -> None:
    stereo = noise(2, 20 * 44_100)
    kept = Resample(44_100, 16_000)

    def ours() -> Tensor:
        resampled: Tensor = kept(stereo.mean(dim=0))
        return resampled

    def plain() -> Tensor:
        return resample(stereo, 44_100, 16_000).mean(dim=0)

    assert_same(ours(), plain())
    report(benchmark, "resampling 44.1 to 16 kHz", 1, in_turns(ours, plain, rounds=30))
    benchmark.pedantic(ours, rounds=10)
