"""Who sends a request: its key, looked up in the registry now and then, and held to its rate."""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from anyio import to_thread
from starlette.types import Scope

from app.access import LOCAL, Caller, Role
from app.actions.verify_key import HINT, verify_key
from app.api.exposure import is_local, require_local
from app.api.origins import check_host, check_origin
from app.api.rates import TokenBuckets
from app.api.roles import SAFE_METHODS, is_open, role_for
from app.errors import Forbidden, TooManyRequests, Unauthenticated, Unavailable
from app.registry.database import Database
from app.settings import Settings

CALLER = "caliper.caller"
"""Where a request's scope says who sent it."""

COOKIE = "caliper_key"
"""The cookie in which pages keep their reader's key."""

TOLD_MORE = "/readyz"
"""The path that is open to all, and says more to those who have a key."""

MOST_KNOWN = 10_000
"""Verified keys that are remembered; the oldest goes."""


@dataclass(frozen=True, slots=True)
class Knock:
    """What a request says of itself before anything is done for it."""

    method: str
    """HTTP method."""
    path: str
    """Path."""
    headers: dict[str, str]
    """Headers that matter here, by name in lower case; the last of several."""
    address: str
    """Where it comes from; empty where that is unknown."""
    server: tuple[str, int | None] | None
    """The service's own address at which it arrived."""

    @property
    def key(self) -> str | None:
        """The API key that it carries: as a bearer, or in the pages' cookie where it changes nothing.

        A browser sends the cookie by itself, also for a page of another site: it must not suffice for a change.
        """
        scheme, _, credentials = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return credentials.strip()
        return _cookie(self.headers.get("cookie", "")) if self.method in SAFE_METHODS else None


class Callers:
    """Lets requests in: host, origin, key and rate, in this order. Asked by one event loop alone."""

    def __init__(
        self, settings: Settings, database: Database, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._names = settings.host_names
        self._known: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        self._rates = TokenBuckets(settings.requests_per_second, settings.requests_burst, clock)
        per_minute = settings.failed_keys_per_minute
        self._failures = TokenBuckets(per_minute / 60, per_minute, clock)

    async def admit(self, knock: Knock) -> Caller | None:
        """The caller; None for whoever asks for what is open to all.

        Raises UnknownHost, CrossOrigin, KeysRequired, Unauthenticated, TooManyRequests, Unavailable.
        """
        headers = knock.headers
        authority = headers.get("host", "")
        check_host(authority, self._names, is_local=is_local(knock.server))
        marks = (headers.get(name) for name in ("origin", "sec-fetch-site", "sec-fetch-mode"))
        check_origin(knock.method, authority, *marks)
        if not self._settings.require_keys:
            require_local(knock.server)
            return LOCAL
        if knock.path == TOLD_MORE:
            return await self._identify_perhaps(knock)
        return None if is_open(knock.path) else await self._identify(knock)

    def forget(self) -> None:
        """Ask the registry about every key again: one was revoked."""
        self._known.clear()

    async def _identify_perhaps(self, knock: Knock) -> Caller | None:
        """The caller of what is open to all, and tells more to those who have a key."""
        try:
            return await self._identify(knock)
        except (Unauthenticated, TooManyRequests, Unavailable):
            return None

    async def _identify(self, knock: Knock) -> Caller:
        key = knock.key
        if key is None:
            raise Unauthenticated("the request carries no API key", hint=HINT)
        digest = hashlib.sha256(key.encode()).digest()
        caller, until = self._known.get(digest, (None, 0.0))
        if caller is None or until <= self._clock():
            caller = await self._look_up(key, digest, knock.address)
        wait = self._rates.take(caller.key_id or "")
        if wait:
            most = f"{self._settings.requests_per_second} requests a second"
            raise _too_many(f"the key may send {most}, {self._settings.requests_burst} at once", wait)
        return caller

    async def _look_up(self, key: str, digest: bytes, address: str) -> Caller:
        """Ask the registry; an address that has tried too many wrong keys has to wait first."""
        self._known.pop(digest, None)
        wait = self._failures.take(address)
        if wait:
            raise _too_many(f"{self._settings.failed_keys_per_minute} wrong keys a minute were tried", wait)
        try:
            caller = await to_thread.run_sync(verify_key, self._database, key)
        except Unavailable:
            self._failures.give_back(address)
            raise
        self._failures.give_back(address)
        self._known[digest] = (caller, self._clock() + self._settings.key_cache_seconds)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return caller


def caller_of(scope: Scope) -> Caller | None:
    """Who sent a request; None for whoever asks for what is open to all."""
    caller: Caller | None = scope.get(CALLER)
    return caller


def require_role(scope: Scope, route: str) -> None:
    """Raise Forbidden where the caller's role does not cover an operation; Unauthenticated where there is no caller."""
    method = scope["method"]
    caller, needed = caller_of(scope), role_for(method, route)
    if caller is None:
        if is_open(route) and needed is Role.READER:
            return
        raise Unauthenticated("nobody let this request in", hint=HINT)
    if not caller.role.covers(needed):
        raise Forbidden(
            f"the key {caller.name!r} is a {caller.role}'s; {method} {route} needs a {needed}'s",
            hint="an admin makes keys with other roles: POST /keys, or `caliper keys create`",
        )


def _too_many(detail: str, wait: float) -> TooManyRequests:
    seconds = math.ceil(wait)
    return TooManyRequests(detail, hint=f"try again in {seconds} s", retry_after=seconds)


def _cookie(header: str) -> str | None:
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE and value:
            return value
    return None
