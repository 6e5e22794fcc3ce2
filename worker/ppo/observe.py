"""Which observer a run gets: windows are shared where the environment knows of them, and where it is exact."""

import logging

from app.errors import InvalidConfig
from app.network.first_layer import FirstLayerPlan, WindowGeometry, plan_first_layer
from worker.ppo.config import PPOConfig
from worker.ppo.distributed import World
from worker.ppo.env import BatchedEnv, WindowedEnv, WindowSeries
from worker.ppo.network import NativeActorCritic
from worker.ppo.observer import MaterialisingObserver, Observer
from worker.ppo.precision import Arithmetic
from worker.ppo.window_source import merge_ranges
from worker.ppo.windowed_observer import WindowedObserver

_LOGGER = logging.getLogger(__name__)


def observe(
    env: BatchedEnv,
    network: NativeActorCritic,
    config: PPOConfig,
    arithmetic: Arithmetic,
    world: World | None = None,
) -> tuple[FirstLayerPlan | None, Observer]:
    """The observer for this environment, and how it computes the first layer; None where it does not.

    Observations with running normalisation are clipped column by column, which no sum of products gives:
    they are always materialised. Raises InvalidConfig where `first_layer` asks for what cannot be.
    """
    if not isinstance(env, WindowedEnv) or config.norm_obs or not _is_finite(env.windows):
        _refuse(env, config)
        return None, MaterialisingObserver(env, norm_obs=config.norm_obs, world=world)
    plan = plan_first_layer(config, describe(env.windows), env.device.type)
    _LOGGER.info("first layer: %s", plan.reason)
    return plan, WindowedObserver(env, network, plan, config.num_steps, arithmetic)


def describe(windows: WindowSeries) -> WindowGeometry:
    """The windows' sizes, as the cost model needs them."""
    ranges = merge_ranges(windows.ranges)
    rows = [stop - start for start, stop in ranges]
    series_rows, features = windows.series_TF.shape
    return WindowGeometry(windows.lookback, features, sum(rows), len(rows), series_rows, min(rows))


def _is_finite(windows: WindowSeries) -> bool:
    """In the frequency domain one value that is not would spread over its whole block."""
    # Both pass NaN on; a mask of all values would for a moment take as much again as the series itself.
    low, high = windows.series_TF.aminmax()
    return bool(low.isfinite() & high.isfinite())


def _refuse(env: BatchedEnv, config: PPOConfig) -> None:
    if config.first_layer not in ("table", "convolution"):
        return
    why = "the environment names no windows"
    if isinstance(env, WindowedEnv):
        why = (
            "norm_obs clips each column" if config.norm_obs else "the series holds values that are not finite"
        )
    raise InvalidConfig(
        f"first_layer is {config.first_layer!r}, but {why}", hint="auto or direct", pointer="first_layer"
    )
