"""Commands that talk to a service: what they ask, what they show, how they fail."""

import json
from pathlib import Path
from typing import Any, Never

import httpx
import pytest
from command_line import CommandLine
from fake_service import Turns, job, problem, serve_range, stream
from played_answers import CHECKPOINT, COSTS, DATASET, EVENTS, PROGRESS, RESULT


def served(caliper: CommandLine, **values: Any) -> None:
    finished = job(last_event=3, result=RESULT, checkpoints=[CHECKPOINT], **values)
    caliper.service.answers |= {
        "POST /jobs": job("queued"),
        "GET /jobs/job_1": finished,
        "GET /jobs/job_1/events": stream(*EVENTS),
    }


def test_train_submits_follows_and_shows_the_result(caliper: CommandLine) -> None:
    served(caliper)
    done = caliper(
        "train",
        "--dataset",
        "googl",
        "--timesteps",
        100,
        "--costs",
        COSTS,
        "--hidden",
        "8,4",
        "--set",
        "gamma=0.995",
        "--set",
        "activation=relu",
    )
    assert done.exit_code == 0
    assert json.loads(caliper.service.asked[0].content) == {
        "dataset": "googl",
        "environment": {
            "costs": {"fee_bps": 5, "half_spread_bps": 1, "slippage": 0.02, "borrow_bps_per_year": 0}
        },
        "total_timesteps": 100,
        "hidden_dims": [8, 4],
        "overrides": {"gamma": 0.995, "activation": "relu"},
    }
    assert "running on gpu-1" in done.stderr
    assert " 50%  step 50  5 s left" in done.stderr
    assert "-12.3 %" in done.stdout
    assert "+25.0 %" in done.stdout
    assert "did worse than buy & hold" in done.stdout
    assert "proves nothing about the future" in done.stdout


def test_train_on_several_datasets_names_them_all_and_shows_each_result(caliper: CommandLine) -> None:
    both = dict.fromkeys(("dataset_1", "dataset_2"), RESULT["evaluation"])
    caliper.service.answers |= {
        "POST /jobs": job("queued"),
        "GET /jobs/job_1": job(
            last_event=3,
            result={**RESULT, "evaluations": both},
            dataset_ids=["dataset_1", "dataset_2"],
            checkpoints=[CHECKPOINT],
        ),
        "GET /jobs/job_1/events": stream(*EVENTS),
    }
    named = ("--dataset", "btc", "--dataset", "eth")
    done = caliper("train", *named, "--timesteps", 100, "--costs", COSTS)
    assert done.exit_code == 0
    sent = json.loads(caliper.service.asked[0].content)
    assert sent["datasets"] == ["btc", "eth"]
    assert "dataset" not in sent
    assert "dataset_1, dataset_2" in done.stdout
    assert done.stdout.count("did worse than buy & hold") == 2
    assert done.stdout.count("proves nothing about the future") == 1


def test_costs_must_be_stated_and_be_settings(caliper: CommandLine) -> None:
    bare = caliper("train", "--dataset", "btc", "--timesteps", 100)
    assert bare.exit_code == 2
    assert "--costs" in bare.stderr
    wrong = caliper("train", "--dataset", "btc", "--timesteps", 100, "--costs", "5 bps")
    assert wrong.exit_code == 1
    assert "fee_bps=5,half_spread_bps=1" in wrong.stderr
    assert caliper.service.asked == []


def test_train_json_keeps_stdout_for_the_job(caliper: CommandLine) -> None:
    served(caliper)
    done = caliper("train", "--dataset", "googl", "--timesteps", 100, "--costs", COSTS, "--json")
    assert json.loads(done.stdout)["state"] == "succeeded"


def test_train_detached_returns_at_once(caliper: CommandLine) -> None:
    served(caliper)
    assert (
        caliper("train", "--dataset", "googl", "--timesteps", 100, "--costs", COSTS, "--detach").exit_code
        == 0
    )
    assert caliper.service.paths() == ["POST /jobs"]


@pytest.mark.parametrize("alive", [True, False])
def test_train_says_what_the_job_waits_for_and_how_a_missing_worker_is_started(
    caliper: CommandLine, alive: bool
) -> None:
    why = "no worker of tier t4 was ever seen" if not alive else "tier t4: 1 worker, busy; next in line"
    worker = {"id": "w", "tier": "t4", "queue": "caliper.t4", "queues": ["caliper.t4"] if alive else []}
    caliper.service.answers |= {
        "POST /jobs": job("queued", tier="t4", queue="caliper.t4", waiting=why),
        "GET /workers": [worker],
    }
    command = ("train", "--dataset", "googl", "--timesteps", 100, "--costs", COSTS, "--detach")
    said = caliper(*command).stderr
    assert f"it waits: {why}\n" in said
    assert ("CALIPER_DEFAULT_TIER=t4 celery -A worker.main:app worker" in said) is not alive
    caliper.service.answers["GET /workers"] = problem(503, "unavailable", "not now")
    done = caliper(*command)
    assert done.exit_code == 0  # the job was accepted; who works is only a help
    assert "celery" not in done.stderr


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_job_that_does_not_succeed_gives_exit_code_1(caliper: CommandLine, state: Any) -> None:
    served(caliper)
    error = {"code": "diverged", "detail": "the loss became NaN", "hint": "lower the learning rate"}
    caliper.service.answers |= {
        "GET /jobs/job_1": job(state, last_event=1, error=error),
        "GET /jobs/job_1/events": stream((1, "state", {"state": state, "error": error})),
    }
    done = caliper("jobs", "watch", "job_1")
    assert done.exit_code == 1
    assert "the loss became NaN" in done.stdout
    assert "lower the learning rate" in done.stdout


def test_ctrl_c_detaches_and_says_how_to_come_back(
    caliper: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(caliper)

    def interrupt(*_args: Any, **_options: Any) -> Never:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.cli.train.follow_events", interrupt)
    done = caliper("jobs", "watch", "job_1")
    assert done.exit_code == 130
    assert "caliper jobs watch job_1" in done.stderr
    assert "POST /jobs/job_1/cancel" not in caliper.service.paths()


def test_the_way_back_names_the_service_where_it_is_not_the_usual_one(
    caliper: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake service's address is not the default: the line that is shown must reach it when it is copied."""
    served(caliper)

    def interrupt(*_args: Any, **_options: Any) -> Never:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.cli.train.follow_events", interrupt)
    line = "caliper jobs watch job_1 --url http://caliper.test\n"
    assert line in caliper("jobs", "watch", "job_1").stderr
    monkeypatch.setenv("CALIPER_URL", "http://caliper.test/")
    assert "caliper jobs watch job_1\n" in caliper("jobs", "watch", "job_1").stderr


def test_a_job_is_not_watched_where_the_service_is_down_and_one_that_breaks_off_says_so(
    caliper: CommandLine,
) -> None:
    caliper.service.answers["GET /jobs/job_1"] = httpx.ConnectError("refused")
    done = caliper("jobs", "watch", "job_1")
    assert done.exit_code == 3
    assert "watch it again:                 caliper jobs watch job_1" in done.stderr
    refused = httpx.ConnectError("refused")
    caliper.service.answers |= {
        "GET /jobs/job_1": job(last_event=3, result=RESULT, checkpoints=[CHECKPOINT]),
        "GET /jobs/job_1/events": Turns(refused, refused, stream(*EVENTS)),
    }
    done = caliper("jobs", "watch", "job_1")
    assert done.exit_code == 0
    assert done.stderr.count("no service answers at http://caliper.test; trying again …") == 1


def test_a_refused_job_is_a_message_with_its_hint(caliper: CommandLine) -> None:
    refusal = problem(
        422, "invalid_config", "gamma is 2", hint="a number from 0 to 1", pointer="overrides/gamma"
    )
    caliper.service.answers["POST /jobs"] = refusal
    done = caliper("train", "--dataset", "googl", "--timesteps", 100, "--costs", COSTS)
    assert done.exit_code == 1
    assert "error: gamma is 2 (at overrides/gamma)" in done.stderr
    assert "hint: a number from 0 to 1" in done.stderr


@pytest.mark.parametrize("setting", ["gamma", "=1"])
def test_a_setting_without_name_or_value_is_refused_before_anything_is_sent(
    caliper: CommandLine, setting: Any
) -> None:
    done = caliper("train", "--dataset", "googl", "--timesteps", 100, "--costs", COSTS, "--set", setting)
    assert done.exit_code == 1
    assert "is no setting" in done.stderr
    assert caliper.service.asked == []


def test_jobs_are_listed(caliper: CommandLine) -> None:
    caliper.service.answers["GET /jobs"] = {"items": [job("running", progress=PROGRESS)], "next_cursor": None}
    done = caliper("jobs", "list", "--state", "running")
    assert "job_1" in done.stdout
    assert "50%" in done.stdout
    assert "256,128,64" in done.stdout
    assert caliper.service.asked[0].url.params["state"] == "running"


@pytest.mark.parametrize("noun", ["jobs", "checkpoints"])
def test_lists_are_filtered_by_name_network_and_what_was_measured(caliper: CommandLine, noun: str) -> None:
    caliper.service.answers[f"GET /{noun}"] = {"items": [], "next_cursor": None}
    measured = ("--metric", "test.sharpe", "--metric-min", -0.5, "--metric-max", 2)
    done = caliper(noun, "list", "--name", "trial", "--hidden", "64, 32", "--obs-dim", 10, *measured)
    assert dict(caliper.service.asked[0].url.params) == {
        "name": "trial",
        "hidden_dims": "64,32",
        "obs_dim": "10",
        "metric": "test.sharpe",
        "metric_min": "-0.5",
        "metric_max": "2.0",
    }
    assert "no" in done.stderr


def test_a_limit_stops_the_paging(caliper: CommandLine) -> None:
    caliper.service.answers["GET /jobs"] = {"items": [job(), job()], "next_cursor": "job_2"}
    assert len(json.loads(caliper("jobs", "list", "--limit", 3, "--json").stdout)) == 3
    assert len(caliper.service.asked) == 2


@pytest.mark.parametrize(
    ("noun", "path"), [("jobs", "/jobs"), ("checkpoints", "/checkpoints"), ("datasets", "/datasets")]
)
def test_an_empty_list_says_how_to_fill_it(caliper: CommandLine, noun: Any, path: Any) -> None:
    caliper.service.answers[f"GET {path}"] = {"items": [], "next_cursor": None}
    done = caliper(noun, "list")
    assert done.exit_code == 0
    assert done.stdout == ""
    assert f"no {noun}; `caliper" in done.stderr
    assert json.loads(caliper(noun, "list", "--json").stdout) == []


def test_a_job_is_shown_with_its_attempts_and_error(caliper: CommandLine) -> None:
    attempt = {
        "number": 1,
        "worker": "gpu-1",
        "started_at": None,
        "ended_at": None,
        "outcome": "crashed",
        "reason": "signal 9",
    }
    ran = {"versions": {"caliper": "0.1.0", "commit": "33cc768e" + "0" * 32, "torch": "2.13.0"}}
    told = [{**attempt, **ran}, {**attempt, "number": 2, "versions": None}]
    caliper.service.answers["GET /jobs/job_1"] = job("failed", attempts=told, error={"detail": "killed"})
    done = caliper("jobs", "show", "job_1")
    assert "signal 9" in done.stdout
    assert "killed" in done.stdout
    assert "caliper 0.1.0, commit 33cc768e0000, torch 2.13.0" in done.stdout
    caliper.service.answers["GET /jobs/job_1"] = job("failed", attempts=[attempt])
    assert "commit" not in caliper("jobs", "show", "job_1").stdout


@pytest.mark.parametrize(
    ("state", "words"), [("running", "asked to checkpoint and stop"), ("cancelled", "job_1: cancelled")]
)
def test_cancel_says_what_it_did(caliper: CommandLine, state: Any, words: Any) -> None:
    caliper.service.answers["POST /jobs/job_1/cancel"] = job(state)
    assert words in caliper("jobs", "cancel", "job_1").stderr


def test_resume_says_how_to_watch(caliper: CommandLine) -> None:
    caliper.service.answers["POST /jobs/job_1/resume"] = job("queued")
    assert "queued; watch it:  caliper jobs watch job_1" in caliper("jobs", "resume", "job_1").stderr


def test_checkpoints_are_listed_with_their_labels(caliper: CommandLine) -> None:
    caliper.service.answers["GET /checkpoints"] = {"items": [CHECKPOINT], "next_cursor": None}
    done = caliper("checkpoints", "list", "--job", "job_1", "--tag", "daily")
    assert "@live daily" in done.stdout
    assert dict(caliper.service.asked[0].url.params) == {"job": "job_1", "tag": "daily"}


@pytest.mark.parametrize(
    ("predicted", "words"),
    [(5, "exactly as predicted"), (4, "+1 against the 4 predicted"), (None, "nothing was predicted")],
)
def test_a_checkpoints_size_is_held_against_its_prediction(
    caliper: CommandLine, predicted: Any, words: Any
) -> None:
    caliper.service.answers["GET /checkpoints/live"] = {**CHECKPOINT, "predicted_bytes": predicted}
    assert words in caliper("checkpoints", "show", "live").stdout


def test_download_writes_the_verified_file(caliper: CommandLine, tmp_path: Path) -> None:
    caliper.service.answers |= {
        "GET /checkpoints/live": CHECKPOINT,
        "GET /checkpoints/checkpoint_1": CHECKPOINT,
        "GET /checkpoints/checkpoint_1/file": serve_range(b"bytes"),
    }
    done = caliper("checkpoints", "download", "live", "-o", tmp_path / "x.pt")
    assert done.exit_code == 0
    assert (tmp_path / "x.pt").read_bytes() == b"bytes"
    assert "verified" in done.stderr


def test_upload_names_the_file_and_its_tags(caliper: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "mine.pt").write_bytes(b"weights")
    caliper.service.answers["POST /checkpoints"] = CHECKPOINT
    assert caliper("checkpoints", "upload", tmp_path / "mine.pt", "--tag", "a").exit_code == 0
    assert b'name="name"\r\n\r\nmine.pt' in caliper.service.asked[0].content


def test_a_file_to_upload_must_exist(caliper: CommandLine, tmp_path: Path) -> None:
    assert caliper("checkpoints", "upload", tmp_path / "no.pt").exit_code == 2


def test_datasets_are_uploaded_with_their_declarations(caliper: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "googl.csv").write_bytes(b"Date,Open\n")
    caliper.service.answers["POST /datasets"] = DATASET
    done = caliper("datasets", "upload", tmp_path / "googl.csv", "--calendar", "XNYS", "--reverse")
    assert "2,335" in done.stdout
    assert "warning W_JUMP: a jump" in done.stderr
    content = caliper.service.asked[0].content
    assert b'name="calendar"\r\n\r\nXNYS' in content
    assert b'name="reverse"\r\n\r\ntrue' in content
    assert b"bar_seconds" not in content


def test_a_refused_dataset_lists_every_finding_with_its_fix(caliper: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(b"x")
    findings = [
        {"code": f"E_{n}", "message": f"breach {n}", "rows": [n], "fix": f"mend {n}"} for n in range(12)
    ]
    refusal = problem(422, "invalid_dataset", "the bars break the contract", findings=findings)
    caliper.service.answers["POST /datasets"] = refusal
    done = caliper("datasets", "upload", tmp_path / "bad.csv")
    assert done.exit_code == 1
    assert "E_0: breach 0" in done.stderr
    assert "mend 9" in done.stderr
    assert "and 2 more" in done.stderr


def test_workers_are_shown(caliper: CommandLine) -> None:
    worker = {
        "id": "caliper@gpu",
        "tier": "low",
        "queue": "caliper.low",
        "device": {"name": "T4"},
        "seen_at": "2026-11-23T12:00:00Z",
    }
    caliper.service.answers["GET /workers"] = Turns([worker], [])
    assert "T4" in caliper("workers").stdout
    assert "no worker consumes" in caliper("workers").stderr


def test_what_the_service_says_is_no_markup(caliper: CommandLine) -> None:
    caliper.service.answers["GET /jobs/job_1"] = problem(404, "not_found", "no \x1b[31m[red]such[/red] job")
    stderr = caliper("jobs", "show", "job_1").stderr
    assert "[red]such[/red]" in stderr
    assert "\x1b" not in stderr


def test_an_unreachable_service_is_one_clear_message(caliper: CommandLine) -> None:
    caliper.service.answers["GET /workers"] = httpx.ConnectError("refused")
    done = caliper("workers")
    assert done.exit_code == 3
    assert "no service answers at http://caliper.test" in done.stderr
    assert "caliper serve" in done.stderr


def test_the_address_comes_from_option_or_environment(
    caliper: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    caliper.service.answers["GET /workers"] = []
    caliper("workers")
    assert caliper.url == "http://127.0.0.1:8400"
    monkeypatch.setenv("CALIPER_URL", "https://gpu.example")
    caliper("workers")
    assert caliper.url == "https://gpu.example"
    caliper("workers", "--url", "http://other:1")
    assert caliper.url == "http://other:1"


def test_an_address_needs_its_scheme(caliper: CommandLine) -> None:
    done = caliper("workers", "--url", "localhost:8400")
    assert done.exit_code == 1
    assert "is no address" in done.stderr
