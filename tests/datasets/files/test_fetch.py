"""Downloads against a real HTTP server on this machine: whole, broken off, wrong, absent."""

import hashlib
import logging
import pickle
import re
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from earmark.datasets.base import DataError
from earmark.datasets.files import fetch as fetching
from earmark.datasets.files.data_paths import cache_folder
from earmark.datasets.files.fetch import (
    FetchError,
    Item,
    RemoteFile,
    available,
    describe,
    fetch,
    find_weights,
)

WEIGHTS = bytes(range(256)) * 2000  # 512,000 bytes: several blocks
TABLE = b"a table\n" * 100


class Server:
    """What the server holds and how it misbehaves; a behaviour is used up by one request."""

    def __init__(self):
        self.files = {"heads/head.pb": WEIGHTS, "data/a table": TABLE, "data/b": b"b"}
        self.knows_ranges = True
        self.break_after = []
        self.status = None
        self.hang = threading.Event()
        self.hang.set()
        self.asked = threading.Event()
        self.requests = []
        self.url = ""

    def handler(server):  # noqa: N805 - the handler's own methods have a self
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.lstrip("/").replace("%20", " ")
                wanted = self.headers.get("Range")
                server.requests.append((path, wanted))
                server.asked.set()
                server.hang.wait()
                if server.status or path not in server.files:
                    self.send_error(server.status or 404)
                    return
                content, start = server.files[path], 0
                if wanted and server.knows_ranges:
                    start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
                    if start >= len(content):
                        self.send_error(416)
                        return
                    self.send_response(206)
                    span = f"bytes {start}-{len(content) - 1}/{len(content)}"
                    self.send_header("Content-Range", span)
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                stop = start + server.break_after.pop(0) if server.break_after else None
                self.wfile.write(content[start:stop])

            def log_message(self, *args):
                pass

        return Handler


@pytest.fixture
def server(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    state = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), state.handler())
    state.url = f"http://127.0.0.1:{http.server_port}/"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield state
    state.hang.set()
    http.shutdown()
    thread.join()
    http.server_close()


def listed(path, url, content):
    return RemoteFile(path, url, len(content), hashlib.sha256(content).hexdigest())


@pytest.fixture
def offered(server, monkeypatch):
    """Two items, one of one file and one of two, in place of those of the manifest."""
    head = (listed("head.pb", "heads/head.pb", WEIGHTS),)
    table = (listed("sub/a table", "data/a table", TABLE), listed("b", "data/b", b"b"))
    items = {
        "head": Item("head", "A head", "CC0", "us", "weights", (server.url,), head),
        "table": Item("table", "A table", "CC0", "us", "table", (server.url,), table),
    }
    monkeypatch.setattr(fetching, "available", lambda: items)
    return items


def files_in(folder):
    found = (p for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def test_a_file_arrives_whole_with_nothing_left_beside_it(offered, tmp_path):
    path = fetch("head", cache=tmp_path)
    assert path == tmp_path / "weights" / "head.pb"
    assert files_in(tmp_path) == {"weights/head.pb": WEIGHTS}


def test_an_item_of_several_files_is_its_folder(offered, tmp_path):
    assert fetch("table", cache=tmp_path) == tmp_path / "table"
    assert files_in(tmp_path / "table") == {"sub/a table": TABLE, "b": b"b"}


def test_progress_counts_the_bytes_of_each_file_up_to_its_size(offered, tmp_path):
    seen = []
    fetch("head", cache=tmp_path, progress=lambda *report: seen.append(report))
    done = [report[0] for report in seen]
    assert len(done) > 1
    assert done == sorted(set(done))
    assert seen[-1] == (len(WEIGHTS), len(WEIGHTS), "head.pb")


def test_what_is_there_is_not_fetched_again(offered, server, tmp_path):
    fetch("table", cache=tmp_path)
    (tmp_path / "table" / "b").unlink()
    server.requests.clear()
    fetch("table", cache=tmp_path)
    fetch("table", cache=tmp_path)
    assert server.requests == [("data/b", None)]


def test_a_complete_cache_needs_no_right_to_write(offered, server, tmp_path, monkeypatch):
    fetch("head", cache=tmp_path)
    monkeypatch.setattr(fetching, "FileLock", None)
    assert fetch("head", cache=tmp_path).read_bytes() == WEIGHTS


def test_a_changed_file_is_named_and_fetched_again(offered, tmp_path, caplog):
    path = fetch("head", cache=tmp_path)
    path.write_bytes(b"changed")
    with caplog.at_level(logging.WARNING):
        fetch("head", cache=tmp_path)
    assert path.read_bytes() == WEIGHTS
    assert str(path) in caplog.text
    assert hashlib.sha256(b"changed").hexdigest() in caplog.text


def test_a_broken_connection_is_taken_up_where_it_broke(offered, server, tmp_path):
    server.break_after = [100_000, 200_000]
    assert fetch("head", cache=tmp_path).read_bytes() == WEIGHTS
    assert [wanted for _, wanted in server.requests] == [None, "bytes=100000-", "bytes=300000-"]


def test_after_too_many_breaks_what_arrived_is_kept_for_the_next_run(offered, server, tmp_path):
    server.break_after = [1000, 1000, 1000]
    with pytest.raises(FetchError, match=r"broke after 3000 of 512000 bytes; they are kept"):
        fetch("head", cache=tmp_path)
    assert files_in(tmp_path) == {"weights/head.pb.part": WEIGHTS[:3000]}
    server.requests.clear()
    assert fetch("head", cache=tmp_path).read_bytes() == WEIGHTS
    assert server.requests == [("heads/head.pb", "bytes=3000-")]
    assert files_in(tmp_path) == {"weights/head.pb": WEIGHTS}


def test_a_server_without_ranges_sends_it_all_again(offered, server, tmp_path):
    server.knows_ranges = False
    server.break_after = [100_000]
    assert fetch("head", cache=tmp_path).read_bytes() == WEIGHTS


def leave_part(tmp_path, content):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "head.pb.part").write_bytes(content)


@pytest.mark.parametrize(
    "left",
    [b"other" * 1000, b"x" * len(WEIGHTS), b"x" * (len(WEIGHTS) + 1), b"", WEIGHTS[:-1], WEIGHTS],
    ids=["another", "another of the same size", "too long", "empty", "all but one byte", "whole"],
)
def test_whatever_an_earlier_run_left_the_file_is_right(offered, tmp_path, left):
    leave_part(tmp_path, left)
    assert fetch("head", cache=tmp_path).read_bytes() == WEIGHTS
    assert files_in(tmp_path) == {"weights/head.pb": WEIGHTS}


def test_wrong_bytes_are_refused_naming_both_digests_and_removed(offered, server, tmp_path):
    wrong = b"!" + WEIGHTS[1:]
    server.files["heads/head.pb"] = wrong
    with pytest.raises(FetchError) as caught:
        fetch("head", cache=tmp_path)
    assert hashlib.sha256(wrong).hexdigest() in str(caught.value)
    assert hashlib.sha256(WEIGHTS).hexdigest() in str(caught.value)
    assert f"{server.url}heads/head.pb" in str(caught.value)
    assert files_in(tmp_path) == {}


def test_wrong_bytes_leave_an_older_file_in_its_place(offered, server, tmp_path):
    path = fetch("head", cache=tmp_path)
    path.write_bytes(b"older")
    server.files["heads/head.pb"] = b"!" * len(WEIGHTS)
    with pytest.raises(FetchError):
        fetch("head", cache=tmp_path)
    assert path.read_bytes() == b"older"


def test_a_file_that_never_ends_is_refused(offered, server, tmp_path):
    server.files["heads/head.pb"] = WEIGHTS * 2
    with pytest.raises(FetchError, match="more than the expected 512000 bytes"):
        fetch("head", cache=tmp_path)
    assert "weights/head.pb" not in files_in(tmp_path)
    server.files["heads/head.pb"] = WEIGHTS
    assert fetch("head", cache=tmp_path).read_bytes() == WEIGHTS


@pytest.mark.parametrize(("status", "said"), [(404, "404 Not Found"), (500, "500 Internal")])
def test_the_answer_of_the_server_is_named(offered, server, tmp_path, status, said):
    server.status = status
    with pytest.raises(FetchError, match=f"{server.url}heads/head.pb: the server answers {said}"):
        fetch("head", cache=tmp_path)
    assert files_in(tmp_path) == {}


def test_one_missing_file_leaves_the_others_and_no_sign_of_completeness(offered, server, tmp_path):
    del server.files["data/b"]
    with pytest.raises(FetchError, match="data/b: the server answers 404"):
        fetch("table", cache=tmp_path)
    assert files_in(tmp_path) == {"table/sub/a table": TABLE}


def test_mirrors_are_tried_in_order(offered, server, tmp_path):
    mirrors = [server.url + "nothing/", server.url]
    assert fetch("head", cache=tmp_path, base_urls=mirrors).read_bytes() == WEIGHTS
    assert [path for path, _ in server.requests] == ["nothing/heads/head.pb", "heads/head.pb"]


def test_a_server_that_is_not_there_is_named(offered, server, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, but nobody listens
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with pytest.raises(FetchError, match=rf"{url}heads/head.pb: cannot be reached"):
            fetch("head", cache=tmp_path, base_urls=[url])


def test_a_server_that_does_not_answer_is_given_up(offered, server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT_S", 0.05)
    server.hang.clear()
    with pytest.raises(FetchError, match="no answer within"):
        fetch("head", cache=tmp_path)


def test_a_folder_that_cannot_be_made_is_named(offered, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(FetchError, match="head cannot be written to"):
        fetch("head", cache=tmp_path / "cache")


FETCH_IN_ANOTHER_PROCESS = """
import pickle, sys
from pathlib import Path
from earmark.datasets.files import fetch as fetching
items = pickle.load(sys.stdin.buffer)
fetching.available = lambda: items
print("ready", flush=True)
print(fetching.fetch("head", cache=Path(sys.argv[1])), flush=True)
"""


def another_process(folder, items):
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH_IN_ANOTHER_PROCESS, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdin.write(pickle.dumps(items))
    process.stdin.close()
    assert process.stdout.readline() == b"ready\n"
    return process


def test_a_process_waits_for_another_that_fetches_the_same_item(offered, server, tmp_path):
    server.hang.clear()
    first = another_process(tmp_path, offered)
    server.asked.wait(timeout=60)  # the first one now holds the lock and waits for the server
    second = another_process(tmp_path, offered)
    server.hang.set()
    for process in (first, second):
        path = Path(process.stdout.read().decode().strip())
        assert process.wait() == 0
        assert path.read_bytes() == WEIGHTS
    assert len(server.requests) == 1
    assert files_in(tmp_path) == {"weights/head.pb": WEIGHTS}


# Names, folders, the real manifest


def test_an_unknown_name_is_answered_with_the_nearest_one():
    with pytest.raises(FetchError, match=r"'deam-musicnn-1'. Did you mean 'deam-msd-musicnn-1'\?"):
        fetch("deam-musicnn-1")
    with pytest.raises(DataError, match="Offered: msd-musicnn-1, "):
        fetch("xyz")


def test_every_item_has_a_licence_https_addresses_and_well_formed_entries():
    assert {"msd-musicnn-1", "emomusic-msd-musicnn-2", "musav"} <= set(available())
    for name, item in available().items():
        assert item.name == name
        licences = {"clip-bpe": "MIT", "musicnn": "ISC", "minilm": "Apache-2.0"}
        assert licences.get(name, "CC BY-NC-SA 4.0") in describe(name).licence
        assert all(url.startswith("https://") and url.endswith("/") for url in item.base_urls)
        assert len({file.path for file in item.files}) == len(item.files)
        assert (item.wheel is None) == bool(item.base_urls)
        if item.wheel is None:
            assert item.n_bytes == sum(file.n_bytes for file in item.files) > 0
        else:
            assert item.n_bytes == item.wheel.n_bytes > 0
            assert re.fullmatch(r"[\w-]+==[\d.]+", item.wheel.requirement)
            assert re.fullmatch("[0-9a-f]{64}", item.wheel.sha256)
        for file in item.files:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert not Path(file.path).is_absolute()
            assert ".." not in Path(file.path).parts


def test_digests_are_those_of_the_annotations_at_hand(shared_data):
    for file in describe("musav").files:
        content = (shared_data / "musav" / file.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.n_bytes, file.sha256)


def test_digests_are_those_of_the_weights_at_hand(shared_models):
    weights = [item for item in available().values() if item.folder == "weights"]
    assert len(weights) == 4
    for item in weights:
        content = (shared_models / "essentia" / item.files[0].path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == item.files[0].sha256


def test_fetched_annotations_can_be_opened_as_musav(server, shared_data, tmp_path):
    musav = pytest.importorskip("earmark.datasets.judgements.musav")
    for file in describe("musav").files:
        server.files[file.url] = (shared_data / "musav" / file.path).read_bytes()
    folder = fetch("musav", cache=tmp_path, base_urls=[server.url])
    assert musav.validate(folder) == []


def test_the_fetched_vocabulary_is_found_by_the_tokeniser(
    server, shared_data, tmp_path, monkeypatch
):
    joint = pytest.importorskip("earmark.models.adapters.muscall")
    monkeypatch.chdir(tmp_path)
    for name in ("EARMARK_DATA", "EARMARK_SHARED_DATA", "EARMARK_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    with pytest.raises(joint.ModelError, match="run `earmark fetch clip-bpe`"):
        joint.open_tokenizer(None, context_length=77)
    (file,) = describe("clip-bpe").files
    server.files[file.url] = (shared_data / "clip_bpe" / file.path).read_bytes()
    fetch("clip-bpe", base_urls=[server.url])
    tokens = joint.open_tokenizer(None, context_length=77).encode(["slow piano"])
    assert tokens.ids[0, [0, 3]].tolist() == [49_406, 49_407]


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("EARMARK_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "earmark"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "earmark"


# Finding weights


@pytest.fixture
def places(monkeypatch, tmp_path):
    """Four folders that are looked into: given, environment, beside the data, the cache."""
    folders = {"given": tmp_path / "given", "environment": tmp_path / "environment"}
    folders["beside the data"] = tmp_path / "models" / "essentia"
    folders["cache"] = tmp_path / "cache" / "weights"
    for folder in folders.values():
        folder.mkdir(parents=True)
    monkeypatch.setenv("EARMARK_WEIGHTS", f"{tmp_path / 'absent'}:{folders['environment']}")
    monkeypatch.setenv("EARMARK_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("EARMARK_SHARED_DATA", raising=False)
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)  # away from any ../shared/data
    return folders


def test_weights_are_found_in_the_order_of_the_places(places):
    for folder in places.values():
        (folder / "mine.pb").write_bytes(b"")
    for folder in places.values():
        assert find_weights("mine", folders=[places["given"]]) == folder / "mine.pb"
        assert find_weights("mine.pb", folders=[places["given"]]) == folder / "mine.pb"
        (folder / "mine.pb").unlink()


def test_a_path_is_taken_as_it_is(places, tmp_path):
    path = tmp_path / "any name.pb"
    path.write_bytes(b"")
    assert find_weights(path) == find_weights(str(path)) == path
    with pytest.raises(FetchError, match="no such file"):
        find_weights(tmp_path / "none.pb")


def test_weights_that_are_nowhere_are_answered_with_places_and_mend(places):
    with pytest.raises(FetchError) as caught:
        find_weights("msd-musicnn-1", folders=[places["given"]])
    for folder in places.values():
        assert str(folder / "msd-musicnn-1.pb") in str(caught.value)
    assert "run `earmark fetch msd-musicnn-1`" in str(caught.value)
    with pytest.raises(FetchError, match="did you mean msd-musicnn-1"):
        find_weights("msd-musicn-1")
    with pytest.raises(FetchError, match="does not offer it: download it"):
        find_weights("audioset-vggish-3")


def test_a_released_name_is_the_released_file_or_an_error(places):
    path = places["cache"] / "msd-musicnn-1.pb"
    path.write_bytes(b"something else")
    with pytest.raises(FetchError) as caught:
        find_weights("msd-musicnn-1")
    assert hashlib.sha256(b"something else").hexdigest() in str(caught.value)
    assert available()["msd-musicnn-1"].files[0].sha256 in str(caught.value)
    assert find_weights(path) == path


def test_what_was_fetched_is_found(offered, tmp_path, monkeypatch):
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path))
    monkeypatch.delenv("EARMARK_WEIGHTS", raising=False)
    assert fetch("head") == find_weights("head")
