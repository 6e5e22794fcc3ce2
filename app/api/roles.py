"""Which role each operation needs. What is named nowhere here and changes something is for admins."""

from app.access import Role

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

READING = frozenset(
    {
        ("POST", "/checkpoints/inspect"),
        ("POST", "/checkpoints/diff"),
        ("POST", "/datasets/check"),
        ("POST", "/jobs/preview"),
    }
)
"""Operations that take a body and keep nothing of it."""

TRAINING = frozenset(
    {
        ("POST", "/datasets"),
        ("DELETE", "/datasets/{dataset_id}"),
        ("POST", "/jobs"),
        ("POST", "/jobs/{job_id}/cancel"),
        ("POST", "/jobs/{job_id}/resume"),
        ("POST", "/uploads"),
        ("PATCH", "/uploads/{upload_id}"),
        ("DELETE", "/uploads/{upload_id}"),
        ("POST", "/checkpoints"),
        ("PATCH", "/checkpoints/{checkpoint_id}"),
        ("DELETE", "/checkpoints/{checkpoint_id}"),
        ("POST", "/checkpoints/diff/weights"),
    }
)
"""Operations that make something, or change what the same key made."""

ADMINISTRATION = frozenset({("GET", "/keys"), ("GET", "/audit")})
"""Operations that change nothing, and yet are for admins."""

OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/healthz", "/readyz"})
"""Paths that need no key: they tell what every installation tells, or whether this one works."""

OPEN_FOLDERS = ("/static/", "/ui/")
"""The same, of all paths below. Pages ask the API with their reader's key; without one they lead to the sign-in."""


def role_for(method: str, route: str) -> Role:
    """The least role that may use an operation."""
    operation = (method, route)
    if operation in ADMINISTRATION:
        return Role.ADMIN
    if method in SAFE_METHODS or operation in READING:
        return Role.READER
    return Role.TRAINER if operation in TRAINING else Role.ADMIN


def changes(method: str, route: str) -> bool:
    """Whether an operation changes something: such requests are audited."""
    return method not in SAFE_METHODS and (method, route) not in READING


def is_open(path: str) -> bool:
    """Whether a path needs no key."""
    return path in OPEN_PATHS or path == "/ui" or path.startswith(OPEN_FOLDERS)
