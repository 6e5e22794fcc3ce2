"""A job's parameters, tags and scores as flat names, the same in every tracker."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]

STRATEGIES = ("policy", "buy_and_hold", "sma_cross", "flat")
"""Whose figures on each span are scores."""

FIGURES = ("total_return", "cagr", "volatility", "sharpe", "sortino", "max_drawdown", "calmar", "turnover")
"""The figures of a strategy that are scores."""


def safe_name(text: str) -> str:
    """Text as a tracker's name: letters, digits, `_`, `.` and `-`; others become `_`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("._") or "_"


def list_params(config: Json) -> dict[str, str]:
    """The resolved configuration, flattened: `ppo.learning_rate`, `environment.costs.fee_bps`, …; lists as JSON."""
    return dict(_flatten("", config))


def list_tags(job: Json) -> dict[str, str]:
    """What a job is found by: its id, state, tier, datasets with their hashes, checkpoint, versions that trained it."""
    datasets = job["config"].get("datasets", [])
    final = job["checkpoints"][0] if job["checkpoints"] else None
    tags = {
        "caliper.job_id": job["id"],
        "caliper.job_name": job["name"],
        "caliper.state": job["state"],
        "caliper.tier": job["tier"],
        "caliper.dataset_ids": ",".join(job["dataset_ids"]),
        "caliper.dataset_sha256": ",".join(each["sha256"] for each in datasets),
        "caliper.attempts": str(job["attempt"]),
    }
    if commit := find_commit(job):
        tags["caliper.commit"] = commit
    if final is not None:
        tags |= {"caliper.checkpoint_id": final["id"], "caliper.checkpoint_sha256": final["sha256"]}
        tags |= {
            f"caliper.version.{safe_name(name)}": str(value)
            for name, value in (final.get("versions") or {}).items()
        }
    return tags


def find_commit(job: Json) -> str | None:
    """The commit of Caliper's source that ran the job's last attempt; None where it is not known."""
    ran = [attempt.get("versions") or {} for attempt in job["attempts"]]
    return next((str(each["commit"]) for each in reversed(ran) if each.get("commit")), None)


def list_scores(report: Json) -> dict[str, float]:
    """The evaluation's figures: `evaluation/test/policy/sharpe`; of several datasets with the name before the span."""
    names = [safe_name(asset["dataset_name"]) for asset in report["assets"]]
    if len(set(names)) < len(names):
        names = [asset["dataset_id"] for asset in report["assets"]]
    scores: dict[str, float] = {}
    for name, asset in zip(names, report["assets"], strict=True):
        prefix = "evaluation" if len(names) == 1 else f"evaluation/{name}"
        scores |= {f"{prefix}/{key}": value for key, value in _scores(asset["evaluation"])}
    return scores


def _scores(evaluation: Json) -> Iterator[tuple[str, float]]:
    for span in evaluation["spans"]:
        for strategy in STRATEGIES:
            for figure in FIGURES:
                value = span[strategy][figure]
                if value is not None:
                    yield f"{span['name']}/{strategy}/{figure}", float(value)


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flatten(f"{prefix}.{safe_name(str(name))}" if prefix else safe_name(str(name)), inner)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for place, inner in enumerate(value):
            yield from _flatten(f"{prefix}.{place}", inner)
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value)
