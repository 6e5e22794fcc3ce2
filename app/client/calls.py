"""What is asked of the service: one function per request, for the blocking and the asynchronous client alike.

A call says where its answer's value stands; nothing here talks to the network or opens a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

Json = dict[str, Any]
"""A JSON object, as the service's OpenAPI document describes it."""

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
class Call:
    """One request of the REST API."""

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


def estimate(obs_dim: int, hidden_dims: Sequence[int], options: Mapping[str, Any]) -> Call:
    """Size a network."""
    hidden = ",".join(str(width) for width in hidden_dims)
    return _get("/estimate", obs_dim=obs_dim, hidden=hidden, **options)


def tiers() -> Call:
    """The GPU tiers."""
    return _get("/tiers")


def recommendation(options: Mapping[str, Any]) -> Call:
    """Networks for a use case or a machine."""
    return _get("/recommendation", **options)


def upload_dataset(
    file: Path, name: str, declarations: Mapping[str, Any], source: str = "", licence: str = ""
) -> Call:
    """Send bars with what is declared about them."""
    fields = {"name": name, **declarations, "source": source, "licence": licence}
    return Call(method="POST", path="/datasets", form=_given(fields), files={"file": file})


def dataset(id_or_name: str) -> Call:
    """One dataset."""
    return _get(_path("datasets", id_or_name))


def submit_job(spec: Mapping[str, Any], idempotency_key: str | None = None) -> Call:
    """Queue a training job."""
    return Call(method="POST", path="/jobs", body=dict(spec), headers=_idempotency(idempotency_key))


def job(job_id: str) -> Call:
    """One job."""
    return _get(_path("jobs", job_id))


def cancel(job_id: str) -> Call:
    """Stop a job."""
    return Call(method="POST", path=_path("jobs", job_id, "cancel"))


def resume(job_id: str) -> Call:
    """Queue a job again from its last checkpoint."""
    return Call(method="POST", path=_path("jobs", job_id, "resume"))


def metrics(job_id: str, names: Sequence[str] = (), after_step: int | None = None) -> Call:
    """Measured values of a job."""
    return _get(_path("jobs", job_id, "metrics"), names=list(names) or None, after_step=after_step)


def log(job_id: str) -> Call:
    """What a job's attempts have said."""
    return _get(_path("jobs", job_id, "log"))


def events(job_id: str, after: int) -> Call:
    """The event stream of a job, from the event after number `after`."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    return Call(method="GET", path=_path("jobs", job_id, "events"), headers=headers)


def inspect_checkpoint(file: Path) -> Call:
    """Read a checkpoint file without storing it."""
    return Call(method="POST", path="/checkpoints/inspect", files={"file": file})


def upload_checkpoint(
    file: Path, name: str, tags: Sequence[str] = (), idempotency_key: str | None = None
) -> Call:
    """Store and register a checkpoint file."""
    form = {"name": name, "tags": list(tags)}
    headers = _idempotency(idempotency_key)
    return Call(method="POST", path="/checkpoints", form=form, files={"file": file}, headers=headers)


def begin_upload(name: str, size: int, sha256: str) -> Call:
    """Announce a file that comes in parts, or find where it goes on."""
    return Call(method="POST", path="/uploads", body={"name": name, "bytes": size, "sha256": sha256})


def upload(upload_id: str) -> Call:
    """How much of an upload has arrived."""
    return _get(_path("uploads", upload_id))


def send_part(upload_id: str, part: FilePart) -> Call:
    """Send bytes of a file, which must follow those that have arrived."""
    headers = {
        "Upload-Offset": str(part.start),
        "Content-Length": str(part.length),
        "Content-Type": "application/offset+octet-stream",
    }
    return Call(method="PATCH", path=_path("uploads", upload_id), part=part, headers=headers)


def finish_upload(upload_id: str, tags: Sequence[str] = (), idempotency_key: str | None = None) -> Call:
    """Register a file whose parts have all arrived."""
    form = {"upload": upload_id, "tags": list(tags)}
    return Call(method="POST", path="/checkpoints", form=form, headers=_idempotency(idempotency_key))


def begin_weights_diff(left: str, right: str) -> Call:
    """Ask how far the weights of two checkpoints lie apart."""
    return Call(method="POST", path="/checkpoints/diff/weights", params={"left": left, "right": right})


def weights_diff(diff_id: str) -> Call:
    """How a comparison of weights stands."""
    return _get(_path("checkpoints", "diff", "weights", diff_id))


def checkpoint(id_or_alias: str) -> Call:
    """One checkpoint."""
    return _get(_path("checkpoints", id_or_alias))


def checkpoint_file(id_or_alias: str, sha256: str, start: int) -> Call:
    """The bytes of a checkpoint from `start` on, if they still are those of this hash.

    `identity`: a compressed answer has other offsets.
    """
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": f'"{sha256}"'}
    return Call(method="GET", path=_path("checkpoints", id_or_alias, "file"), headers=headers)


def diff(left: str, right: str) -> Call:
    """Compare two registered checkpoints."""
    return _get("/checkpoints/diff", left=left, right=right)


def diff_files(left: Path, right: Path) -> Call:
    """Compare two checkpoint files without storing them."""
    return Call(method="POST", path="/checkpoints/diff", files={"left": left, "right": right})


def page(path: str, filters: Mapping[str, Any], cursor: str | None, limit: int | None) -> Call:
    """One page of a list."""
    return _get(path, **filters, cursor=cursor, limit=limit)


def workers() -> Call:
    """Workers that consume."""
    return _get("/workers")


def ready() -> Call:
    """Whether the service can take and run jobs."""
    return _get("/readyz")


def _get(path: str, **params: Any) -> Call:
    return Call(method="GET", path=path, params=params)


def _path(*parts: str) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _idempotency(key: str | None) -> dict[str, str]:
    return {IDEMPOTENCY_HEADER: key} if key else {}


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Form fields as text, without those that were left out."""
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in fields.items()}
    return {name: value for name, value in texts.items() if value not in (None, "")}
