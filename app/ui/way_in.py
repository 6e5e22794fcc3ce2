"""Where readers without a key are led: to the sign-in, and from there back to the page that they asked for."""

from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.ui.rendering import answer_page, wants_fragment

SIGN_IN = "/ui/sign-in"


def lead_to_sign_in(request: Request) -> Response:
    """To the form, and from there back; a link of another site is opened once more first.

    A browser keeps the cookie back for such a link: the page that is opened from here gets it.
    """
    if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
        return answer_page(request, "again.html", address=_address(request))
    page = _address(request) if request.method == "GET" and not wants_fragment(request) else "/ui"
    address = f"{SIGN_IN}?{urlencode({'next': page})}"
    if wants_fragment(request):
        return Response(status_code=204, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)


def own_page(address: str) -> str:
    """A page of these, and never another site's, whatever a link says."""
    parts = urlsplit(address)
    is_own = not parts.scheme and not parts.netloc and (parts.path == "/ui" or parts.path.startswith("/ui/"))
    return address if is_own and "\\" not in address else "/ui"


def _address(request: Request) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.url.path}{query}"
