"""Calibrations over real HTTP, and estimates and jobs that are timed by them."""

from copy import deepcopy
from typing import Any

import pytest
from running_service import Service, is_problem

from app.api.calibration_example import MEASURED

QUERY = "/estimate?obs_dim=260&hidden=32,16&lookback=20&features=8&rows=5000&device=cpu"


def keep(service: Service, **changes: Any) -> dict[str, Any]:
    answer = service.post("/calibrations", json={**MEASURED, **changes})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_calibration_comes_back_by_id_and_by_its_devices_name(service: Service) -> None:
    answer = service.post("/calibrations", json=MEASURED)
    row = answer.json()
    assert answer.headers["location"] == f"/calibrations/{row['id']}"
    assert (row["device"], row["loaded"]) == (MEASURED["device"], False)
    for name in (row["id"], MEASURED["device"]):
        found = service.get(f"/calibrations/{name}").json()
        assert found["id"] == row["id"]
        assert found["measured"] == MEASURED
    assert keep(service)["id"] == row["id"]  # sent again


def test_the_history_stays_in_pages(service: Service) -> None:
    days = [f"2026-11-{day:02}T09:00:00Z" for day in (20, 22, 21)]
    rows = [keep(service, measured_at=day) for day in days]
    keep(service, device="other")
    page = service.get("/calibrations", params={"device": MEASURED["device"], "limit": 2}).json()
    assert [item["id"] for item in page["items"]] == [rows[2]["id"], rows[1]["id"]]
    rest = service.get(
        "/calibrations", params={"device": MEASURED["device"], "limit": 2, "cursor": page["next_cursor"]}
    ).json()
    assert [item["id"] for item in rest["items"]] == [rows[0]["id"]]
    assert service.get(f"/calibrations/{MEASURED['device']}").json()["id"] == rows[1]["id"]  # the 22nd


def change(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    body: Any = deepcopy(MEASURED)
    place = body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return dict(body)


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        (("device",), "", "device"),
        (("device_type",), "tpu", "device_type"),
        (("clock",), "processor", "clock"),
        (("measured_at",), "2026-11-23T09:00:00", "measured_at"),
        (("measured_at",), "2226-11-23T09:00:00Z", "measured_at"),
        (("products",), [], "products"),
        (("products", 0, "typical"), [1e-9], "products/typical"),
        (("products", 0, "typical", 3), -1.0, "products/typical"),
        (("loop", "step", "typical"), -1.0, "loop/step"),
        (("loop", "step", "typical"), "fast", "loop/step/typical"),
        (("streams",), [], "streams"),
        (("surprise",), 1, "surprise"),
    ],
)
def test_what_no_measurement_gives_is_refused(
    service: Service, path: tuple[Any, ...], value: Any, pointer: str
) -> None:
    problem = is_problem(service.post("/calibrations", json=change(path, value)), 422, "invalid_input")
    assert problem["pointer"] == pointer
    assert service.get("/calibrations").json()["items"] == []


def test_an_unknown_device_is_not_found(service: Service) -> None:
    is_problem(service.get("/calibrations/absent"), 404, "not_found")
    problem = is_problem(service.get(f"{QUERY}&calibration=absent"), 404, "not_found")
    assert "caliper calibrate" in problem["hint"]


def test_an_estimate_is_timed_by_the_named_device(service: Service) -> None:
    bounds = service.get(QUERY).json()["time"]
    assert (bounds["basis"], bounds["hours"]["likely"]) == ("uncalibrated", None)
    row = keep(service)
    found = service.get(f"{QUERY}&calibration={row['id']}").json()["time"]
    assert (found["basis"], found["device"]) == ("calibrated", MEASURED["device"])
    assert found["hours"]["low"] < found["hours"]["likely"] < found["hours"]["high"]
    assert {constant["basis"] for constant in found["constants"]} == {"measured", "assumed"}
    assert sum(phase["share"] for phase in found["phases"]) == pytest.approx(1, abs=1e-2)
    elsewhere = service.get(f"{QUERY.replace('=cpu', '=cuda')}&calibration={row['id']}").json()["time"]
    assert elsewhere["basis"] == "uncalibrated"


def test_the_latest_measurement_shows_at_once(service: Service) -> None:
    keep(service)
    named = f"{QUERY}&calibration={MEASURED['device']}"
    before = service.get(named).json()["time"]["seconds_per_update"]["likely"]
    slower = [{**table, "typical": [9 * each for each in table["typical"]]} for table in MEASURED["products"]]
    slower = [{**table, "slowest": [99 * each for each in table["slowest"]]} for table in slower]
    keep(service, measured_at="2026-11-23T10:00:00Z", products=slower)
    assert service.get(named).json()["time"]["seconds_per_update"]["likely"] > before
