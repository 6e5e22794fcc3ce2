"""A service that asks for keys, and one key of each role."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from running_service import Service, running

from app.access import Role
from app.actions.make_key import KeyWish, create_key
from app.registry.database import Database
from app.settings import Settings


@dataclass
class Keyed:
    """A running service whose keys are on."""

    service: Service
    keys: dict[str, str]
    ids: dict[str, str]

    def ask(self, role: str | None, method: str, path: str, **options: Any) -> httpx.Response:
        """A request with the key of a role; None for none."""
        own = {"Authorization": f"Bearer {self.keys[role]}"} if role else {}
        headers = {**own, **options.pop("headers", {})}
        return self.service.http.request(method, path, headers=headers, **options)

    def add(self, name: str, role: str = "trainer", **limits: Any) -> str:
        """Make another key; its id."""
        made = create_key(self.service.parts.database, KeyWish(name=name, role=Role(role), **limits))
        self.keys[name], self.ids[name] = made.secret, made.row.id
        return made.row.id


@contextmanager
def keyed_service(settings: Settings, **changes: Any) -> Iterator[Keyed]:
    """The service of these settings with keys on; its registry must have been migrated."""
    with running(settings.model_copy(update={"require_keys": True, **changes})) as service:
        keyed = Keyed(service, {}, {})
        for role in Role:
            keyed.add(str(role), str(role))
        yield keyed


def make_registry_key(database: Database, **limits: Any) -> str:
    """A trainer's key in a registry; its id."""
    return create_key(database, KeyWish(name="t", role=Role.TRAINER, **limits)).row.id
