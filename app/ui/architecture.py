"""A checkpoint's network as a drawing: from the observation through trunk and heads to action and value.

In the manner of Netron: a box per layer with what it is and its shape, arrows along the data's way. The bar at a
box's foot is the layer's part of all parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.checkpoint.roles import Role, role_of
from app.ui.figures import TIMES, compact, count

BOX_WIDTH, BOX_HEIGHT, ARROW, GAP, EDGE = 250, 50, 26, 30, 4
"""Pixels of the drawing's own scale."""

MOST_DRAWN = 16
"""Layers of one chain that are drawn; of longer ones the middle is left out."""

MOST_LETTERS = 30

KINDS = {0: "Scalar", 1: "Vector", 2: "Linear", 3: "Convolution", 4: "Convolution", 5: "Convolution"}
"""What a layer is called, by the dimensions of its weight."""


@dataclass(frozen=True, slots=True)
class Box:
    """A layer, an input or an output."""

    x: float
    y: float
    kind: str
    """What it is, such as Linear."""
    name: str
    """Its name in the file, cut to fit."""
    whole_name: str
    """The name uncut."""
    detail: str
    """Shape and parameters."""
    role: str
    """`trunk`, `actor`, `critic`, `other`, or `edge` for inputs and outputs."""
    bar: float = 0
    """Pixels of its part of all parameters."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one box to the next."""

    x1: float
    y1: float
    x2: float
    y2: float
    label: str = ""
    """The activation on the way."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """The boxes and arrows, in a space of `width` by `height`."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    label: str
    """The drawing in words."""


def draw_architecture(report: Mapping[str, Any]) -> Drawing | None:
    """The drawing of an inspection's report; None where it holds no layers."""
    chains: dict[Role, list[Mapping[str, Any]]] = {"trunk": [], "actor": [], "critic": [], "other": []}
    for layer in report["layers"]:
        chains[role_of(layer["name"])].append(layer)
    if not (chains["trunk"] or chains["actor"] or chains["critic"]):
        return None
    return _Pen(report["architecture"], chains).draw()


class _Pen:
    """Places boxes from top to bottom; heads side by side."""

    def __init__(self, facts: Mapping[str, Any], chains: Mapping[Role, list[Mapping[str, Any]]]) -> None:
        self.facts = facts
        self.chains = chains
        self.boxes: list[Box] = []
        self.arrows: list[Arrow] = []
        parts: tuple[Role, Role] = ("actor", "critic")
        self.heads: list[Role] = [role for role in parts if chains[role]]
        self.width = (2 * BOX_WIDTH + GAP if len(self.heads) == 2 else BOX_WIDTH) + 2 * EDGE

    def draw(self) -> Drawing:
        middle = (self.width - BOX_WIDTH) / 2
        source = self._edge(middle, EDGE, "Observation", "obs_dim")
        trunk_end = self._chain("trunk", middle, source)
        bottom = 0.0
        for place, role in enumerate(self.heads):
            x = middle if len(self.heads) < 2 else EDGE + place * (BOX_WIDTH + GAP)
            bottom = max(bottom, self._output(role, x, self._chain(role, x, trunk_end)))
        if not self.heads:
            bottom = self._output("actor", middle, trunk_end)
        return Drawing(self.width, bottom + EDGE, tuple(self.boxes), tuple(self.arrows), self._words())

    def _output(self, role: Role, x: float, above: Box) -> float:
        if role == "critic":
            box = Box(x, self._below(above), "Value", "", "", "1", "edge")
        else:
            dims, kind = self._fact("action_dim"), self._fact("action_kind")
            detail = " · ".join(text for text in (dims, kind) if text)
            box = Box(x, self._below(above), "Action", "", "", detail or "not known", "edge")
        self._join(above, box)
        self.boxes.append(box)
        return box.y + BOX_HEIGHT

    def _chain(self, role: Role, x: float, above: Box) -> Box:
        shown = _shorten(self.chains[role])
        for layer in shown:
            box = self._layer(layer, x, self._below(above), role)
            self._join(above, box, label=self._activation(above))
            self.boxes.append(box)
            above = box
        return above

    def _layer(self, layer: Mapping[str, Any], x: float, y: float, role: Role) -> Box:
        if "left_out" in layer:
            return Box(x, y, f"{layer['left_out']} more layers", "", "", "listed in the table", role)
        shape: Sequence[int] = layer["shape"]
        name = str(layer["name"])
        detail = f"{_shape(shape)} · {compact(layer['parameters'])}"
        bar = layer["share"] * (BOX_WIDTH - 2)
        return Box(x, y, KINDS.get(len(shape), "Tensor"), _cut(name), name, detail, role, bar)

    def _edge(self, x: float, y: float, kind: str, fact: str) -> Box:
        box = Box(x, y, kind, "", "", self._fact(fact) or "not known", "edge")
        self.boxes.append(box)
        return box

    def _join(self, above: Box, below: Box, label: str = "") -> None:
        half = BOX_WIDTH / 2
        self.arrows.append(Arrow(above.x + half, above.y + BOX_HEIGHT, below.x + half, below.y - 1, label))

    def _activation(self, above: Box) -> str:
        """What stands between a layer and the next; nothing is known of what follows other kinds."""
        return self._fact("activation") if above.kind in {"Linear", "Convolution"} else ""

    def _below(self, above: Box) -> float:
        return above.y + BOX_HEIGHT + ARROW

    def _fact(self, name: str) -> str:
        value = self.facts.get(name, {}).get("value")
        return "" if value is None else count(value) if isinstance(value, int) else str(value)

    def _words(self) -> str:
        steps = [f"{box.kind} {box.whole_name} {box.detail}".replace("  ", " ") for box in self.boxes]
        return "The network, from observation to outputs: " + "; ".join(steps)


def _shorten(layers: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A long chain without its middle."""
    if len(layers) <= MOST_DRAWN:
        return layers
    half = MOST_DRAWN // 2
    return [*layers[:half], {"left_out": len(layers) - 2 * half}, *layers[-half:]]


def _shape(shape: Sequence[int]) -> str:
    """As the data flows: in to out; a convolution with its window."""
    if len(shape) < 2:
        return TIMES.join(map(count, shape)) or "1"
    window = f" ({TIMES.join(map(str, shape[2:]))})" if len(shape) > 2 else ""
    return f"{count(shape[1])} → {count(shape[0])}{window}"


def _cut(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else f"…{name[-MOST_LETTERS + 1 :]}"
