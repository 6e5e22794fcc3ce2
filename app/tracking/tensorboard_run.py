"""A job as a TensorBoard run: one event file, whose bytes follow from the job alone, so that it is never doubled.

The library's own protocol buffers and record writer are used; neither TensorFlow nor torch is loaded.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from app.errors import InvalidInput
from app.tracking.facts import list_params, list_scores, list_tags, safe_name
from app.tracking.tracker import Ending, Json, Point

try:
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.plugins.text.summary_v2 import text_pb
    from tensorboard.summary.writer.record_writer import RecordWriter
except ImportError as error:
    raise InvalidInput(
        f"TensorBoard's library is not installed ({error})",
        hint="pip install 'tensorboard>=2.21' (the extra `tensorboard`)",
    ) from error

SUFFIX = ".caliper"
"""What our files' names end with; TensorBoard reads every file whose name holds `tfevents`."""


class TensorBoardRun:
    """Writes the event file of a job into a folder of its own below `folder`, anew each time.

    A job that was resumed says from which step on its earlier points hold no more (SessionLog.START), as
    TensorBoard's own writers do after a crash. Raises OSError where the disk refuses.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: Any = None
        self._records: Any = None

    @property
    def place(self) -> str:
        """The folder to start `tensorboard --logdir` with."""
        return f"TensorBoard's {self.folder}"

    def begin(self, job: Json) -> None:
        """Open the job's file, in place of an older one."""
        run = self.folder / f"{safe_name(job['name'])}.{job['id']}"
        run.mkdir(parents=True, exist_ok=True)
        created = datetime.fromisoformat(job["created_at"]).timestamp()
        path = run / f"events.out.tfevents.{int(created)}{SUFFIX}"
        path.unlink(missing_ok=True)  # a reader of the older one keeps it until it looks again
        self._file = path.open("xb")
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=created, file_version="brain.Event:2"))
        params = list_params(job["config"])
        self._summary(created, 0, hparams_pb(_hparams(job), trial_id=job["id"], start_time_secs=created))
        told = {"params": params, "tags": list_tags(job), "reasons": job["reasons"]}
        for name, value in told.items():
            self._summary(created, 0, text_pb(f"caliper/{name}", _as_code(value)))

    def measure(self, point: Point) -> None:
        """Write a point's values as scalars `train/…` and bring them to the disk."""
        at = point.at.timestamp()
        if point.again:
            self._write(Event(wall_time=at, step=point.step, session_log=SessionLog(status=SessionLog.START)))
        self._summary(at, point.step, _scalars({f"train/{name}": v for name, v in point.values.items()}))
        self._file.flush()

    def end(self, ending: Ending) -> None:
        """Write the evaluation: its figures as scalars, its verdict as text, its picture."""
        at, step = ending.at.timestamp(), ending.step
        if ending.report is not None:
            self._summary(at, step, _scalars(list_scores(ending.report)))
            verdicts = {
                asset["dataset_name"]: asset["evaluation"]["verdict"] for asset in ending.report["assets"]
            }
            self._summary(at, step, text_pb("caliper/verdict", _as_code(verdicts)))
        if ending.picture is not None:
            image = Summary.Image(encoded_image_string=ending.picture)
            value = Summary.Value(tag="caliper/evaluation", image=image)
            self._summary(at, step, Summary(value=[value]))

    def close(self) -> None:
        """Close the file; what was written stays."""
        if self._file is not None:
            self._file.close()

    def _summary(self, at: float, step: int, summary: Any) -> None:
        self._write(Event(wall_time=at, step=step, summary=summary))

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString(deterministic=True))


def _scalars(values: dict[str, float]) -> Any:
    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])


def _as_code(value: Any) -> str:
    """JSON as Markdown shows it unchanged: indented by four."""
    return "\n".join(f"    {line}" for line in json.dumps(value, indent=2, ensure_ascii=False).splitlines())


def _hparams(job: Json) -> dict[str, Any]:
    """What TensorBoard's table of hyperparameters compares: plain values of the PPO configuration, and the network."""
    ppo = {
        name: value
        for name, value in job["config"]["ppo"].items()
        if isinstance(value, bool | int | float | str)
    }
    widths = ",".join(str(width) for width in job["hidden_dims"])
    return {**ppo, "hidden_dims": widths, "obs_dim": job["obs_dim"], "tier": job["tier"]}
