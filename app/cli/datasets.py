"""`caliper datasets …`: list, upload and check bars."""

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
from app.cli.options import SERVICE, AsJson, Limit, Url, connect

app = typer.Typer(help="Bars to train on: list, upload, check.", no_args_is_help=True)
app.command("check")(check_command)


@app.command("list")
def list_datasets(*, limit: Limit = 20, url: Url = SERVICE, as_json: AsJson = False) -> None:
    """Show datasets, the newest first."""
    with connect(url) as client:
        found = list(islice(client.datasets(), limit))
    if as_json:
        terminal.print_json(found)
    elif found:
        terminal.show(draw_datasets(found))
    else:
        terminal.say("no datasets; `caliper datasets upload FILE` takes one in")


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
    """Send bars to the service, which checks every row and refuses what would mislead a training run."""
    declarations = declarations_of(locals())
    with connect(url) as client:
        row = client.upload_dataset(
            file, name=name or file.stem, declarations=declarations, source=source, licence=licence
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
        "dataset", "name", "rows", "bar", "from", "to", "calendar", right=("rows",), whole=("dataset",)
    )
    for row in rows:
        span = figures.moment(row["starts_at"])[:10], figures.moment(row["ends_at"])[:10]
        table.add_row(
            terminal.cell(row["id"]),
            terminal.cell(row["name"]),
            f"{row['rows']:,}",
            figures.duration(row["bar_seconds"]),
            *span,
            terminal.cell(row["declarations"].get("calendar")),
        )
    return table
