"""The registry's tables, by what they are about.

Times are UTC; lease times are the database's own clock in epoch seconds, so that machines whose clocks
differ agree on who holds a job.
"""

from app.registry.tables.base import Base, Utc, utc_now
from app.registry.tables.calibrations import Calibration
from app.registry.tables.checkpoints import Alias, Checkpoint, CheckpointMetric, Tag, Upload, WeightsDiff
from app.registry.tables.datasets import Dataset
from app.registry.tables.evaluations import JobEvaluation, Opening, SpanFigures
from app.registry.tables.jobs import Attempt, Event, Idempotency, Job, JobDataset, Message, Metric, Worker

__all__ = [
    "Alias",
    "Attempt",
    "Base",
    "Calibration",
    "Checkpoint",
    "CheckpointMetric",
    "Dataset",
    "Event",
    "Idempotency",
    "Job",
    "JobDataset",
    "JobEvaluation",
    "Message",
    "Metric",
    "Opening",
    "SpanFigures",
    "Tag",
    "Upload",
    "Utc",
    "WeightsDiff",
    "Worker",
    "utc_now",
]
