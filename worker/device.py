"""Which device this worker has, as JSON on standard output: `python -m worker.device`.

Run as a child process, so that the consuming process never touches CUDA.
"""

import json
import platform
import sys
from typing import Any

import torch

from app.network.contents import WRITER_VERSIONS
from worker.ppo.device import detect_device


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
            "total_bytes": device.total_bytes,
            "reason": device.reason,
        },
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    found = {
        "caliper": WRITER_VERSIONS["caliper"],
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "rocm": torch.version.hip,
    }
    return {name: version for name, version in found.items() if version}


if __name__ == "__main__":
    main()
