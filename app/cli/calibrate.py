"""`caliper calibrate` and `caliper calibrations`: what this machine can do, and what is known of others."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from app.cli import figures, terminal
from app.cli.options import SERVICE, AsJson, Limit, Url, connect
from app.cli.selftest import read_events, require_worker
from app.errors import Unavailable

COMMAND = (sys.executable, "-P", "-m", "worker.calibrate")
"""Run as a child, as this process never loads torch."""

WHAT = "the calibration"

LOOP_COSTS = {
    "operation": "one operation's call",
    "step": "one step of all environments",
    "env_step": "each environment's part of it",
    "minibatch": "one minibatch, beside its products",
    "advantage_step": "one step of the advantages",
}

Json = Mapping[str, Any]


def calibrate_command(
    *,
    force: Annotated[bool, typer.Option("--force", help="Measure a busy machine too.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Register it at no service.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write it to this file too, as JSON.", show_default=False)
    ] = None,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Measure how fast this machine trains, so that /estimate and jobs can say how long training takes.

    Run it on the worker's machine while nothing else runs; takes about 15 s. It is registered at the service under
    the device's name, where the latest counts. Without a service: --offline --output FILE, which
    `caliper estimate --calibration FILE` reads.

    Example:
      caliper calibrate --offline --output calibration.json

    Exit codes: 0 measured · 1 the machine is busy (more than 15 % of its processors' time) · 2 wrong usage · 3 the
    service does not answer · 130 Ctrl-C.
    """
    require_worker(WHAT)
    if not offline:
        _require_service(url)
    calibration = measure(force=force)
    if output is not None:
        output.write_text(json.dumps(calibration) + "\n")
        terminal.say(f"written to {output}")
    if not offline:
        with connect(url) as client:
            kept = client.keep_calibration(calibration)
        terminal.say(f"registered as {kept['id']}")
    if as_json:
        terminal.print_json(calibration)
    else:
        terminal.show(draw_calibration(calibration))


def calibrations_command(
    *,
    device: Annotated[str | None, typer.Option(help="Only of this device.", show_default=False)] = None,
    limit: Limit = 20,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """List the measured devices, the newest entries first.

    Example:
      caliper calibrations --json
    """
    with connect(url) as client:
        filters = {"device": device} if device else {}
        rows = [row for row, _ in zip(client.calibrations(**filters), range(limit), strict=False)]
    if as_json:
        terminal.print_json(rows)
        return
    table = terminal.grid("device", "measured", "busy", "torch", "id", whole=("id",))
    for row in rows:
        busy, torch = "yes" if row["loaded"] else "no", row["versions"].get("torch", "")
        when = figures.moment(row["measured_at"])
        table.add_row(*map(terminal.cell, (row["device"], when, busy, torch, row["id"])))
    terminal.show(
        table if rows else Text("no device is calibrated yet: `caliper calibrate` on the worker's machine")
    )


def measure(*, force: bool) -> dict[str, Any]:
    """Run the child and give its calibration; raises Unavailable where the machine is busy."""
    command = (*COMMAND, "--force") if force else COMMAND
    for line in read_events(command, ("calibration", "refused"), WHAT):
        event = line.pop("event")
        if event == "machine":
            terminal.say(f"measuring {line['device']}")
        elif event == "turn":
            terminal.say(f"turn {line['number']}, {line['seconds']:.1f} s")
        elif event == "refused":
            raise Unavailable(
                f"other work uses {line['busy_percent']:g} % of the processors' time, more than {line['limit']:g} %",
                hint="wait until the machine is idle; --force measures it as it is and says so",
            )
    found: dict[str, Any] = line["calibration"]
    return found


def draw_calibration(calibration: Json) -> Group:
    """A calibration at a glance."""
    head = Text.assemble((calibration["device"], "bold cyan"), f"  {calibration['turns']} turns in ")
    head.append(f"{calibration['seconds']:.1f} s")
    parts: list[Any] = [head, _products(calibration), _costs(calibration)]
    if calibration["load"]["loaded"]:
        parts.append(
            Text("the machine was busy with other work: repeat this when it is idle", style="bold red")
        )
    return terminal.stack(*parts)


def _products(calibration: Json) -> Any:
    table = terminal.grid("matrix products", "fastest size", "range", right=("fastest size",))
    for each in calibration["products"]:
        best = min(range(len(each["typical"])), key=each["typical"].__getitem__)
        low, high = 1 / each["slowest"][best], 1 / each["fastest"][best]
        name = f"{each['precision']} {each['layout']}"
        table.add_row(
            name, f"{1e-9 / each['typical'][best]:,.0f} GFLOP/s", f"{low / 1e9:,.0f} to {high / 1e9:,.0f}"
        )
    return table


def _costs(calibration: Json) -> Any:
    copy = next(rate for rate in calibration["streams"] if rate["name"] == "copy")
    facts = {"copy, read and written": f"{8e-9 / copy['seconds']['typical']:,.1f} GB/s"}
    largest = calibration["adam"][-1]
    facts["Adam and gradient clip"] = (
        f"{1e-6 / largest['seconds']['typical']:,.0f} million parameters a second"
    )
    for name, words in LOOP_COSTS.items():
        facts[words] = f"{1e6 * calibration['loop'][name]['typical']:,.2f} µs"
    return terminal.pairs(facts)


def _require_service(url: str) -> None:
    """Find out before measuring whether the service answers."""
    with connect(url) as client:
        client.health()
