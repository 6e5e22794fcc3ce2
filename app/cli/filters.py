"""Options that filter lists: part of a name, network, what was measured."""

from typing import Annotated

import typer

from app.cli.options import parse_dims

PartOfName = Annotated[
    str | None, typer.Option("--name", help="Only those whose name holds this, in any case.")
]
OnlyHidden = Annotated[
    str | None, typer.Option("--hidden", help="Only these widths of the trunk, such as 512,256.")
]
OnlyObsDim = Annotated[
    int | None, typer.Option("--obs-dim", min=1, help="Only this length of an observation.")
]
Metric = Annotated[
    str | None,
    typer.Option("--metric", help="Only those of which this was measured at the end, such as test.sharpe."),
]
MetricMin = Annotated[float | None, typer.Option("--metric-min", help="The least that --metric may be.")]
MetricMax = Annotated[float | None, typer.Option("--metric-max", help="The most that --metric may be.")]


def join_dims(hidden: str | None) -> str | None:
    """Widths as the service's filters take them. Raises InvalidInput for what are none."""
    return ",".join(map(str, parse_dims(hidden))) if hidden else None
