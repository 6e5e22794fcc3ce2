"""What must hold after any faults: each check counts what it looked at and names what broke it."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.checkpoint.inspect import inspect_checkpoint
from app.jobs.lifecycle import ENDED, MOVES, State
from app.registry.database import Database
from app.registry.files import named_files
from app.registry.tables import Attempt, Checkpoint, Event, Job, JobEvaluation, Message
from app.storage import FolderStorage, hash_file
from worker.save import load_checkpoint

LEGAL = {(str(source), str(move.target)) for move in MOVES for source in move.sources}


@dataclass
class Verdict:
    """One invariant: how much was looked at, and what broke it."""

    invariant: str
    checked: int = 0
    broken: list[str] = field(default_factory=list)

    def look(self, holds: bool, what: str) -> None:  # noqa: FBT001 - the question itself
        """Count one look."""
        self.checked += 1
        if not holds:
            self.broken.append(what)


@dataclass(frozen=True)
class Accepted:
    """What the harness was told 202 for."""

    jobs: Sequence[str]
    """Ids of the jobs that are to succeed."""
    poison: Sequence[str]
    """Ids of the jobs whose every trainer was killed."""
    references: Mapping[int, str]
    """Seed -> the job that ran undisturbed."""


def audit(database: Database, storage: FolderStorage, accepted: Accepted) -> list[Verdict]:
    """Every invariant, looked at in the registry and on the disk."""
    with database.read() as session:
        return [check(session, storage, accepted) for check in CHECKS]


def is_tidy(database: Database, storage: FolderStorage, accepted: Accepted) -> bool:
    """Whether the sweeps have done their work: no orphan is left."""
    with database.read() as session:
        return not any(check(session, storage, accepted).broken for check in (no_orphan_file, no_orphan_row))


def one_result(session: Session, _storage: FolderStorage, accepted: Accepted) -> Verdict:
    """Every accepted job, and no other, is there and ended as it should, with one result where it succeeded."""
    verdict = Verdict("every accepted job has exactly one result")
    jobs = {job.id: job for job in session.scalars(select(Job))}
    verdict.look(set(jobs) == {*accepted.jobs, *accepted.poison}, f"{len(jobs)} jobs in the registry")
    for job_id in accepted.jobs:
        job = jobs.get(job_id)
        finals = _finals(session, job_id)
        results = [
            final.id for final in finals if job and (job.result or {}).get("checkpoint_id") == final.id
        ]
        verdict.look(
            job is not None and job.state == State.SUCCEEDED and len(finals) == len(results) == 1,
            f"{job_id}: {job and job.state}, {len(finals)} final checkpoints, {job and job.error}",
        )
    return verdict


def fresh_result(session: Session, _storage: FolderStorage, accepted: Accepted) -> Verdict:
    """The attempt that succeeded is the last one, holds the fence, and saved the final checkpoint."""
    verdict = Verdict("no result belongs to a stale attempt")
    for job_id in accepted.jobs:
        job = session.get_one(Job, job_id)
        attempts = _attempts(session, job_id)
        won = [attempt for attempt in attempts if attempt.outcome == State.SUCCEEDED]
        saved = [
            event.attempt
            for event in _events(session, job_id)
            if event.kind == "checkpoint" and event.data["id"] == (job.result or {}).get("checkpoint_id")
        ]
        fences = [attempt.fence for attempt in won]
        verdict.look(
            fences == [job.fence] and saved == [job.attempt] and won[0].number == len(attempts),
            f"{job_id}: fence {job.fence}, won by {fences}, saved by {saved}",
        )
    return verdict


def whole_checkpoints(session: Session, storage: FolderStorage, _accepted: Accepted) -> Verdict:
    """The reader opens each registered file without a finding; size and hash are the row's."""
    verdict = Verdict("every registered checkpoint opens and matches its hash")
    for row in session.scalars(select(Checkpoint).where(Checkpoint.deleted_at.is_(None))):
        try:
            with storage.local_copy(row.sha256) as path:
                report = inspect_checkpoint(path, name="policy.pt", with_sha256=False)
                stored = hash_file(path)
        except Exception as error:  # noqa: BLE001 - whatever it is, the checkpoint does not open
            verdict.look(holds=False, what=f"{row.id}: {error!r}")
            continue
        whole = (stored.sha256, stored.bytes) == (row.sha256, row.bytes)
        verdict.look(whole and report.producer == "caliper" and not report.findings, row.id)
    return verdict


def no_orphan_file(session: Session, storage: FolderStorage, _accepted: Accepted) -> Verdict:
    """Every stored file is named by a row, every named file is stored, and nothing is left arriving."""
    verdict = Verdict("no orphan file, no missing file")
    listed = storage.listed()
    named = named_files(session, listed)
    for sha256 in listed:
        verdict.look(sha256 in named, f"file {sha256} has no row")
    for path in storage.incoming.iterdir():
        verdict.look(holds=False, what=f"incoming/{path.name} was left")
    for row in session.scalars(select(JobEvaluation)):
        verdict.look(row.returns_sha256 in listed, f"returns of {row.job_id} are missing")
    return verdict


def no_orphan_row(session: Session, _storage: FolderStorage, accepted: Accepted) -> Verdict:
    """No attempt is open, no lease held, no message waits, no job that did not succeed has a final checkpoint."""
    verdict = Verdict("no orphan row")
    for attempt in session.scalars(select(Attempt)):
        verdict.look(attempt.ended_at is not None, f"attempt {attempt.job_id}:{attempt.number} is open")
    for job in session.scalars(select(Job)):
        verdict.look(job.state in ENDED and job.lease_expires_at is None, f"{job.id} is {job.state}")
    for job_id in accepted.poison:
        verdict.look(not _finals(session, job_id), f"{job_id} failed and has a final checkpoint")
    for message in session.scalars(select(Message)):
        verdict.look(holds=False, what=f"message for {message.job_id} was not sent")
    return verdict


def legal_story(session: Session, _storage: FolderStorage, accepted: Accepted) -> Verdict:
    """Events count without holes, states follow the table of moves, one claim for each attempt."""
    verdict = Verdict("events tell a legal story without holes")
    for job_id in (*accepted.jobs, *accepted.poison):
        events = _events(session, job_id)
        states = [str(event.data["state"]) for event in events if event.kind == "state"]
        moves = set(itertools.pairwise(states))
        verdict.look(
            [event.seq for event in events] == list(range(1, len(events) + 1))
            and moves <= LEGAL
            and states.count(State.RUNNING) == len(_attempts(session, job_id)),
            f"{job_id}: {states}",
        )
    return verdict


def goes_on(session: Session, _storage: FolderStorage, accepted: Accepted) -> Verdict:
    """Each attempt after the first resumes from the checkpoint that was the newest when it began."""
    verdict = Verdict("every next attempt resumes from the last checkpoint")
    for job_id in accepted.jobs:
        newest, begun = None, 0
        for event in _events(session, job_id):
            if event.kind == "checkpoint":
                newest = event.data["id"]
            elif event.data.get("state") == State.RUNNING:
                begun += 1
                resumed = event.data["resumed_from"]
                if begun > 1:
                    verdict.look(
                        resumed == newest, f"{job_id}: attempt {begun} from {resumed}, newest {newest}"
                    )
    return verdict


def same_weights(session: Session, storage: FolderStorage, accepted: Accepted) -> Verdict:
    """Policy and optimizer of each job equal, bit by bit, those of the job that ran undisturbed with its seed."""
    verdict = Verdict("weights equal those of the undisturbed run, bit by bit")
    wanted = {seed: dict(_weights(session, storage, job_id)) for seed, job_id in accepted.references.items()}
    for job_id in accepted.jobs:
        if job_id in accepted.references.values():
            continue
        reference = wanted[int(session.get_one(Job, job_id).spec["seed"])]
        got = dict(_weights(session, storage, job_id))
        same = got.keys() == reference.keys() and all(torch.equal(got[k], reference[k]) for k in got)
        verdict.look(same and bool(got), f"{job_id} differs")
    return verdict


def poison_ends(session: Session, _storage: FolderStorage, accepted: Accepted) -> Verdict:
    """A job whose trainer is always killed fails after max_attempts, and says why."""
    verdict = Verdict("poison jobs end after max_attempts with the reason")
    for job_id in accepted.poison:
        job = session.get_one(Job, job_id)
        detail = str((job.error or {}).get("detail"))
        ended = f"attempt {job.max_attempts} of {job.max_attempts}" in detail
        verdict.look(
            job.state == State.FAILED and ended and ("memory" in detail or "not heard of" in detail),
            f"{job_id}: {job.state}, {detail}",
        )
    return verdict


CHECKS: tuple[Callable[[Session, FolderStorage, Accepted], Verdict], ...] = (
    one_result,
    fresh_result,
    whole_checkpoints,
    no_orphan_file,
    no_orphan_row,
    legal_story,
    goes_on,
    same_weights,
    poison_ends,
)
"""Every invariant."""


def _finals(session: Session, job_id: str) -> Sequence[Checkpoint]:
    query = select(Checkpoint).where(
        Checkpoint.job_id == job_id, Checkpoint.kind == "final", Checkpoint.deleted_at.is_(None)
    )
    return session.scalars(query).all()


def _attempts(session: Session, job_id: str) -> Sequence[Attempt]:
    return session.scalars(select(Attempt).where(Attempt.job_id == job_id).order_by(Attempt.number)).all()


def _events(session: Session, job_id: str) -> Sequence[Event]:
    return session.scalars(select(Event).where(Event.job_id == job_id).order_by(Event.seq)).all()


def _weights(session: Session, storage: FolderStorage, job_id: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of the final checkpoint, by its place: policy, optimizer moments, generators, statistics."""
    for final in _finals(session, job_id):
        with storage.local_copy(final.sha256) as path:
            contents = load_checkpoint(path)
        yield from _tensors(contents, "")


def _tensors(tree: Any, path: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(tree, torch.Tensor):
        yield path, tree
        return
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, list | tuple):
        items = enumerate(tree)
    for key, value in items:
        yield from _tensors(value, f"{path}/{key}")
