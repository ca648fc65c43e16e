"""Arousal and valence from two pairs of prompts, on an embedder whose space is known."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.datasets.audio import Waveform
from earmark.models.adapters.references import RandomModel
from earmark.models.adapters.text_axis import TextAxisAV
from earmark.models.base import ArousalValenceModel, ModelError
from earmark.models.registry import MODELS

PROMPTS = {"loud": [0, 1, 0], "quiet": [0, -0.6, 0.8], "happy": [1, 0, 0], "sad": [-1, 0, 0]}


class Plane(RandomModel):
    """A clip's vector is its first three samples."""

    def __init__(self):
        super().__init__(dimension=3)

    def embed_audio(self, clips):
        return np.array([clip.samples[:3] for clip in clips], np.float32).reshape(-1, 3)

    def embed_text(self, texts):
        return np.array([PROMPTS[text] for text in texts], np.float32)


def axis(**prompts) -> TextAxisAV:
    return TextAxisAV(
        Plane(), **{"arousal": ("loud", "quiet"), "valence": ("happy", "sad")} | prompts
    )


def clip(*samples: float) -> Waveform:
    return Waveform(np.array(samples, np.float32), 8000)


def test_is_the_projection_on_the_difference_of_two_prompts():
    model = axis()
    assert isinstance(model, ArousalValenceModel)
    found = model.predict_av([clip(1, 0, 0), clip(0, 1, 0), clip(0, 0, 1), clip(-0.6, 0.8, 0)])
    # loud - quiet is (0, 1.6, -0.8), of length 0.8 * sqrt(5); happy - sad is (2, 0, 0).
    up, down = 2 / 5**0.5, -1 / 5**0.5
    assert found == pytest.approx(
        np.array([[0, 1], [up, 0], [down, 0], [0.8 * up, -0.6]]), abs=1e-6
    )
    assert found.dtype == np.float32
    assert model.predict_av([]).shape == (0, 2)


def test_arousal_and_valence_change_places_with_their_prompts():
    swapped = axis(arousal=("happy", "sad"), valence=("loud", "quiet"))
    clips = [clip(0.6, 0.8, 0), clip(0, 0, 1)]
    assert np.array_equal(swapped.predict_av(clips), axis().predict_av(clips)[:, ::-1])
    turned = axis(arousal=("quiet", "loud"))
    assert np.array_equal(turned.predict_av(clips)[:, 0], -axis().predict_av(clips)[:, 0])


def test_a_clip_does_not_depend_on_its_batch(unlike):
    model = TextAxisAV(RandomModel(dimension=64))
    clips = unlike(8000, (0.1,) * 7)
    together = model.predict_av(clips)
    alone = np.concatenate([model.predict_av([one]) for one in clips])
    assert np.array_equal(together, alone)
    assert np.abs(together).max() <= 1


def test_the_card_states_the_prompts(card_is_complete):
    one = axis().card
    card_is_complete(one)
    assert one == axis().card and one.id == "random-3d-seed0+text-axis"
    assert one.preprocessing["arousal_high"] == "loud" and one.preprocessing["valence_low"] == "sad"
    assert any(note.startswith("Arousal, valence") for note in one.notes) and one.av_scale is None
    assert one != axis(valence=("sad", "happy")).card


def test_is_made_from_a_suite():
    model = MODELS.create(
        "text-axis", {"model": "random", "seed": 4, "dimension": 8, "arousal": ["loud", "quiet"]}
    )
    assert model.embedder.card == RandomModel(seed=4, dimension=8).card
    assert model.prompts["arousal"] == ("loud", "quiet")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "rondom"}, "unknown model 'rondom'. Did you mean 'random'"),
        (
            {"model": "random", "sead": 1},
            "model 'random' has no option 'sead'. Did you mean 'seed'",
        ),
        ({"model": "random", "arousal": ["loud"]}, "arousal needs two prompts, high and low"),
        ({"model": "random", "arousal": "loud"}, "arousal needs two prompts, high and low"),
        ({"model": "random", "valence": ["a", "a"]}, "valence: both prompts are 'a'"),
        ({"model": "earmark.models.support.tokenizers:BPETokenizer.train"}, "has no|cannot import"),
    ],
)
def test_names_the_option_that_is_wrong(options, message):
    with pytest.raises(ValueError, match=message):
        MODELS.create("text-axis", options)


def test_prompts_with_one_vector_make_no_axis():
    class Collapsed(Plane):
        def embed_text(self, texts):
            return np.tile(np.array([[1, 0, 0]], np.float32), (len(texts), 1))

    with pytest.raises(
        ModelError, match=r"gives the arousal prompts .* one vector: there is no axis"
    ):
        TextAxisAV(Collapsed()).predict_av([clip(1, 0, 0)])


def test_vectors_of_another_space_are_refused():
    with pytest.raises(ModelError, match=r"vectors have shape \(2, 5\), expected \(n_clips, 3\)"):
        axis().predict_av_from_vectors(np.ones((2, 5), np.float32))
