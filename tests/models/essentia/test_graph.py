"""Reading graphs without TensorFlow, and choosing a backbone by what is read."""

import sys
from importlib import metadata

import pytest
from frozen_graphs import (
    MUSICNN,
    node,
    write_backbone,
    write_first_generation,
    write_second_generation,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.models.base import ModelError
from earmark.models.essentia import library as essentia_library
from earmark.models.essentia.av import essentia_av
from earmark.models.essentia.backbones import SPECS, spec_of
from earmark.models.essentia.library import read_graph


def test_a_graph_gives_names_operations_and_shapes_of_inputs(tmp_path):
    graph = read_graph(write_first_generation(tmp_path / "head.pb"))
    assert graph.nodes["flatten_in_input"].op == "Placeholder"
    assert graph.nodes["flatten_in_input"].shape == (-1, 1, 200)
    assert graph.nodes["dense_out"].op == "BiasAdd"
    assert graph.has("dense_out", "flatten_in_input:0")
    assert not graph.has("dense_out", "model/Identity")


@pytest.mark.parametrize(
    ("write", "expected"),
    [(write_first_generation, 200 * 2 + 2), (write_second_generation, 200 * 8 + 8 + 8 * 2 + 2)],
)
def test_the_parameters_of_a_graph_are_its_constant_arrays_of_floats(tmp_path, write, expected):
    graph = read_graph(write(tmp_path / "head.pb"))
    assert (graph.n_parameters, graph.dtype) == (expected, "float32")


@pytest.mark.parametrize("op", ["WriteFile", "PyFunc", "EagerPyFunc", "PrintV2"])
def test_a_graph_that_would_act_on_files_is_refused_before_tensorflow_sees_it(tmp_path, op):
    path = write_first_generation(tmp_path / "head.pb")
    read_graph(path)
    path.write_bytes(path.read_bytes() + node("kind", op))
    with pytest.raises(ModelError, match=f"head.pb: the graph names .*{op.removeprefix('Eager')}"):
        read_graph(path)


@given(st.floats(0, 0.999))
@settings(max_examples=50, deadline=None)
def test_a_cut_graph_is_refused_by_name_or_lacks_its_last_node(tmp_path_factory, share):
    path = write_first_generation(tmp_path_factory.mktemp("cut") / "head.pb")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    try:
        assert not read_graph(path).has("dense_out")
    except ModelError as error:
        assert str(path) in str(error)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_a_graph_or_a_model_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "any.pb"
    path.write_bytes(data)
    try:
        assert read_graph(path).nodes
    except ModelError as error:
        assert "download them again" in str(error)


def test_a_file_that_is_no_graph_is_named(tmp_path):
    path = tmp_path / "page.pb"
    path.write_text("<!DOCTYPE html><title>404 Not Found</title>")
    with pytest.raises(ModelError, match=r"page.pb \(43 bytes\) are not a frozen TensorFlow graph"):
        read_graph(path)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="it holds no node"):
        read_graph(path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_graph(tmp_path / "none.pb")


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_backbone_is_known_by_its_nodes_not_by_its_name(tmp_path, spec):
    assert spec_of(read_graph(write_backbone(tmp_path / "some name.pb", spec))) is spec


def test_a_head_is_no_backbone_though_it_shares_its_names(tmp_path):
    head = read_graph(write_second_generation(tmp_path / "head.pb"))
    assert head.has(MUSICNN.input, MUSICNN.output)
    with pytest.raises(ModelError, match=r"inputs are model/Placeholder \[-1, 200\]"):
        spec_of(head)


def test_without_essentia_the_mend_is_named(weights, monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    essentia_library._essentia.cache_clear()
    monkeypatch.setattr(essentia_library.metadata, "version", absent)
    monkeypatch.setitem(sys.modules, "essentia", None)
    with pytest.raises(ModelError, match=r"pip install 'essentia-tensorflow>=.*\(AGPL-3.0\)"):
        essentia_av(head="affine", backbone="backbone", weights=str(weights))
    essentia_library._essentia.cache_clear()
