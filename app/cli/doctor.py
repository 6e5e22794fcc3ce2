"""`caliper doctor`: what is wrong with this installation, in words."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from app.cli import terminal
from app.cli.group import EXIT_ERROR
from app.cli.options import AsJson

STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def doctor_command(
    *,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of the service (CALIPER_DATA_DIR).", show_default=".caliper"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at everything that the service needs, and say what is wrong and what to do about it.

    Settings, folders, disk, database, Redis, storage, API, keys, workers, queues, clocks, PyTorch: each check on its own,
    whether the service runs or not. Nothing is changed, no password is shown. Exit code 1 where there is a problem.

    Examples:
      caliper doctor
      caliper doctor --data-dir /srv/caliper --json
    """
    # SQLAlchemy takes longer to load than `caliper --help` may take in all.
    from pydantic import ValidationError  # noqa: PLC0415

    from app.doctor import Verdict, examine  # noqa: PLC0415
    from app.settings import Settings  # noqa: PLC0415

    try:
        settings = None if data_dir is None else Settings(data_dir=data_dir)
    except ValidationError:
        settings = None  # examined and told below
    found = []
    for finding in examine(settings):
        found.append(finding)
        if not as_json:
            verdict = str(finding.verdict)
            line = Text.assemble((f"{verdict:<8}", STYLES[verdict]), (f" {finding.about}: ", "bold"))
            terminal.show(line.append(terminal.plain(finding.said)))
            if finding.advice:
                terminal.show(Text(f"         → {terminal.plain(finding.advice)}", style="dim"))
    if as_json:
        terminal.print_json([asdict(finding) for finding in found])
    problems = sum(finding.verdict is Verdict.PROBLEM for finding in found)
    warnings = sum(finding.verdict is Verdict.WARNING for finding in found)
    terminal.say(f"{problems} problems, {warnings} warnings in {len(found)} things looked at")
    if problems:
        raise typer.Exit(EXIT_ERROR)
