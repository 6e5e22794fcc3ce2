from app.network.config import PPOConfig
from app.network.shape import NetworkShape
from app.network.timing.flops import count_flops


def test_a_hand_computed_network() -> None:
    shape = NetworkShape(4, (8,), 2)
    parameters = (4 * 8 + 8) + 2 * (8 * 64 + 64) + (64 * 2 + 2) + (64 + 1)
    config = PPOConfig(hidden_dims=(8,), num_envs=2, num_steps=8, update_epochs=3, total_timesteps=33)
    flops = count_flops(shape, config)
    assert flops.forward_per_sample == 2 * parameters
    assert flops.learn_per_sample == 6 * parameters - 2 * 4 * 8
    assert flops.per_update == 2 * parameters * (16 + 2) + 3 * 16 * flops.learn_per_sample
    assert flops.whole_run == 3 * flops.per_update


def test_separate_trunks_spare_both_input_gradients() -> None:
    shape = NetworkShape(4, (8,), 2, shared_trunk=False)
    flops = count_flops(shape, PPOConfig(hidden_dims=(8,), shared_trunk=False))
    assert flops.learn_per_sample == 6 * shape.parameters - 2 * 2 * 4 * 8
