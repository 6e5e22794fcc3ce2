"""Options by which a user declares what a file of bars does not say itself."""

from typing import Annotated, Any

import typer

Calendar = Annotated[
    str | None, typer.Option(help="Trading calendar: 24x7, 24x5, XNYS, …", show_default=False)
]
Timezone = Annotated[
    str | None, typer.Option(help="IANA zone of timestamps that name none.", show_default=False)
]
BarSeconds = Annotated[
    int | None, typer.Option(help="Length of a bar; else what the file shows.", show_default=False)
]
Label = Annotated[
    str | None,
    typer.Option(help="Whether timestamps are a bar's open or close.", show_default="open"),
]
Adjusted = Annotated[str | None, typer.Option(help="Prices: raw, split or total.", show_default="raw")]
VolumeUnit = Annotated[
    str | None, typer.Option(help="What volume counts: shares, BTC, …", show_default=False)
]
VolumeColumn = Annotated[
    str | None, typer.Option(help="The volume column, where several could be it.", show_default=False)
]
DateOrder = Annotated[
    str | None, typer.Option(help="ymd, dmy or mdy, where the file is unclear.", show_default=False)
]
DecimalMark = Annotated[
    str | None, typer.Option(help="'.' or ',' where the file is unclear.", show_default=False)
]
Columns = Annotated[
    str | None,
    typer.Option(help="Column names by position, for a CSV without a header line.", show_default=False),
]
FeatureColumns = Annotated[
    str | None,
    typer.Option(help="Columns to keep as features of your own, joined by commas.", show_default=False),
]
Reverse = Annotated[bool, typer.Option("--reverse", help="Turn a file that runs from new to old.")]


NAMES = (
    *("calendar", "timezone", "bar_seconds", "label", "adjusted", "volume_unit", "volume_column"),
    *("date_order", "decimal_mark", "columns", "feature_columns", "reverse"),
)
"""Names of all options above, which are those of the declarations."""


def declarations_of(options: dict[str, Any]) -> dict[str, Any]:
    """What was declared among a command's options; neither None nor an unset flag was."""
    return {name: options[name] for name in NAMES if options[name] not in (None, False)}
