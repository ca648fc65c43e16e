"""Weights files and cards: what comes back, what decides the digest, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from av_worlds import rated_world
from safetensors.numpy import load_file, save_file

from earmark.models.av_heads.head import Head, Hidden, TrainedHead, load_head, save_head
from earmark.models.av_heads.rated import MLPConfig, fit_mlp, fit_ridge
from earmark.models.base import ModelError
from earmark.models.support.weights import Tower

TOWER = Tower("random", {"seed": 0}, "random-512d-seed0", "1", "d" * 64)


def trained(kind="ridge"):
    features, targets = rated_world(40, 3)
    if kind == "ridge":
        fitted = fit_ridge(features, targets, seed=0)
    else:
        config = MLPConfig(hidden_units=5, most_epochs=3)
        fitted = fit_mlp(features, targets, seed=0, config=config)
    return TrainedHead(
        name="invented-ridge",
        head=fitted.head,
        embedder=TOWER,
        datasets=("invented",),
        licence="CC0-1.0",
        scale=(1.0, 9.0),
        citation="@misc{invented}",
        facts=fitted.facts,
    )


@pytest.mark.parametrize("kind", ["ridge", "mlp"])
def test_what_is_written_comes_back(tmp_path, kind):
    one = trained(kind)
    save_head(one, tmp_path / "head.safetensors")
    back = load_head(tmp_path / "head.safetensors")
    for name, array in one.head.arrays().items():
        np.testing.assert_array_equal(back.head.arrays()[name], array)
    assert back.digest == one.digest
    assert replace(back, head=one.head, facts={}) == replace(one, facts={})
    assert dict(back.facts) == dict(one.facts)


@pytest.mark.parametrize(
    ("kind", "hidden"), [("ridge", 0), ("mlp", 3 * 5 + 5 + 5 * 2)], ids=["ridge", "mlp"]
)
def test_the_numbers_of_a_head_are_counted(kind, hidden):
    standardisation, linear = 3 + 3, 3 * 2 + 2
    assert trained(kind).n_parameters == standardisation + linear + hidden


def test_a_head_without_scale_comes_back_without_one(tmp_path):
    save_head(replace(trained(), scale=None), tmp_path / "head.safetensors")
    assert load_head(tmp_path / "head.safetensors").scale is None


def test_the_bytes_are_decided_by_what_was_trained(tmp_path):
    for name in ("one", "two"):
        save_head(trained(), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_digest_is_that_of_the_numbers():
    one = trained()
    other = replace(one, head=replace(one.head, bias=one.head.bias + 1e-12))
    assert one.digest != other.digest
    assert one.digest == replace(one, name="otherwise").digest


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere.safetensors is no file"):
        load_head(tmp_path / "nowhere.safetensors")


def test_a_damaged_file_is_named(tmp_path):
    save_head(trained(), tmp_path / "head")
    content = (tmp_path / "head").read_bytes()
    (tmp_path / "head").write_bytes(content[:-9])
    with pytest.raises(ModelError, match="head cannot be read as safetensors"):
        load_head(tmp_path / "head")


def test_other_weights_are_no_head(tmp_path):
    save_file({"weight": np.zeros(3)}, tmp_path / "other")
    with pytest.raises(ModelError, match="other holds no arousal/valence head, but other weights"):
        load_head(tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"linear": np.zeros((4, 2))}, r"linear has shape \(4, 2\), expected \(3, 2\)"),
        ({"linear": np.full((3, 2), np.nan)}, "linear has values that are not finite"),
        ({"scale": np.array([1.0, 0.0, 1.0])}, "scale has values that are not above 0"),
        ({"extra": np.zeros(1)}, "unexpected keyword argument 'extra'"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path, change, told):
    from safetensors import safe_open

    path = tmp_path / "head"
    save_head(trained(), path)
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    save_file(load_file(path) | change, path, metadata=metadata)
    with pytest.raises(ModelError, match=told):
        load_head(path)


def test_a_missing_tensor_is_an_error(tmp_path):
    path = tmp_path / "head"
    save_head(trained(), path)
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    save_file({k: v for k, v in load_file(path).items() if k != "bias"}, path, metadata=metadata)
    with pytest.raises(ModelError, match="bias"):
        load_head(path)


def test_a_place_that_cannot_be_written_and_a_fact_that_is_none_are_refused(tmp_path):
    with pytest.raises(ModelError, match="cannot be written"):
        save_head(trained(), tmp_path / "no folder" / "head")
    with pytest.raises(ModelError, match="cannot be written"):
        save_head(replace(trained(), facts={"error": float("nan")}), tmp_path / "head")
    assert not (tmp_path / "head").exists()


def test_a_hidden_layer_that_does_not_fit_is_refused():
    layer = Hidden(np.zeros((3, 4)), np.zeros(4), np.zeros((5, 2)))
    with pytest.raises(ModelError, match=r"hidden.out has shape \(5, 2\), expected \(4, 2\)"):
        Head(np.zeros(3), np.ones(3), np.zeros((3, 2)), np.zeros(2), layer)
