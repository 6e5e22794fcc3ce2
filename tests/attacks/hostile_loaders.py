"""Files that hang, crash or bloat those that load them, torch's weights_only reader included; nothing is called."""

import struct

from tests.attacks.builders import (
    attack,
    called,
    honest_pickle,
    name,
    number,
    pickled,
    state_dict_of,
    storage,
    tensor,
    text,
    torch_zip,
    tuple_of,
)


def _doubled(times: int) -> bytes:
    """A tuple that holds the one before twice, `times` times over; by opcodes that weights_only knows."""
    return b")q\x00" + b"".join(b"h" + bytes([at]) + b"\x86q" + bytes([at + 1]) for at in range(times))


@attack("hash_bomb")
def key_that_kills_torch() -> bytes:
    """A key 250,000 tuples deep: weights_only dies of SIGSEGV as the hash recurses in C."""
    return torch_zip(pickled(b"}" + b")" + b"\x85" * 250_000 + b"Ns"))


@attack("hash_bomb")
def key_that_hangs_torch() -> bytes:
    """A doubling key in a bare dict: weights_only never returns from a file of a few hundred bytes."""
    return torch_zip(pickled(b"}" + _doubled(60) + b"Ns"))


@attack("huge_allocation")
def bytearray_of_a_number() -> bytes:
    """bytearray(16 GiB): allowed by weights_only, a few hundred bytes of file."""
    return torch_zip(pickled(b"}" + text("w") + called("builtins", "bytearray", number(16 << 30)) + b"s"))


@attack("hash_bomb")
def doubled_key_in_a_set() -> bytes:
    """A doubling tuple in a set: builtins.set hashes it (weights_only allows the call)."""
    return state_dict_of(called("builtins", "set", b"(" + _doubled(60) + b"l"))


@attack("hash_bomb")
def doubled_item_of_a_frozenset() -> bytes:
    """The same by FROZENSET."""
    return state_dict_of(b"(" + _doubled(60) + b"\x91")


@attack("hash_bomb")
def doubled_key_by_setitem() -> bytes:
    """The same by SETITEM on an OrderedDict."""
    return torch_zip(pickled(called("collections", "OrderedDict") + _doubled(60) + b"Ns"))


@attack("hash_bomb")
def doubled_key_of_pairs() -> bytes:
    """The same among the pairs that OrderedDict is called with."""
    pairs = b"(" + _doubled(60) + b"N\x86l"
    return torch_zip(pickled(called("collections", "OrderedDict", pairs)))


@attack("hash_bomb")
def deep_key() -> bytes:
    """A key 20,000 tuples deep: its hash recurses in C."""
    return torch_zip(pickled(b"}" + b")" + b"\x85" * 20_000 + b"Ns"))


@attack("deep_nesting")
def deep_lists() -> bytes:
    """Lists 50,000 deep: pickled values that no one can print, copy or compare."""
    return torch_zip(pickled(b"]" * 50_000 + b"a" * 49_999))


@attack("deep_nesting")
def deep_dicts() -> bytes:
    """Dicts 50,000 deep: state dicts are walked by recursion."""
    return torch_zip(pickled((b"}" + text("a")) * 50_000 + b"N" + b"s" * 50_000))


@attack("deep_nesting")
def deep_state() -> bytes:
    """Objects whose states are objects, 20,000 deep."""
    body = (b"ccollections\nOrderedDict\n)R") * 20_000 + b"b" * 19_999
    return torch_zip(pickled(body))


@attack("expanding_values")
def doubling_dicts() -> bytes:
    """Dicts that hold the one before under two keys: 2^60 entries for whoever prints them."""
    step = b"".join(b"0}\x94(" + text("a") + b"h%c" + text("b") + b"h%cu".replace(b"%c", b"%c") for _ in ())
    body = b"}\x94"
    for at in range(60):
        got = b"h" + bytes([at])
        body += b"0}\x94(" + text("a") + got + text("b") + got + b"u"
    return torch_zip(pickled(step + body))


@attack("set_on_tensor")
def setitem_on_a_tensor() -> bytes:
    """CVE-2026-24747 (GHSA-63cw-57p8-fm3p): SETITEM on a tensor writes to its memory under weights_only."""
    return torch_zip(pickled(tensor(4, 0, (4,), (1,)) + number(0) + number(7) + b"s"))


@attack("set_on_tensor")
def setitems_on_a_storage() -> bytes:
    """CVE-2026-24747: SETITEMS on a storage."""
    return torch_zip(pickled(storage(4) + b"(" + number(1 << 40) + number(7) + b"u"))


@attack("storage_size")
def storage_smaller_than_its_record() -> bytes:
    """CVE-2026-24747, its second part: fewer elements declared than the record holds."""
    return torch_zip(pickled(b"}" + text("w") + tensor(2, 0, (2,), (1,)) + b"s"))


@attack("expanded_tensor")
def one_value_as_a_terabyte() -> bytes:
    """Stride 0: four bytes that are cloned to a terabyte."""
    return torch_zip(pickled(b"}" + text("w") + tensor(4, 0, (1 << 38,), (0,)) + b"s"))


@attack("expanded_tensor")
def overlapping_strides() -> bytes:
    """Strides of 1 in both dimensions: more values than are stored."""
    return torch_zip(pickled(b"}" + text("w") + tensor(4, 0, (2, 3), (1, 1)) + b"s"))


@attack("malformed_call")
def negative_stride() -> bytes:
    """A stride that runs backwards out of the storage."""
    return torch_zip(pickled(b"}" + text("w") + tensor(4, 0, (2,), (-1,)) + b"s"))


@attack("malformed_call")
def negative_offset() -> bytes:
    """An offset before the storage."""
    return torch_zip(pickled(b"}" + text("w") + tensor(4, -4, (4,), (1,)) + b"s"))


@attack("malformed_call")
def sizes_beyond_64_bits() -> bytes:
    """A size of 2^70."""
    return torch_zip(pickled(b"}" + text("w") + tensor(4, 0, (1 << 70,), (1,)) + b"s"))


@attack("tensor_outside_storage")
def product_that_wraps() -> bytes:
    """Sizes whose product is 0 in 64 bits, and 2^64 in truth."""
    return torch_zip(pickled(b"}" + text("w") + tensor(4, 0, (1 << 32, 1 << 32), (1 << 32, 1)) + b"s"))


@attack("malformed_call")
def shapes_of_unlike_length() -> bytes:
    """Two sizes and one stride."""
    return torch_zip(pickled(b"}" + text("w") + tensor(4, 0, (2, 2), (1,)) + b"s"))


@attack("persistent_id")
def storage_of_numbers() -> bytes:
    """A persistent id whose key is a number: an index where readers expect a name."""
    bad = tuple_of(text("storage"), name("torch", "FloatStorage"), number(0), text("cpu"), number(4)) + b"Q"
    return torch_zip(pickled(b"}" + text("w") + bad + b"s"))


@attack("storage_missing")
def storage_key_that_climbs() -> bytes:
    """A storage's key that names another member: '../data.pkl'."""
    return torch_zip(pickled(b"}" + text("w") + tensor(4, 0, (4,), (1,), key="../data.pkl") + b"s"))


@attack("limit_exceeded")
def tensors_without_end() -> bytes:
    """A hundred and fifty thousand views of one storage."""
    one = tensor(4, 0, (4,), (1,))
    return torch_zip(pickled(one + b"q\x01(" + b"h\x01" * 150_000 + b"l"))


@attack("limit_exceeded")
def calls_without_end() -> bytes:
    """Empty OrderedDicts by the million: a call each."""
    return torch_zip(pickled(b"ccollections\nOrderedDict\nq\x01(" + b"h\x01)R0" * 600_000 + b"l"))


@attack("limit_exceeded")
def counted_string() -> bytes:
    """BINUNICODE announces 2 GiB."""
    return torch_zip(b"\x80\x02}X" + struct.pack("<I", 0x7FFFFFFF) + b"x.")


@attack("limit_exceeded")
def counted_bytes() -> bytes:
    """BINBYTES8 announces 2^62."""
    return torch_zip(b"\x80\x04}\x8e" + struct.pack("<Q", 1 << 62) + b"x.")


@attack("damaged")
def negative_counted_string() -> bytes:
    """BINSTRING of length -1, which Python 2 read as unsigned."""
    return torch_zip(honest_pickle()[:-1] + b"T\xff\xff\x00\x00x.")


@attack("damaged")
def negative_long() -> bytes:
    """PUT at a negative index (CPython's memo, fixed in 3.x)."""
    return torch_zip(honest_pickle()[:-1] + b"p-1\n.")


@attack("limit_exceeded")
def long_text_number() -> bytes:
    """INT as half a million digits: quadratic when parsed."""
    return torch_zip(pickled(b"}" + text("n") + b"I" + b"7" * 500_000 + b"\ns"))


@attack("hash_collisions")
def colliding_set() -> bytes:
    """Colliding numbers in a set."""
    return state_dict_of(b"\x8f(" + b"".join(number(at * (2**61 - 1)) for at in range(1, 5_000)) + b"\x90")


@attack("huge_memo_index")
def decimal_memo_index() -> bytes:
    """PUT at index two billion."""
    return torch_zip(pickled(b"}p2000000000\n"))


@attack("out_of_band_buffer")
def buffer_from_outside() -> bytes:
    """NEXT_BUFFER: bytes that no file has."""
    return state_dict_of(b"\x97", protocol=5)
