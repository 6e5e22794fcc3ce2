"""What the service answers about API keys and the audit."""

from typing import TypedDict


class KeyView(TypedDict):
    """An API key, without what only its holder knows."""

    id: str
    name: str
    prefix: str
    role: str
    is_valid: bool
    max_open_jobs: int
    max_upload_bytes: int
    max_gpu_hours: float
    created_by: str | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class NewKeyView(KeyView):
    """A key that was just made, with the key itself."""

    key: str


class KeyUse(KeyView):
    """A key and what it has used of its limits."""

    open_jobs: int
    upload_bytes: int
    gpu_hours: float


class AuditView(TypedDict):
    """A request that changed something, or was refused to."""

    id: str
    at: str
    key_id: str | None
    address: str | None
    method: str
    route: str
    action: str
    target: str | None
    status: int
    outcome: str
    request_id: str | None
    skipped: int
