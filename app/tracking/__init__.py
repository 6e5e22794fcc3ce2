"""A job in other experiment trackers: TensorBoard's event files and MLflow's runs, from what the API answers.

follow.py           a job and its events handed to trackers, live or as they stand
tracker.py          what a tracker is told: a job, its points, its ending
facts.py            a job's params, tags and scores, by name
tensorboard_run.py  an event file a job (extra `tensorboard`)
mlflow_run.py       an MLflow run a job (extra `mlflow`)
"""

from app.tracking.follow import snapshot_job, tracked
from app.tracking.tracker import Tracker

__all__ = ["Tracker", "snapshot_job", "tracked"]
