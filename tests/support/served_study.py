"""A study that is served: in a thread of the test, or by a process that can be killed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from earmark.bench.judge import server
from earmark.bench.judge.store import Store

PROCESS = """
import functools, sys
from earmark.bench.judge.server import run
run(sys.argv[1], port=int(sys.argv[2]), say=functools.partial(print, flush=True))
"""


class Served:
    """A study with its address."""

    def __init__(self, store: Store, port: int) -> None:
        self.store, self.port = store, port
        links = store.links()
        self.root = f"http://127.0.0.1:{port}"
        self.organiser = f"{self.root}/o/{links.organiser}"
        self.links = [f"{self.root}/l/{token}" for token in links.listeners.values()]


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Serve a study from a thread."""
    app = server.app(folder)
    listening = server._listening("127.0.0.1", 0)
    listening.listen(100)
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none", access_log=False)
    made = uvicorn.Server(config)
    thread = threading.Thread(target=made.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Served(app.state.study.store, listening.getsockname()[1])
    finally:
        made.should_exit = made.force_exit = True
        thread.join(20)
        app.state.study.store.close()


def process_serving(folder: Path, port: int = 0) -> tuple[subprocess.Popen[str], int]:
    """Serve a study from a process of its own; return it and its port."""
    started = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(folder), str(port)], stdout=subprocess.PIPE, text=True
    )
    assert started.stdout
    for line in started.stdout:
        if "organiser's page" in line:
            return started, int(line.rpartition("/o/")[0].rpartition(":")[2])
    raise AssertionError("the server did not start")
