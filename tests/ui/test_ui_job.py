"""A job's page: curves, configuration with reasons, attempts, log, evaluation, checkpoints; its buttons."""

from typing import Any

import numpy as np
import pytest
from factories import make_checkpoint
from job_rows import HTMX, SAME_ORIGIN, claim, crash, fail, run, stop, submit, upload_googl
from page_markup import read_fragment, read_page, rows_of, text_of
from running_service import Service

from app.market.curves import thin_curve
from app.market.splits import Span
from app.registry.attempts import Claim, finish_job, note_versions
from app.registry.checkpoints import add_checkpoint
from app.registry.database import Database
from app.registry.evaluations import add_evaluation, open_test_span
from app.registry.events import record_event
from tests.market.evaluating import make_evaluation


@pytest.fixture
def service(emptied_service: Service) -> Service:
    return emptied_service


@pytest.fixture
def registry(service: Service) -> Database:
    return service.parts.database


def part(service: Service, job: dict[str, Any], name: str) -> Any:
    return read_fragment(service.get(f"/ui/jobs/{job['id']}?part={name}", headers=HTMX))


def buttons(tree: Any) -> list[str]:
    return [text_of(each) for each in tree.iter("button")]


def test_a_queued_job_says_what_it_waits_for_and_can_be_cancelled(service: Service) -> None:
    upload_googl(service)
    job = submit(service, name="<i>mine</i>")
    tree = read_page(service.get(f"/ui/jobs/{job['id']}"))
    assert text_of(tree.find(".//h1")) == "<i>mine</i> queued"
    assert "It waits: no worker of tier cpu" in text_of(tree.find(".//*[@id='waiting']"))
    assert text_of(tree).count("no value yet") == 9
    assert "No worker has taken it yet." in text_of(tree)
    assert tree.find(".//*[@id='status']").get("hx-trigger").startswith("every 2s")
    assert "Cancel" in buttons(tree)
    answer = service.post(f"/ui/jobs/{job['id']}/cancel", headers=SAME_ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/jobs/{job['id']}")
    ended = read_page(service.get(f"/ui/jobs/{job['id']}"))
    assert "Resume" in buttons(ended)
    assert "Cancel" not in buttons(ended)
    assert ended.find(".//*[@id='status']").get("hx-get") is None
    service.post(f"/ui/jobs/{job['id']}/resume", headers=SAME_ORIGIN)
    assert service.get(f"/jobs/{job['id']}").json()["state"] == "queued"


def test_attempts_name_the_code_that_ran_them(service: Service, registry: Database) -> None:
    upload_googl(service)
    job = submit(service)
    held = claim(registry, job["id"])
    assert len(rows_of(part(service, job, "history"), "Attempts")[0][4]) == 1  # a dash
    with registry.write() as session:
        ran = {"caliper": "0.1.0", "commit": "33cc768e" + "0" * 32, "torch": "2.13.0"}
        assert note_versions(session, held.hold, ran)
    row = rows_of(part(service, job, "history"), "Attempts")[0]
    assert row[4].split() == ["caliper", "0.1.0", "33cc768e0000", "torch", "2.13.0"]
    assert service.get(f"/jobs/{job['id']}").json()["attempts"][0]["versions"] == ran


def test_a_button_that_the_state_does_not_allow_is_refused_readably(service: Service) -> None:
    upload_googl(service)
    job = submit(service)
    tree = read_page(service.post(f"/ui/jobs/{job['id']}/resume", headers=SAME_ORIGIN), 409)
    assert "it cannot be resumed" in text_of(tree.find(".//main"))
    assert service.post(f"/ui/jobs/{job['id']}/cancel").status_code == 403


def test_curves_are_drawn_of_the_metrics_and_carry_the_latest_value(
    service: Service, registry: Database
) -> None:
    upload_googl(service)
    job = submit(service)
    run(registry, job["id"], 128, 256, 384)
    tree = read_page(service.get(f"/ui/jobs/{job['id']}"))
    figures = {each.get("data-metric"): each for each in tree.iter("figure")}
    assert list(figures) == [
        *("episode_return", "policy_loss", "value_loss", "entropy", "approx_kl", "clipfrac"),
        *("explained_variance", "steps_per_second", "memory_bytes"),
    ]
    assert text_of(figures["value_loss"].find(".//output")) == "0.0026"
    assert text_of(figures["steps_per_second"].find(".//output")) == "2.38 k"
    assert text_of(figures["memory_bytes"].find(".//output")) == "500.0 MB"
    line = figures["value_loss"].find(".//polyline")
    assert len(line.get("points").split(" ")) == 3
    assert "no value yet" in text_of(figures["explained_variance"])
    root = tree.find(".//*[@id='curves']")
    assert (root.get("data-job"), root.get("data-state")) == (job["id"], "running")
    assert root.get("data-seen") == str(service.get(f"/jobs/{job['id']}").json()["last_event"])
    assert "384" in text_of(part(service, job, "status").find(".//dl"))
    assert "75.0" in tree.find(".//svg[@class='bar ']").findall("rect")[1].get("width", "")


def test_every_setting_stands_with_its_reason(service: Service) -> None:
    upload_googl(service)
    job = submit(service, overrides={"gamma": 0.9})
    tree = read_page(service.get(f"/ui/jobs/{job['id']}"))
    groups = ("Run", "Network", "Learning", "Observation", "Environment", "Data")
    rows = {row[0]: row[1:] for group in groups for row in rows_of(tree, group)}
    for name in job["config"]["ppo"]:
        assert rows[name][1] == job["reasons"][name], name
    assert rows["gamma"] == ["0.9", "your override: 0.9"]
    assert rows["tier"] == [
        "cpu",
        "the service's default; no worker was ever seen: the run takes 0.61 of 8.59 GB",
    ]
    assert rows["lookback"] == ["5", "as asked for"]
    assert rows["costs.fee_bps"] == ["5", "as stated; costs have no default"]
    assert rows["reward"] == ["log_return", "the default"]
    assert "60/20/20" in rows["googl"][1]


def test_attempts_and_log_say_why_each_ended(service: Service, registry: Database) -> None:
    upload_googl(service)
    job = submit(service)
    crash(registry, run(registry, job["id"], 128), "the trainer was killed by SIGSEGV")
    again = claim(registry, job["id"])
    with registry.write() as session:
        record_event(session, job["id"], "log", {"message": "resumed <at> step 128"})
    fail(registry, again, "a loss became NaN", "lower the learning rate")
    tree = read_page(service.get(f"/ui/jobs/{job['id']}"))
    rows = rows_of(tree, "Attempts")
    assert [row[:3] for row in rows] == [
        ["1", "crashed", "the trainer was killed by SIGSEGV"],
        ["2", "failed", "a loss became NaN"],
    ]
    log = text_of(tree.find(".//pre"))
    assert log == text_of_log(service, job)
    assert "resumed <at> step 128" in log
    notice = text_of(tree.find(".//*[@role='alert']"))
    assert notice == "a loss became NaN lower the learning rate"
    assert text_of(part(service, job, "history").find(".//pre")) == log


def text_of_log(service: Service, job: dict[str, Any]) -> str:
    return " ".join(service.get(f"/jobs/{job['id']}/log").text.split())


def test_a_cancelled_job_goes_on_from_its_last_checkpoint(service: Service, registry: Database) -> None:
    upload_googl(service)
    job = submit(service)
    claimed = run(registry, job["id"], 128)
    service.post(f"/ui/jobs/{job['id']}/cancel", headers=SAME_ORIGIN)
    asked = part(service, job, "status")
    assert "stopping" in text_of(asked.find(".//h1"))
    assert [each.get("disabled") is not None for each in asked.iter("button")] == [True]
    stop(registry, claimed)
    assert rows_of(read_page(service.get(f"/ui/jobs/{job['id']}")), "Attempts")[0][1] == "cancelled"


def finish(
    service: Service, registry: Database, job: dict[str, Any], claimed: Claim, sha256: str = "d" * 64
) -> str:
    """A job with an evaluation and a final checkpoint, as a worker leaves it."""
    curves = [
        thin_curve(
            name,
            np.arange(9, dtype=np.int64) * 10**12,
            {"policy": np.full(9, 0.01), "buy_and_hold": np.zeros(9)},
        )
        for name in ("train", "validation", "test")
    ]
    dataset_id = job["dataset_id"]
    row = make_checkpoint(
        job_id=job["id"],
        kind="final",
        step=512,
        bytes=job["predicted_bytes"],
        sha256=sha256,
        predicted_bytes=job["predicted_bytes"],
        parameters=job["estimate"]["parameters"],
    )
    with registry.write() as session:
        assert open_test_span(session, claimed.hold, dataset_id, "s" * 64, Span(0, 500))
        evaluation = make_evaluation()
        assert add_evaluation(
            session,
            claimed.hold,
            dataset_id,
            place=0,
            evaluation=evaluation,
            curves=curves,
            returns_sha256="r" * 64,
        )
        add_checkpoint(session, row)
        assert finish_job(session, claimed.hold, {"num_minibatches": {"asked": 4, "used": 4}})
    return str(row.id)


def test_an_evaluated_job_shows_its_equity_beside_baselines_and_what_was_predicted(
    service: Service, registry: Database
) -> None:
    upload_googl(service)
    other = submit(service, name="the other")
    other_id = finish(service, registry, other, run(registry, other["id"], 512), "e" * 64)
    job = submit(service)
    checkpoint_id = finish(service, registry, job, run(registry, job["id"], 128, 512))
    tree = part(service, job, "result")
    report = service.get(f"/jobs/{job['id']}/evaluation").json()["assets"][0]["evaluation"]
    assert [text_of(each) for each in tree.find(".//ul").iter("li")] == report["verdict"]
    drawn = [each for each in tree.iter("svg") if each.get("class") == "chart"]
    assert [each.get("aria-label").split(" ")[0] for each in drawn] == ["equity", "drawdown"]
    assert {line.get("class") for line in drawn[0].iter("polyline")} == {"policy", "buy_and_hold"}
    spans = rows_of(tree, "Policy beside its baselines")
    test = report["spans"][-1]
    assert spans[-1][0] == "test"
    assert spans[-1][3] == f"{test['policy']['total_return'] * 100:+.1f} %"
    assert spans[-1][4] == f"{test['policy']['sharpe']:.2f}"
    predicted = {row[0]: row[1:] for row in rows_of(tree, "Predicted and actual")}
    assert predicted["checkpoint"] == [f"{job['predicted_bytes']:,} B"] * 2 + ["exact"]
    assert predicted["memory"][1] == "500.0 MB"
    assert predicted["minibatches"][2] == "exact"
    links = {each.get("href") for each in tree.iter("a")}
    assert {f"/ui/checkpoints/{checkpoint_id}", f"/jobs/{job['id']}/evaluation.html"} <= links
    choices = [each.get("value") for each in tree.find(".//select[@name='b']").iter("option")]
    assert choices == [other_id]


def test_an_unknown_job_is_a_readable_page(service: Service) -> None:
    assert "there is no job 'job_none'" in text_of(read_page(service.get("/ui/jobs/job_none"), 404))
