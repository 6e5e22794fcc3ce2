"""How the difference of two checkpoints looks in a terminal: the verdicts first, then what differs, no more."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli import figures, terminal

Json = Mapping[str, Any]

MOST_ROWS = 40
"""Rows that a table shows; `--json` has them all."""

MOST_KEYS = 8
"""Keys of a kind that are listed where weights do not load."""

MARKS = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("?", "yellow")}
STATUS = {"inserted": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def draw_diff(diff: Json, weights: Json | None = None) -> Group:
    """How two checkpoints differ, and what follows from it."""
    parts: list[RenderableType] = [_head(diff), _verdicts(diff)]
    parts += [part for part in (_layers(diff["layers"]), _keys(diff["loading"])) if part is not None]
    for name in ("architecture", "config", "optimizer"):
        if diff[name]:
            parts.append(_changes(name, diff[name]))
    if diff["features"] and not diff["features"]["same"]:
        parts.append(_features(diff["features"]))
    if weights is not None:
        parts.append(draw_weights(weights))
    return terminal.stack(*parts, Text(_delta(diff)))


def draw_weights(weights: Json) -> Group:
    """How far the weights lie apart, the tensors that moved most first."""
    parts: list[RenderableType] = [
        Text.assemble(("weights  ", "dim"), terminal.plain(weights["explanation"]))
    ]
    moved = sorted(
        (row for row in weights["tensors"] if row["changed"]),
        key=lambda row: -(row["relative_change"] or 0.0),
    )
    if moved:
        parts.append(_distances([*moved[:MOST_ROWS], weights["total"]], len(moved) - MOST_ROWS))
    shown = weights["skipped"][:MOST_KEYS]
    parts += [
        Text(terminal.plain(f"not compared: {row['name']}, {row['reason']}"), style="yellow") for row in shown
    ]
    if len(weights["skipped"]) > MOST_KEYS:
        parts.append(Text(f"and {len(weights['skipped']) - MOST_KEYS} more not compared", style="dim"))
    return Group(*parts)


def _head(diff: Json) -> Table:
    return terminal.pairs((("left", diff["left"] or "left"), ("right", diff["right"] or "right")))


def _verdicts(diff: Json) -> Table:
    """One line a question that a user has."""
    loading, inference, lineage = diff["loading"], diff["inference"], diff["lineage"]
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    loads = True if loading["loads"] else None if loading["loads_renamed"] else False
    for state, text in (
        (loads, loading["explanation"]),
        (inference["interchangeable"], f"inference: {inference['explanation']}"),
        (lineage["same"], f"lineage: {lineage['explanation']}"),
    ):
        mark, style = MARKS[state]
        table.add_row(Text(mark, style=style), Text(terminal.plain(text)))
    for check in inference["checks"]:
        if check["same"] is False:
            table.add_row("", Text(terminal.plain(f"{check['name']}: {check['explanation']}"), style="dim"))
    return table


def _layers(rows: Sequence[Json]) -> RenderableType | None:
    """The layers that differ, in their order; how many are the same is said, not shown."""
    differing = [row for row in rows if row["status"] != "same"]
    if not differing:
        return Text(f"layers  all {len(rows)} the same", style="dim") if rows else None
    table = terminal.grid("", "layer", "what", "parameters", "bytes", right=("parameters", "bytes"))
    for row in differing[:MOST_ROWS]:
        mark, style = STATUS[row["status"]]
        cells = (_layer_name(row), _layer_words(row))
        deltas = (f"{row['parameters_delta']:+,}", f"{row['bytes_delta']:+,}")
        table.add_row(Text(mark, style=style), *cells, *deltas)
    same = len(rows) - len(differing)
    more = len(differing) - MOST_ROWS
    rest = [f"and {more} more differ"] if more > 0 else []
    rest += [f"{same} the same"] if same else []
    if rest:
        table.add_row("", Text(", ".join(rest), style="dim"), "", "", "")
    return table


def _layer_name(row: Json) -> Text:
    names = [row[side]["name"] for side in ("left", "right") if row[side]]
    return Text(terminal.plain(" → ".join(dict.fromkeys(names))))


def _layer_words(row: Json) -> Text:
    side = row["left"] or row["right"]
    shape = " x ".join(f"{size:,}" for size in side["shape"]) or "scalar"
    return Text(
        terminal.plain(row["explanation"] if row["status"] == "changed" else f"{shape} {side['dtype']}")
    )


def _keys(loading: Json) -> RenderableType | None:
    """What torch would say, shortened."""
    if loading["loads"]:
        return None
    if loading["renames"]:
        pairs = [(row["right"], row["left"]) for row in loading["renames"]]
        return _listed("rename to load", [f"{right} → {left}" for right, left in pairs])
    parts = [_listed(kind, loading[kind]) for kind in ("missing", "unexpected") if loading[kind]]
    sizes = [
        f"{row['name']}: {list(row['weights'])} into {list(row['network'])}" for row in loading["resized"]
    ]
    return Group(*parts, *([_listed("size mismatch", sizes)] if sizes else []))


def _listed(title: str, lines: Sequence[str]) -> Text:
    text = Text.assemble((f"{title} ({len(lines)})", "dim"))
    for line in lines[:MOST_KEYS]:
        text.append(f"\n  {terminal.plain(line)}")
    if len(lines) > MOST_KEYS:
        text.append(f"\n  and {len(lines) - MOST_KEYS} more", style="dim")
    return text


def _changes(name: str, rows: Sequence[Json]) -> Table:
    table = terminal.grid(name, "left", "right")
    for row in rows[:MOST_ROWS]:
        table.add_row(
            terminal.cell(row["name"]), *(terminal.cell(say(row[side])) for side in ("left", "right"))
        )
    if len(rows) > MOST_ROWS:
        table.add_row(f"and {len(rows) - MOST_ROWS} more", "", "", style="dim")
    return table


def _features(features: Json) -> Group:
    parts = [Text.assemble(("features  ", "dim"), terminal.plain(features["explanation"]))]
    for title, names in (
        ("only left", features["only_left"]),
        ("only right", features["only_right"]),
        ("at another place", features["moved"]),
    ):
        if names:
            more = f", and {len(names) - MOST_KEYS} more" if len(names) > MOST_KEYS else ""
            shown = ", ".join(names[:MOST_KEYS]) + more
            parts.append(Text.assemble((f"  {title}: ", "dim"), terminal.plain(shown)))
    return Group(*parts)


def _distances(rows: Sequence[Json], hidden: int) -> Table:
    columns = ("changed", "max |Δ|", "max rel.", "|Δ|/|w|", "cosine")
    table = terminal.grid("tensor", *columns, right=columns)
    for row in rows:
        share = row["changed"] / row["values"] if row["values"] else 0.0
        table.add_row(
            terminal.cell(row["name"]),
            figures.percent(share),
            figures.number(row["max_absolute_change"], 3),
            figures.number(row["max_relative_change"], 3),
            figures.number(row["relative_change"], 4),
            figures.number(row["cosine"], 6),
            style="bold" if row is rows[-1] else "",
        )
    if hidden > 0:
        table.add_row(f"and {hidden} more", *[""] * len(columns), style="dim")
    return table


def _delta(diff: Json) -> str:
    return f"{diff['parameters_delta']:+,} parameters, {diff['bytes_delta']:+,} bytes on the right"


def say(value: Any) -> str:
    """A value in words."""
    if value is None:
        return figures.NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
