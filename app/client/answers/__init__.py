"""What the service answers, as types: a plain JSON object at run time, its keys known to a type checker.

The names are those of the OpenAPI document, which describes each key; tests hold these types against it. Times are
ISO 8601 texts. What lies deeper than one level is `Json`.
"""

from app.client.answers.access import AuditView, KeyUse, KeyView, NewKeyView
from app.client.answers.checkpoint import (
    CheckpointDetail,
    CheckpointDiff,
    CheckpointReport,
    CheckpointView,
    UploadView,
    WeightsDiff,
    WeightsDiffView,
)
from app.client.answers.dataset import DatasetCheck, DatasetView, SplitReport
from app.client.answers.job import JobDetail, JobPreview, JobReport, JobView, MetricPoints
from app.client.answers.json import Json
from app.client.answers.service import Health, Page, QueueState, Readiness, WorkerView
from app.client.answers.size import CalibrationDetail, CalibrationView, Recommendation, SizedNetwork, Tier

__all__ = [
    "AuditView",
    "CalibrationDetail",
    "CalibrationView",
    "CheckpointDetail",
    "CheckpointDiff",
    "CheckpointReport",
    "CheckpointView",
    "DatasetCheck",
    "DatasetView",
    "Health",
    "JobDetail",
    "JobPreview",
    "JobReport",
    "JobView",
    "Json",
    "KeyUse",
    "KeyView",
    "MetricPoints",
    "NewKeyView",
    "Page",
    "QueueState",
    "Readiness",
    "Recommendation",
    "SizedNetwork",
    "SplitReport",
    "Tier",
    "UploadView",
    "WeightsDiff",
    "WeightsDiffView",
    "WorkerView",
]
