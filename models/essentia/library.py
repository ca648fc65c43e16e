"""Essentia itself: imported late, silenced, its complaints turned into ours.

Essentia is AGPL-3.0. It is imported when an Essentia model first computes something, not before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np

from earmark.models.base import ClipError, Floats, ModelError
from earmark.models.essentia.essentia_graph import Graph
from earmark.models.support.adapter import install_command

SAMPLE_RATE = 16000
"""In Hz, of what every backbone hears."""
RESAMPLE_QUALITY = 1
GATE_LUFS = -70.0
"""Absolute gate of EBU R 128: below it there is no loudness to normalise."""
_SHORTEST_LOUDNESS_S = 0.5
"""Loudness is an average over blocks of 0.4 s: a shorter clip is repeated for its measurement."""


def _install() -> str:
    return f"{install_command('essentia')} (AGPL-3.0)"


def resample(samples: Floats, from_hz: int) -> Floats:
    """Return samples at 16 kHz as Essentia's ``MonoLoader`` gives them by default."""
    resampler = _standard().Resample(
        inputSampleRate=from_hz, outputSampleRate=SAMPLE_RATE, quality=RESAMPLE_QUALITY
    )
    resampled = np.asarray(run(resampler, samples, source="resampling"), np.float32)
    if not resampled.size:
        raise ClipError(f"too short to resample: {samples.size / from_hz:.2g} s at {from_hz} Hz")
    return resampled


def integrated_loudness(samples: Floats, sample_rate: int) -> float:
    """Return EBU R 128 integrated loudness in LUFS of mono audio as two equal channels.

    Raises
    ------
    ClipError
        If no block of 0.4 s is above the absolute gate.
    """
    heard = np.resize(samples, max(samples.size, int(_SHORTEST_LOUDNESS_S * sample_rate)))
    meter = _standard().LoudnessEBUR128(sampleRate=sample_rate)
    loudness = float(run(meter, np.stack([heard, heard], axis=1), source="loudness")[2])
    if loudness <= GATE_LUFS:
        raise ClipError(f"no block is above {GATE_LUFS:g} LUFS: its loudness cannot be normalised")
    return loudness


def load(algorithm: str, graph: Graph, **parameters: Any) -> Any:
    """Return a predicting algorithm of Essentia's with the graph loaded.

    Raises
    ------
    ModelError
        If Essentia has no TensorFlow, or refuses the graph.
    """
    factory = getattr(_standard(), algorithm, None)
    if factory is None:
        raise ModelError(
            f"this Essentia has no {algorithm}: install the one with TensorFlow: {_install()}"
        )
    try:
        with _quiet():
            return factory(graphFilename=str(graph.path), **parameters)
    except RuntimeError as error:
        raise ModelError(f"{graph.path}: Essentia cannot load it: {_first_line(error)}") from error


def run(algorithm: Any, *inputs: Any, source: str) -> Any:
    """Return what an algorithm of Essentia's computes; its complaint becomes a ModelError."""
    try:
        with _quiet():
            return algorithm(*inputs)
    except RuntimeError as error:
        raise ModelError(f"{source}: Essentia fails: {_first_line(error)}") from error


def library_version() -> str:
    """Return name and version of the installed Essentia, without importing it where possible.

    Raises
    ------
    ModelError
        If there is none.
    """
    for name in ("essentia-tensorflow", "essentia"):
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return f"essentia {_essentia().__version__}"  # built from source


@cache
def _essentia() -> Any:
    # Read once, when TensorFlow is loaded: 2 hides notes and warnings, and leaves errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import essentia
    except ImportError as error:
        raise ModelError(
            f"Essentia models need essentia-tensorflow: {_install()}; {error}"
        ) from error
    return essentia


@cache
def _standard() -> Any:
    with _quiet():
        import essentia.standard
    return essentia.standard


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Essentia's notes and warnings; its errors are exceptions and stay."""
    log = _essentia().log
    before = log.infoActive, log.warningActive
    log.infoActive = log.warningActive = False
    try:
        yield
    finally:
        log.infoActive, log.warningActive = before


def _first_line(error: RuntimeError) -> str:
    return str(error).partition("\n")[0]
