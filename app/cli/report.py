"""How a checkpoint's report looks in a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli import figures, terminal
from app.cli.difference import say

Json = Mapping[str, Any]

SEVERITY_STYLE = {"high": "bold red", "medium": "yellow", "low": "cyan", "info": "dim"}
FACTS = (
    "obs_dim",
    "hidden_dims",
    "action_dim",
    "action_kind",
    "activation",
    "shared_trunk",
    "layer_norm",
    "recurrent",
)
"""Facts that are always shown; the others only where they say something."""

BASES = {"both": "config and shapes"}
MOST_ROWS = 40
"""Layers and findings that the page shows; `--json` has them all."""


def draw_report(report: Json) -> Group:
    """What is in a checkpoint: the network and the verdict first, the findings last, where the eye ends."""
    parts: list[RenderableType] = [_head(report), _facts(report), _layers(report), _bytes(report)]
    parts.append(_findings(report["findings"]))
    return terminal.stack(*parts)


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
    lines = [title, Text(terminal.plain(source)), _verdict(report["findings"])]
    if report["sha256"]:
        lines.append(Text(f"sha256 {report['sha256']}", style="dim"))
    if not report["complete"]:
        lines.append(
            Text("only a part of the file could be read; the findings say where it broke", style="yellow")
        )
    return Group(*lines)


def _verdict(findings: Sequence[Json]) -> Text:
    """What to think of the file, in a line."""
    worst = [finding for finding in findings if finding["severity"] == "high"]
    if worst:
        return Text(terminal.plain(f"✗ do not load it: {_headline(worst)}"), style="bold red")
    if any(finding["severity"] == "medium" for finding in findings):
        return Text("! odd: look at the findings before you load it", style="yellow")
    return Text("✓ nothing in it is run, hidden or out of place", style="green")


def _headline(worst: Sequence[Json]) -> str:
    """What speaks loudest: a pickled function by its own words, unless there is more than the calls that make it."""
    functions = {finding["location"] for finding in worst if finding["code"] == "pickled_function"}
    others = [finding for finding in worst if finding["location"].partition("@")[0] not in functions]
    told = others or [finding for finding in worst if finding["location"] in functions] or worst
    return str(told[0]["explanation"])


def _facts(report: Json) -> Table:
    facts = report["architecture"]
    table = terminal.pairs(())
    for name, fact in facts.items():
        if name in FACTS or fact["value"] not in (None, False, [], ()):
            table.add_row(name, _fact(fact))
    lines: list[tuple[str, Text | None]] = [
        ("optimizer", _optimizer(report)),
        ("features", _features(report)),
        ("normaliser", _normaliser(report)),
        ("progress", _progress(report)),
        ("written by", _versions(report)),
        ("size", _size(report)),
    ]
    for name, text in lines:
        if text is not None:
            table.add_row(name, text)
    return table


def _fact(fact: Json) -> Text:
    text = Text(terminal.plain(say(fact["value"])))
    basis = fact["note"] or f"from {BASES.get(fact['basis'], fact['basis'])}"
    return text.append(f"  {terminal.plain(basis)}", style="yellow" if fact["note"] else "dim")


def _optimizer(report: Json) -> Text:
    optimizer = report["optimizer"]
    if optimizer is None:
        return Text("none: training cannot go on from this file", style="dim")
    done = optimizer["steps"]
    steps = "unknown steps" if done is None else f"{done:,} step{'' if done == 1 else 's'}"
    whole = "complete" if optimizer["complete"] else terminal.plain(optimizer["note"])
    return Text(f"{optimizer['kind']}, {steps}, {whole}")


def _features(report: Json) -> Text:
    schema = report["feature_schema"]
    if schema is None:
        return Text("not named", style="dim")
    shown = ", ".join(schema["names"][:4]) + (", …" if len(schema["names"]) > 4 else "")
    return Text(terminal.plain(f"{len(schema['names'])}: {shown}"))


def _normaliser(report: Json) -> Text | None:
    """Whether observations must be scaled before the policy sees them."""
    tensors = report.get("normaliser_tensors") or ()
    if tensors:
        return Text(terminal.plain(f"running statistics: {', '.join(tensors[:3])}"))
    plain = report.get("normaliser")
    if not plain:
        return None
    named = ", ".join(list(plain)[:4]) if isinstance(plain, Mapping) else "fixed values"
    return Text(terminal.plain(f"observations are scaled: {named}"))


def _progress(report: Json) -> Text | None:
    progress = report.get("progress")
    if not isinstance(progress, Mapping) or not progress:
        return None
    return Text(
        terminal.plain(", ".join(f"{name} {say(value)}" for name, value in list(progress.items())[:4]))
    )


def _size(report: Json) -> Text | None:
    """The size that the config leads to, against the file's."""
    size = report.get("size")
    if not size:
        return None
    if size["difference"] == 0:
        return Text("as its config predicts, to the byte", style="green")
    return Text(terminal.plain(size["note"]), style="yellow")


def _versions(report: Json) -> Text:
    versions = report["versions"]
    if not isinstance(versions, Mapping):
        return terminal.cell(versions)
    return terminal.cell(", ".join(f"{name} {version}" for name, version in versions.items()))


def _layers(report: Json) -> Table:
    table = terminal.grid("layer", "shape", "parameters", "share", "", right=("parameters", "share"))
    for layer in report["layers"][:MOST_ROWS]:
        shape = _sizes(layer["shape"])
        drawn = Text(figures.bar(layer["share"]), style="cyan")
        name = terminal.cell(layer["name"])
        table.add_row(name, shape, f"{layer['parameters']:,}", figures.percent(layer["share"]), drawn)
    if len(report["layers"]) > MOST_ROWS:
        table.add_row(f"and {len(report['layers']) - MOST_ROWS} more", "", "", "", "", style="dim")
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
        return Text("no findings", style="green")
    table = terminal.grid("finding", "where", "what")
    for finding in findings[:MOST_ROWS]:
        severity = str(finding["severity"])
        label = Text(severity, style=SEVERITY_STYLE.get(severity, ""))
        table.add_row(label, terminal.cell(finding["location"]), terminal.cell(finding["explanation"]))
    if len(findings) > MOST_ROWS:
        table.add_row(f"and {len(findings) - MOST_ROWS} more", "", "", style="dim")
    return table


def _sizes(shape: Sequence[int]) -> str:
    """A tensor's shape."""
    return " x ".join(f"{size:,}" for size in shape) or "scalar"
