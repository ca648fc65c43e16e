"""Frozen TensorFlow graphs written by hand, and what they should give.

A graph is a message of protocol buffers (tensorflow/core/framework/{graph,node_def,attr_value,
tensor}.proto), simple enough to be written here: backbones that average the mel bands of a patch
over time and project them, heads of both released generations.
"""

import numpy as np

from earmark.datasets.audio import Waveform
from earmark.models.essentia.backbones import SPECS

RATE = 16000
MUSICNN, VGGISH, EFFNET, OLD_EFFNET = SPECS


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def attribute(key, value):
    return field(5, field(1, key) + field(2, value))


def dimensions(sizes):
    return b"".join(field(2, field(1, size)) for size in sizes)


FLOAT, INT = 1, 3
OF_FLOATS = attribute("T", field(6, FLOAT))


def node(name, op, inputs=(), *attributes):
    sources = b"".join(field(3, source) for source in inputs)
    return field(1, field(1, name) + field(2, op) + sources + b"".join(attributes))


def placeholder(name, sizes):
    shape = attribute("shape", field(7, dimensions(sizes)))
    return node(name, "Placeholder", (), attribute("dtype", field(6, FLOAT)), shape)


def constant(name, array):
    array = np.asarray(array)
    kind = INT if array.dtype.kind == "i" else FLOAT
    content = array.astype("<i4" if kind == INT else "<f4").tobytes()
    tensor = field(1, kind) + field(2, dimensions(array.shape)) + field(4, content)
    dtype = attribute("dtype", field(6, kind))
    return node(name, "Const", (), dtype, attribute("value", field(8, tensor)))


def mean_over_time(name, source):
    kinds = (OF_FLOATS, attribute("Tidx", field(6, INT)))
    return constant(f"{name}/axis", 1) + node(name, "Mean", (source, f"{name}/axis"), *kinds)


def dense(name, source, weights, bias):
    return (
        constant(f"{name}/kernel", weights)
        + constant(f"{name}/bias", bias)
        + node(f"{name}/MatMul", "MatMul", (source, f"{name}/kernel"), OF_FLOATS)
        + node(name, "BiasAdd", (f"{name}/MatMul", f"{name}/bias"), OF_FLOATS)
    )


def identity(name, source):
    return node(name, "Identity", (source,), OF_FLOATS)


def projection(spec):
    return np.random.default_rng(spec.dimension).normal(size=(spec.bands, spec.dimension))


def write_backbone(path, spec):
    """Write a backbone that gives each patch's mean mel bands, projected."""
    batch = 64 if spec.name == "discogs-effnet-bs64-1" else -1
    graph = placeholder(spec.input, (batch, spec.patch_frames, spec.bands))
    graph += mean_over_time("bands", spec.input)
    graph += dense("projected", "bands", projection(spec), np.zeros(spec.dimension))
    name, _, output = spec.output.partition(":")
    if output:  # the second of two outputs, as EffNet's saved model has it
        kinds = attribute("T", field(1, field(6, FLOAT) * 2))
        graph += node(name, "IdentityN", ("bands", "projected"), kinds)
    else:
        graph += identity(name, "projected")
    path.write_bytes(graph)
    return path


KERNEL = np.random.default_rng(1).normal(0, 0.1, (200, 2))
HIDDEN = np.random.default_rng(2).normal(0, 0.1, (200, 8))
LAST = np.random.default_rng(3).normal(0, 1, (8, 2))
BIAS = np.array([3.0, 7.0])


def write_first_generation(path, kernel=KERNEL):
    graph = placeholder("flatten_in_input", (-1, 1, len(kernel)))
    graph += constant("flat", np.array([-1, len(kernel)], "i4"))
    graph += node("flattened", "Reshape", ("flatten_in_input", "flat"), OF_FLOATS)
    path.write_bytes(graph + dense("dense_out", "flattened", kernel, BIAS))
    return path


def write_second_generation(path, last=LAST):
    graph = placeholder("model/Placeholder", (-1, 200))
    graph += dense("model/dense/BiasAdd", "model/Placeholder", HIDDEN, np.zeros(8))
    graph += node("model/dense/Relu", "Relu", ("model/dense/BiasAdd",), OF_FLOATS)
    bias = np.resize(BIAS, last.shape[1])
    graph += dense("model/dense_1/BiasAdd", "model/dense/Relu", last, bias)
    path.write_bytes(graph + identity("model/Identity", "model/dense_1/BiasAdd"))
    return path


def first_generation(patches):
    """Return (arousal, valence) of each patch, as the graph's (valence, arousal) exchanged."""
    return (patches @ KERNEL + BIAS)[:, ::-1]


def second_generation(patches):
    return (np.maximum(patches @ HIDDEN, 0) @ LAST + BIAS)[:, ::-1]


def music(seconds=6.0, rate=RATE, seed=0):
    """Noise and a gliding tone, so that no two patches are alike."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(0, 0.02, time.size)
    samples = 0.3 * np.sin(2 * np.pi * (200 + 100 * (1 + seed) * time) * time) + noise
    return Waveform(samples.astype(np.float32), rate)


def patches_of(count=5, seed=0):
    return np.random.default_rng(seed).normal(0, 2.4, (count, 200)).astype(np.float32)
