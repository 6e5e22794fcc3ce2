"""`caliper migrate`: bring the registry's tables up to date."""

from app.cli import terminal


def migrate_command() -> None:
    """Bring the tables of CALIPER_DATABASE_URL up to date; harmless when they are. `serve` does it by itself."""
    # SQLAlchemy and Alembic take longer to load than `caliper --help` may take in all.
    from app.registry.database import migrate  # noqa: PLC0415
    from app.settings import get_settings, mask_password  # noqa: PLC0415

    settings = get_settings()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate(settings.database_url)
    terminal.say(f"the tables of {mask_password(settings.database_url)} are up to date")
