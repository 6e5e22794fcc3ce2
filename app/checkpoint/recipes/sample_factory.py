"""Sample Factory: train_step, env_steps, best_performance, model, optimizer, curr_lr.

An encoder (`encoder.encoders.obs.mlp_head`, or `actor_encoder` and `critic_encoder`), a `core`, perhaps a `decoder`,
`critic_linear` and `action_parameterization.distribution_linear`, whose outputs are logits, means (with a
`learned_stddev`), or means and deviations. Learned with version 2.1.1.
"""

import dataclasses

from app.checkpoint.architecture import Architecture, Fact
from app.checkpoint.layers import Layers, shapes_of, stacks
from app.checkpoint.recipes.generic import progress_of
from app.checkpoint.recipes.keys import has_keys
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Table

_HEAD = "action_parameterization.distribution_linear"
_STD = "action_parameterization.learned_stddev"
_NORMALISER = "obs_normalizer."
_UNTOLD = (
    "{} outputs: as many choices, or means and deviations of half as many; the run's config.json says which"
)


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
    if not head or _STD in shapes or facts.action_kind.value is not None:
        return facts
    untold = Fact(None, "undetermined", _UNTOLD.format(head[-1][0]))
    return dataclasses.replace(facts, action_dim=untold, action_kind=untold, action_nvec=untold)


def _encoder(found: dict[str, Layers], encoder: str, prefix: str) -> Layers:
    """The encoder's layers and those of the decoder after the core."""
    names = [n for n in found if n.startswith((encoder, f"{prefix}decoder."))]
    return [layer for name in names for layer in found[name]]


SAMPLE_FACTORY = Recipe("sample_factory", has_keys("train_step", "env_steps", "model"), parts, read)
