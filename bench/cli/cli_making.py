"""The commands that make what is measured: corpora, checkpoints, weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earmark.bench.cli.cli_base import TERMINATED, Json, app, fail, if_interrupted, same_command

etude = typer.Typer(help="The built-in corpus of synthesised music.", no_args_is_help=True)
app.add_typer(etude, name="etude")


@app.command()
def prepare(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST",
            help="dataset_<split>.json (MusCALL's), a CSV of captions, or a folder of audio.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the corpus.")],
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="An option of the loader, e.g. split=train, audio=wav."
        ),
    ] = None,
    sample_rate: Annotated[
        int,
        typer.Option(min=1, help="In Hz: 16000 for MusCALL, 44100 for DCASE's own front end."),
    ] = 16_000,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that decode; one for each core.")
    ] = None,
    max_refused_share: Annotated[
        float,
        typer.Option("--max-refused", min=0, max=1, help="Share of clips that may be unusable."),
    ] = 0.01,
    json: Json = False,
) -> None:
    """Decode a corpus once for training; interrupted, the same command goes on."""
    if_interrupted(f"finished shards are kept in {out}")
    from earmark.bench.cli.prepare_command import prepare_corpus

    prepare_corpus(
        source,
        out,
        options=option or (),
        sample_rate=sample_rate,
        workers=workers,
        max_refused_share=max_refused_share,
        json=json,
    )


@etude.command("build")
def etude_build(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the corpus.")],
    tracks: Annotated[int, typer.Option(metavar="N", help="How many, at least 30.")] = 1500,
    seconds: Annotated[float, typer.Option(metavar="S", help="Length of each.")] = 10.0,
    seed: Annotated[int, typer.Option(metavar="K", help="Another seed is another corpus.")] = 0,
    layouts: Annotated[
        str, typer.Option(help="Some of captions,gtzan,mtat,musav,emomusic, or all.")
    ] = "all",
    workers: Annotated[
        int | None, typer.Option(help="Processes; one for each core by default.")
    ] = None,
    json: Json = False,
) -> None:
    """Make the corpus of synthesised music; interrupted, the same command goes on."""
    if_interrupted(f"finished tracks are kept in {out}")
    from earmark.bench.cli.etude import build_corpus

    build_corpus(
        out,
        tracks=tracks,
        seconds=seconds,
        seed=seed,
        layouts=layouts,
        workers=workers,
        json=json,
    )


@etude.command("draw")
def etude_draw(
    picture: Annotated[Path, typer.Argument(help="Where to write it, e.g. etude.jpg.")],
    seconds: Annotated[float, typer.Option(metavar="S", help="Length of each track.")] = 10.0,
    seed: Annotated[int, typer.Option(metavar="K", help="Of the corpus.")] = 0,
) -> None:
    """Draw the spectrogram of one track of each genre."""
    from earmark.bench.cli.etude import draw_corpus

    draw_corpus(picture, seconds=seconds, seed=seed)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A run's TOML file.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of checkpoints and metrics; trained/<config>.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Hold all samples against their digests first; else of a large corpus one clip "
            "of each batch.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Train a model on a prepared corpus; SIGTERM saves and exits with 143."""
    if_interrupted(lambda: _kept_of(out or Path("trained") / config.stem, resume=resume))
    from earmark.bench.cli.train import train_model
    from earmark.models.training.train import Stopped

    try:
        train_model(config, out=out, resume=resume, verify=verify, json=json)
    except Stopped as stopped:
        fail(str(stopped), TERMINATED)


def _kept_of(folder: Path, *, resume: bool) -> str:
    """Return what Ctrl-C leaves of a training."""
    steps = sorted((folder / "checkpoints").glob("step-*.pt"))
    if not steps:
        return f"no checkpoint had been written; `{same_command()}` starts again"
    again = same_command() if resume else same_command("--resume")
    return f"{steps[-1]} is kept; `{again}` goes on from it"


@app.command()
def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(metavar="CKPT", help="A checkpoint, or a run's folder: its best one."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    name: Annotated[str | None, typer.Option(help="Of the model; the folder's.")] = None,
    licence: Annotated[str | None, typer.Option(help="Of the weights, for the card.")] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="It learned from, for the card; data.datasets."),
    ] = None,
) -> None:
    """Write a checkpoint's weights and card for the adapters muscall and dcase."""
    from earmark.bench.cli.train import export_checkpoint

    export_checkpoint(checkpoint, out, name=name, licence=licence, training_datasets=dataset)
