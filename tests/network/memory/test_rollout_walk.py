"""The walk of a rollout against hand-computed cases; tests/benchmarks/test_memory.py holds it to the trainer."""

from dataclasses import replace

from app.network.memory.final_walk import FinalWalk
from app.network.memory.moments import Batch, Instant, Moments
from app.network.memory.rollout_walk import RolloutPlan, RolloutWalk
from app.network.memory.tape import BLOCK, blocks
from app.network.memory.training_memory import weight_bytes
from app.network.memory.update_plan import UpdatePlan
from app.network.shape import NetworkShape

SHAPE = NetworkShape(1000, (256, 128))
ENVS = 256
BUILT = UpdatePlan(parts=(8, 2_000))
ACCOUNTS = RolloutPlan(128, row=20, account=2_000)
SIZES = {
    "table": 70 * BLOCK,
    "making": 9 * BLOCK,
    "preparing": 8 * BLOCK,
    "looking": 5 * BLOCK,
    "truncated": 4 * BLOCK,
}


def _rollout(plan: UpdatePlan, rollout: RolloutPlan, shape: NetworkShape = SHAPE) -> dict[str, Instant]:
    moments = Moments(RolloutWalk(shape, plan, rollout).run())
    return {instant.name: instant for instant in moments.instants(Batch(ENVS, SIZES))}


def test_the_last_step_s_gradients_are_there_all_the_time() -> None:
    for instant in _rollout(BUILT, ACCOUNTS).values():
        assert instant.parts["weight gradients"] == weight_bytes(SHAPE)


def test_a_layer_s_input_goes_when_its_output_is_there() -> None:
    """Nothing is saved: with tanh of the second layer its own and the first one's are gone but for the pair at work."""
    found = _rollout(UpdatePlan(), RolloutPlan(1))
    assert found["rollout: trunk.1 activation forward"].parts["activations"] == ENVS * 4 * 2 * 256
    assert found["rollout: trunk.3 activation forward"].parts["activations"] == ENVS * 4 * 2 * 128
    assert found["rollout: forward end"].parts["activations"] == ENVS * 4 * (3 + 1)
    assert "observations" not in found["rollout: forward end"].parts  # the environment's own


def test_observations_that_are_built_stay_to_the_end_of_acting() -> None:
    assert _rollout(BUILT, ACCOUNTS)["rollout: entropy"].parts["observations"] == ENVS * 4_000


def test_normalising_counts_in_float64_and_takes_the_observation_twice() -> None:
    found = _rollout(replace(BUILT, norm_obs=True), ACCOUNTS)
    measured, merged = 2 * blocks(8 * 1_000) + 2 * BLOCK, 6 * blocks(8 * 1_000) + 4 * BLOCK
    assert found["rollout: observations counted"].parts["observations"] == ENVS * (4_000 + 8_000) + measured
    assert found["rollout: statistics merged"].parts["observations"] == ENVS * 4_000 + merged
    assert found["rollout: observations normalised"].parts["observations"] == ENVS * 3 * 4_000


def test_actions_of_the_step_before_are_held_while_the_policy_acts() -> None:
    once, again = (_rollout(UpdatePlan(), RolloutPlan(steps))["rollout: forward end"] for steps in (1, 2))
    assert again.bytes - once.bytes == ENVS * (8 + 3 * 4)  # action, log probability, entropy, value


def test_a_gaussian_s_actions_have_a_value_for_each_component() -> None:
    gaussian = replace(SHAPE, action_kind="gaussian")
    parts = _rollout(UpdatePlan(), RolloutPlan(1), gaussian)["rollout: log probabilities"].parts
    assert parts["actions"] == ENVS * 4 * 4 * 3


def test_bf16_copies_each_weight_once() -> None:
    narrow = _rollout(UpdatePlan(precision="bf16"), RolloutPlan(1))["rollout: forward end"].parts
    copied = sum(
        blocks(2 * count) for count in RolloutWalk(SHAPE, UpdatePlan(), RolloutPlan(1)).counts.values()
    )
    assert narrow["bf16 copies"] == copied


def test_accounts_that_begin_anew_have_two_windows_more() -> None:
    found = _rollout(BUILT, ACCOUNTS)
    acted = ENVS * (8 + 3 * 4)
    renewed = found["rollout: episodes begun anew"].parts
    assert renewed["environment step"] == ENVS * (2 * 2_000 + 13 * 8 + 20) + 3 * BLOCK
    assert renewed["actions"] == acted
    assert found["rollout: accounts marked"].parts["environment step"] == ENVS * (19 + 5) * 8 + 2 * BLOCK


def test_advantages_take_as_much_however_many_processes_there_are() -> None:
    alone, joined = (
        _rollout(UpdatePlan(processes=count), RolloutPlan(128))["rollout: advantages"].parts["advantages"]
        for count in (1, 8)
    )
    assert alone == joined == ENVS * 128 * 18


def test_the_products_by_row_last_to_the_rollout_s_end() -> None:
    windowed = _rollout(replace(BUILT, windowed=True), ACCOUNTS)
    first = {name: instant.parts.get("first layer") for name, instant in windowed.items()}
    assert first["rollout: series transformed"] == 8 * BLOCK
    assert first["rollout: products by row"] == 79 * BLOCK
    assert first["rollout: first layer looked up"] == 75 * BLOCK
    assert first["rollout: advantages"] == 70 * BLOCK


def test_the_critic_alone_is_asked_about_episodes_ends() -> None:
    moments = Moments(FinalWalk(SHAPE, replace(BUILT, windowed=True), ACCOUNTS).run())
    found = {instant.name: instant for instant in moments.instants(Batch(64, SIZES))}
    assert not any("actor" in name for name in found)
    end = found["episodes' ends: forward end"].parts
    assert end["minibatch observations"] == 64 * 2_008
    assert end["actions"] == 4 * BLOCK
    assert end["activations"] == 64 * 4 * 256 + BLOCK  # the first layer's outputs beside the value
