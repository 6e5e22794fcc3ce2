"""Host names and addresses as requests and URLs spell them. Standard library only."""

import re
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import quote, urlsplit, urlunsplit

REMEMBERED = 1_024
"""Hosts whose reading is remembered: every request is asked for its own."""


@lru_cache(maxsize=REMEMBERED)
def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_address(host: str) -> bool:
    """Whether it is an IP address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=REMEMBERED)
def host_of(authority: str) -> str:
    """The host of `host:port` in lower case, an IPv6 address without brackets; empty for what is none."""
    found = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?|([A-Za-z0-9._-]+)(?::\d{1,5})?", authority)
    return (found[1] or found[2]).lower().rstrip(".") if found else ""


def mask_password(url: str) -> str:
    """The URL with *** in place of its password and of every secret-looking query value."""
    masked = re.sub(r"(?<=://)([^/@:]*):.*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&][^=&]*(?:password|secret|token|key)[^=&]*=)[^&#]*", r"\1***", masked)


def insert_password(url: str, password: str) -> str:
    """The URL with a password, quoted, where it names a host and no password of its own."""
    parts = urlsplit(url)
    if parts.password or not parts.hostname:
        return url
    user = parts.username or ""
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{address}"))
