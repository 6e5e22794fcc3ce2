"""The CRC-32 of joined bytes from those of its parts, so that a zip's headers are known before it is written.

zlib's crc32_combine (Mark Adler): appending n bytes multiplies by x^8n modulo the polynomial; bits are reflected.
"""

import zlib
from collections.abc import Iterable

from app.errors import NotExportable
from app.export.pieces import Convert, Copy, Piece

_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31


def pieces_crc32(pieces: Iterable[Piece]) -> int:
    """CRC-32 of the pieces one after another; those that are copied bring their own.

    Raises NotExportable for a part of a record.
    """
    checksum = 0
    for piece in pieces:
        if isinstance(piece, bytes):
            checksum = zlib.crc32(piece, checksum)
        else:
            checksum = combine_crc32(checksum, _known(piece), piece.length)
    return checksum


def combine_crc32(first: int, second: int, second_length: int) -> int:
    """CRC-32 of two runs of bytes, from the CRC-32 of each and the length of the second."""
    return _multiply(_power(8 * second_length), first) ^ second


def _known(piece: Copy | Convert) -> int:
    if isinstance(piece, Convert) or piece.crc32 is None:
        raise NotExportable(
            "a tensor is a part of a larger record, whose checksum alone is known",
            hint="export it as safetensors, or save it with storages of its own",
        )
    return piece.crc32


def _power(exponent: int) -> int:
    """x^exponent modulo the polynomial, by squaring."""
    result, square = _ONE, _ONE >> 1
    while exponent:
        if exponent & 1:
            result = _multiply(square, result)
        square = _multiply(square, square)
        exponent >>= 1
    return result


def _multiply(left: int, right: int) -> int:
    """The product modulo the polynomial."""
    product, bit = 0, _ONE
    while left:
        if left & bit:
            product ^= right
            left ^= bit
        bit >>= 1
        right = right >> 1 ^ (_POLYNOMIAL if right & 1 else 0)
    return product
