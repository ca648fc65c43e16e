"""A browser that tests drive: headless Chromium through chromedriver, by the W3C protocol alone.

https://www.w3.org/TR/webdriver2/; only what the tests of the listening page need.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headless_chromium import CHROMIUM

CHROMEDRIVER = shutil.which("chromedriver")
MISSING = None if CHROMIUM and CHROMEDRIVER else "no Chromium with chromedriver on the path"
KEYS = {"Enter": "\ue007", "Tab": "\ue004", "Up": "\ue013", "Down": "\ue015", "Space": " "}


class Browser:
    """One session."""

    def __init__(self, driver: str, options: Sequence[str]) -> None:
        self._driver = driver
        self._session = ""
        chrome = {"binary": CHROMIUM, "args": list(options)}
        wanted = {
            "alwaysMatch": {"goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"}}
        }
        self._session = (
            "/session/" + self._call("POST", "/session", capabilities=wanted)["sessionId"]
        )

    def _call(self, method: str, path: str, **body: object) -> Any:
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(self._driver + self._session + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"].splitlines()[0]) from None

    def open(self, address: str) -> None:
        """Load a page."""
        self._call("POST", "/url", url=address)

    def script(self, code: str, *arguments: object) -> Any:
        """Run a script in the page and return its value."""
        return self._call("POST", "/execute/sync", script=code, args=list(arguments))

    def press(self, keys: Sequence[str]) -> None:
        """Press keys one after another, wherever the focus is."""
        steps = []
        for key in keys:
            value = KEYS.get(key, key)
            steps += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        source = {"type": "key", "id": "keyboard", "actions": steps}
        self._call("POST", "/actions", actions=[source])

    def devtools(self, command: str, **parameters: object) -> Any:
        """Send a command of the Chrome DevTools protocol."""
        return self._call("POST", "/goog/cdp/execute", cmd=command, params=parameters)

    def until(self, condition: str, *arguments: object, seconds: float = 20) -> Any:
        """Ask the page until a JavaScript expression is true, and return its value."""
        end = time.monotonic() + seconds
        while True:
            try:
                if found := self.script(f"return {condition}", *arguments):
                    return found
            except RuntimeError:  # between two pages
                pass
            if time.monotonic() > end:
                seen = self.script("return document.body.innerText")
                raise AssertionError(f"never true: {condition}\n{seen}")

    def screenshot(self, path: Path) -> None:
        """Save what the window shows."""
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def console(self) -> list[str]:
        """Return what the page has complained of since the last call."""
        lines = self._call("POST", "/se/log", type="browser")
        return [line["message"] for line in lines if line["level"] in {"WARNING", "SEVERE"}]

    def new_tab(self) -> str:
        """Open a tab, go to it, and return its handle."""
        handle = self._call("POST", "/window/new", type="tab")["handle"]
        self.go_to(handle)
        return str(handle)

    def tab(self) -> str:
        """Return the handle of this tab."""
        return str(self._call("GET", "/window"))

    def tabs(self) -> list[str]:
        """Return the handles of all tabs."""
        return list(self._call("GET", "/window/handles"))

    def close_tab(self) -> None:
        """Close this tab; go to another next."""
        self._call("DELETE", "/window")

    def go_to(self, handle: str) -> None:
        """Go to a tab."""
        self._call("POST", "/window", handle=handle)

    def close(self) -> None:
        """End the session."""
        self._call("DELETE", "")


@contextmanager
def browsing(folder: Path, *options: str) -> Iterator[Browser]:
    """Start a browser with a new profile below ``folder``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        [str(CHROMEDRIVER), f"--port={port}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert driver.stdout
        for line in driver.stdout:
            if b"started successfully" in line:
                break
        arguments = (
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
            *("--no-first-run", "--mute-audio", "--disable-dev-shm-usage"),
            *(f"--user-data-dir={folder / 'profile'}", "--window-size=1280,900", *options),
        )
        browser = Browser(f"http://127.0.0.1:{port}", arguments)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        driver.terminate()
        driver.wait(20)
