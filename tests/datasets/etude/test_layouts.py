"""The loaders that read real data read Etude, and say that it is synthetic."""

import csv
import json
import os
import re

import numpy as np
import pytest

from earmark.datasets import audio, gtzan, magnatagatune
from earmark.datasets.base import DataError
from earmark.datasets.captions import csv as captions_csv
from earmark.datasets.captions import manifest as captions_manifest
from earmark.datasets.etude.layouts import (
    gtzan_name,
    link,
    mtat_path,
    musav_id,
    needs_mp3,
    oracle,
    split_of,
    track_id,
)
from earmark.datasets.judgements import musav
from earmark.datasets.judgements.rules import ANNOTATORS_PER_PAIR
from earmark.datasets.ratings import folder as av_ratings

N_TRACKS, SECONDS = 30, 2
SPLIT_OF_PARTITION = {"train": "train", "valid": "val", "test": "test"}


def numbers_of(split):
    return {number for number in range(N_TRACKS) if split_of(number) == split}


def opened(root):
    """Return what each loader makes of its layout, by the layout's name."""
    return {
        "captions": captions_manifest.load(root / "captions", split="train"),
        "gtzan": gtzan.load(root / "gtzan"),
        "mtat": magnatagatune.load(root / "mtat", split="won2020"),
        "musav": musav.load(root / "musav"),
        "emomusic": av_ratings.load_rated_folder(root / "emomusic"),
    }


def test_every_card_says_etude_and_synthetic(corpus):
    for name, dataset in opened(corpus).items():
        card = dataset.card
        assert card.synthetic, name
        assert card.title == "Etude (synthetic)"
        assert "seed 7" in card.version
        assert card.source.startswith("earmark etude build")
        assert any("no person made or judged them" in note for note in card.notes)
        text = " ".join(card.notes)
        assert "Sturm" not in text
        assert "1,000 excerpts" not in text
        assert "25863" not in text
        assert "Magnatune" not in card.licence


def test_the_card_says_so_one_level_further_in_and_whatever_title_is_asked_for(corpus):
    assert gtzan.load(corpus / "gtzan" / "genres").card.title == "Etude (synthetic)"
    assert musav.load(corpus / "musav" / "data").card.synthetic
    asked = captions_manifest.load(corpus / "captions", title="Real music", synthetic=False)
    assert asked.card.title == "Etude (synthetic)"
    assert asked.card.synthetic
    rated = av_ratings.load_rated_folder(corpus / "emomusic", title="Real", synthetic=False)
    assert (rated.card.title, rated.card.synthetic) == ("Etude (synthetic)", True)


def test_captions_by_csv_beside_a_marker_are_synthetic_too(corpus, tmp_path):
    source = corpus / "captions" / "audio" / f"{track_id(0)}.wav"
    (tmp_path / "one.wav").write_bytes(source.read_bytes())
    (tmp_path / "captions.csv").write_text("path,caption\none.wav,A slow blues.\n")
    assert not captions_csv.load(tmp_path).card.synthetic
    marker = corpus / "captions" / "etude.json"
    (tmp_path / "etude.json").write_bytes(marker.read_bytes())
    assert captions_csv.load(tmp_path).card.synthetic


def test_no_loader_finds_a_problem(corpus):
    assert gtzan.validate(corpus / "gtzan") == []
    assert magnatagatune.validate(corpus / "mtat") == []
    assert musav.validate(corpus / "musav") == []
    assert av_ratings.validate(corpus / "emomusic") == []
    for split in ("train", "val", "test"):
        assert captions_manifest.validate(corpus / "captions", split=split) == []


def test_partitions_of_all_layouts_are_the_same_tracks(corpus):
    by_gtzan = {gtzan_name(number): number for number in range(N_TRACKS)}
    for partition, split in SPLIT_OF_PARTITION.items():
        wanted = {str(track_id(number)) for number in numbers_of(split)}
        assert len(wanted) == 10
        heard = gtzan.load(
            corpus / "gtzan", split="fault-filtered", partition=partition, missing="drop"
        )
        assert {str(track_id(by_gtzan[clip.id])) for clip in heard.clips} == wanted
        tagged = magnatagatune.load(corpus / "mtat", split="pons2017", partition=partition)
        assert {clip.id for clip in tagged.clips} == wanted
        captioned = captions_manifest.load(corpus / "captions", split=split)
        assert {clip.id for clip in captioned.clips} == wanted
    rows = list(csv.DictReader((corpus / "emomusic/annotations/songs_info.csv").open()))
    evaluated = {row["song_id"] for row in rows if row["Mediaeval 2013 set"] == "evaluation"}
    assert evaluated == {str(track_id(number)) for number in numbers_of("test")}
    judged = set(musav.load(corpus / "musav").song_ids)
    assert judged <= {musav_id(number) for number in numbers_of("test")}
    assert len(judged) == 9


def test_names_and_splits_do_not_clash_in_a_big_corpus():
    many = range(20_000)
    lists = gtzan.fault_filtered()
    names = [gtzan_name(number) for number in many]
    assert len(set(names)) == len({musav_id(n) for n in many}) == len(many)
    assert all(re.fullmatch(r"[a-z]+\.\d{5}", name) for name in names)
    for number, name in zip(many, names, strict=True):
        split = split_of(number)
        assert SPLIT_OF_PARTITION.get(lists.get(name, ""), split) == split
        assert SPLIT_OF_PARTITION[magnatagatune.partition_of(mtat_path(number, 10))] == split
    assert not set(magnatagatune.CORRUPT) & {str(track_id(number)) for number in many}
    shares = [sum(split_of(n) == split for n in range(1500)) for split in ("train", "val", "test")]
    assert shares == [1200, 100, 200]


def test_audio_is_of_one_length_everywhere_and_stored_once(corpus):
    wavs = [*corpus.glob("gtzan/**/*.wav"), *corpus.glob("captions/audio/*.wav")]
    mp3s = [*corpus.glob("mtat/mp3/**/*.mp3"), *corpus.glob("emomusic/**/*.mp3")]
    mp3s += corpus.glob("musav/data/audio_chunks/**/*.mp3")
    assert (len(wavs), len(mp3s)) == (60, 69)
    own = {path.stat().st_ino for path in (corpus / "tracks").iterdir()}
    assert {path.stat().st_ino for path in (*wavs, *mp3s)} == own
    assert len(own) == 60
    for paths, rate in ((wavs, 22_050), (mp3s, 16_000)):
        for path in paths[::7]:
            heard = audio.load(path)
            assert heard.sample_rate == rate
            assert heard.samples.size == SECONDS * rate, path


def test_an_mp3_is_the_sound_of_its_wav(corpus):
    for number in (0, 13, 26):
        wav = audio.load(corpus / "tracks" / f"{number:05d}.wav", sample_rate=16_000)
        mp3 = audio.load(corpus / "tracks" / f"{number:05d}.mp3")
        similar = [
            np.corrcoef(wav.samples, np.roll(mp3.samples, lag))[0, 1] for lag in (-40, 0, 40)
        ]
        assert similar[1] > 0.95
        assert similar[1] == max(similar), "the two are not aligned"


def test_gtzan_and_magnatagatune_agree_on_genres(corpus):
    by_name = {gtzan_name(number): number for number in range(N_TRACKS)}
    tagged = magnatagatune.load(corpus / "mtat", split="pons2017")
    row_of = {clip.id: row for clip, row in zip(tagged.clips, tagged.labels, strict=True)}
    for clip in gtzan.load(corpus / "gtzan").clips:
        row = row_of[str(track_id(by_name[clip.id]))]
        for genre in ("rock", "metal", "classical", "pop", "country"):
            assert row[tagged.tags.index(genre)] == (clip.label == genre)
    assert len({clip.unit for clip in tagged.clips}) == N_TRACKS


def test_emomusic_is_as_the_official_files_are(corpus, shared_data):
    for name in ("songs_info.csv", "static_annotations.csv"):
        ours, official = (
            next(csv.reader((root / "annotations" / name).open(encoding="utf-8")))
            for root in (corpus / "emomusic", shared_data / "emomusic")
        )
        assert ours == [cell.strip() for cell in official]


def test_magnatagatune_names_its_columns_as_published(corpus, shared_data):
    ours, official = (
        next(csv.reader((root / "mtat" / "clip_info_final.csv").open(), delimiter="\t"))
        for root in (corpus, shared_data)
    )
    assert ours == official


def test_emomusic_opens_with_nothing_configured(corpus):
    rated = av_ratings.load_rated_folder(corpus / "emomusic")
    assert rated.card.id == "emomusic"
    assert (rated.scale.low, rated.scale.high) == (1, 9)
    assert [clip.id for clip in rated.clips] == [str(track_id(n)) for n in range(N_TRACKS)]
    assert np.all((rated.ratings >= 1) & (rated.ratings <= 9))
    assert all(clip.path is not None for clip in rated.clips)


def test_musav_is_judged_by_three_on_every_pair_and_has_loudness_and_genres(corpus):
    opened_musav = musav.load(corpus / "musav")
    for dimension in musav.DIMENSIONS:
        pairs = opened_musav.pairs(dimension)
        assert len(pairs) == 9
        assert len(opened_musav.judgements(dimension)) == ANNOTATORS_PER_PAIR * 9
    assert not opened_musav.muse_ids
    assert all(-20 <= opened_musav.loudness[song] <= -5 for song in opened_musav.song_ids)
    assert all(opened_musav.genres[song] for song in opened_musav.song_ids)
    assert all(clip.path is not None for clip in opened_musav.clips())


def test_the_oracle_names_clips_and_captions_as_the_loader_does(corpus):
    captioned = captions_manifest.load(corpus / "captions", split="test")
    known = oracle(corpus, split="test")
    assert known.clip_ids == tuple(clip.id for clip in captioned.clips)
    assert known.captions == captioned.captions
    scores = known.scores()
    assert scores.shape == (10, 10)
    np.testing.assert_array_equal(np.diag(scores), 1)
    assert scores.min() >= 0
    assert scores.max() == 1
    assert np.all(known.caption_attributes <= known.clip_attributes)
    n_mentions = known.caption_attributes.sum(axis=1)
    assert n_mentions.min() >= 3
    assert n_mentions.max() <= 6
    backwards = known.ordered(known.clip_ids[::-1])
    np.testing.assert_array_equal(backwards.scores(), scores[::-1, ::-1])
    assert backwards.captions == known.captions[::-1]


def test_the_oracle_ranks_far_above_chance(corpus):
    scores = oracle(corpus, split="train").scores()
    better = (scores > np.diag(scores)[:, None]).sum(axis=1)
    equal = (scores == np.diag(scores)[:, None]).sum(axis=1)
    assert np.all(better == 0)
    assert np.mean(1 / equal) > 0.7


def test_the_oracle_refuses_what_it_does_not_know(corpus, tmp_path):
    with pytest.raises(DataError, match="no split 'dev'; expected one of train, val, test"):
        oracle(corpus, split="dev")
    with pytest.raises(DataError, match="no Etude corpus"):
        oracle(tmp_path, split="test")
    with pytest.raises(DataError, match="the oracle has no clip 7"):
        oracle(corpus, split="test").ordered(["7"])
    for name in ("corpus.json", "attributes.json"):
        (tmp_path / name).write_bytes((corpus / name).read_bytes())
    (tmp_path / "attributes.json").write_text('{"tracks": [{}]}')
    with pytest.raises(DataError, match=r"attributes\.json is damaged"):
        oracle(tmp_path, split="test")
    content = json.loads((corpus / "corpus.json").read_text()) | {"fingerprint": None}
    (tmp_path / "corpus.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="is not finished"):
        oracle(tmp_path, split="test")


def test_a_file_is_copied_where_it_cannot_be_linked(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError("no links here")

    (tmp_path / "a").write_bytes(b"sound")
    link(tmp_path / "a", tmp_path / "below" / "b")
    assert (tmp_path / "a").stat().st_nlink == 2
    monkeypatch.setattr(os, "link", refuse)
    link(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == b"sound"
    assert (tmp_path / "a").stat().st_nlink == 2


def test_mp3_is_made_only_where_a_layout_demands_it():
    assert not needs_mp3(["gtzan", "captions"], "test")
    assert needs_mp3(["gtzan", "mtat"], "train")
    assert needs_mp3(["emomusic"], "val")
    assert needs_mp3(["musav"], "test")
    assert not needs_mp3(["musav"], "train")
