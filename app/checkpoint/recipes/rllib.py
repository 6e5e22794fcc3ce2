"""RLlib: a folder (or archive of it) of pickles; the weights are numpy arrays in an RLModule's module_state.

`encoder.encoder` shared, or `encoder.actor_encoder` and `.critic_encoder`; a `tokenizer` before an LSTM; `pi` and `vf`.
class_and_ctor_args.pkl beside it names the spaces and the model_config; a learner's state.pkl above it holds the
optimizers. Learned with ray 2.60.0.
"""

import dataclasses
from typing import Any

from app.checkpoint.architecture import Architecture, Fact
from app.checkpoint.layers import Layers, Shapes, shapes_of, stacks
from app.checkpoint.recipes.critic import with_recurrent_critic
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import NOWHERE, Parts, Recipe
from app.checkpoint.recipes.spaces import describe_action, observation_size
from app.checkpoint.values import Array, Name, Table, fields_of

STATE, ARGUMENTS = "module_state.pkl", "class_and_ctor_args.pkl"
_MODULES, _LEARNER = "rl_module/", "state.pkl"
_UNTOLD = "{} outputs: choices, or means and deviations; class_and_ctor_args.pkl beside the file says which"
_LIBRARY_DEFAULT = "not given: the default of RLlib's models"


def recognise(root: Any) -> bool:
    """Whether the root is a module_state, or a folder that holds one."""
    return _is_module(root) or (isinstance(root, Table) and bool(_state_name(root)))


def parts(root: Table) -> Parts:
    """The module's state within its folder, and its optimizer in the learner's folder above."""
    if _is_module(root):
        return Parts(state=root)
    name = _state_name(root)
    optimizer, path = _optimizer(root, name)
    return Parts(
        weights_path=name,
        state=root.get(name),
        optimizer_path=path or NOWHERE,
        optimizer=optimizer,
        config=_arguments(root, name),
        versions=_metadata(root, name),
        progress=_progress(root),
    )


def read(root: Table) -> Architecture:
    """Encoder and heads by their names; what the outputs mean, by the action space."""
    found = parts(root)
    shapes, said = shapes_of(found.state), _said(found.config)
    layers = stacks(shapes)
    encoder = _encoder(layers, ("encoder.encoder.", "encoder.actor_encoder."))
    critic = [*_encoder(layers, ("encoder.critic_encoder.",)), *_encoder(layers, ("vf.",))]
    kind = said.get("action_kind")
    network = Network(
        shapes,
        _encoder(layers, ("pi.",)),
        critic,
        encoder,
        kind,
        shares=not any(name.startswith("encoder.critic_encoder.") for name in shapes),
        outputs_per_action=2 if kind == "gaussian" and not _free_std(shapes) else 1,
    )
    facts = with_recurrent_critic(
        network.architecture(Table.of(said)), shapes, critic, "encoder.critic_encoder."
    )
    if found.config is not None and facts.activation.value is None:
        facts = dataclasses.replace(facts, activation=Fact("tanh", "config", _LIBRARY_DEFAULT))
    if kind or not network.actor:
        return facts
    untold = Fact(None, "undetermined", _UNTOLD.format(network.actor[-1][0]))
    return dataclasses.replace(facts, action_dim=untold, action_kind=untold)


def _encoder(layers: dict[str, Layers], prefixes: tuple[str, ...]) -> Layers:
    return [row for name, rows in layers.items() if name.startswith(prefixes) for row in rows]


def _free_std(shapes: Shapes) -> bool:
    return any(name.startswith("pi.") and name.endswith("log_std") for name in shapes)


def _is_module(root: Any) -> bool:
    index = root.index() if isinstance(root, Table) else {}
    arrays = [name for name, value in index.items() if isinstance(value, Array)]
    return any(n.startswith("encoder.") for n in arrays) and any(n.startswith("pi.") for n in arrays)


def _state_name(root: Table) -> str:
    """The member that holds the weights; the default policy's where there are several."""
    names = [name for name, value in root.index().items() if name.endswith(STATE) and _is_module(value)]
    return next((name for name in names if "default_policy" in name), names[0] if names else "")


def _optimizer(root: Table, name: str) -> tuple[Any, str]:
    """The module's optimizer in the learner's state, and the path that it has there."""
    learner, inside, module = name.removesuffix(f"/{STATE}").rpartition(_MODULES)
    state = root.get(f"{learner}{_LEARNER}") if inside else None
    held = state.get("optimizer") if isinstance(state, Table) else None
    for key, entry in held.index().items() if isinstance(held, Table) else ():
        if isinstance(entry, Table) and entry.get("module_id") == module:
            return entry.get("state"), f"{learner}{_LEARNER}.optimizer.{key}.state"
    return None, ""


def _arguments(root: Table, name: str) -> Any:
    """What the module was made with; RLlib keeps (args, kwargs) beside the class."""
    made = fields_of(root.get(name.removesuffix(STATE) + ARGUMENTS)) or Table()
    held = made.get("ctor_args_and_kwargs")
    kwargs = held[1] if isinstance(held, (list, tuple)) and len(held) == 2 else held
    return fields_of(kwargs)


def _metadata(root: Table, name: str) -> Any:
    found = fields_of(root.get(name.removesuffix(STATE) + "metadata.json"))
    return (
        Table.of({"ray": found.get("ray_version")}) if found is not None and "ray_version" in found else None
    )


def _progress(root: Table) -> Table | None:
    """The counter of a whole algorithm's folder."""
    state = root.get("algorithm_state.pkl")
    done = state.get("training_iteration") if isinstance(state, Table) else None
    return None if done is None else Table.of({"training_iteration": done})


def _said(config: Any) -> dict[str, Any]:
    table = fields_of(config)
    if table is None:
        return {}
    model = fields_of(table.get("model_config")) or Table()
    activation = model.get("fcnet_activation")
    return {
        **describe_action(table.get("action_space")),
        "obs_dim": observation_size(table.get("observation_space")),
        "hidden_dims": model.get("fcnet_hiddens"),
        "activation": activation if isinstance(activation, (str, Name)) else None,
        "lstm_hidden_size": model.get("lstm_cell_size") if model.get("use_lstm") is True else None,
    }


RLLIB = Recipe("rllib", recognise, parts, read)
