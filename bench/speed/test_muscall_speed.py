"""How fast MusCALL's audio tower and its front end are, against a plain way to the same numbers.

The plain way is what the parts above are usually written as, and what the released code does:
torchaudio's mel spectrogram and decibels, BatchNorm beside the convolutions, memory in PyTorch's
default order, attention from every place of the map of which only the first answer is kept, and
the whole batch at once. Both sides have two threads. At its best batch size each, ours is to be 1.3
times as fast.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor
from torchaudio.functional import resample
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

from earmark.datasets.audio import load
from earmark.models.muscall import RELEASED, MusCALL
from earmark.models.muscall.audio import AttentionPool
from earmark.reports.page.speed import Ratio

BATCH_SIZES = (1, 8, 32)
CLIP_SAMPLES = 20 * 16_000

# The released front end's filters above Nyquist; see the presets.
pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filterbank")


@pytest.fixture(autouse=True)
def two_threads(threads: Callable[[int], None]) -> None:
    threads(2)


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


@pytest.mark.parametrize("n_clips", BATCH_SIZES)
def test_audio_tower(ratio: Callable[..., Ratio], model: MusCALL, n_clips: int) -> None:
    waveforms, fast, plain = noise(n_clips), model.for_inference(), plain_tower(model)
    ratio(
        f"audio tower, batch {n_clips}",
        ours=lambda: fast.encode_audio(waveforms),
        plain=lambda: plain(waveforms),
        same=assert_same,
        cores=2,
    )


def test_audio_tower_at_its_best_batch_against_the_plain_one_at_its_best(
    ratio: Callable[..., Ratio], model: MusCALL
) -> None:
    fast, plain = model.for_inference(), plain_tower(model)
    waveforms, others = best_batch(fast.encode_audio), best_batch(plain)
    n_compared = min(len(waveforms), len(others))
    ratio(
        "audio tower, best batch of each",
        ours=lambda: fast.encode_audio(waveforms),
        plain=lambda: plain(others),
        same=lambda mine, theirs: assert_same(mine[:n_compared], plain(waveforms[:n_compared])),
        share=len(others) / len(waveforms),
        cores=2,
    )


def best_batch(encode: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the batch of which most clips are encoded a second."""
    speeds = {}
    for n_clips in BATCH_SIZES:
        waveforms = noise(n_clips)
        encode(waveforms)
        started = time.perf_counter()
        encode(waveforms)
        speeds[n_clips] = n_clips / (time.perf_counter() - started)
    return noise(max(speeds, key=speeds.__getitem__))


@pytest.mark.parametrize("n_clips", BATCH_SIZES)
def test_log_mel(ratio: Callable[..., Ratio], model: MusCALL, n_clips: int) -> None:
    waveforms, plain = noise(n_clips), PlainFrontEnd()
    with torch.inference_mode():
        ratio(
            f"log-mel, batch {n_clips}",
            ours=lambda: model.log_mel(waveforms),
            plain=lambda: plain(waveforms),
            same=assert_same,
            rounds=15,
            processor_time=True,
        )


def test_loading_and_resampling_a_stereo_file(ratio: Callable[..., Ratio], tmp_path: Path) -> None:
    """Ours mixes down first and keeps the kernel; the plain way does neither."""
    path = tmp_path / "stereo.wav"
    soundfile.write(path, noise(2, 20 * 44_100).T.numpy(), 44_100, subtype="FLOAT")

    def ours() -> Tensor:
        return torch.from_numpy(load(path, sample_rate=16_000).samples)

    def plain() -> Tensor:
        samples, rate = soundfile.read(path, dtype="float32")
        resampled: Tensor = resample(torch.from_numpy(samples.T.copy()), rate, 16_000)
        return resampled.mean(dim=0)

    ratio(
        "loading a 44.1 kHz stereo file at 16 kHz",
        ours=ours,
        plain=plain,
        same=assert_same,
        rounds=25,
        processor_time=True,
    )
