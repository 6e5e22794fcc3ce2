"""Zips on which readers disagree, and files that are not what they seem."""

import gzip
import io
import tarfile

from tests.attacks.builders import (
    COMMAND,
    attack,
    beside_weights,
    called,
    central_header,
    end_record,
    honest_pickle,
    honest_zip,
    local_header,
    pickled,
    tensor,
    text,
    torch_zip,
    zipped,
)

EVIL = pickled(called("posix", "system", text(COMMAND)))
PKL = b"archive/data.pkl"


def _single(local: bytes, central: bytes, tail: bytes = b"") -> bytes:
    return local + central + end_record(1, len(central), len(local)) + tail


@attack("header_mismatch")
def local_name_differs() -> bytes:
    """picklescan CVE-2025-1944: local and central names differ; zipfile raises, torch reads."""
    data = honest_pickle()
    return _single(local_header(b"archive/data.pk_", data), central_header(PKL, data, 0))


@attack("header_mismatch")
def local_flags_differ() -> bytes:
    """picklescan CVE-2025-1945: flag bits in one header only; zipfile raises, torch reads."""
    data = honest_pickle()
    return _single(local_header(PKL, data, flags=1), central_header(PKL, data, 0))


@attack("header_mismatch")
def local_size_differs() -> bytes:
    """Another size in the local header."""
    data = honest_pickle()
    return _single(local_header(PKL, data, size=3), central_header(PKL, data, 0))


@attack("unreadable_checkpoint")
def encrypted_member() -> bytes:
    """An encrypted pickle cannot be judged, so it is refused."""
    data = honest_pickle()
    return _single(local_header(PKL, data, flags=1), central_header(PKL, data, 0, flags=1))


@attack("bad_crc")
def wrong_crc() -> bytes:
    """picklescan CVE-2025-10156 (GHSA-mjqp-26hc-grxg): a wrong checksum stops the scanner, torch does not look at it."""
    data = bytearray(honest_zip())
    at = data.index(b"0.weight")
    data[at] ^= 1
    return bytes(data)


@attack("duplicate_member")
def duplicate_member() -> bytes:
    """Two data.pkl: the first for the scanner, the last for the loader."""
    first, second = local_header(PKL, honest_pickle()), local_header(PKL, EVIL)
    central = central_header(PKL, honest_pickle(), 0) + central_header(PKL, EVIL, len(first))
    return first + second + central + end_record(2, len(central), len(first) + len(second))


@attack("overlapping_member")
def overlapping_members() -> bytes:
    """Members that share bytes (zip bomb of the overlapping kind, David Fifield 2019)."""
    data = honest_pickle()
    local = local_header(PKL, data)
    central = central_header(PKL, data, 0) + central_header(PKL[:-1] + b"x", data, 0)
    return local + central + end_record(2, len(central), len(local))


@attack("two_directories")
def two_end_records() -> bytes:
    """A second end record within the first one's comment."""
    data = honest_pickle()
    local, central = local_header(PKL, data), central_header(PKL, data, 0)
    second = end_record(1, len(central), len(local))
    return local + central + end_record(1, len(central), len(local), comment=second)


@attack("directory_mismatch")
def fewer_entries_announced() -> bytes:
    """The end record announces fewer members than the directory has."""
    data = honest_pickle()
    local = local_header(PKL, data)
    central = central_header(PKL, data, 0) * 2
    return local + central + end_record(1, len(central), len(local))


@attack("trailing_data")
def bytes_after_the_end() -> bytes:
    """Bytes after the end record."""
    return honest_zip() + b"trailing" * 10


@attack("polyglot")
def pickle_before_zip() -> bytes:
    """A pickle in front of a zip: scanners find the zip, pickle.load the front."""
    return EVIL + honest_zip()


@attack("prepended_data")
def zip_before_zip() -> bytes:
    """A whole zip in front of another."""
    return honest_zip() + honest_zip()


@attack("odd_name")
def climbing_name() -> bytes:
    """A member that would unpack outside of its folder (zip slip)."""
    return torch_zip(honest_pickle(), extra=[("../../etc/passwd", b"x")])


@attack("odd_name")
def direction_override_name() -> bytes:
    """A name that shows itself backwards in a terminal."""
    return torch_zip(honest_pickle(), extra=[("archive/\u202egpj.exe", b"x")])


@attack("unreadable_checkpoint")
def unknown_compression() -> bytes:
    """A compression method that torch does not have."""
    data = honest_pickle()
    return _single(local_header(PKL, data, method=12), central_header(PKL, data, 0, method=12))


@attack("unreadable_checkpoint")
def stored_size_lie() -> bytes:
    """Stored, with two different sizes."""
    data = honest_pickle()
    return _single(local_header(PKL, data, size=1 << 20), central_header(PKL, data, 0, size=1 << 20))


@attack("unreadable_checkpoint")
def member_outside() -> bytes:
    """A member that starts past the end."""
    data = honest_pickle()
    return _single(local_header(PKL, data), central_header(PKL, data, 1 << 30))


@attack("unreadable_checkpoint")
def torn_zip() -> bytes:
    """An interrupted upload: no directory."""
    return honest_zip()[:-40]


@attack("damaged")
def torn_pickle() -> bytes:
    """A data.pkl that breaks off; what came before is read."""
    return torch_zip(pickled(b"}" + (text("0.weight") + tensor(4, 0, (2, 2), (2, 1)) + b"s") * 2)[:-30])


@attack("unreadable_checkpoint")
def zip_without_pickle() -> bytes:
    """A zip of something else."""
    return zipped([("readme.txt", b"hello")])


@attack("extra_pickle")
def extra_member_in_torch_zip() -> bytes:
    """A pickle that torch does not write."""
    return torch_zip(honest_pickle(), extra=[("archive/extra.pkl", pickled(b"}"))])


@attack("extra_member")
def extra_member_in_sb3_zip() -> bytes:
    """A member that Stable-Baselines3 does not write."""
    return zipped([("data", b"{}"), ("policy.pth", honest_zip()), ("x.pkl", pickled(b"}"))])


@attack("damaged")
def nested_zips() -> bytes:
    """A zip within a zip within a zip where one is expected."""
    inner = honest_zip()
    for _ in range(20):
        inner = zipped([("data", b"{}"), ("policy.pth", inner)])
    return inner


@attack("unreadable_checkpoint")
def gzip_file() -> bytes:
    """A gzip file named .pt."""
    return gzip.compress(beside_weights(b"N"))


@attack("unreadable_checkpoint")
def tar_file() -> bytes:
    """torch's format of version 0.1."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    return file.getvalue()


@attack("unreadable_checkpoint")
def empty_file() -> bytes:
    """Nothing at all."""
    return b""


@attack("unreadable_checkpoint")
def file_of_zeros() -> bytes:
    """A sparse file that was never filled."""
    return bytes(100_000)


@attack("unreadable_checkpoint")
def html_page() -> bytes:
    """A login page saved as a checkpoint."""
    return b"<!doctype html><html><body>Sign in</body></html>"


@attack("duplicate_member")
def duplicate_by_case() -> bytes:
    """torch's zip reader (miniz) ignores case, Python's does not."""
    return torch_zip(honest_pickle(), extra=[("archive/DATA.pkl", EVIL)])
