"""`caliper audit`: who changed what."""

from itertools import islice
from typing import Annotated

import typer

from app.cli import figures, terminal
from app.cli.options import SERVICE, AsJson, Limit, Url, connect


def audit_command(
    *,
    key: Annotated[
        str | None, typer.Option(help="Only what this key did, by its id.", show_default=False)
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Only what was done to this id.", show_default=False)
    ] = None,
    limit: Limit = 50,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Show who changed what, and who was refused, the newest first. Needs an admin's key where keys are on.

    Examples:
      caliper audit --limit 20
      caliper audit --target job_019ab3c2d1e04f6a7b8c9d
    """
    filters = {name: value for name, value in (("key", key), ("target", target)) if value}
    with connect(url) as client:
        rows = list(islice(client.audit(**filters, limit=min(limit, 200)), limit))
    if as_json:
        terminal.print_json(rows)
        return
    if not rows:
        terminal.say("nothing was changed yet")
        return
    table = terminal.grid("at (UTC)", "key", "from", "action", "on", "outcome", whole=("at (UTC)", "outcome"))
    for row in rows:
        action = row["action"] or f"{row['method']} {row['route']}"
        outcome = f"{row['outcome']} {row['status'] or ''}".strip()
        skipped = f" (+{row['skipped']} refused)" if row["skipped"] else ""
        cells = (row["key_id"] or "", row["address"] or "", action, row["target"] or "", outcome + skipped)
        table.add_row(figures.moment(row["at"]), *(terminal.cell(each) for each in cells))
    terminal.show(table)
