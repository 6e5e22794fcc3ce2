"""What stands in a safetensors file, as the format's own library writes it.

Format: https://huggingface.co/docs/safetensors. Eight bytes of header length, a JSON header padded with spaces
to a multiple of 8, the tensors: the widest dtype first, then by name.
"""

import json
from collections.abc import Mapping

from app.errors import InvalidInput
from app.network.disk.file_layout import Layout, TensorBytes
from app.network.disk.pickle_size import TensorSpec

CODES = {
    "int64": "I64",
    "float64": "F64",
    "complex64": "C64",
    "float32": "F32",
    "int32": "I32",
    "bfloat16": "BF16",
    "float16": "F16",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
"""dtype -> its code, in the library's order of writing (safetensors 0.8)."""

_ORDER = {dtype: place for place, dtype in enumerate(CODES)}


def safetensors_layout(
    tensors: Mapping[str, TensorSpec], metadata: Mapping[str, str] | None = None
) -> Layout:
    """The parts of the file that holds these tensors; `metadata` stands in `__metadata__`.

    Raises InvalidInput for a dtype that the format does not know.
    """
    ordered = sorted(tensors.items(), key=lambda item: (_rank(*item), item[0]))
    header = [f'"__metadata__":{_json(dict(metadata))}'] if metadata else []
    parts: list[TensorBytes] = []
    offset = 0
    for name, spec in ordered:
        header.append(f"{_json(name)}:{_entry(spec, offset)}")
        parts.append(TensorBytes(name, spec.nbytes))
        offset += spec.nbytes
    text = f"{{{','.join(header)}}}".encode()
    text += b" " * (-len(text) % 8)
    return (len(text).to_bytes(8, "little") + text, *parts)


def _entry(spec: TensorSpec, offset: int) -> str:
    shape = ",".join(map(str, spec.shape))
    place = f"{offset},{offset + spec.nbytes}"
    return f'{{"dtype":"{CODES[spec.dtype]}","shape":[{shape}],"data_offsets":[{place}]}}'


def _rank(name: str, spec: TensorSpec) -> int:
    if spec.dtype not in _ORDER:
        raise InvalidInput(
            f"{name}: safetensors knows no {spec.dtype}", hint=f"one of {', '.join(CODES)}", pointer=name
        )
    return _ORDER[spec.dtype]


def _json(value: str | dict[str, str]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
