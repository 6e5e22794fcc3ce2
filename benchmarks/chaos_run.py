"""One run: jobs are submitted without end while faults happen, then all must come to their ends."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx
from sqlalchemy import select

from app.errors import Unavailable
from app.jobs.lifecycle import ENDED, State
from app.registry.jobs import get_job
from app.registry.tables import Job
from app.storage import open_storage
from benchmarks.chaos_audit import Accepted, Verdict, audit, is_tidy
from benchmarks.chaos_faults import KINDS, POISON, Kind
from benchmarks.chaos_harm import Harm, kill
from benchmarks.chaos_stack import Stack, chaotic_stack

BARS = Path(__file__).parents[1] / "examples" / "data" / "googl_1d.csv"
MOST_SECONDS_UNNOTICED = 60.0
SEEDS = (1, 2)
"""Jobs differ by their seeds alone; each seed also runs once undisturbed."""
POISON_EVERY = 20
"""Faults for each job that is killed whenever it trains."""
PATIENCE_SECONDS = 90.0
"""Longest wait for jobs to end before the next fault comes all the same."""


@dataclass(frozen=True)
class Plan:
    """What a run does."""

    faults: int
    seed: int
    timesteps: int = 6_000
    """Length of each job."""
    kinds: Sequence[Kind] = KINDS
    open_jobs: int = 5
    """Jobs that are queued or running at any time."""
    jobs_per_fault: float = 0.45
    """Jobs that must have ended for each fault that was done: faults come while many jobs train, not in one heap."""
    poison: bool = True
    """Whether some jobs are killed whenever they train."""


JOB: dict[str, Any] = {
    "dataset": "googl",
    "environment": {
        "costs": {"fee_bps": 5, "half_spread_bps": 1, "slippage": 0.02, "borrow_bps_per_year": 300}
    },
    "hidden_dims": [8],
    "lookback": 5,
    "features": ["ret_1", "rsi_14"],
    "overrides": {"num_envs": 4, "num_steps": 64},
    "max_attempts": 100,
}


@dataclass
class Outcome:
    """What a run saw."""

    seed: int
    seconds: float
    harms: Sequence[Harm]
    verdicts: Sequence[Verdict]
    jobs: int
    attempts: int
    in_flight: float
    """Jobs that were queued or running at a fault, on average."""


@dataclass
class Run:
    """Submits, harms, waits, audits."""

    stack: Stack
    plan: Plan
    tell: Callable[[str], None]
    rng: random.Random = field(init=False)
    jobs: list[str] = field(default_factory=list)
    poison: list[str] = field(default_factory=list)
    references: dict[int, str] = field(default_factory=dict)
    harms: list[Harm] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)
    _keys: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.plan.seed)
        self.stack.submit = self.add_job

    def prepare(self) -> None:
        """Wait until all is ready, upload the bars, and let each seed run undisturbed."""
        wait_for(self.stack.is_ready, 180, "the service to be ready")
        form = {"name": "googl", "calendar": "XNYS", "adjusted": "split", "volume_unit": "shares"}
        with BARS.open("rb") as file:
            answer = httpx.post(
                f"{self.stack.urls[0]}/datasets", files={"file": file}, data=form, timeout=60, trust_env=False
            )
        answer.raise_for_status()
        for seed in SEEDS:
            self.references[seed] = self.submit(seed=seed)
        self.jobs += self.references.values()
        wait_for(lambda: not self.open(self.jobs), 300, "the undisturbed runs")
        self.tell(f"undisturbed runs of {len(SEEDS)} seeds are done")

    def harm(self) -> None:
        """Do the faults in an order that the seed decides, jobs being submitted all the while."""
        faults, kinds = self.plan.faults, self.plan.kinds
        order = [kinds[number % len(kinds)] for number in range(faults)]
        self.rng.shuffle(order)
        for number, kind in enumerate(order):
            if self.plan.poison and number % POISON_EVERY == 0:
                self.add_poison()
            self.pause(self.rng.uniform(0.2, 1.5))
            self.await_jobs(number)
            self.in_flight.append(len(self.open(self.jobs)))
            ended = len(self.jobs) - self.in_flight[-1]
            self.do(kind)
            last = self.harms[-1]
            self.tell(f"{number + 1}/{faults} {last.kind}: {last.what}; {ended} jobs ended")

    def await_jobs(self, faults: int) -> None:
        """Wait until as many jobs have ended as so many faults ask for."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        wanted = len(SEEDS) + int(faults * self.plan.jobs_per_fault)
        while len(self.jobs) - len(self.open(self.jobs)) < wanted and time.monotonic() < deadline:
            self.pause(0.3)

    def do(self, kind: Kind) -> None:
        """Do one fault as soon as there is something that it can hit."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            started = time.monotonic()
            try:
                done = kind(self.stack, self.rng)
            except Unavailable:
                done = None
            if done is not None:
                done.at = started
                self.harms.append(done)
                return
            self.pause(0.3)
        raise TimeoutError(f"{kind.__name__} found nothing to hit for two minutes")

    def drain(self, seconds: float) -> None:
        """Wait for every job's end and every harm's recovery."""
        deadline = time.monotonic() + seconds
        everyone = (*self.jobs, *self.poison)
        while self.open(everyone) or any(harm.recovered_after is None for harm in self.harms):
            if time.monotonic() > deadline:
                self.tell(f"not ended: {self.open(everyone)}")
                return
            self.pause(0.3, submitting=False)

    def settle(self, is_done: Callable[[], bool]) -> None:
        """Give the sweeps the time that they need for what was left behind."""
        deadline = time.monotonic() + 3 * self.stack.settings.orphan_seconds
        while not is_done() and time.monotonic() < deadline:
            self.pause(0.5, submitting=False)

    def pause(self, seconds: float, *, submitting: bool = True) -> None:
        """Let time pass: jobs are kept coming, poison is killed, recoveries are noted."""
        deadline = time.monotonic() + seconds
        while True:
            for job_id in self.open(self.poison):
                kill(*self.stack.trainers(job_id))
            for harm in self.harms:
                harm.look()
            if submitting and len(self.open(self.jobs)) < self.plan.open_jobs:
                self.add_job()
            if time.monotonic() >= deadline:
                return
            time.sleep(0.2)

    def add_job(self) -> str:
        """Submit a job that is to succeed; its id."""
        self.jobs.append(self.submit(seed=self.rng.choice(SEEDS)))
        return self.jobs[-1]

    def add_poison(self) -> None:
        """Submit a job whose every trainer is killed, as the system does when memory runs out."""
        job_id = self.submit(seed=0, total_timesteps=100_000_000, max_attempts=POISON)
        self.poison.append(job_id)

        def failed() -> bool:
            with self.stack.database.read() as session:
                return get_job(session, job_id).state == State.FAILED

        self.harms.append(Harm("job killed whenever it trains", job_id, failed, at=time.monotonic()))

    def submit(self, **values: Any) -> str:
        """POST /jobs with a key of its own, again to either API until one accepts."""
        self._keys += 1
        body = {"total_timesteps": self.plan.timesteps, **JOB, **values}
        key = {"Idempotency-Key": f"chaos-{self._keys}"}
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            url = self.rng.choice(self.stack.urls)
            try:
                answer = httpx.post(f"{url}/jobs", json=body, headers=key, timeout=10, trust_env=False)
            except httpx.HTTPError:
                time.sleep(0.2)
                continue
            if answer.is_success:
                return str(answer.json()["id"])
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                raise RuntimeError(f"POST /jobs answered {answer.status_code}: {answer.text}")
            time.sleep(0.2)
        raise TimeoutError("no API accepted a job for two minutes")

    def open(self, job_ids: Sequence[str]) -> list[str]:
        """Those of the jobs that have not ended."""
        ended = select(Job.id).where(Job.id.in_(job_ids), Job.state.in_(ENDED))
        try:
            with self.stack.database.read() as session:
                done = set(session.scalars(ended))
        except Unavailable:
            return list(job_ids)
        return [job_id for job_id in job_ids if job_id not in done]


def run_chaos(plan: Plan, tell: Callable[[str], None] = print, **settings: Any) -> Outcome:
    """Start everything, do the faults of this plan, wait for all ends, and audit."""
    started = time.monotonic()
    with chaotic_stack(**settings) as stack:
        run = Run(stack, plan, tell)
        run.prepare()
        run.harm()
        tell("no more faults; waiting for the last job")
        run.drain(seconds=600)

        accepted, storage = Accepted(run.jobs, run.poison, run.references), open_storage(stack.settings)
        run.settle(lambda: is_tidy(stack.database, storage, accepted))
        verdicts = [*audit(stack.database, storage, accepted), *noticed(run.harms)]
        with stack.database.read() as session:
            attempts = sum(get_job(session, job_id).attempt for job_id in run.jobs)
    seconds = time.monotonic() - started
    return Outcome(plan.seed, seconds, run.harms, verdicts, len(run.jobs), attempts, fmean(run.in_flight))


def noticed(harms: Sequence[Harm]) -> tuple[Verdict, Verdict]:
    """Whether each loss of an attempt was known within a minute, and each refusal and lost wake-up at all."""
    losses = Verdict("every lost worker and attempt is noticed within 60 s")
    others = Verdict("every refused checkpoint and wake-up is noticed")
    for harm in harms:
        if harm.noticed is not None:
            took, said = harm.noticed_after, f"{harm.kind} {harm.what}: {harm.noticed_after}"
            if harm.is_loss:
                losses.look(took is not None and took <= MOST_SECONDS_UNNOTICED, said)
            else:
                others.look(took is not None, said)
    return losses, others


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Return once the condition holds; TimeoutError names what was waited for."""
    ended = threading.Event()
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        ended.wait(0.2)
