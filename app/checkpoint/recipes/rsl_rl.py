"""RSL-RL: `actor_state_dict` and `critic_state_dict` since 5.0, one `model_state_dict` before.

A model of 5.x has `mlp.N`, `rnn.rnn`, `obs_normalizer` and `distribution.std_param` or `.log_std_param`; before,
one module had `actor.N`, `critic.N`, `memory_a.rnn` and `std` or `log_std`. Learned with version 5.5.1.
"""

import dataclasses
from typing import Any

from app.checkpoint.architecture import Architecture, Fact
from app.checkpoint.layers import Shapes, shapes_of, stacks
from app.checkpoint.recipes.generic import progress_of
from app.checkpoint.recipes.keys import has_keys
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Table

_STD = ("distribution.std_param", "distribution.log_std_param", "std", "log_std")
_UNTOLD = "{} outputs: two for each action (deviations that depend on the state, or Beta), or one; not said"
_is_old = has_keys("model_state_dict", "iter", "infos")
_is_new = has_keys("actor_state_dict", "critic_state_dict", "iter")


def recognise(root: Any) -> bool:
    """Whether the root has RSL-RL's keys, of either age."""
    return _is_old(root) or _is_new(root)


def parts(root: Table) -> Parts:
    """The actor's state dict stands for the network, the critic's beside it."""
    is_new = _is_new(root)
    return Parts(
        weights_path="actor_state_dict" if is_new else "model_state_dict",
        state=root.get("actor_state_dict" if is_new else "model_state_dict"),
        optimizer_path="optimizer_state_dict",
        optimizer=root.get("optimizer_state_dict"),
        normaliser=_normaliser(root.get("actor_state_dict")) or root.get("obs_norm_state_dict"),
        progress=progress_of(root, ("iter",)),
        **({"critic_path": "critic_state_dict"} if is_new else {}),
    )


def read(root: Table) -> Architecture:
    """The actor's layers and the critic's, and what stands for the deviation."""
    return _read_new(root) if _is_new(root) else _read_old(shapes_of(root.get("model_state_dict")))


def _read_old(shapes: Shapes) -> Architecture:
    found = stacks(shapes)
    std = next((name for name in _STD if name in shapes), "")
    return Network(shapes, found.get("actor", []), found.get("critic", []), log_std=std).architecture()


def _read_new(root: Table) -> Architecture:
    shapes = shapes_of(root.get("actor_state_dict"))
    actor = stacks(shapes).get("mlp", [])
    critic = stacks(shapes_of(root.get("critic_state_dict"))).get("mlp", [])
    std = next((name for name in _STD if name in shapes), "")
    facts = Network(shapes, actor, critic, log_std=std, shares=False).architecture()
    if std or not actor:
        return facts
    untold = Fact(None, "undetermined", _UNTOLD.format(actor[-1][0]))
    return dataclasses.replace(facts, action_dim=untold, action_kind=untold)


def _normaliser(state: Any) -> Table | None:
    pairs = state.pairs if isinstance(state, Table) else []
    found = [(n, v) for n, v in pairs if isinstance(n, str) and n.startswith("obs_normalizer.")]
    return Table(found) if found else None


RSL_RL = Recipe("rsl_rl", recognise, parts, read)
