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
DecimalMark = Literal[".", ","]


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
    decimal_mark: DecimalMark | None = None
    """Decimal mark of numbers such as 1,234, where the file itself does not prove it."""
    columns: str | None = None
    """Names of the columns by position, joined by commas, for a CSV file without a header line."""
    volume_column: str | None = None
    """The volume column, where several could be it (Volume BTC, Volume USD): the one of the base currency."""
    feature_columns: str | None = None
    """Columns to keep as features of your own, joined by commas; causal by your word: the value of a row must
    be known when its bar closes."""

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
        for name in ("columns", "feature_columns"):
            _check_list(name, _split(getattr(self, name)))

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns of a file without a header line, by position."""
        return _split(self.columns)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The user's own feature columns, in their order."""
        return _split(self.feature_columns)

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
    "decimal_mark": (None, ".", ","),
}

_MOST_LISTED = 256


def _check_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = "an IANA name such as UTC, Europe/Berlin or America/New_York"
        raise InvalidInput(f"timezone is {name!r}", hint=hint, pointer="timezone") from None


def _split(names: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",")) if names else ()


def _check_list(field: str, names: tuple[str, ...]) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    wrong = [name for name in names if not name or len(name) > 60 or not name.isprintable()]
    if twins or wrong or len(names) > _MOST_LISTED:
        hint = f"up to {_MOST_LISTED} different names of 1 to 60 characters, joined by commas"
        raise InvalidInput(
            f"{field} names {', '.join(map(repr, (twins or wrong or names)[:5]))}", hint=hint, pointer=field
        )
