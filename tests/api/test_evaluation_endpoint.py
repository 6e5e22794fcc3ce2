"""GET /jobs/{id}/evaluation in its three forms, over real HTTP, and what is said while there is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import make_dataset, make_job
from pydantic import TypeAdapter
from running_service import Service

from app.market.curves import thin_curve
from app.market.job_report import JobReport
from app.market.splits import Span
from app.registry.attempts import claim_job
from app.registry.database import Database
from app.registry.datasets import add_dataset
from app.registry.evaluations import add_evaluation, open_test_span, set_chart
from app.registry.jobs import add_job
from app.registry.tables import Dataset
from app.storage import Stored, hash_file
from tests.market.evaluating import make_evaluation
from tests.market.test_curves import make_returns

NASTY = "<script>alert(1)</script>"
PNG = b"\x89PNG\r\n\x1a\n not much of a picture"


def keep(service: Service, write: Any) -> str:
    with service.parts.storage.receive() as path:
        write(path)
        stored: Stored = hash_file(path)
        service.parts.storage.adopt(path, stored)
    return stored.sha256


def evaluate(service: Service, registry: Database, datasets: list[Dataset], **values: Any) -> str:
    """A job whose evaluation is recorded as a worker records it."""
    with registry.write() as session:
        job = add_job(session, make_job(datasets[0], **values), [each.id for each in datasets])
    with registry.write() as session:
        claim = claim_job(session, job.id, "worker", 60)
    assert claim is not None
    sha256 = keep(service, make_returns(int(values.get("spec", {}).get("fold", 0)) * 40).save)
    curves = [
        thin_curve(name, np.arange(9, dtype=np.int64) * 10**12, {"policy": np.full(9, 0.01)})
        for name in ("train", "validation", "test")
    ]
    for place, dataset in enumerate(datasets):
        with registry.write() as session:
            first = 1_000 * int(values.get("spec", {}).get("fold", 0))
            assert open_test_span(session, claim.hold, dataset.id, dataset.sha256, Span(first, first + 500))
            assert add_evaluation(
                session,
                claim.hold,
                dataset.id,
                place=place,
                evaluation=make_evaluation(),
                curves=curves,
                returns_sha256=sha256,
            )
    return job.id


@pytest.fixture
def dataset(registry: Database) -> Dataset:
    with registry.write() as session:
        return add_dataset(session, make_dataset(name=NASTY))


def draw(service: Service, registry: Database, job_id: str, dataset: Dataset, content: bytes = PNG) -> str:
    sha256 = keep(service, lambda path: Path(path).write_bytes(content))
    with registry.write() as session:
        set_chart(session, job_id, dataset.id, sha256)
    return sha256


def test_the_report_is_json_as_its_schema_says(
    service: Service, registry: Database, dataset: Dataset
) -> None:
    job_id = evaluate(service, registry, [dataset])
    answer = service.get(f"/jobs/{job_id}/evaluation")
    assert answer.status_code == 200
    report = TypeAdapter(JobReport).validate_python(answer.json())
    (asset,) = report.assets
    assert asset.evaluation == make_evaluation()
    assert (asset.dataset_name, asset.opening, asset.openings) == (NASTY, 1, 1)
    assert asset.walk_forward is None
    links = service.get(f"/jobs/{job_id}").json()["links"]
    assert links == {
        "evaluation": f"/jobs/{job_id}/evaluation",
        "page": f"/jobs/{job_id}/evaluation.html",
        "picture": f"/jobs/{job_id}/evaluation.png",
    }


def test_a_later_run_on_the_same_bars_is_counted_in_the_earlier_report(
    service: Service, registry: Database, dataset: Dataset
) -> None:
    first = evaluate(service, registry, [dataset])
    evaluate(service, registry, [dataset])
    (asset,) = service.get(f"/jobs/{first}/evaluation").json()["assets"]
    assert (asset["opening"], asset["openings"], asset["deflation"]["trials"]) == (1, 2, 2)
    assert "opened 1 more time: 2 in all" in service.get(f"/jobs/{first}/evaluation.html").text


def test_the_page_escapes_names_and_may_load_nothing(
    service: Service, registry: Database, dataset: Dataset
) -> None:
    job_id = evaluate(service, registry, [dataset], name=NASTY)
    answer = service.get(f"/jobs/{job_id}/evaluation.html")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert NASTY not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text


def test_the_picture_is_served_with_its_hash(service: Service, registry: Database, dataset: Dataset) -> None:
    job_id = evaluate(service, registry, [dataset])
    path = f"/jobs/{job_id}/evaluation.png"
    missing = service.get(path)
    assert (missing.status_code, missing.json()["detail"]) == (
        404,
        f"the chart of job {job_id} is not drawn yet",
    )
    sha256 = draw(service, registry, job_id, dataset)
    answer = service.get(path)
    assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
    assert answer.headers["etag"] == f'"{sha256}"'
    assert service.get(path, headers={"If-None-Match": f'"{sha256}"'}).status_code == 304


def test_several_datasets_have_a_report_each(service: Service, registry: Database, dataset: Dataset) -> None:
    with registry.write() as session:
        other = add_dataset(session, make_dataset(name="eth", sha256="f" * 64))
    job_id = evaluate(service, registry, [dataset, other])
    assets = service.get(f"/jobs/{job_id}/evaluation").json()["assets"]
    assert [asset["dataset_id"] for asset in assets] == [dataset.id, other.id]
    pictures = [draw(service, registry, job_id, each, PNG + each.id.encode()) for each in (dataset, other)]
    path = f"/jobs/{job_id}/evaluation.png"
    for query, sha256 in ((None, pictures[0]), ("eth", pictures[1]), (other.id, pictures[1])):
        answer = service.get(path, params={"dataset": query} if query else None)
        assert answer.headers["etag"] == f'"{sha256}"'
    unknown = service.get(path, params={"dataset": "doge"})
    assert unknown.status_code == 404
    assert unknown.json()["hint"] == f"it was judged on {NASTY}, eth"


def test_folds_of_a_group_are_shown_together_once_all_are_there(
    service: Service, registry: Database, dataset: Dataset
) -> None:
    first = evaluate(service, registry, [dataset], walk_forward="wf", spec={"folds": 2, "fold": 1})
    (asset,) = service.get(f"/jobs/{first}/evaluation").json()["assets"]
    assert asset["walk_forward"]["missing"] == [2]
    assert asset["walk_forward"]["joined"] is None
    second = evaluate(service, registry, [dataset], walk_forward="wf", spec={"folds": 2, "fold": 2})
    for job_id in (first, second):
        (asset,) = service.get(f"/jobs/{job_id}/evaluation").json()["assets"]
        assert [row["job_id"] for row in asset["walk_forward"]["finished"]] == [first, second]
        assert asset["walk_forward"]["joined"]["policy"]["periods"] == 80


@pytest.mark.parametrize(
    ("state", "status", "words"),
    [
        ("queued", 409, "is queued: it is not evaluated yet"),
        ("running", 409, "is running: it is not evaluated yet"),
        ("failed", 409, "is failed: it was not evaluated"),
        ("cancelled", 409, "is cancelled: it was not evaluated"),
        ("succeeded", 404, "ended before evaluations were kept"),
    ],
)
def test_a_job_without_an_evaluation_says_why(
    service: Service, registry: Database, dataset: Dataset, state: str, status: int, words: str
) -> None:
    with registry.write() as session:
        job = add_job(session, make_job(dataset, state=state), [dataset.id])
    for ending in ("", ".html", ".png"):
        answer = service.get(f"/jobs/{job.id}/evaluation{ending}")
        assert answer.status_code == status
        assert words in answer.json()["detail"]
        assert answer.json()["hint"]
    assert service.get(f"/jobs/{job.id}").json()["links"] == {}


def test_an_unknown_job_has_no_evaluation(service: Service) -> None:
    for ending in ("", ".html", ".png"):
        assert service.get(f"/jobs/nope/evaluation{ending}").status_code == 404
