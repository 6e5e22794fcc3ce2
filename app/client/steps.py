"""What takes several requests, told once for both clients: as steps, which the one does and the other awaits.

An operation is a generator. It yields a step, is sent the step's answer, or has its ServiceError thrown in, and
returns the result; it neither talks to the network nor waits by itself.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import httpx

from app.client.calls import Call
from app.client.errors import ServiceError

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait; the answer is None."""

    seconds: float
    """How long."""


@dataclass(frozen=True, slots=True)
class Work:
    """Do something that takes the disk a while; the answer is what it returns."""

    do: Callable[[], Any]
    """What is done."""


class Incoming(Protocol):
    """Where the bytes of an answer go."""

    def begin(self, response: httpx.Response) -> None:
        """The answer has begun."""
        ...

    def write(self, chunk: bytes) -> None:
        """Some of its bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Fetch:
    """Stream a call's answer into a file; the answer is None."""

    call: Call[bytes]
    """What is asked for."""
    into: Incoming
    """Where it goes."""


Step = Call[Any] | Pause | Work | Fetch
"""One step; a call's answer is its JSON value."""

Steps = Generator[Step, Any, Answer]
"""An operation of several steps."""


class Walk(Generic[Answer]):
    """An operation under way: `step` is what is to be done next, None once `result` stands."""

    result: Answer

    def __init__(self, steps: Steps[Answer]) -> None:
        self._steps = steps
        self.step: Step | None = None
        self._advance(lambda: next(steps))

    def go_on(self, answer: Any) -> None:
        """The step was done."""
        self._advance(lambda: self._steps.send(answer))

    def fail(self, error: ServiceError) -> None:
        """The step failed; raises the error where the operation does not know what to do about it."""
        self._advance(lambda: self._steps.throw(error))

    def _advance(self, move: Callable[[], Step]) -> None:
        try:
            self.step = move()
        except StopIteration as end:
            self.step, self.result = None, end.value
