"""Which tier a job goes to: the smallest card that holds the run, among those that this service has.

A tier counts as had while a worker of it is alive, and as known for a month after the last was. Cards come before the
CPU, which is another kind of device and no small card. A tier that nobody has is never chosen: a job would wait for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import InvalidInput
from app.jobs.spec import JobSpec
from app.network.config import Precision
from app.network.fits.cards import find_card
from app.network.fits.target import NEEDS_NEW_CARD, ONLY_ON_CARDS
from app.network.tiers import GB, TIERS, Tier, find_tier
from app.registry.database import Session
from app.registry.tables import Worker
from app.registry.workers import known_workers, live_workers
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tier that a job may go to."""

    tier: Tier
    """The tier."""
    why: str
    """Why it is asked, in words."""
    card_bytes: int
    """Memory of its smallest card here, at most the nominal one."""

    def reason(self, needed_bytes: int) -> str:
        """Why the job went there."""
        if self.why == ASKED:
            return self.why
        return f"{self.why}: the run takes {needed_bytes / GB:.2f} of {self.card_bytes / GB:.2f} GB"


ASKED = "asked for"


def candidate_tiers(session: Session, settings: Settings, spec: JobSpec) -> list[Candidate]:
    """The tiers that the job may go to, the best one first; never empty. Raises InvalidInput for an unknown name."""
    live = [each for each in live_workers(session, settings.lease_seconds) if each.drain is None]
    known = known_workers(session)
    if spec.tier is not None:
        return [_candidate(find_tier(spec.tier), ASKED, live or known, settings)]
    had, once = _smallest_first(live), _smallest_first(known)
    found = [
        _candidate(tier, "the smallest tier with a live worker that holds it", live, settings) for tier in had
    ]
    since = "the smallest tier that holds it; none of its workers is alive now"
    found += [_candidate(tier, since, known, settings) for tier in once if tier not in had]
    if found:
        return found
    usual = find_tier(settings.default_tier or "cpu")
    return [_candidate(usual, "the service's default; no worker was ever seen", (), settings)]


def doubt_precision(tier: Tier, precision: Precision) -> str:
    """What to know of this arithmetic on the tier's smallest device; empty where it has instructions for it."""
    if tier.name == "cpu":
        return "a CPU has none such and computes in fp32" if precision in ONLY_ON_CARDS else ""
    if precision not in NEEDS_NEW_CARD or _multiplies(tier):
        return ""
    what = "computes in fp32" if precision == "tf32" else "emulates it, several times slower than fp32"
    return f"the tier's smallest card ({tier.smallest_card}) has no instructions for it and {what}"


def _multiplies(tier: Tier) -> bool:
    """Slices have no card's name; all that can be sliced have the instructions."""
    try:
        return find_card(tier.smallest_card).multiplies_bf16
    except InvalidInput:
        return True


def _smallest_first(workers: Sequence[Worker]) -> list[Tier]:
    """Their tiers, the smallest card first and the CPU last."""
    names = {worker.tier for worker in workers}
    tiers = [tier for tier in reversed(TIERS.values()) if tier.name in names]
    return sorted(tiers, key=lambda tier: tier.device_type == "cpu")


def _candidate(tier: Tier, why: str, workers: Sequence[Worker], settings: Settings) -> Candidate:
    nominal = settings.cpu_memory_bytes if tier.name == "cpu" else tier.smallest_bytes
    known = [int(each.device.get("total_bytes", nominal)) for each in workers if each.tier == tier.name]
    return Candidate(tier, why, min([nominal, *known]))
