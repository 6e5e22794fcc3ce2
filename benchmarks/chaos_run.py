"""One run: jobs are submitted without end while faults happen, then all must come to their ends."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.errors import Unavailable
from app.jobs.lifecycle import ENDED, State
from app.registry.jobs import get_job
from app.storage import Storage
from benchmarks.chaos_audit import Accepted, Verdict, audit
from benchmarks.chaos_faults import KINDS, POISON, Kind
from benchmarks.chaos_harm import Harm, kill
from benchmarks.chaos_stack import Stack, chaotic_stack

BARS = Path(__file__).parents[1] / "examples" / "data" / "googl_1d.csv"
SEEDS = (1, 2)
"""Jobs differ by their seeds alone; each seed also runs once undisturbed."""
OPEN_JOBS = 5
"""Jobs that are queued or running at any time."""
POISON_EVERY = 20
"""Faults for each job that is killed whenever it trains."""
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


@dataclass
class Run:
    """Submits, harms, waits, audits."""

    stack: Stack
    rng: random.Random
    timesteps: int
    tell: Callable[[str], None]
    kinds: Sequence[Kind] = KINDS
    poisonous: bool = True
    jobs: list[str] = field(default_factory=list)
    poison: list[str] = field(default_factory=list)
    references: dict[int, str] = field(default_factory=dict)
    harms: list[Harm] = field(default_factory=list)
    _keys: int = 0

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

    def harm(self, faults: int) -> None:
        """Do so many faults in an order that the seed decides, jobs being submitted all the while."""
        kinds = [self.kinds[number % len(self.kinds)] for number in range(faults)]
        self.rng.shuffle(kinds)
        for number in range(faults):
            if self.poisonous and number % POISON_EVERY == 0:
                self.add_poison()
            self.pause(self.rng.uniform(0.2, 1.5))
            self.do(kinds[number])
            last = self.harms[-1]
            self.tell(f"{number + 1}/{faults} {last.kind}: {last.what}")

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

    def settle(self) -> None:
        """Give the sweeps the time that they need for what was left behind."""
        self.pause(2 * self.stack.settings.orphan_seconds, submitting=False)

    def pause(self, seconds: float, *, submitting: bool = True) -> None:
        """Let time pass: jobs are kept coming, poison is killed, recoveries are noted."""
        deadline = time.monotonic() + seconds
        while True:
            for job_id in self.poison:
                kill(*self.stack.trainers(job_id))
            for harm in self.harms:
                harm.look()
            if submitting and len(self.open(self.jobs)) < OPEN_JOBS:
                self.jobs.append(self.submit(seed=self.rng.choice(SEEDS)))
            if time.monotonic() >= deadline:
                return
            time.sleep(0.2)

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
        body = {"total_timesteps": self.timesteps, **JOB, **values}
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
        try:
            with self.stack.database.read() as session:
                return [job_id for job_id in job_ids if get_job(session, job_id).state not in ENDED]
        except Unavailable:
            return list(job_ids)


def run_chaos(
    faults: int,
    seed: int,
    *,
    timesteps: int = 6_000,
    kinds: Sequence[Kind] = KINDS,
    poison: bool = True,
    tell: Callable[[str], None] = print,
) -> Outcome:
    """Start everything, do the faults of this seed, wait for all ends, and audit."""
    started = time.monotonic()
    with chaotic_stack() as stack:
        run = Run(stack, random.Random(seed), timesteps, tell, kinds, poison)
        run.prepare()
        run.harm(faults)
        tell("no more faults; waiting for the last job")
        run.drain(seconds=300)
        run.settle()
        accepted = Accepted(run.jobs, run.poison, run.references)
        verdicts = audit(stack.database, Storage(stack.settings.artifacts_dir), accepted)
        with stack.database.read() as session:
            attempts = sum(get_job(session, job_id).attempt for job_id in run.jobs)
    return Outcome(seed, time.monotonic() - started, run.harms, verdicts, len(run.jobs), attempts)


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Return once the condition holds; TimeoutError names what was waited for."""
    ended = threading.Event()
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        ended.wait(0.2)
