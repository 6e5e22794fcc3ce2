"""Jobs in every state, made as the API and a worker make them."""

from typing import Any

from factories import GOOGL
from running_service import Service

from app.jobs.lifecycle import Outcome
from app.registry.attempts import Claim, claim_job, fail_job, lose_attempt, stop_job
from app.registry.database import Database
from app.registry.metrics import record_progress
from app.registry.workers import describe_worker, register_worker

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
"""What a browser says of a form on a page of the service itself."""
HTMX = {**SAME_ORIGIN, "HX-Request": "true"}
"""What HTMX adds to it."""
COSTS = {"fee_bps": 5, "half_spread_bps": 1, "slippage": 0.02, "borrow_bps_per_year": 300}
SPEC: dict[str, Any] = {
    "dataset": "googl",
    "environment": {"costs": COSTS},
    "total_timesteps": 512,
    "hidden_dims": [8],
    "lookback": 5,
    "features": ["ret_1"],
}


def upload_googl(service: Service, name: str = "googl") -> dict[str, Any]:
    """The shipped bars."""
    form = {"name": name, "calendar": "XNYS", "adjusted": "split", "volume_unit": "shares"}
    answer = service.post("/datasets", files={"file": ("googl.csv", GOOGL.read_bytes())}, data=form)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def submit(service: Service, **values: Any) -> dict[str, Any]:
    """A queued job."""
    answer = service.post("/jobs", json={**SPEC, **values})
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


def progress(step: int, **values: Any) -> dict[str, Any]:
    """What a trainer reports after an update."""
    return {
        "update": step // 128,
        "num_updates": 4,
        "global_step": step,
        "total_timesteps": 512,
        "steps_per_second": 2_000.0 + step,
        "seconds_left": 0.5,
        "episode_return": step / 1_000,
        "policy_loss": -1.0 / step,
        "value_loss": 1.0 / step,
        "entropy": 1.09,
        "approx_kl": 0.001,
        "clipfrac": 0.01,
        "explained_variance": None,
        "memory_bytes": 5e8 + step,
        **values,
    }


def claim(registry: Database, job_id: str, worker: str = "caliper@one") -> Claim:
    """A worker that registers and takes the job."""
    with registry.write() as session:
        register_worker(session, describe_worker(worker, "caliper.cpu", "cpu", {"name": "CPU"}, {}))
        claimed = claim_job(session, job_id, worker, 60)
    assert claimed is not None
    return claimed


def run(registry: Database, job_id: str, *steps: int) -> Claim:
    """A running job that has reported at these steps."""
    claimed = claim(registry, job_id)
    for step in steps:
        with registry.write() as session:
            assert record_progress(session, claimed.hold, step, progress(step))
    return claimed


def fail(registry: Database, claimed: Claim, detail: str, hint: str = "") -> None:
    """Its end by an error."""
    with registry.write() as session:
        fail_job(
            session,
            claimed.hold,
            {"code": "training_diverged", "detail": detail, "hint": hint},
            Outcome.FAILED,
        )


def crash(registry: Database, claimed: Claim, reason: str) -> None:
    """Its attempt's end by a crash."""
    with registry.write() as session:
        lose_attempt(session, claimed.hold, Outcome.CRASHED, reason)


def stop(registry: Database, claimed: Claim) -> None:
    """Its end by its user's wish."""
    with registry.write() as session:
        stop_job(session, claimed.hold, "cancelled: checkpointed and stopped")
