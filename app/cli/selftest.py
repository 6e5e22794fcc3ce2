"""`caliper selftest`: prove on this machine that the trainer learns what is there, and nothing that is not."""

import json
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from subprocess import PIPE, Popen
from tempfile import TemporaryFile
from typing import Any

import typer
from rich.console import Group
from rich.text import Text

from app.cli import figures, terminal
from app.cli.group import EXIT_ERROR
from app.cli.options import AsJson
from app.errors import Unavailable

Json = Mapping[str, Any]

COMMAND = (sys.executable, "-P", "-m", "worker.selftest")
"""Run as a child, as this process never loads torch; -P keeps the present folder off the import path."""


def selftest_command(*, as_json: AsJson = False) -> None:
    """Train on a leaked future, which must be found, and on shuffled returns, which must not be beaten.

    Takes a minute or two on two cores and needs no service.

    Example:
      caliper selftest --json

    Exit codes: 0 both hold · 1 one does not, or the self-test cannot run · 2 wrong usage · 130 Ctrl-C.
    """
    require_worker()
    found: dict[str, Any] = {"runs": []}
    for line in read_events(COMMAND):
        event = line.pop("event")
        if event == "run":
            found["runs"].append(line)
            terminal.say(f"{len(found['runs']):>2}/{count_runs(found['plan'])}  {describe_run(line)}")
        else:
            found[event] = line
        if event == "plan":
            terminal.say(describe_plan(line))
    if as_json:
        terminal.print_json(found)
    else:
        terminal.show(draw_verdict(found))
    if not found["verdict"]["passed"]:
        raise typer.Exit(EXIT_ERROR)


def require_worker(what: str = "the self-test") -> None:
    """Raise Unavailable where the part that trains, which `what` needs, is not installed."""
    missing = [name for name in ("torch", "worker") if find_spec(name) is None]
    if missing:
        hint = "pip install 'caliper[worker]' on the machine that trains, and run it there"
        raise Unavailable(
            f"{what} needs the worker, but {' and '.join(missing)} cannot be imported", hint=hint
        )


def read_events(
    command: tuple[str, ...], endings: tuple[str, ...] = ("verdict",), what: str = "the self-test"
) -> Iterator[dict[str, Any]]:
    """The child's lines as they come; raises Unavailable where the last one is none of the `endings`."""
    last: dict[str, Any] = {}
    with TemporaryFile("w+") as errors, Popen(command, stdout=PIPE, stderr=errors, text=True) as child:  # noqa: S603
        try:
            for line in child.stdout or ():
                last = json.loads(line)
                yield dict(last)
        except BaseException:  # Ctrl-C, or nobody reads on
            child.kill()
            raise
        code = child.wait()
        errors.seek(0)
        said = errors.read().strip().splitlines()[-1:]
    if last.get("event") not in endings:
        reason = "".join(said) or f"exit status {code}"
        raise Unavailable(f"{what} ended without a {endings[0]}: {reason}", hint="run it again")


def count_runs(plan: Json) -> int:
    """Training runs of both checks."""
    return len(plan["scale"]["leak_seeds"]) + len(plan["scale"]["null_seeds"])


def describe_plan(plan: Json) -> str:
    """What is about to be tested."""
    scale, costs = plan["scale"], plan["costs"]
    return (
        f"leaked future: {len(scale['leak_seeds'])} runs of {scale['leak_steps']:,} steps with the coming return "
        f"among the features; each must reach {plan['near_optimal']:.0%} of the best Sharpe ratio\n"
        f"shuffled returns: {len(scale['null_seeds'])} runs of {scale['null_steps']:,} steps on bars in random "
        f"order; together they must stay below z = {plan['false_alarm_z']:.2f} "
        f"(a sound service fails this with probability {plan['false_alarm_rate']:.0%} at most)\n"
        f"all figures are of test spans that were not trained on, after costs of {costs['fee_bps']:g} bps fee, "
        f"{costs['half_spread_bps']:g} bps half spread, {costs['slippage']:g} NATR slippage, "
        f"{costs['borrow_bps_per_year']:g} bps a year of borrowing"
    )


def describe_run(run: Json) -> str:
    """One run in a line."""
    sharpe = figures.NOTHING if run["sharpe"] is None else f"{run['sharpe']:.2f}"
    if run["check"] == "leaked_future":
        verdict = "found" if run["found"] else "NOT found"
        return f"leaked future, seed {run['seed']}: Sharpe {sharpe} of {run['oracle_sharpe']:.2f} possible, {verdict}"
    return f"shuffled returns, seed {run['seed']}: Sharpe {sharpe}, z {run['z']:+.2f}, {run['trades']} trades"


def draw_verdict(found: Json) -> Group:
    """The verdict in words."""
    verdict, plan = found["verdict"], found["plan"]
    leak = "found" if verdict["leak_found"] else "NOT FOUND: the trainer does not learn what is there"
    null = "not beaten" if verdict["null_holds"] else "BEATEN: results of this service are not to be trusted"
    words = Text.assemble(
        ("passed" if verdict["passed"] else "FAILED", "bold green" if verdict["passed"] else "bold red"),
        f" in {verdict['seconds']:g} s",
    )
    return Group(
        words,
        Text(f"leaked future     {leak} (smallest z {verdict['leak_z']:.1f})"),
        Text(
            f"shuffled returns  {null} (pooled z {verdict['null_z']:+.2f}, limit {plan['false_alarm_z']:.2f})"
        ),
    )
