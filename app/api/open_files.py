"""Open files: each connection is one, and many systems allow a process 1,024 unless it asks for more."""

import resource
from contextlib import suppress

import structlog

RESERVED = 256
"""Files that the service needs beside its followers': registry, storage, uploads, short requests."""

log = structlog.get_logger()


def most_followers(wanted: int) -> int:
    """`wanted`, or as many as this process may have open files for; asks the system for as many as it needs."""
    allowed = min(wanted, max(1, allow_open_files(wanted + RESERVED) - RESERVED))
    if allowed < wanted:
        log.warning("the limit of open files allows fewer followers", wanted=wanted, allowed=allowed)
    return allowed


def allow_open_files(wanted: int) -> int:
    """Raise the soft limit of open files to `wanted` where it is lower and the hard one allows it; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _is_enough(soft, wanted):
        return wanted
    target = wanted if _is_enough(hard, wanted) else hard
    with suppress(OSError, ValueError):  # some systems allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        return target
    return soft


def _is_enough(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= wanted
