"""Take a job: fill in what was left out, refuse what cannot work, predict, register, wake a worker."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from app.actions.check_memory import check_memory
from app.actions.check_walk_forward import check_same_run
from app.actions.find_speed import Speed, find_speed
from app.actions.gather_datasets import (
    Gathered,
    choose_schema,
    find_datasets,
    load_datasets,
    plan_datasets,
)
from app.errors import InvalidConfig
from app.jobs.choices import explain_choices
from app.jobs.lifecycle import State
from app.jobs.plan import TrainingPlan
from app.jobs.spec import JobSpec
from app.market.mismatch import check_weights_fit
from app.network.auto_config import ResolvedConfig, resolve_config
from app.network.config import PPOConfig
from app.network.estimate import estimate
from app.network.tiers import TIERS, Tier, find_tier
from app.registry.checkpoints import find_checkpoint
from app.registry.database import Database, Session, new_id
from app.registry.datasets import find_dataset
from app.registry.evaluations import group_jobs
from app.registry.idempotency import bind, recall
from app.registry.jobs import add_job, get_job
from app.registry.tables import Job
from app.registry.workers import live_workers
from app.settings import Settings
from app.storage import Storage

SCOPE = "jobs"

SHOWN_NAMES = 3
"""Datasets that a job's own name lists."""

MAX_NAME = 200
"""Longest name of a job, as its column has it."""

_SPEC = TypeAdapter(JobSpec)


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job, and whether this request made it or one before with the same Idempotency-Key."""

    job: Job
    created: bool


def submit_job(
    database: Database, settings: Settings, spec: JobSpec, *, idempotency_key: str | None = None
) -> Submitted:
    """Accept a training job; its checkpoint's size is known to the byte from here on.

    Raises NotFound (dataset, checkpoint), InvalidConfig (a setting), InvalidDataset (too few bars),
    DoesNotFit (the tier's smallest card), IdempotencyMismatch, Conflict (a walk-forward group of other runs).
    """
    body_sha256 = hashlib.sha256(_SPEC.dump_json(spec)).hexdigest()
    if idempotency_key is not None and (twin := _recall(database, idempotency_key, body_sha256)):
        return Submitted(twin, created=False)
    job = resolve_job(database, settings, spec)
    with database.write() as session:
        if idempotency_key is not None:
            holder = bind(session, SCOPE, idempotency_key, body_sha256, job.id)
            if holder != job.id:
                return Submitted(get_job(session, holder), created=False)
        used = TrainingPlan.from_plain(job.id, job.config).dataset_ids
        for dataset_id in used:
            find_dataset(session, dataset_id)  # it may have been deleted meanwhile
        if spec.walk_forward is not None:
            check_same_run(job, group_jobs(session, spec.walk_forward))
        return Submitted(add_job(session, job, used), created=True)


def resolve_job(database: Database, settings: Settings, spec: JobSpec) -> Job:
    """The job that the spec describes, not yet registered; raises as `submit_job`."""
    with database.read() as session:
        datasets = find_datasets(session, spec)
        tier, tier_reason, card_bytes = _choose_tier(session, settings, spec)
        speed = find_speed(session, tier, settings.lease_seconds)
        start = find_checkpoint(session, spec.initial_checkpoint) if spec.initial_checkpoint else None
    resolved = _resolve_config(spec, tier)
    gathered = load_datasets(Storage(settings.artifacts_dir), datasets)
    plan, reasons = _plan(new_id("job"), spec, tier, resolved.config, gathered)
    if start is not None:
        check_weights_fit(start.report.get("feature_schema"), plan.schema, start.id)
    check_memory(spec, plan, card_bytes, lambda patched: _resolve_config(patched, tier).config)
    reasons = {**explain_choices(spec), **resolved.reasons, **reasons, "tier": tier_reason}
    return _describe(plan, spec, settings, reasons, speed)


def _recall(database: Database, key: str, body_sha256: str) -> Job | None:
    with database.read() as session:
        job_id = recall(session, SCOPE, key, body_sha256)
        return None if job_id is None else get_job(session, job_id)


def _choose_tier(session: Session, settings: Settings, spec: JobSpec) -> tuple[Tier, str, int]:
    """The tier, why, and the bytes of its smallest card here: a live worker's, else the nominal one."""
    workers = live_workers(session, settings.lease_seconds)
    alive = {worker.tier for worker in workers}
    if spec.tier is not None:
        tier, reason = find_tier(spec.tier), "asked for"
    elif alive:
        tier = next(tier for tier in TIERS.values() if tier.name in alive)
        reason = f"the strongest tier with a live worker ({len(workers)} alive)"
    else:
        tier, reason = (
            find_tier(settings.default_tier or "cpu"),
            "the service's default; no worker is alive yet",
        )
    nominal = settings.cpu_memory_bytes if tier.name == "cpu" else tier.smallest_bytes
    known = [int(worker.device.get("total_bytes", nominal)) for worker in workers if worker.tier == tier.name]
    return tier, reason, min([nominal, *known])


def _resolve_config(spec: JobSpec, tier: Tier) -> ResolvedConfig:
    """Fill the PPO configuration in; what stands beside `overrides` may not stand in it too."""
    overrides: dict[str, Any] = dict(spec.overrides)
    given: Mapping[str, Any] = {"seed": spec.seed, "hidden_dims": spec.hidden_dims}
    for name in ("total_timesteps", *given):
        if name in overrides:
            hint = f"give {name} beside overrides, not inside"
            raise InvalidConfig(f"{name} stands in overrides", hint=hint, pointer=f"overrides/{name}")
    overrides |= {name: value for name, value in given.items() if value is not None}
    return resolve_config(
        tier,
        spec.total_timesteps,
        training_mode=spec.training_mode,
        use_case=spec.use_case,
        overrides=overrides,
    )


def _plan(
    job_id: str, spec: JobSpec, tier: Tier, config: PPOConfig, gathered: Sequence[Gathered]
) -> tuple[TrainingPlan, dict[str, str]]:
    """The plan, and reasons for what it holds beside the PPO settings."""
    schema, reasons = choose_schema(spec, gathered)
    plan = TrainingPlan(
        job_id=job_id,
        tier=tier.name,
        ppo=config,
        schema=schema,
        environment=spec.environment,
        datasets=plan_datasets(spec, gathered),
        scale_features=spec.scale_features,
    )
    return plan, reasons


def _describe(
    plan: TrainingPlan, spec: JobSpec, settings: Settings, reasons: Mapping[str, str], speed: Speed
) -> Job:
    sizes = estimate(plan.shape, plan.ppo, plan.run_plan, calibration=speed.calibration, gpu=speed.gpu)
    dims = ",".join(map(str, plan.ppo.hidden_dims))
    return Job(
        id=plan.job_id,
        name=spec.name or _name(plan, dims),
        dataset_id=plan.datasets[0].id,
        spec=_SPEC.dump_python(spec, mode="json"),
        config=plan.plain(),
        reasons=dict(reasons),
        estimate=asdict(sizes),
        hidden_dims=dims,
        obs_dim=plan.shape.obs_dim,
        tier=plan.tier,
        queue=settings.queue_name(plan.tier),
        predicted_bytes=sizes.disk.checkpoint.bytes,
        state=str(State.QUEUED),
        walk_forward=spec.walk_forward,
        max_attempts=spec.max_attempts or settings.max_attempts,
    )


def _name(plan: TrainingPlan, dims: str) -> str:
    names = [dataset.name for dataset in plan.datasets]
    more = f"+{len(names) - SHOWN_NAMES}" if len(names) > SHOWN_NAMES else ""
    return f"{'+'.join(names[:SHOWN_NAMES])}{more} {dims}"[:MAX_NAME]
