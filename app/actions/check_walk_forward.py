"""Refuse a job that would be shown beside folds of another run."""

from collections.abc import Sequence
from typing import Any

from app.errors import Conflict
from app.registry.tables import Job

MAY_DIFFER = frozenset(
    {"fold", "name", "seed", "tier", "dataset", "datasets", "initial_checkpoint", "max_attempts"}
)
"""Parts of a spec that the folds of a group need not share; datasets are compared by their bars."""


def check_same_run(job: Job, others: Sequence[Job]) -> None:
    """Raise Conflict where a job of the same walk-forward group asks for other bars or another policy."""
    for other in others:
        differing = [name for name in sorted(_run_of(job)) if _run_of(job)[name] != _run_of(other).get(name)]
        if differing:
            detail = f"the walk-forward group {job.walk_forward!r} holds {other.id}, which differs in {', '.join(differing)}"
            hint = "choose another group, or the same settings for all its folds"
            raise Conflict(detail, hint=hint, pointer="walk_forward")


def _run_of(job: Job) -> dict[str, Any]:
    asked = {name: value for name, value in job.spec.items() if name not in MAY_DIFFER}
    return {**asked, "bars": [dataset["sha256"] for dataset in job.config["datasets"]]}
