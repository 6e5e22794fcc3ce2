"""Sample Factory: train_step, env_steps, best_performance, model, optimizer, curr_lr.

An encoder (`encoder.encoders.KEY.mlp_head`, or `actor_encoder` and `critic_encoder`), a `core` (`actor_core` and
`critic_core`), perhaps a `decoder`, `critic_linear` and `action_parameterization.distribution_linear`, whose outputs
are logits, means (with a `learned_stddev`), or means and deviations. Learned with version 2.1.1.
"""

import dataclasses
import math
import re

from app.checkpoint.architecture import Architecture, Fact
from app.checkpoint.layers import Layers, Shapes, shapes_of, stacks
from app.checkpoint.recipes.critic import with_recurrent_critic
from app.checkpoint.recipes.generic import progress_of
from app.checkpoint.recipes.keys import has_keys
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Table

_HEAD = "action_parameterization.distribution_linear"
_STD = "action_parameterization.learned_stddev"
_NORMALISER = "obs_normalizer."
_MEAN = re.compile(r"obs_normalizer\.running_mean_std\.running_mean_std\.(?P<key>.+)\.running_mean")
_KEY = re.compile(r"(?:actor_)?encoder\.encoders\.(?P<key>[^.]+)\.")
_UNTOLD = (
    "{} outputs: as many choices, or means and deviations of half as many; "
    "the environment's action space says which, and the file does not hold it"
)
_PARTS = "the observation has {} parts ({}), each with an encoder of its own"
_MOST_SHOWN = 5


def parts(root: Table) -> Parts:
    """The parts by their keys; the running statistics are tensors of the model."""
    state = root.get("model")
    pairs = state.pairs if isinstance(state, Table) else []
    statistics = [(n, v) for n, v in pairs if isinstance(n, str) and n.startswith(_NORMALISER)]
    return Parts(
        weights_path="model",
        state=state,
        optimizer_path="optimizer",
        optimizer=root.get("optimizer"),
        config=root.get("cfg"),
        normaliser=Table(statistics) if statistics else None,
        progress=progress_of(root, ("train_step", "env_steps", "best_performance", "curr_lr")),
    )


def read(root: Table) -> Architecture:
    """Encoder, core and heads; without a learned_stddev the head alone does not tell the actions' kind."""
    shapes = shapes_of(root.get("model"))
    found = stacks(shapes)
    separate = any(name.startswith("critic_encoder.") for name in found)
    trunk = _encoder(found, "actor_encoder." if separate else "encoder.", "actor_" if separate else "")
    critic = _encoder(found, "critic_encoder.", "critic_") if separate else []
    head, value = found.get(_HEAD, []), [*critic, *found.get("critic_linear", [])]
    facts = Network(shapes, head, value, trunk, None, _STD, shares=not separate).architecture(root.get("cfg"))
    facts = _observed(with_recurrent_critic(facts, shapes, value, "critic_core."), shapes)
    if not head or _STD in shapes or facts.action_kind.value is not None:
        return facts
    untold = Fact(None, "undetermined", _UNTOLD.format(head[-1][0]))
    return dataclasses.replace(facts, action_dim=untold, action_kind=untold, action_nvec=untold)


def _observed(facts: Architecture, shapes: Shapes) -> Architecture:
    """The observation's size by the statistics of all its parts; of several parts only they tell it."""
    keys = {found["key"] for name in shapes if (found := _KEY.match(name))}
    means = {found["key"]: shape for name, shape in shapes.items() if (found := _MEAN.fullmatch(name))}
    if keys and keys == means.keys():
        facts = dataclasses.replace(facts, obs_dim=Fact(sum(map(math.prod, means.values())), "shapes"))
    if len(keys) < 2:
        return facts
    untold = Fact(None, "undetermined", _PARTS.format(len(keys), ", ".join(sorted(keys)[:_MOST_SHOWN])))
    obs_dim = facts.obs_dim if keys == means.keys() else untold
    return dataclasses.replace(facts, obs_dim=obs_dim, hidden_dims=untold)


def _encoder(found: dict[str, Layers], encoder: str, prefix: str) -> Layers:
    """The encoder's layers and those of the decoder after the core."""
    names = [n for n in found if n.startswith((encoder, f"{prefix}decoder."))]
    return [layer for name in names for layer in found[name]]


SAMPLE_FACTORY = Recipe("sample_factory", has_keys("train_step", "env_steps", "model"), parts, read)
