"""Players from end to end: a run's clips are found again, cut, capped, named where they are not."""

import base64
import contextlib
import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from headless_chromium import CHROMIUM, opened

from earmark.bench.cli.report import ReportError, report
from earmark.bench.run.excerpts import SAMPLE_RATE, cut, excerpts_of, may_be_passed_on
from earmark.bench.run.runner import run_suite
from earmark.bench.tasks.retrieval import task as retrieval
from earmark.datasets.audio import AudioError
from earmark.datasets.judgements.musav import load as load_musav
from earmark.reports.page.players import Wish
from earmark.reports.record import files as record_io

RATE = 16_000
N_CLIPS = 14

MODEL = """
import numpy as np
from earmark.models.base import ModelCard

class Level:
    sample_rate = 16000

    def __init__(self):
        self.card = ModelCard(id="level", version="1", weights_digest="untrained", licence="",
                              citation="", training_datasets=(), crop_policy="whole clip")

    def predict_av(self, clips):
        return np.array([[np.abs(c.samples).mean(), c.samples.std()] for c in clips], np.float32)
"""

SUITE = """
[suite]
name = "audible"
title = "Clips to be heard"
replicates = 100

[datasets.songs]
loader = "caption-csv"
root = "{root}/songs"
licence = "research only"

[datasets.pairs]
loader = "musav"
root = "{root}/musav"

[models.level]
loader = "{root}/model.py:Level"

[[tasks]]
task = "retrieval"
dataset = "songs"
models = []
sentence_bert = "none"

[[tasks]]
task = "musav"
dataset = "pairs"
models = ["level"]
audio = "{root}/previews"
"""


def tone(hz, seconds, level=0.5):
    return level * np.sin(2 * np.pi * hz * np.arange(round(RATE * seconds)) / RATE)


@pytest.fixture(scope="module", autouse=True)
def without_figures():
    """Figures take most of the time, and have tests of their own."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("earmark.reports.page.page._figures", lambda *_: [])
        yield


@pytest.fixture(scope="module")
def ran(tmp_path_factory, write_musav):
    """A folder with audio and the record of a run on it."""
    root = tmp_path_factory.mktemp("audible")
    (root / "songs").mkdir()
    rows = ["path,caption"]
    for number in range(N_CLIPS):
        soundfile.write(root / "songs" / f"s{number:02}.wav", tone(200 + 50 * number, 1.0), RATE)
        rows.append(f"s{number:02}.wav,song <b>number</b> {number}")
    (root / "songs" / "captions.csv").write_text("\n".join(rows) + "\n")
    musav = load_musav(write_musav(root / "musav", n_triplets=8))
    (root / "previews").mkdir()
    for number, song in enumerate(musav.song_ids):
        wave = tone(300 + 7 * number, 0.5, level=0.1 + 0.8 * (number % 11) / 11)
        soundfile.write(root / "previews" / f"{song}.wav", wave, RATE)
    (root / "model.py").write_text(MODEL)
    (root / "suite.toml").write_text(SUITE.replace("{root}", str(root)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(retrieval, "draw_map", lambda *_, **__: "left out by the tests")
        folder, _ = run_suite(root / "suite.toml", out=root / "runs", store=root / "store")
    return root, folder


@pytest.fixture(scope="module")
def page(ran, tmp_path_factory):
    """The HTML with players, what was told, and where the paper without them lies."""
    out = tmp_path_factory.mktemp("report")
    with contextlib.redirect_stderr(io.StringIO()) as told:
        report([ran[1]], out=out, formats="html,md,pdf", audio=True)
    lines = [line for line in told.getvalue().splitlines() if line.startswith("warning: ")]
    return (out / "report.html").read_text(), lines, out


def players(html):
    return re.findall(
        r'<audio id="(.*?)" .*?aria-label="(.*?)" src="data:audio/mpeg;base64,(.*?)">', html
    )


def test_every_clip_of_the_tables_is_embedded_as_what_it_sounds_like(page):
    found = players(page[0])
    assert len(found) >= 20
    labels = [label for _, label, _ in found]
    assert any(re.fullmatch(r"Play s\d\d\.wav", label) for label in labels)
    assert any(label.startswith("Play the second song, ") for label in labels)
    for _, label, data in found:
        if named := re.match(r"Play s(\d\d)\.wav", label):
            samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
            loudest = np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples)
            assert samples.ndim == 1 and rate == SAMPLE_RATE
            assert loudest == pytest.approx(200 + 50 * int(named[1]), abs=3)


def test_a_licence_that_does_not_allow_it_is_named_in_the_page_and_to_the_caller(page):
    html, told, _ = page
    assert told[0] == (
        "warning: songs: “research only” does not say that everybody may pass its audio on. Do so "
        "only if you may."
    )
    assert "audio: non-commercial research only" in told[1]
    assert html.count("does not say that everybody may pass its audio on") == len(told) == 2


def test_markdown_and_paper_and_a_page_that_was_not_asked_for_have_no_players(page, ran, tmp_path):
    html, _, out = page
    report([ran[1]], out=tmp_path, formats="html,md,pdf")
    for name in ("report.md", "report.pdf"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes(), name
    silent = (tmp_path / "report.html").read_text()
    assert "<audio" not in silent and 'id="audio"' not in silent and "media-src" not in silent
    assert "media-src data:" in html


def test_the_same_run_gives_the_same_bytes(page, ran, tmp_path):
    report([ran[1]], out=tmp_path, formats="html", audio=True)
    assert (tmp_path / "report.html").read_text() == page[0]


def test_the_cap_holds_and_says_how_many_were_left_out(page, ran, tmp_path):
    cap = 0.05
    report([ran[1]], out=tmp_path, formats="html", audio=True, audio_mib=cap)
    html = (tmp_path / "report.html").read_text()
    kept = players(html)
    assert 0 < sum(len(data) for *_, data in kept) <= cap * (1 << 20)
    left = len(players(page[0])) - len(kept)
    assert left > 0
    assert f"{left}\N{NO-BREAK SPACE}further clips would have passed the cap of 0.05 MiB" in html
    # Whole pairs or none: no row has half of what it names.
    assert html.count(">first</small>") == html.count(">second</small>")


def moved(ran, tmp_path, change):
    """A copy of the record whose suite is changed."""
    copy = Path(shutil.copytree(ran[1], tmp_path / "copy"))
    content = json.loads((copy / "run.json").read_text())
    assert change[0] in content["suite"]["toml"]
    content["suite"]["toml"] = content["suite"]["toml"].replace(*change)
    (copy / "run.json").write_text(json.dumps(content))
    return copy


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("/songs", "/nowhere"), "nowhere"),
        (("caption-csv", "evil.py:load"), "which is no dataset that is registered here"),
        (("[datasets.songs]", "[datasets.others]"), "a task names the dataset"),
        (("research only", "CC0 1.0"), None),
    ],
)
def test_a_dataset_that_cannot_be_opened_again_is_named_and_the_report_made(
    ran, tmp_path, capsys, change, reason
):
    (tmp_path / "evil.py").write_text("raise SystemExit('it was run')")
    if "evil" in change[1]:
        change = (change[0], f"{tmp_path}/{change[1]}")
    copy = moved(ran, tmp_path, change)
    report([copy], out=tmp_path, formats="html", audio=True)
    told = capsys.readouterr().err.splitlines()
    html = (tmp_path / "report.html").read_text()
    if reason is None:
        assert "Cannot be played" not in html and not any("songs" in line for line in told)
        return
    assert "Cannot be played. " in html and reason in html
    assert "its clip: s" not in html
    assert any(line.startswith("warning: no player for") for line in told)


def test_other_data_than_was_run_is_not_played(ran, tmp_path):
    songs = Path(shutil.copytree(ran[0] / "songs", tmp_path / "songs"))
    table = songs / "captions.csv"
    table.write_text(table.read_text().replace("number</b> 3", "number</b> three"))
    copy = moved(ran, tmp_path, (f"{ran[0]}/songs", str(songs)))
    report([copy], out=tmp_path, formats="html", audio=True)
    html = (tmp_path / "report.html").read_text()
    assert "the songs available here is not what was run: its fingerprint is" in html
    assert "its clip: s" not in html and "Play the first song" in html


def test_a_clip_that_is_gone_or_broken_is_named_and_the_others_play(ran, tmp_path):
    songs = Path(shutil.copytree(ran[0] / "songs", tmp_path / "songs"))
    record = record_io.read(moved(ran, tmp_path, (f"{ran[0]}/songs", str(songs))))
    (songs / "s03.wav").write_bytes(b"RIFF, but no more")
    soundfile.write(songs / "s04.wav", np.zeros(RATE), RATE)
    names = ["s03.wav", "s04.wav", "s05.wav", "s99.wav"]
    wishes = [Wish("songs", "retrieval", "clip", name) for name in names]
    wishes.append(Wish("songs", "retrieval", "caption", "no such words"))
    wishes.append(Wish("pairs", "musav", "pair", "a-b"))
    found = excerpts_of(wishes, [record], mib=8)
    assert [wish.name for wish in found.of] == ["s05.wav"]
    reasons = {one.item: one.reason for one in found.unplayable}
    assert reasons["s03.wav"].startswith("s03.wav: not audio that can be decoded")
    assert reasons["s04.wav"].startswith("s04.wav: silent")
    assert reasons["s99.wav"] == "songs has no such clip"
    assert reasons["no such words"] == "songs has no such caption"
    assert reasons["a-b"] == "pairs has no such pair"


def test_musav_without_its_audio_has_no_players_and_says_so(ran, tmp_path):
    copy = moved(ran, tmp_path, (f'audio = "{ran[0]}/previews"', ""))
    report([copy], out=tmp_path, formats="html", audio=True)
    html = (tmp_path / "report.html").read_text()
    assert "no audio of it is available in pairs" in html and "Play the first song" not in html


def test_runs_with_unlike_data_of_one_name_are_not_mixed_up(ran):
    record = record_io.read(ran[1])
    datasets = [one.model_copy(update={"fingerprint": "0" * 64}) for one in record.datasets]
    other = record.model_copy(update={"datasets": datasets})
    wishes = [Wish("songs", "retrieval", "clip", "s05.wav")]
    found = excerpts_of(wishes, [record, other], mib=8)
    assert not found.of
    (lost,) = found.unplayable
    assert lost.reason == "the runs have unlike data under the name songs"
    assert excerpts_of(wishes, [record, record], mib=8).of


def test_an_excerpt_is_the_middle_of_its_file_and_the_same_bytes_again(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.concatenate([tone(500, 5), tone(900, 4), tone(500, 5)]), RATE)
    data = cut(path, seconds=3)
    samples, rate = soundfile.read(io.BytesIO(data))
    assert rate == SAMPLE_RATE and len(samples) == pytest.approx(3 * rate, abs=3000)
    spectrum = np.abs(np.fft.rfft(samples))
    at = {
        hz: spectrum[round(hz * len(samples) / rate) + np.arange(-9, 10)].max() for hz in (500, 900)
    }
    assert at[900] > 50 * at[500]
    assert cut(path, seconds=3) == data
    assert len(cut(path, seconds=60)) > len(data), "a file that is shorter is taken whole"
    with pytest.raises(AudioError, match="no such file"):
        cut(tmp_path / "none.wav")


@pytest.mark.parametrize(
    ("licence", "free"),
    [
        ("CC0-1.0", True),
        ("CC BY 4.0", True),
        ("CC-BY-NC-SA-4.0", True),
        ("none needed: made by a program", True),
        ("audio CC BY-NC-SA 1.0 (Magnatune); annotations: none stated, research use", True),
        ("CC BY-NC-ND 4.0", False),
        ("CC-BY-ND-4.0", False),
        ("CC BY-NC-SA 4.0 (annotations); audio: non-commercial research only", False),
        ("CC BY-SA 4.0 (captions); the audio is not distributed", False),
        ("CC BY-SA (annotations)", False),
        ("annotations: not stated; audio: Creative Commons, by song", False),
        ("none stated; research use", False),
        ("submitted by me", False),
        ("", False),
    ],
)
def test_what_is_not_known_to_be_free_is_taken_not_to_be(licence, free):
    assert may_be_passed_on(licence) is free


def test_the_command_embeds_and_warns_and_needs_a_page_to_do_it(ran, tmp_path, earmark):
    code, out, err = earmark(
        *("report", ran[1], "--out", tmp_path, "--format", "html"),
        *("--audio", "--audio-mib", "0.2"),
    )
    assert code == 0 and out.split() == [str(tmp_path / "report.html")]
    assert "research only" in err
    code, _, err = earmark("report", ran[1], "--format", "pdf", "--audio")
    assert code == 3 and "only the HTML report has players" in err
    with pytest.raises(ReportError):
        report([ran[1]], out=None, formats="md", audio=True, audio_mib=1)


PLAY = """
const all = [...document.querySelectorAll("audio")];
found.labels = all.map((one) => one.getAttribute("aria-label"));
found.focusable = all.every((one) => { one.focus(); return document.activeElement === one; });
found.closed = document.querySelectorAll("details:not([open]) audio").length;
const heard = (one) => new Promise((resolve) => {
  one.addEventListener("canplaythrough", () => resolve([one.readyState, one.duration]));
  one.addEventListener("error", () => resolve([-1, one.error.code]));
  one.preload = "auto";
  one.load();
});
for (const part of document.querySelectorAll("details")) part.open = true;
const before = all.map((one) => one.readyState);
addEventListener("load", async () => {
  found.before = Math.max(...before);
  found.after = await Promise.all(all.map(heard));
  done();
});
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path")
def test_a_browser_plays_every_excerpt_without_an_error_or_a_request(page, tmp_path):
    html = re.sub(r"<figure.*?</figure>", "", page[0], flags=re.DOTALL)
    found, console = opened(html, PLAY, tmp_path)
    assert console == [] and found["errors"] == []
    assert [one for one in found["requests"] if not one.startswith("data:")] == []
    assert found["before"] == 0, "nothing is read before it is played"
    assert found["after"] and all(state == 4 for state, _ in found["after"])
    assert all(0.4 < seconds < 1.2 for _, seconds in found["after"])
    assert all(label.startswith("Play ") for label in found["labels"]) and found["focusable"]
    assert "data-as=" in html, "a clip of several cells has several players"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path")
def test_axe_finds_nothing_wrong_with_the_players(page, tmp_path):
    source = os.environ.get("EARMARK_AXE")
    if not source:
        pytest.skip("EARMARK_AXE does not name axe-core's axe.min.js")
    script = f"""{Path(source).read_text(encoding="utf-8")}
    for (const part of document.querySelectorAll("details")) part.open = true;
    addEventListener("load", async () => {{
      const run = await axe.run(document, {{}});
      found.violations = run.violations.map((v) => [v.impact, v.id, v.nodes.length]);
      found.passes = run.passes.length;
      done();
    }});
    """
    html = re.sub(r"<figure.*?</figure>", "", page[0], flags=re.DOTALL)
    found, _ = opened(html, script, tmp_path, "--virtual-time-budget=120000")
    assert found["passes"] > 20 and found["violations"] == []
