"""Operations of several steps: a download, the jobs of a walk-forward run, and the wait for a comparison of weights."""

import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.client import calls
from app.client.answers import JobDetail, WeightsDiff
from app.client.calls import OnProgress
from app.client.connection import Patience
from app.client.errors import ServiceError, ServiceUnreachable
from app.client.steps import Fetch, Pause, Steps, Work
from app.client.transfer import Download

PATIENCE_SECONDS = 120.0
"""How long streams, downloads and uploads in parts go on trying while the service does not answer."""

WEIGHTS_SECONDS = 3_700.0
"""How long a comparison of weights is awaited: longer than the service lets one run."""

WEIGHTS_POLL_SECONDS = 0.3
"""Pause between two looks at it."""

RETRY_SECONDS = 1.0
"""Pause before a download is gone on with, or a stream opened again where the service names none."""


def download_file(
    id_or_alias: str, target: Path, patience: Patience, on_progress: OnProgress = lambda *_: None
) -> Steps[Path]:
    """Fetch a checkpoint's file: resumed where it broke off, verified, in place only when it is whole."""
    row = yield calls.checkpoint(id_or_alias)
    download = Download(target, sha256=row["sha256"], size=row["bytes"], on_progress=on_progress)
    while download.missing:
        before = download.received
        call = calls.checkpoint_file(str(row["id"]), download.sha256, before)
        try:
            yield Fetch(call, download)
            download.require_whole()
        except ServiceUnreachable:
            if download.received > before:
                patience.renew()
            if patience.is_over():
                raise
            yield Pause(RETRY_SECONDS)
    path: Path = yield Work(download.finish)
    return path


def submit_folds(spec: Mapping[str, Any], folds: int) -> Steps[list[JobDetail]]:
    """Queue a job for each walk-forward fold; a request that is sent again makes no second job."""
    group = spec.get("walk_forward") or f"walk_{secrets.token_hex(8)}"
    jobs = []
    for fold in range(1, folds + 1):
        wanted = {**spec, "folds": folds, "fold": fold, "walk_forward": group}
        jobs.append((yield calls.submit_job(wanted, f"{group}/{fold}")))
    return jobs


def compare_weights(left: str, right: str, on_waiting: Callable[[str], None]) -> Steps[WeightsDiff]:
    """Ask for a comparison of weights and look after it until it has ended."""
    asked = yield calls.begin_weights_diff(left, right)
    deadline = time.monotonic() + WEIGHTS_SECONDS
    told = None
    while asked["state"] in {"queued", "running"}:
        if time.monotonic() > deadline:
            raise ServiceError("the weights were not compared in time", code="timeout", hint="ask again")
        if (waiting := asked["waiting"]) and waiting != told:
            told = waiting
            on_waiting(waiting)
        yield Pause(WEIGHTS_POLL_SECONDS)
        asked = yield calls.weights_diff(asked["id"])
    if asked["result"] is None:
        error = asked["error"] or {}
        detail = str(error.get("detail", "the weights were not compared"))
        raise ServiceError(detail, code=str(error.get("code", "error")), hint=str(error.get("hint", "")))
    answer: WeightsDiff = asked["result"]
    return answer
