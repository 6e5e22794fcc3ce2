"""`caliper inspect` and `caliper diff`: what is in checkpoints, read here or told by a service, never run."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

import typer

from app.checkpoint.diff import compare_reports
from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.report import CheckpointReport
from app.checkpoint.weights_child import compare_weights
from app.cli import terminal
from app.cli.difference import draw_diff
from app.cli.group import EXIT_FINDING
from app.cli.options import AsJson, connect
from app.cli.report import draw_report, has_high_finding
from app.errors import CaliperError, InvalidInput, UnreadableCheckpoint

KINDS = ".pt, .pth, .zip of Stable-Baselines3, .safetensors, .onnx, …"
File = Annotated[
    str,
    typer.Argument(
        metavar="FILE|URL",
        help=f"A checkpoint file ({KINDS}), or the URL of one on a Caliper service: http://…/checkpoints/ID.",
        show_default=False,
    ),
]
Weights = Annotated[
    bool,
    typer.Option("--weights", help="Read the values too: how far each tensor moved (needs numpy)."),
]


@dataclass(frozen=True, slots=True)
class Address:
    """A checkpoint on a service."""

    service: str
    """The service's address."""
    checkpoint: str
    """Id or alias."""


def inspect_command(file: File, *, as_json: AsJson = False) -> None:
    """Say what is in a checkpoint without running any of it.

    A file is read offline, without torch; of a URL the service's stored report is shown.

    Examples:
      caliper inspect model.pt
      caliper inspect model.pt --json || exit 1    # keeps a dangerous file out
      caliper inspect http://127.0.0.1:8400/checkpoints/live

    Exit codes: 0 read, nothing of high severity found · 1 it could not be read; why stands on stderr, and stdout is
    empty with --json too · 2 a finding of high severity, or wrong usage · 3 the service does not answer.
    """
    report = read_report(file).plain()
    if as_json:
        terminal.print_json(report)
    else:
        terminal.show(draw_report(report))
    if has_high_finding(report):
        raise typer.Exit(EXIT_FINDING)


def diff_command(left: File, right: File, *, weights: Weights = False, as_json: AsJson = False) -> None:
    """Compare two checkpoints: what differs, and what one may do with the one in place of the other.

    Says whether the right's weights load into the left's network, and which keys would fail; whether one may
    stand in for the other at inference; whether they are of one training. Files are read offline, without
    torch; two checkpoints of one service are compared there, with its knowledge of their parents.

    Examples:
      caliper diff old.pt new.pt
      caliper diff old.pt new.pt --weights --json

    Exit codes: 0 compared, whatever differs · 1 one could not be read · 2 wrong usage · 3 the service does not answer.
    """
    ours, theirs = parse_address(left), parse_address(right)
    if ours is not None and theirs is not None and ours.service == theirs.service:
        diff, distances = _compare_there(ours, theirs, weights=weights)
    else:
        diff, distances = _compare_here(left, right, weights=weights)
    if as_json:
        terminal.print_json({**diff, "weights": distances} if weights else diff)
    else:
        terminal.show(draw_diff(diff, distances))


def read_report(file: str, *, with_statistics: bool = False) -> CheckpointReport:
    """The report of a file, or of a checkpoint on a service, which has the statistics' hashes always.

    Raises UnreadableCheckpoint, InvalidInput.
    """
    address = parse_address(file)
    if address is None:
        return _read_file(Path(file), with_statistics=with_statistics)
    with connect(address.service) as client:
        row = client.checkpoint(address.checkpoint)
    if not row["report"]:
        raise UnreadableCheckpoint(
            f"the service has no report of {address.checkpoint}", hint="download the file and inspect it here"
        )
    return CheckpointReport.from_plain(dict(row["report"]))


def _read_file(path: Path, *, with_statistics: bool) -> CheckpointReport:
    """The report of a file or folder; an error names it, since a pipeline inspects many."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UnreadableCheckpoint(
                "it is a device, a pipe or a socket",
                hint="a file or a folder; save what comes through a pipe first",
            )
        return inspect_checkpoint(path, with_statistics=with_statistics)
    except CaliperError as error:
        error.pointer = error.pointer or str(path)
        raise


def parse_address(text: str) -> Address | None:
    """The service and checkpoint that a URL names; None for a path. Raises InvalidInput for other URLs."""
    if not text.startswith(("http://", "https://")):
        return None
    service, _, rest = text.partition("/checkpoints/")
    checkpoint = unquote(rest.partition("?")[0].strip("/").removesuffix("/file"))
    if not checkpoint or "/" in checkpoint:
        hint = "such as http://127.0.0.1:8400/checkpoints/live; download other files first"
        raise InvalidInput(f"{text!r} is no checkpoint on a Caliper service", hint=hint, pointer="FILE|URL")
    return Address(service, checkpoint)


def _compare_there(left: Address, right: Address, *, weights: bool) -> tuple[Any, Any]:
    with connect(left.service) as client:
        names = (left.checkpoint, right.checkpoint)
        diff = client.diff(*names)
        return diff, client.diff_weights(*names, on_waiting=_tell_waiting) if weights else None


def _tell_waiting(reason: str) -> None:
    typer.echo(f"waiting: {reason}", err=True)


def _compare_here(left: str, right: str, *, weights: bool) -> tuple[Any, Any]:
    if weights and (parse_address(left) or parse_address(right)):
        raise InvalidInput(
            "the weights of a file and of a service's checkpoint are not compared",
            hint="`caliper checkpoints download` it first",
            pointer="--weights",
        )
    reports = (read_report(left, with_statistics=True), read_report(right, with_statistics=True))
    diff = dataclasses.asdict(compare_reports(*reports))
    distances = compare_weights(Path(left), Path(right), reports).plain() if weights else None
    return diff, distances
