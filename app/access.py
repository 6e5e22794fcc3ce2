"""Who asks, and what that allows: roles, callers, and what an API key looks like. Standard library only.

A key is `caliper_<id>_<secret>`: the first two parts are its prefix, shown wherever the key is named and the
place where it is looked up; the secret has 256 random bits. The registry keeps the SHA-256 of the whole: a hash
that is slow on purpose would protect secrets that people think up, and these nobody can guess.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from hmac import compare_digest

from app.errors import Forbidden

SECRET_BYTES = 32
"""Random bytes of a key."""

PREFIX_BYTES = 5
"""Random bytes of what names it."""

_KEY = re.compile(r"(caliper_[0-9a-f]{10})_[A-Za-z0-9_-]{43}")


class Role(StrEnum):
    """What a key is for; each role may do what those before it may."""

    READER = "reader"
    """Look at everything, and have files read that are not stored."""
    TRAINER = "trainer"
    """Upload, submit, and change or delete what was made with this key."""
    ADMIN = "admin"
    """Keys, the audit, calibrations, and what others made."""

    def covers(self, needed: "Role") -> bool:
        """Whether this role may do what `needed` may."""
        order = tuple(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request."""

    role: Role
    """What the request may do."""
    key_id: str | None
    """The API key that it carried; None where keys are off."""
    name: str
    """How that key is called."""


LOCAL = Caller(Role.ADMIN, None, "keys are off")
"""Whoever asks a service whose keys are off: only this machine reaches it."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made, with what must be kept of it."""

    prefix: str
    """What it is called by in public."""
    secret: str
    """The whole key; to be shown once and kept by nobody but its owner."""
    sha256: str
    """What the registry keeps."""

    def __repr__(self) -> str:
        """Never the key itself."""
        return f"NewKey({self.prefix!r})"


def make_key() -> NewKey:
    """A key of 256 random bits."""
    prefix = f"caliper_{secrets.token_hex(PREFIX_BYTES)}"
    secret = f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    return NewKey(prefix, secret, hash_key(secret))


def prefix_of(key: str) -> str | None:
    """The prefix of what looks like a key; None for anything else."""
    found = _KEY.fullmatch(key)
    return found[1] if found else None


def hash_key(key: str) -> str:
    """What the registry keeps of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def is_key(key: str, sha256: str) -> bool:
    """Whether a key has this hash, in a time that says nothing of how much of it agrees."""
    return compare_digest(hash_key(key), sha256)


def require_owner(caller: Caller, key_id: str | None, what: str) -> None:
    """Raise Forbidden where a caller would change what another key made.

    What was made while keys were off belongs to nobody: only admins change it.
    """
    if caller.role is Role.ADMIN or (key_id is not None and key_id == caller.key_id):
        return
    owner = "while keys were off" if key_id is None else f"with the key {key_id}"
    raise Forbidden(
        f"{what} was made {owner}, not with yours",
        hint="a trainer changes what its own key made; an admin's key may change everything",
    )
