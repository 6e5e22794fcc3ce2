"""The child process of `app.checkpoint.weights_child`: two open files, a request on stdin, an answer on stdout."""

import json
import os
import resource
import sys
from typing import Any

from app.checkpoint.weights_diff import SkippedTensor, TensorDistance, WeightsDiff
from app.errors import UnreadableCheckpoint
from app.weights.distance import Distance
from app.weights.locate import locate_storages
from app.weights.storages import Storages
from app.weights.tensor import StoredTensor


def main() -> None:
    """Read the request, fence this process in, compare, answer."""
    request = json.load(sys.stdin)
    _fence(request["max_memory_bytes"], request["max_cpu_seconds"])
    try:
        answer = {"diff": compare(request, [int(number) for number in sys.argv[1:3]]).plain()}
    except UnreadableCheckpoint as error:
        answer = {"error": {"detail": error.detail, "hint": error.hint}}
    sys.stdout.write(json.dumps(answer, allow_nan=False))


def compare(request: dict[str, Any], descriptors: list[int]) -> WeightsDiff:
    """Compare every pair of the request; one that cannot be compared is told with its reason."""
    left, right = (
        locate_storages(descriptor, file["format"], file["tensors"])
        for descriptor, file in zip(descriptors, request["files"], strict=True)
    )
    skipped = [SkippedTensor(**entry) for entry in request["skipped"]]
    tensors: list[TensorDistance] = []
    total = Distance()
    for pair in request["pairs"]:
        try:
            distance = _measure(pair, left, right, request["parent"])
        except UnreadableCheckpoint as error:
            skipped.append(SkippedTensor(pair["name"], error.detail))
            continue
        total.merge(distance)
        ours, theirs = pair["left"], pair["right"]
        dtypes = (ours["dtype"], theirs["dtype"])
        tensors.append(distance.finish(pair["name"], pair["right_name"], tuple(ours["shape"]), dtypes))
    return WeightsDiff(
        left=request["names"][0],
        right=request["names"][1],
        tensors=tuple(tensors),
        total=total.finish("all", "all", (total.values,), ("", "")),
        skipped=tuple(skipped),
        identical=bool(tensors) and not skipped and total.changed == 0,
        bytes_read=left.bytes_read + right.bytes_read,
        explanation=_explain(tensors, skipped, total),
    )


def _measure(pair: dict[str, Any], left: Storages, right: Storages, parent: int) -> Distance:
    distance = Distance()
    ours, theirs = StoredTensor.of(left, pair["left"]), StoredTensor.of(right, pair["right"])
    for a, b in zip(ours.blocks(), theirs.blocks(), strict=True):
        if os.getppid() != parent:
            sys.exit(1)  # nobody waits for the answer any more
        distance.add(a, b)
    return distance


def _explain(tensors: list[TensorDistance], skipped: list[SkippedTensor], total: Distance) -> str:
    if not tensors:
        return "no tensor has a counterpart of its shape"
    left_out = f"; {len(skipped)} tensors were not compared" if skipped else ""
    if not total.changed:
        return f"all {total.values:,} values of {len(tensors)} tensors are equal{left_out}"
    moved = sum(1 for tensor in tensors if tensor.changed)
    return (
        f"{total.changed:,} of {total.values:,} values differ, in {moved} of {len(tensors)} tensors{left_out}"
    )


def _fence(memory: int, seconds: int) -> None:
    """No more memory or time than given, no file written, no core dumped."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
