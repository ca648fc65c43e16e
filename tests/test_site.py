"""The check of the built site finds what it is there to find."""

import os
from pathlib import Path

import check_site
import pytest

AXE = os.environ.get("EARMARK_AXE")
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>{title}</title>
<main><h1 id="top-of-it">{title}</h1>{body}</main>"""


def write(folder, **bodies):
    folder.mkdir(exist_ok=True)
    for name, body in bodies.items():
        (folder / f"{name}.html").write_text(PAGE.format(title=name, body=body))
    return folder.resolve()


def test_links_to_what_is_not_there_are_named(tmp_path):
    index = """<a href="two.html#part">a</a> <a href="two.html#none">b</a> <a href="gone.html">c</a>
        <a href="https://example.org/x">d</a> <a href="#top-of-it">e</a> <a href="#nowhere">f</a>
        <img src="gone.png" alt=""> <a href="../outside.html">g</a> <a href="b%20c.html">h</a>"""
    root = write(tmp_path / "site", index=index, two='<h2 id="part">P</h2>', **{"b c": ""})
    (tmp_path / "outside.html").write_text("")
    assert list(check_site.broken_links(root)) == [
        "index.html: #nowhere has no such anchor",
        "index.html: ../outside.html is not there",
        "index.html: gone.html is not there",
        "index.html: gone.png is not there",
        "index.html: two.html#none has no such anchor",
    ]


@pytest.mark.skipif(check_site.MISSING is not None, reason=str(check_site.MISSING))
def test_faults_of_pages_are_found_at_the_width_at_which_they_are(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("EARMARK_AXE", raising=False)
    if AXE:
        monkeypatch.setenv("EARMARK_AXE", AXE)
    write(
        tmp_path / "site",
        good="<p>Text.</p>",
        wide='<div style="width: 600px">Wide.</div>',
        broken="<script>missing();</script>",
        away='<img src="http://127.0.0.2:9/x.png" alt="">',
        nameless="<button type='button'></button>",
    )
    n = check_site.main([str(tmp_path / "site")])
    said = capsys.readouterr().out.splitlines()
    assert any(line.startswith("wide.html at 390 px: is 6") for line in said)
    for width in check_site.WIDTHS:
        of_width = [line for line in said if f" at {width} px: " in line]
        assert any("broken.html" in line and "missing" in line for line in of_width)
        assert any("away.html" in line and "asks http://127.0.0.2:9/x.png" in line for line in said)
        named = any(
            "nameless.html" in line and "axe, critical: button-name" in line for line in said
        )
        assert named == bool(AXE)
    assert not any(line.startswith("good.html") for line in said)
    assert not any(line.startswith("wide.html at 1280 px") for line in said)
    assert said[-1] == f"5 pages, {n} faults"
    one = str(Path(tmp_path) / "site" / "good.html")
    assert check_site.main([one]) == 0
