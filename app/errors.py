"""The error tree: what can go wrong, the HTTP status of each, and what would be allowed instead.

CaliperError                     code, status, title; detail, hint, pointer
├── InvalidInput            422  a value that cannot be accepted
│   ├── InvalidShape             a network that cannot exist or passes a limit
│   ├── InvalidConfig            a training setting out of range, unknown, or contradicting another
│   ├── InvalidDataset           bars that break the data contract; carries findings
│   ├── DoesNotFit               a training run larger than the card it is meant for; carries the estimate
│   ├── NotExportable            a checkpoint that a format cannot hold
│   └── RangeNotSatisfiable 416  a Range header that names no bytes of the file
├── LimitExceeded           413  something larger than a named limit; carries limit and actual
├── Unauthenticated         401  no API key, or one that is not valid
├── Forbidden               403  the caller may not do this
│   ├── CrossOrigin              a page of another site sent the request
│   ├── KeysRequired             keys are off, and the request came from outside of this machine
│   └── QuotaExceeded            the key has used up what it may; carries quota, limit and used
├── TooSlow                 408  a body that did not arrive in time
├── UnknownHost             421  the request names a host that this service is not
├── TooManyRequests         429  more requests than a key may send; carries retry_after
├── UnreadableCheckpoint    422  a file that is no checkpoint, or is damaged, hostile or encrypted
├── NotFound                404  no such row
├── Conflict                409  the request contradicts the state of things
│   ├── IllegalMove              a job's state does not allow this
│   └── IdempotencyMismatch      an Idempotency-Key used again with another body
├── Unavailable             503  a part of the service does not answer; try again
│   └── StoreUnavailable         the artifact store does not answer, or refuses
└── TrainingFailed          500  a training run ended by itself
    ├── TrainingDiverged         a loss or a weight became NaN or infinite
    └── OutOfDeviceMemory        the card is full; carries the estimate
"""

from typing import Any, ClassVar


class CaliperError(Exception):
    """The base of every error that Caliper raises on purpose.

    `detail` says what was wrong and where, `hint` what would be allowed, `pointer` is the JSON pointer
    or the parameter name at fault; `extra` holds machine-readable members of the problem document.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, *, hint: str = "", pointer: str = "", **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.pointer = pointer
        self.extra = extra

    def problem(self) -> dict[str, Any]:
        """The error as an RFC 9457 problem document."""
        members = {"type": f"urn:caliper:error:{self.code}", "title": self.title, "status": self.status}
        optional = {"hint": self.hint, "pointer": self.pointer}
        return {
            **members,
            "code": self.code,
            "detail": self.detail,
            **{k: v for k, v in optional.items() if v},
            **self.extra,
        }


class InvalidInput(CaliperError):
    """A value that cannot be accepted."""

    code = "invalid_input"
    status = 422
    title = "The request holds a value that is not allowed"


class InvalidShape(InvalidInput):
    """A network that cannot exist or passes a limit."""

    code = "invalid_shape"
    title = "No such network can be built"


class InvalidConfig(InvalidInput):
    """A training setting that is out of range, unknown, or contradicts another."""

    code = "invalid_config"
    title = "The training configuration is not valid"


class InvalidDataset(InvalidInput):
    """Bars that break the data contract; `findings` lists each breach with code, rows, count and fix."""

    code = "invalid_dataset"
    title = "The dataset breaks the bar contract"


class DoesNotFit(InvalidInput):
    """A training run that needs more memory than the card it is meant for."""

    code = "does_not_fit"
    title = "The training run does not fit"


class NotExportable(InvalidInput):
    """A checkpoint that a format cannot hold, or whose forward pass is not known."""

    code = "not_exportable"
    title = "The checkpoint cannot be exported to this format"


class RangeNotSatisfiable(InvalidInput):
    """A Range header that names no bytes of the file; `bytes` is the file's size."""

    code = "range_not_satisfiable"
    status = 416
    title = "The range lies outside the file"


class LimitExceeded(CaliperError):
    """Something is larger than a named limit; carries `limit_name`, `limit` and `actual`."""

    code = "limit_exceeded"
    status = 413
    title = "A limit was exceeded"

    def __init__(self, name: str, *, limit: float, actual: float, hint: str = "", pointer: str = "") -> None:
        detail = f"{name}: {actual:,} exceeds the limit of {limit:,}"
        super().__init__(detail, hint=hint, pointer=pointer, limit_name=name, limit=limit, actual=actual)
        self.limit_name = name
        self.limit = limit
        self.actual = actual


class Unauthenticated(CaliperError):
    """The request carries no API key, or one that is unknown, revoked or expired."""

    code = "unauthenticated"
    status = 401
    title = "A valid API key is needed"


class Forbidden(CaliperError):
    """The caller may not do this."""

    code = "forbidden"
    status = 403
    title = "This is not allowed with the given key"


class CrossOrigin(Forbidden):
    """A page of another site sent the request."""

    code = "cross_origin"
    title = "Requests of other sites' pages are refused"


class KeysRequired(Forbidden):
    """API keys are off, and the request came from outside of this machine."""

    code = "keys_required"
    title = "Without API keys only this machine is answered"


class QuotaExceeded(Forbidden):
    """The key has used up what it may; carries `quota`, `limit` and `used`."""

    code = "quota_exceeded"
    title = "The key's quota is used up"


class TooSlow(CaliperError):
    """A body that did not arrive in time; what was registered before stays."""

    code = "too_slow"
    status = 408
    title = "The request's body came too slowly"


class UnknownHost(CaliperError):
    """The request names a host that this service is not."""

    code = "unknown_host"
    status = 421
    title = "The service does not answer under this name"


class TooManyRequests(CaliperError):
    """More requests than a key or an address may send; `retry_after` is in seconds."""

    code = "too_many_requests"
    status = 429
    title = "Too many requests"


class UnreadableCheckpoint(CaliperError):
    """A file that is no checkpoint, or is damaged, hostile or encrypted."""

    code = "unreadable_checkpoint"
    status = 422
    title = "The file cannot be read as a checkpoint"


class NotFound(CaliperError):
    """There is no such row."""

    code = "not_found"
    status = 404
    title = "Not found"


class Conflict(CaliperError):
    """The request contradicts the state of things."""

    code = "conflict"
    status = 409
    title = "The request conflicts with the present state"


class IllegalMove(Conflict):
    """A job's state does not allow what was asked."""

    code = "illegal_move"
    title = "The job's state does not allow this"


class IdempotencyMismatch(Conflict):
    """An Idempotency-Key was used again with another body."""

    code = "idempotency_mismatch"
    title = "This Idempotency-Key belongs to another request"


class Unavailable(CaliperError):
    """A part of the service does not answer; the request may be tried again."""

    code = "unavailable"
    status = 503
    title = "A part of the service is not available"


class StoreUnavailable(Unavailable):
    """The artifact store does not answer, or refuses what was asked of it."""


class TrainingFailed(CaliperError):
    """A training run ended by itself."""

    code = "training_failed"
    title = "The training run failed"


class TrainingDiverged(TrainingFailed):
    """A loss or a weight became NaN or infinite."""

    code = "training_diverged"
    title = "The training run diverged"


class OutOfDeviceMemory(TrainingFailed):
    """The device ran out of memory; carries the estimate beside it."""

    code = "out_of_device_memory"
    title = "The device is out of memory"
