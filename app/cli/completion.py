"""What a shell offers after Tab: ids and names that the service knows now; nothing where it does not answer at once."""

import os
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import typer

from app.client import Client
from app.client.connection import DEFAULT_URL

SECONDS = 0.5
"""How long a shell may wait for the service."""

MOST = 100
"""Most of a list that are offered: the newest."""

Offer = tuple[str, str]
"""A word, and what it stands for."""


def complete_jobs(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Ids of jobs."""
    return _offer(ctx, incomplete, lambda client: map(_job, client.jobs(limit=MOST)))


def complete_checkpoints(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Aliases and ids of checkpoints."""
    return _offer(
        ctx,
        incomplete,
        lambda client: (offer for row in client.checkpoints(limit=MOST) for offer in _checkpoint(row)),
    )


def complete_datasets(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Names and ids of datasets."""
    return _offer(
        ctx,
        incomplete,
        lambda client: (offer for row in client.datasets(limit=MOST) for offer in _dataset(row)),
    )


def complete_states(incomplete: str) -> list[str]:
    """States of a job."""
    states = ("queued", "running", "succeeded", "failed", "cancelled")
    return [state for state in states if state.startswith(incomplete)]


def _job(row: Any) -> Offer:
    return row["id"], f"{row['state']}, {row['name']}"


def _checkpoint(row: Any) -> Iterable[Offer]:
    about = f"{row['kind']} {row['name']}"
    yield from ((alias, f"alias of {row['id']}, {about}") for alias in row["aliases"])
    yield row["id"], about


def _dataset(row: Any) -> Iterable[Offer]:
    yield row["name"], f"{row['rows']:,} bars"
    yield row["id"], row["name"]


def _offer(ctx: typer.Context, incomplete: str, ask: Callable[[Client], Iterable[Offer]]) -> list[Offer]:
    """What fits the word so far, once each."""
    url = ctx.params.get("url") or os.environ.get("CALIPER_URL") or DEFAULT_URL
    try:
        with Client(url, timeout=SECONDS, retries=0) as client:
            found = dict(islice(ask(client), MOST))
    except Exception:  # noqa: BLE001 - a shell that completes has no place for an error
        return []
    return [(word, about) for word, about in found.items() if word.startswith(incomplete)]
