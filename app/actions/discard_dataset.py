"""Delete a dataset."""

from app.access import LOCAL, Caller, require_owner
from app.registry.database import Database
from app.registry.datasets import delete_dataset, find_dataset


def discard_dataset(database: Database, id_or_name: str, caller: Caller = LOCAL) -> None:
    """Mark the dataset as deleted; its bytes stay for the jobs that trained on it. Raises NotFound, Forbidden (another key's)."""
    with database.write() as session:
        dataset = find_dataset(session, id_or_name)
        require_owner(caller, dataset.key_id, f"the dataset {dataset.id}")
        delete_dataset(session, dataset.id)
