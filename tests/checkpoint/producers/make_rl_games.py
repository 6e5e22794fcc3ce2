"""Checkpoints of rl_games: its agents, made by its Runner, save themselves."""

import math
from pathlib import Path
from typing import Any

from tests.checkpoint.producers.network_facts import (
    Cases,
    action_of,
    box,
    make_all,
    recurrence,
    spaces,
    widths,
)

LSTM = {"name": "lstm", "units": 24, "layers": 1, "before_mlp": False}
GRU_BEFORE = {"name": "gru", "units": 24, "layers": 2, "before_mlp": True, "layer_norm": True}
GRU_PAST = {"name": "gru", "units": 24, "layers": 1, "before_mlp": False, "concat_output": True}
CNN = {
    "type": "conv2d",
    "activation": "elu",
    "initializer": {"name": "default"},
    "convs": [{"filters": 4, "kernel_size": 3, "strides": 2, "padding": 0}],
}
CASES: Cases = {
    "continuous": {"action": "continuous"},
    "continuous_adaptive": {"action": "continuous", "fixed_sigma": False},
    "continuous_separate": {"action": "continuous", "separate": True},
    "continuous_lstm": {"action": "continuous", "rnn": LSTM},
    "continuous_separate_lstm": {"action": "continuous", "separate": True, "rnn": LSTM},
    "discrete": {"action": "discrete"},
    "discrete_gru_before": {"action": "discrete", "rnn": GRU_BEFORE},
    "discrete_separate_gru_past": {"action": "discrete", "separate": True, "rnn": GRU_PAST},
    "discrete_without_statistics": {"action": "discrete", "normalize_input": False},
    "discrete_d2rl": {"action": "discrete", "d2rl": True},
    "discrete_image": {"action": "discrete", "observation": (3, 12, 12), "cnn": CNN},
    "multi_discrete": {"action": "tuple"},
    "multi_discrete_separate_lstm": {"action": "tuple", "separate": True, "rnn": LSTM},
    "central_value": {"action": "continuous", "central": True},
}
MODELS = {"continuous": "continuous_a2c_logstd", "discrete": "discrete_a2c", "tuple": "multi_discrete_a2c"}
TRAINING = {
    "name": "caliper", "env_name": "none", "features": {"observer": None}, "device": "cpu", "device_name": "cpu",
    "num_actors": 2, "horizon_length": 4, "minibatch_size": 8, "mini_epochs": 1, "max_epochs": 1, "seq_length": 4,
    "normalize_value": True, "normalize_advantage": True, "lr_schedule": None, "learning_rate": 1e-3, "e_clip": 0.2,
    "clip_value": True, "reward_shaper": {"scale_value": 1.0}, "critic_coef": 1, "grad_norm": 1.0, "gamma": 0.99,
    "tau": 0.95, "entropy_coef": 0.0, "truncate_grads": True, "ppo": True, "bounds_loss_coef": 0.0001,
}  # fmt: skip


def network(action: str, **options: Any) -> dict[str, Any]:
    """The configuration of an actor_critic network."""
    sigma = {"sigma_activation": "None", "sigma_init": {"name": "const_initializer", "val": 0}}
    gaussian = {"mu_activation": "None", "mu_init": {"name": "default"}, "fixed_sigma": True, **sigma}
    about = {**gaussian, "fixed_sigma": options.pop("fixed_sigma", True)} if action == "continuous" else {}
    space = {"multi_discrete" if action == "tuple" else action: about}
    mlp = {"units": [32, 16], "activation": "elu", "initializer": {"name": "default"}}
    mlp["d2rl"] = options.pop("d2rl", False)
    separate = options.pop("separate", False)
    return {"name": "actor_critic", "separate": separate, "space": space, "mlp": mlp, **options}


def make(folder: Path, action: str, **options: Any) -> tuple[Path, dict[str, Any]]:
    """Save an agent that was never trained."""
    from rl_games.torch_runner import Runner

    observation = box(*options.pop("observation", (5,)))
    normalize, central = options.pop("normalize_input", True), options.pop("central", False)
    config = {**TRAINING, "train_dir": str(folder), "normalize_input": normalize}
    config["env_info"] = {"observation_space": observation, "action_space": spaces()[action]}
    if central:
        own = {
            "name": "actor_critic",
            "central_value": True,
            "mlp": {**network(action)["mlp"], "units": [24, 8]},
        }
        config["central_value_config"] = {
            "minibatch_size": 8, "mini_epochs": 1, "learning_rate": 1e-3, "clip_value": True, "normalize_input": True,
            "truncate_grads": True, "grad_norm": 1.0, "network": own,
        }  # fmt: skip
    model = {"name": MODELS[action]}
    algo = {"name": "a2c_continuous" if action == "continuous" else "a2c_discrete"}
    runner = Runner()
    runner.load(
        {
            "params": {
                "seed": 1,
                "algo": algo,
                "model": model,
                "network": network(action, **options),
                "config": config,
            }
        }
    )
    agent = runner.algo_factory.create(runner.algo_name, base_name="run", params=runner.params)
    agent.save(str(folder / "last"))
    agent.writer.close()
    return folder / "last.pth", facts(agent, observation)


def facts(agent: Any, observation: Any) -> dict[str, Any]:
    """What the agent's network says of itself."""
    net = agent.model.a2c_network
    own = net.critic_mlp if net.separate else None
    if agent.has_central_value:
        own = agent.central_value_net.model.a2c_network.actor_mlp
    return {
        "obs_dim": math.prod(observation.shape),
        "hidden_dims": widths([net.actor_mlp]),
        "critic_hidden_dims": widths([own]) if own is not None else [],
        "shared_trunk": own is None,
        "convolutional": net.has_cnn,
        **recurrence(net),
        **action_of(agent.env_info["action_space"]),
    }


if __name__ == "__main__":
    make_all(CASES, make)
