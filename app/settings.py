"""Every setting of the service, read once from the environment (CALIPER_*).

A password never shows: not in repr, not in a dump, not in a validation error. A URL may name its
password itself, or leave it to `database_password` and `redis_password`, which are quoted into it.
"""

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_serializer, field_validator, model_validator
from pydantic_core.core_schema import ValidationInfo
from pydantic_settings import SettingsConfigDict

from app.access_settings import GIB as GIB  # noqa: PLC0414 - named from here by those who name settings
from app.access_settings import KIB as KIB  # noqa: PLC0414
from app.access_settings import MIB as MIB  # noqa: PLC0414
from app.access_settings import AccessSettings, Bytes, Count, Days, Name, Port, Seconds
from app.addresses import insert_password, mask_password
from app.artifact_settings import ArtifactSettings
from app.defaults import CPU_MEMORY_BYTES

ENV_PREFIX = "CALIPER_"
"""What the name of each setting's environment variable starts with."""

SOCKET_PATH_BYTES = 100
"""Longest path of a Unix socket that every supported system takes (Linux 107, macOS 103)."""


def _default_database_url(data: dict[str, Any]) -> str:
    """A SQLite file in data_dir."""
    return f"sqlite:///{data['data_dir']}/caliper.db"


def _default_redis_url(data: dict[str, Any]) -> str:
    """A socket below data_dir or, where that path is too long, in a folder of this user named by its hash."""
    socket = data["data_dir"] / "run" / "redis.sock"
    if len(os.fsencode(socket)) > SOCKET_PATH_BYTES:
        digest = hashlib.sha256(os.fsencode(data["data_dir"])).hexdigest()[:16]
        socket = Path(tempfile.gettempdir()) / f"caliper-{os.getuid()}-{digest}" / "redis.sock"
    return f"redis+socket://{socket}"


class Settings(AccessSettings, ArtifactSettings):
    """The settings of API, worker and one-machine stack; equal environments give equal settings."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    data_dir: Path = Path(".caliper")
    """Folder of everything that is kept: artifacts, the SQLite file, Redis' log, log files."""

    database_password: SecretStr | None = None
    """Password put into `database_url` where that names none."""
    database_url: str = Field(default_factory=_default_database_url)
    """SQLAlchemy URL of the registry; by default a SQLite file in `data_dir`."""
    redis_password: SecretStr | None = None
    """Password put into `redis_url` where that names none."""
    redis_url: str = Field(default_factory=_default_redis_url)
    """Celery broker URL; by default a Unix socket in `data_dir`, served by the bundled Redis."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address that the API listens on."""
    port: Port = 8400
    """TCP port that the API listens on."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe log line that is written."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """How log lines look: `json` objects, `text` for people, or text on a terminal and json elsewhere."""

    max_upload_bytes: Bytes = 8 * GIB
    """Largest checkpoint file that is accepted."""
    max_dataset_bytes: Bytes = 2 * GIB
    """Largest dataset file that is accepted."""
    max_rows: Count = 20_000_000
    """Most rows that a dataset may have."""
    max_body_bytes: Bytes = MIB
    """Largest JSON request body."""
    page_size_max: Annotated[int, Field(ge=1, le=1_000)] = 200
    """Most items that one page of a list holds."""

    max_followers: Annotated[int, Field(ge=1, le=100_000)] = 2_000
    """Most event streams that one API process keeps open at one time; each is a connection and an open file."""

    upload_ttl_seconds: Seconds = 86_400
    """How long an unfinished upload is kept after its last part."""
    max_open_uploads: Annotated[int, Field(ge=1, le=10_000)] = 32
    """Most uploads in parts that are unfinished at one time."""

    inspect_timeout_seconds: Seconds = 30
    """Wall-clock time that reading one checkpoint may take."""
    inspect_cpu_seconds: Seconds = 20
    """Processor time that reading one checkpoint may take."""
    inspect_memory_bytes: Bytes = 512 * MIB
    """Memory that reading one checkpoint may take."""

    lease_seconds: Seconds = 45
    """How long a worker owns a job after its last heartbeat."""
    heartbeat_seconds: Seconds = 10
    """Time between two heartbeats of a running job; at most half of the lease."""
    sweep_seconds: Seconds = 10
    """Time between two sweeps for expired leases and lost messages."""
    orphan_seconds: Seconds = 3_600
    """How long a stored file that nothing in the registry names is kept: far longer than a row may be late."""
    relay_seconds: Seconds = 1
    """Time between two looks into the outbox for messages to send."""
    probe_seconds: Seconds = 5
    """Time between two proofs that a queue is consumed; three times without one, and /readyz says so."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """Times that a job is started before a lost worker fails it."""
    cancel_grace_seconds: Seconds = 30
    """Time that a trainer has for its last checkpoint, when its job is cancelled or its worker stops."""
    checkpoint_every_updates: Count = 50
    """Most PPO updates between two checkpoints."""
    checkpoint_every_seconds: Seconds = 300
    """Most time between two checkpoints."""

    keep_points_days: Days = 90
    """How long every point of an ended job's curves is kept; then they are thinned."""
    kept_points: Annotated[int, Field(ge=2, le=100_000)] = 500
    """Points of each curve, and progress events, that are kept for good."""
    keep_logs_days: Days = 365
    """How long the log of an ended job is kept; at least as long as all points of its curves."""

    source_commit: Annotated[str, Field(pattern=r"^([0-9a-f]{7,64})?$")] = ""
    """Commit of Caliper's source, which jobs record; empty: read from the git checkout that it runs from, if it does."""

    default_tier: Name | Literal[""] = ""
    """GPU tier of jobs that name none, and queue of the one-machine worker; empty: this machine's own."""
    also_tiers: Annotated[str, Field(pattern=r"^([a-z0-9]+(,[a-z0-9]+)*)?$")] = ""
    """Smaller GPU tiers, joined by commas, whose jobs a worker takes while its own tier has none waiting."""
    calibrate_on_start: bool = False
    """Whether a worker whose device was never measured measures it before it takes its first job, for about 15 s."""
    cpu_memory_bytes: Bytes = CPU_MEMORY_BYTES
    """Memory that a training run on the cpu tier may take."""
    worker_name: Name = "caliper"
    """Node name of the worker; two workers on one host need two names."""
    queue_prefix: Name = "caliper"
    """What the name of every queue and Redis key starts with."""

    @property
    def artifacts_dir(self) -> Path:
        """Folder of the artifacts, by content hash."""
        return self.data_dir / "artifacts"

    @property
    def logs_dir(self) -> Path:
        """Folder of the log files of the one-machine stack."""
        return self.data_dir / "logs"

    @property
    def spool_dir(self) -> Path:
        """Folder where uploads wait until they are accepted: on the artifacts' disk, not in memory."""
        return self.data_dir / "tmp"

    @property
    def redis_client_url(self) -> str:
        """`redis_url` as the redis library spells it; Celery writes redis+socket:// where it has unix://."""
        return re.sub(r"^redis\+socket://", "unix://", self.redis_url)

    @property
    def redis_socket(self) -> Path | None:
        """Path of Redis' Unix socket; None for a Redis reached over TCP."""
        parts = urlsplit(self.redis_url)
        return Path(unquote(parts.path)) if parts.scheme == "redis+socket" else None

    @property
    def redis_is_bundled(self) -> bool:
        """Whether the one-machine stack runs its own Redis: no other was named."""
        return self.redis_url == _default_redis_url({"data_dir": self.data_dir})

    @property
    def also_tier_names(self) -> tuple[str, ...]:
        """`also_tiers` one by one."""
        return tuple(filter(None, self.also_tiers.split(",")))

    def queue_name(self, tier: str) -> str:
        """Name of the queue that holds the jobs of a GPU tier."""
        return f"{self.queue_prefix}.{tier}"

    def environment(self) -> dict[str, str]:
        """The variables from which a child process reads equal settings; holds the passwords."""
        return {ENV_PREFIX + name.upper(): _spell(getattr(self, name)) for name in type(self).model_fields}

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would follow symlinks
        if set(str(path)) & set("?#%"):
            raise ValueError("the path holds ?, # or %, which a database URL cannot carry")
        return path

    @field_validator("database_url", "redis_url")
    @classmethod
    def _with_password(cls, url: str, info: ValidationInfo) -> str:
        secret = info.data.get(f"{info.field_name}".replace("_url", "_password"))
        return insert_password(url, secret.get_secret_value()) if secret else url

    @field_validator("redis_url")
    @classmethod
    def _reachable(cls, url: str) -> str:
        parts = urlsplit(url)
        if not (parts.hostname if parts.scheme in {"redis", "rediss"} else parts.scheme == "redis+socket"):
            raise ValueError("the URL is redis://host, rediss://host or redis+socket:///path")
        return url

    @model_validator(mode="after")
    def _heartbeats_keep_the_lease(self) -> Self:
        if self.heartbeat_seconds * 2 > self.lease_seconds:
            raise ValueError("heartbeat_seconds is at most half of lease_seconds: one may be late")
        return self

    @model_validator(mode="after")
    def _logs_outlive_points(self) -> Self:
        if self.keep_logs_days < self.keep_points_days:
            raise ValueError("keep_logs_days is at least keep_points_days")
        return self

    @field_serializer("database_url", "redis_url")
    def _masked(self, url: str) -> str:
        return mask_password(url)

    def __repr_args__(self) -> Any:
        """Fields for repr, str and rich, without passwords."""
        return [(k, mask_password(v) if k and k.endswith("_url") else v) for k, v in super().__repr_args__()]


def get_settings() -> Settings:
    """The settings of this process' environment, read anew each time."""
    return Settings()


def describe_mistakes(error: ValidationError) -> str:
    """What is wrong with the settings, one line a variable, without the values."""
    return "\n".join(
        ": ".join((*(ENV_PREFIX + str(name).upper() for name in mistake["loc"][:1]), mistake["msg"]))
        for mistake in error.errors(include_url=False, include_input=False)
        if mistake["type"] != "default_factory_not_called"  # follows from another one
    )


def _spell(value: Any) -> str:
    if value is None:
        return ""  # an empty variable counts as unset, and hides one that is inherited
    return str(value.get_secret_value() if isinstance(value, SecretStr) else value)
