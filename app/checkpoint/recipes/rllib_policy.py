"""RLlib's older files: one policy_state.pkl for each policy, in `policies/<name>/`, with ModelV2's layers as numpy arrays.

`_hidden_layers.N` to the action, `_value_branch_separate.N` where the value has layers of its own; `_logits` and
`_value_branch` are the heads, `_logits_branch` behind an LSTM, which value and action share. `policy_spec` names the spaces
and the configuration. Learned with ray 2.60.0, whose older API still writes them.
"""

import dataclasses
from typing import Any

from app.checkpoint.architecture import Architecture, Fact
from app.checkpoint.layers import Layers, Shapes, recurrence, shapes_of, stacks
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import NOWHERE, Parts, Recipe
from app.checkpoint.recipes.spaces import describe_action, observation_size, whole_numbers
from app.checkpoint.values import Made, Table, fields_of

STATE = "policy_state.pkl"
_OWN = "_value_branch_separate."
_KINDS = {
    "discrete": "discrete",
    "box": "gaussian",
    "multi-discrete": "multi_discrete",
    "multi-binary": "multi_binary",
}
_COMPONENTS = "{} outputs of several components, whose sizes the file holds compressed"
_UNTOLD = "{} outputs: the file does not say whether they are choices, or means and deviations"


def recognise(root: Any) -> bool:
    """Whether the root is a policy's state, or a folder that holds one."""
    return _is_state(root) or (isinstance(root, Table) and bool(_member(root)))


def parts(root: Table) -> Parts:
    """The weights and the optimizer within the policy's state."""
    name = "" if _is_state(root) else _member(root)
    state: Table = root.get(name) if name else root
    before = f"{name}." if name else ""
    optimizers = state.get("_optimizer_variables")
    has_optimizer = isinstance(optimizers, list) and bool(optimizers)
    return Parts(
        weights_path=f"{before}weights",
        state=state.get("weights"),
        optimizer_path=f"{before}_optimizer_variables" if has_optimizer else NOWHERE,
        optimizer=optimizers[0] if has_optimizer else None,
        config=fields_of(state.get("policy_spec")),
        versions=_versions(root, name),
        progress=Table([pair for pair in state.pairs if pair[0] in ("global_timestep", "num_grad_updates")]),
    )


def read(root: Table) -> Architecture:
    """Layers by their names; what the outputs mean, by the action space."""
    found = parts(root)
    shapes, said = shapes_of(found.state), _said(found.config)
    kind = said.get("action_kind")
    is_recurrent = recurrence(shapes) is not None
    own = [] if is_recurrent else _layers(shapes, _OWN)  # an LSTM's value takes what the LSTM gives
    network = Network(
        shapes,
        _layers(shapes, "_logits.", "_logits_branch."),
        [*own, *_layers(shapes, "_value_branch.")],
        _layers(shapes, "_hidden_layers."),
        kind,
        shares=not own,
        outputs_per_action=2 if kind == "gaussian" and not _free_std(said) else 1,
    )
    facts = network.architecture(Table.of(said))
    return _without_guess(facts, network, said)


def _without_guess(facts: Architecture, network: Network, said: dict[str, Any]) -> Architecture:
    """What the outputs mean is undetermined where the action space does not tell."""
    if not network.actor or said.get("action_dim") is not None:
        return facts
    outputs = network.actor[-1][0]
    kind = said.get("action_kind")
    untold = Fact(
        None, "undetermined", (_COMPONENTS if kind == "multi_discrete" else _UNTOLD).format(outputs)
    )
    known = facts.action_kind if kind else untold
    return dataclasses.replace(facts, action_dim=untold, action_kind=known, action_nvec=untold)


def _layers(shapes: Shapes, *prefixes: str) -> Layers:
    return [row for name, rows in stacks(shapes).items() if f"{name}.".startswith(prefixes) for row in rows]


def _free_std(said: dict[str, Any]) -> bool:
    return said.get("free_log_std") is True


def _is_state(root: Any) -> bool:
    """Weights of ModelV2 beside what their policy was made of."""
    return (
        isinstance(root, Table)
        and "policy_spec" in root
        and any(name.startswith(("_logits", "_value_branch")) for name in shapes_of(root.get("weights")))
    )


def _member(root: Table) -> str:
    """The member that holds a policy; the default one where there are several."""
    names = [name for name, value in root.index().items() if name.endswith(STATE) and _is_state(value)]
    return next((name for name in names if "default_policy" in name), names[0] if names else "")


def _versions(root: Table, name: str) -> Table | None:
    described = fields_of(root.get(name.removesuffix(STATE) + "rllib_checkpoint.json")) if name else None
    version = described.get("ray_version") if described is not None else None
    return None if version is None else Table.of({"ray": version})


def _said(spec: Table | None) -> dict[str, Any]:
    """The facts of the spaces and of the model's configuration."""
    found = spec or Table()
    config = fields_of(found.get("config")) or Table()
    model = fields_of(config.get("model")) or Table()
    return {
        **_action(found.get("action_space")),
        "obs_dim": _observation(found.get("observation_space")),
        "hidden_dims": model.get("fcnet_hiddens"),
        "activation": model.get("fcnet_activation"),
        "free_log_std": model.get("free_log_std"),
        "lstm_hidden_size": model.get("lstm_cell_size") if model.get("use_lstm") is True else None,
    }


def _space(value: Any) -> Table:
    """A space as RLlib describes it: {"space": {"space": "box", "shape": …}}."""
    inner = value.get("space") if isinstance(value, Table) else None
    return inner if isinstance(inner, Table) else Table()


def _action(value: Any) -> dict[str, Any]:
    if isinstance(value, Made):  # releases before 2.7 pickled the space itself
        return describe_action(value)
    space = _space(value)
    kind = _KINDS.get(str(space.get("space")))
    sizes = whole_numbers(space.get("shape")) if kind == "gaussian" else None
    width = (
        space.get("n")
        if kind in ("discrete", "multi_binary")
        else sizes[0]
        if sizes and len(sizes) == 1
        else None
    )
    return {"action_kind": kind, "action_dim": width if type(width) is int else None}


def _observation(value: Any) -> int | None:
    if isinstance(value, Made):
        return observation_size(value)
    space = _space(value)
    sizes = whole_numbers(space.get("shape") if space.get("space") == "box" else [space.get("n")])
    return sizes[0] if sizes and len(sizes) == 1 else None


RLLIB_POLICY = Recipe("rllib", recognise, parts, read)
