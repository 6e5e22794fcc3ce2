"""GET /docs: Swagger UI on the service's own OpenAPI document, from files of the service's own.

No other host is asked for anything; the page's policy forbids it.
"""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"

# Swagger UI writes style attributes and shows icons from data: URLs.
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Caliper: API</title>
<link rel="stylesheet" href="/static/swagger-ui/swagger-ui.css">
<link rel="icon" href="/static/swagger-ui/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/static/swagger-ui/swagger-ui-bundle.js"></script>
<script src="/static/docs.js" data-openapi="/openapi.json"></script>
</body>
</html>
"""


def install_docs(app: FastAPI) -> None:
    """Add the page and its files."""
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_api_route("/docs", show_docs, include_in_schema=False, response_class=HTMLResponse)


async def show_docs() -> HTMLResponse:
    """The page."""
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})
