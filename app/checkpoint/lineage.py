"""Whether two checkpoints come of the same training: by the registry's chain of parents, by job, by dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from app.checkpoint.inference_verdict import Check
from app.checkpoint.report import CheckpointReport
from app.network.shape import DOCUMENTED

Relation = Literal[
    "same_file",
    "right_continues_left",
    "left_continues_right",
    "common_ancestor",
    "same_job",
    "unrelated",
    "unknown",
]


@dataclass(frozen=True, slots=True)
class Origin:
    """What the registry knows of where a checkpoint comes from."""

    id: str
    """Its id."""
    ancestors: tuple[str, ...] = ()
    """Ids of the checkpoints that its training started from, the nearest first."""
    job_id: str | None = None
    """The job of this registry that made it; None for an upload, whose parents no registry knows."""
    dataset_ids: tuple[str, ...] = ()
    """The datasets that it was trained on."""
    ancestor_files: tuple[str, ...] = ()
    """Hashes of its ancestors' files: a copy that was uploaded again has another id."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Whether two checkpoints come of the same training."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    same: bool | None
    """Whether they are of one line of training; null where neither registry nor files tell."""
    relation: Relation
    """How they are related, the closest relation that is known."""
    checks: tuple[Check, ...]
    """file, parents, job, dataset."""
    explanation: str
    """The verdict in words."""


WORDS: dict[Relation, str] = {
    "same_file": "the same training: the files are equal to the byte",
    "right_continues_left": "the same training: the right continues the left",
    "left_continues_right": "the same training: the left continues the right",
    "common_ancestor": "the same training: both continue one checkpoint",
    "same_job": "the same training: one job made both",
    "unrelated": "not the same training",
    "unknown": "neither the registry nor the files tell whether they come of the same training",
}
"""The verdict by relation."""

TWO_JOBS = (
    "two jobs made them; whether one began with the other's weights only the registry of both jobs tells"
)
"""What is said of other jobs where parents are not known."""


def judge_lineage(
    left: CheckpointReport,
    right: CheckpointReport,
    origins: tuple[Origin | None, Origin | None] = (None, None),
) -> Lineage:
    """Relate two checkpoints; `origins` is what the registry knows of them, None for a mere file."""
    ours, theirs = origins
    checks = (
        _compare("file", left.sha256, right.sha256),
        _parents(ours, theirs),
        _compare("job", _job(left, ours), _job(right, theirs)),
        _dataset(left, right, origins),
    )
    relation = _relation(checks, (left, right), origins)
    same = None if relation == "unknown" else relation != "unrelated"
    text = TWO_JOBS if relation == "unknown" and checks[2].same is False else WORDS[relation]
    if not same and checks[3].same is not None:
        text += ", on the same dataset" if checks[3].same else ", on another dataset"
    return Lineage(same, relation, checks, text)


def _relation(
    checks: tuple[Check, ...],
    reports: tuple[CheckpointReport, CheckpointReport],
    origins: tuple[Origin | None, Origin | None],
) -> Relation:
    """The closest relation; `unrelated` only where the registry made both, and so knows all their parents."""
    file, _, job, _ = checks
    ours, theirs = origins
    if file.same or (ours and theirs and ours.id == theirs.id):
        return "same_file"
    if _is_ancestor(reports[0], ours, theirs):
        return "right_continues_left"
    if _is_ancestor(reports[1], theirs, ours):
        return "left_continues_right"
    if ours and theirs and set(ours.ancestors) & set(theirs.ancestors):
        return "common_ancestor"
    if job.same:
        return "same_job"
    made_here = ours and theirs and ours.job_id and theirs.job_id
    return "unrelated" if job.same is False and made_here else "unknown"


def _is_ancestor(report: CheckpointReport, origin: Origin | None, other: Origin | None) -> bool:
    """Whether the other's training went on from this checkpoint, by its id or by its file."""
    if other is None:
        return False
    by_id = origin is not None and origin.id in other.ancestors
    return by_id or (report.sha256 is not None and report.sha256 in other.ancestor_files)


def _parents(ours: Origin | None, theirs: Origin | None) -> Check:
    if ours is None or theirs is None:
        text = "only the registry of a service knows parents"
        return Check("parents", same=None, left=None, right=None, explanation=text)
    left, right = (ours.id, *ours.ancestors), (theirs.id, *theirs.ancestors)
    common = next((each for each in left if each in set(right)), None)
    if common is not None:
        text = f"both lines hold {common}"
        return Check("parents", same=True, left=left[1:], right=right[1:], explanation=text)
    if not ours.ancestors and not theirs.ancestors:
        return Check("parents", same=None, left=(), right=(), explanation="neither has a known parent")
    text = "the lines have no checkpoint in common"
    return Check("parents", same=False, left=left[1:], right=right[1:], explanation=text)


def _dataset(
    left: CheckpointReport, right: CheckpointReport, origins: tuple[Origin | None, Origin | None]
) -> Check:
    """By the hashes of the bars that the files name, else by the registry's ids; of several, all of them."""
    hashes = _named(left, "sha256"), _named(right, "sha256")
    if all(hashes):
        return _compare("dataset", *hashes)
    ids = [_joined(origin.dataset_ids) if origin else None for origin in origins]
    return _compare("dataset", ids[0] or _named(left, "id"), ids[1] or _named(right, "id"))


def _named(report: CheckpointReport, key: str) -> str | None:
    """What the file says of its dataset, or of each of several."""
    listed = report.dataset.get("datasets") if isinstance(report.dataset, dict) else None
    if not isinstance(listed, list):
        return _said(report, key)
    found = [entry.get(key) for entry in listed if isinstance(entry, dict)]
    return _joined(found) if len(found) == len(listed) else None


def _joined(values: Sequence[Any]) -> str | None:
    """In no order; None unless there are some and all are text."""
    texts = sorted(value for value in values if isinstance(value, str))
    return ", ".join(texts) if texts and len(texts) == len(values) else None


def _job(report: CheckpointReport, origin: Origin | None) -> str | None:
    return (origin.job_id if origin else None) or _said(report, "job_id")


def _said(report: CheckpointReport, key: str) -> str | None:
    value = report.dataset.get(key) if isinstance(report.dataset, dict) else None
    return value if isinstance(value, str) and value else None


def _compare(name: str, left: str | None, right: str | None) -> Check:
    if left is None or right is None:
        silent = (
            "neither tells it"
            if left is right
            else f"the {'left' if left is None else 'right'} does not tell it"
        )
        return Check(name, same=None, left=left, right=right, explanation=silent)
    same = left == right
    return Check(name, same=same, left=left, right=right, explanation="the same" if same else "another")
