"""CleanRL: a bare state dict of an Agent: `actor` (or `actor_mean`, `actor_logstd`) and `critic`.

ppo.py and ppo_continuous_action.py have separate Sequentials, ppo_atari.py heads on `network` (convolutions and
one Linear), ppo_atari_lstm.py an `lstm` between them. ppo_multidiscrete.py names its one wide layer as ppo.py does.
"""

import dataclasses
from typing import Any

from app.checkpoint.architecture import Architecture, Fact
from app.checkpoint.layers import shapes_of, stacks
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Table

_STACKS = frozenset({"actor", "actor_mean", "critic", "network"})
_MOST_SURE = 3
"""Outputs that are certainly one action: two components have four choices at least."""


def recognise(root: Any) -> bool:
    """Whether the root's tensors are those of a CleanRL agent."""
    if not isinstance(root, Table):
        return False
    found = stacks(shapes_of(root))
    is_agent = "critic" in found and ("actor" in found or "actor_mean" in found)
    return is_agent and found.keys() <= _STACKS


def read(root: Table) -> Architecture:
    """Separate actor and critic, or heads on `network` in the Atari scripts."""
    shapes = shapes_of(root)
    found = stacks(shapes)
    is_gaussian = "actor_mean" in found
    actor = found["actor_mean"] if is_gaussian else found["actor"]
    trunk = found.get("network")
    kind = "gaussian" if is_gaussian else "discrete"
    facts = Network(shapes, actor, found["critic"], trunk, kind, "actor_logstd").architecture()
    outputs = facts.action_dim.value
    if facts.action_kind.value != "discrete" or not isinstance(outputs, int) or outputs <= _MOST_SURE:
        return facts
    why = f"{outputs} outputs: one discrete action, or, as in ppo_multidiscrete.py, all components' choices"
    unsure = Fact(None, "undetermined", why)
    return dataclasses.replace(facts, action_dim=unsure, action_kind=unsure)


CLEANRL = Recipe("cleanrl", recognise, lambda root: Parts(state=root), read)
