"""The gate of the service, before any operation: who asks, how fast; what changed something is written down."""

from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access import Caller
from app.api.auditor import Auditor
from app.api.callers import CALLER, Callers, Knock
from app.api.pace import Pace, PacedBody
from app.api.problems import answer_error
from app.api.roles import SAFE_METHODS, changes
from app.errors import CaliperError

WITHIN = "caliper.within"
"""Where a request's scope says that another request, which passed the gate, sent it from within this process."""

PROBE = "/healthz"
"""The path that is answered whoever asks, by whatever name, without a look at anything."""

LOOKED_AT = frozenset((b"host", b"origin", b"authorization", b"cookie", b"sec-fetch-site", b"sec-fetch-mode"))


class Gate:
    """What the gate needs of one service."""

    def __init__(self, callers: Callers, auditor: Auditor, pace: Pace) -> None:
        self.callers = callers
        self.auditor = auditor
        self.pace = pace


class Guard:
    """ASGI middleware: refuses who may not ask, gives up bodies that do not come, audits changes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its caller, or answer why it is not."""
        if scope["type"] != "http" or scope["path"] == PROBE:
            await self.app(scope, receive, send)
            return
        gate: Gate = scope["app"].state.parts.gate
        knock = read_knock(scope)
        try:
            scope[CALLER] = caller = await gate.callers.admit(knock)
        except CaliperError as error:
            if changes(knock.method, knock.path):
                await gate.auditor.note(scope, None, knock.address, error.status)
            await answer_error(error)(scope, receive, send)
            return
        if knock.method in SAFE_METHODS:
            await self.app(scope, receive, send)
        else:
            await self._watch(scope, receive, send, Passage(gate, scope, caller, knock))

    async def _watch(self, scope: Scope, receive: Receive, send: Send, passage: "Passage") -> None:
        """Pass a request with a body on."""
        if scope.get(WITHIN):  # the request that sent it is watched
            body = None
        else:
            receive = body = PacedBody(receive, passage.gate.pace)

        async def send_watched(message: Message) -> None:
            if body is not None and body.failure is not None:
                return  # what reads the body says that its connection broke; the client hears why
            await passage.see(message)
            await send(message)

        try:
            await self.app(scope, receive, send_watched)
        except Exception:
            if body is None or body.failure is None:
                await passage.end(HTTPStatus.INTERNAL_SERVER_ERROR)
                raise
        if body is not None and body.failure is not None and not passage.is_answered:
            await passage.end(body.failure.status)
            await answer_error(body.failure)(scope, receive, send)


class Passage:
    """A changing request on its way, and whether the audit has it."""

    def __init__(self, gate: Gate, scope: Scope, caller: Caller | None, knock: Knock) -> None:
        self.gate = gate
        self.is_answered = False
        self._scope = scope
        self._caller = caller
        self._address = knock.address
        self._is_page = knock.path.startswith("/ui")

    async def see(self, message: Message) -> None:
        """Take note of an answer before it is sent."""
        if message["type"] == "http.response.start":
            location = next((value for name, value in message["headers"] if name.lower() == b"location"), b"")
            await self.end(message["status"], location.decode("latin-1"))

    async def end(self, status: int, location: str = "") -> None:
        """Write down how it ended, once; what a page does it asks of the API, whose requests are written down."""
        if self.is_answered:
            return
        self.is_answered = True
        route = str(getattr(self._scope.get("route"), "path", self._scope["path"]))
        if changes(self._scope["method"], route) and not self._is_page:
            await self.gate.auditor.note(self._scope, self._caller, self._address, status, location)


def read_knock(scope: Scope) -> Knock:
    """What a request says of itself."""
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in LOOKED_AT
    }
    client = scope.get("client")
    return Knock(scope["method"], scope["path"], headers, client[0] if client else "", scope.get("server"))
