"""The wire format of protocol buffers: numbered fields of one message, read with their bounds."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WIDTH = {FIXED64: 8, FIXED32: 4}


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield field numbers and values of one message.

    Raises
    ------
    ValueError
        If the message ends within a field, or has a field of no known type.
    """
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            value, at = varint(data, at)
            yield number, value
            continue
        if wire_type == BYTES:
            size, at = varint(data, at)
        elif wire_type in _WIDTH:
            size = _WIDTH[wire_type]
        else:
            raise ValueError(f"byte {at} starts no field")
        if at + size > len(data):
            raise ValueError(
                f"a field of {size} bytes begins {len(data) - at} bytes before the end"
            )
        yield number, data[at : at + size]
        at += size


def message(value: int | bytes | memoryview) -> memoryview:
    """Return the bytes of a field that holds a message or text, and not a number."""
    if isinstance(value, int):
        raise ValueError("a number where a message was expected")
    return memoryview(value)


def number(value: int | bytes | memoryview) -> int:
    """Return the value of a field that holds a number; one of fixed width is little-endian."""
    return value if isinstance(value, int) else int.from_bytes(value, "little")


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the number of 7 bits a byte that begins at ``at``, and where the next field does."""
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
    raise ValueError(f"the number before byte {at} does not end")
