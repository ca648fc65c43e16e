"""What `earmark bench` makes is made once, again where something changed, and after a stop."""

import shutil

import pytest

from earmark.bench.cli.etude import further_of, make, make_further, needs_no_training
from earmark.bench.run.suite import read_suite, shipped_suites
from earmark.datasets.ratings.folder import load_rated_folder
from earmark.models.base import ModelError
from earmark.models.registry import MODELS

SIZES = {"n_tracks": 180, "seconds": 2.0, "layouts": ("captions",), "workers": 1}


def config(preset, *, epochs=1, batch_size=40):
    return (
        f'preset = "{preset}"\n[training]\nepochs = {epochs}\nbatch_size = {batch_size}\n'
        f'tensorboard = false\naccelerator = "cpu"'
    )


def trained_now(steps):
    return [step.name for step in steps if step.done_now and step.name.startswith("train: ")]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder in which two checkpoints of one epoch were made."""
    folder = tmp_path_factory.mktemp("made")
    steps = make(folder, configs={"one": config("tiny"), "two": config("tiny-dcase")}, **SIZES)
    assert trained_now(steps) == ["train: one", "train: two"]
    return folder


def test_checkpoints_open_by_the_adapters_and_say_what_they_were_trained_on(made):
    exported = made / "models" / "etude"
    muscall = MODELS.create("muscall", {"weights": str(exported / "one")})
    assert muscall.card.training_datasets == ("etude",)
    assert MODELS.create("dcase", {"weights": str(exported / "two")}).card.id != muscall.card.id


def test_what_is_there_is_kept_and_what_changed_is_made_again(made):
    weights = made / "models" / "etude" / "one" / "model.safetensors"
    before = weights.read_bytes()
    same = {"one": config("tiny"), "two": config("tiny-dcase")}
    assert not any(step.done_now for step in make(made, configs=same, **SIZES))
    changed = same | {"two": config("tiny-dcase", batch_size=30)}
    assert trained_now(make(made, configs=changed, **SIZES)) == ["train: two"]
    assert weights.read_bytes() == before


def test_an_export_without_the_log_of_its_training_is_made_again_and_not_trained_again(made):
    exported, run = made / "models" / "etude" / "two", made / "work" / "trained" / "two"
    same = {"two": config("tiny-dcase", batch_size=30)}
    make(made, configs=same, **SIZES)
    log, weights = exported / "training.json", (exported / "model.safetensors").read_bytes()
    logged = log.read_text()
    assert "valid_loss" in logged
    checkpoint = run / "checkpoints" / "best.pt"
    before = checkpoint.stat().st_mtime_ns
    log.unlink()
    assert not trained_now(make(made, configs=same, **SIZES))
    assert log.read_text() == logged and checkpoint.stat().st_mtime_ns == before
    assert (exported / "model.safetensors").read_bytes() == weights
    # Where the run is gone, the export stays as it is.
    log.unlink()
    shutil.rmtree(run)
    assert not trained_now(make(made, configs=same, **SIZES))
    assert not log.exists() and (exported / "model.safetensors").read_bytes() == weights


def test_a_run_that_was_stopped_goes_on_and_ends_as_if_it_had_not_been(made):
    class StopError(Exception):
        pass

    def stop(line):
        if "epoch 1/2" in line:
            raise StopError

    make(made, configs={"whole": config("tiny", epochs=2)}, **SIZES)
    stopped = {"stopped": config("tiny", epochs=2)}
    with pytest.raises(StopError):
        make(made, configs=stopped, tell=stop, **SIZES)
    models = made / "models" / "etude"
    assert not (models / "stopped").exists()
    assert trained_now(make(made, configs=stopped, **SIZES)) == ["train: stopped"]
    weights = "model.safetensors"
    assert (models / "stopped" / weights).read_bytes() == (models / "whole" / weights).read_bytes()


def test_a_training_that_fails_is_named_with_its_last_words(made):
    with pytest.raises(ModelError, match=r"training odd ended with exit code 3: .*batch"):
        make(made, configs={"odd": config("tiny", batch_size=4000)}, **SIZES)
    with pytest.raises(ModelError, match="Did you mean 'tiny'"):
        make(made, configs={"odd": config("tini")}, **SIZES)


def test_without_checkpoints_the_corpus_alone_is_built(tmp_path):
    sizes = SIZES | {"n_tracks": 30}
    assert [step.name for step in make(tmp_path, configs={}, **sizes)] == ["etude: corpus"]
    assert not (tmp_path / "work").exists()


def test_a_suite_on_the_corpus_without_models_trained_on_it_needs_no_training():
    needless = {path.stem for path in shipped_suites() if needs_no_training(read_suite(path))}
    assert needless == {"first_real"}


def test_suites_say_which_further_corpora_they_need():
    by_name = {path.stem: read_suite(path) for path in shipped_suites()}
    assert further_of(by_name.values()) == ["etude-1", "etude-2", "etude-3"]
    assert further_of([by_name["etude"], by_name["av_real"]]) == []
    assert further_of([by_name["av_cross_etude"]]) == ["etude-1", "etude-2", "etude-3"]


def test_further_corpora_are_made_once_and_differ_in_their_songs(tmp_path):
    said = []
    sizes = {"n_tracks": 30, "seconds": 2.0, "workers": 1, "tell": said.append}
    assert make_further(tmp_path, [], **sizes) == []
    (first,) = make_further(tmp_path, ["etude-2"], **sizes)
    assert (first.name, first.done_now) == ("etude-2: corpus", True)
    both = make_further(tmp_path, ["etude-1", "etude-2"], **sizes)
    assert [(step.name, step.done_now) for step in both] == [
        ("etude-1: corpus", True), ("etude-2: corpus", False),
    ]  # fmt: skip
    assert said[-1].endswith("was there already")
    one, two = (
        load_rated_folder(root=str(tmp_path / n / "emomusic")) for n in ("etude-1", "etude-2")
    )
    assert len(one.clips) == len(two.clips) == 30
    assert (one.ratings != two.ratings).any()
