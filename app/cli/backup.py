"""`caliper backup` and `caliper restore`: everything that a one-machine service keeps, to one place and back."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app.cli import figures, terminal
from app.cli.options import AsJson

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the service (CALIPER_DATA_DIR).", show_default=".caliper"),
]


def backup_command(
    target: Annotated[
        Path, typer.Argument(help="A folder, or a file that ends in .tar.", metavar="DIR|FILE.tar")
    ],
    *,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Copy registry and files of a one-machine service, also while it runs.

    The registry is copied as it is at one moment, with every file that it names; jobs train on meanwhile. Into a folder
    that holds an earlier backup only what is new is written. With PostgreSQL see docs/deployment.md.

    Examples:
      caliper backup /mnt/backups/caliper
      caliper backup caliper-2026-11-23.tar --data-dir /srv/caliper
    """
    # SQLAlchemy takes longer to load than `caliper --help` may take in all.
    from app.actions.back_up import back_up  # noqa: PLC0415
    from app.settings import Settings  # noqa: PLC0415

    settings = Settings() if data_dir is None else Settings(data_dir=data_dir)
    done = back_up(settings, target)
    if as_json:
        terminal.print_json({"backup": str(target), "copied": done.copied, **asdict(done.manifest)})
    else:
        size = figures.short_size(done.manifest.bytes)
        terminal.say(
            f"{target}: the registry and {done.manifest.files:,} files ({size}), {done.copied:,} of them new"
        )
    for sha256 in done.manifest.lost:
        terminal.print_problem(f"the file {sha256} is missing or damaged, and not in the backup")
    if done.manifest.lost:
        raise typer.Exit(1)


def restore_command(
    source: Annotated[Path, typer.Argument(help="What `caliper backup` wrote.", metavar="DIR|FILE.tar")],
    *,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring a backup back into a folder that holds no registry; every file is held against its hash.

    Jobs that ran when the backup was made wait again and go on from their last checkpoint. Then start it: caliper serve.

    Example:
      caliper restore /mnt/backups/caliper --data-dir /srv/caliper-new
    """
    from app.actions.restore_backup import restore_backup  # noqa: PLC0415
    from app.local.lock import StackLock  # noqa: PLC0415
    from app.local.prepare import make_folders  # noqa: PLC0415
    from app.settings import Settings  # noqa: PLC0415

    settings = Settings() if data_dir is None else Settings(data_dir=data_dir)
    make_folders(settings)
    lock = StackLock(settings.data_dir / "run")
    lock.acquire(url="(restoring)")
    try:
        done = restore_backup(settings, source)
    finally:
        lock.release()
    if as_json:
        terminal.print_json(
            {"data_dir": str(settings.data_dir), "requeued": done.requeued, **asdict(done.manifest)}
        )
        return
    size = figures.short_size(done.manifest.bytes)
    terminal.say(
        f"{settings.data_dir}: the registry and {done.manifest.files:,} files ({size}) of {done.manifest.created_at}"
    )
    terminal.say(f"{done.requeued} jobs that ran then wait again; start it with `caliper serve`")
