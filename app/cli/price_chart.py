"""Prices as a small chart of block characters, for the terminal."""

import numpy as np
from rich.text import Text

from app.market.bars import Bars
from app.market.chart import gather_columns

WIDTH, HEIGHT = 64, 8
_BLOCKS = " ▁▂▃▄▅▆▇█"


def draw_prices(bars: Bars, width: int = WIDTH, height: int = HEIGHT) -> Text:
    """Closes over time as columns of blocks, lowest and highest beside them; columns without bars stay empty."""
    columns = gather_columns(bars, width)
    low, high = float(columns.close.min()), float(columns.close.max())
    share = (columns.close - low) / (high - low) if high > low else np.full(len(columns.close), 0.5)
    eighths = np.zeros(width, dtype=np.int64)
    eighths[columns.at] = 1 + np.round(share * (height * 8 - 1)).astype(np.int64)
    labels = {0: high, height - 1: low}
    room = max(len(_label(price)) for price in labels.values())
    lines = []
    for row in range(height):
        filled = np.clip(eighths - 8 * (height - 1 - row), 0, 8)
        label = _label(labels[row]) if row in labels else ""
        lines.append(f"{label:>{room}} " + "".join(_BLOCKS[part] for part in filled))
    return Text("\n".join(line.rstrip() for line in lines), style="blue", no_wrap=True)


def _label(price: float) -> str:
    return f"{price:,.2f}" if price >= 100 else f"{price:.6g}"
