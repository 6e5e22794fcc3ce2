"""The connection to an S3-compatible store, from the settings or the provider's own environment (AWS_*)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from app.errors import InvalidInput, StoreUnavailable
from app.settings import Settings

try:
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
    from obstore.store import S3Store
except ImportError as error:
    raise InvalidInput(
        f"the library for S3-compatible stores is not installed ({error})",
        hint="pip install 'caliper[s3]', or leave CALIPER_ARTIFACTS_URL empty",
    ) from error

CONNECT_TIMEOUT, READ_TIMEOUT = timedelta(seconds=5), timedelta(seconds=60)
"""How long a connection, and the next bytes of an answer, are awaited."""
REQUEST_TIMEOUT = timedelta(days=1)
"""The same for a whole request: a large file over a slow line may take hours."""

BACKOFF_START, BACKOFF_MOST = timedelta(milliseconds=200), timedelta(seconds=5)
MOST_RETRIES = 1_000
"""Far more than fit into the time for retries, which is what ends them."""

MOST_WORDS = 300
"""Characters of a store's own message that an error repeats."""


def connect_store(settings: Settings) -> S3Store:
    """The bucket that the settings name; no request is made yet.

    Keys that are not set are looked for where Amazon's own tools do: AWS_ACCESS_KEY_ID and its kin, a web identity,
    the machine's role.
    """
    parts = urlsplit(settings.artifacts_url)
    secret = settings.artifacts_secret_access_key
    given = {
        "endpoint": settings.artifacts_endpoint,
        "region": settings.artifacts_region,
        "access_key_id": settings.artifacts_access_key_id,
        "secret_access_key": secret.get_secret_value() if secret else "",
    }
    config: Any = {name: value for name, value in given.items() if value}
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config=config,
        client_options={
            "allow_http": settings.artifacts_over_http,
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
            "timeout": REQUEST_TIMEOUT,
        },
        retry_config={
            "max_retries": MOST_RETRIES,
            "retry_timeout": timedelta(seconds=settings.artifact_retry_seconds),
            "backoff": {"init_backoff": BACKOFF_START, "max_backoff": BACKOFF_MOST, "base": 2},
        },
    )


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Tell what a store answers by the error tree; FileNotFoundError passes, for its meaning depends on what was asked."""
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise StoreUnavailable(
            f"the artifact store refuses to {what}: {_first_words(error)}",
            hint="check the credentials, and what they may do with the bucket",
        ) from error
    except (BaseError, ValueError) as error:
        if "NoSuchBucket" in str(error):
            raise missing_bucket() from error
        raise StoreUnavailable(
            f"the artifact store did not {what}: {_first_words(error)}", hint="try again shortly"
        ) from error


def missing_bucket() -> StoreUnavailable:
    """The error for a bucket that is not there."""
    hint = "create the bucket, or correct CALIPER_ARTIFACTS_URL"
    return StoreUnavailable("the artifact store has no bucket of that name", hint=hint)


def _first_words(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:MOST_WORDS]
