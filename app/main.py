"""create_app(): the one place where the parts of the API process are put together.

Run it as `uvicorn app.main:create_app --factory`.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import structlog
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI

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
    metrics,
    recommendation,
    tiers,
)
from app.api.background import Repeated
from app.api.dependencies import MAX_PARALLEL_READS, Parts
from app.api.docs import install_docs
from app.api.kept_answers import KeptAnswers
from app.api.measurements import Observe, RequestMeasurements
from app.api.openapi import describe_api
from app.api.problems import install_handlers
from app.queue import Queue
from app.registry.database import Database
from app.settings import Settings, get_settings
from app.storage import Storage
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
    metrics.router,
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The API, not yet running; settings are read from the environment where none are given.

    Its lifespan runs the relay of messages and the sweeps, and closes what they use.
    """
    parts = build_parts(settings or get_settings())
    configure_logging(parts.settings)
    app = install_operations()
    app.state.parts = parts
    return app


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
    app.add_middleware(Observe)
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
        if resend_messages(database, queue, settings.lease_seconds):
            relay.wake()

    storage = Storage(settings.artifacts_dir)
    sweep_artifacts = ArtifactSweep(database, storage, settings.orphan_seconds)
    sweep_all_uploads = partial(sweep_uploads, database, storage, settings)
    parts = Parts(
        settings=settings,
        database=database,
        queue=queue,
        storage=storage,
        relay=relay,
        sweep=Repeated("sweep", sweep_and_relay, settings.sweep_seconds),
        upload_sweep=Repeated("upload sweep", sweep_all_uploads, SWEEP_SECONDS),
        artifact_sweep=Repeated("artifact sweep", sweep_artifacts, settings.orphan_seconds / 4),
        reaper=Repeated("reaper", partial(reap_leases, database), settings.sweep_seconds),
        tidy=Repeated("tidy", partial(tidy_registry, database, settings), TIDY_SECONDS),
        reads=CapacityLimiter(MAX_PARALLEL_READS),
        measurements=RequestMeasurements(),
        answers=KeptAnswers(),
    )
    parts.measurements.registry.register(metrics.ServiceState(parts))
    return parts


@asynccontextmanager
async def run_background(app: FastAPI) -> AsyncIterator[None]:
    """Relay and sweep while the app runs; then let their turns end and close the connections."""
    parts: Parts = app.state.parts
    parts.relay.start()
    parts.sweep.start()
    parts.upload_sweep.start()
    parts.artifact_sweep.start()
    parts.reaper.start()
    parts.tidy.start()
    try:
        yield
    finally:
        await to_thread.run_sync(_close, parts)


def configure_logging(settings: Settings) -> None:
    """One JSON line per event; traces without the values of variables, which may be secrets."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        # Looked up at each line: whoever runs the app may replace sys.stderr.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
    )


def relay_all(database: Database, queue: Queue) -> None:
    """Publish batch after batch until the outbox is empty."""
    while relay_messages(database, queue):
        pass


def _close(parts: Parts) -> None:
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
