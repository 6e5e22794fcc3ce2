"""/ui/sign-in: a reader's API key, kept by the browser in a cookie that no script can read.

The cookie is sent to this host alone, never for a page of another site (SameSite=Strict), and over TLS alone where the
page came that way. Pages ask the API with the key in it; the API itself takes the cookie only for what changes nothing.
"""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from app.client import ServiceError, calls
from app.ui.rendering import answer_page
from app.ui.route import PageRoute
from app.ui.service import COOKIE, open_with
from app.ui.way_in import SIGN_IN, own_page

router = APIRouter(route_class=PageRoute, include_in_schema=False)

KEYS_ARE_OFF = 404
LONGEST_KEY = 200


@router.get(SIGN_IN)
async def show_sign_in(request: Request) -> Response:
    """The form."""
    return answer_page(
        request, "sign_in.html", target=own_page(request.query_params.get("next", "")), error=None
    )


@router.post(SIGN_IN)
async def sign_in(
    request: Request,
    key: Annotated[str, Form(max_length=LONGEST_KEY)] = "",
    target: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Keep a key that the API takes, and show the page that was asked for; else say what is wrong with it."""
    target, key = own_page(target), key.strip()
    try:
        async with open_with(request, key) as service:
            await service.ask(calls.own_key())
    except ServiceError as error:
        if error.status != KEYS_ARE_OFF:
            status = error.status or 502
            return answer_page(request, "sign_in.html", status=status, target=target, error=error)
        return RedirectResponse(target, 303)  # nothing to sign in to
    answer = RedirectResponse(target, 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, key, path="/", httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/ui/sign-out")
async def sign_out() -> Response:
    """Let the browser forget the key."""
    answer = RedirectResponse(SIGN_IN, 303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer
