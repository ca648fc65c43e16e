"""TensorFlow checkpoints written without TensorFlow, by the format's description."""

from __future__ import annotations

import numpy as np

from earmark.models.musicnn.bundle import masked_crc32c

MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
DTYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9}


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number, value):
    """A field of a message: a number, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fixed32(number, value):
    return varint(number << 3 | 5) + value.to_bytes(4, "little")


def header(*, n_shards=1, endianness=0):
    return field(1, n_shards) + field(2, endianness) + field(3, field(1, 1))


def entry(dtype, shape, offset, size, checksum, *, extra=b""):
    dims = b"".join(field(2, field(1, size)) for size in shape)
    said = field(1, dtype) + field(2, dims) + field(4, offset) + field(5, size)
    return said + fixed32(6, checksum) + extra


def block(items, *, restart_every=16):
    """Keys and values, each key without what it shares with the one before, and the restarts."""
    out, restarts, before = bytearray(), [], b""
    for number, (key, value) in enumerate(items):
        shared = 0
        if number % restart_every == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value))
        out += key[shared:] + value
        before = key
    places = restarts or [0]
    return bytes(out) + b"".join(p.to_bytes(4, "little") for p in [*places, len(places)])


def table(blocks, *, kind=0):
    """An index file of blocks of ``(last key, content)``; their checksums are right."""
    out, handles = bytearray(), []

    def add(content):
        handle = varint(len(out)) + varint(len(content))
        trailed = content + bytes([kind])
        out.extend(trailed + masked_crc32c(trailed).to_bytes(4, "little"))
        return handle

    handles = [(last, add(content)) for last, content in blocks]
    ends = add(block([])) + add(block(handles, restart_every=1))
    return bytes(out) + ends.ljust(40, b"\0") + MAGIC


def bundle(tensors, *, per_block=20):
    """Index and data of tensors by name."""
    data, items = bytearray(), [(b"", header())]
    for name, value in sorted(tensors.items()):
        content = value.tobytes()
        items.append(
            (
                name.encode(),
                entry(
                    DTYPES[value.dtype.name],
                    value.shape,
                    len(data),
                    len(content),
                    masked_crc32c(content),
                ),
            )
        )
        data += content
    parts = [items[i : i + per_block] for i in range(0, len(items), per_block)]
    return table([(part[-1][0], block(part)) for part in parts]), bytes(data)


def _normalisations(sizes, random):
    found = {}
    for index, size in enumerate(sizes):
        name = f"batch_normalization_{index}" if index else "batch_normalization"
        sign = np.where(random.random(size) < 0.3, -1, 1)
        found[f"{name}/gamma"] = sign * random.uniform(0.5, 1.5, size)
        found[f"{name}/beta"] = random.normal(0, 0.3, size)
        found[f"{name}/moving_mean"] = random.normal(0, 0.3, size)
        found[f"{name}/moving_variance"] = random.uniform(0.5, 1.5, size)
    return found


def _weights(shapes, random):
    found = {}
    for name, shape in shapes.items():
        fan_in = np.prod(shape[:-1])
        found[f"{name}/kernel"] = random.normal(0, fan_in**-0.5, shape)
        found[f"{name}/bias"] = random.normal(0, 0.1, shape[-1])
    return found


def musicnn_variables(seed=0):
    """Variables of an untrained musicnn, by the names and shapes of the released checkpoints."""
    random = np.random.default_rng(seed)
    shapes = {
        "conv2d": (7, 38, 1, 204),
        "conv2d_1": (7, 67, 1, 204),
        "conv2d_2": (128, 1, 1, 51),
        "conv2d_3": (64, 1, 1, 51),
        "conv2d_4": (32, 1, 1, 51),
        "conv2d_5": (7, 561, 1, 64),
        "conv2d_6": (7, 64, 1, 64),
        "conv2d_7": (7, 64, 1, 64),
        "dense": (1506, 200),
        "dense_1": (200, 50),
    }
    sizes = [1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200]
    return _variables(_weights(shapes, random) | _normalisations(sizes, random))


def vgg_variables(seed=0):
    """Variables of an untrained vgg, by the names and shapes of the released checkpoints."""
    random = np.random.default_rng(seed)
    shapes = {f"{i}CNN": (3, 3, 1 if i == 1 else 128, 128) for i in range(1, 6)}
    shapes["dense"] = (256, 50)
    return _variables(_weights(shapes, random) | _normalisations([1, *[128] * 5], random))


def _variables(found):
    # What the optimizer kept is in the released files too.
    extra = {"beta1_power": np.array(0.9), "dense/bias/Adam": np.zeros(4)}
    return {name: np.asarray(value, np.float32) for name, value in (found | extra).items()}
