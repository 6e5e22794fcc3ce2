"""The promises of docs/checkpoints.md: which release reads which of our files, each on a file built as that release wrote it."""

import dataclasses
import json
from typing import Any

import pytest

from app.checkpoint.report import CheckpointReport
from tests.checkpoint.reading import dimensions, facts, inspect
from tests.checkpoint.real_files import ACTIONS, HIDDEN, OBS, Policy, caliper_tree, plain_config, saved

KIND = {"action_kind": "discrete"}


def first_release(**more: Any) -> bytes:
    """A `/1` file as 0.1.0 wrote it: no normaliser, no schema, no dataset; counters at the root."""
    tree = caliper_tree(Policy(), plain_config(**KIND))
    for key in ("feature_schema", "dataset"):
        del tree[key]
    return saved({**tree, "global_step": 4096, "update": 8, **more})


def test_a_file_of_the_first_release_is_read() -> None:
    report = inspect(first_release())
    assert (report.producer, report.complete) == ("caliper", True)
    assert dimensions(report) == (OBS, HIDDEN, ACTIONS, "discrete")
    assert (report.feature_schema, report.normaliser, report.dataset) == (None, None, None)
    assert report.progress == {"global_step": 4096, "update": 8}
    assert not report.suspicious


def test_keys_that_a_later_release_adds_are_ignored() -> None:
    report = inspect(first_release(curriculum={"stage": 2}, ema_state_dict=dict(Policy().state_dict())))
    assert dimensions(report) == (OBS, HIDDEN, ACTIONS, "discrete")
    assert report.parameters == sum(p.numel() for p in Policy().parameters())
    assert {tensor.part for tensor in report.tensors if tensor.name.startswith("ema")} == {"other"}


@pytest.mark.parametrize("version", ["2", "17", "1.1"])
def test_a_newer_format_is_read_as_far_as_its_keys_are_known(version: str) -> None:
    report = inspect(first_release(format=f"caliper-checkpoint/{version}"))
    assert (report.producer, report.complete) == ("caliper", True)
    assert [(f.code, f.severity) for f in report.findings] == [("unknown_format", "medium")]
    assert dimensions(report)[:3] == (OBS, HIDDEN, ACTIONS)


def test_a_newer_format_without_the_known_keys_is_undetermined_with_a_reason() -> None:
    report = inspect(saved({"format": "caliper-checkpoint/9", "networks": [dict(Policy().state_dict())]}))
    assert report.producer == "caliper"
    facts_of = report.architecture
    for fact in (facts_of.obs_dim, facts_of.hidden_dims, facts_of.action_dim):
        assert fact.value is None
        assert fact.note


def test_a_report_that_an_older_release_stored_is_read() -> None:
    report = inspect(first_release())
    plain = json.loads(json.dumps(report.plain()))
    for name in ("recurrent_kind", "actor_head", "critic_hidden_dims"):
        del plain["architecture"][name]
    read = CheckpointReport.from_plain(plain)
    assert facts(read)["obs_dim"] == OBS
    assert read.architecture.actor_head.basis == "undetermined"
    assert dataclasses.replace(read, architecture=report.architecture) == report
