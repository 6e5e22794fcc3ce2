"""Log lines of every process, ours and those of libraries: one JSON object a line, or text for a terminal.

Each line carries the ids that are bound where it is written: the request's in the API, the job's, its attempt and the
request that submitted it in worker and trainer. One search for an id finds a job in the logs of all processes.
No line holds a password or an API key.
"""

import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO, TypeAlias
from urllib.parse import quote, unquote, urlsplit

import structlog
from pydantic import SecretStr
from structlog.contextvars import bind_contextvars, get_contextvars
from structlog.typing import EventDict, Processor

from app.settings import Settings

Stream: TypeAlias = Callable[[], TextIO]
"""Where lines go, looked up at each: whoever runs a process may replace sys.stderr."""

API_KEY = re.compile(r"(caliper_[0-9a-f]{10})_[A-Za-z0-9_-]{20,}|(?i:(bearer\s+))[^\s\"',;\\]{8,}")
"""An API key, of which the public prefix stays, or whatever a request gave for one."""

URL_PASSWORD = re.compile(r"(://[^/\s:@\"]*:)[^/\s@\"]+@")
"""A password in the URL of something that the settings do not name."""

QUIET = ("httpx", "httpcore", "alembic", "kombu", "amqp", "matplotlib", "asyncio")
"""Libraries that tell at INFO what nobody asked."""

MIN_SECRET = 4
"""Shorter passwords are not looked for in lines: they would blot out words that happen to hold them."""

REQUEST_ID = "request_id"
"""Name of the request's id in lines, problems and rows."""


def configure_logs(settings: Settings, process: str, stream: Stream = lambda: sys.stderr) -> None:
    """Write this process's lines, and those of its libraries, to `stream`; may be called again."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *_processors(settings, process, stream()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=lambda *_: structlog.WriteLogger(stream()),
    )
    _take_over_libraries(settings, LibraryLines(_processors(settings, process, stream()), stream))


def is_json(settings: Settings, stream: TextIO) -> bool:
    """Whether lines are JSON: as `log_format` says, else wherever no person watches."""
    return settings.log_format == "json" or (settings.log_format == "auto" and not stream.isatty())


def bind_ids(**ids: Any) -> None:
    """Let every later line of this task, thread or process carry these ids; None is left out."""
    bind_contextvars(**{name: value for name, value in ids.items() if value is not None})


def current_request_id() -> str | None:
    """Id of the request that is being answered here; None outside of one."""
    return get_contextvars().get(REQUEST_ID)


def read_line(line: str) -> str:
    """A JSON line as a person reads it; any other line as it is."""
    try:
        entry = json.loads(line) if line.startswith("{") else None
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        return line
    moment, level, event = (str(entry.pop(name, "")) for name in ("timestamp", "level", "event"))
    trace = entry.pop("exception", "")
    for name in ("process", "logger"):
        entry.pop(name, None)
    facts = " ".join(f"{name}={value}" for name, value in entry.items())
    words = " ".join(filter(None, (moment[:19].replace("T", " "), level, event, facts)))
    return f"{words}\n{trace}" if trace else words


class LibraryLines(logging.Handler):
    """Gives a library's line the look of ours."""

    def __init__(self, processors: Sequence[Processor], stream: Stream) -> None:
        super().__init__()
        self._processors = (structlog.contextvars.merge_contextvars, *processors)
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; what goes wrong in it must not end the program."""
        try:
            level = record.levelname.lower()
            entry: Any = {"event": record.getMessage(), "level": level, "logger": record.name}
            if record.exc_info:
                entry["exc_info"] = record.exc_info
            for process in self._processors:
                entry = process(None, level, entry)
            structlog.WriteLogger(self._stream()).info(entry)
        except Exception:  # noqa: BLE001 - as every handler of the standard library does
            self.handleError(record)


def _take_over_libraries(settings: Settings, handler: LibraryLines) -> None:
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, LibraryLines)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    logging.captureWarnings(capture=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], name != "uvicorn.access"  # requests are told by ourselves
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _processors(settings: Settings, process: str, stream: TextIO) -> tuple[Processor, ...]:
    """What makes a line of an entry that has its level and ids."""

    def name_process(_logger: Any, _method: str, entry: EventDict) -> EventDict:
        return {"event": entry.pop("event", ""), "process": process, **entry}

    return (
        name_process,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Traces without the values of variables, which may be secrets.
        structlog.processors.format_exc_info,
        _renderer(settings, stream),
        _Masks(settings),
    )


def _renderer(settings: Settings, stream: TextIO) -> Processor:
    if is_json(settings, stream):
        return structlog.processors.JSONRenderer(default=str)
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


class _Masks:
    """Puts *** in place of every password of the settings and of every key, wherever in a line it stands."""

    def __init__(self, settings: Settings) -> None:
        self._secrets = tuple(sorted(_secrets_of(settings), key=len, reverse=True))

    def __call__(self, _logger: Any, _method: str, line: Any) -> str:
        text = str(line)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        if "@" in text:
            text = URL_PASSWORD.sub(r"\1***@", text)
        return API_KEY.sub(lambda found: f"{found[1] or found[2]}***", text)


def _secrets_of(settings: Settings) -> set[str]:
    """Passwords as they are, as a URL quotes them, and as JSON does."""
    held = [getattr(settings, name) for name in type(settings).model_fields]
    plain = {secret.get_secret_value() for secret in held if isinstance(secret, SecretStr)}
    plain |= {unquote(urlsplit(url).password or "") for url in (settings.database_url, settings.redis_url)}
    spelled = {
        form for each in plain if each for form in (each, quote(each, safe=""), json.dumps(each)[1:-1])
    }
    return {each for each in spelled if len(each) >= MIN_SECRET}
