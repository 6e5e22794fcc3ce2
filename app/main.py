"""create_app(): the one place where the parts of the API process are put together.

Run it as `uvicorn app.main:create_app --factory`.
"""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import structlog
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from pydantic import ValidationError

from app.actions.prove_consumption import ConsumptionProof
from app.actions.recognise_storage import recognise_storage
from app.actions.relay_messages import relay_messages
from app.actions.sweep_artifacts import ArtifactSweep
from app.actions.sweep_queue import reap_leases, resend_messages
from app.actions.sweep_uploads import SWEEP_SECONDS, sweep_uploads
from app.actions.tidy_registry import TIDY_SECONDS, tidy_registry
from app.api import (
    calibrations,
    checkpoint_export,
    checkpoint_file,
    checkpoint_reading,
    checkpoints,
    dataset_check,
    datasets,
    estimate,
    evaluation,
    health,
    job_events,
    job_metrics,
    job_preview,
    jobs,
    keys,
    metrics,
    recommendation,
    tiers,
    workers,
)
from app.api.auditor import Auditor
from app.api.background import Repeated
from app.api.callers import Callers
from app.api.dependencies import MAX_PARALLEL_READS, Parts
from app.api.docs import install_docs
from app.api.exposure import refuse_exposure
from app.api.follower_metrics import FollowerState
from app.api.guard import Gate, Guard
from app.api.job_feed import JobFeeds
from app.api.kept_answers import KeptAnswers
from app.api.measurements import Observe, RequestMeasurements
from app.api.open_files import most_followers
from app.api.openapi import describe_api
from app.api.pace import pace_of
from app.api.problems import install_handlers
from app.api.request_ids import NameRequests
from app.api.service_state import ServiceState
from app.api.stopping import told_to_stop
from app.errors import Conflict, Unavailable
from app.logs import configure_logs
from app.queue import Queue
from app.registry.database import Database
from app.registry.sole import only_api
from app.settings import Settings, describe_mistakes, get_settings
from app.storage import open_storage
from app.ui.install import install_pages

ROUTERS = (
    estimate.router,
    tiers.router,
    recommendation.router,
    calibrations.router,
    dataset_check.router,
    datasets.router,
    job_preview.router,
    jobs.router,
    evaluation.router,
    job_metrics.router,
    job_events.router,
    checkpoint_reading.router,  # before checkpoints: `diff` must not be taken for an id
    checkpoint_file.router,
    checkpoint_export.router,
    checkpoints.router,
    health.router,
    workers.router,
    metrics.router,
    keys.router,
)


log = structlog.get_logger()


def create_app(settings: Settings | None = None) -> FastAPI:
    """The API, not yet running; settings are read from the environment where none are given.

    Its lifespan runs the relay of messages and the sweeps, and closes what they use. Raises Conflict for settings with
    which it would be open to all; SystemExit, with all that is wrong in words, where they are the environment's.
    """
    if settings is None:
        settings = settings_of_server()
    refuse_exposure(settings)
    parts = build_parts(settings)
    configure_logs(parts.settings, "api")
    app = install_operations()
    app.state.parts = parts
    return app


def settings_of_server() -> Settings:
    """The environment's settings; a mistake in them ends the server by a line that says it, not by a trace."""
    try:
        settings = get_settings()
        refuse_exposure(settings)
    except ValidationError as error:
        sys.exit(describe_mistakes(error))
    except Conflict as refusal:
        sys.exit(f"{refusal.pointer}: {refusal.detail}\nhint: {refusal.hint}")
    return settings


def install_operations() -> FastAPI:
    """The API without the parts that answer: `app.state.parts` must be set before it is run."""
    app = FastAPI(
        title="Caliper",
        version=_version(),
        lifespan=run_background,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(Guard)
    app.add_middleware(Observe)
    app.add_middleware(NameRequests)  # the last one added sees a request first
    install_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    install_docs(app)
    install_pages(app)
    app.openapi = partial(describe_api, app)  # type: ignore[method-assign]
    return app


def build_parts(settings: Settings) -> Parts:
    """Database, queue, storage and loops; nothing is connected before it is used."""
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    database, queue = Database(settings.database_url), Queue(settings)
    relay = Repeated("relay", partial(relay_all, database, queue), settings.relay_seconds)

    def sweep_and_relay() -> None:
        if resend_messages(database, queue, settings):
            relay.wake()

    proof = ConsumptionProof(database, queue, settings)
    storage = open_storage(settings)
    sweep_artifacts = ArtifactSweep(database, storage, settings.orphan_seconds)

    def sweep_own_artifacts() -> None:
        recognise_storage(database, storage)  # files of a storage that is another's are nobody's to sweep
        sweep_artifacts()

    sweep_all_uploads = partial(sweep_uploads, database, storage, settings)
    tidy = partial(tidy_registry, database, settings)
    parts = Parts(
        settings=settings,
        database=database,
        queue=queue,
        storage=storage,
        relay=relay,
        sweep=Repeated("sweep", sweep_and_relay, settings.sweep_seconds),
        upload_sweep=Repeated("upload sweep", alone(database, "uploads", sweep_all_uploads), SWEEP_SECONDS),
        artifact_sweep=Repeated(
            "artifact sweep", alone(database, "artifacts", sweep_own_artifacts), settings.orphan_seconds / 4
        ),
        reaper=Repeated("reaper", partial(reap_leases, database, settings), settings.sweep_seconds),
        tidy=Repeated("tidy", alone(database, "tidy", tidy), TIDY_SECONDS),
        proof=proof,
        prover=Repeated("prover", proof, settings.probe_seconds),
        reads=CapacityLimiter(MAX_PARALLEL_READS),
        measurements=RequestMeasurements(),
        answers=KeptAnswers(),
        feeds=JobFeeds(database, most_followers(settings.max_followers)),
        gate=Gate(Callers(settings, database), Auditor(database), pace_of(settings)),
    )
    parts.measurements.registry.register(FollowerState(parts.feeds))
    parts.measurements.registry.register(ServiceState(parts))
    return parts


@asynccontextmanager
async def run_background(app: FastAPI) -> AsyncIterator[None]:
    """Relay and sweep while the app runs; then let their turns end and close the connections."""
    parts: Parts = app.state.parts
    with only_api(parts.database):
        await to_thread.run_sync(check_storage, parts)
        async with run_loops(parts):
            yield


@asynccontextmanager
async def run_loops(parts: Parts) -> AsyncIterator[None]:
    """The loops; at a signal to stop the event streams end, and the loops once the last request is answered."""
    parts.relay.start()
    parts.sweep.start()
    parts.upload_sweep.start()
    parts.artifact_sweep.start()
    parts.reaper.start()
    parts.tidy.start()
    parts.prover.start()
    try:
        with told_to_stop(parts.feeds.end):
            yield
    finally:
        await to_thread.run_sync(_close, parts)


def check_storage(parts: Parts) -> None:
    """Refuse to start on a storage that is not the registry's; one that does not answer may come back."""
    try:
        recognise_storage(parts.database, parts.storage)
    except Unavailable as error:
        log.warning("the artifacts cannot be reached yet", error=error.detail, hint=error.hint)
    except Conflict as error:
        log.critical("this is not the registry's storage", error=error.detail, hint=error.hint)
        raise


def alone(database: Database, name: str, action: Callable[[], object]) -> Callable[[], None]:
    """Housekeeping that one API process does at a time; the others leave their turn out."""

    def take_turn() -> None:
        with database.alone(name) as is_mine:
            if is_mine:
                action()

    return take_turn


def relay_all(database: Database, queue: Queue) -> None:
    """Publish batch after batch until the outbox is empty."""
    while relay_messages(database, queue):
        pass


def _close(parts: Parts) -> None:
    parts.prover.stop()
    parts.tidy.stop()
    parts.artifact_sweep.stop()
    parts.reaper.stop()
    parts.upload_sweep.stop()
    parts.sweep.stop()
    parts.relay.stop()
    parts.queue.close()
    parts.database.close()


def _version() -> str:
    try:
        return version("caliper")
    except PackageNotFoundError:
        return "0"
