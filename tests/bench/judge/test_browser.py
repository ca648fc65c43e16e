"""The listening page in real Chromium: keys, reloads, tabs, a killed server, a cut network.

Songs sound by a media clock of the test (tests/support/media_clock.js), so that nothing waits; one
test plays them for real. Axe also needs EARMARK_AXE, the path of axe-core's script.
"""

import itertools
import os
import signal
from pathlib import Path

import pytest
from served_study import process_serving, serving
from tiny_study import make_plan, write_study
from webdriver import MISSING, browsing

from earmark.bench.judge.screens import screens
from earmark.bench.judge.store import NotSavedError, open_store

pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))

CLOCK = (Path(__file__).parents[2] / "support" / "media_clock.js").read_text()
ANSWERS = {"a": "a", "=": "ab", "b": "b", "x": "not_selected"}
SAID = "document.querySelector('#saved').textContent"
PRESSED = (
    "[...document.querySelectorAll('.question')].map((one) => "
    "one.querySelector('[aria-pressed=true]')?.dataset.value ?? '')"
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.fixture
def browser(chromium):
    """A new tab with the test's media clock."""
    first = chromium.tab()
    with_clock(chromium)
    chromium.console()  # of earlier tests
    yield chromium
    for handle in chromium.tabs():
        if handle != first:
            chromium.go_to(handle)
            chromium.close_tab()
    chromium.go_to(first)


def with_clock(browser):
    handle = browser.new_tab()
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", source=CLOCK)
    return handle


@pytest.fixture
def folder(tmp_path):
    write_study(tmp_path / "study", make_plan(2))
    return tmp_path / "study"


def skip_practice(store):
    for listener, name in enumerate(store.plan.listeners):
        store.finish(name, screens(store.plan, listener)[0])


def ready(browser, screen):
    browser.until(f"document.querySelector('main').dataset.screen === '{screen.id}'")


def until_saved(browser):
    browser.until(f"{SAID} === 'Saved'")
    browser.until("!Object.values(localStorage).some((value) => value.includes('path'))")


def given(store, screen, listener="listener-001"):
    """The answers of a screen in the order of its questions, by key."""
    found = store.given(listener, screen)
    names = {value: key for key, value in ANSWERS.items()}
    return "".join(
        names[found[pair, dimension]]
        for dimension, pair in itertools.product(("arousal", "valence"), range(3))
        if (pair, dimension) in found
    )


def test_the_keyboard_alone_suffices_and_nothing_is_asked_of_other_places(browser, folder):
    with serving(folder) as served:
        browser.open(served.links[0])
        own = screens(served.store.plan, 0)
        keys = ["a=bxab", "xb=aaa", "======", "bbbbbb"]
        for screen, answers in zip(own, keys, strict=True):
            ready(browser, screen)
            browser.press("a")  # nothing was heard yet
            assert browser.script(f"return {PRESSED}") == [""] * 6
            assert "Listen to songs 1 and 2" in browser.script("return hint.textContent")
            browser.press("123" + answers)
            browser.press(["Up", "Down", "Enter"])
        browser.until("document.body.innerText.includes('Done. Thank you!')")
        for screen, answers in zip(own[1:], keys[1:], strict=True):
            assert given(served.store, screen) == answers
        assert len(served.store.judgements()) == 12 and len(served.store.checks()) == 6
        asked = browser.script(
            "return performance.getEntriesByType('resource').map((one) => one.name)"
        )
        assert asked and all(address.startswith(served.root) for address in asked)
        assert browser.console() == []


def test_a_reload_in_the_middle_loses_nothing_and_an_answer_can_be_corrected(browser, folder):
    with serving(folder) as served:
        skip_practice(served.store)
        screen = screens(served.store.plan, 0)[1]
        browser.open(served.links[0])
        browser.press("12")
        browser.press("a")
        until_saved(browser)
        browser.open(served.links[0])
        assert browser.script(f"return {PRESSED}") == ["a", "", "", "", "", ""]
        assert browser.script("return document.querySelectorAll('.player.heard').length") == 2
        browser.press(["Up", "b"])  # the question that was answered, again
        until_saved(browser)
        browser.open(served.links[0] + "?pause")
        assert (
            browser.script("return document.querySelector('#link').textContent")
            == (served.links[0])
        )
        browser.script("document.querySelector('a.button').click()")
        ready(browser, screen)
        browser.press("3=bxab")
        browser.press(["Enter"])
        browser.until("document.querySelector('.count')?.textContent.startsWith('Screen 2')")
        assert given(served.store, screen) == "b=bxab"


def test_two_tabs_of_one_person_agree_on_what_was_finished_first(browser, folder):
    with serving(folder) as served:
        skip_practice(served.store)
        first, second = screens(served.store.plan, 0)[1:3]
        one = browser.tab()
        browser.open(served.links[0])
        browser.press("123aa")
        until_saved(browser)
        with_clock(browser)
        browser.open(served.links[0])
        browser.press("123" + "bbbb")
        browser.press(["Enter"])
        ready(browser, second)
        browser.go_to(one)
        ready(browser, first)  # still shown here
        browser.press("x")
        ready(browser, second)
        assert given(served.store, first) == "aabbbb"


def test_a_page_that_shows_an_answer_too_many_is_drawn_anew(browser, folder):
    with serving(folder) as served:
        skip_practice(served.store)
        screen = screens(served.store.plan, 0)[1]
        browser.open(served.links[0])
        browser.press("123aaaaaa")
        until_saved(browser)
        served.store.connection.execute("DELETE FROM answers WHERE id = 2")  # a restored backup
        browser.press(["Enter"])
        browser.until(f"{PRESSED}.filter((one) => one === '').length === 1")
        browser.press("b")
        browser.press(["Enter"])
        ready(browser, screens(served.store.plan, 0)[2])
        assert given(served.store, screen) == "abaaaa"


def test_a_killed_server_loses_no_answer_and_gets_the_next_when_it_is_back(browser, folder):
    process, port = process_serving(folder)
    try:
        store = open_store(folder)
        skip_practice(store)
        screen = screens(store.plan, 0)[1]
        link = f"http://127.0.0.1:{port}/l/{store.links().listeners['listener-001']}"
        browser.open(link)
        browser.press("123a")
        until_saved(browser)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        browser.press("=bx")
        browser.until(f"{SAID}.startsWith('Not saved: no connection')")
        assert given(open_store(folder), screen) == "a"
        process, _ = process_serving(folder, port)
        browser.open(link)  # as if the browser had been killed, too
        until_saved(browser)
        assert browser.script(f"return {PRESSED}") == ["a", "ab", "b", "not_selected", "", ""]
        assert given(store, screen) == "a=bx"
        assert len(store.judgements()) == 4
        store.close()
    finally:
        process.kill()
        process.wait(20)


def test_answers_queue_while_the_network_is_cut_and_arrive_once(browser, folder):
    with serving(folder) as served:
        skip_practice(served.store)
        first, second = screens(served.store.plan, 0)[1:3]
        browser.open(served.links[0])
        browser.press("123")
        cut = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        browser.devtools("Network.enable")
        browser.devtools("Network.emulateNetworkConditions", offline=True, **cut)
        browser.press("abxab=")
        browser.press(["Up", "Enter"])  # to the next screen as soon as there is a network
        browser.until(f"{SAID}.startsWith('Not saved: no connection')")
        assert given(served.store, first) == ""
        browser.devtools("Network.emulateNetworkConditions", offline=False, **cut)
        browser.script("dispatchEvent(new Event('online')); dispatchEvent(new Event('online'))")
        ready(browser, second)
        assert given(served.store, first) == "abxab="
        rows = served.store.connection.execute("SELECT count(*) FROM answers").fetchone()
        assert rows == (6,) and len(served.store.finished("listener-001")) == 2


def test_a_full_disk_is_said_on_the_page_and_the_answer_is_sent_again(browser, folder):
    with serving(folder) as served:
        skip_practice(served.store)
        db = served.store.connection
        screen = screens(served.store.plan, 0)[1]
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
        with pytest.raises(NotSavedError):
            for n in range(200):
                served.store.answer(
                    "listener-002", screen, pair=0, dimension="arousal", value="a", key=str(n)
                )
        browser.open(served.links[0])
        browser.press("123a")
        browser.until(f"{SAID}.startsWith('Not saved: the disk of the server is full')")
        assert given(served.store, screen) == ""
        db.execute("PRAGMA max_page_count = 100000")
        browser.script("dispatchEvent(new Event('online'))")
        until_saved(browser)
        assert given(served.store, screen) == "a"


def test_a_song_that_the_browser_cannot_decode_is_named_and_can_be_passed_over(browser, folder):
    plan = make_plan(2)
    screen = screens(plan, 0)[1]
    song = next(one for one in plan.songs if one.id == screen.slots[1].song)
    (folder / "excerpts" / song.excerpt).write_bytes(b"this is no audio" * 100)
    with serving(folder) as served:
        skip_practice(served.store)
        browser.open(served.links[0])
        browser.until("document.querySelectorAll('.player.bad').length === 1")
        state = browser.script("return document.querySelectorAll('.state')[1].textContent")
        assert state.startswith("cannot be played: this browser cannot decode it")
        browser.press("13")
        browser.press("a")  # songs 1 and 2
        assert "only “can’t tell”" in browser.script("return hint.textContent")
        browser.press("xbxxax")
        browser.press(["Enter"])
        ready(browser, screens(plan, 0)[2])
        assert given(served.store, screen) == "xbxxax"
        browser.open(served.organiser)
        problem = browser.script("return document.querySelector('.comments .bad').innerText")
        assert song.source in problem and "cannot decode it" in problem


def test_one_song_sounds_at_a_time_at_the_level_of_the_plan(chromium, folder):
    first = chromium.tab()
    chromium.console()  # of earlier tests
    chromium.new_tab()  # with the browser's own media clock
    with serving(folder) as served:
        skip_practice(served.store)
        chromium.open(served.links[0])
        chromium.script(
            "window.gains = []; const make = AudioContext.prototype.createGain;"
            "AudioContext.prototype.createGain = function () {"
            "  const made = make.call(this); gains.push(made); return made; };"
        )
        playing = "[...document.querySelectorAll('audio')].map((one) => !one.paused).join()"
        for key, expected in (("1", "true,false,false"), ("3", "false,false,true")):
            chromium.press(key)
            n = int(key) - 1
            chromium.until(f"document.querySelectorAll('audio')[{n}].currentTime > 0.1")
            assert chromium.script(f"return {playing}") == expected
        chromium.press("3")
        assert chromium.script(f"return {playing}") == "false,false,false"
        plan, screen = served.store.plan, screens(served.store.plan, 0)[1]
        songs = {song.id: song for song in plan.songs}
        expected = [plan.gain(songs[screen.slots[n].song]) for n in (0, 2)]
        assert chromium.script("return gains.map((one) => one.gain.value)") == pytest.approx(
            expected, rel=1e-5
        )
        assert chromium.console() == []
    chromium.close_tab()
    chromium.go_to(first)


def test_a_song_that_did_not_arrive_is_loaded_again_at_a_press(chromium, folder):
    first = chromium.tab()
    chromium.new_tab()  # with the browser's own media clock
    chromium.devtools("Network.enable")
    chromium.devtools("Network.setBlockedURLs", urls=["*/audio/*"])
    with serving(folder) as served:
        skip_practice(served.store)
        chromium.open(served.links[0])
        states = "[...document.querySelectorAll('.state')].map((one) => one.textContent)"
        chromium.until(f"{states}.every((one) => one.startsWith('could not be loaded'))")
        chromium.devtools("Network.setBlockedURLs", urls=[])
        chromium.press("2")
        chromium.until("document.querySelectorAll('audio')[1].currentTime > 0.1")
        chromium.until(f"{states}[1].endsWith('more to hear')")
        assert served.store.comments() == []  # no fault of the song
    chromium.close_tab()
    chromium.go_to(first)


def test_a_comment_is_saved_as_text(browser, folder):
    with serving(folder) as served:
        browser.open(served.links[1])
        text = "<img src=x onerror=alert(1)> 1a=b"
        browser.script("document.querySelector('.comment').closest('details').open = true")
        browser.script("document.querySelector('#comment').focus()")
        browser.press(text)  # keys of the page mean nothing in the field
        browser.press(["Tab", "Enter"])
        browser.until("commented.textContent === 'Comment saved'")
        assert [one.text for one in served.store.comments()] == [text]
        browser.open(served.organiser)
        assert text in browser.script("return document.querySelector('.comments').innerText")
        assert browser.script("return document.images.length") == 0
        assert browser.console() == []


def each_page(browser, served):
    """Open every kind of page once; yield its name."""
    own = screens(served.store.plan, 0)
    browser.open(served.links[0])
    yield "practice"
    served.store.finish("listener-001", own[0])
    browser.open(served.links[0])
    browser.press("12ab")
    yield "screen"
    browser.open(served.links[0] + "?pause")
    yield "pause"
    for screen in own[1:]:
        for pair, dimension in itertools.product(range(3), ("arousal", "valence")):
            served.store.answer(
                "listener-001",
                screen,
                pair=pair,
                dimension=dimension,
                value="a",
                key=f"{screen.id} {pair} {dimension}",
            )
        served.store.finish("listener-001", screen)
    browser.open(served.links[0])
    yield "done"
    served.store.comment("listener-001", text="One song was known to me.", key="1")
    browser.open(served.organiser)
    yield "organiser"
    browser.open(served.root)
    yield "front"


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_wider_than_a_phone(browser, folder, colours):
    source = os.environ.get("EARMARK_AXE")
    features = [{"name": "prefers-color-scheme", "value": colours}]
    browser.devtools("Emulation.setEmulatedMedia", features=features)
    small = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    backgrounds = set()
    with serving(folder) as served:
        for name in each_page(browser, served):
            backgrounds.add(
                browser.script("return getComputedStyle(document.body).backgroundColor")
            )
            browser.devtools("Emulation.setDeviceMetricsOverride", **small)
            wider = "return document.documentElement.scrollWidth - innerWidth"
            assert browser.script(wider) <= 0, name
            if source:
                for size in ("small", "large"):
                    assert violations(browser, Path(source).read_text()) == [], (name, size)
                    browser.devtools("Emulation.clearDeviceMetricsOverride")
    assert backgrounds == {"rgb(243, 245, 247)" if colours == "light" else "rgb(18, 22, 26)"}
    if not source:
        pytest.skip("EARMARK_AXE does not name axe-core's axe.min.js; all but axe passed")


def violations(browser, axe):
    browser.script(axe + "; window.found = null; axe.run().then((run) => { window.found = run; });")
    browser.until("found !== null")
    return browser.script(
        "return found.violations.map((one) => [one.id, ...one.nodes.map((node) => node.html)])"
    )
