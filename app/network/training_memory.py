"""Peak memory of one PPO update in closed form: which bytes are alive at which instant.

Notation: B samples of a minibatch, h_i trunk widths, K = HEAD_DIM, A action_dim. Every tensor takes whole
blocks of 512 bytes, as CUDA's caching allocator gives them. W is that sum over all weights. Alive all the
time are 3W (weights and Adam's two moments), the observations and the minibatch's scalars; on top of
them the largest of the instants walked through below. The forward pass still holds the last step's gradients,
as the trainer drops them right before backward; backward goes in the order of autograd's engine: the node
made last runs first, so the critic's branch comes before the actor's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from app.network.config import Activation
from app.network.shape import DOCUMENTED, HEAD_DIM, NetworkShape, count_values

BLOCK = 512
"""CUDA's allocator rounds every tensor up to this many bytes (c10/cuda, kMinBlockSize)."""

FLOAT = 4
"""Bytes of one fp32 value."""

MINIBATCH_SCALARS = (8, 8, 4, 4, 4, 4, 4)
"""Bytes per sample that a minibatch holds beside observations: sample number, action, log probability,
old value, advantage, normalised advantage, return."""

LOSS_COMPLETE = (4, 14)
"""Tensors [B, A] and [B] alive when the loss is complete (log probabilities, ratios, errors, masks).
Fitted to what torch's MemTracker counts; so are the next two."""

LOSS_BACKWARD = (3, 8)
"""The same while the network goes backward: the loss's own nodes have run and let go of theirs."""

LOSS_TENSORS_KEPT = 4
"""Tensors [B] that the loss's names still hold during the optimizer step."""

AdamKind = Literal["fused", "foreach", "for-loop"]


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment of an update, and what is alive at it beyond the static part."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: str
    """What happens, such as `trunk.2 linear backward`."""
    bytes: int
    """Activations, their gradients and the weights' gradients alive then."""


@dataclass(frozen=True, slots=True)
class UpdateMemory:
    """The parts of an update's peak."""

    weights: int
    """W: all weights."""
    optimizer: int
    """Adam's two moments and step counters."""
    observations: int
    """The minibatch's observations as the first layer reads them."""
    minibatch: int
    """The minibatch's other tensors."""
    instants: tuple[Instant, ...]
    """Everything that comes and goes, moment by moment."""

    @property
    def peak_instant(self) -> Instant:
        """The moment with the most bytes alive."""
        return max(self.instants, key=lambda instant: instant.bytes)

    @property
    def peak(self) -> int:
        """Most bytes alive at once."""
        static = self.weights + self.optimizer + self.observations + self.minibatch
        return static + self.peak_instant.bytes


def update_memory(
    shape: NetworkShape, minibatch_size: int, *, activation: Activation = "tanh", adam: AdamKind = "fused"
) -> UpdateMemory:
    """Memory of one optimizer step in fp32 over `minibatch_size` samples."""
    return UpdateMemory(
        weights=weight_bytes(shape),
        optimizer=2 * weight_bytes(shape) + BLOCK * len(shape.tensors),
        observations=blocks(FLOAT * minibatch_size * shape.obs_dim),
        minibatch=sum(blocks(size * minibatch_size) for size in _minibatch_scalars(shape)),
        instants=tuple(_Walk(shape, minibatch_size, activation).instants(adam)),
    )


def weight_bytes(shape: NetworkShape) -> int:
    """W = Σ over tensors of 512·ceil(4n / 512)."""
    return sum(blocks(FLOAT * count_values(size)) for _, size in shape.tensors)


def blocks(size: int) -> int:
    """Bytes rounded up to whole allocator blocks."""
    return -(-size // BLOCK) * BLOCK


def _minibatch_scalars(shape: NetworkShape) -> Iterator[int]:
    yield from MINIBATCH_SCALARS
    if shape.action_kind == "gaussian":
        yield FLOAT * shape.action_dim


class _Walk:
    """Forward, backward and optimizer step of one minibatch, as a list of instants."""

    def __init__(self, shape: NetworkShape, batch: int, activation: Activation) -> None:
        self.shape = shape
        self.batch = batch
        self.keeps_input = activation in {
            "elu",
            "silu",
        }  # these save what went in, tanh and relu what came out
        self.tensor_bytes = {name: blocks(FLOAT * count_values(size)) for name, size in shape.tensors}
        self.grads = 0

    def instants(self, adam: AdamKind) -> Iterator[Instant]:
        """All instants, in the order of time."""
        yield from self._forward(self._loss(LOSS_COMPLETE))
        loss = self._loss(LOSS_BACKWARD)
        if self.shape.shared_trunk:
            yield from self._backward_shared(loss)
        else:
            yield from self._backward_separate(loss)
        yield Instant(f"optimizer step ({adam})", self.grads + self._adam_extra(adam) + self._kept())

    def _forward(self, loss: int) -> Iterator[Instant]:
        """The last step's gradients are still there: they are dropped only before the next backward."""
        held = sum(self.tensor_bytes.values()) + self._kept()
        depth, stride = len(self.shape.hidden_dims), 3 if self.shape.layer_norm else 2
        trunks = ("trunk",) if self.shape.shared_trunk else ("actor_trunk", "critic_trunk")
        for trunk in trunks:
            for index, width in enumerate(self.shape.hidden_dims):
                at_once = self._at_activation(index) + self._width(width)  # what goes in, what comes out
                yield Instant(f"{trunk}.{index * stride} forward", held + self._saved_below(index) + at_once)
            held += self._saved_below(depth)
            if trunk != trunks[-1]:
                held += self._head_saved() + self._width(self.shape.action_dim)
        actor = self._head_saved() + self._width(self.shape.action_dim) if self.shape.shared_trunk else 0
        yield Instant("critic.0 forward", held + actor + 2 * self._width(HEAD_DIM))
        saved = len(trunks) * self._saved_below(depth) + 2 * self._head_saved()
        yield Instant("forward end", sum(self.tensor_bytes.values()) + self._kept() + saved + loss)

    def _backward_shared(self, loss: int) -> Iterator[Instant]:
        depth, last = len(self.shape.hidden_dims), self._width(self.shape.hidden_dims[-1])
        trunk = self._saved_below(depth)
        outside = loss + trunk + self._head_saved() + self._width(self.shape.action_dim)
        yield from self._head_backward("critic", 1, outside)
        yield from self._head_backward("actor", self.shape.action_dim, loss + trunk + last)
        merging = loss + self._saved_below(depth - 1) + self._at_activation(depth - 1) + 3 * last
        yield Instant("merge of both heads' gradients", merging + self.grads)
        yield from self._trunk_backward("trunk", loss)

    def _backward_separate(self, loss: int) -> Iterator[Instant]:
        depth = len(self.shape.hidden_dims)
        other = self._saved_below(depth) + self._head_saved() + self._width(self.shape.action_dim)
        yield from self._head_backward("critic", 1, loss + self._saved_below(depth) + other)
        yield from self._trunk_backward("critic_trunk", loss + other)
        yield from self._head_backward("actor", self.shape.action_dim, loss + self._saved_below(depth))
        yield from self._trunk_backward("actor_trunk", loss)

    def _head_backward(self, head: str, out: int, outside: int) -> Iterator[Instant]:
        hidden, latent = self._width(HEAD_DIM), self._width(self.shape.hidden_dims[-1])
        self._add_grads(f"{head}.2")
        yield Instant(
            f"{head}.2 backward", outside + self._width(out) + self._head_saved() + hidden + self.grads
        )
        yield Instant(f"{head}.1 activation backward", outside + 3 * hidden + self.grads)
        self._add_grads(f"{head}.0")
        yield Instant(f"{head}.0 backward", outside + hidden + latent + self.grads)

    def _trunk_backward(self, trunk: str, outside: int) -> Iterator[Instant]:
        stride = 3 if self.shape.layer_norm else 2
        for index in reversed(range(len(self.shape.hidden_dims))):
            gradient = self._width(self.shape.hidden_dims[index])
            held = outside + self._saved_below(index)
            at_activation = held + self._at_activation(index)
            yield Instant(
                f"{trunk}.{index * stride + stride - 1} activation backward",
                at_activation + 2 * gradient + self.grads,
            )
            if self.shape.layer_norm:
                self._add_grads(f"{trunk}.{index * stride + 1}")
                normed = held + gradient + 2 * self._width(1)
                yield Instant(
                    f"{trunk}.{index * stride + 1} layer norm backward", normed + 2 * gradient + self.grads
                )
            self._add_grads(f"{trunk}.{index * stride}")
            below = self._width(self.shape.hidden_dims[index - 1]) if index else 0
            yield Instant(f"{trunk}.{index * stride} linear backward", held + gradient + below + self.grads)

    def _saved_below(self, depth: int) -> int:
        """What autograd keeps of the first `depth` trunk layers."""
        tensors = 1 + self.keeps_input + self.shape.layer_norm
        statistics = 2 * self._width(1) if self.shape.layer_norm else 0
        return sum(tensors * self._width(width) + statistics for width in self.shape.hidden_dims[:depth])

    def _at_activation(self, index: int) -> int:
        """What is left of layer `index` when its activation runs backward."""
        tensors = 1 + self.shape.layer_norm
        statistics = 2 * self._width(1) if self.shape.layer_norm else 0
        return tensors * self._width(self.shape.hidden_dims[index]) + statistics

    def _head_saved(self) -> int:
        return (1 + self.keeps_input) * self._width(HEAD_DIM)

    def _loss(self, tensors: tuple[int, int]) -> int:
        per_action, per_sample = tensors
        return per_action * self._width(self.shape.action_dim) + per_sample * self._width(1)

    def _kept(self) -> int:
        """Small tensors between the heavy operations: the loss's parts, each gradient's norm, figures."""
        return LOSS_TENSORS_KEPT * self._width(1) + 2 * BLOCK * len(self.tensor_bytes)

    def _adam_extra(self, adam: AdamKind) -> int:
        extra = {
            "fused": 0,
            "foreach": sum(self.tensor_bytes.values()),
            "for-loop": 2 * max(self.tensor_bytes.values()),
        }
        return extra[adam]

    def _add_grads(self, prefix: str) -> None:
        self.grads += self.tensor_bytes[f"{prefix}.weight"] + self.tensor_bytes[f"{prefix}.bias"]

    def _width(self, width: int) -> int:
        """Bytes of one tensor [B, width]."""
        return blocks(FLOAT * self.batch * width)
