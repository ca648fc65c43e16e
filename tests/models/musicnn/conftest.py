"""Untrained networks of musicnn, through checkpoints that the tests write."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import tensor_bundles

from earmark.models.musicnn.checkpoints import converted

VARIABLES = {
    "MSD_musicnn": tensor_bundles.musicnn_variables,
    "MTT_vgg": tensor_bundles.vgg_variables,
}


@pytest.fixture(scope="session", params=VARIABLES)
def untrained(request, tmp_path_factory):
    """A converted checkpoint with drawn weights: its name, file, and TensorFlow's variables."""
    name = request.param
    variables = VARIABLES[name]()
    index, data = tensor_bundles.bundle(variables)
    files = {
        f"musicnn/{name}/.index": index,
        f"musicnn/{name}/.data-00000-of-00001": data,
    }
    path = tmp_path_factory.mktemp("musicnn") / f"{name}.safetensors"
    path.write_bytes(converted(files.__getitem__, f"musicnn/{name}/"))
    return SimpleNamespace(name=name, path=path, variables=variables)
