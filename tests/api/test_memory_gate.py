"""POST /jobs refuses what cannot fit, with the estimate and with the change of the request by which it would."""

from dataclasses import asdict
from typing import Any

import pytest
from factories import upload_googl
from running_service import Service, is_problem

from app.market.trading import RETAIL_COSTS
from app.registry.database import Database
from app.storage import Storage

SPEC: dict[str, Any] = {
    "dataset": "googl",
    "environment": {"costs": asdict(RETAIL_COSTS)},
    "total_timesteps": 1_000_000,
    "tier": "low",
}
TOO_LARGE = {**SPEC, "hidden_dims": [65_536, 8_192]}
TOO_MANY = {**SPEC, "hidden_dims": [4_096], "overrides": {"num_envs": 65_536, "num_steps": 64, "gamma": 0.9}}


@pytest.fixture(autouse=True)
def _dataset(registry: Database, storage: Storage, settings: Any) -> None:
    upload_googl(registry, storage, settings)


def merge(value: Any, patch: Any) -> Any:
    """JSON merge patch as RFC 7396 writes it down."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for name, part in patch.items():
        if part is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), part)
    return merged


@pytest.mark.parametrize(("spec", "pointer"), [(TOO_LARGE, "hidden_dims"), (TOO_MANY, "overrides/")])
def test_a_refusal_holds_the_estimate_and_a_patch_that_is_accepted(
    service: Service, spec: dict[str, Any], pointer: str
) -> None:
    problem = is_problem(service.post("/jobs", json=spec), 422, "does_not_fit")
    assert problem["detail"].startswith("the run needs ")
    assert "low tier (T4 16 GB)" in problem["detail"]
    assert problem["pointer"].startswith(pointer)
    assert "nearest that fits" in problem["hint"]
    assert problem["needed_bytes"] > problem["available_bytes"] == 15_655_239_680
    assert (
        sum(part["bytes"] for part in problem["components"] + problem["overheads"]) == problem["needed_bytes"]
    )
    assert all(part["explanation"] for part in problem["components"])
    assert all(part["basis"] and part["source"] for part in problem["overheads"])
    assert problem["peak_instant"]
    assert service.get("/jobs").json()["items"] == []

    answer = service.post("/jobs", json=merge(spec, problem["nearest_fit"]))
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert job["estimate"]["memory"]["total_bytes"] == problem["nearest_fit_bytes"]
    assert problem["nearest_fit_bytes"] <= problem["available_bytes"]
    assert job["config"]["ppo"]["gamma"] == spec.get("overrides", {}).get("gamma", 0.99)


def test_the_preview_refuses_alike(service: Service) -> None:
    refused = [service.post(path, json=TOO_MANY).json() for path in ("/jobs", "/jobs/preview")]
    assert {**refused[0], "request_id": ""} == {**refused[1], "request_id": ""}
