"""Running commands in this process, against a service that is played."""

from typing import Any

import pytest
from fake_service import FakeService
from typer.testing import CliRunner, Result

from app.cli import app
from app.client import Client


class CommandLine:
    """Runs commands and keeps what the service was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.service = FakeService()
        monkeypatch.setattr("app.cli.options.Client", self._connect)
        monkeypatch.setattr("app.client.blocking.RETRY_SECONDS", 0.0)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.delenv("CALIPER_URL", raising=False)
        self.url = ""

    def _connect(self, url: str, **options: Any) -> Client:
        self.url = url
        return self.service.client(**options)

    def __call__(self, *arguments: object, **options: object) -> Result:
        return CliRunner().invoke(
            app, [str(argument) for argument in arguments], prog_name="caliper", **options
        )

    def answers(self, **answers: object) -> None:
        self.service.answers.update(answers)
