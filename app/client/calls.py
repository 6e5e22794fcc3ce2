"""What is asked of the service: one function per request, for the blocking and the asynchronous client alike.

A call knows the type of its answer; nothing here talks to the network or opens a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx

from app.client.answers import (
    CheckpointDetail,
    CheckpointDiff,
    CheckpointReport,
    CheckpointView,
    DatasetView,
    JobDetail,
    JobReport,
    JobView,
    MetricPoints,
    Page,
    Readiness,
    Recommendation,
    SizedNetwork,
    Tier,
    UploadView,
    WeightsDiffView,
    WorkerView,
)

Answer = TypeVar("Answer")

IDEMPOTENCY_HEADER = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes of a file."""

    file: Path
    """The file."""
    start: int
    """Its first byte."""
    length: int
    """How many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Answer]):
    """One request of the REST API, by the type of its answer."""

    method: str
    """HTTP method."""
    path: str
    """Path below the service's address."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Query; None is left out."""
    body: Any = None
    """JSON body."""
    form: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a multipart form, beside the files."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Files by form field; they are streamed, never held in memory."""
    part: FilePart | None = None
    """A part of a file as the body; it is streamed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of this request alone."""

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method == "GET" or IDEMPOTENCY_HEADER in self.headers

    def query(self) -> httpx.QueryParams:
        """The query without what was left out."""
        return httpx.QueryParams({name: value for name, value in self.params.items() if value is not None})


def estimate(obs_dim: int, hidden_dims: Sequence[int], options: Mapping[str, Any]) -> Call[SizedNetwork]:
    """Size a network."""
    hidden = ",".join(str(width) for width in hidden_dims)
    return _get("/estimate", obs_dim=obs_dim, hidden=hidden, **options)


def tiers() -> Call[list[Tier]]:
    """The GPU tiers."""
    return _get("/tiers")


def recommendation(options: Mapping[str, Any]) -> Call[Recommendation]:
    """Networks for a use case or a machine."""
    return _get("/recommendation", **options)


def upload_dataset(
    file: Path, name: str, declarations: Mapping[str, Any], source: str = "", licence: str = ""
) -> Call[DatasetView]:
    """Send bars with what is declared about them."""
    fields = {"name": name, **declarations, "source": source, "licence": licence}
    return Call(method="POST", path="/datasets", form=_given(fields), files={"file": file})


def dataset(id_or_name: str) -> Call[DatasetView]:
    """One dataset."""
    return _get(_path("datasets", id_or_name))


def submit_job(spec: Mapping[str, Any], idempotency_key: str | None = None) -> Call[JobDetail]:
    """Queue a training job."""
    return Call(method="POST", path="/jobs", body=dict(spec), headers=_idempotency(idempotency_key))


def job(job_id: str) -> Call[JobDetail]:
    """One job."""
    return _get(_path("jobs", job_id))


def cancel(job_id: str) -> Call[JobDetail]:
    """Stop a job."""
    return Call(method="POST", path=_path("jobs", job_id, "cancel"))


def resume(job_id: str) -> Call[JobDetail]:
    """Queue a job again from its last checkpoint."""
    return Call(method="POST", path=_path("jobs", job_id, "resume"))


def metrics(job_id: str, names: Sequence[str] = (), after_step: int | None = None) -> Call[MetricPoints]:
    """Measured values of a job."""
    return _get(_path("jobs", job_id, "metrics"), names=list(names) or None, after_step=after_step)


def evaluation(job_id: str) -> Call[JobReport]:
    """How a job's policy was judged."""
    return _get(_path("jobs", job_id, "evaluation"))


def evaluation_page(job_id: str) -> Call[str]:
    """The same as a page."""
    return _get(_path("jobs", job_id, "evaluation.html"))


def evaluation_picture(job_id: str, dataset: str | None = None) -> Call[bytes]:
    """The same as a picture, of one dataset."""
    return _get(_path("jobs", job_id, "evaluation.png"), dataset=dataset)


def log(job_id: str) -> Call[str]:
    """What a job's attempts have said."""
    return _get(_path("jobs", job_id, "log"))


def events(job_id: str, after: int) -> Call[str]:
    """The event stream of a job, from the event after number `after`."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    return Call(method="GET", path=_path("jobs", job_id, "events"), headers=headers)


def inspect_checkpoint(file: Path) -> Call[CheckpointReport]:
    """Read a checkpoint file without storing it."""
    return Call(method="POST", path="/checkpoints/inspect", files={"file": file})


def upload_checkpoint(
    file: Path, name: str, tags: Sequence[str] = (), idempotency_key: str | None = None
) -> Call[CheckpointDetail]:
    """Store and register a checkpoint file."""
    form = {"name": name, "tags": list(tags)}
    headers = _idempotency(idempotency_key)
    return Call(method="POST", path="/checkpoints", form=form, files={"file": file}, headers=headers)


def begin_upload(name: str, size: int, sha256: str) -> Call[UploadView]:
    """Announce a file that comes in parts, or find where it goes on."""
    return Call(method="POST", path="/uploads", body={"name": name, "bytes": size, "sha256": sha256})


def upload(upload_id: str) -> Call[UploadView]:
    """How much of an upload has arrived."""
    return _get(_path("uploads", upload_id))


def send_part(upload_id: str, part: FilePart) -> Call[UploadView]:
    """Send bytes of a file, which must follow those that have arrived."""
    headers = {
        "Upload-Offset": str(part.start),
        "Content-Length": str(part.length),
        "Content-Type": "application/offset+octet-stream",
    }
    return Call(method="PATCH", path=_path("uploads", upload_id), part=part, headers=headers)


def finish_upload(
    upload_id: str, tags: Sequence[str] = (), idempotency_key: str | None = None
) -> Call[CheckpointDetail]:
    """Register a file whose parts have all arrived."""
    form = {"upload": upload_id, "tags": list(tags)}
    return Call(method="POST", path="/checkpoints", form=form, headers=_idempotency(idempotency_key))


def begin_weights_diff(left: str, right: str) -> Call[WeightsDiffView]:
    """Ask how far the weights of two checkpoints lie apart."""
    return Call(method="POST", path="/checkpoints/diff/weights", params={"left": left, "right": right})


def weights_diff(diff_id: str) -> Call[WeightsDiffView]:
    """How a comparison of weights stands."""
    return _get(_path("checkpoints", "diff", "weights", diff_id))


def checkpoint(id_or_alias: str) -> Call[CheckpointDetail]:
    """One checkpoint."""
    return _get(_path("checkpoints", id_or_alias))


def checkpoint_file(id_or_alias: str, sha256: str, start: int) -> Call[bytes]:
    """The bytes of a checkpoint from `start` on, if they still are those of this hash.

    `identity`: a compressed answer has other offsets.
    """
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": f'"{sha256}"'}
    return Call(method="GET", path=_path("checkpoints", id_or_alias, "file"), headers=headers)


def diff(left: str, right: str) -> Call[CheckpointDiff]:
    """Compare two registered checkpoints."""
    return _get("/checkpoints/diff", left=left, right=right)


def diff_files(left: Path, right: Path) -> Call[CheckpointDiff]:
    """Compare two checkpoint files without storing them."""
    return Call(method="POST", path="/checkpoints/diff", files={"left": left, "right": right})


def datasets(filters: Mapping[str, Any], cursor: str | None = None) -> Call[Page[DatasetView]]:
    """A page of datasets."""
    return _get("/datasets", **filters, cursor=cursor)


def jobs(filters: Mapping[str, Any], cursor: str | None = None) -> Call[Page[JobView]]:
    """A page of jobs."""
    return _get("/jobs", **filters, cursor=cursor)


def checkpoints(filters: Mapping[str, Any], cursor: str | None = None) -> Call[Page[CheckpointView]]:
    """A page of checkpoints."""
    return _get("/checkpoints", **filters, cursor=cursor)


def workers() -> Call[list[WorkerView]]:
    """Workers that consume."""
    return _get("/workers")


def ready() -> Call[Readiness]:
    """Whether the service can take and run jobs."""
    return _get("/readyz")


def _get(path: str, **params: Any) -> Call[Any]:
    return Call(method="GET", path=path, params=params)


def _path(*parts: str) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _idempotency(key: str | None) -> dict[str, str]:
    return {IDEMPOTENCY_HEADER: key} if key else {}


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Form fields as text, without those that were left out."""
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in fields.items()}
    return {name: value for name, value in texts.items() if value not in (None, "")}
