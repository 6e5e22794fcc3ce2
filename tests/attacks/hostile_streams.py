"""Legacy streams, nested containers, JSON and safetensors headers that lie, hide or exhaust."""

import base64
import gzip
import io
import json
import pickle
import struct
import zipfile

from tests.attacks.builders import (
    CODE,
    COMMAND,
    attack,
    called,
    honest_pickle,
    honest_zip,
    number,
    pickled,
    storage,
    text,
    torch_zip,
    tuple_of,
    zipped,
)

MAGIC = 0x1950A86A20F9469CFC6C
EVIL = called("posix", "system", text(COMMAND))


def view(numel: int = 4, shape: int = 4, key: str = "7") -> bytes:
    """A tensor as the legacy stream writes it: its persistent id has a sixth part, the view."""
    args = (
        storage(numel, key).replace(b"tQ", b"NtQ"),
        number(0),
        tuple_of(number(shape)),
        tuple_of(number(1)),
    )
    return called("torch._utils", "_rebuild_tensor_v2", *args, b"\x89", called("collections", "OrderedDict"))


def legacy(
    value: bytes | None = None, *, protocol: bytes = b"M\xe9\x03", system: bytes = b"}", keys: bytes | None = None,
    storages: bytes | None = None,
) -> bytes:  # fmt: skip
    """A stream of torch before 1.6: magic number, protocol, system, object, keys, storages."""
    tree = b"}" + text("0.weight") + view() + b"s" if value is None else value
    named = b"(" + text("7") + b"l" if keys is None else keys
    data = struct.pack("<Q", 4) + bytes(16) if storages is None else storages
    parts = (pickled(protocol), pickled(system), pickled(tree), pickled(named))
    return pickle.dumps(MAGIC, 2) + b"".join(parts) + data


@attack("ok")
def honest_legacy() -> bytes:
    """An honest stream by the same builder: what is flagged below is flagged for its change."""
    return legacy()


@attack("would_call")
def legacy_object_calls() -> bytes:
    """The payload stands in the object."""
    return legacy(b"}" + text("w") + EVIL + b"s")


@attack("would_call")
def legacy_protocol_calls() -> bytes:
    """The payload stands where the protocol's number is expected."""
    return legacy(protocol=EVIL)


@attack("would_call")
def legacy_system_calls() -> bytes:
    """The payload stands in the description of the system."""
    return legacy(system=b"}" + text("little_endian") + EVIL + b"s")


@attack("would_call")
def legacy_keys_call() -> bytes:
    """The payload stands in the list of storage keys."""
    return legacy(keys=b"(" + EVIL + b"l")


@attack("storage_size")
def legacy_count_lies() -> bytes:
    """A storage that counts 2^62 values."""
    return legacy(storages=struct.pack("<Q", 1 << 62) + bytes(16))


@attack("storage_size")
def legacy_negative_count() -> bytes:
    """A count of -1, read as signed by torch."""
    return legacy(storages=struct.pack("<q", -1) + bytes(16))


@attack("damaged")
def legacy_torn_storages() -> bytes:
    """The stream ends before its storages."""
    return legacy(storages=b"\4\0")


@attack("storage_mismatch")
def legacy_key_unknown() -> bytes:
    """A storage that no tensor names."""
    return legacy(keys=b"(" + text("8") + b"l")


@attack("storage_mismatch")
def legacy_key_twice() -> bytes:
    """One storage listed twice: the second overwrites the first."""
    return legacy(keys=b"(" + text("7") * 2 + b"l", storages=(struct.pack("<Q", 4) + bytes(16)) * 2)


@attack("trailing_data")
def legacy_trailing() -> bytes:
    """A pickle behind the last storage."""
    return legacy() + pickled(EVIL)


@attack("polyglot")
def legacy_and_zip() -> bytes:
    """A legacy stream in front, a zip at the end: torch and scanners take different ones."""
    return legacy() + honest_zip()


@attack("would_call")
def torch_zip_within_a_torch_zip() -> bytes:
    """A member .pt that is a zip of its own."""
    return torch_zip(honest_pickle(), extra=[("archive/extra.pt", torch_zip(pickled(EVIL)))])


@attack("would_call")
def deflated_member_is_a_pickle() -> bytes:
    """The payload is in a compressed member without a telling name."""
    file = io.BytesIO(honest_zip())
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/readme", pickled(EVIL + b"0" + b"N0" * 400 + b"N"))
    return file.getvalue()


@attack("unreadable_checkpoint")
def gzip_of_a_pickle() -> bytes:
    """A compressed pickle, which joblib loads."""
    return gzip.compress(pickled(EVIL))


@attack("unreadable_checkpoint")
def numpy_file_of_objects() -> bytes:
    """A .npy of objects: its data are a pickle (CVE-2019-6446)."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + pickled(EVIL)


def _sb3(data: object, *more: tuple[str, bytes]) -> bytes:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return zipped([("data", raw), ("policy.pth", honest_zip()), *more])


def _entry(pickle_: bytes) -> dict[str, str]:
    return {":type:": "<class 'x'>", ":serialized:": base64.b64encode(pickle_).decode()}


@attack("would_call")
def sb3_nested_entry() -> bytes:
    """The base64 pickle stands one object deeper than Stable-Baselines3 writes it."""
    return _sb3({"policy_kwargs": {"net_arch": _entry(pickled(EVIL))}})


@attack("would_call")
def sb3_entry_after_entry() -> bytes:
    """Two pickles in one entry: the second calls."""
    return _sb3({"lr": _entry(pickled(b"N") + pickled(EVIL))})


@attack("would_call")
def sb3_entry_with_line_breaks() -> bytes:
    """base64 with characters that decoders skip."""
    packed = base64.b64encode(pickled(EVIL)).decode()
    return _sb3({"lr": {":serialized:": "\n".join(packed)}})


@attack("would_call")
def sb3_policy_is_a_pickle() -> bytes:
    """policy.pth as a bare pickle: torch.load takes the legacy path."""
    return zipped([("data", b"{}"), ("policy.pth", pickled(EVIL))])


@attack("would_call")
def sb3_optimizer_calls() -> bytes:
    """The payload stands in the optimizer's zip."""
    return _sb3({}, ("policy.optimizer.pth", torch_zip(pickled(b"}" + text("state") + EVIL + b"s"))))


@attack("would_call")
def sb3_variables_call() -> bytes:
    """pytorch_variables.pth, which old versions load too."""
    return _sb3({}, ("pytorch_variables.pth", torch_zip(pickled(EVIL))))


@attack("would_call")
def cloudpickled_schedule() -> bytes:
    """A schedule as cloudpickle writes it: bytecode that the first call of it runs."""
    made = called("cloudpickle.cloudpickle", "_builtin_type", text("LambdaType"))
    return _sb3({"lr_schedule": _entry(pickled(made))})


@attack("damaged")
def json_of_many_braces() -> bytes:
    """JSON objects nested 100,000 deep."""
    return _sb3(b'{"a":' * 100_000)


@attack("damaged")
def json_exponent() -> bytes:
    """A JSON document with bytes that are no UTF-8."""
    return _sb3(b'{"a": "\xff\xfe"}')


@attack("limit_exceeded")
def json_of_17_megabytes() -> bytes:
    """A JSON string larger than the limit."""
    return _sb3(b'{"a": "' + b"x" * (17 << 20) + b'"}')


@attack("limit_exceeded")
def json_of_many_lists() -> bytes:
    """Five million empty lists in 15 MB: half a gigabyte once parsed."""
    return _sb3(b'{"a": [' + b"[]," * 5_000_000 + b"[]]}")


@attack("limit_exceeded")
def json_of_many_archives() -> bytes:
    """A dozen zips within the zip."""
    return _sb3({}, *((f"more{at}.pth", honest_zip()) for at in range(12)))


def _safetensors(header: bytes | object, data: bytes = bytes(16)) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def _f32(**changed: object) -> dict[str, object]:
    return {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], **changed}


@attack("unreadable_checkpoint")
def safetensors_deep_header() -> bytes:
    """A header nested 200,000 deep."""
    return _safetensors(b'{"a":' * 200_000)


@attack("unreadable_checkpoint")
def safetensors_unknown_dtype() -> bytes:
    """A dtype that does not exist."""
    return _safetensors({"a": _f32(dtype="F99")})


@attack("unreadable_checkpoint")
def safetensors_shape_overflow() -> bytes:
    """A shape whose product passes 63 bits."""
    return _safetensors({"a": _f32(shape=[1 << 40, 1 << 40, 4])})


@attack("unreadable_checkpoint")
def safetensors_negative_shape() -> bytes:
    """A negative size."""
    return _safetensors({"a": _f32(shape=[-4])})


@attack("unreadable_checkpoint")
def safetensors_float_shape() -> bytes:
    """A size with a decimal point."""
    return _safetensors({"a": _f32(shape=[4.0])})


@attack("tensor_layout")
def safetensors_past_the_end() -> bytes:
    """Offsets past the end of the file."""
    return _safetensors({"a": _f32(shape=[1 << 30], data_offsets=[0, 1 << 32])})


@attack("tensor_layout")
def safetensors_trailing_payload() -> bytes:
    """A pickle behind the last tensor."""
    return _safetensors({"a": _f32()}, bytes(16) + pickled(EVIL))


@attack("polyglot")
def safetensors_and_zip() -> bytes:
    """A zip behind the header, with a comment, so that its end record is not the file's last bytes."""
    hidden = honest_zip()[:-2] + struct.pack("<H", 5) + b"hello"
    return _safetensors({"a": _f32()}, bytes(16) + hidden)


@attack("limit_exceeded")
def safetensors_many_tensors() -> bytes:
    """A hundred and fifty thousand empty tensors."""
    entry = b'{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    return _safetensors(b"{" + b",".join(b'"%d":%s' % (at, entry) for at in range(150_000)) + b"}", b"")


@attack("would_call")
def protocol_zero_without_a_signature() -> bytes:
    """A pickle of protocol 0 that begins with a string: no first bytes tell it."""
    return b"S'weights'\n0(S'" + CODE.replace("'", '"').encode() + b"'\nibuiltins\neval\n."
