"""What a policy's observations are scaled by, and whether two policies are scaled alike.

Fixed values are those of the market's scaler in Caliper's files. Running statistics are tensors: Caliper's
`norm_obs`, and the normalisers of RSL-RL, rl_games, skrl, Sample Factory and ElegantRL. Stable-Baselines3 keeps
VecNormalize's in a file of its own, and a bare state dict has no place for any: such files do not tell.
"""

import json
from dataclasses import dataclass
from typing import Any

from app.checkpoint.render import CUT
from app.checkpoint.report import CheckpointReport

TELLING = frozenset({"caliper", "rsl_rl", "rl_games", "skrl", "sample_factory", "elegantrl"})
"""Producers whose checkpoints hold the normaliser where there is one, so that its absence tells something."""

ROLES = {
    "mean": ("mean", "_mean", "running_mean", "obs_mean", "state_avg"),
    "variance": ("var", "_var", "running_var", "running_variance", "obs_var"),
    "deviation": ("std", "_std", "state_std"),
}
"""What a statistic is, by the last part of its name."""

WHERE = {
    "stable-baselines3": "VecNormalize's statistics are not in the zip but in a file of their own",
    "native-ppo": "its layout does not say whether there is one",
}
"""Why a file does not tell, by producer."""

NOT_READ = "their values were not read when the file was inspected"


@dataclass(frozen=True, slots=True)
class Scaling:
    """One way of scaling observations that a file has, has not, or does not tell of."""

    present: bool | None
    """Whether the file carries it; None where it has no place for it."""
    form: tuple[Any, ...] = ()
    """Its statistics by role and shape, or the names of its fixed values, in order of names."""
    values: Any = None
    """What is equal where the values are: hashes by role, or the fixed values; None where they were not read."""
    names: tuple[str, ...] = ()
    """The statistics' own names; other ones come of other code."""


@dataclass(frozen=True, slots=True)
class Normaliser:
    """What a report tells of how observations are scaled."""

    fixed: Scaling
    """The scaler that was fitted before the training."""
    running: Scaling
    """Statistics that the training gathered."""
    silence: str
    """Why the file does not tell, where it does not."""

    @property
    def shown(self) -> str | None:
        """It in a few words; `none` where there is surely none, None where the file does not tell."""
        parts = [
            f"{name} {', '.join(str(entry[0]) for entry in scaling.form) or 'values'}"
            for name, scaling in (("fixed", self.fixed), ("running", self.running))
            if scaling.present
        ]
        untold = self.fixed.present is None or self.running.present is None
        return " and ".join(parts) or (None if untold else "none")


def read_normaliser(report: CheckpointReport) -> Normaliser:
    """How a report's file scales observations."""
    bare = report.config is None and report.producer == "caliper"  # an export of the weights alone
    tells = report.producer in TELLING and not bare
    silence = WHERE.get(report.producer, "a file of its kind has no place for one")
    absent = Scaling(present=False if tells else None)
    return Normaliser(_fixed(report) or absent, _running(report) or absent, silence)


def compare_normalisers(left: Normaliser, right: Normaliser) -> tuple[bool | None, str]:
    """Whether observations are scaled alike, None where that cannot be known; and why, in words."""
    verdicts = [
        _compare("fixed values", left.fixed, right.fixed, (left.silence, right.silence)),
        _compare("running statistics", left.running, right.running, (left.silence, right.silence)),
    ]
    for outcome in (False, None):
        reasons = [text for same, text in verdicts if same is outcome]
        if reasons:
            return outcome, "; ".join(dict.fromkeys(reasons))
    present = [text for _, text in verdicts if text]
    return True, "; ".join(present) or "neither file carries one"


def _compare(what: str, left: Scaling, right: Scaling, silences: tuple[str, str]) -> tuple[bool | None, str]:
    untold = [
        f"the {side} file does not tell: {silence}"
        for side, scaling, silence in zip(("left", "right"), (left, right), silences, strict=True)
        if scaling.present is None
    ]
    if untold:
        return None, "; ".join(untold)
    if left.present != right.present:
        return False, f"only the {'left' if left.present else 'right'} file carries {what}"
    return _compare_present(what, left, right) if left.present else (True, "")


def _compare_present(what: str, left: Scaling, right: Scaling) -> tuple[bool | None, str]:
    if left.form != right.form:
        return False, f"{what} of another form: {_words(left)} against {_words(right)}"
    if left.values is None or right.values is None:
        return None, f"{what} of the same form; {NOT_READ}"
    if left.values != right.values:
        return False, f"{what} of the same form were fitted to other values"
    if left.names != right.names:
        return None, f"the same {what}, of other code, whose epsilon and clipping no file tells"
    return True, f"the same {what}"


def _fixed(report: CheckpointReport) -> Scaling | None:
    """The plain values; cut ones are not compared."""
    plain = report.normaliser
    if not plain:
        return None
    form = tuple((key,) for key in plain) if isinstance(plain, dict) else ()
    was_cut = json.dumps(CUT) in json.dumps(plain)
    return Scaling(present=True, form=form, values=None if was_cut else plain, names=())


def _running(report: CheckpointReport) -> Scaling | None:
    """Mean and spread; counts of samples do not change what comes out, nor does a deviation beside its variance."""
    named = set(report.normaliser_tensors)
    found = {tensor.name: tensor for tensor in report.tensors if tensor.name in named}
    if not found:
        return None
    roles = _by_role(list(found))
    form = tuple(sorted((role, found[name].shape) for role, name in roles.items()))
    hashes = {role: report.normaliser_sha256.get(name) for role, name in roles.items()}
    names = tuple(sorted(name.rpartition(".")[2] for name in roles.values()))
    return Scaling(True, form, hashes if roles and all(hashes.values()) else None, names)


def _by_role(names: list[str]) -> dict[str, str]:
    """The statistics that scale, by role; those of unknown names by their own last part."""
    roles: dict[str, str] = {}
    for name in names:
        prefix, _, leaf = name.rpartition(".")
        if "count" in leaf or leaf == "num_batches_tracked":
            continue
        role = next((role for role, leaves in ROLES.items() if leaf in leaves), leaf)
        roles[role if role not in roles else f"{prefix}.{role}"] = name
    if "variance" in roles:
        roles.pop("deviation", None)
    return roles


def _words(scaling: Scaling) -> str:
    return ", ".join(" ".join(map(str, entry)) for entry in scaling.form) or "plain values"
