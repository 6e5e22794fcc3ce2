"""`caliper datasets check FILE`: what the service would say to a file of bars, told offline."""

from pathlib import Path
from typing import Annotated

import typer

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
from app.cli.options import AsJson


def check_command(  # noqa: PLR0913 - the options of a command
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV (plain, .gz or .zip) or Parquet of bars.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    *,
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
    chart: Annotated[
        Path | None, typer.Option(help="Write a price chart there, as SVG.", dir_okay=False)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 where there are warnings.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read every row of a file of bars as the service would, and say what is in it; nothing is uploaded.

    Examples:
      caliper datasets check googl_1d.csv --calendar XNYS --adjusted split
      caliper datasets check bars.parquet --strict || exit 1

    Exit codes: 0 the service would take it; warnings are shown · 1 it would be refused, every reason is shown ·
    2 wrong usage or, with --strict, there are warnings.
    """
    # polars and TA-Lib take longer to load than `caliper --help` may take in all.
    from app.cli.check_file import check_file  # noqa: PLC0415

    code = check_file(file, declarations_of(locals()), chart, strict=strict, as_json=as_json)
    if code:
        raise typer.Exit(code)
