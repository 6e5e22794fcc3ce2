"""The first layer's convolution by torch.fft against the one by matrix products: `python benchmarks/first_layer_fft.py`.

Both multiply the same blocks of a series' windows with the same weights in the frequency domain, forward and the
weights' gradient; one transforms by `torch.fft`, with points that it is fast at, the trainer by matrix products. Both are
held against the direct product in float64 first, then timed in turns, each by its best of several.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.network.first_layer import Way
from worker.ppo.allocator import keep_freed_memory
from worker.ppo.block_spectrum import cover
from worker.ppo.env import WindowSeries
from worker.ppo.window_source import make_source

LOOKBACK, FEATURES = 100, 48
NETWORKS = {"Tiny": 256, "Small": 512, "Medium": 1024, "Large": 2048}
POINTS = (160, 216, 256)
"""Points of a block's transform, products of small primes; a block has LOOKBACK - 1 rows fewer."""


@dataclass(frozen=True)
class FourierWindows:
    """The windows that end with `rows_B`, by torch.fft. S blocks, N points, M frequencies, F features, H outputs."""

    points: int
    spectrum_MSF: Tensor
    place_B: Tensor
    """Of each row in the flattened [b, S]."""

    @classmethod
    def make(cls, series_TF: Tensor, rows_B: Tensor, points: int) -> "FourierWindows":
        """The series' own spectrum, made once for many products."""
        block = points - LOOKBACK + 1
        starts_S = torch.tensor(cover(sorted(set(rows_B.tolist())), block))
        reach_SN = (starts_S[:, None] + torch.arange(points) - LOOKBACK + 1).clamp(max=len(series_TF) - 1)
        spectrum_SMF = torch.fft.rfft(series_TF[reach_SN], dim=1)
        number_B = torch.searchsorted(starts_S, rows_B, right=True) - 1
        place_B = (rows_B - starts_S[number_B]) * len(starts_S) + number_B
        return cls(points, spectrum_SMF.transpose(0, 1).contiguous(), place_B)

    def add_to(self, out_BH: Tensor, weight_HM: Tensor) -> None:
        """Add the windows' products with the weights."""
        taps_LFH = weight_HM.view(len(weight_HM), LOOKBACK, FEATURES).permute(1, 2, 0).flip(0)
        spectrum_MFH = torch.fft.rfft(taps_LFH, n=self.points, dim=0)
        rows = torch.fft.irfft(torch.bmm(self.spectrum_MSF, spectrum_MFH), n=self.points, dim=0)
        out_BH += rows[LOOKBACK - 1 :].flatten(0, 1).index_select(0, self.place_B)

    def gradient(self, grad_BH: Tensor, out_HM: Tensor) -> None:
        """Write the weights' gradient."""
        blocks = self.spectrum_MSF.shape[1]
        rows = grad_BH.new_zeros(self.points, blocks, grad_BH.shape[1])
        rows[LOOKBACK - 1 :].flatten(0, 1).index_add_(0, self.place_B, grad_BH)
        spectrum_MSH = torch.fft.rfft(rows, dim=0)
        spectrum_MFH = torch.bmm(self.spectrum_MSF.conj().transpose(1, 2), spectrum_MSH)
        taps_LFH = torch.fft.irfft(spectrum_MFH, n=self.points, dim=0)[:LOOKBACK]
        out_HM.copy_(taps_LFH.flip(0).permute(2, 0, 1).flatten(1))


def main() -> None:
    options = _parse()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, {options.threads} threads, torch {torch.__version__}, "
        f"{options.clock} clock, load average {os.getloadavg()[0]:.1f}\n{options.envs} environments x {options.steps} steps, "
        f"{options.span:,} rows, a minibatch of a quarter: forward and the weights' gradient, ms"
    )
    print(
        f"{'network':8}{'points':>8}{'by products':>13}{'by torch.fft':>14}{'ratio':>8}{'largest error':>15}"
    )
    for name in options.networks:
        for points in POINTS:
            _compare(name, points, options)


def _compare(name: str, points: int, options: argparse.Namespace) -> None:
    draw = torch.Generator().manual_seed(7)
    series_TF = torch.randn(options.span + LOOKBACK, FEATURES, generator=draw)
    last = options.span + LOOKBACK - 1
    starts_N = torch.randint(LOOKBACK - 1, last - options.steps, (options.envs,), generator=draw)
    rows = (starts_N + torch.arange(options.steps)[:, None]).flatten()
    rows_B = rows[torch.randperm(len(rows), generator=draw)[: len(rows) // 4]]
    weight_HM = torch.randn(NETWORKS[name], LOOKBACK * FEATURES, generator=draw)
    way = Way("convolution", points - LOOKBACK + 1)
    source = make_source(
        way, WindowSeries(series_TF, LOOKBACK, "row", ((LOOKBACK - 1, last),)), torch.float32
    )
    source.prepare(rows)
    fourier = FourierWindows.make(series_TF, rows, points)
    fourier = FourierWindows(points, fourier.spectrum_MSF, fourier.place_B[_found(rows, rows_B)])
    ways = {"products": source.windows(rows_B), "fft": fourier}
    error = max(_error(each, series_TF, rows_B, weight_HM) for each in ways.values())
    runs = {key: _both(each, len(rows_B), weight_HM) for key, each in ways.items()}
    best = _time(runs, time.process_time if options.clock == "cpu" else time.perf_counter, options.repeats)
    print(
        f"{name:8}{points:>8}{1e3 * best['products']:>13.1f}{1e3 * best['fft']:>14.1f}"
        f"{best['fft'] / best['products']:>8.2f}{error:>15.1e}",
        flush=True,
    )


def _found(rows: Tensor, some: Tensor) -> Tensor:
    """For each of `some` a place where it stands in `rows`."""
    ranked, order = rows.sort()
    return order[torch.searchsorted(ranked, some)]


def _both(windows: object, batch: int, weight_HM: Tensor) -> Callable[[], None]:
    grad_BH, gradient_HM = torch.randn(batch, len(weight_HM)), torch.empty_like(weight_HM)

    def run() -> None:
        windows.add_to(torch.zeros(batch, len(weight_HM)), weight_HM)  # type: ignore[attr-defined]
        windows.gradient(grad_BH, gradient_HM)  # type: ignore[attr-defined]

    return run


def _error(windows: object, series_TF: Tensor, rows_B: Tensor, weight_HM: Tensor) -> float:
    """Largest error of some products and of the gradient, relative to their largest value, against float64."""
    ends_B, draw = rows_B, torch.Generator().manual_seed(1)
    seen_BM = series_TF.double()[ends_B[:, None] + torch.arange(-LOOKBACK + 1, 1)].flatten(1)
    grad_BH = torch.randn(len(rows_B), len(weight_HM), generator=draw)
    out_BH, gradient_HM = torch.zeros_like(grad_BH), torch.empty_like(weight_HM)
    windows.add_to(out_BH, weight_HM)  # type: ignore[attr-defined]
    windows.gradient(grad_BH, gradient_HM)  # type: ignore[attr-defined]
    some = slice(0, 64)
    exact = seen_BM @ weight_HM[some].double().T, grad_BH[:, some].double().T @ seen_BM
    pairs = zip((out_BH[:, some], gradient_HM[some]), exact, strict=True)
    return max(float((is_ - due).abs().max() / due.abs().max()) for is_, due in pairs)


def _time(runs: dict[str, Callable[[], None]], clock: Callable[[], float], repeats: int) -> dict[str, float]:
    best = dict.fromkeys(runs, float("inf"))
    for turn in range(repeats + 1):
        for name, run in runs.items():
            started = clock()
            run()
            if turn:  # the first warms up
                best[name] = min(best[name], clock() - started)
    return best


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["Tiny", "Medium"])
    parser.add_argument("--envs", type=int, default=64)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--span", type=int, default=12_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
