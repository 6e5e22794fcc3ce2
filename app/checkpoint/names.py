"""What a name in a pickle means to a reader that never looks it up.

The rule is an allowlist. A name is either data that `calls.py` rebuilds itself, or a class of a library that
writes checkpoints, or it is strange: its mention is then `low`, and calling it `high`. Anything of Python's own
library that is not listed as data is `high` even when merely named, since no checkpoint needs it.
"""

import sys
from _compat_pickle import IMPORT_MAPPING
from typing import Literal

from app.checkpoint.values import Name

Standing = Literal["library", "unknown", "dangerous"]

LIBRARY_CLASSES: tuple[str, ...] = (
    "torch.nn.modules.",
    "torch.nn.parameter.",
    "torch.optim.",
    "torch.distributions.",
    "torch.torch_version.",
    "numpy.random.",
    "stable_baselines3.",
    "sb3_contrib.",
    "gymnasium.spaces.",
    "gym.spaces.",
    "rsl_rl.",
    "skrl.",
    "rl_games.",
    "sample_factory.",
    "elegantrl.",
    "pufferlib.",
    "ray.rllib.",
    "packaging.version.",  # the version of RLlib's older files
    "app.network.",
    "worker.ppo.",
    "__torch__.",
)
"""Modules whose classes a checkpoint may name or be made of; their functions are still not to be called."""

LIBRARY_NAMES: frozenset[str] = frozenset(
    {
        "torch.Size",
        "torch.device",
        "torch.dtype",
        "torch.Tensor",
        "torch._C.Generator",
        "torch.strided",
        "torch.sparse_coo",
        "numpy.ndarray",
        "numpy.dtype",
        "numpy.matrix",
        *(f"numpy.{kind}" for kind in ("bool", "bool_", "float16", "float32", "float64")),
        *(f"numpy.{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.deque",
        "collections.Counter",
        # What every AlgorithmConfig of RLlib names where nothing else is chosen.
        "ray.rllib.algorithms.algorithm_config.AlgorithmConfig.DEFAULT_POLICY_MAPPING_FN",
    }
)
"""Names outside those modules that may be mentioned."""

PLAIN_BUILTINS: frozenset[str] = frozenset(
    [
        "object",
        "bool",
        "int",
        "long",
        "unicode",
        "float",
        "complex",
        "str",
        "bytes",
        "bytearray",
        "list",
        "tuple",
        "dict",
        "set",
        "frozenset",
        "range",
        "slice",
    ]
)
"""Builtins that are data types and may be mentioned."""

TORCH_DTYPES: dict[str, int] = {
    **dict.fromkeys(("bool", "uint8", "int8", "qint8", "quint8"), 1),
    **dict.fromkeys(
        ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"), 1
    ),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 2),
    **dict.fromkeys(("int32", "uint32", "float32", "qint32", "complex32"), 4),
    **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 8),
    "complex128": 16,
}
"""Bytes of one value of each torch dtype."""

STORAGE_DTYPES: dict[str, str] = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "UntypedStorage": "uint8",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
}
"""The dtype of each storage class that a pickle may name."""

_SAFE_STDLIB_CLASSES = frozenset(
    {
        "datetime.datetime",
        "datetime.date",
        "datetime.time",
        "datetime.timedelta",
        "datetime.timezone",
        "pathlib.Path",
        "pathlib.PurePath",
        "pathlib.PosixPath",
        "pathlib.WindowsPath",
        "pathlib.PurePosixPath",
        "pathlib.PureWindowsPath",
        "pathlib._local.PosixPath",
        "pathlib._local.Path",
        "decimal.Decimal",
        "fractions.Fraction",
        "uuid.UUID",
        "argparse.Namespace",
        "types.SimpleNamespace",
        "dataclasses._MISSING_TYPE",
    }
)
_RISKY_LIBRARY = frozenset(
    [
        "torch",
        "numpy",
        "scipy",
        "pandas",
        "joblib",
        "cloudpickle",
        "dill",
        "pip",
        "setuptools",
        "_pytest",
        "pytest",
        "numba",
        "sklearn",
    ]
)
_BUILTIN_MODULES = frozenset({"builtins", "__builtin__"})
_PYTHON2_MODULES = frozenset(module.partition(".")[0] for module in IMPORT_MAPPING)
"""Old names that pickle maps to Python 3's: `commands` becomes subprocess, `__builtin__` builtins."""
_FAMILIAR_MAINS = frozenset({"__main__", "__mp_main__"})


def standing(name: Name) -> Standing:
    """How far a mere mention of this name can be trusted."""
    parts = name.name.split(".")
    if any(part in _DANGEROUS_ATTRIBUTES for part in parts):
        return "dangerous"
    if _is_listed(name) or (_is_class(name.name) and f"{name.module}.".startswith(LIBRARY_CLASSES)):
        return "library"
    root = name.module.partition(".")[0]
    is_stdlib = root in sys.stdlib_module_names or root in _PYTHON2_MODULES
    return "dangerous" if is_stdlib and name.module not in _FAMILIAR_MAINS else "unknown"


def _is_listed(name: Name) -> bool:
    if name.module in _BUILTIN_MODULES:
        return name.name in PLAIN_BUILTINS
    if name.module == "torch" and (name.name in TORCH_DTYPES or name.name in STORAGE_DTYPES):
        return True
    return str(name) in LIBRARY_NAMES or str(name) in _SAFE_STDLIB_CLASSES


def _is_class(name: str) -> bool:
    return name[:1].isupper() and "." not in name


_DANGEROUS_ATTRIBUTES = frozenset(
    [
        "os",
        "sys",
        "subprocess",
        "posix",
        "nt",
        "importlib",
        "builtins",
        "eval",
        "exec",
        "system",
        "popen",
        "__import__",
        "__globals__",
        "__builtins__",
        "__subclasses__",
        "__reduce__",
        "__getattribute__",
        "__class__",
        "__dict__",
        "__code__",
        "__call__",
    ]
)
"""Parts of a dotted name that lead out of a class and into the interpreter."""
