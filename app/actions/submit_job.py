"""Take a job: fill in what was left out, refuse what cannot work, predict, register, wake a worker."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from app.access import LOCAL, Caller, Role
from app.actions.check_memory import check_memory
from app.actions.check_quota import check_job_quota
from app.actions.check_walk_forward import check_same_run
from app.actions.choose_tier import Candidate, candidate_tiers, doubt_precision
from app.actions.find_speed import Speed, find_speed
from app.actions.gather_datasets import (
    Gathered,
    choose_schema,
    find_datasets,
    load_datasets,
    plan_datasets,
    survey_lanes,
    survey_windows,
)
from app.errors import Forbidden, InvalidConfig
from app.jobs.choices import explain_choices
from app.jobs.lifecycle import State
from app.jobs.plan import TrainingPlan
from app.jobs.spec import JobSpec
from app.market.mismatch import check_weights_fit
from app.network.auto_config import ResolvedConfig, resolve_config
from app.network.config import PPOConfig
from app.network.estimate import estimate
from app.network.memory.run_memory import run_memory
from app.network.tiers import Tier
from app.registry.checkpoints import find_checkpoint
from app.registry.database import Database, new_id
from app.registry.datasets import find_dataset
from app.registry.evaluations import group_jobs
from app.registry.idempotency import bind, recall, scope_of
from app.registry.jobs import add_job, get_job
from app.registry.tables import Job
from app.settings import Settings
from app.storage import open_storage

SCOPE = "jobs"

SHOWN_NAMES = 3
"""Datasets that a job's own name lists."""

MAX_NAME = 200
"""Longest name of a job, as its column has it."""

LATER_FIELDS: Mapping[str, Any] = {"priority": 0, "max_hours": None}
"""Fields of a spec that the first release had not, with their defaults."""

_SPEC = TypeAdapter(JobSpec)


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job, and whether this request made it or one before with the same Idempotency-Key."""

    job: Job
    created: bool


def submit_job(
    database: Database,
    settings: Settings,
    spec: JobSpec,
    *,
    idempotency_key: str | None = None,
    request_id: str | None = None,
    caller: Caller = LOCAL,
) -> Submitted:
    """Accept a training job; its checkpoint's size is known to the byte from here on.

    `request_id`: what the log lines of the request carry, and those of worker and trainer then too.

    Raises NotFound (dataset, checkpoint), InvalidConfig (a setting), InvalidDataset (too few bars),
    DoesNotFit (the tier's smallest card), IdempotencyMismatch, Conflict (a walk-forward group of other runs),
    QuotaExceeded (the caller's), Forbidden (a raised priority).
    """
    scope = scope_of(SCOPE, caller.key_id)
    check_priority(caller, spec.priority)
    body_sha256 = hash_spec(spec)
    if idempotency_key is not None and (twin := _recall(database, scope, idempotency_key, body_sha256)):
        return Submitted(twin, created=False)
    job = resolve_job(database, settings, spec)
    job.request_id, job.key_id = request_id, caller.key_id
    with database.write() as session:
        if idempotency_key is not None:
            holder = bind(session, scope, idempotency_key, body_sha256, job.id)
            if holder != job.id:
                return Submitted(get_job(session, holder), created=False)
        check_job_quota(session, settings, caller.key_id)
        used = TrainingPlan.from_plain(job.id, job.config).dataset_ids
        for dataset_id in used:
            find_dataset(session, dataset_id)  # it may have been deleted meanwhile
        if spec.walk_forward is not None:
            check_same_run(job, group_jobs(session, spec.walk_forward))
        return Submitted(add_job(session, job, used), created=True)


def hash_spec(spec: JobSpec) -> str:
    """What an Idempotency-Key is bound to: the same in every release for a spec that all of them know.

    So fields that came later than the first release are left out while they hold their default.
    """
    later = {name for name in LATER_FIELDS if getattr(spec, name) == LATER_FIELDS[name]}
    return hashlib.sha256(_SPEC.dump_json(spec, exclude=later)).hexdigest()


def check_priority(caller: Caller, priority: int) -> None:
    """Raise Forbidden where somebody who is no admin would go before all others."""
    if priority > 0 and caller.role is not Role.ADMIN:
        raise Forbidden(
            f"priority {priority} is above that of other keys' jobs",
            hint="0 and below are everybody's; an admin's key may raise it",
            pointer="priority",
        )


def resolve_job(database: Database, settings: Settings, spec: JobSpec) -> Job:
    """The job that the spec describes, not yet registered; raises as `submit_job`."""
    with database.read() as session:
        datasets = find_datasets(session, spec)
        candidates = candidate_tiers(session, settings, spec)
        start = find_checkpoint(session, spec.initial_checkpoint) if spec.initial_checkpoint else None
    gathered = load_datasets(open_storage(settings), datasets)
    chosen = _route(spec, candidates, gathered)
    tier, plan = chosen.candidate.tier, chosen.plan
    if start is not None:
        check_weights_fit(start.report.get("feature_schema"), plan.schema, start.id)
    with database.read() as session:
        speed = find_speed(session, tier, settings.lease_seconds)
    return _describe(plan, spec, settings, {**explain_choices(spec), **chosen.reasons}, speed)


@dataclass(frozen=True, slots=True)
class Route:
    """A job's plan for one tier, and the reasons for all that it holds."""

    candidate: Candidate
    plan: TrainingPlan
    reasons: Mapping[str, str]


def _route(spec: JobSpec, candidates: Sequence[Candidate], gathered: Sequence[Gathered]) -> Route:
    """The first tier that holds the run; raises DoesNotFit of the one with the most memory where none does."""
    routes, job_id = [], new_id("job")
    for candidate in candidates:
        resolved = _resolve_config(spec, candidate.tier)
        plan, reasons = _plan(job_id, spec, candidate.tier, resolved.config, gathered)
        needed = run_memory(plan.shape, plan.ppo, plan.run_plan).total_bytes
        why = {**resolved.reasons, **reasons, "tier": candidate.reason(needed)}
        if doubt := doubt_precision(candidate.tier, plan.ppo.precision):
            why["precision"] += f"; {doubt}"
        routes.append(Route(candidate, plan, why))
        if needed <= candidate.card_bytes:
            return routes[-1]
    best = max(routes, key=lambda route: route.candidate.card_bytes)
    tier = best.candidate.tier
    check_memory(
        spec, best.plan, best.candidate.card_bytes, lambda patched: _resolve_config(patched, tier).config
    )
    return best


def _recall(database: Database, scope: str, key: str, body_sha256: str) -> Job | None:
    with database.read() as session:
        job_id = recall(session, scope, key, body_sha256)
        return None if job_id is None else get_job(session, job_id)


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
    planned = plan_datasets(spec, gathered)
    plan = TrainingPlan(
        job_id=job_id,
        tier=tier.name,
        ppo=config,
        schema=schema,
        environment=spec.environment,
        datasets=planned,
        scale_features=spec.scale_features,
        windows=survey_windows(schema, gathered, planned),
        lanes=survey_lanes(schema, gathered, planned),
    )
    return plan, reasons


def _describe(
    plan: TrainingPlan, spec: JobSpec, settings: Settings, reasons: Mapping[str, str], speed: Speed
) -> Job:
    sizes = estimate(
        plan.shape,
        plan.ppo,
        plan.run_plan,
        calibration=speed.calibration,
        gpu=speed.gpu,
        cpu_memory_bytes=settings.cpu_memory_bytes,
    )
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
        priority=spec.priority,
        max_seconds=None if spec.max_hours is None else spec.max_hours * 3600,
    )


def _name(plan: TrainingPlan, dims: str) -> str:
    names = [dataset.name for dataset in plan.datasets]
    more = f"+{len(names) - SHOWN_NAMES}" if len(names) > SHOWN_NAMES else ""
    return f"{'+'.join(names[:SHOWN_NAMES])}{more} {dims}"[:MAX_NAME]
