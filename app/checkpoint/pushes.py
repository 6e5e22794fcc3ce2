"""Opcodes that push one value: numbers, strings, empty containers, names, and the memo."""

import re
import struct
from typing import Any

from app.checkpoint.bombs import check_memo_index
from app.checkpoint.opcodes import Machine, Operation
from app.checkpoint.values import Bag, Table

_NUMBER = re.compile(rb"[ \t]*[+-]?[0-9]+[ \t]*")
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_OCTAL = frozenset(bytes([digit]) for digit in b"01234567")
_SIMPLE = {
    b"n": b"\n",
    b"t": b"\t",
    b"r": b"\r",
    b"\\": b"\\",
    b"'": b"'",
    b'"': b'"',
    b"a": b"\a",
    b"b": b"\b",
}


def constant(value: Any) -> Operation:
    """An opcode that pushes this immutable value."""
    return lambda m: m.push(value)


def empty(kind: type[Any]) -> Operation:
    """An opcode that pushes a new empty container."""
    return lambda m: m.push(Bag([]) if kind is Bag else kind())


def unsigned(length: int) -> Operation:
    """An opcode with a little-endian unsigned argument."""
    return lambda m: m.push(m.take_uint(length))


def binint(m: Machine) -> None:
    """BININT: four bytes, signed."""
    m.push(int.from_bytes(m.take(4), "little", signed=True))


def long_binary(length_bytes: int) -> Operation:
    """LONG1 and LONG4: a counted two's complement number."""

    def push(m: Machine) -> None:
        length = m.take_uint(length_bytes)
        m.meter.check("max_int_bytes", length)
        m.push(int.from_bytes(m.take(length), "little", signed=True))

    return push


def int_text(m: Machine) -> None:
    """INT: a decimal line; 00 and 01 are False and True."""
    line = m.take_line()
    m.push({b"00": False, b"01": True}.get(line) if line in (b"00", b"01") else _decimal(m, line))


def long_text(m: Machine) -> None:
    """LONG: a decimal line that may end in L."""
    m.push(_decimal(m, m.take_line().removesuffix(b"L")))


def float_text(m: Machine) -> None:
    """FLOAT: a decimal line."""
    line = m.take_line()
    try:
        m.push(float(line[:128]))
    except ValueError:
        raise m.broken(f"{line[:40]!r} is no number") from None


def float_binary(m: Machine) -> None:
    """BINFLOAT: eight bytes, big-endian."""
    m.push(struct.unpack(">d", m.take(8))[0])


def string_text(m: Machine) -> None:
    """STRING: a quoted line with escapes, Python 2's str."""
    line = m.take_line().strip()
    if len(line) < 2 or line[0] != line[-1] or line[:1] not in (b"'", b'"'):
        raise m.broken("a STRING is not quoted")
    m.push(_ESCAPE.sub(_unescape, line[1:-1]).decode("latin-1"))


def unicode_text(m: Machine) -> None:
    """UNICODE: a raw-unicode-escape line."""
    try:
        m.push(m.take_line().decode("raw-unicode-escape"))
    except UnicodeDecodeError:
        raise m.broken("a UNICODE line is malformed") from None


def text(length_bytes: int, encoding: str = "utf-8") -> Operation:
    """A counted string; lone surrogates pass, as they do in Python's own reader."""

    def push(m: Machine) -> None:
        raw = m.take_text(m.take_uint(length_bytes))
        try:
            m.push(raw.decode(encoding, "surrogatepass"))
        except UnicodeDecodeError:
            raise m.broken("a string is not UTF-8") from None

    return push


def binary(length_bytes: int) -> Operation:
    """A counted bytes or bytearray value; one that is there may be of any size, since numpy's weights are such."""

    def push(m: Machine) -> None:
        length = m.take_uint(length_bytes)
        if length > m.source.size - m.position:  # what a loader would allocate before it sees that
            m.meter.check("max_string_bytes", length)
        m.push(m.take_bytes(length))

    return push


def proto(m: Machine) -> None:
    """PROTO: the protocol, 0 to 5."""
    m.protocol = m.take(1)[0]
    if m.protocol > 5:
        raise m.broken(f"pickle protocol {m.protocol} does not exist")


def frame(m: Machine) -> None:
    """FRAME: the length of what follows."""
    m.open_frame(m.take_uint(8))


def put(argument_bytes: int) -> Operation:
    """PUT, BINPUT, LONG_BINPUT: keep the top value; 0 argument bytes stand for a decimal line."""

    def keep(m: Machine) -> None:
        index = m.take_uint(argument_bytes) if argument_bytes else _decimal(m, m.take_line())
        if index < 0:
            raise m.broken("a negative memo index")
        check_memo_index(m, index)
        m.memo[index] = m.top()
        m.meter.check("max_memo", len(m.memo))

    return keep


def memoize(m: Machine) -> None:
    """MEMOIZE: keep the top value under the next index."""
    m.memo[len(m.memo)] = m.top()


def get(argument_bytes: int) -> Operation:
    """GET, BINGET, LONG_BINGET: push a kept value."""

    def fetch(m: Machine) -> None:
        index = m.take_uint(argument_bytes) if argument_bytes else _decimal(m, m.take_line())
        if index not in m.memo:
            raise m.broken(f"memo {index} was never kept")
        m.push(m.memo[index])

    return fetch


def _decimal(m: Machine, line: bytes) -> int:
    m.meter.check("max_int_bytes", len(line))
    if not _NUMBER.fullmatch(line):
        raise m.broken(f"{line[:40]!r} is no whole number")
    return int(line)


def _unescape(found: "re.Match[bytes]") -> bytes:
    code = found[1]
    if code[:1] == b"x" and len(code) == 3:
        return bytes([int(code[1:], 16)])
    if code[:1] in _OCTAL:
        return bytes([int(code, 8) & 255])
    return _SIMPLE.get(code, b"\\" + code)


PUSHES: dict[int, Operation] = {
    ord("N"): constant(None),
    0x88: constant(True),
    0x89: constant(False),
    ord(")"): constant(()),
    ord("]"): empty(list),
    ord("}"): empty(Table),
    0x8F: empty(Bag),
    ord("I"): int_text,
    ord("J"): binint,
    ord("K"): unsigned(1),
    ord("M"): unsigned(2),
    ord("L"): long_text,
    0x8A: long_binary(1),
    0x8B: long_binary(4),
    ord("F"): float_text,
    ord("G"): float_binary,
    ord("S"): string_text,
    ord("T"): text(4, "latin-1"),
    ord("U"): text(1, "latin-1"),
    ord("V"): unicode_text,
    ord("X"): text(4),
    0x8C: text(1),
    0x8D: text(8),
    ord("B"): binary(4),
    ord("C"): binary(1),
    0x8E: binary(8),
    0x96: binary(8),
    0x80: proto,
    0x95: frame,
    ord("p"): put(0),
    ord("q"): put(1),
    ord("r"): put(4),
    0x94: memoize,
    ord("g"): get(0),
    ord("h"): get(1),
    ord("j"): get(4),
}
"""Each opcode byte and what it does."""
