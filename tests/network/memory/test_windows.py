"""Windows as a question describes them: all three numbers or none, and they make up the observation."""

from typing import Any

import pytest

from app.errors import CaliperError
from app.network.memory.windows import Windows, read_windows


def test_nothing_said_is_no_window() -> None:
    assert read_windows(5300, lookback=None, features=None, rows=None) is None


def test_what_is_beyond_the_features_is_the_account_s() -> None:
    windows = read_windows(5300, lookback=100, features=48, rows=2335)
    assert windows == Windows(100, 48, 2335)
    assert windows.account_bytes(5300) == 5 * 4
    assert windows.series_bytes == 48 * 2335 * 4
    assert (windows.geometry.columns, windows.geometry.rows) == (4800, 2335)
    assert windows.stored_bytes == 8


@pytest.mark.parametrize(
    ("given", "pointer", "words"),
    [
        ({"lookback": 100}, "features", "lookback without features, rows"),
        ({"features": 5, "rows": 9}, "lookback", "without lookback"),
        ({"lookback": 0, "features": 5, "rows": 9}, "lookback", "lookback is 0"),
        ({"lookback": 10, "features": -1, "rows": 9}, "features", "features is -1"),
        ({"lookback": 10, "features": 5, "rows": 0}, "rows", "rows is 0"),
        ({"lookback": 100, "features": 54, "rows": 9}, "features", "5,400 is more than obs_dim=5,300"),
        ({"lookback": 99, "features": 5, "rows": 9}, "lookback", "no multiple of lookback=99"),
    ],
)
def test_what_cannot_be_a_window_is_refused(given: dict[str, Any], pointer: str, words: str) -> None:
    with pytest.raises(CaliperError) as caught:
        read_windows(5300, **{"lookback": None, "features": None, "rows": None, **given})
    assert caught.value.pointer == pointer
    assert words in caught.value.detail
    assert caught.value.hint
