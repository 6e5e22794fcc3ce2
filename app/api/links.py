"""Where an answer leads: OpenAPI links from an id that an operation gives to the operations that take it."""

from dataclasses import dataclass, field
from typing import Any

ID = "$response.body#/id"
FIRST = "$response.body#/items/0/id"
NEXT = "$response.body#/next_cursor"


@dataclass(frozen=True, slots=True)
class Link:
    """An operation that goes on from an answer."""

    method: str
    path: str
    parameters: dict[str, str] = field(default_factory=dict)
    """Parameter -> runtime expression that finds its value in the answer."""
    description: str = ""


def _all_of(noun: str, value: str, path: str, *operations: str) -> tuple[Link, ...]:
    """Links to `path` plus what is named, such as `post /cancel`, with the id in the path's parameter."""
    named = (operation.split(" ") for operation in operations)
    return tuple(Link(method, path + rest, {f"path.{noun}": value}) for method, rest in named)


_JOB = _all_of(
    *("job_id", ID, "/jobs/{job_id}"),
    *("get ", "post /cancel", "post /resume", "get /events", "get /log", "get /metrics"),
    *("get /evaluation", "get /evaluation.html", "get /evaluation.png"),
)
_MADE_BY_JOB = Link("get", "/checkpoints", {"query.job": ID}, "The checkpoints that it made.")
_TRAINED_ON = Link("get", "/datasets/{dataset_id}", {"path.dataset_id": "$response.body#/dataset_id"})
_DATASET = _all_of(
    *("dataset_id", ID, "/datasets/{dataset_id}"),
    *("get ", "get /splits", "get /chart.svg", "delete "),
)
_JOBS_ON_IT = Link("get", "/jobs", {"query.dataset": ID}, "The jobs that train on it.")
_CHECKPOINT = _all_of(
    *("checkpoint_id", ID, "/checkpoints/{checkpoint_id}"),
    *("get ", "patch ", "get /file", "get /export", "get /inspection", "delete "),
)
_ITSELF = {"query.left": ID, "query.right": ID}
_DIFFS = (
    Link("get", "/checkpoints/diff", _ITSELF, "Compared with itself; put another id in place of one."),
    Link("post", "/checkpoints/diff/weights", _ITSELF, "The same, by their weights."),
)
_UPLOAD = (
    *_all_of("upload_id", ID, "/uploads/{upload_id}", "get ", "head ", "delete "),
    Link(
        "patch",
        "/uploads/{upload_id}",
        {"path.upload_id": ID, "header.Upload-Offset": "$response.header.Upload-Offset"},
        "The next part.",
    ),
)
_COMPARISON = _all_of("diff_id", ID, "/checkpoints/diff/weights/{diff_id}", "get ")
_KEY = _all_of("key_id", ID, "/keys/{key_id}", "delete ")
_WORKER = _all_of("worker_id", "$response.body#/0/id", "/workers/{worker_id}", "post /drain")
_CALIBRATION = _all_of("calibration_id", ID, "/calibrations/{calibration_id}", "get ")


def _list_of(path: str, noun: str) -> tuple[Link, ...]:
    """From a list to its first item and to its next page."""
    return (
        Link("get", f"{path}/{{{noun}}}", {f"path.{noun}": FIRST}, "The newest."),
        Link("get", path, {"query.cursor": NEXT}, "The next page."),
    )


LINKS: dict[tuple[str, str, str], tuple[Link, ...]] = {
    ("post", "/jobs", "202"): (*_JOB, _MADE_BY_JOB, _TRAINED_ON),
    ("post", "/jobs/{job_id}/cancel", "200"): _JOB,
    ("post", "/jobs/{job_id}/resume", "202"): _JOB,
    ("post", "/datasets", "201"): (*_DATASET, _JOBS_ON_IT),
    ("post", "/checkpoints", "201"): (*_CHECKPOINT, *_DIFFS),
    ("post", "/checkpoints/diff/weights", "202"): _COMPARISON,
    ("post", "/uploads", "201"): _UPLOAD,
    ("patch", "/uploads/{upload_id}", "200"): _UPLOAD,
    ("post", "/calibrations", "201"): _CALIBRATION,
    ("post", "/keys", "201"): _KEY,
    ("get", "/workers", "200"): _WORKER,
    ("get", "/jobs", "200"): _list_of("/jobs", "job_id"),
    ("get", "/datasets", "200"): _list_of("/datasets", "dataset_id"),
    ("get", "/checkpoints", "200"): _list_of("/checkpoints", "checkpoint_id"),
    ("get", "/calibrations", "200"): _list_of("/calibrations", "calibration_id"),
}
"""(method, path, status) of an answer -> where it leads."""


def add_links(document: dict[str, Any]) -> None:
    """Write the links into an OpenAPI document that has all these operations."""
    for (method, path, status), links in LINKS.items():
        answer = document["paths"][path][method]["responses"][status]
        answer["links"] = {_name(document, link): _spell(document, link) for link in links}


def _spell(document: dict[str, Any], link: Link) -> dict[str, Any]:
    target = document["paths"][link.path][link.method]
    return {
        "operationId": target["operationId"],
        "parameters": link.parameters,
        "description": link.description or target["summary"],
    }


def _name(document: dict[str, Any], link: Link) -> str:
    """Of the letters that OpenAPI allows in a component's name."""
    return str(document["paths"][link.path][link.method]["operationId"])
