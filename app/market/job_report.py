"""The report of a job: the evaluation of each of its assets, with what the registry knows of the test span."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from app.market.curves import Curve
from app.market.evaluation import Evaluation
from app.market.significance import Deflation
from app.market.walk_forward import WalkForward
from app.network.shape import DOCUMENTED


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetReport:
    """A policy judged on one of the datasets that it was trained on."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    dataset_id: str
    """The dataset."""
    dataset_name: str
    """Its name."""
    dataset_sha256: str
    """Version of its bars."""
    evaluated_at: datetime
    """When the policy was judged."""
    opening: int
    """Runs that had opened bars of this test span when this one did, itself included."""
    openings: int
    """Runs that have opened bars of this test span by now."""
    deflation: Deflation
    """The Sharpe ratio in the light of all of them; `evaluation.deflation` knew those until then."""
    evaluation: Evaluation
    """Figures, baselines, stress and verdict."""
    curves: tuple[Curve, ...]
    """Equity and drawdown of each span, thinned for charts."""
    walk_forward: WalkForward | None
    """The folds of the job's group; null for a job of no group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """A job's evaluation: one report for each of its datasets."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    job_id: str
    """The job."""
    job_name: str
    """Its name."""
    assets: tuple[AssetReport, ...]
    """One for each dataset, in the order in which the job names them."""
