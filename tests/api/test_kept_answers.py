"""Kept answers: found by their very query, bounded in bytes and age."""

import pytest

from app.api import kept_answers
from app.api.kept_answers import KeptAnswers

HEADERS = [(b"content-type", b"application/json")]


def test_an_answer_is_found_by_its_query_alone() -> None:
    answers = KeptAnswers()
    answers.keep(b"a=1", HEADERS, b"one")
    assert answers.find(b"a=2") is None
    found = answers.find(b"a=1")
    assert found is not None
    assert (found.body, list(found.headers)) == (b"one", HEADERS)


def test_a_new_answer_takes_the_old_one_s_place() -> None:
    answers = KeptAnswers()
    answers.keep(b"a", HEADERS, b"old")
    answers.keep(b"a", HEADERS, b"new")
    found = answers.find(b"a")
    assert found is not None
    assert found.body == b"new"


def test_the_ones_asked_for_longest_ago_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_answers, "MAX_BYTES", 30)
    answers = KeptAnswers()
    for name in (b"a", b"b", b"c"):
        answers.keep(name, HEADERS, b"x" * 10)
    assert answers.find(b"a") is not None
    answers.keep(b"d", HEADERS, b"x" * 10)
    assert answers.find(b"b") is None
    assert all(answers.find(name) is not None for name in (b"a", b"c", b"d"))
    answers.keep(b"e", HEADERS, b"x" * 31)
    assert answers.find(b"e") is None


def test_old_answers_and_long_queries_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = KeptAnswers()
    answers.keep(b"q" * (kept_answers.MAX_QUERY_BYTES + 1), HEADERS, b"x")
    assert answers.find(b"q" * (kept_answers.MAX_QUERY_BYTES + 1)) is None
    answers.keep(b"a", HEADERS, b"x")
    monkeypatch.setattr(kept_answers, "MAX_AGE_SECONDS", -1.0)
    assert answers.find(b"a") is None


def test_all_can_be_forgotten() -> None:
    answers = KeptAnswers()
    answers.keep(b"a", HEADERS, b"x")
    answers.clear()
    assert answers.find(b"a") is None
