"""The network of any state dict, by the names and shapes of its tensors: its layers in the one order that they allow.

What two networks of the same tensors may differ in is undetermined, with the reason: a shortcut's place, attention,
two heads of one width, an embedding that looks like a layer.
"""

import math
from dataclasses import dataclass, field

from app.checkpoint.layers import Layers, Shapes, convolutions
from app.checkpoint.recipes.chains import Placed, Segment, only_order, segments, widths
from app.checkpoint.recipes.part_names import (
    ACTOR,
    LAST,
    MEAN,
    NamedPart,
    common_prefix,
    is_deviation,
    part_of,
    words_of,
)

GUESSED = "no layer is named an actor's: read from the only chain of linear layers"
_NO_CHAIN = "the layers form no chain, or more than one"
_UNTOLD = "the file does not say"
_IMAGE = "the sizes of an image's sides do not follow from its convolutions"
ONE_OUTPUT = "nothing is named an actor's, and one output may be a value's, whose inputs may hold the action"
_ONLY_CRITIC = "only a critic's layers are named, whose inputs may hold the action"


@dataclass(slots=True)
class NamedNetwork:
    """The layers on the way to the action, or why they are not known."""

    trunk: Layers = field(default_factory=list)
    """Layers named neither an actor's nor a critic's."""
    actor: Layers = field(default_factory=list)
    """The actor's own layers; where no layer is named an actor's, all of them."""
    heads: tuple[int, ...] = ()
    """Outputs of heads that stand side by side."""
    critic: Layers = field(default_factory=list)
    """The critic's own layers."""
    critic_problem: str = ""
    """Why the critic's layers are not known."""
    obs_dim: int | None = None
    """What the first layer takes."""
    obs_problem: str = ""
    """Why the observation's length is not known."""
    problem: str = ""
    """Why the layers are not known."""
    is_guess: bool = False
    """Whether no layer is named an actor's."""
    deviation: str = ""
    """The tensor that gives an action's deviation: of the outputs' number, so that they are means."""
    are_means: bool = False
    """Whether the head is named as giving means."""

    @property
    def outputs(self) -> int | None:
        """Outputs of the head."""
        return self.actor[-1][0] if self.actor else None


def network_of(shapes: Shapes, tied: frozenset[str] = frozenset()) -> NamedNetwork:
    """The network; `tied` are names of tensors that an earlier name holds already."""
    named = _parts(shapes)
    own = {name: shape for name, shape in shapes.items() if named[name] not in ("critic", "unused")}
    found = NamedNetwork(problem=_unexplained(own, named))
    layers = _layers(own, named)
    is_named = any(part == "actor" for part in (named[name] for name in own if _is_layer(name, shapes[name])))
    _find_critic(found, {n: s for n, s in shapes.items() if named[n] == "critic" and n not in tied})
    if found.critic and not is_named and not any(layer.rank == 2 for layer in layers):
        found.problem = found.problem or _ONLY_CRITIC
    if layers:
        _find_actor(found, layers, named, own, is_named=is_named)
    found.problem = found.problem or ("" if layers else _ONLY_CRITIC if found.critic else _UNTOLD)
    found.obs_problem = found.obs_problem or found.problem
    return found


def _parts(shapes: Shapes) -> dict[str, NamedPart]:
    """The part of every tensor; what all layers' names begin with says nothing, unless nothing else does."""
    prefix = common_prefix(name for name, shape in shapes.items() if _is_layer(name, shape))
    only = part_of(prefix)
    named: dict[str, NamedPart] = {}
    for name in shapes:
        part = part_of(_module(name.removeprefix(prefix)))
        named[name] = only if part == "trunk" and only in ("actor", "critic") and prefix in name else part
    return named


def _layers(own: Shapes, named: dict[str, NamedPart]) -> list[Placed]:
    """Linear and recurrent layers but those that give deviations."""
    found: list[Placed] = []
    for name, shape in own.items():
        if named[name] == "deviation":
            continue
        if _is_layer(name, shape):
            found.append(Placed(_module(name), shape[0], shape[1], _rank(name, named)))
        elif "weight_ih" in name and len(shape) == 2 and not name.endswith(_deeper(name)):
            state = own.get(name.replace("weight_ih", "weight_hh"), ())
            if len(state) == 2 and state[1]:
                found.append(
                    Placed(_module(name), state[1], shape[1], int(named[name] == "actor"), is_cell=True)
                )
    return found


def _deeper(name: str) -> str:
    """The end of the name where it is a second or later layer of one recurrent module."""
    leaf = name.rpartition(".")[2]
    return leaf if leaf.startswith("weight_ih_l") and leaf != "weight_ih_l0" else "\0"


def _rank(name: str, named: dict[str, NamedPart]) -> int:
    """0 for the trunk's, 1 for the actor's, 2 for its last."""
    is_last = bool(words_of(_module(name)) & LAST)
    if named[name] == "actor":
        return 2 if is_last else 1
    return 2 if is_last and not any(part == "actor" for part in named.values()) else 0


def _unexplained(own: Shapes, named: dict[str, NamedPart]) -> str:
    """A tensor that is part of no layer which is understood, in words."""
    for name, shape in own.items():
        size = len([side for side in shape if side != 1]) if not name.endswith("weight") else len(shape)
        if named[name] == "attention":
            return f"{name[:80]}: attention is no chain of layers"
        is_known = _is_layer(name, shape) or _is_recurrent(name) or len(shape) < 2 or size < 2
        if named[name] == "unknown" and len(shape) >= 2 and size >= 2:
            return f"the name {name[:80]} does not say where in the network it stands"
        is_convolution = 3 <= len(shape) <= 5 and name.endswith(".weight")
        if not (is_known or is_convolution or is_deviation(name)):
            return f"{name[:80]} is no weight of a linear, recurrent or convolutional layer"
    cells = {name.partition("weight_ih")[0] for name in own if "weight_ih" in name}
    return f"{len(cells)} recurrent modules" if len(cells) > 1 else ""


def _find_critic(found: NamedNetwork, shapes: Shapes) -> None:
    layers = [
        Placed(_module(name), shape[0], shape[1]) for name, shape in shapes.items() if _is_layer(name, shape)
    ]
    order = only_order(segments(layers)) if layers else None
    found.critic = widths(order) if order else []
    if not found.critic:
        found.critic_problem = (
            "the critic's layers form no chain" if layers else "no layer is named a critic's"
        )


def _find_actor(
    found: NamedNetwork, layers: list[Placed], named: dict[str, NamedPart], own: Shapes, *, is_named: bool
) -> None:
    parts = segments(layers)
    heads = _heads(parts)
    if heads is not None:
        found.heads = tuple(layer.out for layer in heads.layers)
        parts = [*(part for part in parts if part is not heads), Segment([heads.layers[0]])]
    problem = _ambiguity(parts) if heads is None else ""
    order = only_order(parts)
    found.is_guess = not is_named
    found.problem = found.problem or problem or ("" if order else _NO_CHAIN)
    if not order or found.problem:
        return
    linear = [layer for layer in order if not layer.is_cell]
    if not linear:
        found.problem = _UNTOLD
        return
    split = next((at for at, layer in enumerate(linear) if layer.rank), len(linear)) if is_named else 0
    found.trunk = [(layer.out, layer.inputs) for layer in linear[:split]]
    found.actor = [(layer.out, layer.inputs) for layer in linear[split:]]
    if found.is_guess and found.actor[-1][0] == 1:
        found.problem = ONE_OUTPUT
    _find_deviation(found, own, named, linear[-1])
    found.obs_dim = order[0].inputs
    found.obs_problem = _IMAGE if convolutions(own) else ""
    if _may_be_a_table(order[0], own):
        found.problem = "the first layer has no bias: it may be a table of embeddings"


def _heads(parts: list[Segment]) -> Segment | None:
    """Heads side by side at the end of the actor; two of one width may be means and deviations."""
    last = max(part.rank for part in parts)
    ends = [part for part in parts if part.rank == last]
    if len(ends) != 1 or not last or not ends[0].are_heads:
        return None
    outs = [layer.out for layer in ends[0].layers]
    return ends[0] if len(outs) > 2 or outs[0] != outs[1] else None


def _ambiguity(parts: list[Segment]) -> str:
    """Why the last layer may not be the only head."""
    last = max(part.rank for part in parts)
    ends = [part for part in parts if part.rank == last]
    if last == 2 and len(ends) > 1:
        return "several heads, of which the names do not tell what they give"
    for part in ends:
        words = words_of(part.layers[0].name) - ACTOR
        if last and part.may_be_heads and (not words or words & LAST):
            return "the last layers may follow each other, or be heads side by side"
    return ""


def _may_be_a_table(first: Placed, own: Shapes) -> bool:
    """Whether the first layer has no bias, and is square or alone, so that its shape does not say what it is."""
    has_bias = f"{first.name}.bias".removeprefix(".") in own
    alone = sum(_is_layer(name, shape) for name, shape in own.items()) == 1
    return not first.is_cell and not has_bias and (first.out == first.inputs or alone)


def _find_deviation(found: NamedNetwork, own: Shapes, named: dict[str, NamedPart], head: Placed) -> None:
    """A deviation for each output, of its own tensor or head: the outputs are means."""
    found.are_means = bool(words_of(head.name) & MEAN)
    for name, shape in own.items():
        if _is_layer(name, shape):
            fits = named[name] == "deviation" and shape[0] == head.out
        else:
            fits = is_deviation(name) and _sizes(shape, head.out) and not _is_statistic(name, own)
        if fits:
            found.deviation = name


def _sizes(shape: tuple[int, ...], outputs: int) -> bool:
    """One deviation for all, one each, or one each for every feature (gSDE)."""
    return math.prod(shape) in (1, outputs) or (len(shape) == 2 and shape[1] == outputs)


def _is_statistic(name: str, own: Shapes) -> bool:
    """Whether a mean of the same shape stands beside it: the observations' statistics."""
    home = name.rpartition(".")[0]
    beside = (f"{home}.{word}" if home else word for word in ("mean", "mu", "running_mean"))
    return any(own.get(other) == own[name] for other in beside)


def _is_layer(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and name.rpartition(".")[2] == "weight"


def _is_recurrent(name: str) -> bool:
    leaf = name.rpartition(".")[2]
    return leaf.startswith(("weight_ih", "weight_hh")) and not leaf.endswith("_reverse")


def _module(name: str) -> str:
    """The name without its last part; a bare `weight` has no module."""
    return name.rpartition(".")[0]
