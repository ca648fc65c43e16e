"""Presets, TOML and its errors."""

import dataclasses
import math
import re
from dataclasses import replace

import pytest

from earmark.models.base import ModelError
from earmark.models.muscall.audio import AudioEncoder
from earmark.models.muscall.config import PAPER, PAPER_SSL, RELEASED, LossConfig
from earmark.models.training.config import (
    NONE,
    TRAINING,
    RunConfig,
    differences,
    doubts,
    load_config,
    parse_config,
    parse_plain,
    plain,
    preset,
    preset_names,
)
from earmark.models.training.task import build


def test_paper_is_the_recipe_of_the_paper():
    config = preset("paper")
    assert config.muscall == PAPER
    # Equation 3 as printed leaves one pair of a batch.
    assert PAPER.loss == LossConfig(combination="sum", weighting="released", kappa=0.01)
    assert PAPER.audio.width == 16
    assert config.data.crop_seconds == 20
    optimiser = config.optimiser
    assert (optimiser.name, optimiser.learning_rate, optimiser.weight_decay) == (
        "adamw",
        5e-5,
        0.2,
    )
    assert doubts(config) == []
    assert (config.schedule.name, config.schedule.half_period) == ("cosine", 1)
    training = config.training
    assert (training.batch_size, training.epochs, training.best_by) == (256, 150, "R@10")
    assert config.augmentation == TRAINING
    assert (config.augmentation.p_noise, config.augmentation.p_pitch_shift) == (0.3, 0.4)


def test_paper_ssl_hears_ten_seconds():
    config = preset("paper-ssl")
    assert config.muscall.self_supervision == PAPER_SSL
    assert config.data.crop_seconds == 10
    assert config.optimiser == preset("paper").optimiser


def test_released_is_the_recipe_of_the_code():
    config = preset("released")
    assert config.muscall == RELEASED
    assert config.optimiser == preset("paper").optimiser
    assert config.optimiser.betas == (0.9, 0.98)
    assert config.optimiser.eps == 1e-6
    assert config.schedule.half_period == 0.1
    assert config.schedule.warmup_steps == 0


def test_dcase_is_the_baselines_recipe():
    config = preset("dcase")
    assert config.model == "dcase"
    assert config.dcase.objective == "triplet"
    assert config.optimiser.name == "adam"
    assert config.optimiser.learning_rate == 1e-3
    assert config.optimiser.weight_decay == 0
    assert config.training.batch_size == 32
    schedule = config.schedule
    assert (schedule.name, schedule.factor, schedule.patience) == ("plateau", 0.1, 5)
    assert config.augmentation == NONE
    front_end = config.dcase.front_end
    assert front_end.win_length / front_end.sample_rate == 0.04
    assert front_end.hop_length / front_end.sample_rate == 0.02
    assert config.text.word_vectors == "train"


def test_dcase_cl_has_the_loss_of_muscall():
    config = preset("dcase-cl")
    assert config.dcase.objective == "muscall"
    assert preset("paper").muscall.loss == config.dcase.contrastive
    assert replace(config, dcase=preset("dcase").dcase) == preset("dcase")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"preset": "paper", "optimiser": {"name": "adam"}},
            r"'adam' adds .* 0\.2 .* \(L2",
        ),
        ({"muscall": {"loss": {"weighting": "paper"}}}, r"'paper' with kappa 0\.005"),
        ({"preset": "dcase"}, None),
        ({"preset": "tiny", "optimiser": {"name": "adam", "weight_decay": 0.0}}, None),
    ],
)
def test_what_keeps_a_model_from_learning_is_said(changes, said):
    found = doubts(parse_config(changes))
    assert len(found) == (said is not None)
    assert said is None or re.search(said, found[0])


def test_no_preset_adds_its_decay_to_the_gradient():
    decays = {name: preset(name).optimiser for name in preset_names()}
    assert not [n for n, each in decays.items() if each.name == "adam" and each.weight_decay]


def test_the_width_of_the_resnet_can_be_chosen():
    wide = parse_config({"preset": "paper", "muscall": {"audio": {"width": 64}}}).muscall.audio
    counts = [
        sum(parameter.numel() for parameter in AudioEncoder(each).parameters())
        for each in (PAPER.audio, wide)
    ]
    assert counts == [2_439_176, 36_797_984]


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_survives_as_plain_values(name):
    config = preset(name)
    assert parse_plain(plain(config), of="a checkpoint") == config
    assert differences(config, config) == []


def test_a_file_is_laid_over_its_preset(tmp_path):
    (tmp_path / "run.toml").write_text(
        'preset = "tiny"\nseed = 7\n[data]\ntrain = ["a"]\nvalid = ["b", "/c"]\n'
        "[muscall.audio]\nwidth = 4\n[muscall.self_supervision]\n"
    )
    config = load_config(tmp_path / "run.toml")
    tiny = preset("tiny")
    assert config.seed == 7
    assert config.data.train == (str(tmp_path / "a"),)
    assert config.data.valid == (str(tmp_path / "b"), "/c")
    assert config.muscall.audio == dataclasses.replace(tiny.muscall.audio, width=4)
    assert config.muscall.self_supervision == PAPER_SSL
    assert config.optimiser == tiny.optimiser


def test_word_vectors_lie_beside_the_file(tmp_path):
    (tmp_path / "run.toml").write_text(
        'preset = "dcase"\n[data]\ntrain = ["a"]\nvalid = ["b"]\n[text]\nword_vectors = "w.bin"\n'
    )
    assert load_config(tmp_path / "run.toml").text.word_vectors == str(tmp_path / "w.bin")


def test_none_is_written_as_a_word():
    assert parse_config({"preset": "paper"}).muscall.loss.weighting == "released"
    changed = parse_config({"preset": "paper", "muscall": {"loss": {"weighting": "none"}}})
    assert changed.muscall.loss.weighting is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"optimizer": {}}, r"unknown key 'optimizer'\. Did you mean 'optimiser'\?"),
        ({"training": {"batchsize": 8}}, r"unknown key 'training\.batchsize'\. .*'batch_size'"),
        ({"muscall": {"audio": {"widht": 8}}}, r"'muscall\.audio\.widht'\. .*'width'"),
        ({"muscall": {"self_supervision": {"wieght": 1}}}, r"wieght'\. Did you mean 'weight'"),
        ({"preset": "tiny", "dcase": {}}, r"\[dcase\] is of another model than model = 'muscall'"),
        ({"preset": "tiny", "model": "dcase"}, r"\[muscall\] is of another model"),
        ({"preset": "tinny"}, r"no preset 'tinny'\. Did you mean 'tiny'\?"),
        ({"preset": "zzz"}, r"no preset 'zzz'\. Known: .*paper"),
        ({"muscall": {"audio": {"clip_seconds": 5}}}, "it follows from data.crop_seconds"),
        ({"muscall": {"text": {"vocabulary": 5}}}, "it follows from text.tokenizer"),
        ({"training": {"precision": "fp8"}}, "training.precision is 'fp8', expected .*'bf16'"),
        ({"training": {"batch_size": 1}}, "batch_size is 1, expected 2 or more"),
        ({"training": {"epochs": 0}}, "training.epochs is 0, expected 1 or more"),
        ({"training": {"micro_batch_size": -4}}, "micro_batch_size is -4"),
        ({"schedule": {"half_period": 0}}, "half_period is 0"),
        ({"muscall": {"audio": {"width": 3}}}, "width is 3, expected a multiple of 2"),
        ({"data": {"train": "a folder"}}, "data.train is .*tuple"),
        (
            {"optimiser": {"learning_rate": "fast"}},
            "learning_rate is 'fast', expected .*number",
        ),
        ({"optimiser": 5}, "optimiser is 5, expected a table"),
    ],
)
def test_a_wrong_key_or_value_is_named(content, message):
    with pytest.raises(ModelError, match=message):
        parse_config(content)


def test_a_file_must_be_there_be_toml_and_name_its_data(tmp_path):
    path = tmp_path / "run.toml"
    with pytest.raises(ModelError, match="No such file"):
        load_config(path)
    path.write_text("preset = ")
    with pytest.raises(ModelError, match="is not TOML"):
        load_config(path)
    path.write_text('\ufeffpreset = "tiny"')  # a byte order mark, as Notepad writes it
    with pytest.raises(ModelError, match=r"data\.train and data\.valid must name folders"):
        load_config(path)


def test_differences_are_named_but_for_what_may_differ():
    config = RunConfig()
    other = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, train=("elsewhere",), workers=7),
        optimiser=dataclasses.replace(config.optimiser, learning_rate=1.0),
        muscall=dataclasses.replace(config.muscall, self_supervision=PAPER_SSL),
    )
    found = differences(other, config)
    assert "optimiser.learning_rate is 1.0, there 5e-05" in found
    assert any(text.startswith("muscall.self_supervision") for text in found)
    assert not any(text.startswith("data.") for text in found)
    assert math.isclose(config.optimiser.learning_rate, 5e-5)


def test_a_text_encoder_may_begin_as_clips():
    config = parse_config(
        {"preset": "tiny", "text": {"initialisation": "clip"}, "muscall": {"text": {"width": 64}}}
    )
    captions = ["a slow piano piece", "a fast guitar piece", "a slow guitar song"]
    encoder = build(config, captions)[0].model.text_encoder
    assert encoder.token_embedding.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert encoder.position_embedding.weight.std().item() == pytest.approx(0.01, rel=0.1)
    block = encoder.blocks[0]
    assert block.attention.qkv.weight.std().item() == pytest.approx(64**-0.5, rel=0.1)
    assert block.feed_forward[-1].weight.std().item() == pytest.approx(
        (2 * 2 * 64) ** -0.5, rel=0.1
    )
    pytorch = dataclasses.replace(
        config, text=dataclasses.replace(config.text, initialisation="pytorch")
    )
    other = build(pytorch, captions)[0].model.text_encoder
    assert other.token_embedding.weight.std().item() == pytest.approx(1, rel=0.1)
