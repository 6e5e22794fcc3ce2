"""A refused job as a person reads it: what it needs, part by part, and the options with which it fits."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.cli import figures

LARGEST_PARTS = 6
"""How many parts of the memory are named; the others are added up."""


def memory_lines(members: Mapping[str, Any]) -> Iterator[str]:
    """Lines about a run that does not fit, from the members of its problem document; none for other problems."""
    if not isinstance(members.get("components"), list) or not isinstance(members.get("needed_bytes"), int):
        return
    yield f"needs  {figures.size(members['needed_bytes'])}, at its peak ({members.get('peak_instant', '')})"
    yield f"has    {figures.size(int(members.get('available_bytes', 0)))}"
    parts = [*members["components"], *members.get("overheads", [])]
    ranked = sorted(parts, key=lambda part: -int(part["bytes"]))
    for part in ranked[:LARGEST_PARTS]:
        yield f"  {figures.short_size(int(part['bytes'])):>9}  {part['name']}"
    rest = sum(int(part["bytes"]) for part in ranked[LARGEST_PARTS:])
    if rest:
        yield f"  {figures.short_size(rest):>9}  {len(ranked) - LARGEST_PARTS} smaller parts"
    if members.get("nearest_fit"):
        needed = figures.short_size(int(members.get("nearest_fit_bytes") or 0))
        yield f"fits with  {_options(members['nearest_fit'])}  ({needed})"


def _options(patch: Mapping[str, Any]) -> str:
    """A patch of the spec as options of `caliper train`."""
    words = [f"--hidden {','.join(map(str, patch['hidden_dims']))}"] if patch.get("hidden_dims") else []
    return " ".join(
        [*words, *(f"--set {name}={value}" for name, value in patch.get("overrides", {}).items())]
    )
