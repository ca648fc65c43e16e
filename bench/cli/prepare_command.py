"""``earmark prepare``: decode a corpus once, so that training reads crops and decodes nothing."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from earmark.bench.cli.check_command import parse_options
from earmark.bench.cli.console import progress_bar
from earmark.models.training.prepare import Prepared, open_source, prepare


def prepare_corpus(
    source: Path,
    out: Path,
    *,
    options: Sequence[str],
    sample_rate: int,
    workers: int | None,
    max_refused_share: float,
    json: bool,
) -> None:
    """Prepare what a path names, and print what came of it; every refused clip is named.

    Raises
    ------
    DataError
        As :func:`earmark.models.training.prepare.prepare`.
    """
    opened = open_source(source, parse_options(options))
    with progress_bar() as progress:
        done = prepare(
            opened,
            out,
            sample_rate=sample_rate,
            workers=workers,
            max_refused_share=max_refused_share,
            progress=progress,
        )
    if json:
        typer.echo(json_module.dumps({**asdict(done), "folder": str(done.folder)}, indent=2))
        return
    for one in done.refused:
        typer.echo(f"refused {one.id}: {one.reason}", err=True)
    typer.echo(_sentence(done))


def _sentence(done: Prepared) -> str:
    captions = f"{done.n_captions} captions" if done.n_captions else "no captions"
    parts = [
        f"{done.folder}: {done.n_clips} clips, {captions}, {done.seconds / 3600:.2f} h at "
        f"{done.sample_rate} Hz",
        f"{done.clips_decoded} decoded now" if done.clips_decoded else "was there already",
    ]
    if done.refused:
        parts.append(f"{len(done.refused)} refused")
    if done.clipped_samples:
        parts.append(f"{done.clipped_samples} samples clipped")
    return "; ".join(parts)
