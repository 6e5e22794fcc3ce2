"""`caliper latency`: how long one decision takes, by torch and by ONNX Runtime."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from app.cli import figures, terminal
from app.cli.options import AsJson, parse_dims
from app.cli.selftest import read_events, require_worker
from app.errors import Unavailable

COMMAND = (sys.executable, "-P", "-m", "worker.calibrate.latency")
"""Run as a child, as this process never loads torch."""

WHAT = "the measurement"

NETWORKS = ("256,128,64", "512,256,128", "1024,512,256", "2048,1024,512,256")
"""The networks of the tiers and use cases."""

Json = Mapping[str, Any]


def latency_command(  # noqa: PLR0913 - the options of a command
    *,
    hidden: Annotated[
        list[str] | None,
        typer.Option(
            "--hidden", help="Widths of a trunk, such as 512,256,128; may be repeated.", show_default=False
        ),
    ] = None,
    obs_dim: Annotated[int, typer.Option(min=1, help="Length of an observation.")] = 5300,
    action_dim: Annotated[int, typer.Option(min=1, help="Number of actions.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time for each network.")] = 6.0,
    with_compile: Annotated[
        bool, typer.Option("--compile", help="Measure torch.compile too; it needs a C++ compiler.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Measure a busy machine too; the result says so.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the time of one decision: torch and ONNX Runtime on the same weights, in one pinned thread.

    Batch 1, from an observation in memory to policy outputs and value. By default the networks of the tiers and use
    cases. ONNX Runtime is left out where it is not installed (pip install onnxruntime).

    Example:
      caliper latency --hidden 512,256,128 --obs-dim 5300

    Exit codes: 0 measured · 1 the machine is busy (more than 15 % of its processors' time) · 2 wrong usage ·
    130 Ctrl-C.
    """
    require_worker(WHAT)
    networks = [",".join(map(str, parse_dims(text))) for text in hidden or NETWORKS]
    options = ["--obs-dim", str(obs_dim), "--action-dim", str(action_dim), "--seconds", str(seconds)]
    flags = [*(["--compile"] if with_compile else []), *(["--force"] if force else [])]
    found = _measure((*COMMAND, "--hidden", *networks, *options, *flags))
    if as_json:
        terminal.print_json(found)
    else:
        terminal.show(draw_latency(found))


def _measure(command: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"networks": []}
    for line in read_events(command, ("verdict", "refused"), WHAT):
        event = line.pop("event")
        if event == "machine":
            found["device"] = line["device"]
            terminal.say(f"measuring {line['device']}")
        elif event == "network":
            found["networks"].append(line)
            terminal.say(f"{len(found['networks'])} measured")
        elif event == "refused":
            raise Unavailable(
                f"other work uses {line['busy_percent']:g} % of the processors' time, more than {line['limit']:g} %",
                hint="wait until the machine is idle; --force measures it as it is and says so",
            )
        else:
            found["load"] = line["load"]
    return found


def draw_latency(found: Json) -> Group:
    """All networks and engines in one table."""
    columns = ("network", "engine", "p50", "p99", "p99.9", "max", "differs by")
    table = terminal.grid(*columns, right=columns[2:], whole=columns)
    for network in found["networks"]:
        name = ",".join(map(str, network["hidden_dims"]))
        for each in network["engines"]:
            times = (f"{each[key]:,.0f}" for key in ("p50", "p99", "p999", "max"))
            differs = figures.NOTHING if each["engine"] == "torch" else f"{each['max_difference']:.1e}"
            table.add_row(name, each["engine"], *times, differs)
            name = ""
    head = Text.assemble((found["device"], "bold cyan"), "\none observation, float32, in µs")
    loaded = Text("the machine was busy with other work: the tails are not the network's", style="bold red")
    return terminal.stack(head, table, *([loaded] if found["load"]["loaded"] else []))
