"""Which of a graph's outputs is the action's, which the value's: by their names, else by what only one of them can be."""

from dataclasses import dataclass

from app.checkpoint.flows import Path
from app.checkpoint.recipes.named_network import ONE_OUTPUT
from app.checkpoint.recipes.part_names import ACTOR, CRITIC, DEVIATION, common_prefix, words_of

_ONLY_CRITIC = "the only output is named a critic's, whose inputs may hold the action"
_NONE = "no layer lies on the way to an output"
_SEVERAL = "several outputs of different layers, of which the names do not tell the action's"


@dataclass(frozen=True, slots=True)
class Roles:
    """The ways to action, value and deviation."""

    actor: Path | None = None
    critic: Path | None = None
    deviation: Path | None = None
    problem: str = ""
    """Why the action's way is not known."""


def roles_of(found: list[Path]) -> Roles:
    """The roles of these ways."""
    prefix = common_prefix(path.linear[-1].weight for path in found) if len(found) > 1 else ""
    words = [
        words_of(f"{p.output}.{p.linear[-1].weight.removeprefix(prefix).rpartition('.')[0]}") for p in found
    ]
    critics = [path for path, said in zip(found, words, strict=True) if said & CRITIC]
    others = [(path, said) for path, said in zip(found, words, strict=True) if not said & CRITIC]
    deviation = next((path for path, said in others if said & DEVIATION), None)
    actors = [path for path, said in others if said & ACTOR and not said & DEVIATION]
    unnamed = [path for path, said in others if not said & (ACTOR | DEVIATION)]
    critic = critics[0] if critics else None
    if actors:
        return _first(actors, critic or _value(unnamed), deviation)
    if critic is None and len(unnamed) > 1 and (value := _value(unnamed)) is not None:
        critic = value
        unnamed = [path for path in unnamed if path is not value]
    if len(unnamed) == 1 and critic is None and deviation is None and unnamed[0].layers[-1][0] == 1:
        return Roles(None, None, None, ONE_OUTPUT)
    if unnamed:
        return _first(unnamed, critic, deviation)
    return Roles(None, critic, deviation, _ONLY_CRITIC if critic else _NONE)


def _value(unnamed: list[Path]) -> Path | None:
    """The only output of one value among several."""
    single = [path for path in unnamed if path.layers[-1][0] == 1]
    return single[0] if len(single) == 1 else None


def _first(actors: list[Path], critic: Path | None, deviation: Path | None) -> Roles:
    """The first of the ways; where they have other layers before the last, none is known to be the action's."""
    before = {tuple(step.weight for step in path.steps[:-1]) for path in actors}
    heads = {path.linear[-1].weight for path in actors}
    problem = "" if len(before) == len(heads) == 1 else _SEVERAL
    return Roles(actors[0], critic, deviation, problem)
