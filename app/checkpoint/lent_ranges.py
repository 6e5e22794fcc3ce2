"""Byte ranges lent to a child process over a socket: the child reads a remote file and has no network of its own.

A question is an offset and a length, 8 bytes each; the answer a length and so many bytes, or REFUSED, after which the
child is told no more: the error itself stays with the parent.
"""

import socket
import struct
import threading
from types import TracebackType
from typing import Self

from app.checkpoint.source import RangeReader
from app.errors import CaliperError, UnreadableCheckpoint

_QUESTION, _ANSWER = struct.Struct("<QQ"), struct.Struct("<Q")
_REFUSED = (1 << 64) - 1
_MOST_BYTES = 1 << 30
"""Longest range that is answered: what the child may read in all is less."""


class LentRanges:
    """Answers a child's questions in a thread while the block lasts; `theirs` is the child's end."""

    def __init__(self, reader: RangeReader) -> None:
        self._reader = reader
        self._ours, self.theirs = socket.socketpair()
        self._thread = threading.Thread(target=self._answer_all, name="caliper-ranges", daemon=True)
        self.error: CaliperError | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.theirs.close()  # the child has ended: the last end is closed, and the thread hears of it
        self._thread.join()
        self._ours.close()

    def _answer_all(self) -> None:
        try:
            while question := _receive(self._ours, _QUESTION.size):
                self._answer(*_QUESTION.unpack(question))
        except OSError:
            return  # the child is gone

    def _answer(self, offset: int, length: int) -> None:
        try:
            if length > _MOST_BYTES:
                raise UnreadableCheckpoint("a range of more than 1 GiB is asked for")
            data = self._reader.read(offset, length)
        except CaliperError as error:
            self.error = error
            self._ours.sendall(_ANSWER.pack(_REFUSED))
        else:
            self._ours.sendall(_ANSWER.pack(len(data)) + data)


def borrow_ranges(descriptor: int, size: int) -> RangeReader:
    """In the child: the file of so many bytes behind the socket."""
    connection = socket.socket(fileno=descriptor)

    def read(offset: int, length: int) -> bytes:
        connection.sendall(_QUESTION.pack(offset, length))
        (answer,) = _ANSWER.unpack(_receive(connection, _ANSWER.size) or _ANSWER.pack(_REFUSED))
        if answer == _REFUSED or answer > length:
            raise UnreadableCheckpoint("the range was not given")
        return _receive(connection, answer)

    return RangeReader(size, read)


def _receive(connection: socket.socket, length: int) -> bytes:
    """So many bytes; none where the other end is closed."""
    data = bytearray()
    while len(data) < length:
        part = connection.recv(min(length - len(data), 1 << 20))
        if not part:
            return b""
        data += part
    return bytes(data)
