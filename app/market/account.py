"""The trading environment's saved state by name, shape and dtype, known without torch.

A checkpoint's size is predicted from this table; a test holds it equal to `TradingEnv.state_dict()`.
"""

from typing import Literal

StateSpecs = dict[str, tuple[tuple[int, ...], str]]
"""Name -> (shape, dtype)."""

GENERATOR_BYTES: dict[str, int] = {"cpu": 5056, "cuda": 16}
"""Size of a torch.Generator's state (torch 2.13: Mersenne Twister, Philox)."""

PER_ENV: dict[str, str] = {
    "t": "int64",
    "steps": "int64",
    "bars_held": "int64",
    "position": "float64",
    "equity": "float64",
    "entry_equity": "float64",
    "peak_equity": "float64",
    "sharpe_a": "float64",
    "sharpe_b": "float64",
}
"""State with one value for each environment."""


def trading_state_specs(
    num_envs: int, lookback: int = 100, account_features: int = 5, device_type: Literal["cpu", "cuda"] = "cpu"
) -> StateSpecs:
    """What `TradingEnv.state_dict()` holds: {name: (shape, dtype)}, in its order."""
    specs: StateSpecs = {name: ((num_envs,), dtype) for name, dtype in PER_ENV.items()}
    specs["account"] = ((num_envs, lookback, account_features), "float32")
    specs["generator"] = ((GENERATOR_BYTES[device_type],), "uint8")
    return specs
