"""Which tier a job goes to: the smallest card that holds it, among those that there are."""

from typing import Any

import pytest
from factories import small_spec, upload_googl

from app.actions.choose_tier import doubt_precision
from app.actions.preview_job import preview_job
from app.actions.submit_job import submit_job
from app.errors import DoesNotFit
from app.jobs.spec import JobSpec
from app.market.trading import RETAIL_COSTS, EnvSpec
from app.network.tiers import GB, find_tier
from app.registry.database import Database
from app.registry.tables import Job
from app.registry.workers import (
    Drain,
    ask_to_leave,
    describe_worker,
    note_departure,
    register_worker,
)
from app.settings import Settings
from app.storage import Storage

LARGE = {"hidden_dims": [40_000, 40_000], "overrides": {"num_envs": 4, "num_steps": 32}}
"""A run of about 30 GB: more than the low and medium tiers hold, less than the high one."""


@pytest.fixture(autouse=True)
def dataset(registry: Database, storage: Storage, settings: Settings) -> None:
    upload_googl(registry, storage, settings)


def start(registry: Database, *tiers: str, total_bytes: int = 80 * GB) -> None:
    for tier in tiers:
        row = describe_worker(f"w-{tier}", f"caliper.{tier}", tier, {"total_bytes": total_bytes}, {})
        with registry.write() as session:
            register_worker(session, row)


def route(registry: Database, settings: Settings, **values: Any) -> Job:
    return submit_job(registry, settings, small_spec(**values)).job


def test_a_job_goes_to_the_smallest_card_with_a_live_worker(registry: Database, settings: Settings) -> None:
    start(registry, "a100", "low", "cpu")
    job = route(registry, settings)
    assert (job.tier, job.queue) == ("low", "caliper.low")
    reason = job.reasons["tier"]
    assert reason.startswith("the smallest tier with a live worker that holds it: the run takes ")
    assert reason.endswith(" of 15.66 GB")


@pytest.mark.parametrize(
    ("tier", "precision", "said"),
    [
        (
            "low",
            "bf16",
            "'bf16'; the tier's smallest card (T4 16 GB) has no instructions for it and emulates",
        ),
        ("low", "tf32", "has no instructions for it and computes in fp32"),
        ("cpu", "tf32", "a CPU has none such and computes in fp32"),
    ],
)
def test_a_precision_that_the_smallest_card_has_not_is_taken_with_what_that_means(
    registry: Database, settings: Settings, tier: str, precision: str, said: str
) -> None:
    job = route(registry, settings, tier=tier, overrides={"precision": precision})
    assert said in job.reasons["precision"]


@pytest.mark.parametrize(
    ("tier", "precision"),
    [("low", "fp32"), ("low", "auto"), ("medium", "bf16"), ("h100", "bf16"), ("cpu", "bf16")],
)
def test_of_one_that_it_has_there_is_nothing_to_say(tier: str, precision: Any) -> None:
    assert doubt_precision(find_tier(tier), precision) == ""


def test_one_that_it_does_not_hold_is_passed_over(registry: Database, settings: Settings) -> None:
    start(registry, "low", "medium", "high", "h100")
    job = route(registry, settings, **LARGE)
    assert 20 * GB < job.estimate["memory"]["total_bytes"] < 40 * GB
    assert job.tier == "high"


def test_what_the_tier_decides_is_that_of_the_tier_it_goes_to(registry: Database, settings: Settings) -> None:
    start(registry, "a100", "low")
    bare = JobSpec(dataset="googl", environment=EnvSpec(RETAIL_COSTS), total_timesteps=10_000)
    job = submit_job(registry, settings, bare).job
    assert (job.tier, job.hidden_dims) == ("low", "256,128,64")
    named = JobSpec(dataset="googl", environment=EnvSpec(RETAIL_COSTS), total_timesteps=10_000, tier="a100")
    job = submit_job(registry, settings, named).job
    assert (job.tier, job.hidden_dims, job.reasons["tier"]) == ("a100", "1024,512,256", "asked for")
    assert preview_job(registry, settings, named).tier == "a100"


def test_the_smallest_card_here_counts_not_the_nominal_one(registry: Database, settings: Settings) -> None:
    start(registry, "low", total_bytes=1 * GB)
    start(registry, "medium", total_bytes=24 * GB)
    assert route(registry, settings, hidden_dims=[6_000, 6_000]).tier == "medium"


def test_cards_come_before_the_cpu_and_the_cpu_before_none(registry: Database, settings: Settings) -> None:
    start(registry, "cpu")
    assert route(registry, settings).tier == "cpu"
    start(registry, "h100")
    assert route(registry, settings).tier == "h100"


def test_a_tier_whose_worker_is_away_is_waited_for_where_no_other_holds_the_run(
    registry: Database, settings: Settings
) -> None:
    start(registry, "low", "high")
    with registry.write() as session:
        note_departure(session, "w-high")
    assert route(registry, settings).tier == "low"
    job = route(registry, settings, **LARGE)
    assert job.tier == "high"
    assert "none of its workers is alive now" in job.reasons["tier"]


def test_a_worker_that_is_leaving_counts_as_away(registry: Database, settings: Settings) -> None:
    start(registry, "low", "medium")
    with registry.write() as session:
        ask_to_leave(session, "w-low", Drain.DONE, 60)
    assert route(registry, settings).tier == "medium"


def test_a_job_that_no_tier_here_holds_is_refused_with_the_nearest_fit_not_sent_to_wait_for_ever(
    registry: Database, settings: Settings
) -> None:
    start(registry, "low", "medium")
    with pytest.raises(DoesNotFit, match="smallest card of the medium tier") as caught:
        route(registry, settings, **LARGE)
    assert caught.value.extra["nearest_fit"]
    named = route(registry, settings, **LARGE, tier="high")
    assert named.tier == "high"


@pytest.mark.parametrize(("default", "tier"), [("", "cpu"), ("medium", "medium")])
def test_where_no_worker_was_ever_seen_the_service_s_default_holds(
    registry: Database, settings: Settings, default: str, tier: str
) -> None:
    job = route(registry, settings.model_copy(update={"default_tier": default}))
    assert job.tier == tier
    assert job.reasons["tier"].startswith("the service's default; no worker was ever seen: the run takes")
