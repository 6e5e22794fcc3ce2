"""Jinja's environment, and an answer made of a template: the whole page, or the one block that HTMX asked for."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from app.ui.assets import asset_url
from app.ui.figures import FILTERS

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""What pages may load: files of this service alone; no script or style within the page itself."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: that would take the Origin from forms that change something.
    "Referrer-Policy": "same-origin",
    # One address, two answers: the page, and the block of it that HTMX swaps in.
    "Vary": "HX-Request",
}

ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals["asset"] = asset_url
ENVIRONMENT.filters |= FILTERS


def answer_page(
    request: Request, template: str, *, fragment: str | None = None, status: int = 200, **context: Any
) -> HTMLResponse:
    """A template rendered with this context; only its block `fragment` where HTMX asks.

    Everything that is not marked safe is escaped, an unknown name raises.
    """
    context = {"request": request, **context}
    if fragment is not None and wants_fragment(request):
        return HTMLResponse(render_block(template, fragment, context), status, HEADERS)
    return HTMLResponse(ENVIRONMENT.get_template(template).render(context), status, HEADERS)


def wants_fragment(request: Request) -> bool:
    """Whether HTMX asks for a part of the page, and not to restore it whole."""
    given = request.headers
    return given.get("hx-request") == "true" and given.get("hx-history-restore-request") != "true"


def render_block(template: str, block: str, context: dict[str, Any]) -> Markup:
    """One block of a template, which must not lean on what the template sets outside of it."""
    loaded = ENVIRONMENT.get_template(template)
    rendered = loaded.blocks[block](loaded.new_context(context))
    return Markup("").join(Markup(part) for part in rendered)  # noqa: S704 - the template has escaped it
