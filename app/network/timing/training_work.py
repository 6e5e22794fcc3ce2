"""An update of training, phase by phase: what the rollout and the learning compute.

Of several processes each takes its share of the environments and of every minibatch (worker/ppo/distributed.py);
counted is what one of them does, and what it sends to the others.

Notation: N environments, T steps, B samples of a minibatch, h widths, A outputs of the policy.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from app.network.config import PPOConfig
from app.network.memory.run_plan import RunPlan
from app.network.shape import HEAD_DIM, NetworkShape
from app.network.timing.exchange import sent_bytes
from app.network.timing.first_layer_work import FirstLayerWorks, WholeLayer, WindowedLayer
from app.network.timing.work import Corrected, Product, Values, Work, work

FORWARD_CALLS, BACKWARD_CALLS = 3, 6
"""Operations per layer, the framework's own beside the arithmetic."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of each update, and its works."""

    name: str
    works: tuple[Work, ...]
    sent: float = 0.0
    """Bytes that a process sends to others."""

    @property
    def flops(self) -> float:
        """Operations of the products, as executed."""
        return sum(each.flops for each in self.works)

    @property
    def bytes(self) -> float:
        """What is read and written."""
        return sum(each.bytes for each in self.works)


def count_update(shape: NetworkShape, config: PPOConfig, plan: RunPlan) -> tuple[Phase, ...]:
    """All phases of one update, of one process where there are several."""
    config = replace(config, num_envs=config.num_envs // plan.processes or 1)
    first = _first_layer(shape, config, plan)
    steps, envs, batch = config.num_steps, config.num_envs, config.minibatch_size
    minibatches = config.update_epochs * config.num_minibatches
    samples = minibatches * batch
    sliding = samples * plan.sliding_row_bytes / 4 * (plan.windows.lookback if plan.windows else 0)
    acting = forward(shape, envs, Corrected("network", "acting", config.hidden_dims[0], envs)).times(
        steps + 1
    )
    loop = {"step": float(steps), "env_step": float(steps * envs)}
    learning = {"minibatch": float(minibatches), "sample": float(samples), "update": 1.0}
    gathering = {"gather": float(minibatches), "gather_sample": float(samples)}
    return (
        Phase("rollout: first layer", (first.ahead(), first.acting())),
        Phase("rollout: rest of the network", (acting,)),
        Phase("rollout: environments, sampling, buffer", (work(repeats=loop),)),
        Phase("advantages", (work(repeats={"advantage_step": float(steps)}),)),
        Phase("learning: gathering", (first.prepare(), work(values={"gather": sliding}, repeats=gathering))),
        Phase("learning: first layer, forward", (first.forward().times(minibatches),)),
        Phase("learning: rest, forward", (learn_forward(shape, config).times(minibatches),)),
        Phase("learning: rest, backward", (learn_backward(shape, config).times(minibatches),)),
        Phase("learning: first layer, backward", (first.backward().times(minibatches),)),
        Phase("learning: loss and figures", (work(repeats=learning),)),
        *_exchange(shape, plan.processes, minibatches),
        Phase("learning: gradient clip and Adam", (_optimizer(shape).times(minibatches),)),
    )


def _exchange(shape: NetworkShape, processes: int, minibatches: int) -> Iterator[Phase]:
    """Gradients averaged over processes: put together, divided, copied back; and sent."""
    if processes > 1:
        copied = work(values={"copy": 3.0 * shape.parameters}).times(minibatches)
        sent = minibatches * sent_bytes(shape, processes)
        yield Phase("learning: gradients of all processes", (copied,), sent)


def _first_layer(shape: NetworkShape, config: PPOConfig, plan: RunPlan) -> FirstLayerWorks:
    windows = plan.windows
    if windows is None or config.norm_obs:
        return WholeLayer(config, shape.obs_dim)
    restarts = config.batch_size / plan.episode_length if plan.episode_length else 0.0
    rest = shape.obs_dim - windows.columns
    return WindowedLayer(config, windows, rest, plan.device_type, restarts)


def forward(shape: NetworkShape, rows: int, corrected: Corrected | None) -> Work:
    """One pass of `rows` samples through everything behind the first layer's preactivations."""
    layers = list(_linears(shape))
    activated = float(rows * sum(_widths(shape)))
    values = {"activation": activated}
    if shape.layer_norm:
        values["layer_norm"] = float(rows * _trunks(shape) * sum(shape.hidden_dims))
    products = [Product("nt", rows, width, out) for width, out in layers]
    return work(
        products, values=values, repeats={"operation": FORWARD_CALLS * len(layers)}, corrected=corrected
    )


def learn_forward(shape: NetworkShape, config: PPOConfig) -> Work:
    """A minibatch's pass."""
    corrected = Corrected("network", "forward", config.hidden_dims[0], config.minibatch_size)
    passed = forward(shape, config.minibatch_size, corrected)
    if config.precision != "bf16":
        return passed
    # Autocast rounds the weights anew for each pass.
    cast = Values("copy", float(sum(width * out for width, out in _linears(shape))))
    return Work(passed.products, (*passed.values, cast), passed.repeats, corrected)


def learn_backward(shape: NetworkShape, config: PPOConfig) -> Work:
    """Its gradient: of each layer the weights', the input's and the bias's."""
    rows, layers = config.minibatch_size, list(_linears(shape))
    products = [Product("tn", out, rows, width) for width, out in layers]
    products += [Product("nn", rows, out, width) for width, out in layers]
    activated = float(rows * sum(_widths(shape)))
    values = {"activation_backward": activated, "copy": 0.5 * rows * sum(out for _, out in layers)}
    if shape.layer_norm:
        values["layer_norm_backward"] = float(rows * _trunks(shape) * sum(shape.hidden_dims))
    corrected = Corrected("network", "backward", config.hidden_dims[0], config.minibatch_size)
    return work(
        products, values=values, repeats={"operation": BACKWARD_CALLS * len(layers)}, corrected=corrected
    )


def _optimizer(shape: NetworkShape) -> Work:
    return Work(values=(Values("adam", shape.parameters, shape.parameters),))


def _trunks(shape: NetworkShape) -> int:
    return 1 if shape.shared_trunk else 2


def _linears(shape: NetworkShape) -> Iterator[tuple[int, int]]:
    """Inputs and outputs of all layers behind the first ones."""
    for _ in range(_trunks(shape)):
        yield from pairwise(shape.hidden_dims)
    for out in (shape.action_dim, 1):
        yield shape.hidden_dims[-1], HEAD_DIM
        yield HEAD_DIM, out


def _widths(shape: NetworkShape) -> list[int]:
    """Widths of all activations."""
    return [*shape.hidden_dims * _trunks(shape), HEAD_DIM, HEAD_DIM]
