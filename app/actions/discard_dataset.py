"""Delete a dataset."""

from app.registry.database import Database
from app.registry.datasets import delete_dataset


def discard_dataset(database: Database, id_or_name: str) -> None:
    """Mark the dataset as deleted; its bytes stay for the jobs that trained on it. Raises NotFound."""
    with database.write() as session:
        delete_dataset(session, id_or_name)
