"""``earmark etude``: building the corpus of synthesised music, and looking at it."""

from __future__ import annotations

import io
import json as json_module
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import typer

from earmark.bench.cli.console import progress_bar
from earmark.datasets.files.atomic import write_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from earmark.datasets.etude.score import Score

_FFT, _HOP = 1024, 512
_HIGHEST_HZ = 8_000
_FLOOR_DB = -80


def build_corpus(
    out: Path,
    *,
    tracks: int,
    seconds: float,
    seed: int,
    layouts: str,
    workers: int | None,
    json: bool,
) -> None:
    """Build or finish a corpus and print what it holds.

    Raises
    ------
    DataError
        As :func:`earmark.datasets.etude.build.build`.
    """
    from earmark.datasets.etude.build import build
    from earmark.datasets.etude.layouts import LAYOUTS

    named = tuple(LAYOUTS) if layouts == "all" else [name.strip() for name in layouts.split(",")]
    start = perf_counter()
    with progress_bar() as progress:
        corpus = build(
            out,
            n_tracks=tracks,
            seconds=seconds,
            seed=seed,
            layouts=named,
            workers=workers,
            progress=progress,
        )
    took = perf_counter() - start
    if json:
        content = json_module.loads((out / "corpus.json").read_text(encoding="utf-8"))
        typer.echo(json_module.dumps({**content, "path": str(out), "wall_s": round(took, 3)}))
        return
    typer.echo(
        f"{out}: {corpus.n_tracks} tracks of {corpus.seconds:g} s, version {corpus.version}, seed "
        f"{corpus.seed}, in {took:.1f} s\n"
        f"  layouts: {', '.join(corpus.layouts)}\n  fingerprint: {corpus.fingerprint}"
    )


def draw_corpus(picture: Path, *, seconds: float, seed: int) -> None:
    """Draw the spectrogram of one track of each genre, with what its score says of it.

    The suffix says the format; ``.jpg`` is the smallest.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from earmark.datasets.etude.compose import compose
    from earmark.datasets.etude.render import render

    figure = Figure(figsize=(10, 11), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    for number, axes in enumerate(figure.subplots(5, 2, sharex=True, sharey=True).flat):
        score = compose(number, seed=seed, seconds=seconds)
        axes.imshow(
            spectrogram(render(score, sample_rate=2 * _HIGHEST_HZ)),
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, _HIGHEST_HZ / 1000),
            vmin=_FLOOR_DB,
            vmax=0,
            cmap="magma",
        )
        for section in score.sections[1:]:
            axes.axvline(section.start, color="white", linewidth=0.8, linestyle=":")
        axes.set_title(_caption(score), fontsize=8, loc="left")
    figure.supxlabel("time (s); dotted: a new section", fontsize=9)
    figure.supylabel("frequency (kHz)", fontsize=9)
    drawn, quality = io.BytesIO(), {"quality": 70} if picture.suffix == ".jpg" else None
    figure.savefig(drawn, format=picture.suffix[1:] or None, pil_kwargs=quality)
    write_whole(picture, drawn.getvalue())
    typer.echo(picture)


def spectrogram(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the level in dB below the loudest bin, shape ``(n_bins, n_frames)``."""
    import numpy as np
    from scipy.signal import stft

    _, _, spectrum = stft(samples, nperseg=_FFT, noverlap=_FFT - _HOP)
    power = np.abs(spectrum) ** 2
    levels: NDArray[np.float64] = 10 * np.log10(np.maximum(power / power.max(), 1e-12))
    return levels


def _caption(score: Score) -> str:
    voices = ", ".join(score.voices)
    return (
        f"{score.genre}: {score.tempo:.0f} bpm, {score.metre}, {score.key}, "
        f"{score.loudness:.1f} LUFS\n{voices}"
    )
