"""The whole model: its size, its vectors, and that both losses teach it."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from earmark.datasets.files.config_files import validated
from earmark.models.base import ModelError
from earmark.models.dcase.config import DCASEConfig
from earmark.models.dcase.model import DCASE
from earmark.models.dcase.text import Vocabulary
from earmark.models.muscall.config import PAPER
from earmark.models.muscall.losses import Rows, info_nce, pair_weights
from earmark.models.training.task import CrossProcess, DCASETraining


def trainable(model: DCASE) -> int:
    return sum(each.numel() for each in model.parameters() if each.requires_grad)


def test_has_as_many_parameters_to_learn_as_the_released_model(make_model):
    assert trainable(make_model()) == 732_354
    assert trainable(make_model(objective="contrastive")) == 732_355


@torch.no_grad()
def test_vectors_have_unit_norm(make_model, sound):
    model = make_model()
    audio = model.encode_audio([sound(0, 0.5), torch.zeros(44_100), sound(1, 2e-5)])
    text = model.encode_text(["slow piano", "", "nothing of this is known", "slow " * 10_000])
    for vectors in (audio, text):
        assert vectors.shape == (len(vectors), 300) and vectors.isfinite().all()
        assert torch.allclose(vectors.norm(dim=1), torch.ones(len(vectors)), atol=1e-5)
    assert model.encode_audio([]).shape == model.encode_text([]).shape == (0, 300)


@torch.no_grad()
def test_clips_alone_and_in_any_batch_have_the_same_vectors(make_model, sound):
    model = make_model()
    clips = [sound(seed, seconds) for seed, seconds in enumerate((0.5, 0.011, 1.3, 0.5))]
    together = model.encode_audio(clips)
    alone = torch.cat([model.encode_audio([clip]) for clip in clips])
    backwards = model.encode_audio(clips[::-1]).flip(0)
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together, backwards, atol=1e-5)
    stacked = model.encode_audio(torch.stack([clips[0], clips[3]]))
    assert torch.allclose(stacked, together[[0, 3]], atol=1e-5)


def test_text_is_the_mean_of_its_word_vectors(make_model):
    model = make_model()
    table = model.text_enc.word_enc["embedding"].weight
    texts = ["Slow piano", "slow zither piano", "", "zither"]
    means = [table[[1, 2]].mean(0), table[[1, 8, 2]].mean(0), table[8], table[8]]
    assert torch.allclose(model.encode_text(texts), F.normalize(torch.stack(means)), atol=1e-6)
    assert model.look_up(texts).unknown == ((), ("zither",), (), ("zither",))


def test_words_that_cancel_out_are_an_error():
    table = torch.zeros(4, 300)
    table[1], table[2], table[3] = 1.0, -1.0, 2.0
    model = DCASE(table, Vocabulary(["<pad>", "up", "down", "<UNK>"]))
    with pytest.raises(ModelError, match=r"text 1 'down up': its word vectors add up to 0"):
        model.encode_text(["up", "down up"])


def test_without_words_audio_is_encoded_and_text_refused(sound):
    model = DCASE(torch.randn(5, 300), None).eval()
    assert model.encode_audio([sound(0, 0.2)]).shape == (1, 300)
    with pytest.raises(ModelError, match=r"loaded without the words.*pass vocabulary="):
        model.encode_text(["slow"])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((9, 200), r"shape \(9, 200\), expected \(n_words, 300\)"),
        ((7, 300), "has 9 words .* 7 rows"),
    ],
)
def test_names_vectors_that_do_not_fit(words, shape, message):
    with pytest.raises(ModelError, match=message):
        DCASE(torch.ones(shape), Vocabulary(words))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimension": 301}, "dimension is 301, expected a multiple of 2"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        (
            {"objective": "hinge"},
            "objective is 'hinge', expected 'triplet', 'contr",
        ),
        ({"margin": 0.0}, "margin is 0.0"),
        ({"temperature": -1.0}, "temperature is -1.0"),
    ],
)
def test_names_options_that_cannot_be(options, message):
    with pytest.raises(ModelError, match=message):
        validated(DCASEConfig, options, of="DCASE", error=ModelError)


def loss_of(model, audio, text, *, clips=None, seed=0, sentences=None):
    """The loss as training computes it, on one process."""
    pair_ids = {"clips": torch.arange(len(audio)) if clips is None else torch.tensor(clips)}
    if sentences is not None:
        pair_ids["sentences"] = sentences
    alone = CrossProcess(lambda rows: rows, 0, torch.Generator().manual_seed(seed))
    features = {"audio": audio, "text": text}
    return DCASETraining(model).loss(features, pair_ids, alone)


def test_the_triplet_loss_follows_its_generator(make_model):
    model = make_model()
    audio, text = torch.randn(2, 6, 300)
    values = [loss_of(model, audio, text, seed=seed).item() for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def test_dcase_cl_is_muscalls_own_loss_on_these_encoders(make_model):
    model = make_model(objective="muscall")
    audio, text = (F.normalize(torch.randn(6, 300), dim=1) for _ in range(2))
    sentences = F.normalize(torch.rand(6, 5), dim=1)
    expected = info_nce(
        Rows.alone(audio),
        Rows.alone(text),
        scale=1 / 0.07,
        combination="sum",
        weights=pair_weights(sentences @ sentences.T, PAPER.loss),
    )
    torch.testing.assert_close(loss_of(model, audio, text, sentences=sentences), expected)
    with pytest.raises(ModelError, match="needs a sentence encoder"):
        loss_of(model, audio, text)
    plain = loss_of(make_model(objective="contrastive"), audio, text)
    equal = loss_of(model, audio, text, sentences=torch.ones(6, 1))
    torch.testing.assert_close(equal, 2 * plain)  # both directions summed, equal weights


def test_the_temperature_is_learned_and_never_below_a_hundredth(make_model):
    model = make_model(objective="contrastive")
    assert model.logit_scale.exp().item() == pytest.approx(1 / 0.07)
    vectors = F.normalize(torch.randn(4, 300), dim=1)
    loss_of(model, vectors, vectors).backward()
    assert model.logit_scale.grad.abs() > 0
    model.logit_scale.data.fill_(9.0)
    model.clamp_temperature()
    assert model.logit_scale.item() == pytest.approx(math.log(100))
    make_model().clamp_temperature()


@pytest.mark.parametrize("objective", ["triplet", "contrastive"])
def test_learns_to_tell_low_from_high(make_model, sound, objective):
    model = make_model(objective=objective).train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5  # a short training: the statistics must keep up
    torch.manual_seed(0)
    clips = [sound(seed, 0.2 + 0.02 * seed, 200.0 if seed % 2 else 3000.0) for seed in range(8)]
    texts = ["slow guitar" if seed % 2 else "fast piano" for seed in range(8)]
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-3)
    for step in range(15):
        audio, text = model.encode_audio(clips), model.encode_text(texts)
        loss = loss_of(model, audio, text, clips=[seed % 2 for seed in range(8)], seed=step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.clamp_temperature()
    model.eval()
    with torch.no_grad():
        scores = (
            model.encode_audio([sound(90, 0.3, 3000.0), sound(91, 0.3, 200.0)])
            @ model.encode_text(["fast piano", "slow guitar"]).T
        )
    assert scores.argmax(dim=1).tolist() == [0, 1]
