"""The data folder: whether it can be written, by whom it can be read, and on what it lies."""

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from app.doctor.finding import Finding, Findings, Patient, ok, problem, warning

MOUNTS = Path("/proc/mounts")

OVER_A_NETWORK = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "glusterfs", "ceph", "afs", "lustre", "beegfs")
"""How the kinds of file systems begin whose locks cannot be relied on."""

IN_MEMORY = ("tmpfs", "ramfs")

PROBE_BYTES = 64 * 1024
"""What is written to see whether it can be."""


def check_folders(patient: Patient) -> Findings:
    """The data folder."""
    folder = patient.settings.data_dir
    if not folder.is_dir():
        advice = "`caliper serve` makes it, or set CALIPER_DATA_DIR to the folder that is meant"
        what = "is no folder" if folder.exists() else "is not there yet"
        yield (problem if folder.exists() else warning)("data folder", f"{folder} {what}", advice)
        return
    yield _write_to(folder)
    yield _rights(folder)
    yield _file_system(patient, folder)
    yield _room(patient, folder)


def kind_of_file_system(folder: Path, mounts: Iterable[str]) -> str:
    """The kind of the file system that a folder lies on, from lines of /proc/mounts; empty where none fits."""
    best, found = -1, ""
    for line in mounts:
        _device, place, kind, *_ = line.split(" ")
        mounted = Path(place.encode().decode("unicode_escape"))
        if folder.is_relative_to(mounted) and len(mounted.parts) >= best:
            best, found = len(mounted.parts), kind
    return found


def _write_to(folder: Path) -> Finding:
    probe = folder / f".doctor-{secrets.token_hex(4)}"
    try:
        probe.write_bytes(bytes(PROBE_BYTES))
    except OSError as error:
        said = f"{folder} cannot be written: {error.strerror}"
        return problem("data folder", said, "free some room, or give this user the right to write there")
    finally:
        probe.unlink(missing_ok=True)
    return ok("data folder", f"{folder} can be written")


def _rights(folder: Path) -> Finding:
    found = folder.stat()
    if found.st_uid != os.getuid():
        said = f"it belongs to user {found.st_uid}, this is user {os.getuid()}"
        return warning("rights", said, "run the service as the folder's owner")
    if found.st_mode & 0o077:
        said = f"other users may look into it (mode {found.st_mode & 0o777:o})"
        return warning("rights", said, f"chmod 700 {folder}")
    return ok("rights", "its owner's alone")


def _file_system(patient: Patient, folder: Path) -> Finding:
    try:
        kind = kind_of_file_system(folder.resolve(), MOUNTS.read_text(encoding="utf-8").splitlines())
    except OSError:
        return ok("file system", "this system does not tell which one it is")
    needs_locks = patient.settings.database_url.startswith("sqlite") or patient.settings.redis_is_bundled
    if kind.startswith(OVER_A_NETWORK) and needs_locks:
        advice = "put CALIPER_DATA_DIR on a local disk, or use PostgreSQL and a Redis of its own"
        return problem("file system", f"{kind}: SQLite and Redis need a local one", advice)
    if kind in IN_MEMORY:
        advice = "put CALIPER_DATA_DIR on a disk"
        return warning("file system", f"{kind}: what it holds is gone after a restart", advice)
    return ok("file system", kind or "unknown")


def _room(patient: Patient, folder: Path) -> Finding:
    disk, at = shutil.disk_usage(folder), patient.thresholds
    files = os.statvfs(folder)
    said = f"{disk.free:,} of {disk.total:,} bytes are free"
    advice = "free some room: `caliper registry tidy`, delete checkpoints, or give it a larger disk"
    if disk.free < at.least_free_bytes:
        return problem("disk", said, advice)
    if disk.free < at.scarce_free_bytes:
        return warning("disk", said, advice)
    if files.f_files and files.f_favail < files.f_files // 100:
        return warning("disk", f"only {files.f_favail:,} more files fit on it", advice)
    return ok("disk", said)
