"""A trained head for other programs: an ONNX graph, and metadata as Essentia's models have it.

Names of inputs and outputs and their order, (valence, arousal), are those of the second generation
of Essentia's heads, so that a program that runs those runs this one. The graph is written with the
package ``onnx`` alone: a head is a handful of operators, and PyTorch's exporter, which would need
two more packages, has nothing to trace in it.

References
----------
.. [1] https://essentia.upf.edu/models.html: the metadata files beside each model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from earmark.datasets.files.atomic_files import write_whole
from earmark.models.av_heads.adapter import AVHead
from earmark.models.av_heads.head import Head
from earmark.models.base import ModelError
from earmark.models.support.adapter import require

INPUT, OUTPUT = "model/Placeholder", "model/Identity"
CLASSES = ("valence", "arousal")
OPSET, IR_VERSION = 13, 8
"""Old enough for every runtime in use."""


def write_onnx(
    model: AVHead, path: Path, *, version: str, description: str = ""
) -> tuple[Path, Path]:
    """Write ``path`` with the suffixes ``.onnx`` and ``.json``, and return both paths.

    Raises
    ------
    ModelError
        If a file cannot be written, or the package onnx is not installed.
    """
    graph = onnx_model(model.trained.head).SerializeToString()
    told = metadata(model, version=version, description=description)
    text = json.dumps(told, indent=4, ensure_ascii=False) + "\n"
    paths = path.with_name(f"{path.name}.onnx"), path.with_name(f"{path.name}.json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for one, content in zip(paths, (graph, text.encode()), strict=True):
            write_whole(one, content)
    except OSError as error:
        raise ModelError(f"head {model.trained.name} cannot be written: {error}") from error
    return paths


def onnx_model(head: Head) -> Any:
    """Return an ``onnx.ModelProto`` from embeddings to (valence, arousal), in float32.

    Shapes are ``(n, dimension)`` and ``(n, 2)``.

    Raises
    ------
    ModelError
        If the package onnx is not installed.
    """
    onnx = require("onnx", extra="onnx", of="the export of a head")
    make = onnx.helper
    constants: dict[str, Any] = {
        "mean": head.mean,
        "scale": head.scale,
        "linear": head.linear[:, ::-1],
        "bias": head.bias[::-1],
    }
    nodes = [
        make.make_node("Sub", [INPUT, "mean"], ["centred"]),
        make.make_node("Div", ["centred", "scale"], ["z"]),
        make.make_node("MatMul", ["z", "linear"], ["product"]),
    ]
    last = "product"
    if head.hidden is not None:
        constants |= {
            "hidden.weights": head.hidden.weights,
            "hidden.bias": head.hidden.bias,
            "hidden.out": head.hidden.out[:, ::-1],
        }
        nodes += [
            make.make_node("MatMul", ["z", "hidden.weights"], ["hidden.product"]),
            make.make_node("Add", ["hidden.product", "hidden.bias"], ["hidden.sum"]),
            make.make_node("Relu", ["hidden.sum"], ["hidden"]),
            make.make_node("MatMul", ["hidden", "hidden.out"], ["hidden.value"]),
            make.make_node("Add", [last, "hidden.value"], ["both"]),
        ]
        last = "both"
    nodes.append(make.make_node("Add", [last, "bias"], [OUTPUT]))
    floats = onnx.TensorProto.FLOAT
    graph = make.make_graph(
        nodes,
        "arousal-valence head",
        [make.make_tensor_value_info(INPUT, floats, ["n", head.dimension])],
        [make.make_tensor_value_info(OUTPUT, floats, ["n", len(CLASSES)])],
        [
            onnx.numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name)
            for name, value in constants.items()
        ],
    )
    model = make.make_model(
        graph, opset_imports=[make.make_opsetid("", OPSET)], producer_name="earmark"
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


def metadata(model: AVHead, *, version: str, description: str = "") -> dict[str, Any]:
    """Return what Essentia's metadata files say of a model, of this one.

    What is not known of a head (a link, an author) is left out; what Essentia has no key for
    (licence, digests, the scale, the training) stands under ``earmark``.
    """
    trained, card, embedder = model.trained, model.card, model.embedder.card
    reads = str(card.preprocessing["head_reads"])
    scale = "no scale: values can be ranked alone"
    if trained.scale is not None:
        scale = f"scale {trained.scale[0]:g} to {trained.scale[1]:g}"
    return {
        "name": trained.name,
        "type": "regression",
        "version": version,
        "description": description or f"Arousal and valence from {embedder.id} embeddings.",
        "framework": "onnx",
        "framework_version": f"opset {OPSET}",
        "classes": list(CLASSES),
        "model_types": ["onnx"],
        "dataset": {"name": ", ".join(trained.datasets)},
        "schema": {
            "inputs": [{"name": INPUT, "type": "float", "shape": [trained.head.dimension]}],
            "outputs": [
                {
                    "name": OUTPUT,
                    "type": "float",
                    "op": "Linear",
                    "shape": [len(CLASSES)],
                    "description": f"(valence, arousal) pairs, {scale}; to be taken at {reads}",
                    "output_purpose": "predictions",
                }
            ],
        },
        "citation": card.citation,
        "inference": {
            **_inference(card.preprocessing.get("sample_rate")),
            "algorithm": "TensorflowPredict2D",
            "embedding_model": {
                "algorithm": str(card.preprocessing.get("features", "")),
                "model_name": embedder.id,
            },
        },
        "earmark": {
            "licence": card.licence,
            "weights_digest": card.weights_digest,
            "embedder_sha256": embedder.weights_digest,
            "scale": list(trained.scale) if trained.scale else None,
            "training_datasets": list(card.training_datasets),
            "training": dict(trained.facts),
        },
    }


def _inference(sample_rate: object) -> dict[str, object]:
    return {} if sample_rate is None else {"sample_rate": sample_rate}
