"""Refuse what would pass a key's quota, within the transaction that makes it: 100 requests at once do not pass it."""

from datetime import timedelta

from app.errors import QuotaExceeded
from app.registry.database import Session
from app.registry.keys import lock_key
from app.registry.tables import ApiKey, utc_now
from app.registry.usage import count_hours, count_open_jobs, count_stored_bytes
from app.settings import Settings


def check_job_quota(session: Session, settings: Settings, key_id: str | None) -> None:
    """Raise QuotaExceeded where one more job would be one too many, or the key's jobs have run for too long."""
    if key_id is None:
        return
    key = lock_key(session, key_id)
    most, used = most_jobs(settings, key), count_open_jobs(session, key.id)
    if used >= most:
        raise _exceeded("open jobs", most, used, "wait until one has ended, or cancel one")
    hours = count_hours(session, key.id, utc_now() - timedelta(days=settings.key_gpu_days))
    if hours >= most_hours(settings, key):
        span = f"the last {settings.key_gpu_days:g} days count"
        raise _exceeded("GPU hours", most_hours(settings, key), round(hours, 3), span)


def check_upload_quota(
    session: Session, settings: Settings, key_id: str | None, size: int, *, without_upload: str | None = None
) -> None:
    """Raise QuotaExceeded where `size` further bytes would be too many; `without_upload` is what becomes of them."""
    if key_id is None:
        return
    key = lock_key(session, key_id)
    most = most_bytes(settings, key)
    used = count_stored_bytes(session, key.id, without_upload=without_upload)
    if used + size > most:
        hint = f"{size:,} bytes more were sent; delete checkpoints that are not needed"
        raise _exceeded("upload bytes", most, used, hint)


def most_jobs(settings: Settings, key: ApiKey) -> int:
    """Open jobs that the key may have."""
    return settings.key_open_jobs if key.max_open_jobs is None else key.max_open_jobs


def most_bytes(settings: Settings, key: ApiKey) -> int:
    """Bytes that the key may have stored."""
    return settings.key_upload_bytes if key.max_upload_bytes is None else key.max_upload_bytes


def most_hours(settings: Settings, key: ApiKey) -> float:
    """Hours that the key's jobs may run."""
    return settings.key_gpu_hours if key.max_gpu_hours is None else key.max_gpu_hours


def _exceeded(quota: str, limit: float, used: float, hint: str) -> QuotaExceeded:
    more = "an admin can give the key a larger quota"
    return QuotaExceeded(
        f"the key's quota of {limit:,} {quota} is used up: {used:,}",
        hint=f"{hint}; {more}",
        quota=quota,
        limit=limit,
        used=used,
    )
