"""What cannot be had is known before anything is listened to, all of it, in one list."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from earmark.bench.run.runner import run_suite
from earmark.bench.run.suite import SuiteError
from earmark.bench.tasks.av_predictions import predict_from_means
from earmark.datasets.audio import Waveform, decoded_files
from earmark.models.adapters.text_axis import TextAxisAV
from earmark.models.base import ModelCard, ModelError
from earmark.reports.record.files import read

MODELS = """
import numpy as np
from earmark.models.base import ModelCard

class Base:
    sample_rate = 8000
    def __init__(self, *, version="1", scale=1.0, fails=None):
        self.scale, self.fails, self.asked = scale, fails, 0
        self.card = ModelCard(type(self).__name__, version, "untrained", "MIT", "", (), "whole",
                              av_scale=(0.0, 9.0))

class AV(Base):
    def predict_av(self, clips):
        self.asked += 1
        if self.fails == "value" and self.asked == 7:
            raise RuntimeError("input too short")
        return np.array([[self.scale * len(c.samples) / 1e4, c.samples.max()] for c in clips], "f4")

class Audio(Base):
    dimension = 2
    def embed_audio(self, clips):
        rows = np.array([[1.0, c.samples.max()] for c in clips], "f4")
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("f4")

class NoDimension(Base):
    def embed_audio(self, clips):
        raise AssertionError

class Nothing(Base):
    pass

class NoCard:
    sample_rate = None
    card = {"id": "x"}
    def predict_av(self, clips):
        raise AssertionError

class OddCard(NoCard):
    card = ModelCard("odd", "1", "0" * 64, "MIT", "none", (), "whole", preprocessing="22 kHz")

class OldCard(NoCard):
    card = ModelCard("old", 1, "0" * 64, "MIT", "none", (), "whole")

class Broken(Base):
    def __init__(self, *, path):
        raise KeyError("weights")

def songs(*, root):
    return {}[root]
"""
HEAD = '[suite]\nname = "s"\ntitle = "S"\nreplicates = 200\n'


def model(name, kind, **options):
    lines = [f"{key} = {value!r}".replace("'", '"') for key, value in options.items()]
    return "\n".join([f"[models.{name}]", f'loader = "MODELS:{kind}"', *lines, ""])


def task(kind, dataset="songs", **options):
    lines = [f"{key} = {value!r}".replace("'", '"') for key, value in options.items()]
    return "\n".join(["[[tasks]]", f'task = "{kind}"', f'dataset = "{dataset}"', *lines, ""])


SONGS = '[datasets.songs]\nloader = "rated-folder"\nroot = "ROOT/songs"\nscale = [0, 9]\n'
CAPTIONS = '[datasets.captions]\nloader = "caption-csv"\nroot = "ROOT/captions"\naudio = "audio"\n'


@pytest.fixture
def suite(tmp_path):
    (tmp_path / "models.py").write_text(MODELS)
    rng = np.random.default_rng(0)
    for folder, head, row in (
        ("songs", "track_id,arousal,valence", "{0},{1},{2}"),
        ("captions", "path,caption", "{0}.wav,a song of {1}"),
    ):
        audio = tmp_path / folder / "audio"
        audio.mkdir(parents=True)
        rows = [head]
        for number in range(12):
            samples = rng.uniform(-0.5, 0.5, 4000 + 50 * number)
            soundfile.write(audio / f"{number}.wav", samples, 8000)
            rows.append(row.format(number, *rng.uniform(0, 9, 2).round(2)))
        name = "ratings.csv" if folder == "songs" else "captions.csv"
        (tmp_path / folder / name).write_text("\n".join(rows) + "\n")

    def run(*parts, **options):
        text = HEAD + "\n".join(parts)
        text = text.replace("ROOT", str(tmp_path)).replace("MODELS", str(tmp_path / "models.py"))
        (tmp_path / "suite.toml").write_text(text)
        return run_suite(
            tmp_path / "suite.toml", out=tmp_path / "runs", store=tmp_path / "store", **options
        )

    run.root = tmp_path
    return run


def test_everything_that_is_wrong_is_in_one_list_and_nothing_was_listened_to(suite):
    """A method, a package's file, two options and a constructor of five models and three tasks."""
    decoded = decoded_files()
    with pytest.raises(SuiteError) as caught:
        suite(
            SONGS,
            '[datasets.gone]\nloader = "rated-folder"\nroot = "ROOT/gone"\n',
            model("good", "AV"),
            model("tower", "Audio"),
            model("typo", "AV", scael=2.0),
            model("broken", "Broken", path="x"),
            task("av_regression", models=["good", "tower", "typo", "broken"]),
            task("probe", models=["good"]),
            task("av_regression", "gone", models=["good"]),
        )
    said = str(caught.value)
    for words in (
        "nothing was run",
        "ROOT/gone".replace("ROOT", str(suite.root)),
        "model 'tower' (Audio) has no predict_av or predict_av_from_patches",
        "Did you mean 'scale'",
        "model 'broken'",
        "KeyError: 'weights'",
        "probe-songs: model 'good' (AV) has no embed_audio",
    ):
        assert words in said, said
    assert decoded_files() == decoded
    assert not (suite.root / "runs").exists()


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("av_regression", "Nothing", "has no predict_av or predict_av_from_patches"),
        ("av_regression", "NoCard", "has a card that is dict, expected a ModelCard"),
        ("av_regression", "OddCard", "card whose preprocessing is str, expected a mapping"),
        ("av_regression", "OldCard", "has a card whose version is 1, expected a string"),
        ("probe", "NoDimension", "has embed_audio, and no dimension beside it"),
        ("probe", "AV", "has no embed_audio, which the task probe needs"),
        ("musav", "Audio", "has no predict_av"),
        ("av_cross_dataset", "Nothing", "has no embed_audio or embed_patches or predict_av or"),
    ],
)
def test_what_a_model_lacks_is_named_with_the_task(suite, kind, name, words):
    options = {"train": ["songs"]} if kind == "av_cross_dataset" else {}
    with pytest.raises(ValueError, match=words):
        suite(SONGS, model("m", name), task(kind, models=["m"], **options))


def test_an_audio_tower_is_refused_for_retrieval_before_another_task_is_heard(suite):
    decoded = decoded_files()
    with pytest.raises(ModelError, match="has no embed_text, which the task retrieval needs"):
        suite(
            SONGS,
            CAPTIONS,
            model("good", "AV"),
            model("tower", "Audio"),
            task("av_regression", models=["good"]),
            task("retrieval", "captions", models=["tower"]),
        )
    assert decoded_files() == decoded


def test_with_available_the_others_run_without_the_model_that_cannot(suite):
    folder, not_run = suite(
        SONGS, model("good", "AV"), model("tower", "Audio"), task("av_regression"), available=True
    )
    assert read(folder).tasks[0].models == ["good"]
    (gap,) = not_run
    assert (gap.what, gap.failed) == ("tower", False)
    assert "has no predict_av" in gap.reason


@pytest.mark.parametrize("other", [{"scale": 2.0}, {"kind": "AV2"}])
def test_two_models_whose_cards_are_equal_are_refused(suite, other):
    """Options or classes differ, the cards do not: the store would give one the other's numbers."""
    (suite.root / "models.py").write_text(
        MODELS + "\nclass AV2(AV):\n    def __init__(self):\n        super().__init__()\n"
        "        self.card = AV().card\n"
    )
    kind = other.pop("kind", "AV")
    for available in (False, True):
        with pytest.raises(SuiteError, match=r"models 'a' and 'b' differ in .*cards are equal"):
            suite(
                SONGS, model("a", "AV"), model("b", kind, **other), task("av_regression"),
                available=available,
            )  # fmt: skip
    assert not (suite.root / "store").exists()


def test_equal_options_or_unequal_cards_are_told_apart_or_need_not_be(suite):
    folder, _ = suite(
        SONGS,
        model("a", "AV"),
        model("same", "AV"),
        model("b", "AV", version="2", scale=2.0),
        task("av_regression"),
    )
    assert read(folder).tasks[0].models == ["a", "same", "b"]


def test_cards_that_only_the_code_tells_apart_are_not_trusted(suite):
    (suite.root / "other.py").write_text(MODELS)
    parts = (
        SONGS,
        model("a", "AV"),
        model("b", "AV").replace("MODELS", "ROOT/other.py"),
        task("av_regression"),
    )
    with pytest.raises(SuiteError, match="cards are equal"):
        suite(*parts, trust_card=True)
    (suite.root / "other.py").write_text(MODELS + "# its own\n")
    assert suite(*parts)[0]


def test_a_task_that_fails_later_leaves_the_others_record(suite, earmark):
    parts = (
        SONGS,
        SONGS.replace("[datasets.songs]", "[datasets.more]"),
        model("good", "AV"),
        model("bad", "AV", version="2", fails="value"),
        task("av_regression", models=["good"]),
        task("av_regression", "more", models=["bad"]),
    )
    folder, (gap,) = suite(*parts)
    assert [one.id for one in read(folder).tasks] == ["av_regression-songs"]
    assert (gap.what, gap.failed) == ("av_regression-more", True)
    assert "AV: predict_av of clip" in gap.reason
    assert "RuntimeError: input too short" in gap.reason
    assert read(folder).not_run == [gap]
    (suite.root / "suite.toml").write_text(
        (suite.root / "suite.toml").read_text().replace('version = "2"', 'version = "3"')
    )
    code, out, err = earmark(
        "run", suite.root / "suite.toml", "--out", suite.root / "r", "--store", suite.root / "st"
    )
    assert code == 3
    assert "report.html" in out
    assert "input too short" in out + err


def test_an_adapters_error_is_the_commands_error_where_nothing_else_was_asked(suite, earmark):
    """Case: the seventh clip; exit 3, and the traceback where it is asked for."""
    with pytest.raises(ModelError, match=r"^AV: predict_av of clip \S+: RuntimeError: input too"):
        suite(SONGS, model("bad", "AV", fails="value"), task("av_regression"))
    where = ("--out", suite.root / "runs", "--store", suite.root / "new")
    code, _, err = earmark("run", suite.root / "suite.toml", *where)
    assert code == 3
    assert "RuntimeError: input too short (--debug shows where)" in err.replace("\n", " ")
    assert "Traceback" not in err


def test_a_users_dataset_that_fails_is_named(suite):
    with pytest.raises(ValueError, match=r"dataset 'own' .*cannot be opened: KeyError: 'x'"):
        suite(
            '[datasets.own]\nloader = "MODELS:songs"\nroot = "x"\n',
            model("a", "AV"),
            task("av_regression", "own"),
        )


FAULTS = {
    "a module that is no Python": ("class (", "SyntaxError", "cannot be opened"),
    "a module that ends the program": ("import sys\nsys.exit(4)", "SystemExit: 4", "cannot be"),
    "a module that lacks a package": ("import no_such_package", "no_such_package", "model "),
    "a model that ends the program": (
        MODELS.replace('raise RuntimeError("input too short")', "raise SystemExit(4)"),
        "SystemExit: 4",
        "AV: predict_av of clip",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_whatever_an_adapter_raises_is_named(suite, case):
    code, *words = FAULTS[case]
    (suite.root / "models.py").write_text(code)
    with pytest.raises(ValueError) as caught:
        suite(SONGS, model("m", "AV", fails="value"), task("av_regression"))
    assert type(caught.value).__module__.startswith("earmark.")
    assert all(word in str(caught.value) for word in words), caught.value


def test_calls_that_the_store_does_not_make_are_named_too(tmp_path):
    class Head:
        card = embedder = None

        def predict_av_from_patches(self, patches):
            raise AssertionError

        def predict_av_from_means(self, means):
            return {}["bias"]

    np.savez(tmp_path / "m.npz", songids=["a"], embeddings=np.ones((1, 2), "f4"))
    with pytest.raises(ModelError, match=r"^h: predict_av_from_means of m\.npz: KeyError: 'bias'"):
        predict_from_means("h", Head(), tmp_path / "m.npz")

    class Joint:
        sample_rate, dimension = 8000, 2
        card = ModelCard("joint", "1", "untrained", "MIT", "", (), "all")

        def embed_text(self, texts):
            raise RuntimeError("no tokeniser")

        def embed_audio(self, clips):
            return np.ones((len(clips), 2), "f4")

    with pytest.raises(ModelError, match=r"^joint: embed_text of the prompts .*no tokeniser"):
        TextAxisAV(Joint()).predict_av([Waveform(np.ones(9, "f4"), 8000)])


def test_a_dataset_that_fails_when_it_is_looked_at_is_named(suite):
    (suite.root / "models.py").write_text(
        MODELS.replace("return {}[root]", "return Odd()")
        + "\nclass Odd:\n    @property\n    def clips(self):\n        return {}['clips']\n"
    )
    with pytest.raises(ValueError, match=r"probe-own: dataset 'own': KeyError: 'clips'"):
        suite(
            '[datasets.own]\nloader = "MODELS:songs"\nroot = "x"\n',
            model("tower", "Audio"),
            task("probe", "own"),
        )
