"""Zips behind other formats, at every place where some reader still finds them, and headers that only the hash passes.

Who takes them: Python's zipfile (Stable-Baselines3's `load`) the last end record within 65,558 bytes of the end, whatever
follows it; miniz (torch.jit.load) one within 69,584. tests/checkpoint/test_hidden_zip.py holds that against the real readers.
"""

import json
import struct

from tests.attacks.builders import (
    COMMAND,
    attack,
    called,
    central_header,
    end_record,
    honest_pickle,
    honest_zip,
    local_header,
    pickled,
    raw_bytes,
    tensor,
    text,
    zipped,
)
from tests.attacks.hostile_streams import legacy, view

EVIL = pickled(called("posix", "system", text(COMMAND)))
PKL, WEIGHTS, VERSION = b"archive/data.pkl", b"archive/data/0", b"archive/version"
BLOCK = 1 << 20
"""What is hashed at once."""
HONEST = bytes(8_192)
END_SIZE, ZIPFILE, MINIZ = 22, 65_558, 69_584
"""Bytes of an end record; from the end of the file to the farthest end record that is found."""


def safetensors(data: bytes) -> bytes:
    """A strict file of one tensor with these bytes."""
    entry = {"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}
    header = json.dumps(entry).encode()
    return struct.pack("<Q", len(header)) + header + data


def evil_zip(at: int = 0) -> bytes:
    """A torch zip that calls; its offsets are those of a file in which it begins at `at`."""
    first, central = _parts(at)
    return first + central + end_record(2, len(central), at + len(first))


def _parts(at: int) -> tuple[bytes, bytes]:
    """Members and directory."""
    first = local_header(PKL, EVIL)
    central = central_header(PKL, EVIL, at) + central_header(VERSION, b"3\n", at + len(first))
    return first + local_header(VERSION, b"3\n"), central


def placed(after: bytes) -> bytes:
    """A safetensors file whose tensor holds weights, the zip, by absolute offsets, and then these bytes."""
    hidden = evil_zip() + after
    at = len(safetensors(HONEST + hidden)) - len(hidden)
    return safetensors(HONEST + evil_zip(at) + after)


@attack("polyglot")
def safetensors_zip_in_the_last_tensor() -> bytes:
    """The last tensor's bytes are a zip: every byte is declared, and the end record is the file's end."""
    return placed(b"")


@attack("polyglot")
def safetensors_zip_and_a_byte() -> bytes:
    """One byte follows the end record: its comment does not reach the end, zipfile takes it all the same."""
    return placed(b"\0")


@attack("polyglot")
def safetensors_zip_where_zipfile_still_finds_it() -> bytes:
    """The farthest end record that zipfile finds."""
    return placed(bytes(ZIPFILE - END_SIZE))


@attack("polyglot")
def safetensors_zip_where_miniz_still_finds_it() -> bytes:
    """The farthest end record that torch.jit.load finds: 4 KiB farther than any comment reaches."""
    return placed(bytes(MINIZ - END_SIZE))


@attack("ok")
def safetensors_zip_where_nobody_finds_it() -> bytes:
    """One byte farther: weights that happen to be a zip, which no reader sees."""
    return placed(bytes(MINIZ - END_SIZE + 1))


@attack("ok")
def safetensors_signature_among_the_weights() -> bytes:
    """Weights in which the signature of an end record stands by chance, and leads nowhere."""
    return safetensors(bytes(100) + b"PK\x05\x06" + bytes(range(100)) * 2)


@attack("polyglot")
def safetensors_many_signatures() -> bytes:
    """Decoys behind the end record, more than are judged one by one."""
    return placed((b"PK\x05\x06" + bytes(28)) * 100)


@attack("polyglot")
def safetensors_directory_elsewhere() -> bytes:
    """The end record points at a directory far before it: miniz follows, zipfile looks right before the record."""

    def data(at: int) -> bytes:
        first, central = _parts(at)
        return first + central + bytes(200) + end_record(2, len(central), at + len(first)) + b"\0"

    return safetensors(data(len(safetensors(data(0))) - len(data(0))))


@attack("polyglot")
def safetensors_zip64() -> bytes:
    """The sizes stand in a zip64 end record before the end record, and a byte follows."""
    first, central = _parts(0)
    wide = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 2, 2, len(central), len(first))
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(first) + len(central), 1)
    full = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return safetensors(first + central + wide + locator + full + b"\0")


def _field(number: int, data: bytes) -> bytes:
    """A protobuf field of bytes."""
    length = len(data)
    varint = bytearray()
    while length >= 0x80:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2]) + bytes([*varint, length]) + data


@attack("polyglot")
def onnx_zip_in_the_last_weights() -> bytes:
    """An ONNX model whose last initialiser is a zip and a byte."""
    data = evil_zip() + b"\0"
    node = _field(1, b"x") + _field(1, b"w") + _field(2, b"y") + _field(4, b"Add")
    dims = b"\x08" + bytes([len(data) & 0x7F | 0x80, len(data) >> 7])
    weights = dims + b"\x10\x02" + _field(8, b"w") + _field(9, data)
    graph = _field(1, node) + _field(12, _field(1, b"y")) + _field(5, weights)
    return b"\x08\x08" + _field(8, b"\x10\x11") + _field(7, graph)


@attack("polyglot")
def legacy_zip_in_the_last_storage() -> bytes:
    """A legacy stream whose storage holds a zip and a byte: torch.load reads the stream, Stable-Baselines3 the zip."""
    data = evil_zip() + b"\0"
    data += bytes(-len(data) % 4)
    count = len(data) // 4
    value = b"}" + text("w") + view(count, count) + b"s"
    return legacy(value, storages=struct.pack("<Q", count) + data)


@attack("polyglot")
def pickle_zip_in_bytes_passed_over() -> bytes:
    """A plain pickle whose large bytes, which the reader passes over, end with a zip."""
    hidden = bytes(1 << 16) + evil_zip()
    return pickled(b"}" + text("w") + raw_bytes(hidden) + b"s", 4)


def _many(first_size: int, change: bytes) -> bytes:
    """A torch zip whose first record of weights has so many bytes, and whose second one's local header has another name."""
    a = bytes(first_size)
    count = first_size // 4
    first, second = tensor(count, 0, (count,), (1,), "0"), tensor(4, 0, (4,), (1,), "1")
    data = pickled(b"}" + text("a") + first + b"s" + text("b") + second + b"s")
    locals_ = [local_header(PKL, data), local_header(WEIGHTS, a), local_header(change, bytes(16))]
    names = [(PKL, data), (WEIGHTS, a), (b"archive/data/1", bytes(16))]
    offsets = [0, len(locals_[0]), len(locals_[0]) + len(locals_[1])]
    central = b"".join(central_header(n, d, at) for (n, d), at in zip(names, offsets, strict=True))
    front = b"".join(locals_)
    return front + central + end_record(3, len(central), len(front))


def _before(header_at: int) -> int:
    """Bytes of the first record so that the second one's header begins there, as a multiple of four."""
    bare = _many(4 * (1 << 17), b"archive/data/1").index(b"archive/data/1") - 30 - 4 * (1 << 17)
    return (header_at - bare) // 4 * 4


@attack("ok")
def honest_header_across_two_blocks() -> bytes:
    """Nothing wrong: the second record's header begins in one block of the hash and ends in the next."""
    return _many(_before(BLOCK - 20), b"archive/data/1")


@attack("header_mismatch")
def header_lies_across_two_blocks() -> bytes:
    """The same file, and the name behind the boundary is another than the directory's."""
    return _many(_before(BLOCK - 20), b"archive/data/2")


@attack("header_mismatch")
def header_lies_in_the_third_block() -> bytes:
    """A lie two mebibytes behind the start."""
    return _many(_before(2 * BLOCK + 4_000), b"archive/data/2")


@attack("header_mismatch")
def header_lies_within_an_inner_zip() -> bytes:
    """A record's local header of Stable-Baselines3's policy.pth says another name than its directory."""
    inner = bytearray(honest_zip())
    at = inner.index(b"archive/data/0")
    inner[at : at + 14] = b"archive/data/9"
    return zipped([("data", b"{}"), ("policy.pth", bytes(inner))])


@attack("two_directories")
def end_record_within_the_directory() -> bytes:
    """An earlier end record in an entry's comment, 200 bytes before the real one, which its own comment swallows."""
    return _second_end(honest_pickle())


@attack("two_directories")
def end_record_within_an_inner_directory() -> bytes:
    """The same in Stable-Baselines3's policy.pth, of whose end only the records are read at first."""
    return zipped([("data", b"{}"), ("policy.pth", _second_end(honest_pickle()))])


def _second_end(data: bytes) -> bytes:
    first = local_header(PKL, data) + local_header(WEIGHTS, bytes(16))
    entries = [central_header(PKL, data, 0), central_header(WEIGHTS, bytes(16), len(local_header(PKL, data)))]
    size = sum(map(len, entries))
    comment = end_record(2, size, len(first), comment=bytes(200 + END_SIZE))[: END_SIZE + 200]
    last = entries[1][:32] + struct.pack("<H", len(comment)) + entries[1][34:] + comment
    central = entries[0] + last
    return first + central + end_record(2, len(central), len(first))


@attack("storage_size")
def legacy_second_count_lies() -> bytes:
    """The count before the second storage, which stands where the first one's declaration says."""
    keys = b"(" + text("7") + text("8") + b"l"
    body = b"}" + text("a") + view() + b"s" + text("b") + view(2, 2, "8") + b"s"
    storages = struct.pack("<Q", 4) + bytes(16) + struct.pack("<Q", 3) + bytes(8)
    return legacy(body, keys=keys, storages=storages)
