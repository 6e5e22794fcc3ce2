"""A whole estimate as a person reads it: network, file, memory, arithmetic, cards, what the tiers would choose."""

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli import figures, terminal

NOTE = "A job adds what it knows of its data: its answer names its own sizes. Those on disk are exact for torch 2.13."
MORE = "--all shows every card, part, instant, reason and constant."

SHOWN_CARDS = ("T4", "L4", "RTX 4090", "L40S", "A100 40 GB", "A100 80 GB", "H100 SXM", "H200")
"""The cards of the short table."""

SHOWN_PARTS = 6
"""Parts of the memory that the short table names; the others are added up."""

SHOWN_PHASES = 4
"""Phases of an update that are named, the longest first."""

PREFIXES = ((10**18, "E"), (10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))

FILES = {
    "checkpoint": "checkpoint",
    "weights_only": "weights only (torch)",
    "safetensors": "weights only (safetensors)",
    "onnx": "policy (ONNX)",
    "rule_of_thumb": "rule of thumb, 12 B each",
}


def draw_sizing(answer: dict[str, Any], *, everything: bool = False) -> Group:
    """An estimate; `everything` adds all cards, parts, instants, reasons and constants."""
    parts: list[RenderableType] = [_head(answer)]
    if answer["device"]:
        parts.append(_device(answer["device"]))
    parts += [
        _layers(answer),
        _disk(answer),
        _memory(answer, everything=everything),
        _flops(answer),
        draw_time(answer, everything=everything),
    ]
    parts += [_cards(answer, everything=everything), _tiers(answer)]
    if everything:
        parts += [_reasons(answer), _instants(answer), _constants(answer)]
    return terminal.stack(*parts, Text(NOTE if everything else MORE, style="dim"))


def amount(count: float) -> str:
    """A number of operations with its prefix."""
    for factor, prefix in PREFIXES:
        if count >= factor:
            return f"{count / factor:,.1f} {prefix}FLOP"
    return f"{count:.0f} FLOP"


def verdict(fits: bool) -> Text:  # noqa: FBT001 - what is drawn
    """A tick or a cross."""
    return Text("✓ " if fits else "✗ ", style="green" if fits else "bold red")


def _head(answer: dict[str, Any]) -> Group:
    widths = figures.chain(answer["obs_dim"], answer["hidden_dims"], answer["action_dim"])
    count = Text.assemble((f"{answer['parameters']:,}", "bold"), " parameters", style="")
    off = answer["rule_of_thumb_error_percent"]
    rule = f"the rule of thumb says {answer['rule_of_thumb']:,} ({off:+.2f} %)"
    count.append(f"  ·  {rule}", style="dim")
    return Group(Text.assemble((widths, "bold cyan"), f"  ({answer['action_kind']})"), count)


def _device(device: dict[str, Any]) -> Group:
    """The verdict on the device that was asked about."""
    needs, has = figures.short_size(device["needed_bytes"]), figures.short_size(device["card_bytes"])
    words = "fits" if device["fits"] else "does not fit"
    first = verdict(device["fits"]) + Text(f"{words} {device['name']}: needs {needs} of {has}", style="bold")
    growth = f"minibatch up to {device['largest_minibatch']:,}, num_envs up to {device['largest_num_envs']:,}"
    lines = [first, Text(f"  {growth}"), Text(f"  {device['tier_reason']}", style="dim")]
    if device["nearest_fit"]:
        change = ", ".join(f"{name}={_value(value)}" for name, value in device["nearest_fit"].items())
        lines.append(
            Text(f"  nearest that fits: {change} ({figures.short_size(device['nearest_fit_bytes'])})")
        )
    return Group(*lines)


def _value(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _layers(answer: dict[str, Any]) -> Table:
    table = terminal.grid("layer", "in → out", "parameters", "share", "", right=("parameters", "share"))
    for layer in answer["layers"]:
        sizes = f"{layer['in_features']:,} → {layer['out_features']:,}"
        drawn = Text(figures.bar(layer["share"]), style="cyan")
        share = figures.percent(layer["share"])
        table.add_row(layer["name"], sizes, f"{layer['parameters']:,}", share, drawn)
    return table


def _disk(answer: dict[str, Any]) -> Table:
    table = terminal.grid("on disk", "bytes", "MB", "MiB", right=("bytes", "MB", "MiB"))
    for key, name in FILES.items():
        entry = answer["disk"][key]
        style = "bold" if key == "checkpoint" else "dim" if key == "rule_of_thumb" else ""
        sizes = (
            (f"{entry['bytes']:,}", f"{entry['mb']:,.2f}", f"{entry['mib']:,.2f}")
            if entry
            else ("too large",)
        )
        table.add_row(name, *sizes, style=style)
    return table


def _memory(answer: dict[str, Any], *, everything: bool) -> Group:
    memory = answer["memory"]
    table = terminal.grid("memory to train", "bytes", "MiB", "share", "", right=("bytes", "MiB", "share"))
    parts = [*memory["components"], *memory["overheads"]]
    for name, size in _ranked(parts, len(parts) if everything else SHOWN_PARTS):
        share = size / memory["total_bytes"]
        drawn = Text(figures.bar(share), style="cyan")
        table.add_row(name, f"{size:,}", f"{size / (1 << 20):,.2f}", figures.percent(share), drawn)
    total = memory["total_bytes"]
    table.add_row(f"in all ({memory['basis']})", f"{total:,}", f"{total / (1 << 20):,.2f}", style="bold")
    batch = f"{describe_batch(answer['settings'])} · peak: {memory['peak_instant']}"
    return Group(table, Text(batch, style="dim"))


def describe_batch(settings: dict[str, Any]) -> str:
    """Environments, steps and minibatches in one phrase."""
    envs, steps, parts = settings["num_envs"], settings["num_steps"], settings["num_minibatches"]
    return f"{envs:,} envs · {steps:,} steps / {parts:,} = minibatches of {settings['minibatch_size']:,}"


def _ranked(parts: list[dict[str, Any]], most: int) -> Iterator[tuple[str, int]]:
    """The largest parts, and the sum of the others."""
    ranked = sorted(parts, key=lambda part: -part["bytes"])
    named = ranked if len(ranked) <= most + 1 else ranked[:most]
    yield from ((part["name"], part["bytes"]) for part in named)
    rest = ranked[len(named) :]
    if rest:
        yield f"{len(rest)} smaller parts", sum(part["bytes"] for part in rest)


def _flops(answer: dict[str, Any]) -> Table:
    flops, settings = answer["flops"], answer["settings"]
    learned = f"{amount(flops['learn_per_sample'])} forward and backward"
    updates = f"{settings['num_updates']:,} updates of {settings['batch_size']:,} steps"
    return terminal.pairs(
        {
            "a sample": f"{amount(flops['forward_per_sample'])} forward, {learned}",
            "an update": amount(flops["per_update"]),
            "the run": f"{amount(flops['whole_run'])}, {updates}",
        }
    )


def draw_time(answer: dict[str, Any], *, everything: bool = False) -> Group:
    """How long training takes, and by what that is known."""
    time, settings = answer["time"], answer["settings"]
    hours, speed = time["hours"], time["steps_per_second"]
    span = f"{figures.duration(3600 * hours['low'])} to {figures.duration(3600 * hours['high'])}"
    steps = f"{settings['total_timesteps']:,} steps"
    head = Text.assemble(("time to train ", "dim"), (time["basis"], "bold"), f", {time['device']}")
    if hours["likely"] is None:
        lines = [Text(f"{steps}: {span}, {speed['low']:,.0f} to {speed['high']:,.0f} steps/s")]
    else:
        likely = figures.duration(3600 * hours["likely"])
        words = f" ({span}), {speed['likely']:,.0f} steps/s ({speed['low']:,.0f} to {speed['high']:,.0f})"
        lines = [Text.assemble(f"{steps}: ", (f"about {likely}", "bold"), words)]
        ranked = sorted(time["phases"], key=lambda phase: -phase["share"])[:SHOWN_PHASES]
        lines.append(Text(" · ".join(f"{each['name']} {each['share']:.0%}" for each in ranked)))
    notes = time["notes"] if everything else time["notes"][-1:]
    return Group(head, *lines, *(Text(note, style="dim") for note in notes))


def _cards(answer: dict[str, Any], *, everything: bool) -> Group:
    """Verdicts by card, and on the smallest card of each tier."""
    tiers = Text("each tier's smallest card:  ", style="dim")
    for fit in answer["fits"]:
        tiers += verdict(fit["fits"]) + Text(f"{fit['tier']}  ")
    return Group(_card_table(answer, everything=everything), tiers)


def _card_table(answer: dict[str, Any], *, everything: bool) -> Table:
    own = answer["device"]["name"] if answer["device"] else ""
    named = [card for card in answer["cards"] if everything or card["name"] in (*SHOWN_CARDS, own)]
    columns = ("fits", "tier", "needs", "has", "minibatch up to", "num_envs up to")
    table = terminal.grid(*columns, right=columns[2:])
    for card in named:
        table.add_row(
            verdict(card["fits"]) + Text(card["name"]),
            card["tier"],
            figures.short_size(card["needed_bytes"]),
            figures.short_size(card["card_bytes"]),
            f"{card['largest_minibatch']:,}",
            f"{card['largest_num_envs']:,}",
        )
    more = len(answer["cards"]) - len(named)
    if more:
        fitting = sum(card["fits"] for card in answer["cards"]) - sum(card["fits"] for card in named)
        table.add_row(f"  and {fitting} of {more} more", style="dim")
    return table


def _tiers(answer: dict[str, Any]) -> Group:
    columns = ("tier would train", "network", "parameters", "envs·steps/parts", "needs", "has")
    table = terminal.grid(*columns, right=(columns[2], *columns[4:]), whole=columns)
    for tier in answer["tier_defaults"]:
        table.add_row(
            verdict(tier["fits"]) + Text(tier["tier"]),
            ",".join(map(str, tier["hidden_dims"])),
            f"{tier['parameters']:,}",
            f"{tier['num_envs']:,} · {tier['num_steps']:,} / {tier['num_minibatches']}",
            figures.short_size(tier["needed_bytes"]),
            figures.short_size(tier["card_bytes"]),
        )
    return Group(table, Text(_why(answer), style="dim"))


def _why(answer: dict[str, Any]) -> str:
    """What decided the choices for the largest tier; each tier's own sentences stand under --all."""
    first = answer["tier_defaults"][0]
    return f"{first['tier']}: {first['reasons']['num_envs']}"


def _reasons(answer: dict[str, Any]) -> Table:
    table = terminal.grid("tier", "setting", "value", "why", whole=("tier", "setting"))
    for tier in answer["tier_defaults"]:
        for setting, reason in tier["reasons"].items():
            table.add_row(tier["tier"], setting, _value(tier[setting]), reason)
    return table


def _instants(answer: dict[str, Any]) -> Table:
    table = terminal.grid("instant of a rollout and an update", "bytes", "", right=("bytes",))
    most = max((each["bytes"] for each in answer["memory"]["instants"]), default=1) or 1
    for each in answer["memory"]["instants"]:
        style = "bold" if each["name"] == answer["memory"]["peak_instant"] else ""
        drawn = Text(figures.bar(each["bytes"] / most), style="cyan")
        table.add_row(each["name"], f"{each['bytes']:,}", drawn, style=style)
    return table


def _constants(answer: dict[str, Any]) -> Group:
    lines: list[RenderableType] = [Text("constant: value, basis, source", style="dim")]
    for each in (*answer["constants"], *answer["time"]["constants"]):
        number = f"{each['value']:,}" if isinstance(each["value"], int) else f"{each['value']:.6g}"
        value = f"{number} {each['unit']}".rstrip()
        lines.append(
            Text.assemble(f"{each['name']}: {value}, ", (each["basis"], "bold"), f", {each['source']}")
        )
    return Group(*lines)
