"""Without keys only this machine is answered: said when the service starts, and held for each request."""

from app.addresses import is_loopback
from app.errors import Conflict, KeysRequired
from app.settings import Settings

HOW = "make a key with `caliper keys create NAME --role admin`, then set CALIPER_REQUIRE_KEYS=true"


def refuse_exposure(settings: Settings) -> None:
    """Raise Conflict where the service would listen beyond this machine without asking for keys."""
    if settings.require_keys or is_loopback(settings.host):
        return
    raise Conflict(
        f"the service would listen on {settings.host}, reachable by others, and ask nobody for a key",
        hint=f"{HOW}; or let CALIPER_HOST be 127.0.0.1",
        pointer="CALIPER_REQUIRE_KEYS",
    )


def is_local(server: tuple[str, int | None] | None) -> bool:
    """Whether the address at which a request arrived is reached from this machine alone.

    A Unix socket, or none at all, is: who may open its file is up to the system.
    """
    return server is None or server[0].startswith("/") or is_loopback(server[0])


def require_local(server: tuple[str, int | None] | None) -> None:
    """Raise KeysRequired for a request that arrived at an address which others reach too."""
    if not is_local(server):
        raise KeysRequired("the service asks for no keys, and so answers this machine alone", hint=HOW)
