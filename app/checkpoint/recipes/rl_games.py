"""rl_games: model, epoch, frame, optimizer, last_mean_rewards, env_state; the network under `a2c_network`.

`actor_mlp`, an `rnn` before or after it, `critic_mlp` where separate, then `mu` (Gaussian), `logits` (discrete) or
`logits.N` (multi-discrete), and `value`. Learned with version 1.6.5.
"""

from app.checkpoint.architecture import Architecture
from app.checkpoint.layers import are_parallel, shapes_of, stacks
from app.checkpoint.recipes.generic import progress_of
from app.checkpoint.recipes.keys import has_keys
from app.checkpoint.recipes.network import Network
from app.checkpoint.recipes.recipe import Parts, Recipe
from app.checkpoint.values import Table

_PREFIX = "a2c_network."


def parts(root: Table) -> Parts:
    """The parts by their keys; the running statistics are tensors of the model."""
    state = root.get("model")
    pairs = state.pairs if isinstance(state, Table) else []
    statistics = [(n, v) for n, v in pairs if isinstance(n, str) and n.startswith("running_mean_std.")]
    return Parts(
        weights_path="model",
        state=state,
        optimizer_path="optimizer",
        optimizer=root.get("optimizer"),
        normaliser=Table(statistics) if statistics else None,
        progress=progress_of(root, ("epoch", "frame", "last_mean_rewards")),
    )


def read(root: Table) -> Architecture:
    """actor_mlp and its head; with a critic_mlp the critic is separate."""
    shapes = shapes_of(root.get("model"))
    found = {name.rpartition(_PREFIX)[2]: layers for name, layers in stacks(shapes).items()}
    trunk = found.get("actor_mlp", [])
    head, kind = (found["mu"], "gaussian") if "mu" in found else (found.get("logits", []), "discrete")
    critic = [*found.get("critic_mlp", []), *found.get("value", [])]
    network = Network(
        shapes,
        head,
        critic,
        trunk,
        "multi_discrete" if are_parallel(head) else kind,
        shares="critic_mlp" not in found,
    )
    return network.architecture()


RL_GAMES = Recipe("rl_games", has_keys("model", "epoch", "frame"), parts, read)
