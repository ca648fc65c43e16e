"""How a run is asked to stop: SIGTERM, as schedulers send it before they take a machine away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):  # noqa: N818 - not an error: the run was asked to stop, and saved
    """SIGTERM arrived; the message names the checkpoint that ``--resume`` goes on from."""


@contextmanager
def termination() -> Iterator[threading.Event]:
    """Note the first SIGTERM instead of dying by it; the second one kills as usual."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread receives signals
        return
    before = signal.getsignal(signal.SIGTERM)

    def note(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
