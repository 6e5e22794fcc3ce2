"""`caliper workers`: who trains, on what."""

from app.cli import figures, terminal
from app.cli.options import SERVICE, AsJson, Url, connect


def workers_command(*, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Show the workers that consume, with their devices.

    Example:
      caliper workers --json
    """
    with connect(url) as client:
        rows = client.workers()
    if as_json:
        terminal.print_json(rows)
        return
    if not rows:
        terminal.say("no worker consumes; jobs wait until one does")
        return
    table = terminal.grid("worker", "tier", "queue", "device", "seen (UTC)", whole=("worker", "seen (UTC)"))
    for row in rows:
        device = row["device"].get("name", "")
        cells = (terminal.cell(value) for value in (row["id"], row["tier"], row["queue"], device))
        table.add_row(*cells, figures.moment(row["seen_at"]))
    terminal.show(table)
