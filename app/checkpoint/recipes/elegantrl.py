"""ElegantRL: whole pickled modules, act.pth and cri.pth, each of a `net` Sequential, and whole optimizers.

Every module has `state_dim` and `action_dim`, and `state_avg` and `state_std` to normalise by; a Gaussian actor has
`action_std_log`. Its class says what the outputs are: of a soft actor-critic means and deviations, of a Q-network one
value a choice. Learned with version 0.3.6.
"""

import dataclasses
from typing import Any

from app.checkpoint.architecture import Architecture, Fact
from app.checkpoint.layers import Layers, shapes_of, stacks
from app.checkpoint.recipes.modules import activation_of, class_name, state_of
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Made, Table, Tensor, fields_of

_STATISTICS = ("state_avg", "state_std")
_CRITIC = "it is the critic's file; the action stands in act.pth"
_TAKES_BOTH = "it is the critic's file, and this critic takes observation and action together"
_NETS = ("net", "net_s", "net_state", "net_a", "net_val", "net_val1")
"""One Sequential, or an encoder and what follows it; a twin's second values and advantages stand beside these."""


def recognise(root: Any) -> bool:
    """Whether the root is a module of ElegantRL, or a folder of them."""
    return class_name(_actor(root)).startswith("elegantrl.")


def parts(root: Any) -> Parts:
    """The actor's gathered state dict; in a folder the optimizer lies beside it."""
    actor = _actor(root)
    state = state_of(actor)
    statistics = [(n, v) for n, v in state.pairs if n in _STATISTICS and isinstance(v, Tensor)]
    folder = isinstance(root, Table)
    return Parts(
        weights_path="act.pth" if folder else "",
        state=state,
        optimizer_path="act_optimizer.pth",
        optimizer=root.get("act_optimizer.pth") if folder else None,
        normaliser=Table(statistics) if statistics else None,
        **({"critic_path": "cri.pth"} if folder else {}),
    )


def read(root: Any) -> Architecture:
    """The `net` of the actor, and of the critic where the folder has both."""
    actor = _actor(root)
    name = class_name(actor).rpartition(".")[2]
    if name.startswith("Critic"):
        return _read_critic(actor, is_of_states="PPO" in name)
    critic = root.get("cri.pth") if isinstance(root, Table) and not name.startswith("QNet") else None
    layers = _layers(critic)
    network = Network(
        shapes_of(state_of(actor)), _layers(actor), layers, None, _kind(name), "action_std_log",
        shares=False if layers else None, activation=activation_of(actor),
        outputs_per_action=2 if "SAC" in name else 1,
    )  # fmt: skip
    return network.architecture(_attributes(actor, "state_dim", "action_dim"))


def _read_critic(critic: Made, *, is_of_states: bool) -> Architecture:
    """A critic's file by itself: its widths, and of which observation; never the action."""
    network = Network(shapes_of(state_of(critic)), _layers(critic), [], activation=activation_of(critic))
    facts = network.architecture(_attributes(critic, "state_dim") if is_of_states else None)
    own, taken = Fact(None, "undetermined", _CRITIC), Fact(None, "undetermined", _TAKES_BOTH)
    obs_dim = facts.obs_dim if is_of_states else taken
    return dataclasses.replace(facts, obs_dim=obs_dim, action_dim=own, action_kind=own, actor_head=own)


def with_activation(facts: Architecture, seen: str | None) -> Architecture:
    """The facts with an activation that the classes show."""
    return dataclasses.replace(facts, activation=Fact(seen, "graph")) if seen else facts


def _kind(name: str) -> str | None:
    """What an actor's class says of its outputs; a Gaussian one of PPO has a deviation beside them."""
    if "Discrete" in name or name.startswith("QNet"):
        return "discrete"
    return {"Actor": "deterministic", "ActorSAC": "gaussian", "ActorFixSAC": "gaussian"}.get(name)


def _layers(module: Any) -> Layers:
    found = stacks(shapes_of(state_of(module)))
    return [layer for name in _NETS for layer in found.get(name, [])]


def _attributes(module: Made, *names: str) -> Table:
    """The sizes that the module was made with, under the names that a configuration has for them."""
    found = fields_of(module) or Table()
    as_config = {"state_dim": "obs_dim", "action_dim": "action_dim"}
    return Table.of({as_config[name]: found.get(name) for name in names})


def _actor(root: Any) -> Any:
    """The module itself, or the actor's of a folder."""
    actor = root.get("act.pth") if isinstance(root, Table) else root
    return actor if isinstance(actor, Made) and actor.is_new else None


ELEGANTRL = Recipe("elegantrl", recognise, parts, read)
