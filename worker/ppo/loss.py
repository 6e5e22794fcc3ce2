"""The losses and debug variables of PPO, as plain functions of tensors.

Shape suffixes: B samples of a minibatch. All results are scalars on the device: nothing is read back.
"""

import torch
from torch import Tensor


def normalise_advantages(advantage_B: Tensor) -> Tensor:
    """(A - mean) / (std + 1e-8), std with Bessel's correction; a single sample is left as it is."""
    if advantage_B.numel() == 1:
        return advantage_B
    return (advantage_B - advantage_B.mean()) / (advantage_B.std() + 1e-8)


def clipped_surrogate(log_ratio_B: Tensor, advantage_B: Tensor, clip_coef: float) -> Tensor:
    """-mean(min(r·A, clip(r, 1-ε, 1+ε)·A)) with r = exp(log_ratio) (Schulman et al. 2017, eq. 7)."""
    ratio_B = log_ratio_B.exp()
    clipped_B = ratio_B.clamp(1 - clip_coef, 1 + clip_coef)
    return -torch.min(ratio_B * advantage_B, clipped_B * advantage_B).mean()


def value_loss(
    value_B: Tensor, return_B: Tensor, old_value_B: Tensor, clip_coef: float | None = None
) -> Tensor:
    """½ mean((V - R)²); with `clip_coef` the larger of that and of V held within it of the old value.

    The factor ½ is that of CleanRL and of OpenAI's baselines; stable-baselines3 has none.
    """
    error_B = (value_B - return_B).square()
    if clip_coef is None:
        return 0.5 * error_B.mean()
    clipped_B = old_value_B + (value_B - old_value_B).clamp(-clip_coef, clip_coef)
    return 0.5 * torch.max(error_B, (clipped_B - return_B).square()).mean()


def approx_kl(log_ratio_B: Tensor) -> Tensor:
    """Estimate of KL(old, new): mean((r - 1) - log r) (Schulman 2020, "Approximating KL", k3)."""
    return (log_ratio_B.exp() - 1 - log_ratio_B).mean()


def clip_fraction(log_ratio_B: Tensor, clip_coef: float) -> Tensor:
    """Share of samples whose ratio left [1-ε, 1+ε]."""
    ratio_B = log_ratio_B.exp()
    return ((ratio_B - 1).abs() > clip_coef).to(ratio_B.dtype).mean()


def explained_variance(unexplained: Tensor, variance: Tensor) -> Tensor:
    """1 - Var(target - value) / Var(target), of these two: 1 is perfect, 0 no better than a constant.

    NaN where the target does not vary, as the ratio has no meaning there.
    """
    ratio = 1 - unexplained / variance
    return torch.where(variance > 0, ratio, torch.full_like(variance, torch.nan))
