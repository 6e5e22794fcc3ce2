"""The data calls: what torch, numpy and Python write into honest pickles, rebuilt by our own code.

Each function takes the machine and the arguments and returns the inert value, or MALFORMED where the
arguments are none that the real function would take.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

from app.checkpoint.bombs import check_keys
from app.checkpoint.names import STORAGE_DTYPES, standing
from app.checkpoint.opcodes import Machine
from app.checkpoint.values import Array, Bag, ByteRange, Made, Name, Storage, Symbol, Table, Tensor

MALFORMED: Final = object()
"""Stands for arguments that a call cannot have."""

Rebuild = Callable[[Machine, tuple[Any, ...]], Any]


def tensor(m: Machine, args: tuple[Any, ...]) -> Any:
    """torch._utils._rebuild_tensor(_v2, _v3): storage, offset, size, stride, requires_grad, hooks."""
    if len(args) < 4 or not isinstance(args[0], Storage) or not _is_size(args[1]):
        return MALFORMED
    shape, stride = sizes(args[2]), sizes(args[3])
    if shape is None or stride is None or len(shape) != len(stride):
        return MALFORMED
    if len(args) > 5 and not (args[5] is None or (isinstance(args[5], Table) and not args[5].pairs)):
        m.findings.add(
            "backward_hooks", "medium", m.here(), "a tensor carries backward hooks, which are code"
        )
    m.meter.spend("max_tensors")
    dtype = args[6].name if len(args) > 6 and isinstance(args[6], Name) else args[0].dtype
    return Tensor(args[0], dtype, shape, stride, args[1])


def parameter(_: Machine, args: tuple[Any, ...]) -> Any:
    """torch._utils._rebuild_parameter: the tensor that it wraps."""
    return args[0] if args and isinstance(args[0], Tensor) else MALFORMED


def tagged(_: Machine, args: tuple[Any, ...]) -> Any:
    """torch.jit._pickle.restore_type_tag: the value before its type's name."""
    return args[0] if len(args) == 2 and isinstance(args[1], str) else MALFORMED


def ordered_dict(m: Machine, args: tuple[Any, ...]) -> Any:
    """collections.OrderedDict and Counter, of nothing, a dict, or a list of pairs."""
    if not args:
        return Table()
    if isinstance(args[0], Table):
        return Table(list(args[0].pairs))
    if not isinstance(args[0], (list, tuple)):
        return MALFORMED
    m.meter.spend("max_opcodes", len(args[0]))
    if all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in args[0]):
        check_keys(m, [pair[0] for pair in args[0]])
        return Table([(pair[0], pair[1]) for pair in args[0]])
    return MALFORMED


def default_dict(m: Machine, args: tuple[Any, ...]) -> Any:
    """collections.defaultdict; its factory is a call that a later look-up makes."""
    if args and isinstance(args[0], Name) and standing(args[0]) != "library":
        m.findings.add("would_call", "high", m.here(), f"a defaultdict would call {args[0]} at a missing key")
    return ordered_dict(m, args[1:])


def listed(m: Machine, args: tuple[Any, ...]) -> Any:
    """list, tuple and collections.deque of what is listed."""
    items = args[0] if args else []
    if not isinstance(items, (list, tuple)):
        return MALFORMED
    m.meter.spend("max_opcodes", len(items))
    return list(items)


def bag(m: Machine, args: tuple[Any, ...]) -> Any:
    """Set and frozenset of what is listed."""
    items = listed(m, args)
    if not isinstance(items, list):
        return MALFORMED
    check_keys(m, items)
    return Bag(items)


def encoded(_: Machine, args: tuple[Any, ...]) -> Any:
    """_codecs.encode, with which protocol 2 writes bytes."""
    if len(args) == 2 and isinstance(args[0], str) and args[1] in ("latin1", "latin-1"):
        return args[0].encode("latin-1", "replace")
    return MALFORMED


def byte_array(m: Machine, args: tuple[Any, ...]) -> Any:
    """Bytearray and bytes, of nothing, bytes, or latin-1 text; a number asks for as many zeros."""
    if not args:
        return b""
    if _is_size(args[0]):
        if args[0] > _MOST_ZEROS:
            text = f"would allocate {args[0]:,} bytes of zeros"
            m.findings.add("huge_allocation", "high", m.here(), text)
        return bytes(min(args[0], _MOST_ZEROS))
    if isinstance(args[0], (bytes, ByteRange)):
        return args[0]
    return args[0].encode("latin-1", "replace") if isinstance(args[0], str) else MALFORMED


def inert(name: str) -> Rebuild:
    """A call of torch's own that makes a tensor of tensors: kept as it is, so that those in it are seen."""
    return lambda _, args: Made(Name("torch._utils", name), args)


def size(_: Machine, args: tuple[Any, ...]) -> Any:
    """torch.Size: a tuple of whole numbers."""
    found = sizes(args[0]) if args else ()
    return MALFORMED if found is None else found


def symbol(kind: str, separator: str = ":") -> Rebuild:
    """A small value whose arguments are all there is to it."""

    def make(_: Machine, args: tuple[Any, ...]) -> Symbol:
        texts = [a.hex() if isinstance(a, bytes) else str(a) for a in args[:8] if _is_small(a)]
        return Symbol(kind, separator.join(text[:256] for text in texts))

    return make


def numpy_dtype(_: Machine, args: tuple[Any, ...]) -> Any:
    """numpy.dtype, such as 'f4'; its byte order follows by BUILD and is little on every honest machine."""
    return Symbol("dtype", args[0][:64]) if args and isinstance(args[0], str) else MALFORMED


def array(_: Machine, args: tuple[Any, ...]) -> Any:
    """Numpy's _reconstruct: an empty array whose state follows by BUILD."""
    return Array() if args and isinstance(args[0], Name) and str(args[0]) == "numpy.ndarray" else MALFORMED


def array_from_buffer(_: Machine, args: tuple[Any, ...]) -> Any:
    """Numpy's _frombuffer: bytes, dtype, shape, order."""
    if len(args) < 3 or not isinstance(args[0], (bytes, ByteRange)) or not isinstance(args[1], Symbol):
        return MALFORMED
    shape = sizes(args[2])
    return MALFORMED if shape is None else Array(shape, args[1].text, args[0])


def scalar(_: Machine, args: tuple[Any, ...]) -> Any:
    """Numpy's scalar: a number where the dtype is a plain one, else an array without dimensions."""
    if len(args) != 2 or not isinstance(args[0], Symbol):
        return MALFORMED
    form = _FORMATS.get(args[0].text.lstrip("<=|"))
    if form and isinstance(args[1], bytes) and len(args[1]) == struct.calcsize(f"<{form}"):
        return struct.unpack(f"<{form}", args[1])[0]
    return Array((), args[0].text, args[1] if isinstance(args[1], (bytes, ByteRange)) else None)


def torch_storage(prefix: str) -> Callable[[Machine, Any], Any]:
    """The persistent load of a torch archive; `prefix` goes before each storage's key."""

    def load(m: Machine, pid: Any) -> Any:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            m.findings.add("persistent_id", "medium", m.here(), "a persistent id that is no torch storage")
            return Symbol("persistent id", "")
        _, kind, key, location, numel = pid[:5]
        dtype = (
            STORAGE_DTYPES.get(kind.name)
            if isinstance(kind, Name) and kind.module in _STORAGE_HOMES
            else None
        )
        if not dtype or not isinstance(key, str) or not _is_size(numel):
            m.findings.add(
                "persistent_id", "medium", m.here(), "a storage is declared in a form that torch never writes"
            )
            return Symbol("persistent id", "")
        return Storage(prefix + key, dtype, numel, location if isinstance(location, str) else "")

    return load


def sizes(value: Any) -> tuple[int, ...] | None:
    """A list or tuple of sizes, or None; at most 64 dimensions, which is torch's own limit."""
    if isinstance(value, (list, tuple)) and len(value) <= 64 and all(_is_size(item) for item in value):
        return tuple(value)
    return None


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_small(value: Any) -> bool:
    return isinstance(value, (str, bytes, int, float, bool))


_STORAGE_HOMES = frozenset({"torch", "torch.storage", "torch.cuda"})
_FORMATS = {
    "f4": "f",
    "f8": "d",
    "f2": "e",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "b1": "?",
}
_MOST_ZEROS = 1 << 10
_COMPOSED = (
    "_rebuild_sparse_tensor",
    "_rebuild_nested_tensor",
    "_rebuild_qtensor",
    "_rebuild_meta_tensor_no_storage",
)
_NUMPY_HOMES = ("numpy.core", "numpy._core")
_TIMES = ("datetime", "date", "time", "timedelta", "timezone")
_PATHS = ("Path", "PurePath", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")

DATA_CALLS: dict[str, Rebuild] = {
    "torch._utils._rebuild_tensor": tensor,
    "torch._utils._rebuild_tensor_v2": tensor,
    "torch._utils._rebuild_tensor_v3": tensor,
    "torch._utils._rebuild_parameter": parameter,
    "torch._utils._rebuild_parameter_with_state": parameter,
    **{f"torch._utils.{name}": inert(name) for name in _COMPOSED},
    "torch.Size": size,
    "torch.device": symbol("device"),
    "torch.serialization._get_layout": symbol("layout"),
    "torch.nn.parameter.UninitializedParameter": symbol("uninitialised parameter"),
    "torch.jit._pickle.restore_type_tag": tagged,
    "stable_baselines3.common.type_aliases.TrainFrequencyUnit": symbol("train frequency in"),
    "ray.rllib.algorithms.algorithm_config.TorchCompileWhatToCompile": symbol("what is compiled"),
    "collections.OrderedDict": ordered_dict,
    "collections.Counter": ordered_dict,
    "collections.defaultdict": default_dict,
    "collections.deque": listed,
    **{f"torch.jit._pickle.build_{kind}list": listed for kind in ("int", "double", "bool", "tensor")},
    "_codecs.encode": encoded,
    **{f"{home}.multiarray._reconstruct": array for home in _NUMPY_HOMES},
    **{f"{home}.multiarray.scalar": scalar for home in _NUMPY_HOMES},
    **{f"{home}.numeric._frombuffer": array_from_buffer for home in _NUMPY_HOMES},
    "numpy.dtype": numpy_dtype,
    "numpy.random._pickle.__generator_ctor": symbol("random generator"),
    "numpy.random._pickle.__bit_generator_ctor": symbol("random generator"),
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence": symbol("random generator"),
    "numpy.random._pickle.__randomstate_ctor": symbol("random generator"),
    **{f"datetime.{kind}": symbol(kind) for kind in _TIMES},
    **{f"pathlib.{kind}": symbol("path", "/") for kind in _PATHS},
    **{f"pathlib._local.{kind}": symbol("path", "/") for kind in _PATHS},
    "decimal.Decimal": symbol("decimal"),
    "fractions.Fraction": symbol("fraction"),
    "uuid.UUID": symbol("uuid"),
    **{f"{home}.{kind}": bag for home in ("builtins", "__builtin__") for kind in ("set", "frozenset")},
    **{f"{home}.{kind}": listed for home in ("builtins", "__builtin__") for kind in ("list", "tuple")},
    **{
        f"{home}.{kind}": byte_array
        for home in ("builtins", "__builtin__")
        for kind in ("bytes", "bytearray")
    },
    **{
        f"{home}.{kind}": symbol(kind)
        for home in ("builtins", "__builtin__")
        for kind in ("complex", "range", "xrange", "slice")
    },
}
"""Every callable whose call is data, by its dotted name."""

__all__ = ["DATA_CALLS", "MALFORMED", "torch_storage"]
