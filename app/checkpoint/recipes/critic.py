"""A critic with a recurrent layer of its own, which stands somewhere between its linear layers."""

from dataclasses import replace

from app.checkpoint.architecture import Architecture, Fact
from app.checkpoint.layers import Layers, Shapes, is_chain, recurrence

_MOST_LAYERS = 64


def with_recurrent_critic(facts: Architecture, shapes: Shapes, critic: Layers, prefix: str) -> Architecture:
    """The facts, the critic's widths among them where its layers chain through the recurrent one.

    `critic` is its linear layers as (out, in), the value's head last; tensors that begin with `prefix` hold the
    recurrent layer.
    """
    cell = recurrence({name: shape for name, shape in shapes.items() if name.startswith(prefix)})
    if cell is None or facts.critic_hidden_dims.value is not None or not 0 < len(critic) <= _MOST_LAYERS:
        return facts
    between = (cell.width, cell.inputs)
    if not any(is_chain([*critic[:at], between, *critic[at:]]) for at in range(len(critic) + 1)):
        return facts
    return replace(facts, critic_hidden_dims=Fact(tuple(out for out, _ in critic[:-1]), "shapes"))
