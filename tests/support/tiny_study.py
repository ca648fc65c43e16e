"""A small listening study with synthetic songs, as ``earmark judge plan`` would write it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import soundfile

from earmark.bench.judge import plan as plan_file
from earmark.bench.judge.plan import Dimension, Plan, Song, Triplet

RATE = 8000
SECONDS = 12.0
AROUSAL = Dimension(
    name="arousal",
    question="Which song has the higher arousal (energy)?",
    low="calm, sleepy",
    high="excited, energetic",
)
VALENCE = Dimension(
    name="valence",
    question="Which song has the higher valence (more positive mood)?",
    low="sad, tense",
    high="happy, serene",
)


def digest(text: str) -> str:
    """32 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def make_plan(
    n_triplets: int = 3,
    listeners: tuple[str, ...] = ("listener-001", "listener-002", "listener-003"),
    annotators: int = 3,
    dimensions: tuple[Dimension, ...] = (AROUSAL, VALENCE),
    **changes: object,
) -> Plan:
    """A plan of triplets that are each judged by the next ``annotators`` listeners."""
    songs = tuple(
        Song(
            id=digest(f"song {n}"),
            source=f"folder/song {n}.wav",
            excerpt=f"{digest(f'song {n}')}.wav",
            start=0.0,
            seconds=SECONDS,
            lufs=-14.0 - n % 5,
            peak=0.5,
        )
        for n in range(3 * n_triplets)
    )
    triplets = tuple(
        Triplet(
            id=digest(f"triplet {n}"),
            type="global_triplet",
            songs=(songs[3 * n].id, songs[3 * n + 1].id, songs[3 * n + 2].id),
            listeners=tuple((n + k) % len(listeners) for k in range(annotators)),
        )
        for n in range(n_triplets)
    )
    content: dict[str, object] = {
        "schema_version": 1,
        "title": "Songs of the test",
        "licence": "CC0-1.0",
        "created": "2026-01-01",
        "seed": 7,
        "dimensions": dimensions,
        "annotators": annotators,
        "listeners": listeners,
        "loudness_by": "the test",
        "songs": songs,
        "triplets": triplets,
    }
    return Plan.model_validate({**content, **changes})


def write_study(folder: Path, plan: Plan | None = None, *, audio: bool = True) -> Plan:
    """Write a plan with its excerpts, each a tone of its own."""
    plan = plan or make_plan()
    (folder / plan_file.EXCERPTS).mkdir(parents=True)
    plan_file.write(plan, folder)
    if audio:
        time = np.arange(round(RATE * SECONDS)) / RATE
        for n, song in enumerate(plan.songs):
            tone = 0.5 * np.sin(2 * np.pi * (200 + 30 * n) * time)
            soundfile.write(folder / plan_file.EXCERPTS / song.excerpt, tone, RATE)
    return plan
