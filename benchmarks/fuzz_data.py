"""Bodies that the API accepts, put now and then in place of random ones: no random bytes are a checkpoint, or bars."""

import itertools
import json
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.hooks import GLOBAL_HOOK_DISPATCHER
from schemathesis.transport.serialization import Binary

from app.api.calibration_example import MEASURED
from benchmarks.fuzz_stack import BARS, DECLARED, SPEC

SHARE = 0.5
"""Share of the requests with good data whose body is replaced."""
PART = "application/offset+octet-stream"
ROWS = 700
"""Bars of the dataset that is sent."""


def small_checkpoint(fill: int) -> bytes:
    """A policy in CleanRL's layout, as a safetensors file."""
    header: dict[str, Any] = {}
    end = 0
    for head, out in (("actor", 3), ("critic", 1)):
        for index, (a, b) in enumerate(itertools.pairwise((6, 8, 4, out))):
            for name, shape in ((f"{head}.{index * 2}.weight", (b, a)), (f"{head}.{index * 2}.bias", (b,))):
                start, end = end, end + 4 * math.prod(shape)
                header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes([fill]) * end


def make_bodies(draw: random.Random) -> dict[str, Callable[[], Any]]:
    """Operation -> a body that it accepts."""

    def checkpoint() -> Binary:
        return Binary(small_checkpoint(draw.randrange(8)))

    # The same bytes under the same name would be the checkpoint that another walk deletes.
    numbers = itertools.count(1)
    bars = Binary(b"\n".join(BARS.read_bytes().splitlines()[: ROWS + 1]))
    dataset = {"file": bars, **DECLARED}
    return {
        "POST /checkpoints": lambda: {"file": checkpoint(), "name": f"fuzzed {next(numbers)}"},
        "POST /checkpoints/inspect": lambda: {"file": checkpoint()},
        "POST /checkpoints/diff": lambda: {"left": checkpoint(), "right": checkpoint()},
        "POST /datasets": lambda: {**dataset, "name": f"fuzzed {next(numbers)}"},
        "POST /datasets/check": lambda: dict(dataset),
        "POST /jobs": lambda: {**SPEC, "seed": draw.randrange(1_000)},
        "POST /jobs/preview": lambda: {**SPEC, "seed": draw.randrange(1_000)},
        "POST /calibrations": lambda: MEASURED,
    }


@contextmanager
def plausible_bodies(seed: int) -> Iterator[set[str]]:
    """Replace a share of the good bodies, the same ones for the same seed; parts of uploads are any bytes.

    Gives the ids of the cases whose body was replaced: schemathesis, which looks at it again, takes the bytes of a file
    for a breach of the schema.
    """
    replaced: set[str] = set()
    schemathesis.openapi.media_type(PART, st.binary(max_size=2_000))
    draw = random.Random(seed)
    bodies = make_bodies(draw)

    def before_call(context: Any, case: Any, _kwargs: Any) -> None:  # noqa: ARG001 - as schemathesis calls it
        make = bodies.get(case.operation.label)
        is_good = case.meta is not None and case.meta.generation.mode.is_positive
        if make is not None and is_good and draw.random() < SHARE:
            case.body = make()
            replaced.add(case.id)

    schemathesis.hook("before_call")(before_call)
    try:
        yield replaced
    finally:
        GLOBAL_HOOK_DISPATCHER.unregister(before_call)
