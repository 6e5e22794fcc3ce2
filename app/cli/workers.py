"""`caliper workers …`: who trains, on what; and have one leave."""

from typing import Annotated, Any

import typer

from app.cli import figures, terminal
from app.cli.group import EXIT_CODES_SERVICE, CaliperGroup
from app.cli.options import SERVICE, AsJson, Url, connect

app = typer.Typer(cls=CaliperGroup, epilog=EXIT_CODES_SERVICE, invoke_without_command=True)

WorkerId = Annotated[
    str, typer.Argument(help="Id of the worker, as `caliper workers` shows it.", show_default=False)
]


@app.callback()
def workers_command(context: typer.Context, *, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Show the workers that consume, with their devices; have one leave.

    Examples:
      caliper workers --json
      caliper workers drain caliper@gpu-1
    """
    if context.invoked_subcommand is not None:
        return
    with connect(url) as client:
        rows = client.workers()
    if as_json:
        terminal.print_json(rows)
        return
    if not rows:
        terminal.say("no worker consumes; jobs wait until one does")
        return
    columns = ("worker", "tier", "queue", "device", "state", "seen (UTC)")
    table = terminal.grid(*columns, whole=("worker", "seen (UTC)"))
    for row in rows:
        device = row["device"].get("name", "")
        cells = (terminal.cell(value) for value in (row["id"], row["tier"], row["queue"], device))
        table.add_row(*cells, describe_state(row), figures.moment(row["seen_at"]))
    terminal.show(table)


@app.command("drain")
def drain_command(
    worker: WorkerId,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Hand its job back after a checkpoint, instead of finishing it.")
    ] = False,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Have a worker leave: it takes no other job, ends its own, and stops.

    What starts workers may start it anew, as `caliper serve` does not and a container's restart policy does. With --now
    another worker goes on with its job, which costs no attempt.

    Example:
      caliper workers drain caliper@gpu-1 --now
    """
    with connect(url) as client:
        row = client.drain_worker(worker, now=now)
    if as_json:
        terminal.print_json(row)
        return
    held = (row.get("job") or {}).get("job_id")
    first = f"hands {held} back and" if held and now else f"finishes {held} and" if held else "has no job and"
    terminal.say(f"{terminal.plain(worker)} takes no more jobs: it {first} stops")


def describe_state(row: Any) -> str:
    """How a worker stands, in a word or two."""
    words = "draining" if row.get("state") == "draining" else "busy" if row.get("job") else "idle"
    return f"{words}, older release" if row.get("outdated") else words
