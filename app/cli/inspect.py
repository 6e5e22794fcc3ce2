"""`caliper inspect` and `caliper diff`: what is in checkpoint files, read here, without running them."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from app.checkpoint.diff import compare_reports
from app.checkpoint.inspect import inspect_checkpoint
from app.cli import terminal
from app.cli.group import EXIT_FINDING
from app.cli.options import AsJson
from app.cli.report import draw_diff, draw_report, has_high_finding

File = Annotated[
    Path,
    typer.Argument(help="A checkpoint: .pt, .zip of Stable-Baselines3, .safetensors.", show_default=False),
]


def inspect_command(file: File, *, as_json: AsJson = False) -> None:
    """Say what is in a checkpoint file without running any of it.

    Works offline, without torch. Exit code 2 where a finding is of high severity.
    """
    report = inspect_checkpoint(file).plain()
    if as_json:
        terminal.print_json(report)
    else:
        terminal.show(draw_report(report))
    if has_high_finding(report):
        raise typer.Exit(EXIT_FINDING)


def diff_command(left: File, right: File, *, as_json: AsJson = False) -> None:
    """Compare two checkpoint files, and say whether the weights of one load into the other.

    Works offline, without torch.
    """
    diff = dataclasses.asdict(compare_reports(inspect_checkpoint(left), inspect_checkpoint(right)))
    if as_json:
        terminal.print_json(diff)
    else:
        terminal.show(draw_diff(diff))
