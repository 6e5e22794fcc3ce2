"""`caliper registry …`: the upkeep of the registry."""

from dataclasses import asdict
from typing import Annotated

import typer

from app.cli import terminal
from app.cli.group import CaliperGroup
from app.cli.options import AsJson

app = typer.Typer(cls=CaliperGroup, help="Upkeep of the registry: tidy, use-storage.", no_args_is_help=True)


@app.callback()
def registry() -> None:
    """Upkeep of the registry: tidy, use-storage."""


@app.command("tidy")
def tidy_command(
    *,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Give freed space back to the disk; writers wait meanwhile.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let go now of what the service lets go by itself every hour: points of old curves, old logs.

    CALIPER_KEEP_POINTS_DAYS after a job has ended its curves keep CALIPER_KEPT_POINTS points each;
    after CALIPER_KEEP_LOGS_DAYS its log goes. States, results, checkpoints and evaluations stay. Harmless while the service
    runs: rows go a few thousand at a time. Only --vacuum, which rewrites the tables, makes writers wait.

    Example:
      caliper registry tidy --vacuum
    """
    # SQLAlchemy takes longer to load than `caliper --help` may take in all.
    from app.actions.tidy_registry import compact_registry, tidy_registry  # noqa: PLC0415
    from app.registry.database import Database  # noqa: PLC0415
    from app.settings import get_settings  # noqa: PLC0415

    settings = get_settings()
    database = Database(settings.database_url)
    try:
        count = tidy_registry(database, settings, turn_seconds=None)
        if vacuum:
            compact_registry(database)
    finally:
        database.close()
    if as_json:
        terminal.print_json({**asdict(count), "vacuumed": vacuum})
        return
    gone = f"{count.points:,} points, {count.events:,} progress events and {count.log_lines:,} lines of logs"
    terminal.say(f"{count.jobs:,} jobs tidied: {gone} are gone")


@app.command("use-storage")
def use_storage_command(*, as_json: AsJson = False) -> None:
    """Say that the registry's files now lie where CALIPER_DATA_DIR or CALIPER_ARTIFACTS_URL points.

    Copy them there first, and stop the service. A service refuses to start on a storage that its registry does
    not know: it would not find its files, and sweep away those of another registry.

    Example:
      CALIPER_ARTIFACTS_URL=s3://models/caliper caliper registry use-storage
    """
    from app.actions.recognise_storage import use_storage  # noqa: PLC0415
    from app.registry.database import Database  # noqa: PLC0415
    from app.settings import get_settings  # noqa: PLC0415
    from app.storage import open_storage  # noqa: PLC0415

    settings = get_settings()
    database, storage = Database(settings.database_url), open_storage(settings)
    try:
        use_storage(database, storage)
    finally:
        database.close()
    if as_json:
        terminal.print_json({"storage": storage.address})
    else:
        terminal.say(f"the registry's files lie in {storage.address}")
