"""The length of the `data.pkl` that torch.save writes for a tree of TensorSpecs, without torch.

The standard library's own pickler does the work, at protocol 2 as torch does; the classes and the function
below stand where torch's would, under the same names, and the text of their module is then exchanged in
the sum. So integer widths, memo references and batches of items are pickle's own, not an imitation.
"""

import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from app.errors import InvalidInput
from app.network.shape import count_values


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A leaf that stands for one contiguous CPU tensor which owns its storage."""

    shape: tuple[int, ...]
    """Size of each dimension; empty for a scalar."""
    dtype: str = "float32"
    """Name of the torch dtype, such as `float32` or `int64`."""

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor's values; raises InvalidInput for a dtype that torch.save has no storage for."""
        return count_values(self.shape) * _storage_kind(self.dtype)[1]


BINPERSID = b"Q"
"""Pickle's opcode that makes what was written last a persistent id."""


def pickle_bytes(tree: Any) -> tuple[int, list[TensorSpec]]:
    """Length of data.pkl for a canonical tree, and its tensors in the order of their records."""
    text, pickler = _dump(tree, _SpecPickler)
    exchanged = sum(
        len(real) - len(stand_in) for real, stand_in in map(_module_texts, pickler.stand_ins_written)
    )
    return len(text) + len(BINPERSID) * len(pickler.specs) + exchanged, pickler.specs


def torch_pickle(tree: Any) -> bytes:
    """The data.pkl itself, for a canonical tree without strings that hold a pickle's own text."""
    text, pickler = _dump(tree, _PersistentPickler)
    for stand_in in pickler.stand_ins_written:
        real, module = _module_texts(stand_in)
        name = stand_in.__name__
        text = text.replace(f"c{module}\n{name}\n".encode(), f"c{real}\n{name}\n".encode())
    return text


def _dump(tree: Any, kind: type["_SpecPickler"]) -> tuple[bytes, "_SpecPickler"]:
    buffer = io.BytesIO()
    pickler = kind(buffer)
    pickler.dump(tree)
    return buffer.getvalue(), pickler


def _rebuild_tensor_v2() -> None:
    """Stand for `torch._utils._rebuild_tensor_v2`."""


class BFloat16Storage:
    """Stand for the torch class of this name."""


class BoolStorage:
    """Stand for the torch class of this name."""


class ByteStorage:
    """Stand for the torch class of this name."""


class CharStorage:
    """Stand for the torch class of this name."""


class ComplexDoubleStorage:
    """Stand for the torch class of this name."""


class ComplexFloatStorage:
    """Stand for the torch class of this name."""


class DoubleStorage:
    """Stand for the torch class of this name."""


class FloatStorage:
    """Stand for the torch class of this name."""


class HalfStorage:
    """Stand for the torch class of this name."""


class IntStorage:
    """Stand for the torch class of this name."""


class LongStorage:
    """Stand for the torch class of this name."""


class ShortStorage:
    """Stand for the torch class of this name."""


STORAGES: dict[str, tuple[type, int]] = {
    "float32": (FloatStorage, 4),
    "float64": (DoubleStorage, 8),
    "float16": (HalfStorage, 2),
    "bfloat16": (BFloat16Storage, 2),
    "int64": (LongStorage, 8),
    "int32": (IntStorage, 4),
    "int16": (ShortStorage, 2),
    "int8": (CharStorage, 1),
    "uint8": (ByteStorage, 1),
    "bool": (BoolStorage, 1),
    "complex64": (ComplexFloatStorage, 8),
    "complex128": (ComplexDoubleStorage, 16),
}
"""dtype -> the storage class that torch names in the pickle, and bytes per value."""


@dataclass(frozen=True, slots=True, eq=False)
class _Storage:
    """The storage of one spec, on its way into a persistent id."""

    named: tuple[Any, ...]


class _SpecPickler(pickle.Pickler):
    """Pickles TensorSpecs with the opcodes that torch's pickler uses for tensors, but for one byte.

    A storage's persistent id stands there as the tuple that it is, without the opcode that makes it one: pickle then
    need not ask of every object whether it has such an id, which took nearly half of the time.
    """

    def __init__(self, buffer: io.BytesIO) -> None:
        super().__init__(buffer, protocol=2)
        self.specs: list[TensorSpec] = []
        self.stand_ins_written: set[Any] = set()

    def reducer_override(self, obj: Any) -> Any:
        """Reduce a spec to the arguments of _rebuild_tensor_v2, as Tensor.__reduce_ex__ does."""
        if type(obj) is OrderedDict and not obj:
            return OrderedDict, ()  # as its own __reduce__ says at length, once for each tensor
        if type(obj) is not TensorSpec:
            return NotImplemented
        self.stand_ins_written.add(_rebuild_tensor_v2)
        shape = (*obj.shape,)  # fresh, so that no two tensors share a tuple in pickle's memo
        return _rebuild_tensor_v2, (self._storage(obj), 0, shape, _strides(shape), False, OrderedDict())

    def _storage(self, spec: TensorSpec) -> Any:
        """Name a storage as torch does: ('storage', class, key, location, values)."""
        key = str(len(self.specs))
        self.specs.append(spec)
        kind = _storage_kind(spec.dtype)[0]
        self.stand_ins_written.add(kind)
        return ("storage", kind, key, "cpu", count_values(spec.shape))


class _PersistentPickler(_SpecPickler):
    """The same with the opcode."""

    def persistent_id(self, obj: Any) -> Any:
        """The name of a storage."""
        return obj.named if type(obj) is _Storage else None

    def _storage(self, spec: TensorSpec) -> Any:
        return _Storage(super()._storage(spec))


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= size or 1
    return tuple(reversed(strides))


def _module_texts(stand_in: Any) -> tuple[str, str]:
    return "torch._utils" if stand_in is _rebuild_tensor_v2 else "torch", __name__


def _storage_kind(dtype: str) -> tuple[type, int]:
    if dtype not in STORAGES:
        raise InvalidInput(f"unknown dtype {dtype!r}", hint=f"one of {', '.join(STORAGES)}", pointer="dtype")
    return STORAGES[dtype]
