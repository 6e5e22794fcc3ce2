"""Every figure that the project's notes claimed, and what is true (obs_dim 5300 = 53 features by 100 bars)."""

from dataclasses import dataclass

import pytest

from app.network.config import PPOConfig
from app.network.disk.archive_size import torch_save_bytes
from app.network.disk.contents import adam_specs, policy_specs
from app.network.estimate import estimate
from app.network.shape import NetworkShape


@dataclass(frozen=True)
class Claim:
    """One row of the notes' table beside the truth."""

    hidden_dims: tuple[int, ...]
    notes_parameters: float
    rule: int
    exact: int
    notes_first_layer: float | None
    first_layer_percent: float
    notes_mib: float
    rule_mb: float
    rule_mib: float
    measured: int
    right: bool


CLAIMS = [
    Claim(
        (2048, 1024, 512, 256),
        12.6e6,
        13_639_680,
        13_643_908,
        86,
        79.6,
        148,
        163.68,
        156.09,
        163_745_187,
        False,
    ),
    Claim((1024, 512, 256), 6.1e6, 6_115_328, 6_117_508, 89, 88.7, 72, 73.38, 69.98, 73_426_171, True),
    Claim((512, 256, 128), 1.5e6, 2_893_824, 2_895_108, 90, 93.8, 18, 34.73, 33.12, 34_757_371, False),
    Claim((256, 128, 64), 0.4e6, 1_405_952, 1_406_788, None, 96.5, 5, 16.87, 16.09, 16_897_467, False),
]

rows = pytest.mark.parametrize("claim", CLAIMS, ids=["large", "medium", "small", "tiny"])


def _shape(claim: Claim) -> NetworkShape:
    return NetworkShape(5300, claim.hidden_dims)


@rows
def test_parameters(claim: Claim) -> None:
    assert _shape(claim).parameters == claim.exact
    assert _shape(claim).rule_of_thumb == claim.rule


@rows
def test_verdict_on_the_notes_parameters(claim: Claim) -> None:
    assert (abs(claim.notes_parameters / claim.exact - 1) < 0.01) is claim.right


@rows
def test_first_layer(claim: Claim) -> None:
    shape = _shape(claim)
    rule_share = 5300 * claim.hidden_dims[0] / shape.rule_of_thumb
    assert round(100 * rule_share, 1) == claim.first_layer_percent
    assert shape.first_layer_share == pytest.approx(rule_share, abs=0.0006)
    if claim.right:
        assert claim.notes_first_layer == round(100 * shape.first_layer_share)


@rows
def test_rule_of_thumb_in_both_units(claim: Claim) -> None:
    size = estimate(_shape(claim), PPOConfig(hidden_dims=claim.hidden_dims)).disk.rule_of_thumb
    assert (size.bytes, size.mb, size.mib) == (12 * claim.rule, claim.rule_mb, claim.rule_mib)


@rows
def test_verdict_on_the_notes_size(claim: Claim) -> None:
    """The notes' "MB" are MiB; right is within 3 %."""
    assert (abs(claim.notes_mib / claim.rule_mib - 1) < 0.03) is claim.right


@rows
def test_measured_file(claim: Claim) -> None:
    """Weights and Adam's state alone; the measured files held a small config and an unknown stem besides."""
    shape = _shape(claim)
    tree = {"policy_state_dict": policy_specs(shape), "optimizer_state_dict": adam_specs(shape, 2.5e-4)}
    assert 0 < claim.measured - torch_save_bytes(tree) < 1_000


def test_the_small_net_s_first_layer_alone_passes_the_claimed_total() -> None:
    first = _shape(CLAIMS[2]).layers[0]
    assert first.parameters == 2_714_112 > CLAIMS[2].notes_parameters


def test_the_first_layer_s_influence_is_linear_not_exponential() -> None:
    """dP/dh1 = obs_dim + h2 + 1, the same at every width."""
    sizes = [NetworkShape(5300, (width, 512, 256)).parameters for width in (1024, 1025, 2048, 2049)]
    assert sizes[1] - sizes[0] == sizes[3] - sizes[2] == 5300 + 512 + 1


def test_doubling_the_first_layer_nearly_doubles_the_network() -> None:
    half, whole = (NetworkShape(5300, (width, 512, 256)).parameters for width in (1024, 2048))
    assert round(whole / half, 3) == 1.973
