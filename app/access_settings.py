"""The settings of who may ask the service, how much and how fast; and the types that all settings are made of."""

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.addresses import host_of, is_loopback

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

Port = Annotated[int, Field(ge=1, le=65_535)]
Bytes = Annotated[int, Field(ge=KIB, le=1 << 50)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Days = Annotated[float, Field(gt=0, le=36_500)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class AccessSettings(BaseSettings):
    """Keys, host names, rates and quotas: a part of Settings, which reads them with all others."""

    model_config = SettingsConfigDict(frozen=True, use_attribute_docstrings=True)

    require_keys: bool = False
    """Whether every request needs an API key; without keys only this machine is answered."""
    allowed_hosts: str = ""
    """Host names by which requests may call the service, joined by commas; loopback's names need no mention."""
    key_cache_seconds: Seconds = 10
    """How long a key is trusted without asking the registry again: a revoked one works at most so long."""
    failed_keys_per_minute: Count = 30
    """Most wrong keys that an address may try in a minute; then it waits."""
    requests_per_second: Count = 50
    """Requests that a key may send in a second, on average, to one API process."""
    requests_burst: Count = 200
    """Requests that a key may send at once after a pause."""
    key_open_jobs: Count = 100
    """Most jobs of a key that wait or run, where the key has no limit of its own."""
    key_upload_bytes: Bytes = 100 * GIB
    """Most bytes that a key may have stored, where the key has no limit of its own."""
    key_gpu_hours: Annotated[float, Field(ge=0, le=1e9)] = 1_000
    """Most hours that jobs of a key may run within `key_gpu_days`, where the key has no limit of its own."""
    key_gpu_days: Days = 30
    """The days back from now whose running time counts."""

    upload_min_rate: Count = 1_024
    """Fewest bytes a second in which a request's body may arrive, on average over `upload_stall_seconds`."""
    upload_stall_seconds: Seconds = 20
    """How long a body may fall short of that rate before the request is given up."""
    upload_max_seconds: Seconds = 21_600
    """Longest time in which the body of one request may arrive."""

    keep_audit_days: Days = 365
    """How long it is kept who changed what."""

    @property
    def host_names(self) -> frozenset[str]:
        """The names of `allowed_hosts`."""
        return frozenset(filter(None, (name.strip().lower() for name in self.allowed_hosts.split(","))))

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts_are_names(cls, names: str) -> str:
        for name in filter(None, (name.strip() for name in names.split(","))):
            if host_of(name) != name.lower().rstrip("."):
                raise ValueError("allowed_hosts are names without scheme and port, joined by commas")
        return names

    @model_validator(mode="after")
    def _names_need_keys(self) -> Self:
        if not self.require_keys and any(not is_loopback(name) for name in self.host_names):
            raise ValueError(
                "allowed_hosts other than this machine need require_keys: a proxy may lead there"
            )
        return self
