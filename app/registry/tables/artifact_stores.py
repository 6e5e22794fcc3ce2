"""Which storage holds the files that the registry names."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.registry.tables.base import Base, utc_now

ONLY = 1
"""Key of the one row."""


class ArtifactStore(Base):
    """The one storage of this registry, known by the mark that it carries."""

    __tablename__ = "artifact_stores"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=ONLY)
    mark: Mapped[str] = mapped_column(String(60))
    address: Mapped[str] = mapped_column(String(1000))
    is_marked: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
