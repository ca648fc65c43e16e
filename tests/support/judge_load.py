"""Many listeners at once on loopback: is an answer lost or doubled, and how long does one take?

``python tests/support/judge_load.py --listeners 50 --seconds 60`` (this folder on PYTHONPATH)
serves an invented study from a process of its own. Each listener loads pages and songs and answers
once a second on average, four times as fast as a person; one answer in twenty is sent twice, as
after a lost acknowledgement. All begin at the same moment. It prints what a POST takes, of all and
without the first five seconds, and ends with 1 if the database does not hold just the acknowledged
answers.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from served_study import process_serving
from tiny_study import make_plan, write_study

from earmark.bench.judge.plan import Plan
from earmark.bench.judge.screens import Screen, screens
from earmark.bench.judge.store import open_store


@dataclass
class Result:
    """What all listeners saw together."""

    acknowledged: set[tuple[str, str]] = field(default_factory=set)
    """Listener and key."""
    posts: list[tuple[float, float]] = field(default_factory=list)
    """When each POST was sent, and how long it took, s."""
    failed: list[str] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    """Listener and key of each row of the database."""


async def _listen(
    client: httpx.AsyncClient, link: str, name: str, own: tuple[Screen, ...], pace: float,
    end: float, result: Result,
) -> None:  # fmt: skip
    draws = random.Random(name)

    async def post(path: str, body: dict[str, object]) -> bool:
        start = time.monotonic()
        reply = await client.post(f"{link}/{path}", json=body)
        result.posts.append((start, time.monotonic() - start))
        if reply.status_code != 200:
            result.failed.append(f"{path}: {reply.status_code} {reply.text}")
        return reply.status_code == 200

    for screen in own:
        for address in (link, *(f"{link}/audio/{screen.id}/{n}" for n in range(3))):
            (await client.get(address)).raise_for_status()
        for pair, dimension in itertools.product(range(3), ("arousal", "valence")):
            if screen.kind == "practice":
                break
            await asyncio.sleep(draws.expovariate(1) * pace)
            if time.monotonic() > end:
                return
            key = f"{draws.getrandbits(128):032x}"
            body: dict[str, object] = {"key": key, "screen": screen.id, "pair": pair}
            body |= {"dimension": dimension, "value": draws.choice("ab"), "heard": [9, 9]}
            for _ in range(2 if draws.random() < 0.05 else 1):
                if await post("answers", body):
                    result.acknowledged.add((name, key))
        await post("finish", {"screen": screen.id})


async def _all(root: str, plan: Plan, links: dict[str, str], pace: float, end: float) -> Result:
    result = Result()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=30, trust_env=False) as client:
        await asyncio.gather(
            *(
                _listen(client, f"{root}/l/{token}", name, screens(plan, n), pace, end, result)
                for n, (name, token) in enumerate(links.items())
            )
        )
    return result


def load(folder: Path, *, listeners: int, triplets: int, pace: float, seconds: float) -> Result:
    """Serve a new study, let all listeners answer, and read what the database holds then."""
    names = tuple(f"listener-{n:03d}" for n in range(listeners))
    plan = write_study(folder, make_plan(triplets, names))
    process, port = process_serving(folder)
    try:
        store = open_store(folder)
        links = store.links().listeners
        store.close()
        end = time.monotonic() + seconds
        result = asyncio.run(_all(f"http://127.0.0.1:{port}", plan, links, pace, end))
    finally:
        process.kill()  # with no chance to write anything more
        process.wait(20)
    with sqlite3.connect(folder / "judge.sqlite") as db:
        result.kept = db.execute("SELECT listener, key FROM answers").fetchall()
    return result


def main() -> None:
    """Run it, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    triplets = round(options.listeners * options.seconds / 15) + 3
    with tempfile.TemporaryDirectory() as place:
        result = load(
            Path(place) / "study",
            listeners=options.listeners,
            triplets=triplets,
            pace=1.0,
            seconds=options.seconds,
        )
    sent, took = np.array(sorted(result.posts)).T
    lost = result.acknowledged - {*result.kept}
    doubled = len(result.kept) - len({*result.kept})
    print(f"{options.listeners} listeners, {options.seconds:.0f} s: {len(took)} POSTs")
    print(f"acknowledged {len(result.acknowledged)}, kept {len(result.kept)}")
    print(f"lost {len(lost)}, doubled {doubled}, refused {len(result.failed)}")
    for name, chosen in (("all", took), ("after 5 s", took[sent > sent[0] + 5])):
        median, p99, longest = 1000 * np.percentile(chosen, [50, 99, 100])
        print(f"POST, {name}: median {median:.1f} ms, p99 {p99:.1f} ms, longest {longest:.1f} ms")
    print("\n".join(result.failed[:5]), end="")
    sys.exit(bool(lost or doubled or result.failed))


if __name__ == "__main__":
    main()
