"""`caliper export`: a checkpoint's policy as safetensors, ONNX, a Stable-Baselines3 zip, or torch's weights alone."""

import dataclasses
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.checkpoint.inspect import inspect_checkpoint
from app.cli import terminal
from app.cli.group import EXIT_ERROR
from app.cli.inspect import parse_address
from app.cli.options import AsJson, connect
from app.errors import InvalidInput
from app.export.pieces import reads_of
from app.export.plan import FORMATS, ExportFormat, plan_export

if TYPE_CHECKING:
    from app.export.parity import Parity

Checkpoint = Annotated[
    str,
    typer.Argument(
        metavar="FILE|URL",
        help="A checkpoint file, or the URL of one on a Caliper service: http://…/checkpoints/ID.",
        show_default=False,
    ),
]
Format = Annotated[
    ExportFormat,
    typer.Option(
        "--format", "-f", help="onnx, safetensors, sb3 (Stable-Baselines3), or torch (the weights alone)."
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Where to put it.", show_default="the checkpoint's name"),
]
Check = Annotated[
    bool, typer.Option("--check", help="Compare its outputs with the checkpoint's (onnx needs onnxruntime).")
]

SUFFIXES: dict[str, str] = {
    "onnx": ".onnx",
    "safetensors": ".safetensors",
    "sb3": ".zip",
    "torch": ".weights.pt",
}
"""What the file's name ends with where none is given."""


def export_command(
    checkpoint: Checkpoint,
    *,
    kind: Format,
    output: Output = None,
    check: Check = False,
    as_json: AsJson = False,
) -> None:
    """Write a checkpoint's policy in the format of another library.

    Neither torch nor the file's own code is loaded; the values are copied byte for byte, so memory stays flat. ONNX
    has the inputs `observations` and the outputs `logits` (or `mean` and `log_std`) and `value`; a normaliser that
    the policy was trained with (norm_obs) is part of the graph. `sb3` opens with stable_baselines3.PPO.load.

    Exit code 1: it cannot be exported, which stands on stderr with the reason, or --check found a difference that
    rounding does not explain.

    Example: caliper export run.pt --format onnx --check
    """
    address = parse_address(checkpoint)
    if address is not None and check:
        raise InvalidInput(
            "--check needs the checkpoint's file",
            hint="`caliper checkpoints download` it first",
            pointer="--check",
        )
    if address is not None:
        target = output or Path(f"{address.checkpoint}{SUFFIXES[kind]}")
        with connect(address.service) as client:
            client.export(address.checkpoint, kind, target)
    else:
        target = output or Path(Path(checkpoint).with_suffix("").name + SUFFIXES[kind])
        write_export(Path(checkpoint), kind, target)
    parity = _check(Path(checkpoint), target) if check else None
    answer = {"path": str(target), "format": kind, "bytes": target.stat().st_size}
    if as_json:
        terminal.print_json({**answer, "parity": parity and dataclasses.asdict(parity)})
    else:
        _say(answer, parity)
    if parity is not None and not parity.holds:
        raise typer.Exit(EXIT_ERROR)


def write_export(checkpoint: Path, kind: str, target: Path) -> None:
    """Write the export to `target`, wholly or not at all. Raises what `plan_export` raises."""
    if kind not in FORMATS:
        raise InvalidInput(f"{kind!r} is no format", hint=f"one of {', '.join(FORMATS)}", pointer="--format")
    report = inspect_checkpoint(checkpoint)
    with checkpoint.open("rb") as source:
        if target.exists() and target.samefile(checkpoint):
            raise InvalidInput(
                f"{target} is the checkpoint itself", hint="give another --output", pointer="--output"
            )
        export = plan_export(report, source, kind)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        try:
            with temporary.open("xb") as file:
                for block in export.blocks(reads_of(source.fileno())):
                    file.write(block)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _check(checkpoint: Path, target: Path) -> "Parity":
    from app.export.parity import check_parity  # noqa: PLC0415 - it loads numpy, which no other command offline needs

    return check_parity(checkpoint, target)


def _say(answer: dict[str, Any], parity: "Parity | None") -> None:
    terminal.say(f"{answer['path']}: {answer['bytes']:,} bytes")
    if parity is None:
        return
    rows: list[tuple[str, Any]] = [
        ("parity", "holds" if parity.holds else "DOES NOT HOLD"),
        ("ran by", parity.ran_by),
        ("observations", f"{parity.observations:,}"),
        ("policy's outputs", f"at most {parity.max_policy_difference:.2e} apart"),
        ("values", f"at most {parity.max_value_difference:.2e} apart"),
        ("tolerance", f"{parity.tolerance:.2e}"),
    ]
    if parity.argmax_agreement is not None:
        rows.append(("same action", f"{100 * parity.argmax_agreement:.2f} %"))
    terminal.show(terminal.pairs(rows))
