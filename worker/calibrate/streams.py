"""Copies, gathering, activations, normalisation and Adam: what takes as long as its values are many."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from app.network.config import Activation
from app.network.timing.calibration import STREAMS, ActivationRate, AdamRate, Spread, StreamRate
from worker.calibrate.turns import Turns
from worker.ppo.network import ACTIVATIONS
from worker.ppo.trainer import ADAM_EPS

ROWS, WIDTH = 1024, 512
COUNT = ROWS * WIDTH
ADAM_SIZES = (1 << 16, 1 << 20, 1 << 23)
"""Parameters stepped: within the processor's cache, at its edge, and beyond it."""


class StreamRates:
    """All streams of a calibration, on [ROWS, WIDTH] values."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        device, draw = turns.device, torch.Generator().manual_seed(2)
        self._x = torch.randn(ROWS, WIDTH, generator=draw).to(device)
        self._y = torch.empty_like(self._x)
        self._order = torch.randperm(ROWS, generator=draw).to(device)
        self._add_streams()
        for name, kind in ACTIVATIONS.items():
            self._add_pair(("activation", name), kind())
        self._add_pair(("layer_norm",), nn.LayerNorm(WIDTH, device=device))
        for size in ADAM_SIZES:
            turns.add(("adam", size), _make_adam(size, device))

    def streams(self) -> tuple[StreamRate, ...]:
        """Seconds per value."""
        return tuple(StreamRate(name, self._per_value("stream", name)) for name in STREAMS)

    def activations(self) -> tuple[ActivationRate, ...]:
        """Seconds per value, both ways."""
        return tuple(self._activation(name) for name in ACTIVATIONS)

    def adam(self) -> tuple[AdamRate, ...]:
        """Seconds per parameter, by size."""
        return tuple(
            AdamRate(size, self._turns.spread(("adam", size)).scaled(1 / size)) for size in ADAM_SIZES
        )

    def _activation(self, name: Activation) -> ActivationRate:
        forward, backward = ("activation", name, "forward"), ("activation", name, "backward")
        return ActivationRate(name, self._per_value(*forward), self._per_value(*backward))

    def _per_value(self, *name: str) -> Spread:
        return self._turns.spread(name).scaled(1 / COUNT)

    def _add_streams(self) -> None:
        x, y, order = self._x, self._y, self._order
        self._turns.add(("stream", "copy"), lambda: y.copy_(x))
        self._turns.add(("stream", "gather"), lambda: torch.index_select(x, 0, order, out=y))
        self._turns.add(("stream", "scatter"), lambda: y.index_add_(0, order, x))

    def _add_pair(self, name: tuple[str, ...], module: nn.Module) -> None:
        """A function and its gradient."""
        x = self._x.clone().requires_grad_()
        y = module(x)
        wanted = [x, *module.parameters()]
        seed = torch.ones_like(y)

        def forward() -> Tensor:
            with torch.no_grad():
                out: Tensor = module(x)
            return out

        def backward() -> object:
            return torch.autograd.grad(y, wanted, seed, retain_graph=True)

        names = (("stream", "layer_norm"), ("stream", "layer_norm_backward"))
        if name[0] == "activation":
            names = ((*name, "forward"), (*name, "backward"))  # type: ignore[assignment]
        self._turns.add(names[0], forward)
        self._turns.add(names[1], backward)


def _make_adam(size: int, device: torch.device) -> Callable[[], object]:
    """Gradient clip and step of one tensor, as the trainer does them."""
    parameter = nn.Parameter(torch.zeros(size, device=device))
    parameter.grad = torch.full_like(parameter, 1e-3)
    optimizer = torch.optim.Adam([parameter], lr=1e-6, eps=ADAM_EPS, fused=True)

    def step() -> None:
        nn.utils.clip_grad_norm_([parameter], 0.5)
        optimizer.step()

    return step
