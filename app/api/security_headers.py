"""The headers that every answer carries unless it says otherwise: what browsers may do with it, and that none keeps it."""

from typing import Any

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    # Data loads nothing and lies in no frame; what is a page has a policy of its own.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    # No other site's page may embed it.
    "Cross-Origin-Resource-Policy": "same-origin",
    # Answers hold what changes, and what only its caller may see; what may be kept says so itself.
    "Cache-Control": "no-store",
}

_RAW = tuple((name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items())


def add_security_headers(headers: list[Any]) -> None:
    """Add to an ASGI message's headers those that it lacks."""
    given = {name.lower() for name, _ in headers}
    headers.extend(pair for pair in _RAW if pair[0] not in given)
