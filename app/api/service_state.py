"""What the service's parts tell Prometheus at each scrape. What does not answer is left out, and `caliper_up` says so.

Gauges that are read from the registry or from Redis are equal in every API process: take one of them (max). Counters and
loops are each process's own: add them (sum).
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.actions.prove_consumption import OK
from app.api.dependencies import Parts
from app.errors import Unavailable
from app.jobs.lifecycle import Outcome, State
from app.network.disk.contents import WRITER_VERSIONS
from app.network.tiers import TIERS
from app.registry.consumption import list_consumers
from app.registry.measures import Measures, StoredKind, Waiting, take_measures

KINDS = ("final", "periodic", "stopped", "uploaded")
"""Kinds of checkpoints; a kind that is not among them counts as `other`."""

OTHER = "other"

Samples: TypeAlias = Iterable[tuple[tuple[str, ...], float]]
"""Values of labels, and the value that they stand for."""


class ServiceState(Collector):
    """Asks registry, broker, disk and this process's own loops."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """All families, with 0 and 1 for whether each part answered."""
        up: list[tuple[tuple[str, ...], float]] = []
        asked: tuple[tuple[str, Callable[[], Iterator[Metric]]], ...] = (
            ("database", self._registry),
            ("redis", self._queues),
            ("disk", self._disk),
        )
        for part, families in asked:
            try:
                found = list(families())
            except (Unavailable, OSError):
                up.append(((part,), 0))
            else:
                up.append(((part,), 1))
                yield from found
        yield gauge("up", "Whether a part of the service answers.", ("part",), up)
        yield gauge("build_info", "The running release.", ("version",), [((WRITER_VERSIONS["caliper"],), 1)])
        yield from self._process()

    def _registry(self) -> Iterator[Metric]:
        parts = self._parts
        with parts.database.read() as session:
            measures = take_measures(session, parts.settings.lease_seconds)
            consumers = list_consumers(session, parts.settings.lease_seconds)
        yield from describe_registry(measures)
        states = parts.proof.states(sorted({consumer.queue for consumer in consumers}))
        names = {parts.settings.queue_name(tier): tier for tier in TIERS}
        # Queues of no tier share one label: whoever starts workers must not be able to make series.
        proofs: dict[str, bool] = {}
        for queue, state in states.items():
            tier = names.get(queue, OTHER)
            proofs[tier] = proofs.get(tier, True) and state == OK
        text = "Whether the queue of a tier with a live worker is consumed."
        yield gauge("queue_consumed", text, ("tier",), (((tier,), proof) for tier, proof in proofs.items()))

    def _queues(self) -> Iterator[Metric]:
        queue, name = self._parts.queue, self._parts.settings.queue_name
        lengths = [((tier,), queue.length(name(tier))) for tier in TIERS]
        yield gauge("queue_length", "Messages that wait, by tier.", ("tier",), lengths)

    def _disk(self) -> Iterator[Metric]:
        disk = shutil.disk_usage(self._parts.settings.data_dir)
        yield gauge("disk_free_bytes", "Room left on the disk of the data folder.", (), [((), disk.free)])
        yield gauge("disk_bytes", "Size of the disk of the data folder.", (), [((), disk.total)])

    def _process(self) -> Iterator[Metric]:
        loops, answers = self._parts.loops, self._parts.answers
        label = ("loop",)
        yield counter(
            "loop_turns",
            "Turns of a loop that ended well.",
            label,
            (((loop.name,), loop.turns) for loop in loops),
        )
        yield counter(
            "loop_failures", "Turns that failed.", label, (((loop.name,), loop.failures) for loop in loops)
        )
        yield gauge(
            "loop_idle_seconds",
            "Seconds since a loop's last turn that ended well, or since its start.",
            label,
            (((loop.name,), loop.idle_seconds) for loop in loops),
        )
        cache = [(("hit",), answers.hits), (("miss",), answers.misses)]
        yield counter("estimate_cache", "Estimates, by whether they were kept ready.", ("result",), cache)


def describe_registry(measures: Measures) -> Iterator[Metric]:
    """The registry's families; every tier, state, outcome and kind is there, with 0 where there is none."""
    by_tier = ("tier",)
    jobs = {(str(state), tier): measures.jobs.get((str(state), tier), 0) for state in State for tier in TIERS}
    yield gauge("jobs", "Jobs by state and tier.", ("state", "tier"), jobs.items())
    waiting = {tier: measures.waiting.get(tier, Waiting(0, 0.0)) for tier in TIERS}
    yield gauge(
        "job_oldest_wait_seconds",
        "Time that the longest waiting job has waited, by tier.",
        by_tier,
        (((tier,), each.oldest_seconds) for tier, each in waiting.items()),
    )
    yield from _describe_tiers(measures)
    attempts = {(str(each),): measures.attempts.get(str(each), 0) for each in Outcome}
    yield counter("attempts_ended", "Ended attempts by outcome, of all time.", ("outcome",), attempts.items())
    late = [((), measures.leases_overdue)]
    yield gauge("leases_overdue", "Running jobs whose lease ran out, not yet taken up.", (), late)
    outbox = measures.outbox
    yield gauge("outbox_messages", "Wake-ups that were not sent yet.", (), [((), outbox.count)])
    yield gauge("outbox_oldest_seconds", "Age of the oldest of them.", (), [((), outbox.oldest_seconds)])
    yield gauge("weights_diffs_waiting", "Comparisons that wait.", (), [((), measures.weights_diffs)])
    kinds = _by_kind(measures.checkpoints)
    counts = (((kind,), each.count) for kind, each in kinds.items())
    yield gauge("checkpoints", "Checkpoints that are not deleted, by kind.", ("kind",), counts)
    sizes = (((kind,), each.bytes) for kind, each in kinds.items())
    yield gauge("checkpoint_bytes", "Their bytes, by kind.", ("kind",), sizes)


def gauge(name: str, text: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    """A family of gauges, `caliper_` before its name."""
    family = GaugeMetricFamily(f"caliper_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, float(value))
    return family


def counter(name: str, text: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    """A family of counters, `_total` behind its name."""
    family = CounterMetricFamily(f"caliper_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, float(value))
    return family


def _describe_tiers(measures: Measures) -> Iterator[Metric]:
    label = ("tier",)
    alive = {(tier,): measures.workers[tier].alive if tier in measures.workers else 0 for tier in TIERS}
    busy = {(tier,): measures.workers[tier].busy if tier in measures.workers else 0 for tier in TIERS}
    yield gauge("workers", "Workers that were heard of in time, by tier.", label, alive.items())
    yield gauge("workers_busy", "Those of them that hold a job.", label, busy.items())
    speeds = {(tier,): r.steps_per_second for tier, r in measures.running.items() if tier in TIERS}
    memory = {(tier,): r.largest_bytes for tier, r in measures.running.items() if tier in TIERS}
    yield gauge("running_steps_per_second", "Steps of all running jobs.", label, speeds.items())
    yield gauge("running_memory_bytes", "Most memory of a running job.", label, memory.items())


def _by_kind(found: Mapping[str, StoredKind]) -> dict[str, StoredKind]:
    kinds = {kind: found.get(kind, StoredKind(0, 0)) for kind in KINDS}
    others = [each for kind, each in found.items() if kind not in KINDS]
    kinds[OTHER] = StoredKind(sum(each.count for each in others), sum(each.bytes for each in others))
    return kinds
