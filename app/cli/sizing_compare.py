"""Two estimates beside each other, and how many times the second is the first."""

from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from app.cli import figures, terminal
from app.cli.sizing_report import FILES, SHOWN_CARDS, amount, describe_batch


def draw_comparison(first: dict[str, Any], second: dict[str, Any]) -> Group:
    """Both networks, row by row; everything but the widths is the same for both."""
    names = [" → ".join(f"{width:,}" for width in each["hidden_dims"]) for each in (first, second)]
    settings = first["settings"]
    head = (
        f"{first['obs_dim']:,} → … → {first['action_dim']} ({first['action_kind']}, {settings['precision']})"
    )
    batch = describe_batch(settings)
    return terminal.stack(
        Group(Text(head, style="bold cyan"), Text(batch, style="dim")),
        _numbers(first, second, names),
        _cards(first, second, names),
    )


def _numbers(first: dict[str, Any], second: dict[str, Any], names: list[str]) -> Table:
    table = terminal.grid("", *names, "times", right=(*names, "times"))
    for (name, left, shown), (_, right, other) in zip(_rows(first), _rows(second), strict=True):
        table.add_row(name, shown, other, f"{right / left:.2f}" if left else figures.NOTHING)
    return table


def _rows(answer: dict[str, Any]) -> Iterator[tuple[str, float, str]]:
    """Name, number, and the number as it is shown."""
    yield "parameters", answer["parameters"], f"{answer['parameters']:,}"
    yield (
        "share of the first layer",
        answer["first_layer_share"],
        figures.percent(answer["first_layer_share"]),
    )
    for key, name in FILES.items():
        size = answer["disk"][key]["bytes"] if answer["disk"][key] else 0
        yield name, size, f"{size:,} B" if size else "too large"
    memory = answer["memory"]
    yield "memory to train", memory["total_bytes"], f"{memory['total_bytes']:,} B"
    yield "of which tensors", memory["tensor_bytes"], f"{memory['tensor_bytes']:,} B"
    for key, name in (
        ("forward_per_sample", "a sample forward"),
        ("learn_per_sample", "a sample learned"),
        ("whole_run", "the whole run"),
    ):
        yield name, answer["flops"][key], amount(answer["flops"][key])


def _cards(first: dict[str, Any], second: dict[str, Any], names: list[str]) -> Table:
    own = first["device"]["name"] if first["device"] else ""
    table = terminal.grid("largest minibatch on", *names, "times", right=(*names, "times"))
    rows = [(each["device"] or {}) for each in (first, second)]
    pairs = [tuple(rows)] if own and own not in {card["name"] for card in first["cards"]} else []
    pairs += [
        pair
        for pair in zip(first["cards"], second["cards"], strict=True)
        if pair[0]["name"] in (*SHOWN_CARDS, own)
    ]
    for left, right in pairs:
        shown = [f"{'✓' if card['fits'] else '✗'} {card['largest_minibatch']:,}" for card in (left, right)]
        ratio = right["largest_minibatch"] / left["largest_minibatch"] if left["largest_minibatch"] else 0
        table.add_row(left["name"], *shown, f"{ratio:.2f}" if ratio else figures.NOTHING)
    return table
