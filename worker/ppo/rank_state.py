"""The trainer's state where several processes train together: what all share once, the rest by rank."""

from collections.abc import Mapping
from typing import Any

from app.errors import InvalidConfig
from worker.ppo.distributed import World

OWN_ENTRIES = (
    "cpu_rng_state",
    "device_rng_state",
    "episode_return_N",
    "episode_length_N",
    "return_N",
    "env",
)
"""Entries of the trainer's state that differ from process to process; all others are equal in all."""


def gather_ranks(world: World, state: Mapping[str, Any]) -> dict[str, Any]:
    """The state of all processes: shared entries, and under "ranks" every process's own ones.

    Of a single process it is that process's state. Collective: every process must call it.
    """
    if world.size == 1:
        return dict(state)
    shared = {name: value for name, value in state.items() if name not in OWN_ENTRIES}
    own = {name: value for name, value in state.items() if name in OWN_ENTRIES}
    return {**shared, "ranks": world.gather_states(own)}


def select_rank(world: World, saved: Mapping[str, Any]) -> dict[str, Any]:
    """This process's part of `gather_ranks`'s state.

    Raises InvalidConfig where another number of processes has saved it: the environments and the random
    numbers of a process cannot be split.
    """
    ranks = saved.get("ranks")
    size = 1 if ranks is None else len(ranks)
    if size != world.size:
        raise InvalidConfig(
            f"the state was saved by {_count(size)}, and is to be continued by {_count(world.size)}",
            hint=f"continue with {size}; or begin a new run with the saved weights alone, "
            "trainer.network.load_state_dict(state['policy_state_dict'])",
            pointer="trainer_state.ranks",
        )
    if ranks is None:
        return dict(saved)
    shared = {name: value for name, value in saved.items() if name != "ranks"}
    return {**shared, **ranks[world.rank]}


def _count(processes: int) -> str:
    return "one process" if processes == 1 else f"{processes} processes"
