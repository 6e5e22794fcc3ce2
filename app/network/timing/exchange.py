"""What several processes send each other: after each minibatch's backward, all gradients, averaged over all of them.

Shares of advantages, statistics and figures that they join are left out: a few bytes a sample.
"""

from app.network.shape import NetworkShape
from app.network.timing.calibration import Case
from app.network.timing.work import FLOAT

BANDWIDTHS: dict[Case, tuple[float, str]] = {
    "fastest": (
        900e9,
        "NVLink 5 by its maker's data sheet, 1.8 TB/s both ways together; latency disregarded",
    ),
    "typical": (16e9, "half of what PCIe 4.0 x16 carries one way, 32 GB/s"),
    "slowest": (1e9, "a network of 10 Gbit/s at four fifths"),
}
"""Bytes a second that a process sends, by case, and why; assumed, as no exchange was measured."""


def sent_bytes(shape: NetworkShape, processes: int) -> float:
    """Bytes that each process sends in one all-reduce of the fp32 gradients: 2·(n - 1)/n of them.

    As a ring does it, which no other way undercuts (Patarasuk and Yuan 2009, section 3).
    """
    return 2 * (processes - 1) / processes * FLOAT * shape.parameters


def exchange_seconds(sent: float, case: Case) -> float:
    """Seconds of sending so many bytes."""
    return sent / BANDWIDTHS[case][0]
