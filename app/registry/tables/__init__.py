"""The registry's tables, by what they are about.

Times are UTC; lease times are the database's own clock in epoch seconds, so that machines whose clocks
differ agree on who holds a job.
"""

from app.registry.tables.access import ApiKey, AuditEntry
from app.registry.tables.artifact_stores import ArtifactStore
from app.registry.tables.base import Base, Utc, utc_now
from app.registry.tables.calibrations import Calibration
from app.registry.tables.checkpoints import Alias, Checkpoint, CheckpointMetric, Tag, Upload, WeightsDiff
from app.registry.tables.datasets import Dataset
from app.registry.tables.evaluations import JobEvaluation, Opening, SpanFigures
from app.registry.tables.jobs import (
    Attempt,
    Consumption,
    Event,
    Idempotency,
    Job,
    JobDataset,
    JobMetric,
    Message,
    Metric,
    Share,
    Worker,
)

__all__ = [
    "Alias",
    "ApiKey",
    "ArtifactStore",
    "Attempt",
    "AuditEntry",
    "Base",
    "Calibration",
    "Checkpoint",
    "CheckpointMetric",
    "Consumption",
    "Dataset",
    "Event",
    "Idempotency",
    "Job",
    "JobDataset",
    "JobEvaluation",
    "JobMetric",
    "Message",
    "Metric",
    "Opening",
    "Share",
    "SpanFigures",
    "Tag",
    "Upload",
    "Utc",
    "WeightsDiff",
    "Worker",
    "utc_now",
]
