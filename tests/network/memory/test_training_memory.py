"""The walk of an update against hand-computed cases; tests/benchmarks/test_memory.py holds it to the trainer."""

import math

import pytest

from app.network.config import Activation
from app.network.memory.moments import Batch, Instant
from app.network.memory.optimizer_memory import BUCKET_BYTES
from app.network.memory.tape import BLOCK, KINDS, blocks
from app.network.memory.training_memory import optimizer_bytes, update_moments, weight_bytes
from app.network.memory.update_plan import AdamKind, UpdatePlan
from app.network.shape import NetworkShape


def test_blocks_round_up_to_512() -> None:
    assert [blocks(size) for size in (0, 1, 512, 513)] == [0, 512, 512, 1024]


def test_weights_of_a_hand_computed_net() -> None:
    # trunk.0 8x4=32 values and 8; heads 64x8=512 and 64, 2x64=128 and 2, 512 and 64, 64 and 1
    shape = NetworkShape(4, (8,), 2)
    assert weight_bytes(shape) == 512 + 512 + (2048 + 512 + 512 + 512) + (2048 + 512 + 512 + 512)


def test_moments_and_counters_are_twice_the_weights_and_a_block_each() -> None:
    shape = NetworkShape(128, (256, 128))
    assert optimizer_bytes(shape) == 2 * weight_bytes(shape) + BLOCK * len(shape.tensors)


def test_a_minibatch_by_hand() -> None:
    parts = _instant(NetworkShape(128, (256, 128)), 64, "forward end").parts
    assert parts["minibatch observations"] == 64 * 128 * 4
    assert parts["minibatch"] == 64 * 8 + 4 * BLOCK  # actions; log probability, value, advantage, return
    assert parts["shuffled order"] == ORDER


def test_the_first_layer_s_instant_by_hand() -> None:
    """At the first Linear's backward: its output gradient, all weights' gradients, the loss's single values."""
    shape = NetworkShape(128, (256, 128))
    instant = _instant(shape, 128, "trunk.0 linear backward")
    assert instant.parts == {
        "minibatch observations": 128 * 128 * 4,
        "minibatch": 128 * (8 + 4 * 4),
        "shuffled order": ORDER,
        "activation gradients": 128 * 256 * 4,
        "weight gradients": weight_bytes(shape),
        "loss": 7 * BLOCK,
    }
    assert instant.bytes == sum(instant.parts.values())


def test_the_forward_pass_by_hand() -> None:
    """Each layer's output is kept; of the heads the hidden layers and the outputs."""
    shape, batch = NetworkShape(128, (256, 128)), 128
    parts = _instant(shape, batch, "forward end").parts
    assert parts["activations"] == 4 * batch * (256 + 128 + 2 * 64 + 3 + 1)
    assert parts["weight gradients"] == weight_bytes(shape)  # the last step's, dropped right before backward


def test_every_instant_is_the_sum_of_its_parts() -> None:
    plan = UpdatePlan("silu", precision="bf16", processes=2, norm_obs=True, parts=(8, 100))
    for instant in _instants(NetworkShape(53, (64, 32), 2, "gaussian", True, False), 100, plan):
        assert instant.bytes == sum(instant.parts.values())
        assert set(instant.parts) <= set(KINDS)


@pytest.mark.parametrize(("adam", "extra"), [("fused", 0), ("foreach", 1.0), ("for-loop", None)])
def test_adam_s_implementations_need_different_room(adam: AdamKind, extra: float | None) -> None:
    shape = NetworkShape(512, (256,))
    step, fused = (_instants(shape, 1, UpdatePlan(adam=kind))[-1].bytes for kind in (adam, "fused"))
    expected = 2 * 512 * 256 * 4 if extra is None else extra * weight_bytes(shape)
    assert step - fused == expected


def test_peak_grows_with_the_minibatch() -> None:
    shape = NetworkShape(53, (64, 32), layer_norm=True)
    peaks = [update_moments(shape, UpdatePlan()).peak(Batch(size, SIZES)) for size in (1, 16, 256, 4096)]
    assert peaks == sorted(peaks)
    assert peaks[0] < peaks[-1]


def test_activations_that_keep_their_input_need_more() -> None:
    shape = NetworkShape(53, (1024, 1024))
    kinds: tuple[Activation, ...] = ("tanh", "relu", "elu", "silu")
    saved = {kind: _instant(shape, 1024, "forward end", UpdatePlan(kind)).bytes for kind in kinds}
    assert saved["tanh"] == saved["relu"] < saved["elu"] == saved["silu"]


def test_separate_trunks_hold_both_activations() -> None:
    shared, separate = (NetworkShape(53, (1024, 512), shared_trunk=flag) for flag in (True, False))
    more, less = (_instant(shape, 256, "forward end").parts for shape in (separate, shared))
    assert more["activations"] - less["activations"] == 256 * (1024 + 512) * 4


def test_bf16_halves_activations_and_copies_weights_and_observations() -> None:
    shape, batch = NetworkShape(128, (256, 128)), 128
    parts = _instant(shape, batch, "forward end", UpdatePlan(precision="bf16")).parts
    assert parts["activations"] == 2 * batch * (256 + 128 + 2 * 64) + 4 * batch * (3 + 1)
    copied = sum(blocks(2 * math.prod(size)) for _, size in shape.tensors)
    assert parts["bf16 copies"] == copied + 2 * batch * 128


def test_layer_norm_is_wide_on_cuda_only() -> None:
    shape = NetworkShape(128, (512,), layer_norm=True)
    narrow, wide = (
        _instant(shape, 512, "forward end", UpdatePlan(precision="bf16", device_type=kind)).bytes
        for kind in ("cpu", "cuda")
    )
    assert narrow < wide


def test_processes_average_in_two_buckets() -> None:
    shape = NetworkShape(5300, (2048, 2048, 2048))  # tensors of 43, 17 and 17 MB
    parts = _instant(shape, 16, "gradients averaged", UpdatePlan(processes=2)).parts
    # The first layer's weight alone, then its bias with the second's weight; the first is still held.
    assert parts["gradient norms and buckets"] == 4 * 5300 * 2048 + 4 * (2048 + 2048 * 2048 + 2048)
    assert BUCKET_BYTES < 4 * 5300 * 2048


def test_a_built_observation_goes_with_the_first_layer() -> None:
    shape, plan = NetworkShape(1000, (16,)), UpdatePlan(parts=(8, 200))
    built = _instant(shape, 64, "trunk.0 linear backward", plan).parts
    assert built["minibatch observations"] == 64 * (8 + 200)
    assert built["observations"] == 64 * 4000
    assert "observations" not in _instant(shape, 64, "gradient norm", plan).parts


def test_windows_are_held_to_the_step_s_end() -> None:
    plan, shape = UpdatePlan(parts=(8,), windowed=True), NetworkShape(1000, (16,))
    instants = _instants(shape, 64, plan)
    assert instants[-1].parts["first layer"] == 10 * BLOCK
    assert {instant.parts["minibatch observations"] for instant in instants} == {64 * 8}
    assert _instant(shape, 64, "windows' gradient", plan).parts["first layer"] == 12 * BLOCK


ORDER = 3 * BLOCK
SIZES = {
    "order": ORDER,
    "windows held": 10 * BLOCK,
    "windows forward": BLOCK,
    "windows backward": 2 * BLOCK,
}


def _instants(shape: NetworkShape, batch: int, plan: UpdatePlan) -> tuple[Instant, ...]:
    return update_moments(shape, plan).instants(Batch(batch, SIZES))


def _instant(shape: NetworkShape, batch: int, name: str, plan: UpdatePlan | None = None) -> Instant:
    instants = _instants(shape, batch, plan or UpdatePlan())
    return next(instant for instant in instants if instant.name == name)
