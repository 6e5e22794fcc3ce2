"""Submitting: defaults with reasons, refusals before anything is written, an exact prediction."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from factories import DAILY_EQUITY, GOOGL, make_checkpoint, small_spec, upload_googl

from app.access import Caller, Role
from app.actions.accept_dataset import accept_dataset
from app.actions.discard_dataset import discard_dataset
from app.actions.preview_job import preview_job
from app.actions.submit_job import _SPEC, hash_spec, submit_job
from app.errors import (
    CaliperError,
    DoesNotFit,
    Forbidden,
    IdempotencyMismatch,
    InvalidConfig,
    InvalidDataset,
    InvalidInput,
    InvalidShape,
    NotFound,
)
from app.jobs.choices import explain_choices
from app.jobs.plan import TrainingPlan
from app.jobs.protocol import PLAN_VERSION
from app.jobs.spec import JobSpec
from app.market.trading import RETAIL_COSTS, ActionSpec, EnvSpec
from app.network.disk.archive_size import torch_save_bytes
from app.network.disk.contents import predicted_contents
from app.registry.checkpoints import add_checkpoint
from app.registry.database import Database
from app.registry.job_lists import list_jobs
from app.registry.outbox import next_messages
from app.registry.workers import describe_worker, register_worker
from app.settings import Settings
from app.storage import Storage

RETAIL = EnvSpec(RETAIL_COSTS)


@pytest.fixture(autouse=True)
def dataset(registry: Database, storage: Storage, settings: Settings) -> None:
    upload_googl(registry, storage, settings)


def test_a_bare_request_gets_the_full_schema_and_the_tiers_network(
    registry: Database, settings: Settings
) -> None:
    job = submit_job(
        registry, settings, JobSpec(dataset="googl", environment=RETAIL, total_timesteps=100_000)
    ).job
    assert (job.state, job.tier, job.queue) == ("queued", "cpu", "caliper.cpu")
    assert (job.obs_dim, job.hidden_dims) == (5300, "256,128,64")
    assert "cpu tier" in job.reasons["hidden_dims"]
    assert job.reasons["gamma"] == "the default"
    assert job.estimate["parameters"] == 1_406_788
    with registry.read() as session:
        assert [m.job_id for m in next_messages(session, 9)] == [job.id]


def test_every_setting_has_a_reason_and_overrides_say_so(registry: Database, settings: Settings) -> None:
    job = submit_job(
        registry, settings, small_spec(overrides={"gamma": 0.9, "num_envs": 4, "num_steps": 32})
    ).job
    assert set(job.reasons) == set(job.config["ppo"]) | {"tier"} | set(explain_choices(small_spec()))
    assert job.config["ppo"]["gamma"] == 0.9
    assert "override" in job.reasons["gamma"]
    assert "override" in job.reasons["hidden_dims"]


def test_the_plan_survives_its_row_and_predicts_the_same_size(registry: Database, settings: Settings) -> None:
    job = submit_job(
        registry, settings, small_spec(environment=EnvSpec(RETAIL_COSTS, actions=ActionSpec(kind="gaussian")))
    ).job
    plan = TrainingPlan.from_plain(job.id, job.config)
    assert plan.plain() == job.config
    assert plan.shape.action_kind == "gaussian"
    run = plan.run_plan
    again = predicted_contents(
        plan.shape, plan.ppo, device_type="cpu", env_state=run.env_state, provenance=run.provenance
    )
    assert torch_save_bytes(again) == job.predicted_bytes


def test_an_idempotency_key_means_the_same_in_every_release(registry: Database, settings: Settings) -> None:
    """What a spec is bound by does not change with fields that came later, unless they are used."""
    usual, same = hash_spec(small_spec()), hash_spec(small_spec(priority=0, max_hours=None))
    assert usual == same
    kept = _SPEC.dump_json(small_spec(), exclude={"priority", "max_hours"})
    assert usual == hashlib.sha256(kept).hexdigest()
    assert len({usual, hash_spec(small_spec(priority=1)), hash_spec(small_spec(max_hours=2.0))}) == 3


def test_priority_and_time_limit_stand_in_the_row(registry: Database, settings: Settings) -> None:
    job = submit_job(registry, settings, small_spec(priority=-3, max_hours=1.5)).job
    assert (job.priority, job.max_seconds, job.plan_version) == (-3, 5_400.0, PLAN_VERSION)
    assert job.config["version"] == PLAN_VERSION
    assert job.reasons["priority"] == job.reasons["max_hours"] == "as asked for"


@pytest.mark.parametrize("role", [Role.TRAINER, Role.READER])
def test_only_an_admin_goes_before_others(registry: Database, settings: Settings, role: Role) -> None:
    caller = Caller(role, None, "ada")
    with pytest.raises(Forbidden, match="priority 1 is above"):
        submit_job(registry, settings, small_spec(priority=1), caller=caller)
    assert submit_job(registry, settings, small_spec(priority=-1), caller=caller).job.priority == -1
    admin = replace(caller, role=Role.ADMIN)
    assert submit_job(registry, settings, small_spec(priority=10), caller=admin).job.priority == 10


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"dataset": "nope"}, NotFound, "no dataset 'nope'"),
        ({"initial_checkpoint": "nope"}, NotFound, "no checkpoint 'nope'"),
        ({"hidden_dims": []}, InvalidShape, "hidden_dims is empty"),
        ({"hidden_dims": [0]}, InvalidShape, r"hidden_dims\[0\] is 0"),
        ({"hidden_dims": [10**9]}, InvalidShape, "1,000,000,000 exceeds the limit"),
        ({"hidden_dims": [60_000, 60_000]}, DoesNotFit, "the run needs"),
        ({"total_timesteps": 0}, InvalidConfig, "total_timesteps is 0"),
        ({"tier": "tpu"}, InvalidInput, "unknown tier 'tpu'"),
        ({"training_mode": "quick", "use_case": "quick"}, InvalidConfig, "both|use_case"),
        ({"overrides": {"learnig_rate": 1}}, InvalidConfig, "learnig_rate"),
        ({"overrides": {"seed": 3}}, InvalidConfig, "seed stands in overrides"),
        ({"overrides": {"gamma": 2.0}}, InvalidConfig, "gamma is 2.0"),
        (
            {"overrides": {"num_envs": 3, "num_steps": 5, "num_minibatches": 4}},
            InvalidConfig,
            "num_minibatches",
        ),
        ({"overrides": {"norm_obs": True, "first_layer": "table"}}, InvalidConfig, "clips each column"),
        ({"features": ["rsi_15"]}, InvalidInput, "rsi_15"),
        ({"lookback": 0}, InvalidInput, "lookback"),
        ({"lookback": 1500}, InvalidDataset, "E_TOO_SHORT"),
    ],
)
def test_what_cannot_work_is_refused_and_leaves_no_trace(
    registry: Database, settings: Settings, change: dict[str, object], error: type[CaliperError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        submit_job(registry, settings, small_spec(**change))
    assert caught.value.hint
    with registry.read() as session:
        assert list_jobs(session, limit=9) == []
        assert next_messages(session, 9) == []


def _merged(spec: JobSpec, patch: dict[str, Any]) -> JobSpec:
    """A merge patch applied as RFC 7396 says: objects within objects are merged too."""
    overrides = {**spec.overrides, **patch.get("overrides", {})}
    return replace(spec, **{**patch, "overrides": overrides})


@pytest.mark.parametrize(
    ("asked", "share", "changed"),
    [
        ({"hidden_dims": [512], "overrides": {"num_envs": 512, "num_minibatches": 1}}, 0.9, "overrides"),
        ({"hidden_dims": [512], "overrides": {"num_envs": 4096, "num_steps": 64}}, 0.6, "overrides"),
        ({"hidden_dims": [4096, 4096]}, 0.5, "hidden_dims"),
        ({"hidden_dims": [4096, 4096], "overrides": {"gamma": 0.9}, "use_case": "quick"}, 0.5, "hidden_dims"),
    ],
)
def test_the_nearest_fit_is_a_patch_of_the_spec_with_which_the_job_is_taken(
    registry: Database, settings: Settings, asked: dict[str, Any], share: float, changed: str
) -> None:
    spec = JobSpec(dataset="googl", environment=RETAIL, total_timesteps=4_000_000, **asked)
    memory_bytes = round(share * preview_job(registry, settings, spec).estimate["memory"]["total_bytes"])
    tight = settings.model_copy(update={"cpu_memory_bytes": memory_bytes})
    with pytest.raises(DoesNotFit, match="this service's cpu tier has") as caught:
        submit_job(registry, tight, spec)
    problem = caught.value.problem()
    assert problem["needed_bytes"] > problem["available_bytes"] == memory_bytes
    parts = [*problem["components"], *problem["overheads"]]
    assert sum(part["bytes"] for part in parts) == problem["needed_bytes"]
    assert problem["peak_instant"]
    assert problem["tier"] == "cpu"
    patch = json.loads(json.dumps(problem["nearest_fit"]))
    assert changed in patch
    assert problem["pointer"].startswith(changed)
    job = submit_job(registry, tight, _merged(spec, patch)).job
    assert job.estimate["memory"]["total_bytes"] == problem["nearest_fit_bytes"] <= memory_bytes
    assert job.config["ppo"]["gamma"] == asked.get("overrides", {}).get("gamma", 0.99)


@pytest.mark.parametrize("memory_bytes", [9_000_000_000, 1_200_000_000])
def test_a_job_s_own_estimate_says_of_the_cpu_what_the_gate_goes_by(
    registry: Database, settings: Settings, memory_bytes: int
) -> None:
    granting = settings.model_copy(update={"cpu_memory_bytes": memory_bytes})
    job = submit_job(registry, granting, small_spec()).job
    verdict = next(fit for fit in job.estimate["fits"] if fit["tier"] == "cpu")
    assert job.tier == "cpu"
    assert (verdict["fits"], verdict["card_bytes"]) == (True, memory_bytes)


def test_exactly_enough_is_taken_and_one_byte_less_refused(registry: Database, settings: Settings) -> None:
    needed = preview_job(registry, settings, small_spec()).estimate["memory"]["total_bytes"]
    enough = settings.model_copy(update={"cpu_memory_bytes": needed})
    assert submit_job(registry, enough, small_spec()).job.state == "queued"
    short = settings.model_copy(update={"cpu_memory_bytes": needed - 1})
    with pytest.raises(DoesNotFit) as caught:
        submit_job(registry, short, small_spec())
    assert caught.value.extra["available_bytes"] == needed - 1


def test_nothing_is_proposed_where_nothing_fits(registry: Database, settings: Settings) -> None:
    tight = settings.model_copy(update={"cpu_memory_bytes": 300_000_000})
    with pytest.raises(DoesNotFit) as caught:
        submit_job(registry, tight, small_spec())
    assert caught.value.problem()["nearest_fit"] is None
    assert "larger card" in caught.value.hint


def test_a_job_that_starts_from_weights_is_not_offered_another_network(
    registry: Database, settings: Settings
) -> None:
    with registry.write() as session:
        add_checkpoint(session, make_checkpoint(id="checkpoint_1"))
    tight = settings.model_copy(update={"cpu_memory_bytes": 650_000_000})
    given = {"hidden_dims": [4096, 4096], "initial_checkpoint": "checkpoint_1"}
    with pytest.raises(DoesNotFit) as caught:
        submit_job(registry, tight, small_spec(**given, lookback=100, features=None))
    assert "hidden_dims" not in (caught.value.problem()["nearest_fit"] or {})


def test_the_smallest_live_card_of_the_tier_decides(registry: Database, settings: Settings) -> None:
    """A worker on a slice of 5 GB makes its tier's jobs fit 5 GB."""
    with registry.write() as session:
        device = {"total_bytes": 5_100_273_664}
        register_worker(session, describe_worker("w", "caliper.low", "low", device, {}))
    spec = JobSpec(
        dataset="googl", environment=RETAIL, total_timesteps=10_000, tier="low", hidden_dims=[65536, 4096]
    )
    with pytest.raises(DoesNotFit, match=r"smallest card of the low tier") as caught:
        submit_job(registry, settings, spec)
    assert caught.value.extra["available_bytes"] == 5_100_273_664


def test_a_deleted_dataset_takes_no_job(registry: Database, settings: Settings) -> None:
    discard_dataset(registry, "googl")
    with pytest.raises(NotFound, match="was deleted"):
        submit_job(registry, settings, small_spec())


def test_a_dataset_too_short_for_three_spans_is_refused(
    registry: Database, storage: Storage, settings: Settings
) -> None:
    lines = GOOGL.read_bytes().splitlines(keepends=True)[:800]
    short = settings.data_dir / "short.csv"
    short.write_bytes(b"".join(lines))
    with short.open("rb") as file:
        accept_dataset(registry, storage, settings, file, name="short", declarations=DAILY_EQUITY)
    with pytest.raises(InvalidDataset, match="E_TOO_SHORT"):
        submit_job(registry, settings, JobSpec(dataset="short", environment=RETAIL, total_timesteps=1000))


def test_one_key_makes_one_job_even_at_once(registry: Database, settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(submit_job, registry, settings, small_spec(), idempotency_key="k") for _ in range(8)
        ]
    answers = [call.result() for call in calls]
    assert len({answer.job.id for answer in answers}) == 1
    assert [answer.created for answer in answers].count(True) == 1
    again = submit_job(registry, settings, small_spec(), idempotency_key="k")
    assert not again.created
    with pytest.raises(IdempotencyMismatch):
        submit_job(registry, settings, small_spec(seed=2), idempotency_key="k")
    with registry.read() as session:
        assert len(list_jobs(session, limit=9)) == 1


def test_an_initial_checkpoint_is_looked_up(registry: Database, settings: Settings) -> None:
    with registry.write() as session:
        add_checkpoint(session, make_checkpoint(id="checkpoint_1"))
    job = submit_job(registry, settings, small_spec(initial_checkpoint="checkpoint_1")).job
    assert job.spec["initial_checkpoint"] == "checkpoint_1"
