"""Static files, each under an address that holds its content's hash: kept by browsers for good, never stale."""

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

FOLDER = Path(__file__).parent / "static"
PREFIX = "/ui/static"
SUFFIXES = (".css", ".js", ".svg", ".txt")
DIGITS = 16
"""Hexadecimal digits of the hash in an address."""
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file, in memory."""

    content: bytes
    """Its bytes."""
    digest: str
    """The first digits of their hash."""
    media_type: str
    """What it is."""


def read_assets(folder: Path) -> dict[str, Asset]:
    """All files below a folder that pages may load, by path."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    return {path.relative_to(folder).as_posix(): _read(path) for path in files}


def asset_url(name: str) -> str:
    """The address of a file; KeyError for one that is not there."""
    return f"{PREFIX}/{ASSETS[name].digest}/{name}"


async def serve_asset(request: Request) -> Response:
    """The file of a hash; 404 where this service has other bytes under that name."""
    asset = ASSETS.get(request.path_params["name"])
    if asset is None or asset.digest != request.path_params["digest"]:
        return PlainTextResponse("there is no such file", 404)
    etag = f'"{asset.digest}"'
    headers = {"Cache-Control": FOREVER, "ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(content, hashlib.sha256(content).hexdigest()[:DIGITS], media_type)


ASSETS = read_assets(FOLDER)
