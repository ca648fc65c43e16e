"""Audio to patches: Essentia's mel bands, cut and projected with NumPy, are what is expected."""

import numpy as np
import pytest
import soundfile
from frozen_graphs import MUSICNN, RATE, VGGISH, music, projection, write_backbone

from earmark.datasets.audio import Waveform, load
from earmark.models.base import ClipError, ModelError
from earmark.models.essentia import library as essentia_library
from earmark.models.essentia.av import essentia_av
from earmark.models.essentia.backbones import SPECS, EssentiaBackbone
from earmark.models.essentia.library import read_graph

pytestmark = pytest.mark.usefixtures("essentia_installed")


def mel_frames(samples, spec):
    from essentia import standard

    vggish = spec is VGGISH
    bands = standard.TensorflowInputVGGish() if vggish else standard.TensorflowInputMusiCNN()
    frames = standard.FrameGenerator(
        samples,
        frameSize=400 if vggish else 512,
        hopSize=spec.frame_hop,
        startFromZero=False,
        validFrameThresholdRatio=0,
    )
    return np.array([bands(frame) for frame in frames])


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_backbone_gives_its_patches_in_order(tmp_path, spec):
    backbone = EssentiaBackbone(read_graph(write_backbone(tmp_path / "backbone.pb", spec)))
    clip = music()
    frames = mel_frames(clip.samples, spec)
    starts = range(0, len(frames) - spec.patch_frames + 1, spec.hop_frames)
    expected = [frames[s : s + spec.patch_frames].mean(axis=0) @ projection(spec) for s in starts]
    found = backbone.embed_patches(clip)
    assert found.dtype == np.float32
    # EffNet's algorithm leaves out a last patch that ends with the last frame.
    assert found.shape[0] in (len(expected), len(expected) - 1)
    assert found.shape[1] == spec.dimension == backbone.dimension
    np.testing.assert_allclose(found, expected[: len(found)], atol=2e-4)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampling_equals_monoloader_at_its_default_quality(tmp_path, affine, rate):
    from essentia import standard

    path = tmp_path / "clip.wav"
    stereo = np.stack([music(rate=rate).samples, music(rate=rate, seed=1).samples], axis=1)
    soundfile.write(path, stereo, rate)
    loaded = standard.MonoLoader(filename=str(path), sampleRate=RATE, resampleQuality=1)()
    expected = affine.embedder.embed_patches(Waveform(loaded, RATE))
    np.testing.assert_array_equal(affine.embedder.embed_patches(load(path)), expected)


def test_a_real_file_equals_monoloader_and_another_quality_does_not(
    shared_data, shared_models, tmp_path
):
    from essentia import standard

    path = shared_data / "gtzan_excerpts" / "genres" / "metal" / "metal.00020.flac"
    model = essentia_av(head="emomusic-msd-musicnn-2", weights=str(shared_models / "essentia"))
    heard = {
        quality: Waveform(
            standard.MonoLoader(filename=str(path), sampleRate=RATE, resampleQuality=quality)(),
            RATE,
        )
        for quality in (1, 4)
    }
    own = model.embedder.embed_patches(load(path))
    np.testing.assert_array_equal(own, model.embedder.embed_patches(heard[1]))
    assert np.abs(own - model.embedder.embed_patches(heard[4])).max() > 1
    av = model.predict_av([load(path), heard[1], heard[4]])
    np.testing.assert_array_equal(av[0], av[1])
    assert np.abs(av[0] - av[2]).max() > 0.1


@pytest.mark.parametrize("seconds", [0.01, 0.4, 1, 2.9])
def test_a_clip_shorter_than_a_patch_counts_as_repeated(affine, seconds):
    short = music(seconds)
    repeated = Waveform(np.resize(short.samples, 187 * 256), RATE)
    found = affine.embedder.embed_patches(short)
    assert found.shape == (1, 200)
    np.testing.assert_array_equal(found, affine.embedder.embed_patches(repeated))


def test_a_clip_of_just_one_patch_is_not_repeated(affine):
    one = music(3).samples[: 185 * 256 + 1]  # 187 frames, the first and the last half empty
    frames = mel_frames(one, MUSICNN)
    assert len(frames) == 187
    expected = frames.mean(axis=0) @ projection(MUSICNN)
    found = affine.embedder.embed_patches(Waveform(one, RATE))
    np.testing.assert_allclose(found, expected[None], atol=2e-4)


def test_what_follows_the_last_whole_patch_is_not_heard(affine):
    clip = music(6)
    longer = Waveform(np.concatenate([clip.samples, music(0.5, seed=3).samples]), RATE)
    before = affine.embedder.embed_patches(clip)
    np.testing.assert_array_equal(affine.embedder.embed_patches(longer)[:-1], before[:-1])
    assert len(affine.embedder.embed_patches(longer)) == len(before)


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [
        (np.zeros(0), RATE, r"mono and not empty, got shape \(0,\)"),
        (np.zeros((9, 2)), RATE, r"mono and not empty, got shape \(9, 2\)"),
        (np.array([0, np.nan]), RATE, "not finite"),
        (np.ones(2), 44100, "too short to resample: 4.5e-05 s at 44100 Hz"),
        (np.ones(9000), 16000 * 257, "resampling: Essentia fails"),
    ],
)
def test_a_clip_that_cannot_be_heard_is_refused(affine, samples, rate, said):
    with pytest.raises(ModelError, match=said):
        affine.predict_av([Waveform(samples.astype(np.float32), rate)])


def test_a_clip_too_short_to_resample_is_no_fault_of_the_model(affine):
    with pytest.raises(ClipError):
        affine.predict_av([Waveform(np.ones(1, np.float32), 44100)])


def test_silence_has_finite_values(affine):
    assert np.isfinite(affine.predict_av([Waveform(np.zeros(RATE, np.float32), RATE)])).all()


# Loudness


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
@pytest.mark.parametrize("dbfs", [-23.0, -33.0])
def test_loudness_of_a_sine_is_that_of_ebu_tech_3341(rate, dbfs):
    # EBU Tech 3341, cases 1 and 2: a stereo sine of 1000 Hz at -23 (-33) dBFS is -23 (-33) LUFS.
    time = np.arange(20 * rate) / rate
    sine = (10 ** (dbfs / 20) * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    assert essentia_library.integrated_loudness(sine, rate) == pytest.approx(dbfs, abs=0.1)


def test_loudness_of_a_short_clip_is_that_of_its_repetition():
    clip = music(0.2, 44100)
    once = essentia_library.integrated_loudness(clip.samples, 44100)
    often = essentia_library.integrated_loudness(np.tile(clip.samples, 20), 44100)
    assert once == pytest.approx(often, abs=0.5)


@pytest.mark.parametrize("gain", [0.1, 3.0])
def test_normalised_clips_do_not_depend_on_their_level(weights, gain):
    graph = read_graph(weights / "backbone.pb")
    normalised = EssentiaBackbone(graph, loudness=-20)
    clip = music(rate=22050)
    other = Waveform(clip.samples * np.float32(gain), 22050)
    np.testing.assert_allclose(
        normalised.embed_patches(clip), normalised.embed_patches(other), rtol=1e-3, atol=1e-3
    )
    plain = EssentiaBackbone(graph)
    assert np.abs(plain.embed_patches(clip) - plain.embed_patches(other)).max() > 0.1


def test_a_clip_at_the_target_is_left_as_it_is(weights):
    clip = music(rate=44100)
    loudness = essentia_library.integrated_loudness(clip.samples, 44100)
    graph = read_graph(weights / "backbone.pb")
    np.testing.assert_allclose(
        EssentiaBackbone(graph, loudness=loudness).embed_patches(clip),
        EssentiaBackbone(graph).embed_patches(clip),
        atol=1e-4,
    )


def test_a_clip_below_the_gate_cannot_be_normalised(weights):
    backbone = EssentiaBackbone(read_graph(weights / "backbone.pb"), loudness=-20)
    quiet = Waveform(music().samples * np.float32(1e-5), RATE)
    with pytest.raises(ModelError, match="no block is above -70 LUFS"):
        backbone.embed_patches(quiet)
