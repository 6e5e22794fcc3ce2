"""What a user declares about a file of bars, because no file says it by itself."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.errors import InvalidInput
from app.market.calendars import CALENDARS, DAY, Calendar, calendar_named
from app.network.shape import DOCUMENTED

Label = Literal["open", "close"]
Adjusted = Literal["raw", "split", "total"]
DateOrder = Literal["ymd", "dmy", "mdy"]
BarFormat = Literal["csv", "parquet"]


@dataclass(frozen=True, slots=True)
class Declarations:
    """What the user says about the bars; raises InvalidInput for a value that cannot be meant."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    bar_seconds: int | None = None
    """Length of a bar in seconds; null takes the most frequent distance between two rows."""
    timezone: str | None = None
    """IANA name of the zone of naive timestamps, such as `America/New_York`; also of the time features."""
    label: Label = "open"
    """Whether a row's timestamp is the bar's open or its close; wrong labels look into the future."""
    adjusted: Adjusted = "raw"
    """Prices as traded (`raw`), adjusted for splits, or for splits and dividends (`total`)."""
    calendar: str | None = None
    """Trading calendar: 24x7, 24x5, XNYS, …; null counts as 24x7 and gives date-only files no time zone."""
    volume_unit: str | None = None
    """What volume counts, in the user's words: shares, BTC, USD, ticks."""
    reverse: bool = False
    """Turn a file that runs from new to old."""
    date_order: DateOrder | None = None
    """Order of day and month in dates such as 03/04/2017, where the file itself does not prove it."""

    def __post_init__(self) -> None:
        if self.bar_seconds is not None and not 1 <= self.bar_seconds <= 7 * DAY:
            hint = f"1 second to 7 days: 1 to {7 * DAY:,}"
            raise InvalidInput(f"bar_seconds is {self.bar_seconds}", hint=hint, pointer="bar_seconds")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                words = ", ".join(str(choice) for choice in allowed)
                detail = f"{name} is {getattr(self, name)!r}"
                raise InvalidInput(detail, hint=f"one of {words}", pointer=name)
        if self.calendar is not None:
            calendar_named(self.calendar)
        if self.timezone is not None:
            _check_timezone(self.timezone)

    @property
    def known_calendar(self) -> Calendar:
        """The declared calendar, 24x7 where none was declared."""
        return CALENDARS[self.calendar or "24x7"]

    @property
    def date_timezone(self) -> str | None:
        """Zone of dates without a time: the declared one, else the declared calendar's."""
        return self.timezone or (CALENDARS[self.calendar].timezone if self.calendar else None)

    @property
    def local_timezone(self) -> str:
        """Zone in which hours and weekdays are counted."""
        return self.date_timezone or "UTC"

    def plain(self) -> dict[str, Any]:
        """The declarations as plain types."""
        return asdict(self)

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `plain()`."""
        return cls(**values)


@dataclass(frozen=True, slots=True)
class BarLimits:
    """What a file of bars may measure; settings may lower or raise them."""

    max_rows: int = 10_000_000
    """Most rows."""
    max_bytes: int = 2_000_000_000
    """Most bytes of the file as uploaded."""
    max_columns: int = 200
    """Most columns, used or not."""
    min_rows: int = 602
    """Fewest rows of the longest segment: 500 of warm-up, a window of 100, a fill and a reward."""


DEFAULT_LIMITS = BarLimits()
"""The limits where settings name no others."""

_CHOICES: dict[str, tuple[str | None, ...]] = {
    "label": ("open", "close"),
    "adjusted": ("raw", "split", "total"),
    "date_order": (None, "ymd", "dmy", "mdy"),
}


def _check_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = "an IANA name such as UTC, Europe/Berlin or America/New_York"
        raise InvalidInput(f"timezone is {name!r}", hint=hint, pointer="timezone") from None
