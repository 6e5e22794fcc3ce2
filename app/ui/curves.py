"""Curves of a training run as small SVG drawings: what a job's page shows where there is no script."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from app.pages.line_chart import choose_ticks

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 400, 150, 52, 6, 8, 20
"""Pixels of the drawing's own scale; the page scales it."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric that has a curve."""

    name: str
    """Its name in the API."""
    title: str
    """What readers call it."""
    explanation: str
    """What it tells, in a few words."""
    style: str
    """How its values are written: `number`, `rate` or `size`."""


MEASURES = (
    Measure("episode_return", "return", "mean raw return of the last 100 finished episodes", "number"),
    Measure("policy_loss", "policy loss", "clipped surrogate, mean over minibatches", "number"),
    Measure("value_loss", "value loss", "mean over minibatches", "number"),
    Measure("entropy", "entropy", "of the policy, in nats", "number"),
    Measure("approx_kl", "approximate KL", "divergence from the rollout's policy", "number"),
    Measure("clipfrac", "clip fraction", "share of samples whose ratio was clipped", "number"),
    Measure("explained_variance", "explained variance", "1 perfect, 0 no better than a constant", "number"),
    Measure("steps_per_second", "steps per second", "collecting and learning together", "rate"),
    Measure("memory_bytes", "memory", "reserved on a GPU; the whole process on a CPU", "size"),
)
"""The curves of a job's page, in their order."""


def collect_series(points: Iterable[Mapping[str, Any]]) -> dict[str, tuple[list[int], list[float]]]:
    """Metric -> steps and values, from the points of GET /jobs/{id}/metrics."""
    series: dict[str, tuple[list[int], list[float]]] = {}
    for point in points:
        steps, values = series.setdefault(point["name"], ([], []))
        steps.append(point["step"])
        values.append(point["value"])
    return series


def draw_curve(steps: Sequence[int], values: Sequence[float], label: str) -> Markup:
    """A line over steps from 0, with a scale at its left; a dot where there is one value."""
    ticks = choose_ticks(min(values), max(values))
    low, high = min(ticks[0], *values), max(ticks[-1], *values)
    span = max(1, steps[-1])

    def place(step: int, value: float) -> str:
        x = LEFT + step / span * (WIDTH - LEFT - RIGHT)
        y = TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return f"{x:.1f},{y:.1f}"

    head = Markup('<svg class="drawn" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    parts = [head.format(WIDTH, HEIGHT, label)]
    parts += [_rule(float(place(0, tick).split(",")[1]), f"{tick:.4g}") for tick in (ticks[0], ticks[-1])]
    steps_text = Markup('<text x="{}" y="{}" text-anchor="end">{} steps</text>')
    parts.append(steps_text.format(WIDTH - RIGHT, HEIGHT - 5, f"{steps[-1]:,}"))
    parts.append(_line([place(step, value) for step, value in zip(steps, values, strict=True)]))
    return Markup("").join([*parts, Markup("</svg>")])


def _rule(y: float, label: str) -> Markup:
    drawn = Markup(
        '<line class="rule" x1="{}" x2="{}" y1="{}" y2="{}"/><text x="{}" y="{}" text-anchor="end">{}</text>'
    )
    return drawn.format(LEFT, WIDTH - RIGHT, f"{y:.1f}", f"{y:.1f}", LEFT - 5, f"{y + 4:.1f}", label)


def _line(points: Sequence[str]) -> Markup:
    if len(points) == 1:
        x, y = points[0].split(",")
        return Markup('<circle class="dot" cx="{}" cy="{}" r="3"/>').format(x, y)
    return Markup('<polyline class="curve-line" points="{}"/>').format(" ".join(points))
