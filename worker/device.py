"""`python -m worker.device`: says in JSON which device, tier and versions this machine has.

A process of its own, so that the asking one never loads torch or touches CUDA.
"""

import json
import platform
import sys
from typing import Any

import torch

from app.network.contents import WRITER_VERSIONS
from worker.ppo.device import detect_device


def describe_device() -> dict[str, Any]:
    """Device, tier and versions as plain values."""
    device = detect_device()
    return {
        "tier": device.tier.name,
        "device": {"name": device.name, "total_bytes": device.total_bytes, "reason": device.reason},
        "versions": {
            **WRITER_VERSIONS,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
            "cuda": torch.version.cuda,
        },
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(describe_device()))
