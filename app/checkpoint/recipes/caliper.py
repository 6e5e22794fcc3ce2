"""Caliper's own files, and those of the trainer that it grew from: config, policy and optimizer side by side."""

from typing import Any

from app.checkpoint.architecture import Architecture
from app.checkpoint.layers import Shapes, shapes_of, stacks
from app.checkpoint.recipes import generic
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Table

_MOMENTS = ("obs_mean", "obs_var", "obs_count")


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
        normaliser=root.get("normaliser"),
        statistics=_statistics(root.get("trainer_state")),
        versions=root.get("versions"),
        dataset=root.get("dataset"),
        progress=_progress(root),
    )


def is_weights_only(root: Any) -> bool:
    """Whether the root is a bare state dict of this layout, as an export of the weights alone has it."""
    found = set(stacks(shapes_of(root)))
    return found in ({"trunk", "actor", "critic"}, {"actor_trunk", "critic_trunk", "actor", "critic"})


def read(root: Table) -> Architecture:
    """The network: trunk or trunks, two heads, and log_std where it is Gaussian."""
    return _read_shapes(
        shapes_of(root.get("policy_state_dict")), root.get("config"), "discrete" if is_caliper(root) else None
    )


def read_weights(root: Table) -> Architecture:
    """The same network, from its shapes alone; others use these names too, for choices of several components."""
    return _read_shapes(shapes_of(root), None, None)


def read_named(state: Table, config: Any) -> Architecture:
    """The network of an export: a state dict of this layout, and what its metadata say."""
    return _read_shapes(shapes_of(state), config, None)


def _read_shapes(shapes: Shapes, config: Any, otherwise: str | None) -> Architecture:
    found = stacks(shapes)
    trunk = found.get("trunk")
    separate = found.get("actor_trunk")
    if not trunk and not separate:
        return generic.describe(shapes, config)
    kind = "gaussian" if "log_std" in shapes else otherwise
    critic = [*found.get("critic_trunk", []), *found.get("critic", [])]
    network = Network(shapes, found.get("actor", []), critic, trunk or separate, kind, "log_std")
    facts = network.architecture(config)
    return facts if trunk else generic.separated(facts, config)


def _statistics(state: Any) -> Table | None:
    """The running moments of observations that `norm_obs` keeps in the trainer's state."""
    pairs = state.pairs if isinstance(state, Table) else []
    return Table([(name, value) for name, value in pairs if name in _MOMENTS]) if pairs else None


def _progress(root: Table) -> Any:
    """The trainer's counters: Caliper keeps them in trainer_state, its forerunner at the root."""
    state = root.get("trainer_state")
    home = state if isinstance(state, Table) else root
    return generic.progress_of(home, ("global_step", "update", "total_timesteps", "iteration", "step"))


CALIPER = Recipe("caliper", is_caliper, parts, read)
NATIVE = Recipe("native-ppo", is_native, parts, read)
WEIGHTS = Recipe("caliper", is_weights_only, lambda root: Parts(state=root), read_weights)
