"""Client against a service that is played: what it asks, and what it makes of answers and refusals."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_service import FakeService, Turns, job, problem, serve_range, stream

from app.client import Client, ServiceError, ServiceUnreachable
from app.client.connection import Patience

RUNNING = (1, "state", {"state": "running"})
STEP = (2, "progress", {"global_step": 10})
DONE = (3, "state", {"state": "succeeded"})


def test_estimate_sends_the_widths_in_one_parameter() -> None:
    service = FakeService({"GET /estimate": {"parameters": 1}})
    answer = service.client().estimate(5300, (2048, 1024), num_envs=8, action_kind=None)
    assert answer == {"parameters": 1}
    assert dict(service.asked[0].url.params) == {"obs_dim": "5300", "hidden": "2048,1024", "num_envs": "8"}


def test_ids_are_quoted_into_the_path() -> None:
    service = FakeService()
    with pytest.raises(ServiceError):
        service.client().job("../datasets?x=1#y")
    assert service.asked[0].url.raw_path == b"/jobs/..%2Fdatasets%3Fx%3D1%23y"


def test_a_dataset_is_sent_as_a_form_with_what_is_declared(tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    file.write_bytes(b"timestamp,open\n1,2\n")
    service = FakeService({"POST /datasets": {"id": "dataset_1"}})
    declared = {"calendar": "XNYS", "reverse": True, "timezone": None}
    service.client().upload_dataset(file, name="googl", declarations=declared, licence="MIT")
    body = service.asked[0].content
    assert service.asked[0].headers["content-type"].startswith("multipart/form-data")
    for field, value in (
        ("name", b"googl"),
        ("calendar", b"XNYS"),
        ("reverse", b"true"),
        ("licence", b"MIT"),
    ):
        assert f'name="{field}"\r\n\r\n'.encode() + value + b"\r\n" in body
    assert b'name="file"; filename="bars.csv"' in body
    assert b"timestamp,open\n1,2\n" in body
    assert b'name="timezone"' not in body
    assert b'name="source"' not in body


def test_uploads_are_streamed_and_never_held_in_memory(tmp_path: Path) -> None:
    """The largest piece that reaches the transport is far smaller than the file."""
    file = tmp_path / "large.pt"
    with file.open("wb") as sparse:
        sparse.truncate(64 << 20)
    pieces: list[int] = []

    class Counting(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            pieces.extend(len(piece) for piece in request.stream)
            return httpx.Response(200, json={"name": "large.pt"})

    Client("http://caliper.test", transport=Counting()).inspect_checkpoint(file)
    assert sum(pieces) > 64 << 20
    assert max(pieces) <= 1 << 20


def test_tags_are_repeated_form_fields(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    file.write_bytes(b"x")
    service = FakeService({"POST /checkpoints": {"id": "checkpoint_1"}})
    service.client().upload_checkpoint(file, name="a", tags=["x", "y"], idempotency_key="k1")
    assert service.asked[0].content.count(b'name="tags"') == 2
    assert service.asked[0].headers["idempotency-key"] == "k1"


def test_submit_sends_the_spec_as_json() -> None:
    service = FakeService({"POST /jobs": {"id": "job_1"}})
    service.client().submit_job({"dataset": "googl", "total_timesteps": 5}, idempotency_key="k")
    assert json.loads(service.asked[0].content) == {"dataset": "googl", "total_timesteps": 5}
    assert service.asked[0].headers["idempotency-key"] == "k"


def test_lists_go_through_all_pages() -> None:
    def page(request: httpx.Request) -> dict:
        second = request.url.params.get("cursor") == "job_2"
        return (
            {"items": [{"id": 3}], "next_cursor": None}
            if second
            else {"items": [{"id": 1}, {"id": 2}], "next_cursor": "job_2"}
        )

    service = FakeService({"GET /jobs": page})
    assert [row["id"] for row in service.client().jobs(state="failed")] == [1, 2, 3]
    assert [request.url.params["state"] for request in service.asked] == ["failed", "failed"]


def test_the_next_page_is_only_fetched_when_it_is_read() -> None:
    service = FakeService({"GET /datasets": {"items": [{"id": 1}], "next_cursor": "dataset_9"}})
    assert next(service.client().datasets()) == {"id": 1}
    assert len(service.asked) == 1


def test_metrics_name_what_is_wanted() -> None:
    service = FakeService({"GET /jobs/job_1/metrics": {"points": []}})
    service.client().metrics("job_1", ["entropy", "value_loss"], after_step=5)
    assert service.asked[0].url.params.get_list("names") == ["entropy", "value_loss"]
    assert service.asked[0].url.params["after_step"] == "5"


def test_a_problem_document_becomes_an_error_with_all_its_members() -> None:
    refusal = problem(
        422, "invalid_config", "gamma is 2", hint="0 to 1", pointer="gamma", findings=[{"code": "E"}]
    )
    service = FakeService({"POST /jobs": refusal})
    with pytest.raises(ServiceError, match="gamma is 2") as caught:
        service.client().submit_job({})
    error = caught.value
    assert (error.code, error.status, error.hint, error.pointer) == ("invalid_config", 422, "0 to 1", "gamma")
    assert error.extra == {"findings": [{"code": "E"}]}
    assert not isinstance(error, ServiceUnreachable)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.Response(500, text="<html>proxy</html>"), "unexpected_answer"),
        (httpx.Response(404, json=["no", "problem"]), "unexpected_answer"),
        (
            httpx.Response(400, content=b"{", headers={"content-type": "application/json"}),
            "unexpected_answer",
        ),
    ],
)
def test_answers_that_are_no_problem_documents_are_errors_too(answer: Any, code: Any) -> None:
    with pytest.raises(ServiceError, match="/tiers answered") as caught:
        FakeService({"GET /tiers": answer}).client().tiers()
    assert caught.value.code == code
    assert caught.value.status == answer.status_code


def test_unavailable_is_worth_another_try() -> None:
    refusal = problem(503, "unavailable", "no worker", parts={"worker": "none"})
    with pytest.raises(ServiceUnreachable, match="no worker") as caught:
        FakeService({"GET /readyz": refusal}).client().ready()
    assert caught.value.status == 503
    assert caught.value.extra == {"parts": {"worker": "none"}}


def test_a_refused_connection_names_the_address_and_the_way_out() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(ServiceUnreachable) as caught:
        client.tiers()
    assert caught.value.detail == "no service answers at http://127.0.0.1:1"
    assert "caliper serve" in caught.value.hint


@pytest.mark.parametrize("error", [httpx.ReadTimeout("t"), httpx.ConnectTimeout("t")])
def test_a_silent_service_is_said_to_be_silent(error: Any) -> None:
    with pytest.raises(ServiceUnreachable, match="did not answer in time"):
        FakeService({"GET /tiers": error}).client().tiers()


def test_a_read_is_sent_again_when_a_kept_connection_was_closed() -> None:
    service = FakeService({"GET /tiers": Turns(httpx.RemoteProtocolError("closed"), [{"name": "cpu"}])})
    assert service.client().tiers() == [{"name": "cpu"}]


def test_a_submission_that_breaks_is_sent_again_under_the_same_key_and_makes_one_job() -> None:
    """The answer may have been lost after the job was made: the key tells the service that it is the same wish."""
    for key in (None, "k"):
        service = FakeService({"POST /jobs": Turns(httpx.RemoteProtocolError("closed"), {"id": "job_1"})})
        assert service.client().submit_job({}, idempotency_key=key) == {"id": "job_1"}
        first, second = (request.headers["idempotency-key"] for request in service.asked)
        assert first == second == (key or first)
    fresh = [FakeService({"POST /jobs": {"id": "job_1"}}) for _ in range(2)]
    keys = {each.client().submit_job({}) and each.asked[0].headers["idempotency-key"] for each in fresh}
    assert len(keys) == 2


def test_what_may_do_harm_twice_is_sent_once() -> None:
    service = FakeService({"POST /jobs/job_1/cancel": Turns(httpx.ReadError("reset"), job("cancelled"))})
    with pytest.raises(ServiceUnreachable, match="broke"):
        service.client().cancel("job_1")
    assert len(service.asked) == 1


def test_a_refused_connection_is_tried_again_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("app.client.blocking.time.sleep", pauses.append)
    refused = httpx.ConnectError("refused")
    service = FakeService({"POST /jobs/job_1/cancel": Turns(refused, refused, job("cancelled"))})
    assert service.client().cancel("job_1")["state"] == "cancelled"
    for retries, waited in ((0, []), (1, [0.0]), (5, [0.0, 0.25, 0.75, 0.75, 0.75])):
        pauses.clear()
        service = FakeService({"GET /tiers": refused})
        with pytest.raises(ServiceUnreachable):
            service.client(retries=retries).tiers()
        assert pauses == waited
        assert len(service.asked) == retries + 1


def test_a_silent_service_is_not_asked_again() -> None:
    service = FakeService({"GET /tiers": httpx.ReadTimeout("silent")})
    with pytest.raises(ServiceUnreachable):
        service.client().tiers()
    assert len(service.asked) == 1


def test_an_own_httpx_client_brings_its_address_and_is_left_open() -> None:
    service = FakeService({"GET /tiers": []})
    own = httpx.Client(
        base_url="http://own.test", transport=httpx.MockTransport(service), headers={"X-A": "1"}
    )
    with Client(http=own, headers={"Authorization": "Bearer s"}) as client:
        assert client.base_url == "http://own.test"
        assert client.tiers() == []
    service.answers["GET /prefix/tiers"] = []
    with Client("http://other.test/prefix/", http=own) as client:
        assert client.tiers() == []
    assert service.asked[1].url == "http://other.test/prefix/tiers"
    assert not own.is_closed
    asked = service.asked[0]
    assert asked.url == "http://own.test/tiers"
    assert (asked.headers["x-a"], asked.headers["authorization"]) == ("1", "Bearer s")
    assert asked.headers["user-agent"] == "caliper-client"
    own.close()


def test_an_environment_proxy_is_not_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(ServiceUnreachable, match="no service answers at http://localhost:1"):
        Client("http://localhost:1").tiers()
    with pytest.raises(ServiceUnreachable):
        Client("http://caliper.test").tiers()


def test_events_end_with_the_job() -> None:
    service = FakeService(
        {"GET /jobs/job_1/events": stream(RUNNING, STEP, DONE), "GET /jobs/job_1": job(last_event=3)}
    )
    events = list(service.client().events("job_1"))
    assert [(event.id, event.kind) for event in events] == [(1, "state"), (2, "progress"), (3, "state")]
    assert events[1].data == {"global_step": 10}
    assert events[2].ends_job
    assert not events[0].ends_job


def test_a_broken_stream_goes_on_after_the_last_whole_event() -> None:
    service = FakeService(
        {
            "GET /jobs/job_1/events": Turns(stream(RUNNING, STEP, broken=True), stream(DONE)),
            "GET /jobs/job_1": job(last_event=3),
        }
    )
    assert [event.id for event in service.client().events("job_1")] == [1, 2, 3]
    streams = [request for request in service.asked if request.url.path.endswith("/events")]
    assert [request.headers["last-event-id"] for request in streams] == ["0", "2"]


def test_a_stream_that_closes_while_the_job_runs_is_opened_again() -> None:
    service = FakeService(
        {
            "GET /jobs/job_1/events": Turns(stream(RUNNING), stream(STEP, DONE)),
            "GET /jobs/job_1": Turns(job("running", last_event=1), job(last_event=3)),
        }
    )
    assert [event.id for event in service.client().events("job_1")] == [1, 2, 3]


def test_a_resumed_job_is_followed_past_its_first_end() -> None:
    cancelled = (2, "state", {"state": "cancelled"})
    service = FakeService(
        {
            "GET /jobs/job_1/events": Turns(
                stream(RUNNING, cancelled),
                stream((3, "state", {"state": "queued"}), (4, "state", {"state": "cancelled"})),
            ),
            "GET /jobs/job_1": job("cancelled", last_event=4),
        }
    )
    assert [event.id for event in service.client().events("job_1")] == [1, 2, 3, 4]


def test_events_of_an_ended_job_after_its_last_one_are_none() -> None:
    service = FakeService(
        {"GET /jobs/job_1/events": httpx.Response(204), "GET /jobs/job_1": job(last_event=3)}
    )
    assert list(service.client().events("job_1", after=3)) == []


def test_a_restarting_service_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    service = FakeService(
        {
            "GET /jobs/job_1/events": Turns(
                stream(RUNNING, broken=True),
                httpx.ConnectError("refused"),
                problem(503, "unavailable", "wait"),
                stream(DONE),
            ),
            "GET /jobs/job_1": job(last_event=3),
        }
    )
    monkeypatch.setattr("app.client.blocking.RETRY_SECONDS", 0.0)
    told: list[str] = []
    client = service.client()
    assert [event.id for event in client.events("job_1", on_break=told.append)] == [1, 3]
    assert ["broke" in told[0], "no service answers" in told[1], told[2]] == [True, True, "wait"]


def test_patience_with_a_silent_service_ends() -> None:
    service = FakeService({"GET /jobs/job_1/events": httpx.ConnectError("refused")})
    with pytest.raises(ServiceUnreachable):
        list(service.client(patience_seconds=0).events("job_1"))


def test_patience_counts_from_the_first_failure_not_from_the_last_event() -> None:
    """A stream that was only kept alive for hours may break once without ending the watch."""
    now = 0.0
    patience = Patience(10, clock=lambda: now)
    assert not patience.is_over()
    now = 9.9
    assert not patience.is_over()
    patience.renew()
    now = 5_000.0
    assert not patience.is_over()
    now = 5_010.0
    assert patience.is_over()


def test_a_stream_that_says_nothing_is_not_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("app.client.blocking.time.sleep", pauses.append)
    quiet = httpx.Response(200, content=b"retry: 2500\n\n: still here\n\n")
    service = FakeService(
        {
            "GET /jobs/job_1/events": Turns(quiet, stream(RUNNING, STEP, DONE)),
            "GET /jobs/job_1": Turns(job("queued"), job(last_event=3)),
        }
    )
    assert [event.id for event in service.client().events("job_1")] == [1, 2, 3]
    assert pauses == [2.5]


def test_an_unknown_job_is_not_waited_for() -> None:
    with pytest.raises(ServiceError) as caught:
        list(FakeService().client().events("job_1"))
    assert caught.value.code == "not_found"


CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def stored(**answers: Any) -> FakeService:
    row = {"id": "checkpoint_1", "sha256": SHA256, "bytes": len(CONTENT)}
    return FakeService({"GET /checkpoints/live": row, **answers})


def test_a_download_is_verified_and_put_in_place(tmp_path: Path) -> None:
    service = stored(**{"GET /checkpoints/checkpoint_1/file": serve_range(CONTENT)})
    target = tmp_path / "new" / "model.pt"
    assert service.client().download("live", target) == target
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["model.pt"]
    assert service.asked[-1].headers["accept-encoding"] == "identity"


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.client.operations.RETRY_SECONDS", 0.0)

    def torn(request: httpx.Request) -> httpx.Response:
        def chunks() -> Iterator[bytes]:
            yield CONTENT[:1000]
            raise httpx.ReadError("reset")

        return httpx.Response(200, content=chunks())

    service = stored(**{"GET /checkpoints/checkpoint_1/file": Turns(torn, serve_range(CONTENT))})
    target = service.client().download("live", tmp_path / "model.pt")
    assert target.read_bytes() == CONTENT
    again = service.asked[-1].headers
    assert again["range"] == "bytes=1000-"
    assert again["if-range"] == f'"{SHA256}"'


def test_a_later_run_takes_up_what_an_earlier_one_left(tmp_path: Path) -> None:
    (tmp_path / f".model.pt.{SHA256[:16]}.part").write_bytes(CONTENT[:9000])
    service = stored(**{"GET /checkpoints/checkpoint_1/file": serve_range(CONTENT)})
    service.client().download("live", tmp_path / "model.pt")
    assert service.asked[-1].headers["range"] == "bytes=9000-"
    assert (tmp_path / "model.pt").read_bytes() == CONTENT


def test_a_service_without_ranges_is_read_from_the_start(tmp_path: Path) -> None:
    (tmp_path / f".model.pt.{SHA256[:16]}.part").write_bytes(CONTENT[:9000])
    service = stored(**{"GET /checkpoints/checkpoint_1/file": httpx.Response(200, content=iter([CONTENT]))})
    service.client().download("live", tmp_path / "model.pt")
    assert (tmp_path / "model.pt").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=iter([bytes(len(CONTENT))])),
        httpx.Response(200, content=iter([CONTENT, b"!"])),
        httpx.Response(200, content=iter([CONTENT[:-1]])),
        httpx.Response(
            206, content=iter([CONTENT[5:]]), headers={"content-range": f"bytes 5-{len(CONTENT) - 1}/*"}
        ),
    ],
    ids=["other bytes", "more bytes", "fewer bytes", "other range"],
)
def test_wrong_bytes_never_reach_the_target(tmp_path: Path, answer: Any) -> None:
    target = tmp_path / "model.pt"
    target.write_bytes(b"the old one")
    with pytest.raises(ServiceError) as caught:
        stored(**{"GET /checkpoints/checkpoint_1/file": answer}).client().download("live", target)
    assert caught.value.code == "corrupt_download"
    assert target.read_bytes() == b"the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_a_refused_download_is_the_services_error(tmp_path: Path) -> None:
    service = stored(
        **{"GET /checkpoints/checkpoint_1/file": problem(404, "not_found", "its bytes are gone")}
    )
    with pytest.raises(ServiceError, match="its bytes are gone"):
        service.client().download("live", tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()
