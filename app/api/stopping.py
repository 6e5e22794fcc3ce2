"""What an API process does between SIGTERM and its end: event streams are told to go on elsewhere, requests finish."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def told_to_stop(act: Callable[[], None]) -> Iterator[None]:
    """Have `act` called within the event loop at the first signal to stop, beside what the server does then.

    The server waits for open streams before it ends the app, so that the app's own end comes too late for them. Within a
    thread, where no signal arrives, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(act)
        if callable(before[number]):
            before[number](number, frame)

    for number in STOP_SIGNALS:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
