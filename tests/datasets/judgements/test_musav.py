"""MusAV: the derivation against the release's own files, and the dataset that comes of it."""

import json
import random
import subprocess
import sys
from collections import Counter

import pytest

from earmark.datasets.base import DataError
from earmark.datasets.judgements import musav
from earmark.datasets.judgements.rules import LABELS

COLUMNS = (
    *("pairs", "strict", "ab", "full", "majority", "consistent", "incomplete", "inconsistent"),
    *("triplets", "songs", "global", "genre"),
)
COUNTS = {
    ("arousal", "gt"): (1448, 1257, 191, 975, 473, 738, 674, 36, 663, 1853, 1131, 317),
    ("arousal", "gt.fa"): (975, 933, 42, 975, 0, 519, 448, 8, 544, 1433, 817, 158),
    ("arousal", "gt.ct"): (738, 645, 93, 519, 219, 738, 0, 0, 246, 738, 576, 162),
    ("arousal", "gt.ct.fa"): (519, 494, 25, 519, 0, 519, 0, 0, 233, 666, 422, 97),
    ("arousal", "ismir2022.gt"): (1413, 1223, 190, 950, 463, 716, 661, 36, 658, 1824, 1099, 314),
    ("arousal", "ismir2022.gt.fa"): (950, 908, 42, 950, 0, 502, 440, 8, 538, 1407, 795, 155),
    ("arousal", "ismir2022.gt.ct"): (716, 624, 92, 502, 214, 716, 0, 0, 246, 727, 556, 160),
    ("arousal", "ismir2022.gt.ct.fa"): (502, 477, 25, 502, 0, 502, 0, 0, 231, 652, 407, 95),
    ("valence", "gt"): (1341, 1134, 207, 810, 531, 606, 678, 57, 641, 1761, 1029, 312),
    ("valence", "gt.fa"): (810, 763, 47, 810, 0, 381, 418, 11, 499, 1248, 684, 126),
    ("valence", "gt.ct"): (606, 524, 82, 381, 225, 606, 0, 0, 202, 606, 453, 153),
    ("valence", "gt.ct.fa"): (381, 358, 23, 381, 0, 381, 0, 0, 178, 498, 321, 60),
    ("valence", "ismir2022.gt"): (1310, 1104, 206, 787, 523, 588, 665, 57, 634, 1732, 999, 311),
    ("valence", "ismir2022.gt.fa"): (787, 740, 47, 787, 0, 368, 408, 11, 491, 1222, 662, 125),
    ("valence", "ismir2022.gt.ct"): (588, 507, 81, 368, 220, 588, 0, 0, 202, 597, 435, 153),
    ("valence", "ismir2022.gt.ct.fa"): (368, 345, 23, 368, 0, 368, 0, 0, 177, 489, 308, 60),
}


@pytest.fixture(scope="module")
def release(shared_data):
    return musav.load(shared_data / "musav")


def shipped_rows(path, columns):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(tuple(row) == columns for row in rows)
    found = {tuple(row.values()) for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("dimension", musav.DIMENSIONS)
@pytest.mark.parametrize("subset", musav.SUBSETS)
def test_a_derived_ground_truth_is_the_shipped_file(release, dimension, subset):
    folder, _, conditions = subset.rpartition("gt")
    path = release.root / "annotations" / folder.strip(".")
    shipped = shipped_rows(
        path / f"annotations.{dimension}.all.agreement.gt{conditions}",
        columns=(
            *("tripletid", "triplet_type", "pairid", "agreement", "higher_value"),
            "triplet_consistency",
        ),
    )
    assert shipped == {
        (p.triplet, p.triplet_type, p.id, p.agreement, p.higher_value, p.consistency)
        for p in release.ground_truth(dimension, subset)
    }


@pytest.mark.parametrize("dimension", musav.DIMENSIONS)
def test_the_derived_agreement_is_the_shipped_file(release, dimension):
    shipped = shipped_rows(
        release.root / "annotations" / f"annotations.{dimension}.all.agreement",
        columns=("tripletid", "triplet_type", "pairid", "agreement", "higher_value"),
    )
    assert shipped == {
        (p.triplet, p.triplet_type, p.id, p.agreement, p.higher_value)
        for p in release.pairs(dimension)
    }


@pytest.mark.parametrize(("dimension", "subset"), COUNTS)
def test_a_ground_truth_has_the_known_counts(release, dimension, subset):
    pairs = release.ground_truth(dimension, subset)
    agreed = Counter(p.agreement for p in pairs)
    consistency = Counter(p.consistency for p in pairs)
    genre = sum(release.triplets[p.triplet].genre is not None for p in pairs)
    counts = (
        len(pairs),
        sum(p.higher_value in ("a", "b") for p in pairs),
        sum(p.higher_value == "ab" for p in pairs),
        agreed["full-agreement"],
        agreed["majority-agreement"],
        consistency["consistent"],
        consistency["incomplete"],
        consistency["inconsistent"],
        len({p.triplet for p in pairs}),
        len({song for p in pairs for song in (p.song_a, p.song_b)}),
        len(pairs) - genre,
        genre,
    )
    expected = dict(zip(COLUMNS, COUNTS[dimension, subset], strict=True))
    assert dict(zip(COLUMNS, counts, strict=True)) == expected


@pytest.mark.parametrize(
    ("dimension", "labels", "outcomes", "disagreements"),
    [
        ("arousal", (2687, 2638, 897, 33), (1742, 193, 150), 637),
        ("valence", (2489, 2678, 1026, 62), (1682, 211, 192), 744),
    ],
)
def test_the_raw_judgements_have_the_known_counts(
    release, dimension, labels, outcomes, disagreements
):
    judgements, pairs = release.judgements(dimension), release.pairs(dimension)
    assert (len(judgements), len(pairs)) == (6255, 2085)
    assert {j.dimension for j in judgements} == {dimension}
    said = Counter(j.higher_value for j in judgements)
    assert tuple(said[label] for label in LABELS) == labels
    assert sum(p.agreement == "disagreement" for p in pairs) == disagreements
    found = Counter(p.higher_value for p in pairs)
    assert (found["a"] + found["b"], found["ab"], found["undefined"]) == outcomes
    assert len({p.triplet for p in pairs}) == 699
    assert Counter(p.triplet_type == "global_triplet" for p in pairs) == {True: 1670, False: 415}


@pytest.mark.parametrize(
    ("dimension", "counts"),
    [
        ("arousal", (467, 466, 257, 215, 163, 161, 133, 76, 73, 42, 32)),
        ("valence", (360, 403, 271, 250, 165, 206, 162, 72, 88, 47, 61)),
    ],
)
def test_the_answers_to_a_pair_have_the_known_counts(release, dimension, counts):
    said = {}
    for j in release.judgements(dimension):
        said.setdefault((j.song_a, j.song_b), []).append(j.higher_value)
    found = Counter(
        "unsure" if "not_selected" in labels else " ".join(sorted(labels))
        for labels in said.values()
    )
    names = ("a a a", "b b b", "a a b", "a b b", "a a ab", "ab b b", "a ab b", "a ab ab")
    assert tuple(found[name] for name in (*names, "ab ab b", "ab ab ab", "unsure")) == counts


def test_the_release_has_its_known_songs_annotators_and_card(release):
    assert len(release.song_ids) == 2092
    assert len(release.triplets) == 5326
    assert Counter(t.genre is None for t in release.triplets.values()) == {False: 3035, True: 2291}
    assert len(release.annotators) == 21
    assert len(release.muse_ids) == 24
    assert len(release.loudness) == len(release.genres) == 17574
    assert len({genre for song in release.song_ids for genre in release.genres[song]}) == 1404
    assert release.loudness["004o61VPzgKpiRvYCYJJ7y"] == -8.88518428802
    assert release.card.version == "2022-12-16 (09139ae)"
    assert any("21 annotator ids" in note for note in release.card.notes)
    assert any("7 of 699 triplets" in note for note in release.card.notes)


def test_the_release_is_without_a_problem(shared_data):
    assert musav.validate(shared_data / "musav") == []


@pytest.fixture
def root(tmp_path, write_musav):
    return write_musav(tmp_path / "musav")


def test_invented_data_is_without_a_problem_and_opens(root):
    assert musav.validate(root) == []
    opened = musav.load(root)
    assert len(opened.song_ids) == 90
    assert len(opened.triplets) == 33
    assert len(opened.annotators) == 9
    for dimension in musav.DIMENSIONS:
        assert len(opened.judgements(dimension)) == 270
        assert len(opened.pairs(dimension)) == 90
        for subset in musav.SUBSETS:
            assert 0 < len(opened.ground_truth(dimension, subset)) < 90
    assert opened.card.version.startswith("not the release")
    assert opened.triplets.keys() > {p.triplet for p in opened.pairs("arousal")}


@pytest.mark.parametrize("seed", range(5))
def test_other_invented_data_agrees_with_the_second_derivation_too(tmp_path, write_musav, seed):
    assert musav.validate(write_musav(tmp_path, n_triplets=12, seed=seed)) == []


def test_the_repository_and_its_data_folder_are_the_same(root):
    assert musav.load(root) == musav.load(root / "data") == musav.load(str(root))


def test_the_order_of_rows_does_not_matter(root):
    before = musav.load(root)
    for path in (*root.glob("data/annotations/*.all"), root / "data" / "triplets.jsonl"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join(random.Random(1).sample(lines, len(lines))))
    after = musav.load(root)
    assert after.fingerprint == before.fingerprint
    for dimension in musav.DIMENSIONS:
        assert after.judgements(dimension) == before.judgements(dimension)
        assert after.pairs(dimension) == before.pairs(dimension)


def test_another_judgement_is_another_fingerprint(root):
    before = musav.load(root)

    path = root / "data" / "annotations" / "annotations.arousal.all"
    first, *others = path.read_text().splitlines()
    row = json.loads(first)
    row["higher_value"] = "b" if row["higher_value"] == "a" else "a"
    path.write_text("\n".join([json.dumps(row), *others]))
    after = musav.load(root)
    assert after.fingerprint != before.fingerprint
    assert after.pairs("valence") == before.pairs("valence")


def test_another_song_in_muse_is_another_fingerprint_and_a_strange_one_is_not(root):
    before = musav.load(root)
    path = root / "data" / "annotations" / "ismir2022" / "ismir2022-muse.songids"
    path.write_text(f"{path.read_text()}stranger\n")
    assert musav.load(root).fingerprint == before.fingerprint
    song = next(song for song in before.song_ids if song not in before.muse_ids)
    path.write_text(f"{path.read_text()}{song}\n")
    after = musav.load(root)
    assert after.fingerprint != before.fingerprint
    assert after.muse_ids == before.muse_ids | {song}


def test_the_dimension_is_never_read_from_a_folder_name(tmp_path, write_musav):
    plain = musav.load(write_musav(tmp_path / "plain"))
    named = musav.load(write_musav(tmp_path / "arousal" / "valence"))
    assert named.fingerprint == plain.fingerprint
    for dimension in musav.DIMENSIONS:
        assert named.pairs(dimension) == plain.pairs(dimension)


def test_line_ends_of_windows_and_blank_lines_change_nothing(root):
    before = musav.load(root)
    for path in (root / "data").rglob("*"):
        if path.is_file():
            path.write_bytes(b"\r\n\r\n".join(path.read_bytes().splitlines()) + b"\r\n")
    assert musav.validate(root) == []
    assert musav.load(root) == before


def test_refuses_an_unknown_dimension_and_subset(root):
    opened = musav.load(root)
    with pytest.raises(DataError, match="no dimension 'energy', expected arousal or valence"):
        opened.pairs("energy")
    with pytest.raises(DataError, match="no dimension 'energy'"):
        opened.judgements("energy")
    with pytest.raises(DataError, match=r"no ground truth 'fa', expected gt, gt\.fa"):
        opened.ground_truth("arousal", "fa")


def test_loudness_and_genres_cover_the_pool(root):
    opened = musav.load(root)
    assert len(opened.loudness) == len(opened.genres) == 100  # 33 triplets and one song
    assert all(-20 <= value <= -5 for value in opened.loudness.values())
    genre_triplets = [t for t in opened.triplets.values() if t.genre is not None]
    assert len(genre_triplets) == 11
    for triplet in genre_triplets:
        assert {opened.genres[song] for song in triplet.songs} == {(triplet.genre,)}


def test_clips_without_audio_have_no_path_and_their_triplet_as_unit(root):
    opened = musav.load(root)
    clips = opened.clips()
    assert tuple(clip.id for clip in clips) == opened.song_ids
    assert {clip.path for clip in clips} == {None}
    for clip in clips:
        assert clip.id in opened.triplets[clip.unit].songs


def add_audio(folder, song, suffix):
    path = folder / song[:2] / f"{song}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_clips_find_their_audio_at_any_depth_and_with_any_audio_suffix(root, tmp_path):
    opened = musav.load(root)
    first, second, third, *others = opened.song_ids
    chunks = root / "data" / "audio_chunks"
    expected = {
        first: add_audio(chunks / "audio.000", first, ".mp3"),
        second: add_audio(chunks, second, ".FLAC"),
    }
    add_audio(chunks, third, ".txt")
    (chunks / f"._{third}.mp3").touch()
    found = {clip.id: clip.path for clip in opened.clips()}
    assert found == {song: expected.get(song) for song in opened.song_ids}
    (problem,) = musav.validate(root)
    assert problem.path == chunks
    assert f"({len(others) + 1} in all)" in problem.message
    elsewhere = {third: add_audio(tmp_path / "previews", third, ".wav")}
    found = {clip.id: clip.path for clip in opened.clips(audio=tmp_path / "previews")}
    assert found == {song: elsewhere.get(song) for song in opened.song_ids}


def test_opening_musav_imports_numpy_and_the_standard_library_only(root):
    code = f"import sys; from earmark.datasets.judgements import musav; musav.load({str(root)!r}); "
    code += "print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"earmark", "numpy"} <= loaded
    heavy = {"matplotlib", "pandas", "pyarrow", "pydantic", "scipy", "soundfile", "torch"}
    assert not heavy & loaded
