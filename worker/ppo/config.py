"""PPOConfig, and the configurations that suit the machine at hand."""

from app.network.auto_config import resolve_config
from app.network.config import PPOConfig
from app.network.tiers import a100_hidden_dims
from worker.ppo.device import detect_device

__all__ = ["PPOConfig", "get_a100_config", "get_auto_config"]

A100_80GB_BYTES = 80 * 10**9
DEFAULT_TIMESTEPS = 1_000_000


def get_auto_config(total_timesteps: int, training_mode: str = "standard") -> PPOConfig:
    """The configuration for this machine's card (or CPU) and a run of this length.

    Every field can be overridden afterwards: `config.hidden_dims = (256, 128)`. Raises InvalidConfig for
    a length out of range or an unknown training mode.
    """
    tier = detect_device().tier
    return resolve_config(tier, total_timesteps, training_mode=training_mode).config


def get_a100_config(
    total_timesteps: int = DEFAULT_TIMESTEPS,
    training_mode: str = "standard",
    *,
    total_bytes: int | None = None,
) -> PPOConfig:
    """The configuration for an A100: (1024, 512, 256) with 80 GB, (512, 256, 128) with 40 GB.

    Without `total_bytes` the memory is that of this machine's A100, or 80 GB where there is none, so that
    a run can be planned elsewhere. Raises as get_auto_config does.
    """
    size = _find_a100_bytes() if total_bytes is None else total_bytes
    overrides = {"hidden_dims": a100_hidden_dims(size)}
    return resolve_config("a100", total_timesteps, training_mode=training_mode, overrides=overrides).config


def _find_a100_bytes() -> int:
    device = detect_device()
    return device.total_bytes if device.tier.name == "a100" else A100_80GB_BYTES
