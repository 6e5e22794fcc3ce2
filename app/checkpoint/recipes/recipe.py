"""The seam of all recipes: how a producer's tree is known, where its parts are, what network it holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.checkpoint.architecture import Architecture

NOWHERE = "\0"
"""A path that no tensor has."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Where in a producer's tree the parts of a checkpoint are."""

    weights_path: str = ""
    """Path of the state dict; empty where it is the root itself."""
    state: Any = None
    """The network's state dict."""
    optimizer_path: str = NOWHERE
    """Path of the optimizer's state; a path that no tensor has where there is none."""
    optimizer: Any = None
    """The optimizer's state dict."""
    config: Any = None
    """The configuration: a dict or an object."""
    feature_schema: Any = None
    """The observation's features."""
    normaliser: Any = None
    statistics: Any = None
    """Statistics that observations are scaled by."""
    versions: Any = None
    """What wrote the file."""
    dataset: Any = None
    """What it was trained on."""
    progress: Any = None
    """Counters of the training: steps, updates, best reward."""
    critic_path: str = NOWHERE
    """Path of the critic's weights where they stand in a tree of their own."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to read one producer's files."""

    producer: str
    """Name of the software that writes them."""
    recognise: Callable[[Any], bool]
    """Whether a tree is one of its."""
    parts: Callable[[Any], Parts]
    """Where the parts are."""
    read: Callable[[Any], Architecture]
    """The network."""
