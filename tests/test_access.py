"""Keys and roles: what a key looks like, what each role covers, whose things a trainer may change."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.access import LOCAL, Caller, Role, hash_key, is_key, make_key, prefix_of, require_owner
from app.errors import Forbidden

ANNA = Caller(Role.TRAINER, "key_a", "anna")
ROOT = Caller(Role.ADMIN, "key_r", "root")


def test_a_key_has_256_random_bits_and_is_kept_as_its_hash() -> None:
    new = make_key()
    secret = new.secret.removeprefix(f"{new.prefix}_")
    assert len(secret) * math.log2(64) >= 256
    assert prefix_of(new.secret) == new.prefix
    assert secret not in new.sha256
    assert is_key(new.secret, new.sha256)
    assert len({make_key().secret for _ in range(100)}) == 100


def test_a_key_never_shows_in_its_repr() -> None:
    new = make_key()
    assert repr(new) == f"NewKey({new.prefix!r})"
    assert new.secret not in f"{new} {[new]!r}"


@given(st.text())
def test_nothing_else_looks_like_a_key(text: str) -> None:
    assert prefix_of(text) is None
    assert prefix_of(make_key().secret + text) is None or text == ""


@given(st.integers(min_value=0, max_value=59), st.sampled_from("abcXYZ019-_"))
def test_a_key_with_another_letter_is_another_key(place: int, letter: str) -> None:
    new = make_key()
    wrong = new.secret[:place] + letter + new.secret[place + 1 :]
    assert is_key(wrong, new.sha256) == (wrong == new.secret)
    assert (hash_key(wrong) == new.sha256) == (wrong == new.secret)


def test_each_role_covers_those_before_it() -> None:
    for (low, first), (high, second) in itertools.combinations(enumerate(Role), 2):
        assert low < high
        assert second.covers(first)
        assert not first.covers(second)
    assert all(role.covers(role) for role in Role)


def test_a_trainer_changes_its_own_and_an_admin_everything() -> None:
    require_owner(ANNA, "key_a", "the job")
    for caller in (ROOT, LOCAL):
        require_owner(caller, "key_a", "the job")
        require_owner(caller, None, "the job")
    with pytest.raises(Forbidden, match="with the key key_b"):
        require_owner(ANNA, "key_b", "the job")
    with pytest.raises(Forbidden, match="while keys were off"):
        require_owner(ANNA, None, "the job")
