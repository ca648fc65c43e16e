"""Running a suite: record and reports from real files, once heard, interrupted, or not at hand."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from earmark.bench.cli.report import render_reports
from earmark.bench.cli.run import embed
from earmark.bench.embeddings.store import Store, audio_key, space_of
from earmark.bench.run.runner import run_suite
from earmark.bench.run.suite import SuiteError
from earmark.datasets.audio import decoded_files, file_digest
from earmark.datasets.base import DataError
from earmark.datasets.files.user_modules import FILE_MODULE
from earmark.datasets.judgements.musav import load as load_musav
from earmark.models.base import ModelCard
from earmark.reports.record.files import read, read_items

RATE = 16_000
N_CLIPS = 12
TASK_IDS = ["av_regression-songs", "musav-musav"]

MODEL = '''
import numpy as np
from earmark.models.base import ModelCard

class Level:
    """Arousal is the level, valence the zero crossings; counts how often it is asked."""
    sample_rate = 16000

    def __init__(self, *, gain=1.0, fails_after=None):
        self.card = ModelCard(
            id="level", version="1", weights_digest="untrained", licence="Apache-2.0", citation="",
            training_datasets=(), crop_policy="whole clip", preprocessing={"gain": gain},
            av_scale=(0.0, 1.0),
        )
        self.gain, self.fails_after, self.asked = gain, fails_after, 0

    def predict_av(self, clips):
        self.asked += 1
        if self.fails_after is not None and self.asked > self.fails_after:
            raise KeyboardInterrupt
        return np.array([
            [self.gain * np.sqrt(np.mean(c.samples**2)), np.mean(np.diff(np.sign(c.samples)) != 0)]
            for c in clips
        ], dtype=np.float32)
'''

SUITE = """
[suite]
name = "small"
title = "A small suite"
replicates = 200

[datasets.songs]
loader = "rated-folder"
root = "{root}/songs"
scale = [0, 1]

[datasets.musav]
loader = "musav"
root = "{root}/musav"

[models.level]
loader = "{root}/model.py:Level"
{options}

[models.louder]
loader = "{root}/model.py:Level"
gain = 2.0

[[tasks]]
task = "av_regression"
dataset = "songs"

[[tasks]]
task = "musav"
dataset = "musav"
models = []
predictions = ["{root}/predictions.jsonl"]
"""


@pytest.fixture
def root(tmp_path, write_musav):
    """Rated audio, MusAV with predictions, a user's model: all written here."""
    (tmp_path / "model.py").write_text(MODEL)
    audio = tmp_path / "songs" / "audio"
    audio.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["track_id,arousal,valence"]
    for number in range(N_CLIPS):
        level, pitch = rng.uniform(0.05, 0.9), rng.uniform(100, 3000)
        seconds = np.arange(RATE) / RATE
        samples = level * np.sin(2 * np.pi * pitch * seconds)
        soundfile.write(audio / f"s{number:02}.wav", samples, RATE, subtype="FLOAT")
        rows.append(f"s{number:02},{level:.3f},{pitch / 4000:.3f}")
    (tmp_path / "songs" / "ratings.csv").write_text("\n".join(rows) + "\n")
    musav = load_musav(write_musav(tmp_path / "musav", n_triplets=12))
    (tmp_path / "predictions.jsonl").write_text(
        "".join(
            json.dumps({"songid": s, "model": "guess", "arousal_mean": a, "valence_mean": v}) + "\n"
            for s, (a, v) in zip(
                musav.song_ids, rng.uniform(1, 9, (len(musav.song_ids), 2)).tolist(), strict=True
            )
        )
    )
    write_suite(tmp_path)
    return tmp_path


def write_suite(root, *, options="", change=("", "")):
    text = SUITE.replace("{root}", str(root)).replace("{options}", options)
    (root / "suite.toml").write_text(text.replace(*change) if change[0] else text)


def run(root, **options):
    return run_suite(root / "suite.toml", out=root / "runs", store=root / "store", **options)


def test_a_run_leaves_a_record_of_every_task_with_items_and_cards(root):
    folder, not_run = run(root)
    record = read(folder)
    assert not_run == []
    assert [task.id for task in record.tasks] == TASK_IDS
    regression, musav = record.tasks
    assert regression.models == ["level", "louder"]
    assert musav.models == ["guess", "loudness (baseline)"]
    assert {dataset.id for dataset in record.datasets} == {"songs", "musav"}
    assert {model.id: model.preprocessing for model in record.models} == {
        "level": {"gain": 1.0},
        "louder": {"gain": 2.0},
    }
    costs = {model.id: model.cost for model in record.models}
    # One call warms a model up; "louder" has a part of the store to itself.
    # The first call warms up and is left out, but where it took longer than all others.
    assert all(cost.clips in (N_CLIPS - 1, N_CLIPS) for cost in costs.values())
    assert {(cost.device, cost.parameters, cost.measured) for cost in costs.values()} == {
        ("cpu", 0, None)
    }
    assert record.replicates == 200
    assert record.suite.toml == (root / "suite.toml").read_text()
    items = read_items(folder, "av_regression-songs")
    assert len(items) == 2 * 2 * N_CLIPS
    arousal = items[(items.model == "level") & (items.dimension == "arousal")]
    # The model hears the level that was written, a sine's RMS: rated / sqrt(2).
    np.testing.assert_allclose(arousal.predicted, arousal.rated / np.sqrt(2), atol=2e-3)
    (r,) = (
        score.value
        for score in regression.scores
        if (score.model, score.dimension, score.metric) == ("level", "arousal", "pearson_r")
    )
    assert r == pytest.approx(np.corrcoef(arousal.predicted, arousal.rated)[0, 1], abs=1e-9)


def test_a_model_that_brings_the_log_of_its_training_leaves_it_in_the_record(root):
    model = (
        MODEL
        + """
from earmark.models.support.exported import TrainingLog

class Learned(Level):
    training_log = TrainingLog(("step", "loss", "R@10"), ((10, 1.5, None), (12, None, 0.5)),
                               best_by="R@10", exported_step=12, note="Thinned.")
"""
    )
    (root / "model.py").write_text(model)
    write_suite(root, change=("model.py:Level", "model.py:Learned"))
    logs = {model.id: model.training for model in read(run(root)[0]).models}
    assert logs["level"].model_dump() == {
        "columns": ["step", "loss", "R@10"],
        "rows": [[10, 1.5, None], [12, None, 0.5]],
        "best_by": "R@10",
        "exported_step": 12,
        "note": "Thinned.",
    }
    write_suite(root)
    assert {model.training for model in read(run(root)[0]).models} == {None}


def test_a_second_run_decodes_no_audio_asks_no_model_and_scores_the_same(root):
    first, _ = run(root)
    decoded = decoded_files()
    write_suite(root, options="fails_after = 0")
    second, _ = run(root)
    assert decoded_files() == decoded
    assert read(second).tasks == read(first).tasks
    assert all(model.seconds is None for model in read(second).models)
    costs = [[model.cost for model in read(folder).models] for folder in (first, second)]
    assert all(cost.measured for cost in costs[1])
    assert [cost.model_copy(update={"measured": None}) for cost in costs[1]] == costs[0]


def test_models_of_other_preprocessing_do_not_share_numbers(root):
    folder, _ = run(root)
    items = read_items(folder, "av_regression-songs")
    arousal = items[items.dimension == "arousal"].pivot(
        index="item", columns="model", values="predicted"
    )
    np.testing.assert_allclose(arousal.louder, 2 * arousal.level, rtol=1e-6)


def test_an_interrupted_run_goes_on_where_it_stopped(root):
    write_suite(root, options="fails_after = 7")
    with pytest.raises(KeyboardInterrupt):
        run(root)
    assert not list((root / "runs").glob("*")) if (root / "runs").exists() else True
    decoded = decoded_files()
    # Five clips of this model are left, for which it may be asked.
    write_suite(root, options="fails_after = 5")
    folder, _ = run(root)
    assert decoded_files() - decoded == 5 + N_CLIPS
    assert len(read_items(folder, "av_regression-songs")) == 2 * 2 * N_CLIPS


def heard_anew(root):
    """Run as a new process would; return the record and how many clips were listened to."""
    for name in [name for name in sys.modules if name.startswith(FILE_MODULE)]:
        del sys.modules[name]
    before = decoded_files()
    return read(run(root)[0]), decoded_files() - before


def test_an_adapter_that_was_edited_without_its_card_is_heard_anew(root):
    first, _ = heard_anew(root)
    again, decoded = heard_anew(root)
    assert decoded == 0
    assert again.tasks == first.tasks
    (root / "model.py").write_text(MODEL.replace("self.gain * np.sqrt", "-self.gain * np.sqrt"))
    edited, decoded = heard_anew(root)
    assert decoded == 2 * N_CLIPS
    before, after = (
        [
            s.value
            for s in one.tasks[0].scores
            if (s.dimension, s.metric) == ("arousal", "pearson_r")
        ]
        for one in (first, edited)
    )
    assert after == pytest.approx([-value for value in before])
    assert {model.id for model in first.models if model.code == edited.models[0].code} == set()


def test_the_store_is_listed_with_the_state_of_its_code_and_what_is_stale_is_removed(root, earmark):
    store = root / "store"
    heard_anew(root)
    (root / "model.py").write_text(MODEL + "\n# edited\n")
    heard_anew(root)
    old = Store(store).open(space_of(ModelCard("old", "1", "x", "", "", (), ""), kind="av"))
    with old:
        old.put({"audio:1": np.zeros(2, np.float32)})

    def listed():
        return json.loads(earmark("store", "--store", store, "--json")[1])

    found = listed()
    assert [(one["model"], one["rows"]) for one in found] == [("level", N_CLIPS)] * 4 + [("old", 1)]
    states = [one["code"] for one in found]
    assert sorted(states[:4]) == ["model.py has changed"] * 2 + ["there"] * 2
    assert "kept by the card alone" in states[4]
    code, out, _ = earmark("store", "--store", store)
    assert code == 0
    assert "5 spaces" in out
    assert "--remove stale" in out
    code, _, err = earmark("store", "--store", store, "--remove", "stale")
    assert (code, "add --yes" in err) == (3, True)  # no terminal to ask at
    assert len(listed()) == 5
    code, _, err = earmark("store", "--store", store, "--remove", "../runs", "--yes")
    assert (code, "no space whose name begins" in err) == (3, True)
    code, out, _ = earmark("store", "--store", store, "--remove", "stale", "--yes")
    assert (code, "removed 3 spaces" in out) == (0, True)
    assert [one["code"] for one in listed()] == ["there"] * 2
    earmark("store", "--store", store, "--remove", listed()[0]["space"][:8], "--yes")
    assert len(listed()) == 1
    code, _, err = earmark("store", "--store", root / "nowhere")
    assert (code, "no store at" in err) == (3, True)


def test_a_bad_file_is_reported_by_name_and_ends_nothing(root):
    (root / "songs" / "audio" / "s03.wav").write_bytes(b"RIFF nothing")
    (root / "songs" / "audio" / "s05.wav").write_bytes(b"")
    folder, _ = run(root)
    regression = read(folder).tasks[0]
    assert {problem.item for problem in regression.problems} == {"s03", "s05"}
    assert {score.n for score in regression.scores} == {N_CLIPS - 2}
    assert [w for w in regression.warnings if f"2 of {N_CLIPS} rated clips" in w]


def test_what_is_not_at_hand_is_an_error_or_named_with_its_reason(root):
    write_suite(root, change=(f"{root}/songs", f"{root}/elsewhere"))
    with pytest.raises(DataError, match="elsewhere"):
        run(root)
    folder, not_run = run(root, available=True)
    assert [task.id for task in read(folder).tasks] == ["musav-musav"]
    (gap,) = not_run
    assert gap.what == "av_regression-songs"
    assert "elsewhere" in gap.reason
    assert read(folder).not_run == not_run


def test_predictions_that_are_not_at_hand_are_an_error_or_a_gap(root):
    write_suite(root, change=("/predictions.jsonl", "/elsewhere.jsonl"))
    with pytest.raises(DataError, match=r"elsewhere\.jsonl not found"):
        run(root)
    folder, _ = run(root, available=True)
    musav = read(folder).tasks[1]
    assert musav.models == ["loudness (baseline)"]
    (gap,) = musav.not_run
    assert f"{root}/elsewhere.jsonl not found" in gap.reason


def test_a_model_that_cannot_be_made_is_named_and_the_others_run(root):
    text = (root / "suite.toml").read_text()
    (root / "suite.toml").write_text(text.replace("gain = 2.0", "gian = 2.0"))
    with pytest.raises(DataError, match="Did you mean 'gain'"):
        run(root)
    folder, not_run = run(root, available=True)
    assert read(folder).tasks[0].models == ["level"]
    assert [gap.what for gap in not_run] == ["louder"]


def test_the_random_baseline_is_not_measured_alone(tmp_path):
    rng = np.random.default_rng(0)
    for number, genre in enumerate(("blues", "jazz", "blues", "jazz")):
        place = tmp_path / "genres" / genre / f"{genre}.{number:05}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(place, rng.uniform(-0.5, 0.5, RATE), RATE)
    (tmp_path / "suite.toml").write_text(f"""
[suite]
name = "absent"
title = "A model whose weights are not here"
[datasets.genres]
loader = "gtzan"
root = "{tmp_path}"
[models.mine]
loader = "musicnn"
weights = "{tmp_path}/nowhere.safetensors"
[[tasks]]
task = "zero_shot_classification"
dataset = "genres"
""")
    folder, not_run = run(tmp_path, available=True)
    assert folder is None
    assert [gap.what for gap in not_run] == ["mine", "zero_shot_classification-genres"]
    assert not_run[1].reason == "of its models none is available: mine"


def test_what_a_task_found_is_told_as_soon_as_it_did(root):
    told = []
    folder, _ = run(root, scored=told.append)
    assert [task.id for task in told] == TASK_IDS
    assert [task.scores for task in told] == [task.scores for task in read(folder).tasks]


def test_where_nothing_can_run_there_is_no_record(root):
    write_suite(root, change=(str(root), "/nowhere"))
    folder, not_run = run(root, available=True)
    assert folder is None
    assert [gap.what for gap in not_run] == ["level", "louder", *TASK_IDS]
    assert not (root / "runs").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('task = "musav"', 'task = "musaw"'), "Did you mean 'musav'"),
        (("models = []", "models = []\nbaselinse = []"), "Did you mean 'baselines'"),
    ],
)
def test_an_unknown_task_or_option_is_refused_before_anything_runs(root, change, message):
    write_suite(root, change=change)
    with pytest.raises((SuiteError, DataError), match=message):
        run(root, available=True)
    assert not (root / "store").exists()


def test_a_dataset_of_another_kind_than_the_task_needs_is_refused(root):
    write_suite(root, change=('dataset = "musav"\nmodels', 'dataset = "songs"\nmodels'))
    with pytest.raises(DataError, match="task musav needs a dataset of judged pairs"):
        run(root)


def test_reports_are_written_beside_the_record_and_stand_alone(root):
    folder, _ = run(root)
    html, pdf = render_reports(folder, folder)
    page = html.read_text(encoding="utf-8")
    assert "A small suite" in page
    assert "<script src" not in page
    assert "<link" not in page
    assert pdf.read_bytes().startswith(b"%PDF-")


def test_the_command_prints_scores_and_the_reports_it_wrote(root, earmark):
    places = ("--out", root / "runs", "--store", root / "store")
    code, out, _ = earmark("run", root / "suite.toml", *places)
    assert code == 0
    assert "pearson_r, all" in out
    assert "report.html" in out
    code, out, _ = earmark("run", root / "suite.toml", *places, "--json")
    (printed,) = json.loads(out)
    assert code == 0
    assert printed["not_run"] == []
    assert len(printed["reports"]) == 2


def test_the_command_fails_if_nothing_ran(root, earmark, monkeypatch):
    write_suite(root, change=(str(root), "/nowhere"))
    places = ("--out", root / "runs", "--store", root / "store")
    code, out, _ = earmark("run", root / "suite.toml", *places, "--available")
    assert code == 3
    assert "nothing could run" in out
    assert "/nowhere/songs" in "".join(out.split("\n"))


def store_content(folder, audio):
    """Return the row of every audio file by space and key."""
    keys = [audio_key(file_digest(path)) for path in sorted(audio.iterdir())]
    return {
        (space.identity, key): row.tobytes()
        for space in Store(folder).spaces()
        for key, row in space.get(keys).items()
    }


def test_two_processes_fill_the_store_as_one_does(root):
    embed([root / "suite.toml"], store=root / "alone")
    together = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    together += ["-m", "earmark.bench.cli", "embed", str(root / "suite.toml")]
    together += ["--store", str(root / "together")]
    done = subprocess.run(together, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "process 1 of 2" in done.stdout
    assert "process 2 of 2" in done.stdout
    content = store_content(root / "alone", root / "songs" / "audio")
    assert len(content) == 2 * N_CLIPS
    assert store_content(root / "together", root / "songs" / "audio") == content


def test_a_report_that_cannot_be_rendered_ends_no_other_suite(root, earmark, monkeypatch):
    from earmark.bench.cli import report

    render, rendered = report.render_reports, []

    def fails_once(run, out, **options):
        rendered.append(run)
        if len(rendered) == 1:
            raise ZeroDivisionError("no width")
        return render(run, out, **options)

    monkeypatch.setattr(report, "render_reports", fails_once)
    suite = str(root / "suite.toml")
    code, out, _ = earmark("run", suite, suite, "--out", root / "runs", "--store", root / "store")
    assert code == 70
    assert "no report of small: internal error: ZeroDivisionError: no width" in " ".join(
        out.split()
    )
    first, second = rendered
    assert (first / "run.json").exists() and not (first / "report.html").exists()
    assert (second / "report.html").exists()


def test_what_commands_found_is_one_json_on_standard_output(root, earmark, monkeypatch):
    monkeypatch.setenv("EARMARK_CACHE", str(root / "cache"))
    store, suite = root / "store", root / "suite.toml"
    code, out, _ = earmark("embed", suite, "--store", store, "--json")
    assert (code, json.loads(out)) == (
        0,
        [{"suite": str(suite), "clips": N_CLIPS, "process": 1, "processes": 1}],
    )
    folder, _ = run(root)
    code, out, _ = earmark("report", folder, "--format", "md", "--json")
    assert (code, json.loads(out)) == (0, {"files": [str(folder / "report.md")]})
    code, out, _ = earmark("export-record", folder, root / "csv", "--to", "csv", "--json")
    found = json.loads(out)
    assert code == 0 and set(found["files"]) == {str(p) for p in (root / "csv").iterdir()}
    code, out, _ = earmark("fetch", "--cache", root / "cache", "--json")
    listed = {one["name"]: one["available"] for one in json.loads(out)}
    assert code == 0 and listed["musicnn"] is False
