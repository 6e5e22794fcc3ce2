"""Which device this worker has, as JSON on standard output: `python -m worker.device`; and how much memory a run takes.

Run as a child process, so that the consuming process never touches CUDA.
"""

import json
import platform
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from app.network.disk.contents import WRITER_VERSIONS
from app.release import find_commit
from app.settings import get_settings
from worker.ppo.device import Device, detect_device

_CPUINFO = Path("/proc/cpuinfo")

RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of the unit in which the system tells a process's largest memory."""


def main() -> None:
    """Write the description and a line end."""
    sys.stdout.write(json.dumps(describe_device()) + "\n")


def describe_device() -> dict[str, Any]:
    """`tier` (its name), `queue` (which this device's worker should consume), `device` and `versions`."""
    device = detect_device()
    return {
        "tier": device.tier.name,
        "device": {
            "type": device.torch_device.type,
            "name": device.name,
            "measured_as": name_device(device),
            "total_bytes": device.total_bytes,
            "reason": device.reason,
        },
        "versions": list_versions(),
    }


def name_device(device: Device) -> str:
    """The name under which the device is calibrated: a card's own, or the processor's model and torch's threads."""
    if device.torch_device.type != "cpu":
        return device.name
    return f"{name_processor()}, {torch.get_num_threads()} threads"


def name_processor() -> str:
    """The processor's model as the system names it."""
    with suppress(OSError):
        for line in _CPUINFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory_in_use(device: torch.device) -> float:
    """Most bytes in use since the call before: what PyTorch reserved of a GPU, this process's memory on a CPU.

    Where the system does not tell the present memory of a process, its most so far.
    """
    if device.type == "cuda":
        most = torch.cuda.max_memory_reserved(device)
        torch.cuda.reset_peak_memory_stats(device)
        return float(most)
    try:
        resident_pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT)
    return float(int(resident_pages) * resource.getpagesize())


def list_versions() -> dict[str, str]:
    """What runs here: Caliper's release and the commit of its source where that is known, Python, torch, driver."""
    found = {
        "caliper": WRITER_VERSIONS["caliper"],
        "commit": get_settings().source_commit or find_commit(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "rocm": torch.version.hip,
    }
    return {name: version for name, version in found.items() if version}


if __name__ == "__main__":
    main()
