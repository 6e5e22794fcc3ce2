"""A worked example of a calibration; its tables are smaller than a real one's."""

from typing import Any

from app.api.examples import EARLIER, LATER
from app.network.timing.calibration import STREAMS

_LAYOUTS = ("nn", "nt", "tn", "batched")


def _spread(typical: float) -> dict[str, float]:
    return {"fastest": 0.9 * typical, "typical": typical, "slowest": 1.2 * typical}


def _table(layout: str) -> dict[str, Any]:
    """Products of 16 and 1,024: from 5 to 90 GFLOP/s."""
    typical = [2e-10, 8e-11, 8e-11, 2.5e-11, 8e-11, 2.5e-11, 2.5e-11, 1.1e-11]
    return {
        "precision": "fp32",
        "layout": layout,
        "levels": [16, 1024],
        "fastest": [0.95 * value for value in typical],
        "typical": typical,
        "slowest": [1.1 * value for value in typical],
    }


MEASURED: dict[str, Any] = {
    "device": "AMD EPYC, 2 threads",
    "device_type": "cpu",
    "threads": 2,
    "versions": {"caliper": "0.1.0", "torch": "2.13.0+cpu"},
    "measured_at": EARLIER,
    "seconds": 11.5,
    "turns": 9,
    "clock": "wall",
    "load": {
        "load_average": 0.21,
        "busy_percent": 1.0,
        "waiting_percent": 2.5,
        "stolen_percent": 0.1,
        "cpus": 2,
        "loaded": False,
    },
    "products": [_table(layout) for layout in _LAYOUTS],
    "streams": [{"name": name, "seconds": _spread(2e-10)} for name in STREAMS],
    "activations": [
        {"name": name, "forward": _spread(forward), "backward": _spread(6e-10)}
        for name, forward in (("tanh", 1.4e-9), ("relu", 4e-10), ("elu", 8e-10), ("silu", 5e-10))
    ],
    "adam": [
        {"parameters": 65_536, "seconds": _spread(2e-9)},
        {"parameters": 8_388_608, "seconds": _spread(1e-9)},
    ],
    "loop": {
        "operation": _spread(2.6e-6),
        "update": _spread(8e-4),
        "step": _spread(7e-4),
        "env_step": _spread(6e-7),
        "advantage_step": _spread(5e-6),
        "gather": _spread(8e-5),
        "gather_sample": _spread(5e-8),
        "minibatch": _spread(1.5e-3),
        "sample": _spread(3e-7),
    },
    "corrections": [
        {"what": "convolution", "part": "forward", "width": 192, "samples": 2_048, "ratio": _spread(1.3)},
        {"what": "network", "part": "backward", "width": 192, "samples": 2_048, "ratio": _spread(1.1)},
    ],
    "unsteadiness": 1.03,
}
CALIBRATION: dict[str, Any] = {
    "id": "calibration_019ab3c2d1e04f6a7b8c9d",
    "device": MEASURED["device"],
    "device_type": MEASURED["device_type"],
    "threads": MEASURED["threads"],
    "versions": MEASURED["versions"],
    "loaded": False,
    "measured_at": EARLIER,
    "created_at": LATER,
}
CALIBRATION_DETAIL = {**CALIBRATION, "measured": MEASURED}
