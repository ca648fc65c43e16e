"""Weights in and out: both formats round-trip, and every broken file is named for what it is."""

from __future__ import annotations

import collections
import json
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from earmark.models.base import ModelError
from earmark.models.muscall import MusCALL, checkpoint
from earmark.models.muscall.audio import mel_filter_bank
from earmark.models.muscall.checkpoint import load, load_released, released_name, save


def assert_same_weights(model, other):
    ours, theirs = model.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def released_state_dict(model):
    """The weights as the released code writes them, window and filter bank included."""
    state = {released_name(name): value for name, value in model.state_dict().items()}
    audio = model.config.audio
    return state | {
        "audio_backbone.spec.spectrogram.window": torch.hann_window(audio.n_fft),
        "audio_backbone.spec.mel_scale.fb": mel_filter_bank(audio),
    }


@pytest.fixture
def base(tiny, tiny_config):
    """The tiny model without an SSL head, as most checkpoints are."""
    model = MusCALL(replace(tiny_config, self_supervision=None)).eval()
    state = tiny.state_dict()
    model.load_state_dict({name: state[name] for name in model.state_dict()})
    return model


@pytest.fixture
def write(tmp_path):
    """Write a state dict as the released code's trainer does, and return the path."""

    def to_file(state, **others):
        path = tmp_path / "best_model.pth.tar"
        content = {"epoch": 7, "state_dict": state, "optimizer": {"state": {}, "param_groups": []}}
        torch.save(content | others, path)
        return path

    return to_file


@pytest.fixture
def released(base):
    return released_state_dict(base)


def test_a_released_checkpoint_is_loaded_and_set_to_evaluation(base, released, write):
    model = load_released(write(released), config=base.config)
    assert_same_weights(model, base)
    assert not model.training


def test_the_optimizer_and_an_ordered_state_dict_are_no_hindrance(base, released, write):
    optimizer = torch.optim.AdamW(base.parameters())
    base(torch.randn(2, 32_000), torch.tensor([[48, 49], [3, 49]])).sum().backward()
    optimizer.step()
    state = collections.OrderedDict(released_state_dict(base))
    path = write(state, optimizer=optimizer.state_dict())
    assert_same_weights(load_released(path, config=base.config), base)


def test_the_old_file_format_of_torch_is_read(base, released, tmp_path):
    path = tmp_path / "old.pth"
    torch.save({"state_dict": released}, path, _use_new_zipfile_serialization=False)
    assert_same_weights(load_released(path, config=base.config), base)


def test_released_names_as_safetensors_are_read(base, released, tmp_path):
    path = tmp_path / "converted.safetensors"
    save_file({name: value.contiguous() for name, value in released.items()}, path)
    assert_same_weights(load_released(path, config=base.config), base)


def test_half_precision_is_widened(base, released, write):
    halved = {k: v.half() if v.is_floating_point() else v for k, v in released.items()}
    model = load_released(write(halved), config=base.config)
    assert model.text_projection.weight.dtype == torch.float32
    assert torch.equal(model.text_projection.weight, base.text_projection.weight.half().float())


def test_average_pooling_is_known_by_its_names(base, write):
    config = replace(base.config, audio=replace(base.config.audio, pooling="average"))
    averaging = MusCALL(config).eval()
    state = released_state_dict(averaging)
    assert "audio_backbone.final_linear.weight" in state
    assert_same_weights(load_released(write(state), config=base.config), averaging)


def test_an_ssl_checkpoint_gives_its_projector_and_its_encoder_copy_is_ignored(tiny, write):
    state = released_state_dict(tiny)
    assert state["audio_ssl.simclr.projector.2.weight"].shape == (8, 12)
    copies = {
        name.replace("audio_backbone.", "audio_ssl.simclr.encoder."): torch.zeros_like(value)
        for name, value in state.items()
        if name.startswith("audio_backbone.")
    }
    assert_same_weights(load_released(write(state | copies), config=tiny.config), tiny)


def test_a_checkpoint_without_ssl_is_loaded_by_a_config_with_it(base, tiny, released, write):
    model = load_released(write(released), config=tiny.config)
    assert model.config.self_supervision is None
    assert_same_weights(model, base)


def test_our_own_format_brings_its_config(tiny, tmp_path, clips):
    path = tmp_path / "model.safetensors"
    save(tiny, path)
    for model in (load(path),):
        assert model.config == tiny.config
        assert_same_weights(model, tiny)
        assert not model.training
        assert torch.equal(model.encode_audio(clips), tiny.encode_audio(clips))


def test_a_model_for_inference_is_not_saved(tiny, tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(ModelError, match=r"made by for_inference\(\) is not saved"):
        save(tiny.for_inference(), path)
    assert not path.exists()


def test_load_takes_other_files_for_released_checkpoints_of_the_released_size(released, write):
    with pytest.raises(ModelError, match=r"wrong shapes|Missing"):
        load(write(released))


def test_missing_and_unexpected_names_are_listed_ten_and_counted(base, released, write):
    keys = [name for name in released if ".layer1." in name]
    for name in keys:
        released[name.replace("audio_backbone", "audio_tower")] = released.pop(name)
    with pytest.raises(ModelError) as error:
        load_released(write(released), config=base.config)
    message = str(error.value)
    n_more = len(keys) - 10
    assert f"Missing {len(keys)}: audio_backbone.layer1.0.bn1.bias, " in message
    assert f"Not expected {len(keys)}: audio_tower.layer1.0.bn1.bias, " in message
    assert message.count(f"and {n_more} more ({len(keys)} in all)") == 2
    assert message.count("layer1.") == 20


def test_weights_of_another_architecture_are_refused(base, write):
    with pytest.raises(ModelError, match=r"Not expected 2: fc\.bias, fc\.weight"):
        load_released(
            write({"fc.weight": torch.zeros(2, 2), "fc.bias": torch.zeros(2)}), config=base.config
        )


def test_another_clip_length_is_a_wrong_shape_and_the_message_says_what_to_pass(base, write):
    longer = replace(base.config, audio=replace(base.config.audio, clip_seconds=4.0))
    path = write(released_state_dict(MusCALL(longer)))
    with pytest.raises(
        ModelError, match=r"positional_embedding \(7, 128\) for \(5, 128\).*clip_sec"
    ):
        load_released(path, config=base.config)
    assert load_released(path, config=longer).config == longer


def test_another_front_end_is_refused(base, released, write):
    config = replace(base.config, audio=replace(base.config.audio, f_max=7000.0))
    with pytest.raises(ModelError, match=r"mel_scale\.fb is not that of the config's front end"):
        load_released(write(released), config=config)


def test_weights_that_are_not_finite_are_refused(base, released, write):
    released["text_projection.weight"] = released["text_projection.weight"].clone()
    released["text_projection.weight"][1, 1] = torch.nan
    with pytest.raises(ModelError, match=r"not finite: text_projection\.weight"):
        load_released(write(released), config=base.config)


@pytest.mark.parametrize("suffix", [".pth.tar", ".safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(base, released, tmp_path, suffix, kept):
    path = tmp_path / f"cut{suffix}"
    if suffix == ".safetensors":
        save(base, path)
    else:
        torch.save({"state_dict": released}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ModelError, match=r"cut.*(truncated|cannot be read|no checkpoint)"):
        load(path)


class Trap:
    """Sets a flag when it is unpickled."""

    sprung = False

    @staticmethod
    def spring():
        Trap.sprung = True

    def __reduce__(self):
        return Trap.spring, ()


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_refused_and_not_run(base, released, tmp_path, zipped):
    path = tmp_path / "trap.pth.tar"
    content = {"state_dict": released, "optimizer": Trap()}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"more than tensors and plain containers.*never run"):
        load_released(path, config=base.config)
    assert not Trap.sprung


def test_a_bare_pickle_is_refused_and_not_run(tmp_path):
    path = tmp_path / "trap.pkl"
    path.write_bytes(pickle.dumps({"state_dict": Trap()}, protocol=2))
    with pytest.raises(ModelError, match=r"trap\.pkl"):
        load_released(path)
    assert not Trap.sprung


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "found list"),
        ({"model": {}}, r"found \['model'\]"),
        ({"state_dict": [1]}, r"found \['state_dict'\]"),
        ({"state_dict": {"logit_scale": 2.0}}, "no tensors: logit_scale"),
    ],
)
def test_a_file_of_another_layout_is_named(content, message, tmp_path):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(ModelError, match=message):
        load_released(path)


@pytest.mark.parametrize("name", ["absent.pth.tar", "absent.safetensors", "."])
def test_a_missing_file_is_named(name, tmp_path):
    with pytest.raises(ModelError, match="expected a file"):
        load(tmp_path / name)


@pytest.mark.parametrize("change", [{"gain": 1}, {"audio": {"gain": 1}}, "not json"])
def test_a_config_of_another_version_is_refused(change, base, tmp_path):
    path = tmp_path / "model.safetensors"
    text = change if isinstance(change, str) else json.dumps(change)
    save_file({"a": torch.zeros(1)}, path, metadata={checkpoint._METADATA_KEY: text})
    with pytest.raises(ModelError, match="config in its metadata is not understood"):
        load(path)
