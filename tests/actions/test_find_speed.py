"""A job's time is predicted by the calibration of a live worker's device."""

import pytest
from calibrations import calibration
from factories import small_spec, upload_googl

from app.actions.keep_calibration import keep_calibration
from app.actions.submit_job import submit_job
from app.registry.database import Database
from app.registry.workers import describe_worker, register_worker
from app.settings import Settings
from app.storage import Storage


@pytest.fixture(autouse=True)
def dataset(registry: Database, storage: Storage, settings: Settings) -> None:
    upload_googl(registry, storage, settings)


def worker(registry: Database, **device: object) -> None:
    """A live worker of the cpu tier."""
    row = describe_worker("w", "caliper.cpu", "cpu", {"total_bytes": 8 << 30, **device}, {})
    with registry.write() as session:
        register_worker(session, row)


def test_a_calibrated_worker_s_job_has_a_figure(registry: Database, settings: Settings) -> None:
    worker(registry, measured_as="test CPU, 1 threads")
    keep_calibration(registry, calibration())
    time = submit_job(registry, settings, small_spec()).job.estimate["time"]
    assert (time["basis"], time["device"]) == ("calibrated", "test CPU, 1 threads")
    assert time["hours"]["likely"] > 0
    assert time["notes"] == ()  # the job's windows are known


@pytest.mark.parametrize("device", [{"measured_as": "another"}, {"name": "cpu"}])
def test_a_worker_that_was_never_measured_has_bounds(
    registry: Database, settings: Settings, device: dict[str, object]
) -> None:
    worker(registry, **device)
    keep_calibration(registry, calibration())
    time = submit_job(registry, settings, small_spec()).job.estimate["time"]
    assert (time["basis"], time["hours"]["likely"]) == ("uncalibrated", None)


def test_without_a_worker_the_tier_s_smallest_card_gives_bounds(
    registry: Database, settings: Settings
) -> None:
    time = submit_job(registry, settings, small_spec(tier="low")).job.estimate["time"]
    assert (time["basis"], time["device"]) == ("uncalibrated", "T4")
