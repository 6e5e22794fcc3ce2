"""How far an upload or a download is, on stderr: a live bar in a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.live import Live
from rich.text import Text

from app.cli import figures, terminal

LINE_SECONDS = 5.0
"""Least time between two plain lines."""

BAR_WIDTH = 24

SMALL_BYTES = 4 << 20
"""What is smaller is there before a bar would help anybody."""


class TransferProgress:
    """Shows the bytes that have arrived; a context manager, which says what is `kept` where Ctrl-C ends it."""

    def __init__(self, name: str, kept: str = "") -> None:
        self._name = terminal.plain(name)
        self._kept = kept
        self._console = terminal.err()
        self._live: Live | None = None
        self._said_at: float | None = None
        self._began: tuple[float, int] | None = None
        self._received = self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        if isinstance(error, KeyboardInterrupt):
            terminal.say(self.parting)

    @property
    def parting(self) -> str:
        """What to say where the user breaks it off."""
        if not self._size or not self._kept:
            return "stopped"
        arrived = figures.short_size(self._received)
        return f"stopped after {arrived}; {self._kept}: the same command goes on from there"

    def show(self, received: int, size: int) -> None:
        """Take note that so many bytes have arrived."""
        self._received, self._size = received, size
        self._began = self._began or (time.monotonic(), received)
        if size < SMALL_BYTES:
            return
        if terminal.is_live(self._console):
            if self._live is None:
                self._live = Live(console=self._console, refresh_per_second=8)
                self._live.start()
            self._live.update(self._line(), refresh=True)
        elif self._is_due():
            terminal.say(self._line().plain)

    def _is_due(self) -> bool:
        now = time.monotonic()
        due = self._said_at is None or now - self._said_at >= LINE_SECONDS or self._received == self._size
        self._said_at = now if due else self._said_at
        return due

    def _line(self) -> Text:
        share = self._received / max(1, self._size)
        filled = figures.bar(share, BAR_WIDTH)
        sizes = f"{figures.short_size(self._received)} of {figures.short_size(self._size)}"
        line = Text.assemble((filled, "cyan"), ("╌" * (BAR_WIDTH - len(filled)), "dim"))
        return line.append(f" {share:4.0%}  {sizes}{self._left()}  {self._name}")

    def _left(self) -> str:
        """The time left at the speed so far; nothing before there is one."""
        began, first = self._began or (0.0, 0)
        seconds, sent = time.monotonic() - began, self._received - first
        if sent <= 0 or seconds <= 0 or self._received == self._size:
            return ""
        return f", {figures.duration((self._size - self._received) * seconds / sent)} left"
