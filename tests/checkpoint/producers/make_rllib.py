"""Checkpoints of RLlib: folders that a Learner saves, which is a whole algorithm's learner_group/learner.

No cluster is started: an algorithm's other folders hold no weights.
"""

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

LSTM = {"use_lstm": True, "lstm_cell_size": 24}
SEPARATE, SHARED = {"vf_share_layers": False}, {"vf_share_layers": True}
CASES: Cases = {
    "continuous": {"action": "continuous", "model": SHARED},
    "continuous_free_std": {"action": "continuous", "model": {**SEPARATE, "free_log_std": True}},
    "continuous_separate_lstm": {"action": "continuous", "model": {**SEPARATE, **LSTM}},
    "discrete": {"action": "discrete", "model": {**SHARED, "fcnet_activation": "relu"}},
    "discrete_separate": {"action": "discrete", "model": SEPARATE},
    "discrete_head": {"action": "discrete", "model": {**SHARED, "head_fcnet_hiddens": [12]}},
    "discrete_trained": {"action": "discrete", "model": SEPARATE, "steps": 2},
    "multi_discrete": {"action": "multi_discrete", "model": SHARED},
    "older_continuous": {"action": "continuous", "model": SHARED, "api": "older"},
    "older_discrete": {"action": "discrete", "model": SEPARATE, "api": "older", "steps": 2},
    "older_lstm": {"action": "discrete", "model": {**SEPARATE, **LSTM}, "api": "older"},
    "older_multi_discrete": {
        "action": "multi_discrete",
        "model": {**SHARED, "fcnet_activation": "relu"},
        "api": "older",
    },
    "multi_discrete_lstm": {"action": "multi_discrete", "model": {**SHARED, **LSTM}},
}


def make(
    folder: Path, action: str, model: dict[str, Any], steps: int = 0, api: str = ""
) -> tuple[Path, dict[str, Any]]:
    """Save a learner, or a policy of the older API, whose optimizer took so many steps."""
    if api == "older":
        return make_policy(folder, action, model, steps)
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

    observation, actions = box(5), spaces()[action]
    config = PPOConfig().environment(observation_space=observation, action_space=actions)
    config = config.rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[32, 16], **model))
    every = dict.fromkeys(("__all__", "default_policy"), (observation, actions))
    learner = config.build_learner(spaces=every)
    module = learner.module["default_policy"]
    for _ in range(steps):
        for optimizer in learner.get_optimizers_for_module("default_policy"):
            sum((p**2).sum() for p in module.parameters()).backward()
            optimizer[1].step()
    learner.save_to_path(str(folder))
    return folder, facts(module)


def make_policy(
    folder: Path, action: str, model: dict[str, Any], steps: int = 0
) -> tuple[Path, dict[str, Any]]:
    """Save a policy of the older API, whose optimizer took so many steps."""
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.algorithms.ppo.ppo_torch_policy import PPOTorchPolicy

    older = {"enable_rl_module_and_learner": False, "enable_env_runner_and_connector_v2": False}
    config = PPOConfig().framework("torch").api_stack(**older)
    config = config.training(model={"fcnet_hiddens": [32, 16], **model})
    policy = PPOTorchPolicy(box(5), spaces()[action], config.to_dict())
    for _ in range(steps):
        for optimizer in policy._optimizers:
            sum((p**2).sum() for p in policy.model.parameters()).backward()
            optimizer.step()
    policy.export_checkpoint(str(folder / "policies/default_policy"))
    return folder, policy_facts(policy, model)


def policy_facts(policy: Any, model: dict[str, Any]) -> dict[str, Any]:
    """What the policy says of itself; behind an LSTM the value's own layers are there and not used."""
    network = policy.model
    has_lstm = bool(model.get("use_lstm"))
    shares = has_lstm or network._value_branch_separate is None
    told = action_of(policy.action_space)
    return {
        "obs_dim": policy.observation_space.shape[0],
        "hidden_dims": widths([network._hidden_layers]),
        "critic_hidden_dims": [] if shares else widths([network._value_branch_separate]),
        "actor_head": widths([network._logits_branch if has_lstm else network._logits]),
        "shared_trunk": shares,
        "activation": policy.config["model"]["fcnet_activation"],
        **recurrence(network),
        **told,
    }


def facts(module: Any) -> dict[str, Any]:
    """What the module says of itself; a head has hidden layers of its own before its outputs."""
    encoder = module.encoder
    shares = encoder.config.shared
    own = [] if shares else widths([encoder.critic_encoder])
    return {
        "obs_dim": module.observation_space.shape[0],
        "hidden_dims": widths([encoder.encoder if shares else encoder.actor_encoder]),
        "critic_hidden_dims": [*own, *widths([module.vf])[:-1]],
        "actor_head": widths([module.pi]),
        "shared_trunk": shares,
        "activation": module.model_config["fcnet_activation"],
        **recurrence(module),
        **action_of(module.action_space),
    }


if __name__ == "__main__":
    make_all(CASES, make)
