"""Files that exhaust: depth, memo, keys, numbers, strings, counts, and lies about lengths, shapes and storages."""

import json
import struct
import zipfile

from tests.attacks.builders import (
    attack,
    beside_weights,
    honest_pickle,
    number,
    pickled,
    storage,
    tensor,
    torch_zip,
    tuple_of,
    zipped,
)


@attack("limit_exceeded")
def open_marks() -> bytes:
    """Marks that never close: recursion in tree-building readers."""
    return torch_zip(pickled(b"(" * 200_000))


@attack("deep_nesting")
def nested_tuples() -> bytes:
    """A tuple 100,000 deep: printing, copying or comparing it recurses."""
    return torch_zip(beside_weights(b")" + b"\x85" * 100_000))


@attack("hash_bomb")
def nested_lists_as_key() -> bytes:
    """A deep tuple as a dict's key: its hash recurses."""
    return torch_zip(pickled(b"}" + b")" + b"\x85" * 50_000 + b"Ns"))


@attack("expanding_values")
def memo_doubling() -> bytes:
    """Each list holds the one before twice: 2^64 leaves when expanded (billion laughs)."""
    step = b"0]\x94(h%ch%ce"
    body = b"]\x94" + b"".join(step.replace(b"%c", bytes([at])) for at in range(64))
    return torch_zip(beside_weights(body))


@attack("hash_bomb")
def hash_doubling() -> bytes:
    """Each tuple holds the one before twice and is then hashed: 2^n steps; the 627-byte file that never returns."""
    body = b")q\x00" + b"".join(b"h" + bytes([at]) + b"\x86q" + bytes([at + 1]) for at in range(60))
    return torch_zip(pickled(b"}" + body + b"Ns"))


@attack("unhashable_key")
def unhashable_keys() -> bytes:
    """Lists as keys."""
    return torch_zip(pickled(b"}(" + b"]N" * 100 + b"u"))


@attack("hash_collisions")
def colliding_keys() -> bytes:
    """Numbers that collide: quadratic time in a dict."""
    keys = b"".join(number(at * (2**61 - 1)) + b"N" for at in range(20_000))
    return torch_zip(pickled(b"}(" + keys + b"u"))


@attack("limit_exceeded")
def long_number() -> bytes:
    """LONG4 of a megabyte: quadratic when printed."""
    return torch_zip(beside_weights(b"\x8b" + struct.pack("<I", 1 << 20) + b"\x7f" * (1 << 20)))


@attack("limit_exceeded")
def long_decimal() -> bytes:
    """LONG as a million decimal digits: quadratic when parsed."""
    return torch_zip(beside_weights(b"L" + b"9" * 1_000_000 + b"L\n"))


@attack("limit_exceeded")
def announced_string() -> bytes:
    """BINUNICODE8 announces 16 GiB."""
    return torch_zip(beside_weights(b"\x8d" + struct.pack("<Q", 16 << 30) + b"x"))


@attack("limit_exceeded")
def announced_bytes() -> bytes:
    """BYTEARRAY8 announces 2^63."""
    return torch_zip(beside_weights(b"\x96" + struct.pack("<Q", 1 << 63) + b"x"))


@attack("unreadable_checkpoint")
def announced_frame() -> bytes:
    """A FRAME longer than the file."""
    return torch_zip(b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"}.")


@attack("huge_memo_index")
def huge_memo_index() -> bytes:
    """LONG_BINPUT at 2^32-1: an array-backed memo would take 32 GiB."""
    return torch_zip(beside_weights(b"Nr\xff\xff\xff\xff"))


@attack("limit_exceeded")
def many_values() -> bytes:
    """A million values on the stack."""
    return torch_zip(pickled(b"(" + b"N" * 1_000_000 + b"l"))


@attack("limit_exceeded")
def many_opcodes() -> bytes:
    """Three million opcodes that do nothing."""
    return torch_zip(pickled(b"N0" * 1_500_000 + b"}"))


@attack("unreadable_checkpoint")
def empty_stack() -> bytes:
    """POP of nothing."""
    return torch_zip(b"\x80\x02R.")


@attack("unreadable_checkpoint")
def unknown_opcode() -> bytes:
    """A byte that is no opcode."""
    return torch_zip(b"\x80\x02}\xfe.")


@attack("unreadable_checkpoint")
def unknown_protocol() -> bytes:
    """Protocol 200."""
    return torch_zip(b"\x80\xc8}.")


@attack("unreadable_checkpoint")
def missing_memo() -> bytes:
    """BINGET of what was never kept."""
    return torch_zip(b"\x80\x02}h\x07.")


@attack("expanded_tensor")
def stride_zero() -> bytes:
    """Stride 0 on a 16-byte storage: 2^60 parameters that are not there."""
    return torch_zip(beside_weights(tensor(4, 0, (1 << 30, 1 << 30), (0, 0))))


@attack("tensor_outside_storage")
def stride_outside() -> bytes:
    """A view past its storage: reads or writes out of bounds."""
    return torch_zip(beside_weights(tensor(4, 0, (2, 2), (1000, 1))))


@attack("tensor_outside_storage")
def offset_outside() -> bytes:
    """An offset past the storage."""
    return torch_zip(beside_weights(tensor(4, 1 << 40, (2,), (1,))))


@attack("malformed_call")
def negative_size() -> bytes:
    """A negative size."""
    return torch_zip(beside_weights(tensor(4, 0, (-1, 4), (1, 1))))


@attack("malformed_call")
def too_many_dimensions() -> bytes:
    """A thousand dimensions."""
    return torch_zip(beside_weights(tensor(4, 0, (1,) * 1000, (1,) * 1000)))


@attack("storage_size")
def declared_larger() -> bytes:
    """torch CVE-2026-24747 family: the pickle declares a terabyte, the record has 16 bytes."""
    return torch_zip(beside_weights(tensor(1 << 38, 0, (1 << 38,), (1,))))


@attack("storage_missing")
def no_record() -> bytes:
    """A storage without a record."""
    return torch_zip(beside_weights(tensor(4, 0, (4,), (1,), key="77")))


@attack("storage_mismatch")
def declared_twice() -> bytes:
    """One record as two storages of other lengths (type confusion)."""
    both = tuple_of(tensor(4, 0, (4,), (1,)), tensor(2, 0, (2,), (1,)))
    return torch_zip(beside_weights(both))


@attack("persistent_id")
def storage_of_negative_length() -> bytes:
    """A storage of -1 values."""
    return torch_zip(beside_weights(storage(-1)))


@attack("limit_exceeded")
def deflate_bomb() -> bytes:
    """200 MB of zeros in 200 KB, beside the limit on members."""
    return zipped([("archive/data.pkl", bytes(200 << 20))], zipfile.ZIP_DEFLATED)


@attack("limit_exceeded")
def deflate_ratio() -> bytes:
    """30 MB of zeros: within the limit on members, past the ratio."""
    return zipped([("archive/data.pkl", bytes(30 << 20))], zipfile.ZIP_DEFLATED)


@attack("damaged")
def json_depth() -> bytes:
    """A JSON nested 200,000 deep in Stable-Baselines3's data."""
    return zipped([("data", b"[" * 200_000), ("policy.pth", torch_zip(honest_pickle()))])


@attack("damaged")
def json_number() -> bytes:
    """A JSON number of a million digits: quadratic when parsed."""
    return zipped([("data", b'{"n": ' + b"9" * 1_000_000 + b"}"), ("policy.pth", torch_zip(honest_pickle()))])


@attack("duplicate_key")
def json_duplicate_key() -> bytes:
    """The same key twice in the JSON: the scanner reads one, the loader the other."""
    return zipped([("data", b'{"a": 1, "a": 2}'), ("policy.pth", torch_zip(honest_pickle()))])


def _safetensors(header: object, data: bytes = bytes(16)) -> bytes:
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


@attack("limit_exceeded")
def safetensors_header_length() -> bytes:
    """A header of 4 GiB is announced."""
    return struct.pack("<Q", 1 << 32) + b'{"a": 1}'


@attack("tensor_layout")
def safetensors_overlap() -> bytes:
    """Two tensors on the same bytes."""
    entry = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    return _safetensors({"a": entry, "b": entry})


@attack("tensor_layout")
def safetensors_hole() -> bytes:
    """Bytes that no tensor owns: room for a hidden payload (polyglot)."""
    return _safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}})


@attack("storage_size")
def safetensors_shape_lie() -> bytes:
    """A shape that its bytes do not hold."""
    return _safetensors({"a": {"dtype": "F32", "shape": [1000, 1000], "data_offsets": [0, 16]}})


@attack("unreadable_checkpoint")
def safetensors_backwards() -> bytes:
    """Offsets that run backwards."""
    return _safetensors({"a": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}})


@attack("duplicate_key")
def safetensors_duplicate() -> bytes:
    """The same tensor name twice."""
    entry = b'"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}'
    raw = b"{" + entry + b", " + entry + b"}"
    return struct.pack("<Q", len(raw)) + raw + bytes(16)
