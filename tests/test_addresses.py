"""Hosts and addresses as requests spell them."""

import pytest

from app.addresses import host_of, insert_password, is_address, is_loopback


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("localhost:8400", "localhost"),
        ("LocalHost", "localhost"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]:8400", "::1"),
        ("[::1]", "::1"),
        ("caliper.example.", "caliper.example"),
        ("", ""),
        ("a b", ""),
        ("localhost@evil.example", ""),
        ("localhost:80:80", ""),
        ("localhost/..", ""),
        ("localhost#@evil.example", ""),
        ("::1", ""),
    ],
)
def test_the_host_of_an_authority(authority: str, host: str) -> None:
    assert host_of(authority) == host


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "192.0.2.1", "localhost.evil.example", "127.0.0.1.evil.example", "2130706433"],
)
def test_what_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_an_address_is_no_name() -> None:
    assert is_address("192.0.2.1")
    assert is_address("::")
    assert not is_address("localhost")


def test_a_password_is_quoted_into_a_url_that_has_none() -> None:
    assert insert_password("redis://r:1/0", "a@b/c") == "redis://:a%40b%2Fc@r:1/0"
    assert insert_password("redis://u:p@r/0", "x") == "redis://u:p@r/0"
    assert insert_password("sqlite:///x", "x") == "sqlite:///x"
