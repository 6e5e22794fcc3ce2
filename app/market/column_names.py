"""Which column is which: names that exporters use, compared without case, spaces and punctuation."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.market.declarations import Declarations
from app.market.findings import refuse_one

PRICES = ("open", "high", "low", "close")
"""The four price columns."""

ALIASES: dict[str, tuple[str, ...]] = {
    "timestamp": (
        *("unix", "unix timestamp", "unix time", "epoch", "timestamp", "open time", "opentime"),
        *("start time", "time start", "period start", "time period start", "datetime", "date time"),
        *("time", "date", "local time", "start", "begin", "ts", "dt", "t", "candle begin time"),
        *("index level 0", "index"),
    ),
    "open": ("open", "o", "open price", "price open", "open last"),
    "high": ("high", "h", "high price", "price high", "max"),
    "low": ("low", "l", "low price", "price low", "min"),
    "close": ("close", "c", "close price", "price close", "close/last", "last", "price"),
    "volume": ("volume", "vol", "v", "base volume", "volume base", "volume traded"),
    "tick_volume": ("tick volume", "tickvol", "tickvolume", "ticks"),
    "adjusted_close": ("adj close", "adjusted close", "adjclose"),
}
"""Names that each column is known by, the most trusted first: an epoch needs no time zone."""

_ZONES = {"utc": "UTC", "gmt": "UTC"}
_OTHER_ZONES = {"eet", "eest", "cet", "cest", "est", "edt"}
_NOT_BASE = {"quote", "taker", "number", "trades", "average", "weighted", "ma", "sma"}
_SYMBOLS = ("symbol", "ticker", "pair", "instrument")
_CLOCK = re.compile(r"\d{1,2}:\d{2}.*|\d{4}|\d{6}")


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """Positions of the columns that are used."""

    at: dict[str, int]
    """Canonical name -> position; `time_of_day`, `volume`, `tick_volume`, `adjusted_close` and `symbol` where there are such."""
    features: tuple[int, ...]
    """Positions of the declared feature columns, in their order."""
    zone: str | None
    """Time zone that the name of the timestamp column states."""
    volume_name: str | None
    """Name of the volume column in the file."""


def plain_name(name: str) -> str:
    """A name without case, punctuation and numbering: `Volume_(BTC)` is `volume btc`, `1. open` is `open`."""
    words = re.sub(r"[\s_\-.<>()\[\]{}\"'#*:\ufeff]+", " ", name.lower()).strip()
    return re.sub(r"^\d+ (?=[a-z])", "", words)


def count_roles(names: Sequence[str]) -> int:
    """How many of time, open, high, low and close are named; 0 for a line of values."""
    plain = [_without_zone(plain_name(name))[0] for name in names]
    return sum(any(name in ALIASES[role] for name in plain) for role in ("timestamp", *PRICES))


def choose_columns(names: Sequence[str], example: Sequence[str], declared: Declarations) -> ColumnChoice:
    """Find each column among `names`; `example` holds a row's cells.

    Raises InvalidDataset (E_COLUMNS): one is missing, named twice, or it takes a declaration to choose.
    """
    plain = [plain_name(name) for name in names]
    bare = [_without_zone(name)[0] for name in plain]
    found: dict[str, int] = {}
    for role, aliases in ALIASES.items():
        known = [(aliases.index(name), at) for at, name in enumerate(bare) if name in aliases]
        if known:
            found[role] = min(known)[1]
    if "timestamp" not in found and plain and not plain[0]:
        found["timestamp"] = 0  # pandas writes the index without a name
    _check(names, plain, found)
    _join_date_and_time(bare, found, example)
    symbol = next((at for at, name in enumerate(plain) if name in _SYMBOLS), None)
    if symbol is not None:
        found["symbol"] = symbol
    volume = _choose_volume(names, plain, found, _cell(example, symbol), declared.volume_column)
    found = {role: at for role, at in found.items() if role != "volume"}
    if volume is not None:
        found["volume"] = volume
    features = tuple(_find(names, plain, name, "feature_columns") for name in declared.feature_names)
    zone = _without_zone(plain[found["timestamp"]])[1]
    return ColumnChoice(found, features, zone, None if volume is None else names[volume])


def _check(names: Sequence[str], plain: list[str], found: dict[str, int]) -> None:
    missing = [role for role in ("timestamp", *PRICES) if role not in found]
    if missing:
        shown = ", ".join(name.strip()[:40] for name in names[:20] if name.strip()) or "none"
        raise refuse_one("E_COLUMNS", f"no column for {', '.join(missing)}; found {shown}")
    twins = [names[at] for at in found.values() if plain.count(plain[at]) > 1]
    if twins:
        words = f"several columns are called {', '.join(twins)} but for case, spaces or punctuation"
        raise refuse_one("E_COLUMNS", words)


def _join_date_and_time(bare: list[str], found: dict[str, int], example: Sequence[str]) -> None:
    if bare[found["timestamp"]] not in {"date", "time"} or not {"date", "time"} <= set(bare):
        return
    date, time = bare.index("date"), bare.index("time")
    is_clock = bool(_CLOCK.fullmatch((_cell(example, time) or "").strip()))
    found["timestamp"] = date
    if is_clock:
        found["time_of_day"] = time


def _choose_volume(
    names: Sequence[str], plain: list[str], found: dict[str, int], symbol: str | None, declared: str | None
) -> int | None:
    """The base volume: as declared, by its plain name, or the one that the symbol names first."""
    if declared is not None:
        return _find(names, plain, declared, "volume_column")
    if "volume" in found:
        return found["volume"]
    taken = {found.get("tick_volume")}
    rivals = [at for at, name in enumerate(plain) if at not in taken and _names_volume(name)]
    if len(rivals) > 1 and symbol:
        pair = re.sub(r"[^a-z0-9]", "", symbol.lower())
        rivals = [at for at in rivals if pair.startswith(_currency(plain[at]))] or rivals
    if len(rivals) > 1:
        listed = ", ".join(names[at].strip() for at in rivals)
        words = f"several volume columns ({listed}): declare volume_column, the one of the base currency"
        raise refuse_one("E_COLUMNS", words)
    return rivals[0] if rivals else None


def _names_volume(name: str) -> bool:
    words = set(name.split())
    return bool(words & {"volume", "vol"}) and not words & _NOT_BASE


def _currency(name: str) -> str:
    return "".join(word for word in name.split() if word not in {"volume", "vol"})


def _find(names: Sequence[str], plain: list[str], wanted: str, pointer: str) -> int:
    exact = [at for at, name in enumerate(names) if name.strip() == wanted.strip()]
    alike = exact or [at for at, name in enumerate(plain) if name == plain_name(wanted)]
    if len(alike) != 1:
        shown = ", ".join(name.strip()[:40] for name in names[:20])
        what = "no column" if not alike else "several columns"
        raise refuse_one("E_COLUMNS", f"{pointer}: {what} called {wanted!r}; found {shown}")
    return alike[0]


def _without_zone(name: str) -> tuple[str, str | None]:
    words = name.split()
    zone = next((_ZONES[word] for word in words if word in _ZONES), None)
    kept = [word for word in words if word not in _ZONES and word not in _OTHER_ZONES]
    return (" ".join(kept) if kept else name), zone


def _cell(example: Sequence[str], at: int | None) -> str | None:
    return example[at] if at is not None and at < len(example) else None
