"""Why everything of a plan that is no PPO setting is as it is: stated, or left to a default."""

from dataclasses import fields
from typing import Any

from app.jobs.spec import JobSpec
from app.market.trading import EnvSpec

STATED, DEFAULT = "as asked for", "the default"


def explain_choices(spec: JobSpec) -> dict[str, str]:
    """Name -> reason, for features, split, environment, attempts, priority and time limit; parts of the environment as `environment/…`."""
    return {
        "features": STATED
        if spec.features
        else "all of schema v1, then every column of your own that all datasets have",
        "lookback": _chosen(spec.lookback, _default_of(JobSpec, "lookback")),
        "scale_features": _chosen(spec.scale_features, _default_of(JobSpec, "scale_features")),
        "split": _explain_split(spec),
        "weights": f"those of {spec.initial_checkpoint}, as asked for"
        if spec.initial_checkpoint
        else "fresh: no checkpoint to start from was named",
        "priority": _chosen(spec.priority, 0),
        "max_hours": _chosen(spec.max_hours, None),
        "max_attempts": STATED if spec.max_attempts is not None else "the service's setting",
        "environment/costs": "as stated; costs have no default",
        **{f"environment/{name}": reason for name, reason in _explain_environment(spec.environment).items()},
    }


def _explain_split(spec: JobSpec) -> str:
    if spec.folds is None:
        return "60/20/20 in the order of time: no folds were asked for"
    number = f"fold {spec.fold}" if spec.fold is not None else "the last fold, as none was named,"
    return f"{number} of the {spec.folds} walk-forward folds asked for"


def _explain_environment(environment: EnvSpec) -> dict[str, str]:
    usual = EnvSpec(environment.costs)
    names = [item.name for item in fields(EnvSpec) if item.name != "costs"]
    return {name: _chosen(getattr(environment, name), getattr(usual, name)) for name in names}


def _chosen(value: Any, default: Any) -> str:
    return DEFAULT if value == default else STATED


def _default_of(owner: type, name: str) -> Any:
    return next(item.default for item in fields(owner) if item.name == name)
