"""Checkpoints of ElegantRL: folders that its agents save themselves into, as FinRL's do."""

from pathlib import Path
from typing import Any

from tests.checkpoint.producers.network_facts import Cases, make_all, recurrence, widths

KINDS = {
    "AgentPPO": "gaussian",
    "AgentDiscretePPO": "discrete",
    "AgentA2C": "gaussian",
    "AgentDiscreteA2C": "discrete",
    "AgentSAC": "gaussian",
    "AgentTD3": "deterministic",
    "AgentDDPG": "deterministic",
    "AgentDQN": "discrete",
    "AgentD3QN": "discrete",
    "AgentDuelingDQN": "discrete",
}
"""What each agent draws its action from; no attribute of it says so."""
CASES: Cases = {name: {"agent": name} for name in KINDS}


def make(folder: Path, agent: str) -> tuple[Path, dict[str, Any]]:
    """Save an agent; one on policies after a step of each optimizer."""
    from elegantrl import agents
    from elegantrl.train.config import Config

    kind = getattr(agents, agent)
    about = {
        "env_name": "none",
        "state_dim": 5,
        "action_dim": 3,
        "if_discrete": "Discrete" in agent,
        "num_envs": 1,
    }
    made = kind([32, 16], 5, 3, gpu_id=-1, args=Config(kind, None, about))
    if "PPO" in agent:
        for optimizer, module in ((made.act_optimizer, made.act), (made.cri_optimizer, made.cri)):
            made.optimizer_update(
                optimizer, sum((p**2).sum() for p in module.parameters() if p.requires_grad)
            )
    made.save_or_load_agent(str(folder), if_save=True)
    return folder, facts(made, agent)


def facts(made: Any, agent: str) -> dict[str, Any]:
    """What the agent's modules say of themselves; the last layers are the heads, in a dueling network several."""
    actor, critic = made.act, made.cri
    encoders = [getattr(actor, name) for name in ("net_s", "net_state") if hasattr(actor, name)]
    is_q = agent.endswith("QN")
    return {
        "obs_dim": actor.state_dim,
        "hidden_dims": widths(encoders) if encoders else widths([actor.net])[:-1],
        "critic_hidden_dims": None if is_q else widths([critic.net])[:-1],
        "action_dim": actor.action_dim,
        "action_kind": KINDS[agent],
        **recurrence(actor),
    }


if __name__ == "__main__":
    make_all(CASES, make)
