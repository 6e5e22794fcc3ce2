"""`caliper jobs report` and `caliper train --folds`."""

import json
from pathlib import Path
from typing import Any

import httpx
from command_line import CommandLine
from pydantic import TypeAdapter

from app.market.job_report import JobReport
from tests.market.evaluating import make_report
from tests.pages.test_evaluation_page import make_group

COSTS = "fee_bps=5,half_spread_bps=1,slippage=0.02,borrow_bps_per_year=0"


def plain(report: JobReport) -> Any:
    return TypeAdapter(JobReport).dump_python(report, mode="json")


def test_the_report_shows_the_verdict_first_and_writes_files(caliper: CommandLine, tmp_path: Path) -> None:
    caliper.service.answers |= {
        "GET /jobs/job_1/evaluation": plain(make_report("go\x1b[31mogl")),
        "GET /jobs/job_1/evaluation.html": httpx.Response(200, text="<!doctype html>é"),
        "GET /jobs/job_1/evaluation.png": httpx.Response(200, content=b"\x89PNG"),
    }
    html, png = tmp_path / "r.html", tmp_path / "r.png"
    done = caliper("jobs", "report", "job_1", "--html", html, "--png", png, "--dataset", "googl")
    assert done.exit_code == 0, done.output
    assert html.read_text(encoding="utf-8") == "<!doctype html>é"
    assert png.read_bytes() == b"\x89PNG"
    assert caliper.service.asked[-1].url.params["dataset"] == "googl"
    text = done.stdout
    assert text.index("not distinguishable from buy & hold") < text.index("Sharpe")
    assert "\x1b" not in text
    for words in ("costs \N{MULTIPLICATION SIGN} 2", "fills 1 bar later", "SMA 20/100", "opened 3 times"):
        assert words in text
    assert f"written: {html}" in done.stderr


def test_folds_stand_in_a_table_of_their_own(caliper: CommandLine) -> None:
    for finished, words in ((2, "not evaluated yet"), (3, "Over all folds' test spans")):
        caliper.service.answers["GET /jobs/job_1/evaluation"] = plain(
            make_report(walk_forward=make_group(finished))
        )
        done = caliper("jobs", "report", "job_1")
        assert words in done.stdout
        assert "3 of 3" in done.stdout


def test_json_is_the_answer_itself(caliper: CommandLine) -> None:
    answer = plain(make_report())
    caliper.service.answers["GET /jobs/job_1/evaluation"] = answer
    assert json.loads(caliper("jobs", "report", "job_1", "--json").stdout) == answer


def test_a_job_without_a_report_is_a_message(caliper: CommandLine) -> None:
    done = caliper("jobs", "report", "job_1")
    assert done.exit_code == 1
    assert "error" in done.stderr


def test_train_with_folds_submits_a_job_for_each_in_one_group(caliper: CommandLine) -> None:
    def submitted(request: httpx.Request) -> dict[str, Any]:
        spec = json.loads(request.content)
        return {
            "id": f"job_{spec['fold']}",
            "name": "n",
            "state": "queued",
            "tier": "cpu",
            "hidden_dims": [8],
            "progress": {},
            "created_at": "2026-11-23T00:00:00Z",
        }

    caliper.service.answers["POST /jobs"] = submitted
    given = ("--dataset", "googl", "--timesteps", 100, "--costs", COSTS, "--folds", 3, "--detach")
    done = caliper("train", *given)
    assert done.exit_code == 0, done.output
    specs = [json.loads(request.content) for request in caliper.service.asked]
    assert [(spec["folds"], spec["fold"]) for spec in specs] == [(3, 1), (3, 2), (3, 3)]
    assert len({spec["walk_forward"] for spec in specs}) == 1
    keys = {request.headers["Idempotency-Key"] for request in caliper.service.asked}
    assert len(keys) == 3
    assert "job_2 on tier cpu: fold 2 of 3" in done.stderr
    assert "job_3" in done.stdout
