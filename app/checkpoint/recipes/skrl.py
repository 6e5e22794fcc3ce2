"""skrl: policy, value, optimizer and preprocessors, each a state dict.

Models of the instantiators have `net_container` (all layers, or the shared ones) and, where shared,
`policy_layer` and `value_layer`; a Gaussian one has `log_std_parameter`. Others are as their authors named them.
Learned with version 2.1.1.
"""

from app.checkpoint.architecture import Architecture
from app.checkpoint.layers import Layers, Shapes, shapes_of, stacks
from app.checkpoint.recipes import generic
from app.checkpoint.recipes.keys import has_keys
from app.checkpoint.recipes.network import Network, without_components
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Table

_PREPROCESSORS = ("observation_preprocessor", "state_preprocessor")
_HEADS = ("policy_layer", "mean_layer", "mu_layer", "action_layer")


def parts(root: Table) -> Parts:
    """The parts by their keys."""
    return Parts(
        weights_path="policy",
        state=root.get("policy"),
        optimizer_path="optimizer",
        optimizer=root.get("optimizer"),
        normaliser=next((root.get(name) for name in _PREPROCESSORS if name in root), None),
        critic_path="value",
    )


def read(root: Table) -> Architecture:
    """The policy's container and its head; a model of both roles is saved under both names."""
    shapes, value = shapes_of(root.get("policy")), shapes_of(root.get("value"))
    found = stacks(shapes)
    container = next((layers for name, layers in found.items() if name.endswith("net_container")), [])
    head = next((found[name] for name in _HEADS if name in found), [])
    if not container:
        return generic.describe(shapes, None)
    if head:
        shared = Network(shapes, head, found.get("value_layer", []), container, log_std="log_std_parameter")
        return without_components(shared.architecture())
    network = Network(shapes, container, _critic(value), log_std="log_std_parameter")
    return without_components(network.architecture())


def _critic(shapes: Shapes) -> Layers:
    return [layer for layers in stacks(shapes).values() for layer in layers]


SKRL = Recipe("skrl", has_keys("policy", "value"), parts, read)
