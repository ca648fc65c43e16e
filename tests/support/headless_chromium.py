"""A page in headless Chromium: what a script finds there, and what the console says."""

from __future__ import annotations

import base64
import hashlib
import html as html_module
import json
import re
import shutil
import subprocess

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)

COLLECT = """
const found = { errors: [], requests: [] };
window.addEventListener("error", (e) => found.errors.push(String(e.message)));
document.addEventListener("securitypolicyviolation", (e) => found.errors.push(e.violatedDirective));
const done = () => {
  found.requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  const said = document.createElement("pre");
  said.id = "found";
  said.textContent = JSON.stringify(found);
  document.body.append(said);
};
"""


def opened(html, script, folder, *options):
    """Open the page with the script at its end; return what it found, and the browser's log."""
    first = re.search(r"script-src '(sha256-[^']+)'", html)[1]
    scripts = [COLLECT, script]
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    html = html.replace(f"'{first}'", " ".join(f"'{d}'" for d in (
        first, *(f"sha256-{digest}" for digest in digests))))  # fmt: skip
    # The collector comes first, so that it hears of errors of the page's own script.
    html = html.replace("<style>", f"<script>{scripts[0]}</script>\n<style>", 1)
    html = html.replace("</body>", f"<script>{scripts[1]}</script></body>")
    place = folder / "page.html"
    place.write_text(html, encoding="utf-8")
    run = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=20000"),
            *("--disable-background-networking", "--no-first-run", *options),
            *("--dump-dom", place.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    written = re.search(r'<pre id="found">(.*?)</pre>', run.stdout, re.DOTALL)
    assert written, run.stderr[-2000:]
    console = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html_module.unescape(written[1])), console
