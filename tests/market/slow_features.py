"""The 48 market features again, bar by bar in plain Python from their textbook definitions; no TA-Lib.

Slow on purpose: nothing is shared with the code under test.
"""

from math import cos, log, log1p, pi, sin, sqrt

from app.market.bars import Bars


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def deviation(values: list[float]) -> float:
    centre = mean(values)
    return sqrt(mean([(value - centre) ** 2 for value in values]))


def ema(values: list[float], bars: int) -> list[float]:
    """Exponential average, begun with the plain average of the first `bars`; aligned to the end."""
    smoothed = [mean(values[:bars])]
    for value in values[bars:]:
        smoothed.append(smoothed[-1] + 2 / (bars + 1) * (value - smoothed[-1]))
    return smoothed


def wilder(values: list[float], bars: int) -> list[float]:
    smoothed = [mean(values[:bars])]
    for value in values[bars:]:
        smoothed.append((smoothed[-1] * (bars - 1) + value) / bars)
    return smoothed


def slow_features(bars: Bars) -> dict[str, float]:
    """All 48 of the last bar."""
    o, h, lo, c, v = (list(map(float, getattr(bars, n))) for n in ("open", "high", "low", "close", "volume"))
    n = len(c)
    r = [log(c[t] / c[t - 1]) for t in range(1, n)]
    true_range = [max(h[t] - lo[t], abs(h[t] - c[t - 1]), abs(lo[t] - c[t - 1])) for t in range(1, n)]
    atr = wilder(true_range, 14)
    s, a = deviation(r[-100:]), atr[-1]
    change = [c[t] - c[t - 1] for t in range(1, n)]
    typical = [(h[t] + lo[t] + c[t]) / 3 for t in range(n)]
    clv = [((c[t] - lo[t]) - (h[t] - c[t])) / (h[t] - lo[t]) if h[t] > lo[t] else 0.0 for t in range(n)]

    def rsi(k: int) -> float:
        up, down = wilder([max(x, 0) for x in change], k)[-1], wilder([max(-x, 0) for x in change], k)[-1]
        return 100 * up / (up + down)

    def cmo(k: int) -> float:
        up, down = wilder([max(x, 0) for x in change], k)[-1], wilder([max(-x, 0) for x in change], k)[-1]
        return 100 * (up - down) / (up + down)

    def stochastic(t: int) -> float:
        top, bottom = max(h[t - 13 : t + 1]), min(lo[t - 13 : t + 1])
        return 100 * (c[t] - bottom) / (top - bottom)

    def donchian(k: int) -> float:
        top, bottom = max(h[-k:]), min(lo[-k:])
        return ((c[-1] - bottom) - (top - c[-1])) / (top - bottom)

    def ultimate() -> float:
        pressure = [c[t] - min(lo[t], c[t - 1]) for t in range(1, n)]
        reach = [max(h[t], c[t - 1]) - min(lo[t], c[t - 1]) for t in range(1, n)]
        parts = [sum(pressure[-k:]) / sum(reach[-k:]) for k in (7, 14, 28)]
        return 100 * (4 * parts[0] + 2 * parts[1] + parts[2]) / 7

    up = [h[t] - h[t - 1] for t in range(1, n)]
    down = [lo[t - 1] - lo[t] for t in range(1, n)]
    plus = wilder_sum([u if u > d and u > 0 else 0.0 for u, d in zip(up, down, strict=True)])
    minus = wilder_sum([d if d > u and d > 0 else 0.0 for u, d in zip(up, down, strict=True)])
    reach = wilder_sum(true_range)
    di = [(100 * p / x, 100 * m / x) for p, m, x in zip(plus, minus, reach, strict=True)]
    adx = wilder([100 * abs(p - m) / (p + m) for p, m in di], 14)[-1]

    fast, slow = ema(c, 12), ema(c, 26)
    macd = [x - y for x, y in zip(fast[14:], slow, strict=True)]
    signal = ema(macd, 9)[-1]
    k_line = [mean([stochastic(t - lag) for lag in range(3)]) for t in range(n - 3, n)]
    xs = range(20)
    slope = sum((x - 9.5) * (y - mean(c[-20:])) for x, y in zip(xs, c[-20:], strict=True)) / sum(
        (x - 9.5) ** 2 for x in xs
    )
    high_age = next(age for age in range(26) if h[-1 - age] == max(h[-26:]))
    low_age = next(age for age in range(26) if lo[-1 - age] == min(lo[-26:]))
    band = deviation(c[-20:])
    flow = [
        (typical[t] * v[t], typical[t] > typical[t - 1], typical[t] < typical[t - 1])
        for t in range(n - 14, n)
    ]
    gain, loss = sum(x for x, rose, _ in flow if rose), sum(x for x, _, fell in flow if fell)
    natr = [x / y for x, y in zip(atr, c[14:], strict=True)]
    logs = [log1p(x) for x in v]
    sign = [(x > 0) - (x < 0) for x in change]
    local = int(bars.local_us[-1]) // 1_000_000
    hour, day = 2 * pi * (local % 86_400) / 86_400, 2 * pi * ((local // 86_400 + 3) % 7) / 7
    height = h[-1] - lo[-1]
    return {
        **{f"ret_{k}": log(c[-1] / c[-1 - k]) / (s * sqrt(k)) for k in (1, 5, 20, 60)},
        "gap": log(o[-1] / c[-2]) / s,
        "body": log(c[-1] / o[-1]) / s,
        "upper_wick": (h[-1] - max(o[-1], c[-1])) / height,
        "lower_wick": (min(o[-1], c[-1]) - lo[-1]) / height,
        "range_ln": log(h[-1] / lo[-1]) / s,
        "clv": clv[-1],
        **{f"ema{k}_dist": (c[-1] - ema(c, k)[-1]) / a for k in (10, 20, 50)},
        "sma100_dist": (c[-1] - mean(c[-100:])) / a,
        "ema10_50_spread": (ema(c, 10)[-1] - ema(c, 50)[-1]) / a,
        "macd_atr": macd[-1] / a,
        "macd_signal_atr": signal / a,
        "macd_hist_atr": (macd[-1] - signal) / a,
        "adx_14": adx / 50 - 1,
        "di_diff_14": (di[-1][0] - di[-1][1]) / 100,
        "aroonosc_25": (low_age - high_age) / 25,
        "linreg_slope_20": slope * 20 / a,
        "donchian_pos_20": donchian(20),
        "donchian_pos_100": donchian(100),
        "rsi_7": rsi(7) / 50 - 1,
        "rsi_14": rsi(14) / 50 - 1,
        "stoch_k": k_line[-1] / 50 - 1,
        "stoch_d": mean(k_line) / 50 - 1,
        "willr_14": -100 * (max(h[-14:]) - c[-1]) / (max(h[-14:]) - min(lo[-14:])) / 50 + 1,
        "cci_20": (typical[-1] - mean(typical[-20:]))
        / (0.015 * mean([abs(x - mean(typical[-20:])) for x in typical[-20:]]))
        / 200,
        "mom_10_atr": (c[-1] - c[-11]) / a / sqrt(10),
        "cmo_14": cmo(14) / 100,
        "ultosc": ultimate() / 50 - 1,
        "natr_ratio_14_100": log(natr[-1] / mean(natr[-100:])),
        "atr_ratio_7_28": log(wilder(true_range, 7)[-1] / wilder(true_range, 28)[-1]),
        "bb_pctb_20": (c[-1] - mean(c[-20:]) + 2 * band) / (4 * band),
        "bb_width_20": log(4 * band / a),
        "rvol_20": log(deviation(r[-20:]) / s),
        "rvol_ratio_10_60": log(deviation(r[-10:]) / deviation(r[-60:])),
        "vol_z_50": (logs[-1] - mean(logs[-50:])) / deviation(logs[-50:]),
        "vol_ratio_5_50": log(mean(v[-5:]) / mean(v[-50:])),
        "mfi_14": 100 * gain / (gain + loss) / 50 - 1,
        "cmf_20": sum(x * y for x, y in zip(clv[-20:], v[-20:], strict=True)) / sum(v[-20:]),
        "signed_vol_20": sum(x * y for x, y in zip(sign[-20:], v[-20:], strict=True)) / sum(v[-20:]),
        "hour_sin": sin(hour),
        "hour_cos": cos(hour),
        "dow_sin": sin(day),
        "dow_cos": cos(day),
    }


def wilder_sum(values: list[float]) -> list[float]:
    """Wilder's running sum of 14, as directional movement is defined."""
    total = [sum(values[:14])]
    for value in values[14:]:
        total.append(total[-1] * 13 / 14 + value)
    return total
