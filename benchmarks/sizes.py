"""How long the prediction of file sizes takes, in a process without torch.

    python benchmarks/sizes.py

Per network, the processor time of the checkpoint's size alone, and of all four files (checkpoint, weights alone,
safetensors, ONNX): median and worst of calls, each of a shape that was not asked for before, so that nothing is cached.
"""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.network.config import PPOConfig
from app.network.disk.archive_size import torch_save_bytes
from app.network.disk.contents import predicted_contents
from app.network.estimate import disk_estimate
from app.network.shape import NetworkShape

CALLS = 200
OBS_DIM = 5300


@dataclass(frozen=True)
class Case:
    """A network to be measured."""

    name: str
    shape: NetworkShape
    config: PPOConfig


def make_cases() -> list[Case]:
    networks = {
        "Large": (2048, 1024, 512, 256),
        "Medium": (1024, 512, 256),
        "Small": (512, 256, 128),
        "Tiny": (256, 128, 64),
        "16 layers": (64,) * 16,
    }
    plain = [Case(name, NetworkShape(OBS_DIM, w), PPOConfig(hidden_dims=w)) for name, w in networks.items()]
    widths = networks["16 layers"]
    most = NetworkShape(OBS_DIM, widths, 3, "gaussian", layer_norm=True, shared_trunk=False)
    config = PPOConfig(
        hidden_dims=widths, layer_norm=True, shared_trunk=False, norm_obs=True, norm_reward=True
    )
    return [*plain, Case("all at once", most, config)]


def main() -> None:
    print(
        f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}; {CALLS} calls each"
    )
    print("processor time in ms        |     checkpoint      |     all four        |")
    print(
        f"{'network':<14}{'tensors':>8}{'median':>16}{'worst':>8}{'median':>14}{'worst':>8}{'checkpoint, B':>16}"
    )
    for case in make_cases():
        alone = _times(case, lambda shape, config: torch_save_bytes(predicted_contents(shape, config)))
        together = _times(case, disk_estimate)
        size = disk_estimate(case.shape, case.config).checkpoint.bytes
        figures = f"{alone[0]:>16.2f}{alone[1]:>8.2f}{together[0]:>14.2f}{together[1]:>8.2f}{size:>16,}"
        print(f"{case.name:<14}{len(case.shape.tensors):>8}{figures}")
    assert "torch" not in sys.modules
    print("torch was not loaded")


def _times(case: Case, predict: Callable[[NetworkShape, PPOConfig], object]) -> tuple[float, float]:
    """Median and worst, in milliseconds."""
    taken = []
    for call in range(CALLS):
        shape = replace(case.shape, obs_dim=OBS_DIM + call)
        started = time.process_time()
        predict(shape, case.config)
        taken.append(1e3 * (time.process_time() - started))
    return statistics.median(taken), max(taken)


if __name__ == "__main__":
    main()
