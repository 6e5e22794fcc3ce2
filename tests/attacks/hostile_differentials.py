"""Zips on which readers take different bytes for the same name: each disagreement is a finding."""

import struct
import zipfile
import zlib

from tests.attacks.builders import (
    COMMAND,
    attack,
    called,
    central_header,
    end_record,
    honest_pickle,
    local_header,
    pickled,
    tensor,
    text,
    torch_zip,
    zipped,
)

PKL, WEIGHTS = b"archive/data.pkl", b"archive/data/0"
EVIL = pickled(called("posix", "system", text(COMMAND)))
ZEROS = bytes(16)


def _joined(locals_: list[bytes], centrals: list[bytes], between: bytes = b"") -> bytes:
    """Locals one after another; a central is given the offset of the local of its own index."""
    front, central = b"".join(locals_) + between, b"".join(centrals)
    return front + central + end_record(len(centrals), len(central), len(front))


def _pair(weights_local: bytes, weights_central: bytes | None = None, between: bytes = b"") -> bytes:
    """data.pkl and one record of weights, whose headers are given."""
    first = local_header(PKL, honest_pickle())
    central = weights_central or central_header(WEIGHTS, ZEROS, len(first))
    return _joined([first, weights_local], [central_header(PKL, honest_pickle(), 0), central], between)


def _extra(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def _with_extra(header: bytes, fixed: int, length_at: int, name: bytes, extra: bytes) -> bytes:
    """A header with an extra field behind its name."""
    cut = fixed + len(name)
    return (
        header[:length_at]
        + struct.pack("<H", len(extra))
        + header[length_at + 2 : cut]
        + extra
        + header[cut:]
    )


@attack("header_mismatch")
def weights_local_name_differs() -> bytes:
    """A weights' record whose local header calls it data.pkl: stream readers load it in its stead."""
    return _pair(local_header(PKL, ZEROS), None)


@attack("header_mismatch")
def weights_local_flags_differ() -> bytes:
    """A weights' record that is encrypted by its local header alone."""
    return _pair(local_header(WEIGHTS, ZEROS, flags=1))


@attack("header_mismatch")
def weights_local_method_differs() -> bytes:
    """A weights' record that is stored in the directory and deflated by its local header."""
    return _pair(local_header(WEIGHTS, ZEROS, method=8))


@attack("header_mismatch")
def weights_local_size_differs() -> bytes:
    """A weights' record of two sizes."""
    return _pair(local_header(WEIGHTS, ZEROS, size=8))


@attack("header_mismatch")
def weights_local_checksum_differs() -> bytes:
    """A weights' record of two checksums."""
    changed = bytearray(local_header(WEIGHTS, ZEROS))
    changed[14] ^= 1
    return _pair(bytes(changed))


@attack("header_mismatch")
def swapped_weights() -> bytes:
    """Two records whose offsets are swapped in the directory: the weights change places."""
    first = local_header(PKL, honest_pickle())
    a, b = local_header(WEIGHTS, ZEROS), local_header(b"archive/data/1", b"\1" * 16)
    at_a, at_b = len(first), len(first) + len(a)
    centrals = [
        central_header(PKL, honest_pickle(), 0),
        central_header(WEIGHTS, ZEROS, at_b),
        central_header(b"archive/data/1", b"\1" * 16, at_a),
    ]
    return _joined([first, a, b], centrals)


@attack("bad_crc")
def swapped_content() -> bytes:
    """data.pkl's bytes were replaced by others of the same length under the old checksum."""
    data = honest_pickle()
    other = data.replace(b"0.weight", b"0.wEight")
    return torch_zip(data).replace(data, other)


@attack("overlapping_member")
def local_extra_reaches_into_the_next() -> bytes:
    """A local extra length that moves the weights into what follows; the directory cannot tell."""
    weights = bytearray(local_header(WEIGHTS, ZEROS))
    weights[28:30] = struct.pack("<H", 8)
    return _pair(bytes(weights))


@attack("second_name")
def unicode_path_in_the_directory() -> bytes:
    """The Info-ZIP Unicode Path extra field: a second name that some readers prefer."""
    first = local_header(PKL, honest_pickle())
    field = _extra(0x7075, b"\1" + struct.pack("<I", zlib.crc32(PKL)) + b"archive/other.pkl")
    central = _with_extra(central_header(PKL, honest_pickle(), 0), 46, 30, PKL, field)
    weights = local_header(WEIGHTS, ZEROS)
    return _joined([first, weights], [central, central_header(WEIGHTS, ZEROS, len(first))])


@attack("header_mismatch")
def unicode_path_in_the_local_header() -> bytes:
    """The same field in the local header alone."""
    field = _extra(0x7075, b"\1" + struct.pack("<I", zlib.crc32(PKL)) + b"archive/other.pkl")
    first = _with_extra(local_header(PKL, honest_pickle()), 30, 28, PKL, field)
    weights = local_header(WEIGHTS, ZEROS)
    centrals = [central_header(PKL, honest_pickle(), 0), central_header(WEIGHTS, ZEROS, len(first))]
    return _joined([first, weights], centrals)


@attack("header_mismatch")
def name_in_two_encodings() -> bytes:
    """Bit 11 in one header only: one reader sees UTF-8, the other code page 437."""
    name = "archive/é".encode()
    first = local_header(PKL, honest_pickle())
    odd = local_header(name, b"x", flags=0x800)
    centrals = [central_header(PKL, honest_pickle(), 0), central_header(name, b"x", len(first))]
    return _joined([first, odd], centrals)


def _zip64(
    front: bytes, central: bytes, entries: int, *, pointed: int | None = None, wide: int | None = None
) -> bytes:
    start = len(front)
    record = struct.pack(
        "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, len(central), wide or start
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, start + len(central) if pointed is None else pointed, 1)
    return front + central + record + locator + end_record(entries, len(central), start)


def _single64(**lies: int) -> bytes:
    front = local_header(PKL, honest_pickle())
    return _zip64(front, central_header(PKL, honest_pickle(), 0), 1, **lies)


@attack("two_directories")
def zip64_locator_points_elsewhere() -> bytes:
    """Python takes the zip64 record before the locator, miniz the one that it points at."""
    return _single64(pointed=7)


@attack("two_directories")
def zip64_record_disagrees() -> bytes:
    """The zip64 end record and the end record name different directories."""
    return _single64(wide=1 << 20) + b""


@attack("header_mismatch")
def zip64_local_size_differs() -> bytes:
    """A local zip64 extra field with another size than the directory's."""
    full = struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF)
    local = local_header(WEIGHTS, ZEROS)
    local = local[:18] + full + local[26:]
    return _pair(_with_extra(local, 30, 28, WEIGHTS, _extra(1, struct.pack("<QQ", 99, 16))))


@attack("split_archive")
def many_disks() -> bytes:
    """An end record of an archive in several parts."""
    data = torch_zip(honest_pickle())
    return data[:-18] + struct.pack("<HH", 0, 3) + data[-14:]


@attack("hidden_bytes")
def bytes_between_members() -> bytes:
    """A kilobyte that no member owns, before the directory."""
    return _pair(local_header(WEIGHTS, ZEROS), between=EVIL.ljust(1024, b"."))


@attack("would_call")
def pickle_among_the_weights() -> bytes:
    """A pickle's name in the weights' folder, where scanners expect numbers only."""
    return torch_zip(honest_pickle(), extra=[("archive/data/evil.pkl", EVIL)])


@attack("unused_record")
def record_without_a_tensor() -> bytes:
    """A weights' record that no tensor names: room for a payload that another loader fetches."""
    return torch_zip(honest_pickle(), extra=[("archive/data/99", EVIL)])


@attack("members_not_read")
def decoys_before_the_pickle() -> bytes:
    """Three hundred members that are no pickles, then one that is."""
    decoys = [(f"archive/note_{at}", b"x") for at in range(300)]
    return torch_zip(honest_pickle(), extra=[*decoys, ("archive/last", EVIL)])


@attack("odd_name")
def name_with_a_zero() -> bytes:
    """A NUL in a name: C readers see data.pkl, Python's the whole (zipfile cuts there too)."""
    return _joined([local_header(PKL, honest_pickle()), local_header(PKL + b"\0.txt", b"x")],
                   [central_header(PKL, honest_pickle(), 0),
                    central_header(PKL + b"\0.txt", b"x", len(local_header(PKL, honest_pickle())))])  # fmt: skip


@attack("odd_name")
def name_with_backslashes() -> bytes:
    """A Windows path, which some readers fold into a folder."""
    return torch_zip(honest_pickle(), extra=[("archive\\data.pkl", EVIL)])


@attack("odd_name")
def absolute_name() -> bytes:
    """A name from the root."""
    return torch_zip(honest_pickle(), extra=[("/etc/cron.d/x", b"x")])


@attack("unreadable_checkpoint")
def directory_past_the_end() -> bytes:
    """A directory that starts past the end of the file."""
    data = torch_zip(honest_pickle())
    return data[:-6] + struct.pack("<I", 0x7FFFFFFF) + data[-2:]


@attack("limit_exceeded")
def directory_of_gigabytes() -> bytes:
    """A directory of 2 GiB is announced."""
    data = torch_zip(honest_pickle())
    return data[:-10] + struct.pack("<I", 0x7FFFFFFF) + data[-6:]


@attack("unreadable_checkpoint")
def encrypted_weights() -> bytes:
    """Only the weights are encrypted."""
    first = local_header(PKL, honest_pickle())
    weights = central_header(WEIGHTS, ZEROS, len(first), flags=1)
    return _pair(local_header(WEIGHTS, ZEROS, flags=1), weights)


@attack("header_mismatch")
def weights_stored_in_two_sizes() -> bytes:
    """A stored record whose packed and unpacked sizes differ in both headers."""
    first = local_header(PKL, honest_pickle())
    weights = central_header(WEIGHTS, ZEROS, len(first), size=1 << 20)
    return _pair(local_header(WEIGHTS, ZEROS, size=1 << 20), weights)


@attack("storage_size")
def torn_weights() -> bytes:
    """A record with half of its bytes under a sound directory: a copy that broke off and was sealed."""
    members = [
        ("archive/data.pkl", honest_pickle()),
        ("archive/byteorder", b"little"),
        ("archive/data/0", bytes(8)),
    ]
    return zipped(members)


@attack("storage_missing")
def removed_weights() -> bytes:
    """The record of weights is gone."""
    return zipped([("archive/data.pkl", honest_pickle()), ("archive/byteorder", b"little")])


@attack("limit_exceeded")
def deflated_pickle_bomb() -> bytes:
    """data.pkl of 40 MB of zeros in 40 KB."""
    return zipped([("archive/data.pkl", b"\x80\x02" + b"N0" * 20_000_000)], zipfile.ZIP_DEFLATED)


@attack("unreadable_checkpoint")
def deflate_without_an_end() -> bytes:
    """Deflated bytes that break off."""
    packed = zlib.compress(honest_pickle() * 9, wbits=-15)[:-6]
    fields = {"method": 8, "size": len(honest_pickle()) * 9}
    local, central = local_header(PKL, packed, **fields), central_header(PKL, packed, 0, **fields)
    return _joined([local], [central])


@attack("unreadable_checkpoint")
def deflate_longer_than_it_says() -> bytes:
    """Deflated bytes that go on after the declared size."""
    packed = zlib.compress(honest_pickle() * 9, wbits=-15)
    local = local_header(PKL, packed, method=8, size=len(honest_pickle()))
    return _joined([local], [central_header(PKL, packed, 0, method=8, size=len(honest_pickle()))])


@attack("duplicate_member")
def weights_twice() -> bytes:
    """One weights' record under two case-variants of its name."""
    return torch_zip(honest_pickle(), extra=[("ARCHIVE/DATA/0", bytes(16))])


@attack("storage_size")
def storage_of_another_type() -> bytes:
    """The pickle says DoubleStorage, the record has the bytes of floats (type confusion)."""
    body = tensor(4, 0, (2, 2), (2, 1)).replace(b"FloatStorage", b"DoubleStorage")
    return torch_zip(pickled(b"}" + text("0.weight") + body + b"s"))
