"""What is asked about checkpoints: files, labels, uploads in parts, comparisons."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.client.answers import (
    CheckpointDetail,
    CheckpointDiff,
    CheckpointReport,
    CheckpointView,
    Page,
    UploadView,
    WeightsDiffView,
)
from app.client.calls.call import Call, FilePart, OnProgress, get, idempotency, path_of


def inspect_checkpoint(file: Path) -> Call[CheckpointReport]:
    """Read a checkpoint file without storing it."""
    return Call(method="POST", path="/checkpoints/inspect", files={"file": file})


def inspect_registered(id_or_alias: str) -> Call[CheckpointReport]:
    """Read a registered checkpoint's file anew."""
    return Call(method="GET", path=path_of("checkpoints", id_or_alias, "inspection"))


def upload_checkpoint(
    file: Path,
    name: str,
    tags: Sequence[str] = (),
    idempotency_key: str | None = None,
    on_progress: OnProgress | None = None,
) -> Call[CheckpointDetail]:
    """Store and register a checkpoint file."""
    return Call(
        method="POST",
        path="/checkpoints",
        form={"name": name, "tags": list(tags)},
        files={"file": file},
        headers=idempotency(idempotency_key),
        on_progress=on_progress,
    )


def begin_upload(name: str, size: int, sha256: str) -> Call[UploadView]:
    """Announce a file that comes in parts, or find where it goes on."""
    return Call(method="POST", path="/uploads", body={"name": name, "bytes": size, "sha256": sha256})


def upload(upload_id: str) -> Call[UploadView]:
    """How much of an upload has arrived."""
    return get(path_of("uploads", upload_id))


def send_part(upload_id: str, part: FilePart) -> Call[UploadView]:
    """Send bytes of a file, which must follow those that have arrived."""
    headers = {
        "Upload-Offset": str(part.start),
        "Content-Length": str(part.length),
        "Content-Type": "application/offset+octet-stream",
    }
    return Call(method="PATCH", path=path_of("uploads", upload_id), part=part, headers=headers)


def give_up_upload(upload_id: str) -> Call[None]:
    """Drop what has arrived of an upload in parts."""
    return Call(method="DELETE", path=path_of("uploads", upload_id))


def finish_upload(
    upload_id: str, tags: Sequence[str] = (), idempotency_key: str | None = None
) -> Call[CheckpointDetail]:
    """Register a file whose parts have all arrived."""
    form = {"upload": upload_id, "tags": list(tags)}
    return Call(method="POST", path="/checkpoints", form=form, headers=idempotency(idempotency_key))


def begin_weights_diff(left: str, right: str) -> Call[WeightsDiffView]:
    """Ask how far the weights of two checkpoints lie apart."""
    return Call(method="POST", path="/checkpoints/diff/weights", params={"left": left, "right": right})


def weights_diff(diff_id: str) -> Call[WeightsDiffView]:
    """How a comparison of weights stands."""
    return get(path_of("checkpoints", "diff", "weights", diff_id))


def checkpoint(id_or_alias: str) -> Call[CheckpointDetail]:
    """One checkpoint."""
    return get(path_of("checkpoints", id_or_alias))


def label_checkpoint(id_or_alias: str, labels: Mapping[str, Any]) -> Call[CheckpointDetail]:
    """Replace a checkpoint's name, tags or aliases; what is None stays."""
    body = {name: value for name, value in labels.items() if value is not None}
    return Call(method="PATCH", path=path_of("checkpoints", id_or_alias), body=body, idempotent=True)


def delete_checkpoint(id_or_alias: str) -> Call[None]:
    """Forget a checkpoint."""
    return Call(method="DELETE", path=path_of("checkpoints", id_or_alias))


def checkpoint_file(id_or_alias: str, sha256: str, start: int) -> Call[bytes]:
    """The bytes of a checkpoint from `start` on, if they still are those of this hash.

    `identity`: a compressed answer has other offsets.
    """
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": f'"{sha256}"'}
    return Call(method="GET", path=path_of("checkpoints", id_or_alias, "file"), headers=headers)


def export(id_or_alias: str, kind: str) -> Call[bytes]:
    """A checkpoint's policy in the format `kind`; `identity`, so that its announced length is that of its bytes."""
    headers = {"Accept-Encoding": "identity"}
    path = path_of("checkpoints", id_or_alias, "export")
    return Call(method="GET", path=path, params={"format": kind}, headers=headers)


def diff(left: str, right: str) -> Call[CheckpointDiff]:
    """Compare two registered checkpoints."""
    return get("/checkpoints/diff", left=left, right=right)


def diff_files(left: Path, right: Path) -> Call[CheckpointDiff]:
    """Compare two checkpoint files without storing them."""
    return Call(method="POST", path="/checkpoints/diff", files={"left": left, "right": right})


def checkpoints(filters: Mapping[str, Any], cursor: str | None = None) -> Call[Page[CheckpointView]]:
    """A page of checkpoints."""
    return get("/checkpoints", **filters, cursor=cursor)
