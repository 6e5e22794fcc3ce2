"""Whether a request that changes something was sent by a page of this service (against cross-site request forgery).

Browsers send Sec-Fetch-Site to hosts that they trust, and Origin with every POST; neither can be set by a
script of another site. (OWASP Cross-Site Request Forgery Prevention Cheat Sheet, Fetch Metadata.)
"""

from urllib.parse import urlsplit

from starlette.requests import Request

from app.client import ServiceError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def require_same_origin(request: Request) -> None:
    """Raise ServiceError (403) for a change that no page of this service asked for."""
    if request.method in SAFE_METHODS or is_same_origin(request):
        return
    raise ServiceError(
        "the request did not come from a page of this service",
        code="cross_origin",
        status=403,
        hint="use the form on the page; programs use the API, which GET /docs describes",
    )


def is_same_origin(request: Request) -> bool:
    """By Sec-Fetch-Site where the browser sends it, else by Origin against Host; False where it says neither."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin", "")
    return bool(origin) and urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
