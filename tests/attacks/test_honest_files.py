"""Honest files of real libraries get no finding of medium or high severity: no false alarm."""

import io

import pytest

from app.checkpoint.inspect import inspect_checkpoint
from tests.attacks.honest import HONEST


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_file_is_unflagged(name: str) -> None:
    report = inspect_checkpoint(io.BytesIO(HONEST[name]()))
    assert report.complete
    assert not report.suspicious, report.findings
