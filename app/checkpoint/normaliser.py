"""The normaliser that a policy's observations pass: whether a file carries one, of which form, with which values."""

import json
from dataclasses import dataclass
from typing import Any

from app.checkpoint.render import CUT
from app.checkpoint.report import CheckpointReport


@dataclass(frozen=True, slots=True)
class Normaliser:
    """What a report tells of a normaliser."""

    present: bool
    """Whether the file carries one."""
    form: tuple[Any, ...] = ()
    """Names and shapes of its statistics, or names of its plain values."""
    values: Any = None
    """Its values, where the report holds all of them; None where they lie in tensors or were cut."""

    @property
    def shown(self) -> str | None:
        """The normaliser in a few words; None where there is none."""
        if not self.present:
            return None
        return ", ".join(str(name) for name, *_ in self.form) or "plain values"


def read_normaliser(report: CheckpointReport) -> Normaliser:
    """The observations' normaliser: running statistics among the tensors, else plain values."""
    named = set(report.normaliser_tensors)
    found = [tensor for tensor in report.tensors if tensor.name in named]
    if found:
        statistics = tuple((tensor.name.rpartition(".")[2], tensor.shape) for tensor in found)
        return Normaliser(present=True, form=statistics)
    plain = report.normaliser
    if not plain:
        return Normaliser(present=False)
    form = tuple((key,) for key in plain) if isinstance(plain, dict) else ()
    was_cut = json.dumps(CUT) in json.dumps(plain)
    return Normaliser(present=True, form=form, values=None if was_cut else plain)
