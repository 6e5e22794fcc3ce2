"""The API: at its address, or who has its port; who may come in; what /readyz says."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from app.addresses import is_loopback
from app.doctor.database import open_registry
from app.doctor.finding import Finding, Findings, Patient, ok, problem, warning
from app.errors import Conflict, Unavailable
from app.local.prepare import check_port
from app.local.services import base_url
from app.network.disk.contents import WRITER_VERSIONS
from app.registry.keys import is_valid, list_keys

SECONDS = 5.0
"""How long the API may take to answer."""

LISTENING = "0A"
"""State of a listening socket in /proc/net/tcp."""

MOST_KEYS = 1_000
"""Keys that are looked at."""


def check_api(patient: Patient) -> Findings:
    """Whether it answers at its address, in this release; else whether its port is free."""
    url = base_url(patient.settings)
    try:
        said = _get(f"{url}/healthz").json()
        running = said["version"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        yield _who_has_the_port(patient, url)
        return
    if running != WRITER_VERSIONS["caliper"]:
        said = f"release {running} answers at {url}, this is {WRITER_VERSIONS['caliper']}"
        yield warning("api", said, "restart the service, so that all parts are of one release")
    else:
        yield ok("api", f"release {running} answers at {url}")


def check_keys(patient: Patient) -> Findings:
    """Whether others can reach the service, and whether anybody may come in."""
    settings = patient.settings
    if not settings.require_keys:
        if not is_loopback(settings.host):
            said = f"CALIPER_HOST is {settings.host} and keys are off: all but this machine is refused"
            yield problem("keys", said, "CALIPER_REQUIRE_KEYS=true, and `caliper keys create`")
        else:
            yield ok("keys", "off; only this machine is answered")
        return
    database = open_registry(patient)
    if database is None:
        yield problem(
            "keys", "needed, but there is no registry yet", "`caliper serve` or `caliper migrate` makes it"
        )
        return
    try:
        with database.read() as session:
            keys = [key for key in list_keys(session, limit=MOST_KEYS) if is_valid(key)]
    except Unavailable:
        yield warning("keys", "needed; the registry does not say which there are", "see `database` above")
        return
    finally:
        database.close()
    admins = sum(key.role == "admin" for key in keys)
    if not keys:
        yield problem(
            "keys", "needed, but none is valid: nobody is let in", "caliper keys create --role admin"
        )
    elif not admins:
        yield warning("keys", f"{len(keys)} valid, no admin's among them", "caliper keys create --role admin")
    else:
        yield ok("keys", f"needed; {len(keys)} valid, {admins} of them admins'")


def check_readiness(patient: Patient) -> Findings:
    """What /readyz says of each part, queues that are not consumed among them."""
    try:
        answer = _get(f"{base_url(patient.settings)}/readyz")
        parts: dict[str, Any] = answer.json().get("parts", {})
    except (httpx.HTTPError, ValueError, AttributeError):
        return
    for name, state in parts.items():
        if state == "ok":
            yield ok(f"ready: {name}", "ok")
        else:
            yield problem(f"ready: {name}", str(state), _ADVICE.get(name.partition(":")[0], "see above"))


_ADVICE = {
    "worker": "start a worker: `caliper serve`, or docs/how-to/gpu-worker.md",
    "queue": "see the worker's log; has it the same CALIPER_REDIS_URL and CALIPER_QUEUE_PREFIX? Then restart it",
}
"""What to do about a part that is not well; for the others the checks above say it."""


def _get(url: str) -> httpx.Response:
    key = os.environ.get("CALIPER_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else None
    # Not through a proxy that the environment may name: this is the machine's own address.
    return httpx.get(url, headers=headers, timeout=SECONDS, trust_env=False)


def _who_has_the_port(patient: Patient, url: str) -> Finding:
    port = patient.settings.port
    try:
        check_port(patient.settings)
    except Conflict:
        holder = find_listener(port) or "another program"
        said = f"port {port} is taken by {holder}, which is no answering Caliper"
        return problem("api", said, "stop that, or choose another with CALIPER_PORT")
    except Unavailable as error:
        return problem("api", error.detail, error.hint)
    return warning("api", f"nothing listens at {url}; the port is free", "`caliper serve` starts the service")


def find_listener(port: int) -> str:
    """The process that listens on a TCP port, as `name (pid)`; empty where the system does not tell."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for link in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        with suppress(OSError):
            if str(link.readlink()) in sockets:
                folder = link.parents[1]
                return f"{(folder / 'comm').read_text(encoding='utf-8').strip()} ({folder.name})"
    return ""


def _listening_inodes(port: int) -> list[str]:
    found = []
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
                fields = re.split(r"\s+", line.strip())
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    found.append(fields[9])
    return found
