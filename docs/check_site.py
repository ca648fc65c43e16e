"""Check built pages: ``python docs/check_site.py site [REPORT.html ...]``, after ``tox -e docs``.

Every link within the site leads to a file and an anchor that are there. Where Chromium and
chromedriver are on the path, each page is also opened at 1280 and 390 px: no complaint in the
console, no request to another host, nothing wider than the window; and where ``EARMARK_AXE`` names
axe-core's ``axe.min.js``, axe finds no serious or critical violation. What is not checked is said.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from webdriver import MISSING, Browser, browsing

WIDTHS = (1280, 390)  # px
SERIOUS = ("serious", "critical")
PARTS = "webpack-macros.html"
"""Of the theme: no page."""
MEASURED = """
const asked = performance.getEntriesByType("resource").map((one) => new URL(one.name));
const away = asked.filter((one) => one.protocol !== "data:" && one.host !== location.host);
return { width: document.documentElement.scrollWidth, requests: away.map(String) };
"""
AXE = """
window.violations = null;
axe.run(document, { resultTypes: ["violations"] }).then((run) => {
  window.violations = run.violations.map((v) =>
    [v.impact, `${v.id}: ${v.nodes.length}, e.g. ${v.nodes[0].html.slice(0, 160)}`]);
});
"""


class _Page(HTMLParser):
    """Anchors of a page, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors, self.links = {"", "top"}, set[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {found[name] or "" for name in ("id", "name") if found.get(name)}
        self.links |= {found[name] or "" for name in ("href", "src") if found.get(name)}


def broken_links(root: Path) -> Iterator[str]:
    """Yield each link within the site that leads nowhere."""
    pages = {path: _Page(path.read_text("utf-8")) for path in _pages(root)}
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            if target.is_dir():
                target /= "index.html"
            if not target.is_file() or not target.is_relative_to(root):
                yield f"{path.relative_to(root)}: {link} is not there"
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{path.relative_to(root)}: {link} has no such anchor"


def _pages(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.html") if path.name != PARTS)


def faults(browser: Browser, address: str, width: int, axe: str | None) -> Iterator[str]:
    """Yield what is wrong with a page in a window of this width."""
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.devtools("Emulation.setDeviceMetricsOverride", **screen)
    browser.console()
    browser.open(address)
    browser.until("document.readyState === 'complete'")
    found = browser.script(MEASURED)
    yield from browser.console()
    yield from (f"asks {one}" for one in found["requests"])
    if found["width"] > width:
        yield f"is {found['width']} px wide"
    if axe:
        browser.script("for (const one of document.querySelectorAll('details')) one.open = true;")
        browser.script(axe + AXE)
        (violations,) = browser.until("window.violations && [window.violations]", seconds=120)
        for impact, text in violations:
            if impact in SERIOUS:
                yield f"axe, {impact}: {text}"


def _shown(pages: dict[str, str], axe: str | None) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as profile, browsing(Path(profile)) as browser:
        for name, address in pages.items():
            for width in WIDTHS:
                yield from (
                    f"{name} at {width} px: {one}" for one in faults(browser, address, width, axe)
                )


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def main(names: list[str]) -> int:
    """Check folders and files, and return how many faults there are."""
    found: list[str] = []
    n_pages = 0
    axe = (
        Path(os.environ["EARMARK_AXE"]).read_text("utf-8") if "EARMARK_AXE" in os.environ else None
    )
    for one in map(Path, names):
        root = (one if one.is_dir() else one.parent).resolve()
        paths = _pages(root) if one.is_dir() else [one.resolve()]
        n_pages += len(paths)
        if one.is_dir():
            found += broken_links(root)
        if MISSING:
            continue
        with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=root)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            at = f"http://127.0.0.1:{server.server_port}"
            local = (path.relative_to(root).as_posix() for path in paths)
            found += _shown({name: f"{at}/{name}" for name in local}, axe)
            server.shutdown()
    for text in found:
        print(text)
    if MISSING:
        print(f"not opened: {MISSING}")
    elif not axe:
        print("axe not run: EARMARK_AXE does not name axe-core's axe.min.js")
    print(f"{n_pages} pages, {len(found)} faults")
    return len(found)


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))
