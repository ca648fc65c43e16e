"""MagnaTagATune: tags by name, published splits, the plain and the general reader, and faults."""

import csv
import io
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.datasets import magnatagatune as magnatagatune
from earmark.datasets.base import DataError
from earmark.datasets.magnatagatune import TOP_50, load, partition_of, validate
from earmark.datasets.registry import DATASETS

CLIPS = {
    "30": ("0/a-b-01-c-0-29.mp3", {"guitar", "slow"}),
    "4": ("0/a-b-01-c-29-58.mp3", {"guitar"}),
    "5": ("b/d-e-02-f-0-29.mp3", set()),
    "6": ("c/g-h-01-i-0-29.mp3", {"no vocal"}),
    "7": ("d/j-k-01-l-0-29.mp3", {"acoustic"}),
    "8": ("f/m-n-01-o-0-29.mp3", {"choral", "no vocals"}),
    "35644": ("6/p-q-01-r-0-29.mp3", {"rock"}),
}
ARTISTS = {"30": "A", "4": "A", "5": "D", "6": "G", "7": "J", "8": "", "99": "Z"}


TAGS = ("acoustic", *sorted(TOP_50))


def table(clips=CLIPS, *, tags=TAGS, quote=csv.QUOTE_ALL):
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", quoting=quote, lineterminator="\n")
    writer.writerow(["clip_id", *tags, "mp3_path"])
    for name, (path, has) in clips.items():
        writer.writerow([name, *(int(tag in has) for tag in tags), path])
    return stream.getvalue()


def write(root, text=None, *, artists=ARTISTS, audio=None):
    root.mkdir(exist_ok=True)
    (root / "annotations_final.csv").write_text(table() if text is None else text)
    if artists is not None:
        rows = [f'"{name}"\t"t"\t"{artist}"\n' for name, artist in artists.items()]
        header = '"clip_id"\t"title"\t"artist"\n'
        (root / "clip_info_final.csv").write_text(header + "".join(rows))
    for path, _ in CLIPS.values() if audio is not None else ():
        (root / audio / path).parent.mkdir(parents=True, exist_ok=True)
        (root / audio / path).write_bytes(b"\0")
    return root


def test_the_50_tags_are_50_different_ones():
    assert len(TOP_50) == len(set(TOP_50)) == 50
    assert (TOP_50[0], TOP_50[28], TOP_50[49]) == ("guitar", "no vocal", "choral")


def test_a_clips_partition_is_that_of_its_folder():
    parts = [partition_of(f"{first}/x-0-29.mp3") for first in "0123456789abcdef"]
    assert parts == ["train"] * 12 + ["valid"] + ["test"] * 3
    for wrong in ("", "g/x.mp3", "/x.mp3", "A/x.mp3"):
        with pytest.raises(DataError, match="start with 0 to 9 or a to f, got"):
            partition_of(wrong)


@pytest.mark.parametrize("audio", [".", "mp3"])
def test_opens_clips_by_id_with_their_tags_artists_and_files(tmp_path, audio):
    root = write(tmp_path, audio=audio)
    opened = load(root, split="pons2017")
    assert [clip.id for clip in opened.clips] == ["4", "5", "6", "7", "8", "30"]
    assert opened.partitions == ("train", "train", "valid", "test", "test", "train")
    assert opened.tags == TOP_50
    assert (opened.labels.dtype, opened.labels.shape) == (np.uint8, (6, 50))
    has = [{TOP_50[i] for i in np.flatnonzero(row)} for row in opened.labels]
    assert has == [{"guitar"}, set(), {"no vocal"}, set(), {"choral", "no vocals"}, CLIPS["30"][1]]
    assert [clip.unit for clip in opened.clips] == ["A", "D", "G", "J", "f/m-n-01-o", "A"]
    assert opened.clips[0].path == root / audio / "0/a-b-01-c-29-58.mp3"
    assert opened.split == "pons2017/all"
    assert validate(root) == []


def test_the_second_split_leaves_out_clips_without_one_of_the_50_tags(tmp_path):
    root = write(tmp_path, audio=".")
    opened = load(root, split="won2020")
    assert [clip.id for clip in opened.clips] == ["4", "6", "8", "30"]
    test = load(root, split="won2020", partition="test")
    assert ([clip.id for clip in test.clips], test.split) == (["8"], "won2020/test")
    assert "at least one of the 50 tags" in test.rule
    assert any("without a clip in this split: guitar, classical" in n for n in test.card.notes)
    assert opened.fingerprint != test.fingerprint


def test_corrupt_clips_and_whatever_else_is_not_as_published_are_noted(tmp_path):
    notes = load(write(tmp_path, audio="."), split="pons2017").card.notes
    assert "split pons2017/all: train 3, valid 1, test 2" in notes
    assert "left out, the published files hold no audio: 35644" in notes
    assert "the table has 7 of the 25863 annotated clips" in notes
    assert "2 clips have no known artist and are resampled by track" in notes


def test_without_the_table_of_artists_a_track_is_the_unit(tmp_path):
    opened = load(write(tmp_path, artists=None, audio="."), split="pons2017", partition="train")
    assert [clip.unit for clip in opened.clips] == ["0/a-b-01-c", "b/d-e-02-f", "0/a-b-01-c"]


def test_all_tags_are_in_alphabetical_order(tmp_path):
    opened = load(write(tmp_path, audio="."), split="pons2017", tags="all")
    assert opened.tags == ("acoustic", *sorted(TOP_50))
    assert opened.labels[3].tolist() == [1] + [0] * 50


def test_neither_the_order_of_columns_nor_of_rows_nor_quotes_nor_line_ends_change_anything(
    tmp_path,
):
    first = load(write(tmp_path / "1", audio="."), split="pons2017")
    rows = dict(reversed(CLIPS.items()))
    other = table(rows, tags=(*TOP_50[::-1], "acoustic"), quote=csv.QUOTE_MINIMAL)
    root = write(tmp_path / "2", "\ufeff" + other.replace("\n", "\r\n"), audio=".")
    second = load(root, split="pons2017")
    assert first.fingerprint == second.fingerprint
    np.testing.assert_array_equal(first.labels, second.labels)
    changed = {**CLIPS, "5": (CLIPS["5"][0], {"rock"})}
    third = load(write(tmp_path / "3", table(changed), audio="."), split="pons2017")
    assert third.fingerprint != first.fingerprint


def test_missing_audio_is_an_error_or_dropped_or_kept_without_a_path(tmp_path):
    root = write(tmp_path, audio="sound")
    (root / "sound" / CLIPS["6"][0]).unlink()
    with pytest.raises(DataError, match=r"1 of 6 clips have no file here: c/g-h-01-i-0-29\.mp3;"):
        load(root, split="pons2017", audio="sound")
    (problem,) = validate(root, audio="sound")
    assert "1 of 6 clips have no file" in problem.message
    dropped = load(root, split="pons2017", audio="sound", missing="drop")
    assert [clip.id for clip in dropped.clips] == ["4", "5", "7", "8", "30"]
    assert (len(dropped.labels), len(dropped.partitions)) == (5, 5)
    assert "1 of 6 clips have no file: left out" in dropped.card.notes
    kept = load(root, split="pons2017", audio="sound", missing="keep")
    assert [clip.path is None for clip in kept.clips] == [False, False, True, False, False, False]
    assert "1 of 6 clips have no file: kept without audio" in kept.card.notes
    with pytest.raises(DataError, match="none of the 6 clips of pons2017 is there"):
        load(root, split="pons2017", audio="elsewhere", missing="drop")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "won"}, "no split 'won'; expected one of pons2017, won2020"),
        ({"split": "won2020", "partition": "dev"}, "no partition 'dev'"),
        ({"split": "won2020", "tags": "top"}, "no tags 'top'; expected one of top50, all"),
        ({"split": "won2020", "missing": "skip"}, "no missing 'skip'"),
    ],
)
def test_an_unknown_option_is_named_with_those_that_exist(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        load(write(tmp_path, audio="."), **options)


def test_the_registry_knows_it_and_asks_for_the_split(tmp_path):
    root = write(tmp_path, audio=".")
    opened = DATASETS.create("magnatagatune", {"root": root, "split": "won2020"})
    assert opened.card.id == "magnatagatune"
    with pytest.raises(DataError, match="needs the option 'split'"):
        DATASETS.create("magnatagatune", {"root": root})


def test_an_empty_partition_is_refused(tmp_path):
    clips = {name: CLIPS[name] for name in ("4", "5")}
    with pytest.raises(DataError, match="no clip of won2020/valid is annotated"):
        load(write(tmp_path, table(clips)), split="won2020", partition="valid")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: "", "has no tab-separated column clip_id"),
        (lambda t: t.replace("\t", ","), "has no tab-separated column clip_id"),
        (lambda t: t.replace("mp3_path", "path"), "has no tab-separated column mp3_path"),
        (lambda t: t.replace('"rock"', '"Rock"'), "lacks the column of 1 of the 50 tags: rock"),
        (lambda t: t.replace('"rock"', '"pop"'), "names a column twice: pop"),
        (lambda t: t.partition("\n")[0] + "\n", "has a header and no rows"),
        (lambda t: t.replace('"0"', '"2"', 1), "2: 'acoustic' must be 0 or 1, got '2'"),
        (lambda t: t.replace('"0"', '""', 1), "2: 'acoustic' must be 0 or 1, got ''"),
        (lambda t: t.replace('"0"\t', "", 1), "2: expected 53 tab-separated fields, found 52"),
        (lambda t: t.replace('"4"', '"four"'), "3: clip_id must be a whole number, got 'four'"),
        (
            lambda t: t.replace('"4"', f'"{10**24}"'),
            "3: clip_id must be a whole number of at most 18 digits",
        ),
        (lambda t: t.replace('"4"', '"30"'), "3: clip_id 30 is there twice, also in 2"),
        (lambda t: t.replace("c-29-58", "c-0-29"), "3: mp3_path 0/a-b-01-c-0-29.mp3 is there twi"),
        (lambda t: t.replace("c/g-", "../g-"), "5: mp3_path must be like 0/name-30-59.mp3"),
        (lambda t: t.replace("c/g-", "/c/g-"), "5: mp3_path must be like"),
        (lambda t: t.replace("c/g-", "c/../g-"), "5: mp3_path must be like"),
        (lambda t: t.replace("d/j-", "g/j-"), "6: mp3_path must be like"),
    ],
)
def test_a_broken_table_is_refused_with_the_line_and_what_was_expected(tmp_path, change, message):
    root = write(tmp_path, change(table()), audio=".")
    assert any(message in str(problem) for problem in validate(root))
    with pytest.raises(DataError, match="MagnaTagATune at") as error:
        load(root, split="pons2017")
    assert message in str(error.value)


def test_tables_that_are_absent_or_of_another_encoding_or_form_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"annotations_final\.csv: no such file"):
        load(tmp_path, split="won2020")
    root = write(tmp_path / "a", audio=".")
    (root / "clip_info_final.csv").write_text("clip_id\tname\n4\tA\n")
    with pytest.raises(DataError, match="has no column artist, found clip_id, name"):
        load(root, split="won2020")
    (root / "clip_info_final.csv").write_text("clip_id\tartist\n4\n")
    with pytest.raises(DataError, match=r":2: expected 2 tab-separated fields, found 1"):
        load(root, split="won2020")
    (root / "annotations_final.csv").write_bytes(b"clip_id\t\xff")
    with pytest.raises(DataError, match=r"is not UTF-8 \(byte 8\)"):
        load(root, split="won2020")


@given(st.data())
def test_the_plain_reader_reads_what_the_general_one_reads_or_leaves_it_to_it(data):
    """Whatever is done to one byte of a table."""
    n_tags = data.draw(st.integers(1, 4))
    tags = [f"t{i}" for i in range(n_tags)]
    rows = data.draw(st.lists(st.lists(st.booleans(), min_size=n_tags, max_size=n_tags)))
    clips = {
        str(i): (f"0/{i}.mp3", {t for t, on in zip(tags, row, strict=True) if on})
        for i, row in enumerate(rows)
    }
    quote = data.draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    text = table(clips, tags=tags, quote=quote)
    header = next(csv.reader(io.StringIO(text), delimiter="\t"))
    start = text.index("\n") + 1
    if start < len(text) and data.draw(st.booleans()):
        at = data.draw(st.integers(start, len(text) - 1))
        change = data.draw(st.sampled_from(["", '"', "\t", "0", "1", "2", "x", "\n", "é", '""']))
        text = text[:at] + change + text[at + 1 :]
    plain = magnatagatune._read_plain(text, header)
    if plain is None:
        return
    other, problems = magnatagatune._read_any("t", text)
    assert not problems
    assert (plain.ids, plain.tags, plain.paths) == (other.ids, other.tags, other.paths)
    np.testing.assert_array_equal(plain.labels, other.labels)


@pytest.mark.parametrize("quote", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
def test_the_published_form_is_read_by_the_plain_reader(quote):
    text = table(quote=quote)
    header = next(csv.reader(io.StringIO(text), delimiter="\t"))
    assert magnatagatune._read_plain(text, header) is not None


def test_the_real_tables_have_the_published_counts(shared_data):
    opened = load(shared_data / "mtat", split="pons2017", missing="keep")
    assert Counter(opened.partitions) == {"train": 18706, "valid": 1825, "test": 5329}
    counts = opened.labels.sum(axis=0)
    assert (np.diff(counts.astype(int)) <= 0).all()
    assert {t: int(n) for t, n in zip(TOP_50, counts, strict=True)}["pop"] == 995
    tagged = load(shared_data / "mtat", split="won2020", missing="keep")
    assert Counter(tagged.partitions) == {"train": 15247, "valid": 1529, "test": 4332}
    assert tagged.labels.any(axis=1).all()
    assert len({clip.unit for clip in opened.clips}) == 230
    every = load(shared_data / "mtat", split="pons2017", tags="all", missing="keep")
    totals = dict(zip(every.tags, every.labels.sum(axis=0).tolist(), strict=True))
    assert len(totals) == 188
    assert {name for name, n in totals.items() if n >= counts[-1]} == set(TOP_50)
    assert len(validate(shared_data / "mtat")) == 1
