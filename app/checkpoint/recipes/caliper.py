"""Caliper's own files, and those of the trainer that it grew from: config, policy and optimizer side by side."""

from typing import Any

from app.checkpoint.architecture import Architecture, shapes_of, stacks
from app.checkpoint.recipes import generic
from app.checkpoint.recipes.recipe import Network, Parts, Recipe
from app.checkpoint.values import Table


def is_caliper(root: Any) -> bool:
    """Whether the file says that Caliper wrote it."""
    said = root.get("format") if isinstance(root, Table) else None
    return isinstance(said, str) and said.startswith("caliper-checkpoint/")


def is_native(root: Any) -> bool:
    """Whether the file has a policy_state_dict beside a config or an optimizer."""
    return (
        isinstance(root, Table)
        and "policy_state_dict" in root
        and ("config" in root or "optimizer_state_dict" in root)
    )


def parts(root: Table) -> Parts:
    """The parts by their keys."""
    return Parts(
        weights_path="policy_state_dict",
        state=root.get("policy_state_dict"),
        optimizer_path="optimizer_state_dict",
        optimizer=root.get("optimizer_state_dict"),
        config=root.get("config"),
        feature_schema=root.get("feature_schema"),
        versions=root.get("versions"),
        dataset=root.get("dataset"),
    )


def read(root: Table) -> Architecture:
    """The network: trunk or trunks, two heads, and log_std where it is Gaussian."""
    shapes = shapes_of(root.get("policy_state_dict"))
    found = stacks(shapes)
    trunk = found.get("trunk")
    separate = found.get("actor_trunk")
    if not trunk and not separate:
        return generic.describe(shapes, root.get("config"))
    kind = "gaussian" if "log_std" in shapes else "discrete"
    network = Network(
        shapes, found.get("actor", []), found.get("critic", []), trunk or separate, kind, "log_std"
    )
    facts = network.architecture(root.get("config"))
    return facts if trunk else generic.separated(facts, root.get("config"))


CALIPER = Recipe("caliper", is_caliper, parts, read)
NATIVE = Recipe("native-ppo", is_native, parts, read)
