"""`caliper datasets …`: list, show, upload, check and delete bars."""

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from app.cli import figures, terminal
from app.cli.dataset_check import check_command
from app.cli.declared import (
    Adjusted,
    BarSeconds,
    Calendar,
    Columns,
    DateOrder,
    DecimalMark,
    FeatureColumns,
    Label,
    Reverse,
    Timezone,
    VolumeColumn,
    VolumeUnit,
    declarations_of,
)
from app.cli.group import CaliperGroup
from app.cli.options import SERVICE, AsJson, DatasetId, Limit, Url, Yes, confirm, connect
from app.cli.transfer import TransferProgress

app = typer.Typer(
    cls=CaliperGroup,
    help="Bars to train on: list, show, upload, delete; check, which works offline.",
    no_args_is_help=True,
)
app.command("check")(check_command)


@app.command("list")
def list_datasets(*, limit: Limit = 20, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Show datasets, the newest first.

    Example:
      caliper datasets list
    """
    with connect(url) as client:
        found = list(islice(client.datasets(), limit))
    if as_json:
        terminal.print_json(found)
    elif found:
        terminal.show(draw_datasets(found))
    else:
        terminal.say("no datasets; `caliper datasets upload FILE` takes one in")


@app.command("show")
def show(
    dataset: DatasetId,
    *,
    chart: Annotated[
        Path | None, typer.Option(help="Write the price chart there, as SVG.", dir_okay=False)
    ] = None,
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Show one dataset: its bars, segments and gaps, jumps, volume, and what is odd about it.

    Examples:
      caliper datasets show googl
      caliper datasets show googl --chart googl.svg
    """
    # polars and TA-Lib take longer to load than `caliper --help` may take in all.
    from app.cli.dataset_report import draw_dataset  # noqa: PLC0415

    with connect(url) as client:
        row = client.dataset(dataset)
        if chart is not None:
            chart.write_text(client.dataset_chart(row["id"]), encoding="utf-8")
    if as_json:
        terminal.print_json(row)
    else:
        terminal.show(draw_dataset(row))
    if chart is not None:
        terminal.say(f"written: {chart}")


@app.command("delete")
def delete(dataset: DatasetId, *, yes: Yes = False, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Hide a dataset from new jobs; jobs that trained on it can no longer be resumed.

    Example:
      caliper datasets delete googl --yes
    """
    with connect(url) as client:
        row = client.dataset(dataset)
        confirm(f"delete {row['id']} ({row['name']})?", yes=yes)
        client.delete_dataset(row["id"])
    if as_json:
        terminal.print_json({"id": row["id"], "deleted": True})
    else:
        terminal.say(f"{row['id']}: deleted")


@app.command("upload")
def upload(  # noqa: PLR0913 - the options of a command
    file: Annotated[
        Path, typer.Argument(help="CSV or Parquet of bars.", exists=True, dir_okay=False, show_default=False)
    ],
    *,
    name: Annotated[
        str | None, typer.Option(help="Its name.", show_default="the file's, without its ending")
    ] = None,
    calendar: Calendar = None,
    timezone: Timezone = None,
    bar_seconds: BarSeconds = None,
    label: Label = None,
    adjusted: Adjusted = None,
    volume_unit: VolumeUnit = None,
    volume_column: VolumeColumn = None,
    date_order: DateOrder = None,
    decimal_mark: DecimalMark = None,
    columns: Columns = None,
    feature_columns: FeatureColumns = None,
    reverse: Reverse = False,
    source: Annotated[str, typer.Option(help="Where the bars come from.", show_default=False)] = "",
    licence: Annotated[str, typer.Option(help="What may be done with them.", show_default=False)] = "",
    url: Url = SERVICE,
    as_json: AsJson = False,
) -> None:
    """Send bars to the service, which checks every row and refuses what would mislead a training run.

    `caliper datasets check` says the same offline.

    Example:
      caliper datasets upload googl_1d.csv --calendar XNYS --adjusted split
    """
    declarations = declarations_of(locals())
    with connect(url) as client, TransferProgress(file.name) as progress:
        row = client.upload_dataset(
            file,
            name=name or file.stem,
            declarations=declarations,
            source=source,
            licence=licence,
            on_progress=progress.show,
        )
    if as_json:
        terminal.print_json(row)
        return
    terminal.show(draw_datasets([row]))
    for warning in row["report"].get("warnings", []):
        terminal.say(f"warning {warning.get('code', '')}: {terminal.plain(warning.get('message', warning))}")


def draw_datasets(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Datasets, one a line."""
    table = terminal.grid(
        "dataset", "name", "rows", "bar", "span", "calendar", right=("rows",), whole=("dataset", "bar")
    )
    for row in rows:
        span = " to ".join(figures.moment(row[end])[:10] for end in ("starts_at", "ends_at"))
        table.add_row(
            terminal.cell(row["id"]),
            terminal.cell(row["name"]),
            f"{row['rows']:,}",
            figures.duration(row["bar_seconds"]),
            span,
            terminal.cell(row["declarations"].get("calendar")),
        )
    return table
