"""The auditor finds what is broken: each damage is done to a sound registry, and its invariant names it."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from factories import small_spec, upload_googl
from sqlalchemy import select

from app.actions.submit_job import submit_job
from app.jobs.lifecycle import Outcome
from app.registry.attempts import claim_job, lose_attempt
from app.registry.database import Database, new_id
from app.registry.outbox import drop_messages, next_messages
from app.registry.tables import Attempt, Checkpoint, Event, Job, JobEvaluation, Message
from app.settings import Settings
from app.storage import FolderStorage
from benchmarks.chaos_audit import Accepted, Verdict, audit
from worker.run import StopFlag, TrainingRun
from worker.save import load_checkpoint, save_checkpoint


@dataclass
class Sound:
    """Two jobs of one seed that succeeded, the second in its second attempt; one that was killed to its end."""

    registry: Database
    storage: FolderStorage
    jobs: list[str]
    poison: str

    def audit(self) -> dict[str, Verdict]:
        accepted = Accepted(self.jobs, [self.poison], {1: self.jobs[0]})
        return {verdict.invariant: verdict for verdict in audit(self.registry, self.storage, accepted)}

    def final(self) -> Checkpoint:
        with self.registry.read() as session:
            job = session.get_one(Job, self.jobs[1])
            return session.get_one(Checkpoint, (job.result or {})["checkpoint_id"])


@pytest.fixture
def sound(registry: Database, storage: FolderStorage, settings: Settings) -> Sound:
    upload_googl(registry, storage, settings)
    ids = [submit_job(registry, settings, small_spec(seed=1, total_timesteps=128)).job.id for _ in range(2)]
    for job_id in ids:
        if job_id == ids[1]:  # loses an attempt before it has a checkpoint
            with registry.write() as session:
                lost = claim_job(session, job_id, "worker", 60)
                assert lost is not None
                assert lose_attempt(session, lost.hold, Outcome.CRASHED, "the trainer was killed (signal 9)")
        with registry.write() as session:
            taken = claim_job(session, job_id, "worker", 60)
        assert taken is not None
        TrainingRun(settings, registry, taken.hold, StopFlag()).execute()
    poison = submit_job(registry, settings, small_spec(max_attempts=1)).job.id
    with registry.write() as session:
        taken = claim_job(session, poison, "worker", 60)
        assert taken is not None
        reason = "the trainer was killed (signal 9), as the system does when memory runs out"
        assert lose_attempt(session, taken.hold, Outcome.CRASHED, reason)
        drop_messages(session, [message.id for message in next_messages(session, 99)])
    return Sound(registry, storage, ids, poison)


def test_a_sound_registry_is_found_sound_and_each_damage_is_named(sound: Sound) -> None:
    verdicts = sound.audit()
    assert {name: verdict.broken for name, verdict in verdicts.items() if verdict.broken} == {}
    assert all(verdict.checked for verdict in verdicts.values())
    for words, damage in DAMAGES.items():
        undo = damage(sound)
        broken = [name for name, verdict in sound.audit().items() if verdict.broken]
        assert any(words in name for name in broken), (words, broken)
        undo()
    assert not any(verdict.broken for verdict in sound.audit().values())


def second_final(sound: Sound) -> Callable[[], None]:
    row = sound.final()
    values = {
        column.key: getattr(row, column.key) for column in Checkpoint.__table__.columns if column.key != "id"
    }
    twin = new_id("checkpoint")
    with sound.registry.write() as session:
        session.add(Checkpoint(id=twin, **values))
    return lambda: forget(sound, Checkpoint, twin)


def stale_winner(sound: Sound) -> Callable[[], None]:
    return change(sound, Job, sound.jobs[1], "fence", 9)


def rotten_file(sound: Sound) -> Callable[[], None]:
    path = sound.storage.path(sound.final().sha256)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")

    def put_back() -> None:
        path.write_bytes(whole)

    return put_back


def orphan_file(sound: Sound) -> Callable[[], None]:
    place = sound.storage.objects / "00" / ("0" * 62)
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(b"")
    return place.unlink


def left_arriving(sound: Sound) -> Callable[[], None]:
    left = sound.storage.incoming / "left"
    left.touch()
    return left.unlink


def missing_returns(sound: Sound) -> Callable[[], None]:
    with sound.registry.read() as session:
        row = session.query(JobEvaluation).filter_by(job_id=sound.jobs[1]).one()
    return change(sound, JobEvaluation, (row.job_id, row.dataset_id), "returns_sha256", "0" * 64)


def open_attempt(sound: Sound) -> Callable[[], None]:
    return change(sound, Attempt, (sound.jobs[1], 1), "ended_at", None)


def unsent_message(sound: Sound) -> Callable[[], None]:
    with sound.registry.write() as session:
        message = Message(job_id=sound.jobs[0], fence=1, queue="caliper.cpu")
        session.add(message)
        session.flush()
        number = message.id
    return lambda: forget(sound, Message, number)


def illegal_move(sound: Sound) -> Callable[[], None]:
    return change(sound, Event, (sound.jobs[1], 2), "data", {"state": "cancelled"})


def another_start(sound: Sound) -> Callable[[], None]:
    with sound.registry.read() as session:
        begun = [
            event
            for event in session.scalars(
                select(Event).where(Event.job_id == sound.jobs[1]).order_by(Event.seq)
            )
            if event.data.get("state") == "running"
        ]
    seq, data = begun[1].seq, {**begun[1].data, "resumed_from": "checkpoint_0"}
    return change(sound, Event, (sound.jobs[1], seq), "data", data)


def other_weights(sound: Sound) -> Callable[[], None]:
    row = sound.final()
    contents = load_checkpoint(sound.storage.path(row.sha256))
    next(iter(contents["policy_state_dict"].values()))[0] += 1
    with sound.storage.receive() as path:
        saved = save_checkpoint(path, contents)
        place = sound.storage.objects / saved.sha256[:2] / saved.sha256[2:]
        place.parent.mkdir(exist_ok=True)
        path.rename(place)
    undo = change(sound, Checkpoint, row.id, "sha256", saved.sha256)

    def put_back() -> None:
        undo()
        place.unlink()

    return put_back


def nameless_end(sound: Sound) -> Callable[[], None]:
    return change(sound, Job, sound.poison, "error", {"detail": "it failed"})


DAMAGES: dict[str, Callable[[Sound], Callable[[], None]]] = {
    "exactly one result": second_final,
    "stale attempt": stale_winner,
    "opens and matches": rotten_file,
    "no orphan file": orphan_file,
    "orphan file, no": left_arriving,
    "no missing file": missing_returns,
    "no orphan row": open_attempt,
    "orphan row": unsent_message,
    "legal story": illegal_move,
    "resumes from the last": another_start,
    "bit by bit": other_weights,
    "with the reason": nameless_end,
}


def change(sound: Sound, table: type, key: object, column: str, value: object) -> Callable[[], None]:
    """Set one column of one row; the way back."""
    with sound.registry.write() as session:
        row = session.get_one(table, key)
        before = getattr(row, column)
        setattr(row, column, value)

    def put_back() -> None:
        change(sound, table, key, column, before)

    return put_back


def forget(sound: Sound, table: type, key: object) -> None:
    """Take one row away."""
    with sound.registry.write() as session:
        session.delete(session.get_one(table, key))
