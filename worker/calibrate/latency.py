"""Time of one decision for one observation: torch and ONNX Runtime side by side on the same weights.

`python -m worker.calibrate.latency --hidden 512,256,128 …`: JSON lines on standard output, one a network. Everything
runs in one thread on one processor, engines in turns of blocks of calls, garbage collection off. A call begins
with the observation in memory and ends with policy outputs and value there.
"""

import argparse
import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from app.network.disk.file_layout import TensorBytes
from app.network.disk.onnx_layout import onnx_layout
from app.network.shape import NetworkShape
from worker.calibrate.machine import BUSY_PERCENT, LoadWatch
from worker.device import name_processor
from worker.ppo.network import NativeActorCritic

BUSY = 1
WARM_UP, BLOCK, FEWEST_BLOCKS = 100, 100, 10
CHECKED = 64
"""Observations on which the engines' outputs are compared."""

Outputs = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
Engine = Callable[[np.ndarray[Any, Any]], Outputs]
"""One decision: observations [B, obs_dim] -> policy outputs [B, A] and values [B]."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long single decisions took, in microseconds."""

    engine: str
    calls: int
    p50: float
    p99: float
    p999: float
    max: float
    max_difference: float
    """Largest difference of an output from torch's eager ones."""


def main(arguments: list[str] | None = None) -> int:
    """Measure each network; the exit code."""
    options = _parse(arguments)
    watch = LoadWatch.begin()
    processor = _pin()
    about = {
        "device": f"{name_processor()}, 1 thread on processor {processor}",
        "busy_percent": watch.busy_percent,
        "limit": BUSY_PERCENT,
    }
    _write("machine", **about)
    if watch.is_busy and not options.force:
        _write("refused", **about)
        return BUSY
    for hidden in options.hidden:
        dims = tuple(int(width) for width in hidden.split(","))
        shape = NetworkShape(options.obs_dim, dims, options.action_dim)
        found = measure_network(shape, options.seconds, compiled=options.compile)
        _write(
            "network", hidden_dims=dims, parameters=shape.parameters, engines=[asdict(each) for each in found]
        )
    _write("verdict", load=asdict(watch.end()))
    return 0


def measure_network(shape: NetworkShape, seconds: float, *, compiled: bool = False) -> list[Latency]:
    """All engines on one network with random weights, for about so many seconds in all."""
    network = NativeActorCritic(shape, generator=torch.Generator().manual_seed(1)).eval()
    engines = dict(_engines(network, compiled=compiled))
    observations = np.random.default_rng(1).standard_normal((CHECKED, 1, shape.obs_dim), dtype=np.float32)
    samples = _time(engines, observations, seconds)
    expected = [engines["torch"](each) for each in observations]
    return [
        _summarise(name, samples[name], _differ(engine, observations, expected))
        for name, engine in engines.items()
    ]


def onnx_file(network: NativeActorCritic) -> bytes:
    """The network as `caliper export --format onnx` writes it."""
    values = network.state_dict()
    layout = onnx_layout(network.shape, network.activation, norm_obs=False, metadata={})
    return b"".join(
        values[part.name].numpy().tobytes() if isinstance(part, TensorBytes) else part for part in layout
    )


def _engines(network: NativeActorCritic, *, compiled: bool) -> Iterator[tuple[str, Engine]]:
    yield "torch", _torch_engine(network)
    if compiled:
        yield "torch.compile", _torch_engine(torch.compile(network))
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError:
        return
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(onnx_file(network), options, providers=["CPUExecutionProvider"])
    policy = "logits" if network.shape.action_kind == "discrete" else "mean"

    def run(observation: np.ndarray[Any, Any]) -> Outputs:
        outputs, value = session.run([policy, "value"], {"observations": observation})
        return outputs, value[:, 0]

    yield f"ONNX Runtime {runtime.__version__}", run


def _torch_engine(network: Callable[..., Any]) -> Engine:
    @torch.inference_mode()
    def run(observation: np.ndarray[Any, Any]) -> Outputs:
        outputs, value = network(torch.from_numpy(observation))
        return outputs.numpy(), value.numpy()

    return run


def _time(
    engines: Mapping[str, Engine], observations: np.ndarray[Any, Any], seconds: float
) -> dict[str, list[int]]:
    """Nanoseconds of each call; the engines take turns of a block of calls."""
    samples: dict[str, list[int]] = {name: [] for name in engines}
    for engine in engines.values():
        _call(engine, observations, WARM_UP)
    ends, blocks = time.monotonic() + seconds, 0
    gc.collect()
    gc.disable()
    try:
        while blocks < FEWEST_BLOCKS or time.monotonic() < ends:
            for name, engine in engines.items():
                _call(engine, observations, 2)  # the other engine's weights have taken the cache
                samples[name] += _call(engine, observations, BLOCK)
            blocks += 1
    finally:
        gc.enable()
    return samples


def _call(engine: Engine, observations: np.ndarray[Any, Any], count: int) -> list[int]:
    taken = []
    for index in range(count):
        observation = observations[index % len(observations)]
        started = time.perf_counter_ns()
        engine(observation)
        taken.append(time.perf_counter_ns() - started)
    return taken


def _differ(engine: Engine, observations: np.ndarray[Any, Any], expected: list[Outputs]) -> float:
    pairs = zip((engine(each) for each in observations), expected, strict=True)
    return max(
        float(np.abs(a - b).max()) for found, wanted in pairs for a, b in zip(found, wanted, strict=True)
    )


def _summarise(name: str, nanoseconds: list[int], difference: float) -> Latency:
    ranked = np.sort(np.asarray(nanoseconds)) / 1e3
    p50, p99, p999 = (round(float(np.quantile(ranked, share)), 2) for share in (0.5, 0.99, 0.999))
    return Latency(name, len(ranked), p50, p99, p999, round(float(ranked[-1]), 2), difference)


def _pin() -> int:
    """Keep to one thread on the last processor that this process may use."""
    torch.set_num_threads(1)
    processor = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {processor})
    return processor


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker.calibrate.latency")
    parser.add_argument("--hidden", nargs="+", required=True)
    parser.add_argument("--obs-dim", type=int, default=5_300)
    parser.add_argument("--action-dim", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="for each network")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--force", action="store_true", help="measure a busy machine too")
    return parser.parse_args(arguments)


def _write(event: str, **values: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
