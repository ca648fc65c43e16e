"""Files that are whole or not there, whenever the writer dies or is interrupted; one at a time."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import BinaryIO

TEMPORARY = ".tmp-"
"""How the names of unfinished files begin; whoever owns the folder may remove them."""


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name, synced, only when the block has ended.

    A file of this name is replaced. Nothing is left behind if the block raises.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file as :func:`open_whole` does.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    with open_whole(path) as file:
        file.write(content)


@contextmanager
def folder_whole(folder: Path) -> Iterator[Path]:
    """Yield a new folder that takes the name of ``folder``, absent or empty, when the block ends.

    Nothing is left behind if the block raises.

    Raises
    ------
    OSError
        If it cannot be written, or the folder is not empty.
    """
    folder = folder.resolve()
    made = folder.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    made.mkdir(parents=True)
    try:
        yield made
        if folder.exists():
            folder.rmdir()
        made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block, in which a C library calls Python back.

    cffi and ctypes print an exception of a callback and drop it: the interrupt would be lost, and
    the library would go on with a wrong answer, e.g. write an MP3 with a hole.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # only the main thread is interrupted, and only if it does not ignore it
        return
    came: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            before(*came[0])


@contextmanager
def one_at_a_time(lock: Path, *, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file; where another process does, call ``waiting`` once and wait for it.

    Raises
    ------
    OSError
        If the lock's folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        waiting()
        held.acquire()
    try:
        yield
    finally:
        held.release()


def sync_folder(folder: Path) -> None:
    """Bring the names of a folder's files to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def room_left(error: OSError, folder: Path) -> str:
    """Return how much room there is where a write failed for want of it; nothing for other errors.

    The folder, or the nearest one above it, need not be the one that is full, but says which disk.
    """
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return ""
    return f" ({usage.free / 2**20:,.1f} of {usage.total / 2**20:,.0f} MiB free at {place})"
