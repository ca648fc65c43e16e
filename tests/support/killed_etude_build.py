"""A build that dies while it writes: run as a program by the tests of resuming."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from earmark.datasets.etude import build as building
from earmark.datasets.etude import layouts

OUT, KILL_AT, WORKERS = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])


def write_half(path: Path, content: bytes) -> None:
    """Write as the real function does, but be killed half-way through one file."""
    if path.name == KILL_AT:
        hidden = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        hidden.write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    layouts.write_whole(path, content)


# At import, so that spawned workers, which import this file anew, are killed as well.
building.write_whole = write_half

if __name__ == "__main__":
    from earmark.datasets.base import DataError
    from earmark.datasets.etude.build import build

    try:
        build(OUT, n_tracks=30, seconds=2, seed=7, workers=WORKERS)
    except DataError as error:
        print(error)
        sys.exit(3)
