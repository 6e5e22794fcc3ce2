# ruff: noqa: PLC0415 - the parent of the measurements stays small
"""The files of inspect_checkpoint.py: a Caliper checkpoint of any size, and the same policy in other containers.

All tensors are zeros. From 4 GB on a file is sparse, so that ten gigabytes cost no disk.
"""

import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

LARGE = 4_000_000_000
CONTAINERS = ("torch, weights alone", "torch before 1.6", "safetensors", "ONNX", "Stable-Baselines3")
"""What the policy is written as, beside Caliper's own checkpoint."""
_EXPORTS = {
    "torch, weights alone": "torch",
    "safetensors": "safetensors",
    "ONNX": "onnx",
    "Stable-Baselines3": "sb3",
}


def make_checkpoint(path: Path, size: int) -> Path:
    """A Caliper checkpoint of about this size."""
    import torch

    with path.open("wb") as file:
        torch.save(_zeros(size), file if size < LARGE else _SparseFile(file))
    return path


def make_container(kind: str, folder: Path, size: int) -> Path:
    """The policy in another container, of about this size. Raises NotExportable where that cannot hold it."""
    import torch

    path = folder / "container"
    if kind not in _EXPORTS:
        with path.open("wb") as file:
            torch.save(_zeros(size), _SparseFile(file), _use_new_zipfile_serialization=False)
        return path
    checkpoint = folder / "whole.pt"
    with checkpoint.open("wb") as file:
        torch.save(_zeros(_share(kind) * size), _SparseFile(file))
    try:
        _export(_EXPORTS[kind], checkpoint, path)
    finally:
        checkpoint.unlink()
    return path


def _share(kind: str) -> float:
    """Bytes of a checkpoint for each of the export: it has Adam's two moments too; Stable-Baselines3 has the trunk twice."""
    return 1.5 if kind == "Stable-Baselines3" else 3


def _export(kind: str, checkpoint: Path, path: Path) -> None:
    """As `caliper export` writes it; what would be copied, all zeros, is left out."""
    from app.checkpoint.inspect import inspect_checkpoint
    from app.export.pieces import piece_bytes
    from app.export.plan import plan_export

    report = inspect_checkpoint(checkpoint, with_sha256=False)
    with checkpoint.open("rb") as file, path.open("wb") as out:
        for piece in plan_export(report, file, kind).pieces:
            if isinstance(piece, bytes):
                out.write(piece)
            else:
                out.seek(piece_bytes(piece), os.SEEK_CUR)
        out.truncate(max(out.tell(), out.seek(0, os.SEEK_END)))


class _SparseFile:
    """Writes zeros as holes; checksums are those of real zeros."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        """Write, or step over what is all zeros."""
        import numpy as np

        view = memoryview(data).cast("B")
        if len(view) > 4_096 and not np.frombuffer(view, np.uint8).any():
            self._file.seek(len(view), os.SEEK_CUR)
            self._file.truncate()
            return len(view)
        return self._file.write(view)

    def flush(self) -> None:
        """Pass it on."""
        self._file.flush()


def _zeros(size: float) -> Any:
    """The contents of a checkpoint of about this size; numpy's zeros take no memory until they are written to."""
    import numpy as np
    import torch

    from app.network.disk.canonical import canonical_tree

    return canonical_tree(_specs(size), lambda s, _: torch.from_numpy(np.zeros(s.shape, s.dtype)))


def _specs(size: float) -> dict[str, Any]:
    from app.network.config import PPOConfig
    from app.network.disk.contents import predicted_contents
    from app.network.shape import NetworkShape

    width = round(((size / 12 / 2) + 150_000) ** 0.5 - 265)  # 12 bytes a parameter: weights and two moments
    hidden = (width, width, width)
    config = PPOConfig(hidden_dims=hidden)
    return predicted_contents(NetworkShape(1060, hidden, 3, "discrete"), config)
