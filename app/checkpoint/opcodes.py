"""The inert machine: walks a pickle's opcodes, protocols 0 to 5, and builds inert values.

It has a stack, marks and a memo of its own, and no import, no getattr and no call: a name stays a `Name`, and
what would be called becomes data by our own code in `calls.py` or stands as `Made` with a finding. It loops
and never recurses. Where a pickle breaks, `salvage` folds what was open into the value that was being built.
A window of the pickle is in memory, and large bytes are passed over (`ByteRange`), so its size does not matter.
Opcodes and their arguments: CPython's Lib/pickletools.py; the classes' order is that of its sections.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.checkpoint.findings import Findings
from app.checkpoint.limits import Meter
from app.checkpoint.source import Source
from app.checkpoint.values import ByteRange, Made, Table
from app.errors import CaliperError, UnreadableCheckpoint

Operation = Callable[["Machine"], None]
PersistentLoad = Callable[["Machine", Any], Any]

STOP = 0x2E
_TICK = 4_096
_LEAST_WINDOW, _MOST_WINDOW = 1 << 12, 1 << 18
"""Bytes that are read at once: few after bytes that were passed over, since more of them may follow, then twice as many
each time."""
_MOST_NEAR = 1 << 14
"""The most where a read costs no request: so little is read past a pickle's end."""
_MOST_HELD = 1 << 16
"""Bytes values that are longer are passed over."""


@dataclass(slots=True)
class Machine:
    """One pickle being walked; `operations` is the table of opcodes, positions are those of the source."""

    source: Source
    meter: Meter
    findings: Findings
    location: str
    operations: dict[int, Operation]
    persistent_load: PersistentLoad
    position: int = 0
    protocol: int = 0
    stack: list[Any] = field(default_factory=list)
    marks: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    measured: dict[int, tuple[int, int, Any]] = field(default_factory=dict)
    depth: int = 0
    opcode_at: int = 0
    frame_end: int = 0
    window: bytes = b""
    window_at: int = 0
    ahead: int = _LEAST_WINDOW
    held: int = 0

    def run(self) -> Any:
        """Walk to STOP and return the value; raises UnreadableCheckpoint or LimitExceeded."""
        steps = 0
        while True:
            self.opcode_at = self.position
            opcode = self.take(1)[0]
            steps += 1
            if steps == _TICK:
                steps = self._tick(steps)
            if opcode == STOP:
                self.meter.spend("max_opcodes", steps)
                return self.pop()
            operation = self.operations.get(opcode)
            if operation is None:
                raise self.broken(f"0x{opcode:02x} is no pickle opcode")
            operation(self)

    def _tick(self, steps: int) -> int:
        self.meter.spend("max_opcodes", steps)
        self.meter.check_time()
        self.meter.check("max_stack", len(self.stack) + self.depth)
        self.meter.check("max_memo", len(self.memo))
        return 0

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        start = self.position - self.window_at
        if length < 0 or start + length > len(self.window):
            self._check_there(length)
            start = self._refill(length)
        end = self.position + length
        if self.position < self.frame_end < end:
            self._straddle()
        self.position = end
        return self.window[start : start + length]

    def take_bytes(self, length: int) -> "bytes | ByteRange":
        """The next `length` bytes as a value; long ones are passed over unread, only their place is kept."""
        if length <= _MOST_HELD:
            return self.take(length)
        self._check_there(length)
        passed = ByteRange(self.position, length)
        if self.position < self.frame_end < self.position + length:
            self._straddle()
        self.position += length
        self.ahead = _LEAST_WINDOW
        return passed

    def _check_there(self, length: int) -> None:
        left = self.source.size - self.position
        if length < 0 or length > left:
            raise self.broken(f"{length:,} bytes are announced, {left:,} are left")

    def _refill(self, length: int) -> int:
        """Read a window from the present position, of `length` bytes or more; where in it that is."""
        most = min(max(length, self.ahead), self.source.size - self.position)
        self.ahead = min(2 * self.ahead, _MOST_NEAR if self.source.is_local else _MOST_WINDOW)
        self.held += most
        self.meter.check("max_member_bytes", self.held)
        self.window, self.window_at = self.source.read_at(self.position, most), self.position
        return 0

    def open_frame(self, length: int) -> None:
        """Note where a frame ends; it may neither pass the end nor begin within another."""
        if length > self.source.size - self.position:
            raise self.broken(f"a frame of {length:,} bytes passes the end")
        if self.position < self.frame_end:
            self._straddle()
        self.frame_end = self.position + length

    def _straddle(self) -> None:
        text = (
            "an opcode passes the end of its frame: readers differ in which bytes they take (CPython #154848)"
        )
        self.findings.add("frame_mismatch", "high", self.here(), text)

    def take_text(self, length: int) -> bytes:
        """The next `length` bytes as the content of a string."""
        self.meter.check("max_string_bytes", length)
        return self.take(length)

    def take_line(self) -> bytes:
        """The bytes up to a newline, which is passed over."""
        start = self.position - self.window_at
        end = self.window.find(b"\n", start)
        while end < 0:
            seen = len(self.window) - start
            self.meter.check("max_string_bytes", seen)
            if self.position + seen >= self.source.size:
                raise self.broken("a line has no end")
            start = self._refill(2 * seen)
            end = self.window.find(b"\n", seen)
        length = end - start
        self.meter.check("max_string_bytes", length)
        if self.position < self.frame_end <= self.position + length:
            self._straddle()
        self.position += length + 1
        return self.window[start:end]

    def take_uint(self, length: int) -> int:
        """The next bytes as an unsigned little-endian number."""
        return int.from_bytes(self.take(length), "little")

    def push(self, value: Any) -> None:
        """Put a value on top; taking it may have changed which stack is the present one."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take the top value."""
        if not self.stack:
            raise self.broken("the stack is empty")
        return self.stack.pop()

    def top(self) -> Any:
        """Look at the top value."""
        if not self.stack:
            raise self.broken("the stack is empty")
        return self.stack[-1]

    def mark(self) -> None:
        """Open a mark."""
        self.meter.check("max_depth", len(self.marks) + 1)
        self.depth += len(self.stack) + 1
        self.marks.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        """Take all values above the last mark, and the mark."""
        if not self.marks:
            raise self.broken("no mark is open")
        items, self.stack = self.stack, self.marks.pop()
        self.depth -= len(self.stack) + 1
        return items

    def broken(self, why: str) -> UnreadableCheckpoint:
        """The error that names what broke and the byte of the opcode."""
        return UnreadableCheckpoint(f"{self.here()}: {why}", pointer=self.here())

    def here(self) -> str:
        """The place of the present opcode."""
        return f"{self.location}@{self.opcode_at}"

    def salvage(self) -> Any:
        """Fold everything that is open into the outermost value; None where there is nothing."""
        while self.marks:
            items = self.pop_mark()
            self._fold(items)
        return self.stack[0] if self.stack else None

    def _fold(self, items: list[Any]) -> None:
        target = self.stack[-1] if self.stack else None
        if isinstance(target, Table):
            target.pairs.extend(zip(items[::2], items[1::2], strict=False))
        elif isinstance(target, Made) and items:
            target.items.extend(items)
        elif isinstance(target, list):
            target.extend(items)
        elif items:
            self.stack.append(items[0] if len(items) == 1 else items)


@dataclass(slots=True)
class Walk:
    """The result of walking one pickle: its value, whole or salvaged, and where it ended."""

    value: Any
    end: int
    error: CaliperError | None
    protocol: int
