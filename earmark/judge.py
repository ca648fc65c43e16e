"""Listening studies of one's own songs: from a folder of audio to judged pairs.

::

    made = earmark.judge.plan("path/to/songs", "study", genres="folders", n_triplets=100)
    made.left_out          # recordings that cannot be judged, with the reason
    earmark.judge.serve("study")                       # the listening page, until it is stopped
    earmark.judge.export("study", "exported")          # in MusAV's layout
    judged = earmark.datasets.open("pairwise", root="exported")
    earmark.evaluate(my_model, judged, task="pairwise")
"""

from __future__ import annotations

from pathlib import Path

from earmark.bench.judge.exchange import export, import_judgements
from earmark.bench.judge.make import make as plan
from earmark.bench.judge.power import estimate as power

__all__ = ["export", "import_judgements", "plan", "power", "serve"]


def serve(study: Path | str, *, host: str = "127.0.0.1", port: int = 8700) -> None:
    """Serve the listening page of a study until interrupted, as ``earmark judge serve`` does.

    Parameters
    ----------
    host
        Address to listen on; another than loopback is open to a network.
    port
        0: any that is free.
    """
    from earmark.bench.judge.server import run  # the extra judge

    run(study, host=host, port=port)
