"""Small MusAV data in the official layout, for tests: invented songs, annotators and judgements.

The derived files are computed here a second time, by brute force and without Earmark, so that the
derivation in ``earmark.datasets.judgements.rules`` is compared with something. Tests get the
writer through the fixture ``write_musav``.
"""

from __future__ import annotations

import itertools
import json
import string
from collections import Counter
from pathlib import Path

import numpy as np

DIMENSIONS = ("arousal", "valence")
TRIPLETS_PER_CHUNK = 10
ALPHABET = string.digits + string.ascii_letters


def write_musav(root: Path, *, n_triplets: int = 30, seed: int = 0) -> Path:
    """Write ``n_triplets`` judged triplets, and three that nobody judged, below ``root/data``.

    Every third triplet is a genre triplet. The songs have a hidden arousal and valence, which three
    annotators a chunk of ten triplets compare with some error; about one song in eight is in MuSe.
    The same arguments write the same bytes. Returns ``root``.
    """
    rng = np.random.default_rng(seed)
    triplets = [_triplet(number, rng) for number in range(n_triplets + 3)]
    songs = [song for triplet in triplets for song in triplet["songids"]]
    stranger = _song_id(rng)
    muse = [song for song in songs if rng.random() < 0.125]
    muse = [*(muse or songs[:1]), _song_id(rng)]
    data = root / "data"
    _write_rows(data / "triplets.jsonl", triplets)
    _write_lines(data / "annotations" / "ismir2022" / "ismir2022-muse.songids", muse)
    _write_lines(
        data / "audio.ebur128", [f"{s} {rng.uniform(-20, -5):.10f}" for s in [*songs, stranger]]
    )
    genres = [
        {
            "id": song,
            "genres": [triplet["triplet_type"].partition("--")[2] or f"genre {number % 7}"],
        }
        for number, triplet in enumerate(triplets)
        for song in triplet["songids"]
    ]
    _write_rows(data / "genres.jsonl", [*genres, {"id": stranger, "genres": ["pop", "rock"]}])
    judged = triplets[:n_triplets]
    pairs = [
        (triplet, *rng.permutation(pair).tolist())
        for triplet in judged
        for pair in itertools.combinations(triplet["songids"], 2)
    ]
    for dimension in DIMENSIONS:
        hidden = dict(zip(songs, rng.standard_normal(len(songs)), strict=True))
        rows = _judge(pairs, hidden, dimension, rng)
        path = data / "annotations" / f"annotations.{dimension}.all"
        _write_rows(path, [rows[i] for i in rng.permutation(len(rows))])
        _write_derived(path, pairs, rows, set(muse))
    return root


def _song_id(rng: np.random.Generator) -> str:
    return "".join(rng.choice(list(ALPHABET), 22))


def _triplet(number: int, rng: np.random.Generator) -> dict:
    return {
        "tripletid": rng.bytes(16).hex(),
        "songids": [_song_id(rng) for _ in range(3)],
        "triplet_type": "global_triplet" if number % 3 else f"genre_triplet--genre--{number}",
    }


def _judge(pairs: list, hidden: dict, dimension: str, rng: np.random.Generator) -> list[dict]:
    rows = []
    for number, (triplet, song_a, song_b) in enumerate(pairs):
        chunk = number // (3 * TRIPLETS_PER_CHUNK)
        for annotator in range(3 * chunk, 3 * chunk + 3):
            heard = hidden[song_a] - hidden[song_b] + 0.7 * rng.standard_normal()
            label = "ab" if abs(heard) < 0.3 else "a" if heard > 0 else "b"
            rows.append(
                {
                    "tripletid": triplet["tripletid"],
                    "songid_a": song_a,
                    "songid_b": song_b,
                    "annotator": f"annotations-annotator{annotator:03d}",
                    "type": dimension,
                    "higher_value": "not_selected" if rng.random() < 0.02 else label,
                }
            )
    return rows


def _write_derived(path: Path, pairs: list, rows: list[dict], muse: set[str]) -> None:
    derived = []
    for triplet, song_a, song_b in pairs:
        said = [
            r["higher_value"] for r in rows if (r["songid_a"], r["songid_b"]) == (song_a, song_b)
        ]
        derived.append(
            {
                "tripletid": triplet["tripletid"],
                "triplet_type": triplet["triplet_type"],
                "pairid": f"{song_a}-{song_b}",
                **_agreement(said),
            }
        )
    _write_rows(path.with_name(f"{path.name}.agreement"), derived)
    gt = [row for row in derived if row["agreement"] != "disagreement"]
    consistency = {
        triplet["tripletid"]: _consistency(
            triplet["songids"], [r for r in gt if r["tripletid"] == triplet["tripletid"]]
        )
        for triplet, _, _ in pairs
    }
    gt = [row | {"triplet_consistency": consistency[row["tripletid"]]} for row in gt]
    songs = sorted({song for row in gt for song in row["pairid"].split("-")})
    release = path.parent / "ismir2022" / path.name
    kept = [row for row in gt if not muse & set(row["pairid"].split("-"))]
    for rows_of, target in ((gt, path), (kept, release)):
        full = [row for row in rows_of if row["agreement"] == "full-agreement"]
        consistent = [row for row in rows_of if row["triplet_consistency"] == "consistent"]
        for conditions, chosen in {
            "": rows_of,
            ".fa": full,
            ".ct": consistent,
            ".ct.fa": [row for row in consistent if row in full],
        }.items():
            _write_rows(target.with_name(f"{path.name}.agreement.gt{conditions}"), chosen)
    name = f"{path.name}.agreement.gt.songids"
    _write_lines(path.with_name(name), songs)
    _write_lines(release.with_name(name), [song for song in songs if song not in muse])


def _agreement(said: list[str]) -> dict[str, str]:
    label, n = Counter(said).most_common(1)[0]
    contradicted = "not_selected" in said or {"a", "b"} <= set(said)
    majority = "disagreement" if contradicted or n < 2 else "majority-agreement"
    return {
        "agreement": "full-agreement" if n == 3 and not contradicted else majority,
        "higher_value": label if n >= 2 and label != "not_selected" else "undefined",
    }


def _consistency(songs: list[str], rows: list[dict]) -> str:
    if len(rows) < 3:
        return "incomplete"
    for ranks in itertools.product(range(3), repeat=3):
        rank = dict(zip(songs, ranks, strict=True))
        ordered = {
            row["pairid"]: np.sign(np.subtract(*(rank[song] for song in row["pairid"].split("-"))))
            for row in rows
        }
        if all({"a": 1, "ab": 0, "b": -1}[r["higher_value"]] == ordered[r["pairid"]] for r in rows):
            return "consistent"
    return "inconsistent"


def _write_rows(path: Path, rows: list[dict]) -> None:
    _write_lines(path, [json.dumps(row) for row in rows])


def _write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
