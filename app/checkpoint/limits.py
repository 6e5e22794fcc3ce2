"""What a reader may spend on one file, and the meter that spends it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from app.errors import LimitExceeded
from app.network.shape import DOCUMENTED

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True)
class ReadLimits:
    """Every budget of reading one checkpoint file.

    A file larger than `max_file_bytes` is refused with LimitExceeded. A limit that is passed inside a file
    whose kind is known ends the reading of that part: the report holds what was read until then and a
    finding `limit_exceeded` of high severity. Where nothing was read, LimitExceeded is raised.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    max_file_bytes: int = 64 * GIB
    """Size of the file itself; weights are not read, so this may be large."""
    max_members: int = 20_000
    """Entries of a zip's central directory, over all nested archives, or files of a folder."""
    max_directory_bytes: int = 16 * MIB
    """Size of a zip's central directory."""
    max_member_bytes: int = 64 * MIB
    """Decompressed size of one member that is read into memory whole, or what is held of one pickle in a file of its
    own: bytes of more than 64 KiB are passed over in it."""
    max_read_bytes: int = 256 * MIB
    """All bytes read into memory, decompressed ones included."""
    max_requests: int = 50_000
    """Reads of the file, each a range request where the file is remote."""
    max_ratio: int = 200
    """Decompressed bytes per compressed byte of a member of 64 KiB or more."""
    max_archives: int = 8
    """Archives within archives, the outer one included."""
    max_pickles: int = 256
    """Pickles that are walked."""
    max_opcodes: int = 1_000_000
    """Pickle opcodes over all pickles, items of data calls included, or fields of an ONNX model; a node of a graph
    counts as 20."""
    max_depth: int = 10_000
    """Open marks at once, which is how deep unfinished containers nest; sizes of one ONNX tensor."""
    max_stack: int = 500_000
    """Values on a pickle's stack, open marks included."""
    max_memo: int = 500_000
    """Entries of a pickle's memo."""
    max_string_bytes: int = 16 * MIB
    """One string of a pickle, or its bytes where they are not all there, or one list of numbers of an ONNX model."""
    max_int_bytes: int = 256
    """One integer of a pickle, in bytes or, where it is written as text, characters; JSON numbers may have 4,300
    digits at most."""
    max_tensors: int = 25_000
    """Tensors and arrays in the file, initialisers of an ONNX model included."""
    max_statistics_bytes: int = MIB
    """Values of a normaliser's running statistics, which are hashed for a comparison; more of them are not read."""
    max_header_bytes: int = 32 * MIB
    """A safetensors header, or all names of an ONNX model together."""
    max_json_bytes: int = 16 * MIB
    """A JSON document within a checkpoint, the graph of a .pt2 included."""
    max_json_values: int = 500_000
    """Values of a JSON document, counted by its commas and brackets before it is parsed."""
    max_shown_values: int = 20_000
    """Values of the configuration that a report shows; the rest is cut and said to be."""
    max_shown_depth: int = 32
    """Nesting of the configuration that a report shows."""
    max_shown_text: int = 4_096
    """Characters of one string that a report shows, of a class's dotted name, or of one name of an ONNX model."""
    max_findings: int = 200
    """Findings that a report lists; the most severe stay."""
    max_seconds: float = 20.0
    """Wall time of the reading; the SHA-256 is not counted."""


@dataclass(slots=True)
class Meter:
    """Counts what one reading has spent; every `spend` raises LimitExceeded past its limit."""

    limits: ReadLimits
    clock: Callable[[], float] = time.monotonic
    spent: dict[str, int] = field(default_factory=dict)
    deadline: float = 0.0

    def __post_init__(self) -> None:
        self.deadline = self.clock() + self.limits.max_seconds

    def spend(self, name: str, amount: int = 1) -> None:
        """Add `amount` to the running total of the limit `name`."""
        total = self.spent.get(name, 0) + amount
        self.check(name, total)
        self.spent[name] = total

    def check(self, name: str, actual: int) -> None:
        """Raise LimitExceeded if `actual` is more than the limit `name`."""
        limit = getattr(self.limits, name)
        if actual > limit:
            raise LimitExceeded(name, limit=limit, actual=actual)

    def check_time(self) -> None:
        """Raise LimitExceeded once the time is up."""
        now = self.clock()
        if now > self.deadline:
            most = self.limits.max_seconds
            raise LimitExceeded("max_seconds", limit=most, actual=round(now - self.deadline + most, 3))
