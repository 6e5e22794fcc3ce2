"""How a checkpoint's report and the difference of two look in a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli import figures, terminal

Json = Mapping[str, Any]

SEVERITY_STYLE = {"high": "bold red", "medium": "yellow", "low": "cyan", "info": "dim"}
FACTS = ("action_kind", "activation", "shared_trunk", "layer_norm", "recurrent")
MOST_CHANGES = 40
"""Config fields that a diff shows; `--json` has them all."""


def draw_report(report: Json) -> Group:
    """What is in a checkpoint: the network first, the findings last, where the eye ends."""
    parts: list[RenderableType] = [_head(report), _facts(report), _layers(report), _bytes(report)]
    parts.append(_findings(report["findings"]))
    return terminal.stack(*parts)


def draw_diff(diff: Json) -> Group:
    """How two checkpoints differ, and whether weights load across."""
    loads = diff["weights_load"]
    mark, style = ("✓ ", "green") if loads else ("✗ ", "bold red")
    verdict = Text.assemble((mark, style), terminal.plain(diff["explanation"]))
    parts: list[RenderableType] = [
        Text.assemble(
            ("left   ", "dim"),
            terminal.plain(diff["left"]),
            ("\nright  ", "dim"),
            terminal.plain(diff["right"]),
        ),
        verdict,
    ]
    sections = (
        ("network", diff["architecture"]),
        ("config", diff["config"]),
        ("tensor", diff["tensors_changed"]),
    )
    parts += [_changes(name, rows, are_shapes=name == "tensor") for name, rows in sections if rows]
    if diff["features"]:
        features = terminal.plain(diff["features"]["explanation"])
        parts.append(Text.assemble(("features  ", "dim"), features))
    delta = f"{diff['parameters_delta']:+,} parameters, {diff['bytes_delta']:+,} bytes on the right"
    return terminal.stack(*parts, Text(delta))


def has_high_finding(report: Json) -> bool:
    """Whether loading the file the usual way runs or hides something, or the file lies."""
    return any(finding["severity"] == "high" for finding in report["findings"])


def network_line(report: Json) -> str:
    """The network as its widths."""
    facts = report["architecture"]
    dims = facts["hidden_dims"]["value"] or ("?",)
    return figures.chain(facts["obs_dim"]["value"], dims, facts["action_dim"]["value"])


def _head(report: Json) -> Group:
    title = Text.assemble((network_line(report), "bold cyan"), f"  {report['parameters']:,} parameters")
    size = figures.size(report["bytes"]["total"])
    source = f"{report['name'] or 'checkpoint'}: {report['format']} by {report['producer']}, {size}"
    lines = [title, Text(terminal.plain(source))]
    if report["sha256"]:
        lines.append(Text(f"sha256 {report['sha256']}", style="dim"))
    if not report["complete"]:
        lines.append(
            Text("only a part of the file could be read; the findings say where it broke", style="yellow")
        )
    return Group(*lines)


def _facts(report: Json) -> Table:
    facts = report["architecture"]
    table = terminal.pairs(())
    for name in ("obs_dim", "hidden_dims", "action_dim", *FACTS):
        fact = facts[name]
        text = Text(terminal.plain(_value(fact["value"])))
        basis = fact["note"] or f"from {'config and shapes' if fact['basis'] == 'both' else fact['basis']}"
        text.append(f"  {terminal.plain(basis)}", style="yellow" if fact["note"] else "dim")
        table.add_row(name, text)
    for name, text in (
        ("optimizer", _optimizer(report)),
        ("features", _features(report)),
        ("written by", _versions(report)),
    ):
        table.add_row(name, text)
    return table


def _optimizer(report: Json) -> Text:
    optimizer = report["optimizer"]
    if optimizer is None:
        return Text("none: training cannot go on from this file", style="dim")
    steps = "unknown steps" if optimizer["steps"] is None else f"{optimizer['steps']:,} steps"
    whole = "complete" if optimizer["complete"] else terminal.plain(optimizer["note"])
    return Text(f"{optimizer['kind']}, {steps}, {whole}")


def _features(report: Json) -> Text:
    schema = report["feature_schema"]
    if schema is None:
        return Text("not named", style="dim")
    shown = ", ".join(schema["names"][:4]) + (", …" if len(schema["names"]) > 4 else "")
    return Text(terminal.plain(f"{len(schema['names'])}: {shown}"))


def _versions(report: Json) -> Text:
    versions = report["versions"]
    if not isinstance(versions, Mapping):
        return terminal.cell(versions)
    return terminal.cell(", ".join(f"{name} {version}" for name, version in versions.items()))


def _layers(report: Json) -> Table:
    table = terminal.grid("layer", "shape", "parameters", "share", "", right=("parameters", "share"))
    for layer in report["layers"]:
        shape = _sizes(layer["shape"])
        drawn = Text(figures.bar(layer["share"]), style="cyan")
        name = terminal.cell(layer["name"])
        table.add_row(name, shape, f"{layer['parameters']:,}", figures.percent(layer["share"]), drawn)
    return table


def _bytes(report: Json) -> Table:
    parts = report["bytes"]
    table = terminal.grid("in the file", "bytes", "share", "", right=("bytes", "share"))
    for name in ("weights", "optimizer", "other_tensors", "other"):
        share = parts[name] / max(1, parts["total"])
        drawn = Text(figures.bar(share), style="cyan")
        table.add_row(name.replace("_", " "), f"{parts[name]:,}", figures.percent(share), drawn)
    table.add_row("in all", f"{parts['total']:,}", "", f"read: {report['bytes_read']:,} bytes", style="bold")
    return table


def _findings(findings: list[Json]) -> RenderableType:
    if not findings:
        return Text("no findings: nothing in it is run, hidden or out of place", style="green")
    table = terminal.grid("finding", "where", "what")
    for finding in findings:
        severity = str(finding["severity"])
        label = Text(severity, style=SEVERITY_STYLE.get(severity, ""))
        table.add_row(label, terminal.cell(finding["location"]), terminal.cell(finding["explanation"]))
    return table


def _changes(name: str, rows: list[Json], *, are_shapes: bool) -> Table:
    table = terminal.grid(name, "left", "right")
    for row in rows[:MOST_CHANGES]:
        cells = (terminal.cell((_sizes if are_shapes else _value)(row[side])) for side in ("left", "right"))
        table.add_row(terminal.cell(row["name"]), *cells)
    if len(rows) > MOST_CHANGES:
        table.add_row(f"and {len(rows) - MOST_CHANGES} more", "", "", style="dim")
    return table


def _sizes(shape: Sequence[int]) -> str:
    """A tensor's shape."""
    return " x ".join(f"{size:,}" for size in shape) or "scalar"


def _value(value: Any) -> str:
    """A fact's value in words."""
    if value is None:
        return figures.NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return f"{value:,}" if isinstance(value, int) else str(value)
