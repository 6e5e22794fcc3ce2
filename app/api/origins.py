"""Under which names the service answers, and which pages may ask it: against DNS rebinding and forged requests.

A page of another site can make a browser send requests here. It cannot read the answers (no CORS header is ever
sent), but it could change something, or, by a name of its own that suddenly leads to this machine, become the same
site. Browsers tell by Host, Origin and Sec-Fetch-Site, none of which a page can forge; programs send no Origin.
(OWASP Cross-Site Request Forgery Prevention Cheat Sheet; Fetch Metadata Request Headers, W3C.)
"""

from urllib.parse import urlsplit

from app.addresses import host_of, is_address, is_loopback
from app.api.roles import SAFE_METHODS
from app.errors import CrossOrigin, UnknownHost

OWN_SITES = frozenset({"same-origin", "none"})
"""What Sec-Fetch-Site says of a page of this service, and of an address that a person typed."""


def check_host(authority: str, names: frozenset[str], *, is_local: bool) -> None:
    """Raise UnknownHost for a name that is not this service's.

    Loopback's names are, and what `names` lists. Where the service does not listen on loopback alone, plain
    addresses are too: only a name can be made to lead elsewhere.
    """
    host = host_of(authority)
    if is_loopback(host) or host in names or (not is_local and is_address(host)):
        return
    raise UnknownHost(
        f"this service does not answer as {authority[:80]!r}",
        hint="an admin names the hosts that it answers as in CALIPER_ALLOWED_HOSTS",
        pointer="Host",
    )


def check_origin(method: str, authority: str, origin: str | None, site: str | None, mode: str | None) -> None:
    """Raise CrossOrigin for a request that a page of another site made a browser send.

    Changing requests must not come from there at all; others only as a link that somebody follows.
    """
    if method in SAFE_METHODS:
        is_foreign = site == "cross-site" and mode != "navigate"
    else:
        is_foreign = site not in {None, *OWN_SITES} or (origin is not None and not _is_own(origin, authority))
    if is_foreign:
        raise CrossOrigin(
            "a page of another site sent the request",
            hint="programs send no Origin header; pages of this service have its own",
            pointer="Origin",
        )


def _is_own(origin: str, authority: str) -> bool:
    return urlsplit(origin).netloc.lower() == authority.lower()
