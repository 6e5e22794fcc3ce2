"""Stable-Baselines3 and sb3-contrib: mlp_extractor, action_net, value_net; LSTMs of RecurrentPPO before them."""

from typing import Any

from app.checkpoint.architecture import Architecture, Fact, shapes_of, stacks
from app.checkpoint.recipes.generic import separated
from app.checkpoint.recipes.recipe import Network, Parts, Recipe
from app.checkpoint.values import Made, Name, Table, fields_of


def recognise(root: Any) -> bool:
    """Whether the root has the members of a Stable-Baselines3 zip."""
    return isinstance(root, Table) and "data" in root and "policy.pth" in root


def parts(root: Table) -> Parts:
    """The parts by their members."""
    return Parts(
        weights_path="policy.pth",
        state=root.get("policy.pth"),
        optimizer_path="policy.optimizer.pth",
        optimizer=root.get("policy.optimizer.pth"),
        config=root.get("data"),
        versions=Table.of({"stable_baselines3": root.get("_stable_baselines3_version")}),
    )


def read(root: Table) -> Architecture:
    """The actor's extractor and its action_net; spaces and policy_kwargs say the rest."""
    shapes = shapes_of(root.get("policy.pth"))
    found = stacks(shapes)
    actor = [*found.get("mlp_extractor.policy_net", []), *found.get("action_net", [])]
    critic = [*found.get("mlp_extractor.value_net", []), *found.get("value_net", [])]
    said = _said(root.get("data"))
    facts = Network(shapes, actor, critic, None, None, "log_std").architecture(said)
    return _with_activation(separated(facts, None), root) if actor else facts


def _said(data: Any) -> Table:
    """The facts that the constructor's arguments and the spaces tell."""
    said: dict[str, Any] = {}
    table = fields_of(data)
    if table is None:
        return Table()
    action, observation = _space(table.get("action_space")), _space(table.get("observation_space"))
    if action is not None:
        kind, values = action
        said["action_kind"] = "discrete" if kind == "Discrete" else "gaussian" if kind == "Box" else None
        said["action_dim"] = values.get("n") if kind == "Discrete" else _product(values.get("_shape"))
    if observation is not None and observation[0] == "Box":
        said["obs_dim"] = _product(observation[1].get("_shape"))
    kwargs = fields_of(table.get("policy_kwargs"))
    said["net_arch"] = _net_arch(kwargs.get("net_arch")) if kwargs is not None else None
    return Table.of(said)


def _space(value: Any) -> tuple[str, Table] | None:
    if not isinstance(value, Made) or not isinstance(value.function, Name):
        return None
    found = value.fields()
    return (value.function.name, found) if found is not None else None


def _product(shape: Any) -> int | None:
    if not isinstance(shape, (tuple, list)) or not all(type(size) is int for size in shape[:8]):
        return None
    total = 1
    for size in shape[:8]:
        total *= size
    return total


def _net_arch(value: Any) -> Any:
    return value.get("pi") if isinstance(value, Table) else value


def _with_activation(facts: Architecture, root: Table) -> Architecture:
    """The activation that policy_kwargs names, else the library's default for PPO."""
    data = fields_of(root.get("data"))
    kwargs = fields_of(data.get("policy_kwargs")) if data is not None else None
    named = kwargs.get("activation_fn") if kwargs is not None else None
    if isinstance(named, Name):
        fact = Fact(named.name.lower()[:64], "config")
    elif named is None and data is not None:
        fact = Fact("tanh", "config", "not given: the default of Stable-Baselines3's ActorCriticPolicy")
    else:
        fact = Fact(None, "undetermined", "policy_kwargs holds an activation that cannot be read")
    values = {name: getattr(facts, name) for name in facts.__slots__}
    return Architecture(**{**values, "activation": fact})


SB3 = Recipe("stable-baselines3", recognise, parts, read)
