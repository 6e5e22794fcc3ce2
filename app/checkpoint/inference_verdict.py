"""Whether one policy may stand in for another: the same observations go in, the same kind of actions come out."""

from dataclasses import dataclass
from typing import Any, ClassVar

from app.checkpoint.architecture import Fact
from app.checkpoint.normaliser import Normaliser, compare_normalisers, read_normaliser
from app.checkpoint.report import CheckpointReport
from app.network.shape import DOCUMENTED


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is compared for a verdict."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """What is compared."""
    same: bool | None
    """Whether it is the same; null where the files do not tell."""
    left: Any
    """What the left has."""
    right: Any
    """What the right has."""
    explanation: str
    """The outcome in words."""


@dataclass(frozen=True, slots=True)
class InferenceVerdict:
    """Whether the right's policy may be put where the left's is, without changing what is around it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    interchangeable: bool | None
    """False where a check differs; null where none differs but one cannot be told."""
    checks: tuple[Check, ...]
    """obs_dim, features, normaliser, action_kind, action_dim, recurrent."""
    explanation: str
    """The verdict in words."""


def judge_inference(left: CheckpointReport, right: CheckpointReport) -> InferenceVerdict:
    """Compare what stands around two policies when they are used."""
    ours, theirs = left.architecture, right.architecture
    checks = (
        _fact("obs_dim", ours.obs_dim, theirs.obs_dim),
        _features(left, right),
        _normaliser(read_normaliser(left), read_normaliser(right)),
        _fact("action_kind", ours.action_kind, theirs.action_kind),
        _fact("action_dim", ours.action_dim, theirs.action_dim),
        _fact("recurrent", ours.recurrent, theirs.recurrent),
    )
    if left.sha256 is not None and left.sha256 == right.sha256:
        return InferenceVerdict(
            interchangeable=True,
            checks=checks,
            explanation="interchangeable: the files are equal to the byte",
        )
    return InferenceVerdict(combine(checks), checks, _explain(checks))


def combine(checks: tuple[Check, ...]) -> bool | None:
    """False where one differs, else null where one is not known, else true."""
    known = [check.same for check in checks]
    return False if False in known else None if None in known else True


def _fact(name: str, left: Fact, right: Fact) -> Check:
    if left.value is None or right.value is None:
        return _unknown(name, left.value, right.value)
    if left.value == right.value:
        return Check(
            name, same=True, left=left.value, right=right.value, explanation=f"both {_say(left.value)}"
        )
    text = f"left {_say(left.value)}, right {_say(right.value)}"
    return Check(name, same=False, left=left.value, right=right.value, explanation=text)


def _unknown(name: str, left: Any, right: Any) -> Check:
    silent = [side for side, value in (("left", left), ("right", right)) if value is None]
    text = "neither file tells it" if len(silent) == 2 else f"the {silent[0]} file does not tell it"
    return Check(name, same=None, left=left, right=right, explanation=text)


def _features(left: CheckpointReport, right: CheckpointReport) -> Check:
    """The hash covers more than the names, so it decides where both files have one."""
    ours, theirs = left.feature_schema, right.feature_schema
    if ours is None or theirs is None:
        shown = [
            None if each is None else each.sha256 or f"{len(each.names)} names" for each in (ours, theirs)
        ]
        return _unknown("features", *shown)
    if ours.sha256 and theirs.sha256:
        same, what = ours.sha256 == theirs.sha256, "schema hash"
        shown = [ours.sha256, theirs.sha256]
    else:
        same, what = ours.names == theirs.names, "names and order"
        shown = [f"{len(each.names)} names" for each in (ours, theirs)]
    text = f"the same {what}" if same else f"another {what}"
    return Check("features", same=same, left=shown[0], right=shown[1], explanation=text)


def _normaliser(left: Normaliser, right: Normaliser) -> Check:
    same, text = compare_normalisers(left, right)
    return Check("normaliser", same=same, left=left.shown, right=right.shown, explanation=text)


def _explain(checks: tuple[Check, ...]) -> str:
    verdict = combine(checks)
    if verdict:
        return "interchangeable: the same observations, features, normaliser and actions"
    differing = [check.name for check in checks if check.same is False]
    if differing:
        return f"not interchangeable: {', '.join(differing)} differ{'s' if len(differing) == 1 else ''}"
    unknown = [check.name for check in checks if check.same is None]
    return f"nothing differs that the files tell, but they do not tell {', '.join(unknown)}"


def _say(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
