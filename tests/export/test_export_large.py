"""Weights of more than 4 GiB: the zip64 fields are where torch writes them, to the byte."""

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from app.checkpoint.inspect import inspect_checkpoint
from app.export.pieces import piece_bytes
from app.export.plan import plan_export

torch = pytest.importorskip("torch")

IDENTITY = b".data/serialization_id"
"""torch's is made of other checksums than ours: the record's 40 digits, and their checksum, differ."""


class HolesForZeros:
    """Writes what is all zeros as a hole, so that gigabytes cost no disk."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def write(self, data: bytes) -> int:
        view = memoryview(data).cast("B")
        if len(view) < 1 << 20 or np.frombuffer(view, np.uint8).any():
            return self.file.write(view)
        self.file.seek(len(view), os.SEEK_CUR)
        return len(view)

    def flush(self) -> None:
        self.file.flush()


@pytest.mark.slow
def test_records_and_offsets_past_4_gib(tmp_path: Path) -> None:
    zeros = torch.from_numpy(np.zeros((1 << 30) + 5, np.float32))  # takes no memory until it is written to
    path = tmp_path / "large.pt"
    with path.open("wb") as out:
        torch.save(
            {"a.weight": torch.ones(3), "b.weight": zeros, "c.weight": torch.ones(4)}, HolesForZeros(out)
        )
    report = inspect_checkpoint(path, with_sha256=False)
    with path.open("rb") as file:
        pieces = plan_export(report, file, "torch").pieces
        assert sum(map(piece_bytes, pieces)) == path.stat().st_size > 1 << 32
        position = 0
        *before, _identity, _its_descriptor, directory = pieces
        for piece in before:
            if isinstance(piece, bytes):
                file.seek(position)
                assert file.read(len(piece)) == piece, position
            else:
                assert piece.start == position
            position += piece_bytes(piece)
        assert position > 1 << 32
        file.seek(-piece_bytes(directory), os.SEEK_END)
        ours, theirs = _without_identity(directory), _without_identity(file.read())
    assert ours == theirs


def _without_identity(directory: object) -> bytes:
    """The central directory without the checksum of the one record that differs."""
    assert isinstance(directory, bytes)
    entry = directory.index(IDENTITY) - len(b"archive/") - 46
    return directory[: entry + 16] + directory[entry + 20 :]
