"""How the hostile files are put together: opcodes as bytes, zips by hand, and the list of all attacks."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

CANARY = "CALIPER_CANARY"
"""Name of the environment variable, and start of the file, that an executed payload would leave."""

LEFT = f"{CANARY}_was_here"
COMMAND = f"touch {LEFT}"
"""A shell command that leaves the canary in the working directory."""

CODE = f"open('{LEFT}', 'w').close()"
"""The same as a Python expression."""


@dataclass(frozen=True, slots=True)
class Attack:
    """A hostile file and the verdict that it must get."""

    name: str
    build: Callable[[], bytes]
    expect: str
    """Code of a finding, or of the error that is raised."""


ATTACKS: list[Attack] = []


def attack(expect: str) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    """Register a builder with the finding or error code that it must cause."""

    def register(build: Callable[[], bytes]) -> Callable[[], bytes]:
        ATTACKS.append(Attack(build.__name__, build, expect))
        return build

    return register


def text(value: str) -> bytes:
    """BINUNICODE, which torch's weights_only reader knows too."""
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def stack_name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + b"\x93"


def tuple_of(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def called(module: str, attribute: str, *args: bytes) -> bytes:
    return name(module, attribute) + tuple_of(*args) + b"R"


def dotted(module: str, qualname: str, *args: bytes) -> bytes:
    """A call by STACK_GLOBAL, which follows dots from protocol 4 on."""
    return stack_name(module, qualname) + tuple_of(*args) + b"R"


def state_dict_of(value: bytes, protocol: int = 4) -> bytes:
    """A torch zip whose state dict holds the attack beside a tensor."""
    body = b"}" + text("0.weight") + tensor(4, 0, (2, 2), (2, 1)) + b"s" + text("1.bias") + value + b"s"
    return torch_zip(pickled(body, protocol))


def raw_bytes(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def listed(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"l"


def pickled(body: bytes, protocol: int = 2) -> bytes:
    return b"\x80" + bytes([protocol]) + body + b"."


def beside_weights(value: bytes) -> bytes:
    """A state dict with an honest-looking key whose value is the attack."""
    return pickled(b"}" + text("weight") + value + b"s")


def storage(numel: int, key: str = "0", kind: str = "FloatStorage") -> bytes:
    return tuple_of(text("storage"), name("torch", kind), text(key), text("cpu"), number(numel)) + b"Q"


def tensor(numel: int, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], key: str = "0") -> bytes:
    sizes = tuple_of(*(number(n) for n in shape)), tuple_of(*(number(n) for n in stride))
    hooks = called("collections", "OrderedDict")
    args = (storage(numel, key), number(offset), *sizes, b"\x89", hooks)
    return called("torch._utils", "_rebuild_tensor_v2", *args)


def zipped(members: list[tuple[str, bytes]], compress: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compress) as archive:
        for member, data in members:
            info = zipfile.ZipInfo(member)
            info.compress_type = compress
            archive.writestr(info, data)
    return file.getvalue()


def torch_zip(data_pkl: bytes, *, numel: int = 4, extra: list[tuple[str, bytes]] | None = None) -> bytes:
    members = [
        ("archive/data.pkl", data_pkl),
        ("archive/byteorder", b"little"),
        ("archive/data/0", bytes(4 * numel)),
    ]
    return zipped([*members, ("archive/version", b"3\n"), *(extra or [])])


def honest_pickle() -> bytes:
    return pickled(b"}" + text("0.weight") + tensor(4, 0, (2, 2), (2, 1)) + b"s")


def honest_zip() -> bytes:
    return torch_zip(honest_pickle())


def local_header(
    member: bytes, data: bytes, *, flags: int = 0, method: int = 0, size: int | None = None
) -> bytes:
    length = len(data) if size is None else size
    fields = (20, flags, method, 0, 0, zlib.crc32(data), len(data), length, len(member), 0)
    return b"PK\x03\x04" + struct.pack("<5H3I2H", *fields) + member + data


def central_header(
    member: bytes, data: bytes, offset: int, *, flags: int = 0, method: int = 0, size: int | None = None
) -> bytes:
    length = len(data) if size is None else size
    fields = (
        20,
        20,
        flags,
        method,
        0,
        0,
        zlib.crc32(data),
        len(data),
        length,
        len(member),
        0,
        0,
        0,
        0,
        0,
        offset,
    )
    return b"PK\x01\x02" + struct.pack("<6H3I5H2I", *fields) + member


def end_record(entries: int, size: int, start: int, comment: bytes = b"") -> bytes:
    return b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, entries, entries, size, start, len(comment)) + comment
