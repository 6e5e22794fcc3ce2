"""A large file on its way to the service: part after part, from wherever the last one broke off."""

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from app.client import calls
from app.client.calls import Call, FilePart, Json
from app.client.connection import Patience
from app.client.errors import ServiceError, ServiceUnreachable

PART_BYTES = 32 << 20
"""Length of a part; a smaller file is sent whole in one request."""

RETRY_SECONDS = 1.0
"""Pause before a service that does not answer is tried again."""

CONFLICT = 409


class ResumableUpload:
    """One file's upload; the service alone remembers how far it is, so any later process may go on."""

    def __init__(
        self,
        ask: Callable[[Call], Json],
        file: Path,
        name: str,
        patience: Patience,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._ask = ask
        self._file = file
        self._name = name
        self._patience = patience
        self._tell = on_progress
        self._size = file.stat().st_size

    def send(self, tags: Sequence[str], idempotency_key: str | None) -> Json:
        """Send what the service lacks and register the file; the checkpoint's row."""
        with self._file.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        upload = self._patiently(calls.begin_upload(self._name, self._size, sha256))
        received = int(upload["received"])
        self._tell(received, self._size)
        while received < self._size:
            received = self._send_part(str(upload["id"]), received)
            self._tell(received, self._size)
        return self._patiently(calls.finish_upload(str(upload["id"]), tags, idempotency_key))

    def _send_part(self, upload_id: str, start: int) -> int:
        """Send the next part; the bytes that have arrived then, whether or not it came through."""
        part = FilePart(self._file, start, min(PART_BYTES, self._size - start))
        try:
            received = int(self._ask(calls.send_part(upload_id, part))["received"])
        except ServiceError as error:
            # A conflict: what an earlier connection sent may still be on its way to the disk.
            if not isinstance(error, ServiceUnreachable) and error.status != CONFLICT:
                raise
            self._pause(error)
            return self._received(upload_id)
        self._patience.renew()
        return received

    def _received(self, upload_id: str) -> int:
        return int(self._patiently(calls.upload(upload_id))["received"])

    def _patiently(self, call: Call) -> Json:
        """The answer to a call that does no harm when it is sent twice."""
        while True:
            try:
                return self._ask(call)
            except ServiceUnreachable as error:
                self._pause(error)

    def _pause(self, error: ServiceError) -> None:
        """Wait a moment; raises the error once failures have lasted too long."""
        if self._patience.is_over():
            raise error
        time.sleep(RETRY_SECONDS)
