"""Rendering: the same sound each time, as loud as the score says, and the music that it says."""

import dataclasses
import hashlib
import itertools
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.datasets.base import DataError
from earmark.datasets.etude import render as rendering
from earmark.datasets.etude.compose import compose
from earmark.datasets.etude.render import render
from earmark.datasets.etude.score import PITCH_CLASSES, VERSION

RATE = 22_050


def quantised(samples):
    return np.round(samples * 32767).astype("<i2").tobytes()


def digest(*numbers):
    sounds = (quantised(render(compose(n, seed=0, seconds=5))) for n in numbers)
    return hashlib.sha256(b"".join(sounds)).hexdigest()


def test_this_version_renders_these_bytes():
    # If you meant to change what tracks sound like, raise score.VERSION and pin both anew: corpora
    # of another version are other data. If not, a change of yours or another release of NumPy or
    # SciPy moved them: find out which, since numbers on the corpus are then no longer comparable.
    assert (VERSION, digest(*range(10))) == (
        "2",
        "503bdb8280924e2d31497b2d2084a783ea682315e0a81075230cf39f90b9cd66",
    )


def test_bytes_depend_on_no_other_track_and_no_cache(monkeypatch):
    first = render(compose(6, seed=0, seconds=5))
    monkeypatch.setattr(rendering, "_BANK", rendering._Bank(0))
    render(compose(3, seed=1, seconds=8))
    np.testing.assert_array_equal(render(compose(6, seed=0, seconds=5)), first)


def test_bytes_are_those_of_a_processor_without_wide_registers():
    simd = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not simd:
        pytest.skip("this build of NumPy has nothing to switch off")
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import hashlib, numpy\n"
        "from earmark.datasets.etude.compose import compose\n"
        "from earmark.datasets.etude.render import render\n"
        "assert not numpy.show_config(mode='dicts')['SIMD Extensions'].get('found')\n"
        "sounds = (render(compose(n, seed=0, seconds=5)).tobytes() for n in range(10))\n"
        "print(hashlib.sha256(b''.join(sounds)).hexdigest())\n"
    )
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(simd)}
    plain = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    here = (render(compose(n, seed=0, seconds=5)).tobytes() for n in range(10))
    assert plain == hashlib.sha256(b"".join(here)).hexdigest()


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 100), st.floats(2, 12))
def test_tracks_are_as_loud_as_stated_and_neither_clip_nor_fall_silent(number, seed, seconds):
    score = compose(number, seed=seed, seconds=seconds)
    samples = render(score)
    assert samples.dtype == np.float32
    assert samples.shape == (round(seconds * RATE),)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= rendering.CEILING
    assert rendering.loudness(samples, RATE) == pytest.approx(score.loudness, abs=0.5)
    quarters = samples[: samples.size // 5512 * 5512].reshape(-1, 5512)
    level = np.sqrt(np.mean(quarters.astype(float) ** 2, axis=1))
    silent = "".join("x" if quiet else " " for quiet in level < 1e-3 * level.max())
    assert "x" * 8 not in silent
    assert silent[0] == " "


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_tracks_sound_alike_at_another_rate(rate):
    score = compose(5, seed=0, seconds=4)
    samples = render(score, sample_rate=rate)
    assert samples.shape == (4 * rate,)
    assert rendering.loudness(samples, rate) == pytest.approx(score.loudness, abs=0.2)
    power = np.abs(np.fft.rfft(samples[: 4 * rate].astype(float)))[: 4 * 1000]
    usual = np.abs(np.fft.rfft(render(score).astype(float)))[: 4 * 1000]
    bands = [np.log10(x.reshape(-1, 400).sum(axis=1)) for x in (power, usual)]
    assert np.corrcoef(*bands)[0, 1] > 0.9


@pytest.mark.parametrize("rate", [0, 7_999, 48_001, -22_050])
def test_a_rate_out_of_range_is_named(rate):
    with pytest.raises(DataError, match=rf"Etude renders at 8000 to 48000 Hz, got {rate}"):
        render(compose(0, seed=0, seconds=3), sample_rate=rate)


def test_notes_sound_when_and_where_the_score_has_them():
    score = compose(1, seed=0, seconds=6)
    part = max(score.parts, key=lambda p: p.role == "lead")
    note = part.notes[0]
    alone = dataclasses.replace(
        score,
        parts=(
            dataclasses.replace(part, notes=(note._replace(start=2.0, duration=1.0, pitch=69),)),
        ),
        room=dataclasses.replace(score.room, wet=0.0),
        loudness=-20.0,
    )
    samples = render(alone).astype(float)
    assert np.abs(samples[: round(1.99 * RATE)]).max() < 1e-4
    assert np.abs(samples[round(3.5 * RATE) :]).max() < 1e-4
    heard = samples[round(2.2 * RATE) : round(2.9 * RATE)]
    power = np.abs(np.fft.rfft(heard * np.hanning(heard.size), 2**18))
    hertz = np.fft.rfftfreq(2**18, 1 / RATE)
    near = (hertz > 420) & (hertz < 460)
    assert hertz[near][power[near].argmax()] == pytest.approx(440, rel=0.015)


@pytest.mark.parametrize("number", range(10))
def test_every_part_is_heard_where_it_plays(number):
    score = compose(number, seed=2, seconds=8)
    whole = rendering_without(score, None)
    for index, part in enumerate(score.parts):
        without = rendering_without(score, index)
        for section in score.sections:
            span = slice(round(section.start * RATE), round(section.end * RATE))
            changed = np.abs(whole[span] - without[span]).max()
            if index in section.texture and any(
                section.start <= note.start < section.end - 0.2 for note in part.notes
            ):
                assert changed > 0.003, (part.voice, section)


def rendering_without(score, index):
    """Return a track's mix before the master, which would level out what is missing."""
    n_samples = round(score.seconds * RATE)
    parts = [part for i, part in enumerate(score.parts) if i != index]
    played = [rendering._played(part, n_samples, RATE) for part in parts]
    return np.sum([np.zeros(n_samples, np.float32), *played], axis=0)


def test_sections_differ_in_sound():
    differing = 0
    for number in range(20):
        score = compose(number, seed=4, seconds=10)
        samples = render(score).astype(float)
        spectra = []
        for section in score.sections:
            heard = samples[round(section.start * RATE) : round(section.end * RATE)]
            edges = np.geomspace(50, 10_000, 25) / RATE * heard.size
            power = np.abs(np.fft.rfft(heard)) ** 2 / heard.size
            bands = np.add.reduceat(power, np.unique(edges.astype(int)))[:-1]
            spectra.append(10 * np.log10(bands[:20] + 1e-12))
        steps = [np.abs(a - b).mean() for a, b in itertools.pairwise(spectra)]
        differing += max(steps) > 3
    assert differing >= 17


def test_kept_notes_stay_within_their_memory():
    bank = rendering._Bank(2**20)
    for pitch in range(60, 79):
        note = bank.note("flute", pitch, 1000, RATE)
        assert note.size >= 1000
        assert bank._used == sum(kept.nbytes for kept in bank._kept.values()) <= 2**20
    assert bank.note("flute", 78, 1000, RATE) is note
    longer = bank.note("flute", 78, 2 * RATE, RATE)
    np.testing.assert_array_equal(longer[: note.size], note)
    assert bank._used == sum(kept.nbytes for kept in bank._kept.values())


def test_essentia_hears_the_tempo_key_and_loudness_of_the_score():
    es = pytest.importorskip("essentia.standard", reason="Essentia is not installed")
    heard = Counter()
    for number in range(12):
        score = compose(number, seed=5, seconds=10)
        # Essentia's rhythm extractor takes 44.1 kHz.
        samples = render(score, sample_rate=44_100)
        tempo = es.RhythmExtractor2013(method="multifeature")(samples)[0]
        ratios = (0.5, 1, 2, 3) if score.metre == "6/8" else (0.5, 1, 2)
        heard["tempo"] += any(abs(tempo / (score.tempo * r) - 1) < 0.04 for r in ratios)
        key, mode, _ = es.KeyExtractor(profileType="bgate")(samples)
        above = (semitones(key) - score.tonic) % 12
        relative = 9 if score.mode == "major" else 3
        heard["key"] += above == 0 and mode == score.mode
        heard["near key"] += (above, mode == score.mode) in [
            (0, True),
            (5, True),
            (7, True),
            (relative, False),
        ]
        stereo = np.stack([samples, np.zeros_like(samples)], axis=1)
        integrated = es.LoudnessEBUR128(sampleRate=44_100)(stereo)[2]
        assert integrated == pytest.approx(score.loudness, abs=0.5)
    assert heard["tempo"] >= 9
    assert heard["key"] >= 6
    assert heard["near key"] >= 8


def semitones(name):
    sharps = {"C#": "Db", "D#": "Eb", "F#": "Gb", "G#": "Ab", "A#": "Bb"}
    return PITCH_CLASSES.index(sharps.get(name, name))
