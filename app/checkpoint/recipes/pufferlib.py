"""PufferLib: a state dict of `encoder`, `decoder` (or `decoder_mean`, `decoder_logstd`) and `value`, an LSTM between.

trainer_state.pt beside it holds optimizer_state_dict, global_step, agent_step, update, model_name and run_id.
Keys as pufferlib/models.py and pufferl.py of version 3.0.0 write them. Before, the whole module was pickled, its heads
`decoder.N` where the action is multi-discrete, `value_head`, and `recurrent`. Learned with version 2.0.2.
"""

import dataclasses
import re
from typing import Any

from app.checkpoint.architecture import Architecture, Fact
from app.checkpoint.layers import Layers, shapes_of, stacks
from app.checkpoint.recipes import generic
from app.checkpoint.recipes.generic import progress_of
from app.checkpoint.recipes.keys import has_keys
from app.checkpoint.recipes.modules import flag_of, state_of
from app.checkpoint.recipes.network import Network, without_components
from app.checkpoint.recipes.recipe import NOWHERE, Parts, Recipe
from app.checkpoint.values import Table

_is_trainer_state = has_keys("optimizer_state_dict", "global_step", "model_name")
_VALUES = ("value", "value_head")
_WRAPPERS = re.compile(r"^(policy\.)+")
_FLAGS = "by the module's is_multidiscrete and is_continuous"


def recognise(root: Any) -> bool:
    """Whether the tensors are those of the default policy, wrapped in an LSTM or not."""
    found = set(_unwrapped(root))
    return "encoder" in found and bool(found & set(_VALUES)) and bool(found & {"decoder", "decoder_mean"})


def read(root: Table) -> Architecture:
    """The encoder is the trunk; one decoder's outputs are the choices of all components together."""
    shapes = shapes_of(root)
    found = _unwrapped(root)
    critic = next((found[name] for name in _VALUES if name in found), [])
    is_gaussian = "decoder_mean" in found
    std = next((name for name in shapes if name.endswith("decoder_logstd")), "")
    actor = found["decoder_mean"] if is_gaussian else found["decoder"]
    return without_components(Network(shapes, actor, critic, found["encoder"], None, std).architecture())


def with_attributes(facts: Architecture, module: Any) -> Architecture:
    """The facts of a whole pickled module: its flags tell whether one head's outputs are the choices of one action."""
    outputs = facts.actor_head.value
    flags = (flag_of(module, "is_multidiscrete"), flag_of(module, "is_continuous"))
    if facts.action_kind.value is not None or flags != (False, False) or not isinstance(outputs, tuple):
        return facts
    return dataclasses.replace(
        facts,
        action_kind=Fact("discrete", "config", _FLAGS),
        action_dim=Fact(outputs[-1], "both", _FLAGS),
        action_nvec=Fact(None, "undetermined", "the action is not multi-discrete"),
    )


def trainer_parts(root: Table) -> Parts:
    """A trainer_state.pt: no network, only the optimizer and the counters."""
    return Parts(
        optimizer_path="optimizer_state_dict",
        optimizer=root.get("optimizer_state_dict"),
        progress=progress_of(root, ("global_step", "agent_step", "update", "model_name", "run_id", "exp_id")),
        weights_path=NOWHERE,
    )


def read_trainer(_: Table) -> Architecture:
    """Nothing of the network stands in a trainer_state.pt."""
    return Network({}, [], []).architecture()


def folder_parts(root: Table) -> Parts:
    """A run's folder: the newest model, and the trainer's state beside it."""
    name = _newest_model(root)
    state, trainer = root.get(name), trainer_parts(root.get("trainer_state.pt"))
    inner = Parts(state=state) if isinstance(state, Table) else Parts("_modules", state_of(state))
    return Parts(
        weights_path=f"{name}.{inner.weights_path}".rstrip("."),
        state=inner.state,
        optimizer_path="trainer_state.pt.optimizer_state_dict",
        optimizer=trainer.optimizer,
        progress=trainer.progress,
    )


def read_folder(root: Table) -> Architecture:
    """The newest model's network, by its state dict or, before version 3.0, by the whole module."""
    state = folder_parts(root).state
    facts = read(state) if recognise(state) else generic.describe(shapes_of(state), None)
    return with_attributes(facts, root.get(_newest_model(root)))


def _is_folder(root: Any) -> bool:
    return (
        isinstance(root, Table)
        and _is_trainer_state(root.get("trainer_state.pt"))
        and bool(_newest_model(root))
    )


def _newest_model(root: Table) -> str:
    """The model that the trainer's state names, else the last one by name."""
    names = sorted(name for name in root.index() if name.endswith(".pt") and name.startswith("model_"))
    state = root.get("trainer_state.pt")
    named = state.get("model_name") if isinstance(state, Table) else None
    return named if isinstance(named, str) and named in names else names[-1] if names else ""


def _unwrapped(root: Any) -> dict[str, Layers]:
    """The stacks by their names within the policy; the LSTM's wrapper and the trainer's each call it `policy`."""
    return {_WRAPPERS.sub("", name): layers for name, layers in stacks(shapes_of(root)).items()}


PUFFERLIB = Recipe("pufferlib", recognise, lambda root: Parts(state=root), read)
PUFFERLIB_FOLDER = Recipe("pufferlib", _is_folder, folder_parts, read_folder)
PUFFERLIB_TRAINER = Recipe("pufferlib", _is_trainer_state, trainer_parts, read_trainer)
