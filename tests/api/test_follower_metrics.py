"""What Prometheus is told of followers."""

from factories import make_dataset, make_job
from running_service import Service, eventually

from app.registry.database import Database
from app.registry.jobs import add_job


def metric(service: Service, name: str) -> float:
    lines = service.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def test_followers_their_limit_and_their_reads_are_told(service: Service, registry: Database) -> None:
    with registry.write() as session:
        dataset = make_dataset()
        session.add(dataset)
        session.flush()
        job_id = add_job(session, make_job(dataset)).id
    assert metric(service, "caliper_followers") == 0
    assert metric(service, "caliper_followers_max") == service.settings.max_followers
    before = metric(service, "caliper_follower_reads_total")
    with service.http.stream("GET", f"/jobs/{job_id}/events") as answer:
        lines = answer.iter_lines()
        next(lines)
        with Service(service.settings, service.url, service.parts).http as other:
            text = other.get("/metrics").text
        assert "caliper_followers 1.0" in text
        assert "caliper_followed_jobs 1.0" in text
    eventually(lambda: metric(service, "caliper_followers") == 0)
    assert metric(service, "caliper_followed_jobs") == 0
    assert metric(service, "caliper_follower_reads_total") > before
