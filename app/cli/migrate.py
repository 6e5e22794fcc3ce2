"""`caliper migrate`: bring the registry's tables up to date."""

from app.cli import terminal
from app.cli.options import AsJson


def migrate_command(*, as_json: AsJson = False) -> None:
    """Bring the tables of CALIPER_DATABASE_URL up to date; harmless when they are. `serve` does it by itself.

    Example:
      CALIPER_DATABASE_URL=sqlite:////srv/caliper/caliper.db caliper migrate
    """
    # SQLAlchemy and Alembic take longer to load than `caliper --help` may take in all.
    from app.addresses import mask_password  # noqa: PLC0415
    from app.registry.database import migrate  # noqa: PLC0415
    from app.settings import get_settings  # noqa: PLC0415

    settings = get_settings()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate(settings.database_url)
    if as_json:
        terminal.print_json({"database": mask_password(settings.database_url), "up_to_date": True})
        return
    terminal.say(f"the tables of {mask_password(settings.database_url)} are up to date")
