"""Which part of an actor-critic a layer is, told by its name: how files of different producers are compared."""

from typing import Literal

Role = Literal["trunk", "actor", "critic", "other"]
"""`trunk` is what actor and critic share, or a network that names no part; `other` is no weight of a layer."""

Path = Literal["policy", "value", "other"]
"""The way that a layer lies on: from observation to action (trunk and actor), to value (critic), neither."""

PATHS: dict[Role, Path] = {"trunk": "policy", "actor": "policy", "critic": "value", "other": "other"}
"""The path of each role."""

ACTOR_WORDS = frozenset(
    {"actor", "policy", "action", "actions", "pi", "mu", "mean", "logits", "std", "logstd"}
)
CRITIC_WORDS = frozenset({"critic", "value", "values", "vf", "qf", "q", "v"})
OTHER_WORDS = frozenset({"rms", "normalizer", "normaliser", "running", "scaler"})


def role_of(name: str) -> Role:
    """The role of the layer with this name; the innermost part of the name that says something counts.

    `mlp_extractor.value_net.0` is the critic's, `actor_critic.trunk.0` the trunk's.
    """
    role: Role = "trunk"
    for part in name.lower().split("."):
        words = set(part.split("_"))
        is_actor, is_critic = bool(words & ACTOR_WORDS), bool(words & CRITIC_WORDS)
        if words & OTHER_WORDS:
            return "other"
        if is_actor != is_critic:
            role = "actor" if is_actor else "critic"
    return role
