"""Where configuration and shapes say different things: a finding each, graver where inference depends on it."""

from dataclasses import fields

from app.checkpoint.architecture import Architecture
from app.checkpoint.findings import Findings, Severity

DECIDES_INFERENCE = frozenset(
    {
        "obs_dim",
        "hidden_dims",
        "action_dim",
        "action_kind",
        "action_nvec",
        "activation",
        "shared_trunk",
        "layer_norm",
        "recurrent_dim",
    }
)
"""Facts without which the same weights give other actions, or do not load; the rest is about training."""


def note_disagreements(architecture: Architecture, findings: Findings) -> None:
    """Add a finding `config_disagrees` for each fact on which the two sources differ."""
    for field in fields(architecture):
        fact = getattr(architecture, field.name)
        if fact.disagrees:
            severity: Severity = "medium" if field.name in DECIDES_INFERENCE else "low"
            findings.add("config_disagrees", severity, f"config#{field.name}", f"{field.name}: {fact.note}")
