"""Worked examples of answers; what can be computed is computed, the tests hold the others to their schema."""

from typing import Any

from pydantic import TypeAdapter

from app.api.problems import responses
from app.errors import CaliperError
from app.jobs.protocol import MESSAGE_VERSION, PLAN_VERSION
from app.network.config import PPOConfig
from app.network.estimate import Estimate, estimate
from app.network.shape import NetworkShape

DIMS = (512, 256, 128)
SIZED = estimate(NetworkShape(5300, DIMS), PPOConfig(hidden_dims=DIMS))
JOB_ID, DATASET_ID = "job_019ab3c2d1e04f6a7b8c9d", "dataset_019ab3c1a0e04f6a7b8c9d"
CHECKPOINT_ID = "checkpoint_019ab3d5f2e04f6a7b8c9d"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
EARLIER, LATER = "2026-11-23T09:00:00Z", "2026-11-23T09:41:07Z"

DATASET: dict[str, Any] = {
    "id": DATASET_ID,
    "name": "googl-daily",
    "rows": 2335,
    "bar_seconds": 86400,
    "starts_at": "2009-05-22T00:00:00Z",
    "ends_at": "2018-08-29T00:00:00Z",
    "sha256": SHA256,
    "file_sha256": SHA256[::-1],
    "declarations": {"bar_seconds": 86400, "timezone": "America/New_York", "calendar": "XNYS"},
    "report": {
        "segments": [[0, 2335]],
        "segment_count": 1,
        "unused_bars": 0,
        "gaps": [],
        "gap_count": 0,
        "closings": 503,
        "jumps": [],
        "jump_count": 0,
        "flat_bars": 0,
        "prices": {"first": 196.95, "last": 1264.65, "low": 195.2, "high": 1291.44, "change": 5.421},
        "volume": {
            "column": "Volume",
            "unit": "shares",
            "missing_rows": 0,
            "zero_rows": 0,
            "lowest_median": 1_540_000.0,
            "highest_median": 5_720_000.0,
        },
        "has_volume": True,
        "own_features": [],
        "is_adjusted": False,
        "dropped_twins": 0,
        "periods_per_year": 252.0,
        "warnings": [],
    },
    "chart": f"/datasets/{DATASET_ID}/chart.svg",
    "source": "exported from the broker's terminal",
    "licence": "internal use",
    "created_at": EARLIER,
}
SPLITS: dict[str, Any] = {
    "lookback": 100,
    "decisions": 1735,
    "folds": [
        {
            "number": 1,
            "spans": [
                {
                    "name": "train",
                    "start": 598,
                    "stop": 1517,
                    "first_bar": "2011-10-05T00:00:00Z",
                    "last_bar": "2015-06-01T00:00:00Z",
                    "decisions": 919,
                }
            ],
        }
    ],
}
CHECKPOINT: dict[str, Any] = {
    "id": CHECKPOINT_ID,
    "name": "googl-daily 512,256,128",
    "kind": "final",
    "tags": ["baseline"],
    "aliases": ["live"],
    "sha256": SHA256,
    "bytes": SIZED.disk.checkpoint.bytes,
    "predicted_bytes": SIZED.disk.checkpoint.bytes,
    "producer": "caliper",
    "obs_dim": 5300,
    "hidden_dims": list(DIMS),
    "action_dim": 3,
    "parameters": SIZED.parameters,
    "step": 1_000_448,
    "job_id": JOB_ID,
    "dataset_id": DATASET_ID,
    "dataset_ids": [DATASET_ID],
    "parent_id": None,
    "metrics": {"sharpe": 0.71},
    "created_at": LATER,
}
CHECKPOINT_DETAIL = {**CHECKPOINT, "config": None, "versions": {"torch": "2.13.0"}, "report": None}
JOB: dict[str, Any] = {
    "id": JOB_ID,
    "name": "googl-daily 512,256,128",
    "state": "running",
    "desired": "run",
    "dataset_id": DATASET_ID,
    "dataset_ids": [DATASET_ID],
    "obs_dim": 5300,
    "hidden_dims": list(DIMS),
    "tier": "high",
    "priority": 0,
    "predicted_bytes": SIZED.disk.checkpoint.bytes,
    "attempt": 1,
    "failures": 0,
    "max_attempts": 3,
    "progress": {"step": 204_800, "steps_per_second": 21_400.0},
    "result": None,
    "error": None,
    "last_event": 52,
    "created_at": EARLIER,
    "started_at": EARLIER,
    "ended_at": None,
}
JOB_DETAIL = {
    **JOB,
    "queue": "caliper.high",
    "waiting": None,
    "used_seconds": 0.0,
    "spec": {
        "dataset": "googl-daily",
        "total_timesteps": 1_000_000,
        "environment": {
            "costs": {"fee_bps": 5.0, "half_spread_bps": 1.0, "slippage": 0.02, "borrow_bps_per_year": 300.0}
        },
    },
    "config": {"ppo": {"hidden_dims": list(DIMS), "learning_rate": 0.00025}},
    "reasons": {
        "tier": "the smallest tier with a live worker that holds it: the run takes 3.12 of 40.00 GB",
        "hidden_dims": "the tier's network",
    },
    "estimate": {"parameters": SIZED.parameters},
    "resume_from": None,
    "request_id": "nightly-42",
    "attempts": [
        {
            "number": 1,
            "worker": "caliper@gpu-1",
            "resumed_from": None,
            "started_at": EARLIER,
            "heartbeat_at": LATER,
            "ended_at": None,
            "outcome": None,
            "reason": "",
            "versions": {
                "caliper": "0.1.0",
                "commit": "33cc768e" + "0" * 32,
                "python": "3.11.9",
                "torch": "2.13.0",
            },
        }
    ],
    "checkpoints": [CHECKPOINT],
    "links": {},
}
RUNNING: dict[str, Any] = {
    "job_id": JOB_ID,
    "name": "googl-daily 512,256,128",
    "attempt": 1,
    "worker": "caliper@gpu-1",
    "started_at": EARLIER,
    "heartbeat_at": LATER,
    "progress": {"global_step": 204_800, "total_timesteps": 1_000_000, "seconds_left": 37.0},
}
WORKER: dict[str, Any] = {
    "id": "caliper@gpu-1",
    "tier": "high",
    "queue": "caliper.high",
    "queues": ["caliper.high"],
    "state": "ready",
    "protocol": MESSAGE_VERSION,
    "plan_version": PLAN_VERSION,
    "outdated": False,
    "device": {"name": "NVIDIA L40S", "total_bytes": 47_708_110_848},
    "versions": {"torch": "2.13.0"},
    "started_at": EARLIER,
    "seen_at": LATER,
    "job": RUNNING,
}
QUEUE: dict[str, Any] = {
    "broker": "ok",
    "tiers": [
        {
            "tier": "high",
            "queue": "caliper.high",
            "workers": 1,
            "running": [RUNNING],
            "waiting_count": 1,
            "waiting": [
                {
                    "job_id": "job_019ab3c5aae04f6a7b8c9d",
                    "name": "googl-daily 1024,512,256",
                    "place": 1,
                    "priority": 0,
                    "since": LATER,
                    "why": "tier high: 1 worker, busy; next in line",
                    "last_attempt": "",
                }
            ],
        }
    ],
}


def answers(
    example: Any, *errors: type[CaliperError], status: int = 200, headers: dict[str, Any] | None = None
) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of an operation: its success with a worked example, and its errors."""
    success: dict[str, Any] = {"content": {"application/json": {"example": example}}}
    if headers:
        success["headers"] = headers
    return {status: success, **responses(*errors)}


def page_of(item: Any) -> dict[str, Any]:
    """A page that holds one item."""
    return {"items": [item], "next_cursor": None}


def plain(value: Any, kind: Any = Estimate) -> Any:
    """A dataclass as JSON shows it."""
    return TypeAdapter(kind).dump_python(value, mode="json")
