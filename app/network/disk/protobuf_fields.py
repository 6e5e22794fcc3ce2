"""Protobuf's wire format, written: fields by number. The reader's walk is app.checkpoint.protobuf.

https://protobuf.dev/programming-guides/encoding. The caller knows the numbers; fields stand in rising order.
"""

from app.network.disk.file_layout import Layout, Part, layout_bytes

_VARINT, _BYTES = 0, 2
_ONE_BYTE = [bytes((value,)) for value in range(0x80)]


def integer_field(number: int, value: int) -> bytes:
    """A field that holds an integer from 0 to 2^63 - 1."""
    return _varint(number << 3 | _VARINT) + _varint(value)


def text_field(number: int, value: str) -> bytes:
    """A field that holds text."""
    return bytes_field(number, value.encode())


def bytes_field(number: int, value: bytes) -> bytes:
    """A field that holds bytes, or a message that is known already."""
    return _head(number, len(value)) + value


def layout_field(number: int, *parts: Part) -> Layout:
    """A field that holds a message with tensors' values in it."""
    return (_head(number, layout_bytes(parts)), *parts)


def _head(number: int, length: int) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(length)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    if value <= 0x7F:
        return _ONE_BYTE[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
