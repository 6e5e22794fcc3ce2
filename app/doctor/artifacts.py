"""The storage: whether it answers, and whether a sample of its files is what the registry says."""

from collections.abc import Sequence

from app.actions.recognise_storage import require_same_storage
from app.doctor.database import open_registry
from app.doctor.finding import Finding, Findings, Patient, ok, problem, warning
from app.errors import CaliperError, Conflict, NotFound, StoreUnavailable, Unavailable
from app.registry.examination import NamedFile, sample_files
from app.storage import Storage, hash_file, open_storage


def check_artifacts(patient: Patient) -> Findings:
    """A sample of the newest files against their rows."""
    if not patient.settings.artifacts_url and not patient.settings.artifacts_dir.is_dir():
        yield ok("artifacts", "nothing is stored yet")
        return
    database = open_registry(patient)
    if database is None:
        yield warning(
            "artifacts", "files are stored, but there is no registry that names them", "restore a backup"
        )
        return
    storage = open_storage(patient.settings)
    try:
        require_same_storage(database, storage)
        with database.read() as session:
            named = sample_files(session, patient.thresholds.sampled_files)
    except (Conflict, StoreUnavailable) as error:
        yield problem("artifacts", error.detail, error.hint)
        return
    except Unavailable:
        yield warning("artifacts", "the registry does not say what there should be", "see `database` above")
        return
    finally:
        database.close()
    try:
        yield from _compare(patient, storage, named)
    except NotFound as error:
        yield problem("artifacts", error.detail, error.hint)


def _compare(patient: Patient, storage: Storage, named: Sequence[NamedFile]) -> Findings:
    wrong: list[Finding] = []
    for file in named:
        try:
            said = _look(patient, storage, file)
        except NotFound:
            said = "is missing"
        except CaliperError as error:
            yield problem("artifacts", f"{storage.address}: {error.detail}", error.hint)
            return
        if said:
            advice = "restore it from a backup (docs/operations.md), or delete what names it"
            wrong.append(problem("artifacts", f"{file.what}: its file {file.sha256} {said}", advice))
    yield from wrong
    if not wrong:
        yield ok("artifacts", f"{storage.address}: {len(named)} newest files are as their rows say")


def _look(patient: Patient, storage: Storage, file: NamedFile) -> str:
    """What is wrong with a stored file; empty where nothing is."""
    found = storage.find(file.sha256)
    if file.bytes is not None and found.bytes != file.bytes:
        return f"has {found.bytes:,} bytes, its row says {file.bytes:,}"
    if found.bytes > patient.thresholds.hashed_bytes:
        return ""
    with storage.local_copy(file.sha256) as path:
        return "" if hash_file(path).sha256 == file.sha256 else "has another content"
