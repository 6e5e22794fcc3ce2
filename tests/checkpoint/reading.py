"""Short ways to inspect bytes and to say what a report's facts are."""

import io
from pathlib import Path
from typing import Any

import torch

from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.report import CheckpointReport

DIMENSIONS = ("obs_dim", "hidden_dims", "action_dim", "action_kind")


def inspect(data: bytes | Path, **options: Any) -> CheckpointReport:
    return inspect_checkpoint(data if isinstance(data, Path) else io.BytesIO(data), **options)


def facts(report: CheckpointReport) -> dict[str, Any]:
    return {name: getattr(report.architecture, name).value for name in report.architecture.__slots__}


def dimensions(report: CheckpointReport) -> tuple[Any, ...]:
    """obs_dim, hidden_dims, action_dim, action_kind."""
    found = facts(report)
    return tuple(found[name] for name in DIMENSIONS)


def zeros(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """A state dict of these shapes; a double underscore stands for a dot."""
    return {name.replace("__", "."): torch.zeros(shape) for name, shape in shapes.items()}


def of_shapes(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """A state dict of these shapes."""
    return {name: torch.zeros(shape) for name, shape in shapes.items()}
