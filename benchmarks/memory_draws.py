"""Random runs whose memory is predicted and tracked: widths, batches and settings from the narrowest up."""

import math
import random
from collections.abc import Callable
from dataclasses import replace

from app.network.config import PPOConfig
from app.network.shape import NetworkShape
from benchmarks.tracked_trainer import EPISODE, Case, Market

TRADING = {"discrete": 3, "gaussian": 1}
"""Actions of the trading environment."""

KINDS: dict[str, Callable[[random.Random], Case]] = {}
"""Classes of runs by name; each draws a case."""


def _kind(name: str) -> Callable[[Callable[[random.Random], Case]], Callable[[random.Random], Case]]:
    def add(draw: Callable[[random.Random], Case]) -> Callable[[random.Random], Case]:
        KINDS[name] = draw
        return draw

    return add


@_kind("fp32")
def draw_fp32(draw: random.Random) -> Case:
    """Stored observations, everything else drawn."""
    return _draw_stored(draw, "fp32")


@_kind("bf16")
def draw_bf16(draw: random.Random) -> Case:
    """The same under autocast."""
    return _draw_stored(draw, "bf16")


@_kind("processes")
def draw_processes(draw: random.Random) -> Case:
    """Two to eight processes that train one policy, in either precision."""
    return _share(draw, _draw_stored(draw, draw.choice(["fp32", "bf16"])))


@_kind("windows")
def draw_windows(draw: random.Random) -> Case:
    """A market seen through windows, in each way of the first layer."""
    market = Market(
        draw.choice([700, 3_000, 12_000, 40_000]), draw.randint(2, 48), draw.choice([5, 20, 50, 100])
    )
    obs_dim = market.lookback * (market.features + 5)
    shape, config = _draw_network(draw, obs_dim, draw.choice(["fp32", "bf16"]), TRADING)
    config.first_layer = draw.choice(["auto", "direct", "table", "convolution"])
    return Case(shape, config, market=market)


@_kind("windows, processes")
def draw_shared_windows(draw: random.Random) -> Case:
    """The same by several processes, each of which plans its first layer for its own share."""
    return _share(draw, draw_windows(draw))


@_kind("windows, norm_obs")
def draw_normalised(draw: random.Random) -> Case:
    """Windows that are written out, as running normalisation needs."""
    case = draw_windows(draw)
    case.config.norm_obs, case.config.first_layer = True, "auto"
    return case


@_kind("stored, on a CPU")
def draw_stored_on_cpu(draw: random.Random) -> Case:
    """Stored observations as real tensors, of fewer environments."""
    case = _draw_stored(draw, draw.choice(["fp32", "bf16"]))
    case.config.num_envs = 2 * _log(draw, 1, 64)
    _split(draw, case.config, most=16)
    return Case(case.shape, case.config, device_type="cpu")


@_kind("windows on a CPU")
def draw_on_cpu(draw: random.Random) -> Case:
    """Real tensors, small ones: how many distinct windows there are is known only then. Some begin anew within a rollout."""
    market = Market(draw.choice([700, 2_000, 5_000]), draw.randint(2, 24), draw.choice([5, 20, 50]))
    shape, config = _draw_network(draw, market.lookback * (market.features + 5), "fp32", TRADING)
    config.hidden_dims = tuple(min(width, 256) for width in config.hidden_dims)
    config.num_envs, config.num_steps = _log(draw, 2, 64), draw.choice([4, 8, 16])
    config.oom_retry, config.target_kl = draw.random() < 0.3, draw.choice([None, 1.0])
    _split(draw, config, most=8)
    config.first_layer = draw.choice(["auto", "direct", "table", "convolution"])
    shape, episode = replace(shape, hidden_dims=config.hidden_dims), draw.choice([5, 12, EPISODE])
    return Case(shape, config, market=market, device_type="cpu", episode=episode)


def _draw_stored(draw: random.Random, precision: str) -> Case:
    actions = {"discrete": _log(draw, 2, 40), "gaussian": _log(draw, 1, 20)}
    shape, config = _draw_network(draw, _log(draw, 2, 6_000), precision, actions)
    config.norm_obs = draw.random() < 0.3
    return Case(shape, config, draw.choice(["fused", "foreach", "for-loop"]))


def _draw_network(
    draw: random.Random, obs_dim: int, precision: str, actions: dict[str, int]
) -> tuple[NetworkShape, PPOConfig]:
    dims = tuple(_log(draw, 4, 2_048) for _ in range(draw.randint(1, 4)))
    kind = draw.choice(["discrete", "gaussian"])
    layer_norm, shared = draw.random() < 0.4, draw.random() < 0.6
    shape = NetworkShape(obs_dim, dims, actions[kind], kind, layer_norm, shared)  # type: ignore[arg-type] # one of both
    config = PPOConfig(
        hidden_dims=dims,
        num_envs=2 * _log(draw, 8, 4_096),
        num_steps=draw.choice([1, 2, 16, 64]),
        update_epochs=draw.choice([1, 1, 2]),
        precision=precision,  # type: ignore[arg-type] # one of the names
        layer_norm=layer_norm,
        shared_trunk=shared,
        activation=draw.choice(["tanh", "relu", "elu", "silu"]),
        norm_adv=draw.random() < 0.7,
        clip_vloss=draw.random() < 0.7,
        norm_reward=draw.random() < 0.3,
    )
    _split(draw, config, most=16)
    return shape, config


def _share(draw: random.Random, case: Case) -> Case:
    """The same for each of several processes."""
    size = draw.choice([2, 4, 8])
    case.config.num_envs *= size
    return Case(case.shape, case.config, market=case.market, processes=size)


def _split(draw: random.Random, config: PPOConfig, most: int) -> None:
    """Cut the batch into minibatches."""
    batch = config.num_envs * config.num_steps
    config.num_minibatches = draw.choice(
        [parts for parts in (1, 2, 4, 8, 16) if parts <= most and batch % parts == 0]
    )


def _log(draw: random.Random, low: int, high: int) -> int:
    """A whole number whose logarithm is uniform."""
    return round(math.exp(draw.uniform(math.log(low), math.log(high))))
