"""Checkpoints of PufferLib: its policies, in the wrappers that its trainer puts them into.

Version 2 pickled the whole module; from 3.0 on it is the state dict. The trainer is a script beside the library, so what
it does with `torch.save` is done here.
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

CASES: Cases = {
    f"{action}{'_lstm' if lstm else ''}_{form}": {"action": action, "lstm": lstm, "form": form}
    for action in ("continuous", "discrete", "multi_discrete")
    for lstm in (False, True)
    for form in ("module", "state", "folder")
}


def make(folder: Path, action: str, form: str, *, lstm: bool) -> tuple[Path, dict[str, Any]]:
    """Save a policy after one step of its optimizer."""
    import pufferlib.cleanrl
    import pufferlib.emulation
    import pufferlib.models
    import torch

    env = pufferlib.emulation.GymnasiumPufferEnv(env=environment(spaces()[action]))
    default = pufferlib.models.Default(env, hidden_size=32)
    policy = pufferlib.cleanrl.Policy(default)
    if lstm:
        wrapped = pufferlib.models.LSTMWrapper(env, default, input_size=32, hidden_size=32)
        policy = pufferlib.cleanrl.RecurrentPolicy(wrapped)
    optimizer = torch.optim.Adam(policy.parameters())
    sum((p**2).sum() for p in policy.parameters()).backward()
    optimizer.step()
    torch.save(policy.state_dict() if form == "state" else policy, folder / "model_000005.pt")
    counters = {
        "global_step": 640,
        "agent_step": 640,
        "update": 5,
        "model_name": "model_000005.pt",
        "exp_id": "177",
    }
    torch.save({"optimizer_state_dict": optimizer.state_dict(), **counters}, folder / "trainer_state.pt")
    return folder if form == "folder" else folder / "model_000005.pt", facts(env, policy, default)


def facts(env: Any, policy: Any, default: Any) -> dict[str, Any]:
    """What the policy and its environment say of themselves."""
    return {
        "obs_dim": env.single_observation_space.shape[0],
        "hidden_dims": widths([default.encoder]),
        "critic_hidden_dims": [],
        "shared_trunk": True,
        **recurrence(policy),
        **action_of(env.single_action_space),
    }


def environment(actions: Any) -> Any:
    """An environment with these spaces, and nothing to learn."""
    import gymnasium as gym

    class Env(gym.Env):
        observation_space, action_space = box(5), actions

    return Env()


if __name__ == "__main__":
    make_all(CASES, make)
