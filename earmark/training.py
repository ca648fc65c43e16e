"""Training from Python: as ``earmark train`` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earmark.models.training.train import Outcome


def train(
    config: str | Path,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    verify: bool = False,
    progress: bool = True,
) -> Outcome:
    """Train an audio-text model on a prepared corpus; return where it is and how well it did.

    Parameters
    ----------
    config
        A TOML file; not of the preset ``locked``, which the command line trains.
    out
        Folder of checkpoints and metrics; by default ``trained/<config>``.
    resume
        Continue from the last checkpoint in the folder.
    verify
        Check all samples against their digests first.
    progress
        Draw a bar and print a line per validation.

    Raises
    ------
    ModelError
        If the config is wrong, or the corpus is not there.
    """
    from earmark.bench.cli.console import progress_bar, silent
    from earmark.bench.cli.train import fit
    from earmark.models.training.config import load_config

    folder = Path("trained") / Path(config).stem if out is None else Path(out)
    read = load_config(Path(config))
    if not progress:
        return fit(read, folder, resume, verify, silent, lambda line: None)
    with progress_bar() as bar:
        return fit(read, folder, resume, verify, bar, print)
