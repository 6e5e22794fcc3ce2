"""Facts of two sources, and what their disagreement is called."""

import json
from dataclasses import asdict

import pytest

from app.checkpoint.architecture import Architecture, Fact, merge
from app.checkpoint.disagreements import DECIDES_INFERENCE, note_disagreements
from app.checkpoint.findings import Findings
from app.checkpoint.recipes.network import Network


@pytest.mark.parametrize(
    ("config", "shapes", "expected"),
    [
        (None, None, Fact(None, "undetermined", "why")),
        (3, None, Fact(3, "config")),
        (None, 3, Fact(3, "shapes")),
        (3, 3, Fact(3, "both")),
        (4, 3, Fact(3, "shapes", "the config says 4, the shapes say 3")),
    ],
)
def test_merge(config: int | None, shapes: int | None, expected: Fact) -> None:
    fact = merge(config, shapes, "why")
    assert fact == expected
    assert fact.disagrees is (config == 4)


def test_only_what_decides_inference_is_of_medium_severity() -> None:
    network = Network({"a.weight": (2, 4)}, [(2, 4)], [(1, 4)])
    facts = network.architecture()
    noted = {"critic_hidden_dims", "obs_dim"}
    wrong = Architecture(**{
        name: merge(9, 8) if name in noted else getattr(facts, name) for name in facts.__slots__
    })  # fmt: skip
    findings = Findings(10)
    note_disagreements(wrong, findings)
    assert {f.location: f.severity for f in findings.ordered()} == {
        "config#obs_dim": "medium",
        "config#critic_hidden_dims": "low",
    }
    assert set(Architecture.__slots__) >= DECIDES_INFERENCE


def test_an_older_report_lacks_the_newer_facts() -> None:
    facts = Network({}, [], []).architecture()
    older = json.loads(json.dumps(asdict(facts)))
    for name in (
        "recurrent_kind",
        "recurrent_dim",
        "convolutional",
        "action_nvec",
        "actor_head",
        "critic_hidden_dims",
    ):
        del older[name]
    read = Architecture(**{name: Fact(**values) for name, values in older.items()})
    assert read.obs_dim == facts.obs_dim
    assert read.action_nvec.basis == "undetermined"
