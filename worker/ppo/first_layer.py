"""The first layer over windows: products shared among overlapping windows, other columns apart.

y = W_market · window + W_rest · rest + b, with the weight as it stands in the network, viewed in two parts.
Neither the observation nor, by the convolution, the window is ever written out.

Shape suffixes: B samples, R other columns, H outputs of all trunks together, D obs_dim.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from worker.ppo.network import NativeActorCritic, Preactivations
from worker.ppo.window_product import WindowProduct


class _Affine(torch.autograd.Function):
    """W · [windows, rest] + b, and its gradient of W and b; the windows and the rest need none."""

    @staticmethod
    def forward(
        ctx: Any, weight_HD: Tensor, bias_H: Tensor, rest_BR: Tensor, windows: WindowProduct
    ) -> Tensor:
        ctx.windows, ctx.size = windows, weight_HD.shape
        ctx.save_for_backward(rest_BR)
        return affine(weight_HD, bias_H, rest_BR, windows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BH: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (rest_BR,) = ctx.saved_tensors
        grad_BH = grad_BH.contiguous()
        grad_HD = grad_BH.new_empty(ctx.size)
        split = ctx.size[1] - rest_BR.shape[1]
        ctx.windows.gradient(grad_BH, grad_HD[:, :split])
        torch.mm(grad_BH.T, rest_BR, out=grad_HD[:, split:])
        return grad_HD, grad_BH.sum(0), None, None


def affine(weight_HD: Tensor, bias_H: Tensor, rest_BR: Tensor, windows: WindowProduct) -> Tensor:
    """W · [windows, rest] + b, [B, H], without a gradient."""
    split = weight_HD.shape[1] - rest_BR.shape[1]
    out_BH = torch.addmm(bias_H, rest_BR, weight_HD[:, split:].T)
    windows.add_to(out_BH, weight_HD[:, :split])
    return out_BH


class FirstLayer:
    """The first layers of all trunks as one: their outputs are computed by one product."""

    def __init__(self, network: NativeActorCritic) -> None:
        self._layers = network.first_layers
        self.outputs = sum(layer.out_features for layer in self._layers)

    def parameters(self) -> tuple[Tensor, Tensor]:
        """Weight [H, D] and bias [H] of all trunks, actor first; gradients flow through."""
        if len(self._layers) == 1:
            return self._layers[0].weight, self._layers[0].bias
        return (
            torch.cat([layer.weight for layer in self._layers]),
            torch.cat([layer.bias for layer in self._layers]),
        )

    def learn(self, windows: WindowProduct, rest_BR: Tensor) -> Preactivations:
        """Preactivations through which gradients flow; in fp32 whatever autocast says."""
        with torch.autocast(rest_BR.device.type, enabled=False):
            out_BH = _Affine.apply(*self.parameters(), rest_BR, windows)  # type: ignore[no-untyped-call]
        return self.split(out_BH)

    def split(self, out_BH: Tensor) -> Preactivations:
        """The trunks' shares of all outputs."""
        return Preactivations(torch.split(out_BH, [layer.out_features for layer in self._layers], dim=1))
