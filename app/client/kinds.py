"""The dataclasses of the service's answers, and how an answer becomes one.

Here alone the client knows the API's own views: they are its answers' only description, and the OpenAPI document is
made of them. They load with the first use of `Caliper`, never with the terminal, which shows the JSON itself.
"""

from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from app.actions.show_queue import QueueState
from app.api.calibration_view import CalibrationDetail, CalibrationView
from app.api.checkpoint_view import CheckpointDetail, CheckpointView
from app.api.dataset_check import DatasetCheck
from app.api.dataset_view import DatasetView
from app.api.estimate import SizedNetwork
from app.api.health import Health, Readiness
from app.api.job_metrics import MetricPoints
from app.api.job_preview import JobPreview
from app.api.job_view import JobDetail, JobView
from app.api.key_view import AuditView, KeyUse, KeyView, NewKeyView
from app.api.worker_view import WorkerView
from app.checkpoint.diff import CheckpointDiff
from app.checkpoint.report import CheckpointReport
from app.checkpoint.weights_diff import WeightsDiff
from app.client.errors import ServiceError
from app.market.job_report import JobReport
from app.market.split_report import SplitReport
from app.network.recommend import Recommendation
from app.network.tiers import Tier

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
    "KeyUse",
    "KeyView",
    "MetricPoints",
    "NewKeyView",
    "QueueState",
    "Readiness",
    "Recommendation",
    "SizedNetwork",
    "SplitReport",
    "Tier",
    "WeightsDiff",
    "WorkerView",
    "read",
]

Kind = TypeVar("Kind")


def read(kind: type[Kind], answer: Mapping[str, Any]) -> Kind:
    """An answer as its dataclass; members that this release does not know are left out.

    Raises ServiceError with code `unexpected_answer` where members are missing or have another type, as those of a
    service of another release may.
    """
    try:
        found: Kind = _adapter(cast("Hashable", kind)).validate_python(answer)
    except ValidationError as error:
        first = error.errors()[0]
        place = "/".join(map(str, first["loc"]))
        raise ServiceError(
            f"the service's answer is no {kind.__name__}: {first['msg']}",
            code="unexpected_answer",
            hint="is the service of another release? `Caliper.json` has its answers as they are",
            pointer=place,
        ) from error
    return found


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
