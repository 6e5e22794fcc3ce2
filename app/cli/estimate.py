"""`caliper estimate`: a network's parameters, file sizes and memory, computed here without any service."""

import dataclasses
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from app.cli import figures, terminal
from app.cli.options import AsJson, Hidden, parse_dims
from app.network.config import PPOConfig
from app.network.estimate import estimate
from app.network.run_memory import RunPlan
from app.network.shape import NetworkShape

NOTE = "Sizes on disk are exact for torch 2.13. A job adds what it knows of its data: its answer names its own size."


def estimate_command(  # noqa: PLR0913 - the options of a command
    *,
    obs_dim: Annotated[int, typer.Option(help="Length of an observation: features times lookback.")] = 5300,
    hidden: Hidden = "512,256,128",
    action_dim: Annotated[int, typer.Option(help="Number of actions, or of action components.")] = 3,
    gaussian: Annotated[bool, typer.Option("--gaussian", help="Continuous actions.")] = False,
    separate_trunks: Annotated[
        bool, typer.Option("--separate-trunks", help="A trunk each for actor and critic.")
    ] = False,
    layer_norm: Annotated[
        bool, typer.Option("--layer-norm", help="LayerNorm after each trunk layer.")
    ] = False,
    num_envs: Annotated[int, typer.Option(help="Environments stepped at once.")] = 16,
    num_steps: Annotated[int, typer.Option(help="Steps of each between two updates.")] = 128,
    num_minibatches: Annotated[int, typer.Option(help="Minibatches an epoch is cut into.")] = 4,
    precision: Annotated[str, typer.Option(help="fp32, tf32, bf16 or auto.")] = "fp32",
    cpu: Annotated[
        bool, typer.Option("--cpu", help="Memory for training on the CPU instead of a GPU.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Size a network: parameters, bytes on disk, memory to train, and the GPUs it fits.

    Works offline. Sizes on disk are exact to the byte for torch 2.13.

    Example: caliper estimate --obs-dim 5300 --hidden 2048,1024,512,256
    """
    dims = parse_dims(hidden)
    shape = NetworkShape(
        obs_dim, dims, action_dim, "gaussian" if gaussian else "discrete", layer_norm, not separate_trunks
    )
    config = PPOConfig(
        hidden_dims=dims,
        num_envs=num_envs,
        num_steps=num_steps,
        num_minibatches=num_minibatches,
        layer_norm=layer_norm,
        shared_trunk=not separate_trunks,
        precision=precision,  # type: ignore[arg-type] # checked by the config itself
    )
    plan = RunPlan(device_type="cpu", adam="foreach") if cpu else RunPlan()
    answer = dataclasses.asdict(estimate(shape, config, plan))
    if as_json:
        terminal.print_json(answer)
    else:
        terminal.show(draw_estimate(answer))


def draw_estimate(answer: dict[str, Any]) -> Group:
    """An estimate as a person reads it: network, file, memory, cards."""
    parts = (_head(answer), _layers(answer), _disk(answer), _memory(answer), _fits(answer))
    return terminal.stack(*parts, Text(NOTE, style="dim"))


def _head(answer: dict[str, Any]) -> Group:
    widths = figures.chain(answer["obs_dim"], answer["hidden_dims"], answer["action_dim"])
    count = Text.assemble((f"{answer['parameters']:,}", "bold"), " parameters", style="")
    off = answer["rule_of_thumb_error_percent"]
    rule = f"the rule of thumb says {answer['rule_of_thumb']:,} ({off:+.2f} %)"
    count.append(f"  ·  {rule}", style="dim")
    return Group(Text.assemble((widths, "bold cyan"), f"  ({answer['action_kind']})"), count)


def _layers(answer: dict[str, Any]) -> Table:
    table = terminal.grid("layer", "in → out", "parameters", "share", "", right=("parameters", "share"))
    for layer in answer["layers"]:
        sizes = f"{layer['in_features']:,} → {layer['out_features']:,}"
        drawn = Text(figures.bar(layer["share"]), style="cyan")
        table.add_row(
            layer["name"], sizes, f"{layer['parameters']:,}", figures.percent(layer["share"]), drawn
        )
    return table


def _disk(answer: dict[str, Any]) -> Table:
    names = {
        "checkpoint": "checkpoint",
        "weights_only": "weights only (torch)",
        "safetensors": "weights only (safetensors)",
        "rule_of_thumb": "rule of thumb, 12 B each",
    }
    table = terminal.grid("on disk", "bytes", "MB", "MiB", right=("bytes", "MB", "MiB"))
    for key, name in names.items():
        entry = answer["disk"][key]
        style = "bold" if key == "checkpoint" else "dim" if key == "rule_of_thumb" else ""
        table.add_row(name, f"{entry['bytes']:,}", f"{entry['mb']:,.2f}", f"{entry['mib']:,.2f}", style=style)
    return table


def _memory(answer: dict[str, Any]) -> Table:
    memory = answer["memory"]
    table = terminal.grid(
        f"memory to train, minibatch of {answer['minibatch_size']:,}",
        "bytes",
        "MB",
        "MiB",
        right=("bytes", "MB", "MiB"),
    )
    for part in (*memory["components"], *memory["overheads"]):
        table.add_row(part["name"], *_units(part["bytes"]))
    table.add_row(f"in all ({memory['basis']})", *_units(memory["total_bytes"]), style="bold")
    return table


def _fits(answer: dict[str, Any]) -> Table:
    table = terminal.grid("fits", "smallest card of the tier", "needs", "has", right=("needs", "has"))
    for fit in answer["fits"]:
        mark = Text("✓ " if fit["fits"] else "✗ ", style="green" if fit["fits"] else "bold red")
        needs, has = figures.short_size(fit["needed_bytes"]), figures.short_size(fit["card_bytes"])
        table.add_row(mark + Text(fit["tier"]), fit["card"], needs, has)
    return table


def _units(count: int) -> tuple[str, str, str]:
    return f"{count:,}", f"{count / 1e6:,.2f}", f"{count / (1 << 20):,.2f}"
