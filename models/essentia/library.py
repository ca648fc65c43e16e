"""Essentia itself, imported late and silenced, and what a frozen graph says of itself.

Essentia is AGPL-3.0. It is imported when an Essentia model first computes something, not before.

A ``.pb`` file is one ``GraphDef`` message of protocol buffers; of each node its name, its operation
and, for an input, its shape are read. That is enough to tell the generations of Essentia's heads
and their dimensions apart, and to refuse a file that is cut or something else before TensorFlow is
loaded. Field numbers are those of tensorflow/core/framework/{graph,node_def,attr_value,tensor,
types}.proto.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from earmark.models.base import ClipError, Floats, ModelError
from earmark.models.support.adapter import install_command
from earmark.models.support.protobuf import fields, message

SAMPLE_RATE = 16000
"""In Hz, of what every backbone hears."""
RESAMPLE_QUALITY = 1
GATE_LUFS = -70.0
"""Absolute gate of EBU R 128: below it there is no loudness to normalise."""
_SHORTEST_LOUDNESS_S = 0.5
"""Loudness is an average over blocks of 0.4 s: a shorter clip is repeated for its measurement."""


def _install() -> str:
    return f"{install_command('essentia')} (AGPL-3.0)"


def resample(samples: Floats, from_hz: int) -> Floats:
    """Return samples at 16 kHz as Essentia's ``MonoLoader`` gives them by default."""
    resampler = _standard().Resample(
        inputSampleRate=from_hz, outputSampleRate=SAMPLE_RATE, quality=RESAMPLE_QUALITY
    )
    resampled = np.asarray(run(resampler, samples, source="resampling"), np.float32)
    if not resampled.size:
        raise ClipError(f"too short to resample: {samples.size / from_hz:.2g} s at {from_hz} Hz")
    return resampled


def integrated_loudness(samples: Floats, sample_rate: int) -> float:
    """Return EBU R 128 integrated loudness in LUFS of mono audio as two equal channels.

    Raises
    ------
    ClipError
        If no block of 0.4 s is above the absolute gate.
    """
    heard = np.resize(samples, max(samples.size, int(_SHORTEST_LOUDNESS_S * sample_rate)))
    meter = _standard().LoudnessEBUR128(sampleRate=sample_rate)
    loudness = float(run(meter, np.stack([heard, heard], axis=1), source="loudness")[2])
    if loudness <= GATE_LUFS:
        raise ClipError(f"no block is above {GATE_LUFS:g} LUFS: its loudness cannot be normalised")
    return loudness


def load(algorithm: str, graph: Graph, **parameters: Any) -> Any:
    """Return a predicting algorithm of Essentia's with the graph loaded.

    Raises
    ------
    ModelError
        If Essentia has no TensorFlow, or refuses the graph.
    """
    factory = getattr(_standard(), algorithm, None)
    if factory is None:
        raise ModelError(
            f"this Essentia has no {algorithm}: install the one with TensorFlow: {_install()}"
        )
    try:
        with _quiet():
            return factory(graphFilename=str(graph.path), **parameters)
    except RuntimeError as error:
        raise ModelError(f"{graph.path}: Essentia cannot load it: {_first_line(error)}") from error


def run(algorithm: Any, *inputs: Any, source: str) -> Any:
    """Return what an algorithm of Essentia's computes; its complaint becomes a ModelError."""
    try:
        with _quiet():
            return algorithm(*inputs)
    except RuntimeError as error:
        raise ModelError(f"{source}: Essentia fails: {_first_line(error)}") from error


def library_version() -> str:
    """Return name and version of the installed Essentia, without importing it where possible.

    Raises
    ------
    ModelError
        If there is none.
    """
    for name in ("essentia-tensorflow", "essentia"):
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return f"essentia {_essentia().__version__}"  # built from source


@cache
def _essentia() -> Any:
    # Read once, when TensorFlow is loaded: 2 hides notes and warnings, and leaves errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import essentia
    except ImportError as error:
        raise ModelError(
            f"Essentia models need essentia-tensorflow: {_install()}; {error}"
        ) from error
    return essentia


@cache
def _standard() -> Any:
    with _quiet():
        import essentia.standard
    return essentia.standard


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Essentia's notes and warnings; its errors are exceptions and stay."""
    log = _essentia().log
    before = log.infoActive, log.warningActive
    log.infoActive = log.warningActive = False
    try:
        yield
    finally:
        log.infoActive, log.warningActive = before


def _first_line(error: RuntimeError) -> str:
    return str(error).partition("\n")[0]


Shape = tuple[int, ...]

_GRAPH_NODE, _NODE_NAME, _NODE_OP, _NODE_ATTR = 1, 1, 2, 5
_MAP_KEY, _MAP_VALUE, _ATTR_SHAPE, _SHAPE_DIM, _DIM_SIZE = 1, 2, 7, 2, 1
_ATTR_TENSOR, _TENSOR_TYPE, _TENSOR_SHAPE, _FLOAT = 8, 1, 2, 1
_LAST_GRAPH_FIELD = 5


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its operation, and the declared shape of a placeholder (-1: any size)."""

    op: str
    shape: Shape | None
    size: int = 0
    """Of a constant array of single-precision numbers: how many; scalars count as 0."""


@dataclass(frozen=True, slots=True)
class Graph:
    """The nodes of a graph by name, and the file they were read from."""

    path: Path
    digest: str
    """sha256 of the file."""
    nodes: Mapping[str, Node]

    @property
    def n_parameters(self) -> int:
        """Numbers in the constant arrays that freezing has made of the weights."""
        return sum(node.size for node in self.nodes.values())

    @property
    def dtype(self) -> str:
        """Type of these numbers."""
        return "float32"

    def has(self, *names: str) -> bool:
        """Return whether nodes of all these names are there; ``node:1`` is an output of a node."""
        return all(name.partition(":")[0] in self.nodes for name in names)

    def inputs(self) -> str:
        """Return the graph's inputs with their shapes, for an error message."""
        found = (
            f"{n} {list(d.shape or ())}" for n, d in self.nodes.items() if d.op == _PLACEHOLDER
        )
        return ", ".join(found) or "none"


_PLACEHOLDER, _CONSTANT = "Placeholder", "Const"
_ACTING = (
    *(
        b"WriteFile",
        b"ReadFile",
        b"PyFunc",
        b"SaveV2",
        b"SaveSlices",
        b"RestoreV2",
        b"RestoreSlice",
    ),
    *(b"MergeV2Checkpoints", b"SummaryWriter", b"SummaryFileWriter", b"PrintV2", b"DebugIdentity"),
    *(b"DebugNan", b"DebugNumeric", b"MatchingFiles", b"ReaderV2", b"Dataset", b"RemoteCall"),
)
"""TensorFlow's operations that read or write files, call out, or run Python. Frozen models have
none; they may also stand in functions of a graph, so the names are looked for in the whole file."""


def read_graph(path: Path) -> Graph:
    """Return the nodes of a frozen graph.

    Raises
    ------
    ModelError
        If the file cannot be read, is no frozen graph, ends in the middle of a node, or holds an
        operation that acts on more than its inputs.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"weights {path} cannot be read: {error.strerror}") from error
    try:
        nodes = dict(_nodes(memoryview(data)))
    except ValueError as error:
        raise ModelError(
            f"weights {path} ({len(data)} bytes) are not a frozen TensorFlow graph, or cut short: "
            f"{error}; download them again"
        ) from error
    if acting := [name.decode() for name in _ACTING if name in data]:
        raise ModelError(
            f"weights {path}: the graph names {', '.join(acting)}, which read or write files or "
            f"run code and belong in no frozen model; nothing of it was run"
        )
    return Graph(path, hashlib.sha256(data).hexdigest(), nodes)


def _nodes(data: memoryview) -> Iterator[tuple[str, Node]]:
    found = False
    for number, value in fields(data):
        if number > _LAST_GRAPH_FIELD:
            raise ValueError(f"a graph has no field {number}")
        if number == _GRAPH_NODE:
            found = True
            yield _node(message(value))
    if not found:
        raise ValueError("it holds no node")


def _node(data: memoryview) -> tuple[str, Node]:
    name = op = ""
    shape = None
    size = 0
    for number, value in fields(data):
        if number == _NODE_NAME:
            name = bytes(message(value)).decode()
        elif number == _NODE_OP:
            op = bytes(message(value)).decode()
        elif number == _NODE_ATTR:
            entry = dict(fields(message(value)))
            key = bytes(message(entry.get(_MAP_KEY, b"")))
            if key == b"shape":
                shape = _shape(message(entry.get(_MAP_VALUE, b"")), _ATTR_SHAPE)
            elif key == b"value":
                size = _size(message(entry.get(_MAP_VALUE, b"")))
    return name, Node(op, shape if op == _PLACEHOLDER else None, size if op == _CONSTANT else 0)


def _size(attribute: memoryview) -> int:
    tensor = dict(fields(attribute)).get(_ATTR_TENSOR)
    if tensor is None or dict(fields(message(tensor))).get(_TENSOR_TYPE) != _FLOAT:
        return 0
    shape = _shape(message(tensor), _TENSOR_SHAPE)
    return max(0, math.prod(shape)) if shape else 0


def _shape(held: memoryview, field: int) -> Shape | None:
    declared = dict(fields(held)).get(field)
    if declared is None:
        return None
    sizes = []
    for number, value in fields(message(declared)):
        if number == _SHAPE_DIM:
            size = dict(fields(message(value))).get(_DIM_SIZE, 0)
            if not isinstance(size, int):
                raise ValueError("a dimension is not a number")
            sizes.append(size - (1 << 64) if size >> 63 else size)
    return tuple(sizes)
