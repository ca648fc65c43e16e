"""What every dataset of the registry keeps to, on small invented sets: one contract for all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import pytest
from caption_files import OWN, own, touch, write
from invented_musav import write_musav
from invented_ratings import FIRST, STATIC, draw, write_deam, write_emomusic, write_table

from earmark.datasets import gtzan, magnatagatune
from earmark.datasets.base import MARKER, DataError
from earmark.datasets.captions import clotho, manifest, musiccaps, song_describer
from earmark.datasets.captions import csv as captions_csv
from earmark.datasets.judgements import ccmed_wcmed, judged, mer_taffc, musav, rankings
from earmark.datasets.ratings import deam, emomusic, folder, muse, pmemo
from earmark.datasets.registry import DATASETS

ORIGIN = {
    **{name: f"its {name}" for name in ("title", "version", "licence", "citation", "source")},
    "synthetic": True,
    "notes": ["made by a program"],
}
MAJOR = draw(range(1, 41))


class Loader(NamedTuple):
    """A small set in the layout of one loader."""

    module: ModuleType
    write: Callable[[Path], object]
    table: str | None = None
    """The CSV file, below the root, of which one row is one clip or one answer."""
    options: Mapping[str, Any] = MappingProxyType({})


def _captions(name: str, rows: Sequence[Sequence[str]], *audio: str) -> Callable[[Path], object]:
    def written(root: Path) -> None:
        write(root / name, rows)
        touch(root, *audio)

    return written


def _ranked(*halves: str) -> Callable[[Path], object]:
    def written(root: Path) -> None:
        for half in halves:
            for dimension in ("Arousal", "Valence"):
                rows = [("a.wav", 2), ("b.wav", 1), ("c.wav", 3)]
                table = root / half / "Rankings" / f"{dimension}.csv"
                write_table(table, ["FileName", "Ranking"], rows)

    return written


def _magnatagatune(root: Path) -> None:
    clips = {"30": "0/a-0-29.mp3", "4": "b/d-0-29.mp3", "6": "c/g-0-29.mp3"}
    rows = [[name, *["1"] * len(magnatagatune.TOP_50), path] for name, path in clips.items()]
    stream = io.StringIO()
    csv.writer(stream, delimiter="\t", lineterminator="\n").writerows(
        [["clip_id", *magnatagatune.TOP_50, "mp3_path"], *rows]
    )
    write(root / "annotations_final.csv", stream.getvalue())
    touch(root, *clips.values())


_CAPTIONS = [f"caption_{i}" for i in range(1, 6)]
LOADERS = {
    "musav": Loader(musav, write_musav),
    "musav-judgements": Loader(musav, write_musav),
    "gtzan": Loader(
        gtzan, lambda root: touch(root, *(f"genres/{g}/{g}.00001.wav" for g in gtzan.GENRES))
    ),
    "magnatagatune": Loader(
        magnatagatune,
        _magnatagatune,
        "annotations_final.csv",
        {"split": "pons2017"},
    ),
    "musiccaps": Loader(
        musiccaps,
        _captions(
            "musiccaps-public.csv",
            [
                [*musiccaps._COLUMNS],
                ["aa", "0", "10", "[]", "A pop song.", "False", "True"],
                ["bb", "5", "15", "['x']", "Noise.", "True", "False"],
            ],
            *("audio/aa.wav", "audio/[bb]-[5-15].wav"),
        ),
        "musiccaps-public.csv",
        {"split": "all"},
    ),
    "song-describer": Loader(
        song_describer,
        _captions(
            "song_describer.csv",
            [
                [*song_describer._COLUMNS],
                ["1", "16", "calm", "True", "A1", "16/16.mp3"],
                ["2", "17", "loud", "", "A2", "17/17.mp3"],
            ],
            *("audio/16/16.2min.mp3", "audio/17/17.2min.mp3"),
        ),
        "song_describer.csv",
        {"split": "full"},
    ),
    "clotho": Loader(
        clotho,
        _captions(
            "clotho_captions_evaluation.csv",
            [["file_name", *_CAPTIONS], ["b.wav", *"vwxyz"], ["a.wav", *"abcde"]],
            *("evaluation/a.wav", "evaluation/b.wav"),
        ),
        "clotho_captions_evaluation.csv",
        {"split": "evaluation"},
    ),
    "caption-manifest": Loader(
        manifest,
        _captions(
            "dataset_test.json",
            json.dumps([{"audio_id": 1, "caption": "slow", "audio_path": "a.npy"}]),
            "audio/a.npy",
        ),
        options={"split": "test"},
    ),
    "caption-csv": Loader(captions_csv, lambda root: own(root, OWN), "captions.csv"),
    "emomusic": Loader(
        emomusic,
        lambda root: write_emomusic(root, MAJOR),
        "annotations/static_annotations.csv",
        {"split": "mediaeval2013"},
    ),
    "deam": Loader(
        deam,
        lambda root: write_deam(root, MAJOR | draw(range(2001, 2005))),
        f"{STATIC}/{FIRST}",
        {"correct_swap": False},
    ),
    "muse": Loader(
        muse,
        lambda root: write_table(
            root / muse.TABLE,
            muse._COLUMNS,
            [(f"u/{i}", f"x{i}", "pop", f"{i:022d}", 5, 4 + i, 3) for i in range(3)],
        ),
        muse.TABLE,
    ),
    "pmemo": Loader(
        pmemo,
        lambda root: write_table(
            root / "annotations/static_annotations.csv",
            pmemo.STATIC.names(),
            [(1, 0.1, 0.9), (20, 0.5, 0.4), (3, 0.7, 0.7)],
        ),
        "annotations/static_annotations.csv",
    ),
    "mer-taffc": Loader(
        mer_taffc,
        lambda root: write_table(
            root / mer_taffc.ANNOTATIONS,
            ["Song", "Quadrant"],
            [("MT1", "Q1"), ("MT3", "Q3"), ("MT2", "Q2")],
        ),
        mer_taffc.ANNOTATIONS,
    ),
    "ccmed-wcmed": Loader(
        ccmed_wcmed, _ranked("CCMED", "WCMED"), "CCMED/Rankings/Arousal.csv", {"part": "ccmed"}
    ),
    "emusic": Loader(rankings, _ranked("."), "Rankings/Arousal.csv"),
    "ranked-folder": Loader(rankings, _ranked("."), "Rankings/Arousal.csv"),
    "pairwise": Loader(
        judged,
        lambda root: write_table(
            root / "judgements.csv",
            ["triplet", "a", "b", "annotator", "dimension", "higher_value"],
            [
                ("t", "x", "y", "ann", "preference", "a"),
                ("t", "y", "x", "bob", "preference", "ab"),
                ("t", "x", "z", "ann", "preference", "not_selected"),
                ("u", "v", "w", "ann", "arousal", "b"),
            ],
        ),
        "judgements.csv",
    ),
    "pairwise-csv": Loader(
        judged,
        lambda root: write_table(
            root / "judgements.csv",
            ["dimension", "higher", "lower"],
            [("arousal", "b", "a"), ("valence", "a", "b"), ("arousal", "d", "c")],
        ),
        "judgements.csv",
    ),
    "rated-folder": Loader(
        folder,
        lambda root: (
            write_table(
                root / "ratings.csv",
                ["track_id", "arousal", "valence"],
                [("b", 2, 3), ("a", 4, 5.5), ("c", 9, 1)],
            ),
            touch(root / "audio", "a.wav", "b.wav", "c.wav"),
        ),
        "ratings.csv",
        {"scale": (1, 9)},
    ),
}
TABLES = [name for name, loader in LOADERS.items() if loader.table]
DAMAGE = {
    "absent": (None, "no such file|neither of|expected (one|annotations/)"),
    "empty": (b"", "is an empty file|column clip_id"),
    "not UTF-8": (b"\xff" * 9, "is not UTF-8"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
    "a NUL": (b"a,b\n1,\0\n", "NUL"),
    "other columns": (b"odd,other\n1,2\n", "column"),
}


@pytest.fixture(params=LOADERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def opened(name: str, root: Path) -> Any:
    return DATASETS.create(name, {"root": root} | dict(LOADERS[name].options))


def clips_of(dataset: Any) -> list[str]:
    clips = dataset.clips() if isinstance(dataset, judged.JudgedPairs) else dataset.clips
    return [clip.id for clip in clips]


def problems(name: str, root: Path) -> list[str]:
    loader = LOADERS[name]
    own = {"split", "part", "scale"} & loader.options.keys()
    taken = {key: loader.options[key] for key in own if key == "scale" or name in _SPLIT_CHECKED}
    return [str(problem) for problem in loader.module.validate(root, **taken)]


_SPLIT_CHECKED = ("musiccaps", "song-describer", "clotho", "caption-manifest")


def test_every_dataset_of_the_project_keeps_the_contract():
    assert set(LOADERS) == {
        name
        for name, target in DATASETS.targets().items()
        if target.startswith("earmark.") and not target.startswith("earmark.datasets.tables:")
    }  # a table of truth is no folder: tests/bench/cli/test_score.py


def test_a_set_opens_to_the_same_content_each_time_and_says_what_it_is(tmp_path, name):
    LOADERS[name].write(tmp_path)
    found, again = opened(name, tmp_path), opened(name, tmp_path)
    card, ids = found.card, clips_of(found)
    assert len(set(ids)) == len(ids) > 0
    assert len(found.fingerprint) == 64
    assert (again.fingerprint, clips_of(again)) == (found.fingerprint, ids)
    assert card.id
    assert card.title
    assert card.version
    assert not card.synthetic
    # DEAM's fault cannot be decided on invented songs, which validate() lists.
    undecided = "of this one it cannot be told"
    assert [each for each in problems(name, tmp_path) if undecided not in each] == []


def test_a_set_that_a_program_made_says_so(tmp_path, name):
    LOADERS[name].write(tmp_path)
    before = opened(name, tmp_path).card
    (tmp_path / MARKER).write_text(json.dumps(ORIGIN))
    card = opened(name, tmp_path).card
    assert (card.id, card.title, card.synthetic) == (before.id, "its title", True)
    assert card.notes[:2] == (f"in the layout of {before.title}", "made by a program")


def test_a_folder_that_does_not_hold_the_set_is_refused_and_listed(tmp_path, name):
    with pytest.raises(DataError, match=str(tmp_path.name)):
        opened(name, tmp_path)
    if name == "caption-manifest":  # which splits there are is known by the files alone
        return
    assert problems(name, tmp_path)


def test_an_unknown_option_is_named_with_the_nearest(tmp_path, name):
    with pytest.raises(DataError, match=rf"{name}' has no option 'ruut'"):
        DATASETS.create(name, {"ruut": tmp_path})


@pytest.mark.parametrize("name", [n for n, each in LOADERS.items() if "split" in each.options])
def test_an_unknown_split_is_named(tmp_path, name):
    LOADERS[name].write(tmp_path)
    with pytest.raises(DataError, match=r"no (split|manifest).*odd"):
        DATASETS.create(name, {"root": tmp_path, "split": "odd"})


@pytest.mark.parametrize("name", TABLES)
def test_order_of_rows_line_ends_and_a_byte_order_mark_change_nothing_and_content_does(
    tmp_path, name
):
    loader = LOADERS[name]
    loader.write(tmp_path)
    table = tmp_path / str(loader.table)
    before = opened(name, tmp_path)
    header, *rows = table.read_text().splitlines()
    turned = rows if name == "clotho" else rows[::-1]  # Clotho numbers captions as they stand
    table.write_bytes(("\ufeff" + "\r\n\r\n".join([header, *turned]) + "\r\n").encode())
    after = opened(name, tmp_path)
    assert (after.fingerprint, clips_of(after)) == (before.fingerprint, clips_of(before))
    table.write_text("\n".join([header, *rows[:-1]]))
    try:
        assert opened(name, tmp_path).fingerprint != before.fingerprint
    except DataError as error:  # two tables that must have the same clips
        assert table.parent.name == "Rankings" or name == "emomusic", error


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", TABLES)
def test_a_damaged_table_is_refused_and_listed_with_what_is_wrong(tmp_path, name, damage):
    loader, (content, message) = LOADERS[name], DAMAGE[damage]
    loader.write(tmp_path)
    table = tmp_path / str(loader.table)
    table.unlink()
    if content is not None:
        table.write_bytes(content)
    with pytest.raises(DataError, match=message):
        opened(name, tmp_path)
    assert any(table.name in one for one in problems(name, tmp_path))
