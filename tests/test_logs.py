"""Lines: JSON for machines and text for people, ours and those of libraries, with ids and without secrets."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from app.logs import LibraryLines, bind_ids, configure_logs, current_request_id, is_json, read_line
from app.settings import Settings

SECRET = 'pa"ss/w:rd&#x'


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """What a test configures does not last."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    structlog.contextvars.clear_contextvars()
    yield
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.setLevel(level)
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)


def write(settings: Settings, stream: io.StringIO | None = None) -> io.StringIO:
    stream = stream or io.StringIO()
    configure_logs(settings, "api", lambda: stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_ours_and_libraries_lines_carry_the_ids_that_are_bound(settings: Settings) -> None:
    stream = write(settings)
    bind_ids(request_id="r-1", job_id="job_1", attempt=None)
    structlog.get_logger().info("hello", bytes=3)
    logging.getLogger("celery.worker").warning("task %s received", "x")
    ours, theirs = lines(stream)
    assert (ours["event"], ours["bytes"], ours["level"], ours["process"]) == ("hello", 3, "info", "api")
    assert (theirs["event"], theirs["logger"], theirs["level"]) == (
        "task x received",
        "celery.worker",
        "warning",
    )
    for line in (ours, theirs):
        assert (line["request_id"], line["job_id"]) == ("r-1", "job_1")
        assert line["timestamp"].endswith("Z")
        assert "attempt" not in line
    assert current_request_id() == "r-1"


def test_the_least_level_holds_for_both(settings: Settings) -> None:
    stream = write(settings.model_copy(update={"log_level": "WARNING"}))
    structlog.get_logger().info("no")
    logging.getLogger("x").info("no")
    structlog.get_logger().warning("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_configured_twice_a_line_is_written_once(settings: Settings) -> None:
    write(settings)
    stream = write(settings)
    logging.getLogger("x").warning("once")
    assert len(lines(stream)) == 1
    assert sum(isinstance(each, LibraryLines) for each in logging.getLogger().handlers) == 1


def test_traces_are_one_line_and_tell_no_values(settings: Settings) -> None:
    stream = write(settings)
    hidden = "value-of-a-variable"
    try:
        int(f"bad {len(hidden)}")
    except ValueError:
        structlog.get_logger().exception("ours")
        logging.getLogger("x").exception("theirs")
    for line in lines(stream):
        assert "ValueError: invalid literal" in line["exception"]
        assert hidden not in line["exception"]


def test_no_line_holds_a_password_or_a_key(settings: Settings, tmp_path: Path) -> None:
    own = Settings(
        data_dir=tmp_path,
        database_url="postgresql+psycopg://caliper@db/caliper",
        database_password=SECRET,
        redis_url="redis://:other-secret@redis/0",
    )
    key = f"caliper_0123456789_{'k' * 43}"
    for log_format in ("json", "text"):
        stream = write(own.model_copy(update={"log_format": log_format}))
        structlog.get_logger().error("x", url=own.database_url, plain=SECRET, redis=own.redis_url)
        structlog.get_logger().error("x", header=f"Authorization: Bearer {key}", key=key)
        logging.getLogger("kombu").error("cannot connect to %s", own.redis_url)
        logging.getLogger("x").error("amqp://guest:foreign-secret@host/ and caliper@host")
        said = stream.getvalue()
        for secret in (SECRET, json.dumps(SECRET)[1:-1], "other-secret", "foreign-secret", "k" * 43):
            assert secret not in said
        assert "caliper_0123456789" in said, "the public part of a key tells whose it is"
        assert "caliper@host" in said


def test_a_terminal_gets_text_and_everything_else_json(settings: Settings) -> None:
    assert is_json(settings, io.StringIO())
    assert not is_json(settings, Terminal())
    stream = write(settings, Terminal())
    structlog.get_logger().info("hello", job_id="job_1")
    logging.getLogger("celery").warning("theirs")
    assert "hello" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
    forced = settings.model_copy(update={"log_format": "json"})
    assert is_json(forced, Terminal())


def test_warnings_of_python_are_lines_too(settings: Settings) -> None:
    stream = write(settings)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old", stacklevel=1)
    assert "old" in lines(stream)[-1]["event"]


def test_uvicorns_lines_are_ours_and_its_requests_are_not_told_twice(settings: Settings) -> None:
    stream = write(settings)
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.access").info("GET / 200")
    assert [line["event"] for line in lines(stream)] == ["Started server process"]


def test_a_line_is_read_back_as_people_read_it() -> None:
    line = json.dumps(
        {
            "event": "a turn failed",
            "process": "api",
            "level": "error",
            "timestamp": "2026-11-23T10:00:00.123Z",
            "loop": "relay",
            "exception": "Traceback\nValueError: bad",
        }
    )
    assert read_line(line) == "2026-11-23 10:00:00 error a turn failed loop=relay\nTraceback\nValueError: bad"
    for other in ("plain words", "{no json", "[1]", '"text"'):
        assert read_line(other) == other
