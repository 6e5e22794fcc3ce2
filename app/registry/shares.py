"""How much of each tier's time the keys have used: added to whenever an attempt ends, read by whoever claims."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.jobs.fair_share import weigh
from app.registry.tables import Job, Share


def add_use(session: Session, job: Job, seconds: float, at: float) -> None:
    """Note that the job's key has used its tier for so long, up to `at` by the database's clock."""
    if seconds <= 0:
        return
    row = {"queue": job.queue, "key": job.key_id or "", "used": weigh(seconds, at)}
    dialect: Any = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    insert = dialect.insert(Share).values(**row)
    session.execute(
        insert.on_conflict_do_update(
            index_elements=[Share.queue, Share.key], set_={"used": Share.used + insert.excluded.used}
        )
    )
