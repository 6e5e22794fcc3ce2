"""What a container reader hands on: the tree of values, and what is known of the storages behind it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from app.checkpoint.building import OPERATIONS, refuse_persistent, walk
from app.checkpoint.findings import Findings
from app.checkpoint.limits import Meter
from app.checkpoint.opcodes import Machine, PersistentLoad, Walk
from app.checkpoint.source import Source
from app.checkpoint.values import Tensor
from app.errors import CaliperError, LimitExceeded

ContainerFormat = Literal[
    "torch-zip",
    "torchscript",
    "torch-legacy",
    "torch-export",
    "stable-baselines3",
    "safetensors",
    "onnx",
    "pickle",
    "folder",
    "zip",
]


@dataclass(slots=True)
class Context:
    """What one reading shares: the meter, the findings, and what broke."""

    meter: Meter
    findings: Findings
    broken: list[CaliperError] = field(default_factory=list)
    settle: Callable[[], None] = lambda: None
    """Takes the looks now that would wait for the hash (passing.py)."""

    def is_dangerous(self) -> bool:
        """Whether a dangerous thing is in the file, by all looks that are to be taken at it."""
        try:
            self.settle()
        except CaliperError as error:
            self.note(error, "")
        return self.findings.any_high()

    def note(self, error: CaliperError, location: str) -> None:
        """Turn an error into a finding, so that the rest can still be read."""
        self.broken.append(error)
        is_limit = isinstance(error, LimitExceeded)
        code, severity = ("limit_exceeded", "high") if is_limit else ("damaged", "medium")
        self.findings.add(code, "high" if severity == "high" else "medium", location, error.detail)


@dataclass(slots=True)
class Contents:
    """The values in a file and the sizes of the records that hold its tensors."""

    format: ContainerFormat
    root: Any
    storages: dict[str, int] = field(default_factory=dict)
    """Bytes of the record behind each storage key."""
    scalar: Callable[[Tensor], bytes | None] = lambda _: None
    """The bytes of a tensor of at most 8 bytes, such as an optimizer's step."""
    read_values: Callable[[Sequence[Tensor]], list[bytes | None]] = lambda tensors: [None] * len(tensors)
    """The bytes of small contiguous tensors, little-endian; None for those that cannot be had."""
    external: dict[str, str] = field(default_factory=dict)
    """Storage key -> name of another file that holds its bytes."""
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Storage key -> where its raw bytes begin and end, in a container without named records."""
    stem: str = ""
    """The folder within a torch zip, which is repeated in the name of every record."""


def walk_pickles(
    source: Source, context: Context, location: str, persistent_load: PersistentLoad = refuse_persistent
) -> Walk:
    """Walk the pickle at the start of `source`, and judge what follows its end; returns the first one."""
    first = walk_one(source, 0, context, location, persistent_load)
    end = first.end
    if first.error is None and end < source.size:
        text = f"{source.size - end:,} bytes follow the pickle's end"
        context.findings.add("trailing_pickle", "medium", f"{location}@{end}", text)
    while first.error is None and end < source.size and source.read_at(end, 1)[0] in OPERATIONS:
        following = walk_one(source, end, context, location, persistent_load)
        if following.error is not None:
            break
        end = following.end
    return first


def walk_one(
    source: Source, start: int, context: Context, location: str, persistent_load: PersistentLoad
) -> Walk:
    """Walk one pickle from `start`; a break or a limit becomes a finding."""
    context.meter.spend("max_pickles")
    machine = Machine(source, context.meter, context.findings, location, OPERATIONS, persistent_load, start)
    result = walk(machine)
    if result.error is not None:
        context.note(result.error, location)
    return result
