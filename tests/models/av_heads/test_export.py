"""Exported heads: the graph run by another implementation, and Essentia's metadata."""

import json

import numpy as np
import pytest
from av_worlds import BandPatches, rated_world

from earmark.models.av_heads.adapter import put_on
from earmark.models.av_heads.export import metadata, onnx_model, write_onnx
from earmark.models.av_heads.head import TrainedHead
from earmark.models.av_heads.rated import MLPConfig, fit_mlp, fit_ridge
from earmark.models.base import ModelError
from earmark.models.support.weights import tower_of


def model_of(kind="ridge", *, scale=(1.0, 9.0)):
    embedder = BandPatches()
    features, targets = rated_world(60, embedder.dimension)
    config = MLPConfig(hidden_units=7, most_epochs=5)
    fitted = (
        fit_ridge(features, targets, seed=0)
        if kind == "ridge"
        else fit_mlp(features, targets, seed=0, config=config)
    )
    trained = TrainedHead(
        name=f"invented-{kind}",
        head=fitted.head,
        embedder=tower_of(embedder.card, loader="bands", options={}),
        datasets=("invented",),
        licence="CC0-1.0",
        scale=scale,
        facts=fitted.facts,
    )
    return put_on(trained, embedder), features


@pytest.mark.parametrize("kind", ["ridge", "mlp"])
def test_onnx_gives_valence_then_arousal_of_the_head(tmp_path, kind):
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    model, features = model_of(kind)
    graph, _ = write_onnx(model, tmp_path / "head", version="1")
    session = ReferenceEvaluator(onnx.load(graph))
    assert (session.input_names, session.output_names) == (
        ["model/Placeholder"], ["model/Identity"],
    )  # fmt: skip
    (found,) = session.run(None, {"model/Placeholder": features.astype(np.float32)})
    expected = model.trained.head(features)
    np.testing.assert_allclose(found[:, ::-1], expected, rtol=0, atol=2e-5)
    assert not np.allclose(found, expected, atol=0.1)


def test_the_graph_takes_any_number_of_rows_of_the_heads_dimension():
    pytest.importorskip("onnx")
    graph = onnx_model(model_of()[0].trained.head).graph
    (given,) = graph.input
    sizes = [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim]
    assert sizes == ["n", 16]


def test_metadata_has_the_keys_of_essentias_and_the_order_of_the_columns(tmp_path):
    pytest.importorskip("onnx")
    model, _ = model_of()
    _, path = write_onnx(model, tmp_path / "head", version="3", description="Invented.")
    told = json.loads(path.read_text())
    assert told == metadata(model, version="3", description="Invented.")
    assert told["name"] == "invented-ridge"
    assert told["classes"] == ["valence", "arousal"]
    (given,), (found,) = told["schema"]["inputs"], told["schema"]["outputs"]
    assert (given["name"], given["shape"]) == ("model/Placeholder", [16])
    assert (found["name"], found["shape"]) == ("model/Identity", [2])
    assert found["output_purpose"] == "predictions"
    assert "(valence, arousal) pairs, scale 1 to 9" in found["description"]
    assert "mean embedding" in found["description"]
    assert told["inference"]["embedding_model"]["model_name"] == "bands"
    assert told["earmark"]["weights_digest"] == model.card.weights_digest


def test_a_head_without_scale_says_so():
    told = metadata(model_of(scale=None)[0], version="1")
    assert "no scale" in told["schema"]["outputs"][0]["description"]
    assert told["earmark"]["scale"] is None


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ModelError, match=r"pip install 'onnx>="):
        onnx_model(model_of()[0].trained.head)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    pytest.importorskip("onnx")
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        write_onnx(model_of()[0], tmp_path / "file" / "head", version="1")
