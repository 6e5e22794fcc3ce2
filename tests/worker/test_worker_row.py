"""A worker's row in the registry, kept by its consumer's own loop."""

from functools import partial

from app.registry.database import Database
from app.registry.workers import describe_worker, live_workers, remove_worker
from worker.main import renew_row


def test_a_worker_that_started_while_the_registry_was_away_registers_with_its_first_heartbeat(
    registry: Database,
) -> None:
    describe = partial(describe_worker, "caliper@one", "caliper.cpu", "cpu", {"name": "CPU"}, {})
    for _ in range(2):
        renew_row(registry, describe)
        with registry.read() as session:
            assert [worker.id for worker in live_workers(session, 60)] == ["caliper@one"]
    with registry.write() as session:
        remove_worker(session, "caliper@one")
    renew_row(registry, describe)
    with registry.read() as session:
        assert len(live_workers(session, 60)) == 1
