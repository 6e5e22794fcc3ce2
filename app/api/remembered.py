"""Routes whose answer follows from the query alone: neither parsed, computed nor written twice."""

from starlette.types import Message, Receive, Scope, Send

from app.api.kept_answers import KeptAnswers
from app.api.operation import Operation


class RememberedOperation(Operation):
    """A GET route whose answer follows from its query string; refusals are not kept."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the kept answer, or have it made and keep it."""
        answers: KeptAnswers = scope["app"].state.parts.answers
        query: bytes = scope["query_string"]
        kept = answers.find(query) if scope["method"] == "GET" else None
        if kept is None:
            await super().handle(scope, receive, _Recorder(answers, query, send))
            return
        await send({"type": "http.response.start", "status": 200, "headers": list(kept.headers)})
        await send({"type": "http.response.body", "body": kept.body})


class _Recorder:
    """Passes an answer on and keeps it if it is a success in one piece."""

    def __init__(self, answers: KeptAnswers, query: bytes, send: Send) -> None:
        self._answers, self._query, self._send = answers, query, send
        self._headers: list[tuple[bytes, bytes]] | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._headers = list(message["headers"]) if message["status"] == 200 else None
        elif self._headers is not None and not message.get("more_body"):
            self._answers.keep(self._query, self._headers, message.get("body", b""))
        else:
            self._headers = None
        await self._send(message)
