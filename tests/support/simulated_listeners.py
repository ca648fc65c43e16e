"""Listeners who are not there: they judge a served study by the keyboard, in headless Chromium.

``python tests/support/simulated_listeners.py STUDY --truth CSV`` (this folder on PYTHONPATH) serves
the study from a process of its own, goes through every listener's screens from practice to the
thanks, and ends the server. The CSV has a row per recording, found by the stem of its file name,
and a column per dimension.

A listener hears the true difference of two songs plus Gaussian noise, and calls it equal where it
is small: Thurstone's model with ties, with the noise that fits MusAV's own judgements best
(``earmark.bench.judge.power``), in units of the plan's root mean square difference. A song
against itself is recognised nine times in ten. Songs sound by a media clock of the script's, in
which each is heard whole at once, so that nothing waits for them.
"""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from served_study import process_serving
from webdriver import Browser, browsing

from earmark.bench.judge.plan import Plan
from earmark.bench.judge.plan import read as read_plan
from earmark.bench.judge.power import NOISE, OTHER
from earmark.bench.judge.screens import Screen, ShownPair, screens
from earmark.bench.judge.store import open_store
from earmark.datasets.etude.judge import Noise, probabilities
from earmark.datasets.files.names import AUDIO_SUFFIXES

RECOGNISED = 0.9
KEYS = {"a": "a", "b": "b", "ab": "=", "not_selected": "x"}
CLOCK = Path(__file__).with_name("media_clock.js")

Truth = Mapping[str, Mapping[str, float]]
"""Of each dimension, the value of each song."""


def truth_of(plan: Plan, table: Path) -> Truth:
    """Read the songs' values from a table by the stems of their files."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    by_name = {_name(next(iter(row.values()))): row for row in rows}
    return {
        dimension.name: {
            song.id: float(by_name[_name(song.source)][dimension.name]) for song in plan.songs
        }
        for dimension in plan.dimensions
    }


def _name(file: str) -> str:
    path = Path(file)  # a track id such as blues.00002 has no suffix
    return path.stem if path.suffix in AUDIO_SUFFIXES else path.name


class Listener:
    """One of them: the same seed judges alike."""

    def __init__(self, plan: Plan, truth: Truth, index: int, seed: int) -> None:
        self.name = plan.listeners[index]
        self.screens = screens(plan, index)
        self._draws = random.Random(f"{seed} {self.name}")
        self._truth, self._noise = truth, {}
        for dimension, values in truth.items():
            pairs = [pair for triplet in plan.triplets for pair in triplet.pairs]
            scale = np.sqrt(np.mean([(values[a] - values[b]) ** 2 for a, b in pairs]))
            own = NOISE.get(dimension, NOISE[OTHER])
            self._noise[dimension] = Noise(own.sd * scale, own.equal_below * scale, own.unanswered)

    def keys(self, screen: Screen) -> str:
        """What is pressed for all questions of a screen, in its order."""
        return "".join(
            KEYS[self._judge(pair, dimension)] for dimension in self._truth for pair in screen.pairs
        )

    def _judge(self, pair: ShownPair, dimension: str) -> str:
        if pair.a == pair.b and self._draws.random() < RECOGNISED:
            return "ab"
        values = self._truth[dimension]
        chances = probabilities(values[pair.a] - values[pair.b], self._noise[dimension])
        (value,) = self._draws.choices(list(chances), weights=list(chances.values()))
        return pair.in_plan(value)


def judge(browser: Browser, link: str, listener: Listener) -> None:
    """Go through all screens of a listener that are left."""
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", source=CLOCK.read_text())
    browser.open(link)
    shown = "document.querySelector('main').dataset.screen"
    first = browser.script(f"return {shown} ?? null")
    left = False
    for screen in listener.screens:
        keys = listener.keys(screen)
        left = left or screen.id == first
        if left:
            browser.until(f"{shown} === '{screen.id}'")
            browser.press([*"123", *keys, "Enter"])
    browser.until("document.body.innerText.includes('Done. Thank you!')")


def main() -> None:
    """Judge a whole study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    plan = read_plan(options.study)
    truth = truth_of(plan, options.truth)
    process, port = process_serving(options.study)
    try:
        store = open_store(options.study)
        for index, (name, token) in enumerate(store.links().listeners.items()):
            listener = Listener(plan, truth, index, options.seed)
            with tempfile.TemporaryDirectory() as place, browsing(Path(place)) as browser:
                judge(browser, f"http://127.0.0.1:{port}/l/{token}", listener)
                complaints = browser.console()
            print(f"{name}: {len(listener.screens)} screens; console: {complaints or 'nothing'}")
        print(f"{len(store.judgements())} judgements, {len(store.checks())} answers to checks")
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    main()
