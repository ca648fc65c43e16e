"""The listening page without a browser: what it gives, and what it refuses."""

import asyncio
import csv
import io
import itertools
import json
import re
import socket
import sqlite3

import pytest
from starlette.testclient import TestClient
from tiny_study import AROUSAL, VALENCE, make_plan, write_study

from earmark.bench.judge import progress, server
from earmark.bench.judge.server import Rate, app
from earmark.datasets.base import DataError

KEYS = (f"{n:032x}" for n in itertools.count(10**9))
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
TRAVERSALS = [
    "../plan.json",
    "..%2fplan.json",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/judge.sqlite",
    "....//judge.sqlite",
    "%00",
    "/etc/passwd",
    "..\\plan.json",
    "%c0%ae%c0%ae/plan.json",
]


class Page:
    """A served study, and the first listener's way through it."""

    def __init__(self, folder, plan=None, **options):
        self.folder = folder
        self.plan = write_study(folder, plan or make_plan(3), audio=False)
        for song in self.plan.songs:
            (folder / "excerpts" / song.excerpt).write_bytes(b"RIFF" + song.id.encode())
        self.app = app(folder, **options)
        self.study = self.app.state.study
        self.store = self.study.store
        self.client = TestClient(self.app, raise_server_exceptions=False)
        links = self.store.links()
        self.name, self.token = next(iter(links.listeners.items()))
        self.organiser = f"/o/{links.organiser}"
        self.link = f"/l/{self.token}"

    @property
    def screens(self):
        return self.study.of(self.name)

    def get(self, path):
        return self.client.get(path)

    def post(self, path, body, **options):
        return self.client.post(f"{self.link}/{path}", json=body, **options)

    def answer(self, screen, /, pair=0, dimension="arousal", value="a", **changes):
        body = {"key": next(KEYS), "screen": screen.id, "pair": pair, "dimension": dimension}
        return self.post("answers", body | {"value": value, "heard": [6, 6]} | changes)

    def rows(self):
        return self.store.judgements(), self.store.checks(), self.store.comments()


@pytest.fixture
def page(tmp_path):
    made = Page(tmp_path / "study")
    yield made
    made.store.close()


def test_a_listener_goes_through_all_screens_and_their_answers_are_downloaded(page):
    assert "Welcome" in page.get(page.link).text
    for screen in page.screens:
        shown = page.get(page.link).text
        assert f'data-screen="{screen.id}"' in shown
        if screen.kind != "practice":
            for pair, dimension in itertools.product(range(3), ("arousal", "valence")):
                assert page.answer(screen, pair, dimension).json() == {"saved": True, "new": True}
        assert page.post("finish", {"screen": screen.id}).status_code == 200
    assert "Done. Thank you!" in page.get(page.link).text
    text = page.get(f"{page.organiser}/judgements.csv").text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["triplet", "a", "b", "annotator", "dimension", "higher_value"]
    assert len(rows) == 3 * 3 * 2
    assert [tuple(row.values()) for row in rows] == [
        (j.triplet, j.song_a, j.song_b, j.annotator, j.dimension, j.higher_value)
        for j in page.store.judgements()
    ]


def test_a_page_shows_the_answers_that_were_given_before(page):
    page.post("finish", {"screen": page.screens[0].id})
    page.answer(page.screens[1], 1, "valence", "ab")
    shown = page.get(page.link).text
    pressed = re.findall(r'data-value="(\w+)" aria-pressed="true"', shown)
    assert pressed == ["ab"]
    question = shown[: shown.index('aria-pressed="true"')].rpartition("data-pair=")[2]
    assert question.startswith('"1" data-dimension="valence"')


def test_players_get_the_gain_of_the_plan_and_the_softer_copy_half_of_it(page):
    songs = {song.id: song for song in page.plan.songs}
    for screen in page.screens:
        for n, slot in enumerate(screen.slots):
            shown = server._player(page.study, screen, n)
            expected = page.plan.gain(songs[slot.song])
            if slot.level:
                expected *= 0.5012
            assert shown["gain"] == pytest.approx(expected, rel=1e-3)
            assert shown["needed"] == 5


def test_only_the_songs_of_ones_own_screens_can_be_had(page):
    for screen in page.screens:
        for n, slot in enumerate(screen.slots):
            reply = page.get(f"{page.link}/audio/{screen.id}/{n}")
            assert reply.content == b"RIFF" + slot.song.encode()
            assert reply.headers["content-type"] == "audio/wav"
            part = page.client.get(reply.url.path, headers={"range": "bytes=0-3"})
            assert (part.status_code, part.content) == (206, b"RIFF")
        assert page.get(f"{page.link}/audio/{screen.id}/3").status_code == 404
    other = page.study.of("listener-002")[1]
    assert page.get(f"{page.link}/audio/{other.id}/0").status_code == 404
    text = page.get(page.link).text
    assert not any(song.id in text or song.source in text for song in page.plan.songs)


@pytest.mark.parametrize("evil", TRAVERSALS)
def test_no_parameter_is_a_path(page, evil):
    screen = page.screens[1]
    addresses = [
        f"/{evil}",
        f"/static/{evil}",
        f"/l/{evil}",
        f"/l/{evil}/audio/{screen.id}/0",
        f"{page.link}/audio/{evil}/0",
        f"{page.link}/audio/{screen.id}/{evil}",
        f"{page.link}/{evil}",
        f"/o/{evil}",
        f"{page.organiser}/{evil}",
    ]
    secrets = [(page.folder / "plan.json").read_bytes()[:200], b"SQLite format 3", b"root:x:"]
    for address in addresses:
        reply = page.get(address)
        # A client that resolves the dots itself asks for an address that there is.
        assert reply.status_code == 404 or reply.url.path in ("/", page.link, page.organiser)
        assert not any(secret in reply.content for secret in secrets)
    before = page.rows()
    for field in ("key", "screen", "dimension", "value"):
        assert page.answer(screen, **{field: evil}).status_code == 422
    assert page.rows() == before


def test_a_token_opens_its_own_pages_alone(page):
    links = page.store.links()
    mine, other = list(links.listeners.values())[:2]
    screen = page.screens[1]
    theirs = page.study.of("listener-002")[1]
    assert page.answer(theirs).status_code == 404  # another's screen, one's own token
    assert page.client.post(f"/l/{other}/finish", json={"screen": screen.id}).status_code == 404
    for wrong in (mine[:-1], mine + "A", mine.swapcase(), "", "listener-001", links.organiser):
        assert page.get(f"/l/{wrong}").status_code == 404
        for path in ("answers", "finish", "comments", "problems"):
            assert page.client.post(f"/l/{wrong}/{path}", json={}).status_code == 404
    for wrong in (mine, links.organiser[:-1], ""):
        assert page.get(f"/o/{wrong}").status_code == 404
        assert page.get(f"/o/{wrong}/judgements.csv").status_code == 404
    assert page.rows() == ([], [], [])


def test_a_replayed_post_changes_nothing(page):
    screen = page.screens[1]
    key = next(KEYS)
    assert page.answer(screen, value="a", key=key).json()["new"]
    assert page.answer(screen, value="b").json()["new"]  # a correction
    before = page.rows()
    assert not page.answer(screen, value="a", key=key).json()["new"]
    assert page.answer(screen, value="ab", key=key).status_code == 409
    comment = {"key": next(KEYS), "text": "good"}
    assert [page.post("comments", comment).json()["new"] for _ in range(3)] == [True, False, False]
    assert page.rows()[:2] == before[:2] and len(page.rows()[2]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"pair": 3},
        {"pair": -1},
        {"pair": "0"},
        {"pair": True},
        {"dimension": "tension"},
        {"dimension": SCRIPT},
        {"value": "c"},
        {"value": None},
        {"key": "k"},
        {"key": "a" * 33},
        {"screen": "0" * 31},
        {"heard": [6]},
        {"heard": [6, float("nan")]},
        {"heard": [6, -1]},
        {"heard": [0, 6]},
        {"listener": "listener-002"},
        {"extra": 1},
    ],
)
def test_a_forged_answer_is_refused(page, change):
    screen = page.screens[1]
    body = {"key": next(KEYS), "screen": screen.id, "pair": 0, "dimension": "arousal"}
    body |= {"value": "a", "heard": [6, 6]} | change
    reply = page.client.post(
        f"{page.link}/answers",
        content=json.dumps(body),
        headers={"content-type": "application/json"},
    )
    assert reply.status_code == 422 and reply.json()["error"]
    assert page.rows() == ([], [], [])


def test_a_form_of_another_site_is_refused(page):
    screen = page.screens[1]
    reply = page.client.post(f"{page.link}/finish", data={"screen": screen.id})
    assert reply.status_code == 415
    headers = {"content-type": "text/plain"}
    content = json.dumps({"screen": screen.id})
    assert (
        page.client.post(f"{page.link}/finish", content=content, headers=headers).status_code == 415
    )
    headers = {"sec-fetch-site": "cross-site"}
    assert page.post("finish", {"screen": screen.id}, headers=headers).status_code == 403
    for method in ("get", "put", "delete", "patch"):
        assert getattr(page.client, method)(f"{page.link}/answers").status_code == 405
    for method in ("post", "put", "delete"):
        assert getattr(page.client, method)(page.link).status_code == 405
    assert page.store.finished() == []


def test_practice_is_not_kept_and_a_song_that_cannot_be_played_is_no_reason_to_guess(page):
    assert page.answer(page.screens[0]).status_code == 409
    reply = page.answer(page.screens[1], heard=[0, 0])
    assert reply.status_code == 422 and "heard first" in reply.json()["error"]
    assert page.answer(page.screens[1], value="not_selected", heard=[0, 0]).status_code == 200


def test_ten_megabytes_are_refused_when_the_first_of_them_have_come(page):
    chunk, asked = 8192, 0

    async def receive():
        nonlocal asked
        asked += 1
        more = asked < 10 * 2**20 // chunk
        return {"type": "http.request", "body": b"x" * chunk, "more_body": more}

    assert posted_by_hand(page, receive) == 413 and asked * chunk <= 2 * server.MOST_BYTES
    deep = page.client.post(
        f"{page.link}/comments",
        content=b"[" * 16000,
        headers={"content-type": "application/json"},
    )
    assert deep.status_code == 422
    assert page.rows() == ([], [], [])


def posted_by_hand(page, receive):
    """Post a comment whose body comes as ``receive`` says; return the status."""
    said = []

    async def send(message):
        said.append(message)

    scope = {"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http"}
    scope |= {"path": f"{page.link}/comments", "raw_path": b"", "query_string": b""}
    scope |= {"root_path": "", "headers": [(b"content-type", b"application/json")]}
    asyncio.run(page.app(scope, receive, send))
    return said[0]["status"]


def test_a_body_that_never_comes_is_not_waited_for(page, monkeypatch):
    monkeypatch.setattr(server, "BODY_SECONDS", 0)

    async def never():
        await asyncio.Event().wait()

    async def gone():
        return {"type": "http.disconnect"}

    assert posted_by_hand(page, never) == 408
    monkeypatch.undo()
    assert posted_by_hand(page, gone) == 400


def test_what_people_type_stays_text(tmp_path):
    names = (SCRIPT, 'b" onclick="x', "{{ 7 * 7 }}")
    dimension = AROUSAL.model_copy(update={"question": SCRIPT, "low": "</section>", "high": "'\">"})
    page = Page(tmp_path / "s", make_plan(3, names, dimensions=(dimension, VALENCE), title=SCRIPT))
    text = f"{SCRIPT} {{{{ 7 * 7 }}}} \u202e ' \" &amp;"
    assert page.post("comments", {"key": next(KEYS), "text": text}).status_code == 200
    broken = {"key": next(KEYS), "screen": page.screens[1].id, "slot": 0, "text": SCRIPT}
    assert page.post("problems", broken).status_code == 200
    assert page.post("comments", {"key": next(KEYS), "text": "x" * 2001}).status_code == 422
    lone = b'{"key": "%032x", "text": "half a pair: \\ud800"}' % 5
    headers = {"content-type": "application/json"}
    half = page.client.post(f"{page.link}/comments", content=lone, headers=headers)
    assert half.status_code == 422
    for address in (page.link, f"{page.link}?pause", page.organiser, "/", "/nowhere"):
        shown = page.get(address).text
        assert "<script>" not in shown and "<img" not in shown and 'onclick="x' not in shown
        assert "49" not in re.sub(r'data-base="[^"]*"|href="[^"]*"', "", shown)
    assert "&lt;script&gt;" in page.get(page.organiser).text
    problem = next(one for one in page.store.comments() if one.kind == "problem")
    assert problem.song == page.screens[1].slots[0].song
    assert "folder/song" in page.get(page.organiser).text  # the organiser learns which file


def test_every_answer_carries_the_policy_and_no_page_asks_elsewhere(page):
    page.post("finish", {"screen": page.screens[0].id})
    addresses = (page.link, f"{page.link}?pause", page.organiser, "/", "/x", "/static/judge.js")
    for address in addresses:
        reply = page.get(address)
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in reply.headers
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", reply.text)
        assert not re.search(r"<script(?! src)|\son\w+=|\sstyle=", reply.text)
    assert page.answer(page.screens[1]).headers["content-security-policy"]
    script = page.get("/static/judge.js").text
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)
    code = [line for line in script.splitlines() if line.strip(" \t/") and line.split()[0] != "//"]
    assert len(code) <= 300


def test_a_listener_who_sends_too_fast_waits(tmp_path):
    now = [0.0]
    page = Page(tmp_path / "s", rate=Rate(1, 5, clock=lambda: now[0]))
    codes = [page.answer(page.screens[1]).status_code for _ in range(7)]
    assert codes == [200] * 5 + [429] * 2
    other = page.store.links().listeners["listener-002"]
    finish = {"screen": page.study.of("listener-002")[0].id}
    assert page.client.post(f"/l/{other}/finish", json=finish).status_code == 200
    now[0] += 1
    assert page.answer(page.screens[1]).status_code == 200


def test_a_full_disk_is_507_and_said_and_later_it_works_again(page):
    db = page.store.connection
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
    replies = [page.answer(page.screens[1]) for _ in range(60)]
    codes = [reply.status_code for reply in replies]
    n = codes.index(507)
    assert set(codes[:n]) == {200} and n < 60
    assert replies[n].json() == {"error": "the disk of the server is full"}
    assert page.get(page.link).status_code == 200
    db.execute("PRAGMA max_page_count = 100000")
    assert page.answer(page.screens[1]).status_code == 200


def test_damage_while_serving_is_503_and_said(page):
    page.store.close()
    path = page.folder / "judge.sqlite"
    path.write_bytes(b"\xa5" * path.stat().st_size)
    page.store.connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    reply = page.answer(page.screens[1])
    assert reply.status_code == 503 and "damaged" in reply.json()["error"]
    shown = page.get(page.link)
    assert shown.status_code == 503 and "Answers cannot be saved now" in shown.text


def test_the_organiser_sees_who_has_done_what_and_how_well_they_agree(tmp_path):
    page = Page(tmp_path / "s", make_plan(4))
    links = page.store.links().listeners
    for place, (name, token) in enumerate(links.items()):
        for screen in page.study.of(name)[: 7 if place < 2 else 3]:
            for n, dimension in itertools.product(range(3), ("arousal", "valence")):
                pair = screen.pairs[n]
                value = pair.in_plan("b") if n else "ab"
                if pair.kind == "same":
                    value = "ab" if place else "a"
                if screen.kind != "practice":
                    page.store.answer(
                        name, screen, pair=n, dimension=dimension, value=value, key=next(KEYS)
                    )
            page.client.post(f"/l/{token}/finish", json={"screen": screen.id})
    found = progress.measure(page.store, page.study.screens)
    first, second, third = found.listeners
    assert (first.n_finished, first.n_triplets) == (4, 4) and first.seconds_left == 0
    assert third.n_finished == sum(s.kind == "triplet" for s in page.study.screens[2][:3])
    assert first.same == (0, 2) and second.same == (2, 2)
    assert first.repeats[1] == 2 and third.seconds_left > 0
    arousal = found.agreement[0]
    assert arousal.n_pairs == arousal.n_all == 12
    assert arousal.full == 3 * third.n_finished
    shown = page.get(page.organiser).text
    assert f"{8 + third.n_finished} of 12\n" in shown and "each for 3 listeners" in shown
    assert "2 of 2" in shown and "0 of 2" in shown


def test_alpha_on_the_organisers_page_is_that_of_the_metrics(tmp_path):
    from earmark.bench.metrics.pairs.agreement import krippendorff_alpha, rating_matrix

    page = Page(tmp_path / "s", make_plan(6))
    for listener, name in enumerate(page.plan.listeners):
        for n, screen in enumerate(page.study.of(name)):
            for pair in range(3 if screen.kind == "triplet" else 0):
                value = ("a", "b", "ab")[(pair + n * listener) % 3]
                page.store.answer(
                    name, screen, pair=pair, dimension="valence", value=value, key=next(KEYS)
                )
    rows = page.store.judgements()
    matrix, _, _ = rating_matrix(
        [row.annotator for row in rows],
        [row.song_a + row.song_b for row in rows],
        [row.higher_value for row in rows],
    )
    found = progress.measure(page.store, page.study.screens).agreement
    assert found[0].alpha is None and found[0].n_pairs == 0
    alpha = found[1].alpha
    assert alpha.value == pytest.approx(krippendorff_alpha(matrix)) and alpha.n_units == 6
    shown = page.get(page.organiser).text
    assert f"{alpha.value:.2f}" in shown and f"[{alpha.interval.low:.2f}, " in shown


def test_the_greeting_names_links_and_beyond_ones_machine_tls(page):
    def said(host):
        return "\n".join(server._greeting(page.store, page.plan, host, f"http://{host}:1"))

    assert f"http://127.0.0.1:1{page.organiser}" in said("127.0.0.1")
    assert f"http://127.0.0.1:1{page.link}" in said("127.0.0.1")
    assert "TLS" not in said("127.0.0.1") and "TLS" not in said("::1")
    assert "plain HTTP" in said("0.0.0.0") and "reverse proxy" in said("192.0.2.1")


def test_an_address_that_is_taken_is_named(page):
    taken = server._listening("127.0.0.1", 0)
    assert taken.proto == socket.IPPROTO_TCP  # else asyncio leaves Nagle's algorithm on
    port = taken.getsockname()[1]
    taken.listen()
    with pytest.raises(DataError, match=rf"cannot listen at 127\.0\.0\.1, port {port}"):
        server._listening("127.0.0.1", port)
    taken.close()
