"""Bring the registry's tables up to date: `python -m app.local.migrate`, from the CALIPER_* environment."""

from app.registry.database import migrate
from app.settings import get_settings

if __name__ == "__main__":
    migrate(get_settings().database_url)
