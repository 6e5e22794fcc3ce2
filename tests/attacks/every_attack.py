"""Importing this registers every attack."""

from tests.attacks import (
    hostile_archives,
    hostile_bombs,
    hostile_calls,
    hostile_differentials,
    hostile_ends,
    hostile_families,
    hostile_loaders,
    hostile_streams,
)

FAMILIES = (
    hostile_archives,
    hostile_bombs,
    hostile_calls,
    hostile_differentials,
    hostile_ends,
    hostile_families,
    hostile_loaders,
    hostile_streams,
)
"""The modules whose functions build the files."""
