"""How values flow through a graph of operations: which layers each went through, and what is not known of them.

Every operation has a rule; one that has none makes what comes after it unknown, so that nothing is guessed.
"""

import math
from dataclasses import dataclass, replace

from app.checkpoint.graph import Graph, Node, linear_of, origins_of, recurrent_kind
from app.checkpoint.layers import Layers, Shapes
from app.checkpoint.operations import CHOOSES, CUTS, IMAGE_OPS, JOINS, KEEPS, MEETS, POOLS, RESHAPES, SIZES

_MOST_APART = 256


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A layer that a value went through, and the one before."""

    kind: str
    """`linear`, `cell` or `image`."""
    out: int
    inputs: int
    weight: str
    depth: int
    before: "Step | None"


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """What is known of a value."""

    last: Step | None = None
    """The last layer."""
    first: Step | None = None
    """The first layer."""
    sources: frozenset[str] = frozenset()
    """The graph's inputs that it comes from."""
    problem: str = ""
    """Why the layers are not known."""
    obs_problem: str = ""
    """Why what the first layer takes may not be the observation."""
    is_cut: bool = False
    """Whether a part of the values was taken since the last layer."""
    is_reshaped: bool = False
    """Whether they were ordered anew since the last layer."""
    is_pooled: bool = False
    """Whether values were reduced to fewer since the last layer."""
    is_choice: bool = False
    """Whether they are probabilities over all outputs of the last layer."""


@dataclass(frozen=True, slots=True)
class Path:
    """The layers from an input to one output of the graph."""

    output: str
    steps: tuple[Step, ...]
    flow: Flow

    @property
    def linear(self) -> tuple[Step, ...]:
        """The linear layers."""
        return tuple(step for step in self.steps if step.kind == "linear")

    @property
    def layers(self) -> Layers:
        """The linear layers as (out, in)."""
        return [(step.out, step.inputs) for step in self.linear]

    @property
    def cell(self) -> Step | None:
        """The recurrent layer."""
        return next((step for step in self.steps if step.kind == "cell"), None)


def paths(graph: Graph, shapes: Shapes) -> list[Path]:
    """For each output of the graph what is known of the way to it."""
    reader = _Reader(graph, shapes)
    for node in graph.nodes:
        reader.follow(node)
    return [
        Path(name, _steps(flow.last), flow)
        for name in list(graph.outputs)[:16]
        if (flow := reader.flows.get(name)) is not None
    ]


def _steps(last: Step | None) -> tuple[Step, ...]:
    found: list[Step] = []
    while last is not None:
        found.append(last)
        last = last.before
    return tuple(reversed(found))


class _Reader:
    """Goes through the operations once, in the file's order, which is the order of their running."""

    def __init__(self, graph: Graph, shapes: Shapes) -> None:
        self.shapes = shapes
        self.origins = origins_of(graph, shapes)
        self.inputs = {name: sizes for name, sizes in graph.inputs.items() if name not in self.origins}
        self.flows = {name: Flow(sources=frozenset({name})) for name in self.inputs}

    def follow(self, node: Node) -> None:
        """What is known of a node's outputs."""
        kind = node.kind.lower().rstrip("_")
        data = [name for name in node.inputs if name in self.flows]
        if not data or kind in SIZES:
            return
        flow = self._flow(node, kind, data)
        for name in node.outputs:
            if name:
                self.flows[name] = flow

    def _flow(self, node: Node, kind: str, data: list[str]) -> Flow:
        """The rule of this kind of operation."""
        step, taken = self._step(node, kind, data)
        if step is not None:
            return self._layer(self.flows[taken], step)
        flows = [self.flows[name] for name in dict.fromkeys(data)]
        if kind in JOINS:
            return _joined(flows)
        if len(flows) > 1 and kind in MEETS | KEEPS:
            return _meeting(flows)
        flow = self.flows[data[0]]
        if len(flows) > 1 or (data[0] != node.inputs[0] and kind in CUTS):  # a table is looked up
            return _unknown(flow, node.kind)
        return _single(flow, kind, node.kind)

    def _step(self, node: Node, kind: str, data: list[str]) -> tuple[Step | None, str]:
        """The layer that a node is, and which of its inputs goes through it."""
        layer = linear_of(node, self.origins, self.shapes)
        if layer is not None and len(set(data)) == 1:
            return Step("linear", *layer, 0, None), data[0]
        if data[0] != node.inputs[0]:
            return None, ""
        cell = recurrent_kind(node, self.shapes)
        if cell is not None:
            return Step("cell", cell[1], cell[2], cell[0], 0, None), data[0]
        is_image = kind.startswith(("conv", *IMAGE_OPS))
        return (Step("image", 0, 0, kind, 0, None) if is_image else None), data[0]

    def _layer(self, flow: Flow, step: Step) -> Flow:
        """One layer more; its inputs must be the outputs of the one before."""
        last = flow.last
        problem, obs_problem = flow.problem, flow.obs_problem
        fits = last is None or "image" in (last.kind, step.kind) or last.out == step.inputs
        if not fits:
            problem = problem or "the layers form no chain: values are joined or taken apart between them"
        added = Step(step.kind, step.out, step.inputs, step.weight, last.depth + 1 if last else 1, last)
        if last is None:
            obs_problem = obs_problem or self._obs_problem(flow, step)
        elif (flow.is_cut or flow.is_pooled) and last.kind == "linear" and self._has_rows(flow):
            obs_problem = obs_problem or "the first layer takes one row of the observation at a time"
        return Flow(added, flow.first or added, flow.sources, problem, obs_problem)

    def _obs_problem(self, flow: Flow, step: Step) -> str:
        """Why the first layer's inputs are not the observation, judged by the sizes that the graph declares."""
        if step.kind == "image":
            return "the sizes of an image's sides do not follow from its convolutions"
        if len(flow.sources) != 1:
            return f"{len(flow.sources)} inputs of the graph reach the first layer"
        sizes = self.inputs[next(iter(flow.sources))]
        rest = math.prod(sizes[1:])
        fits = (
            step.inputs in (rest, sizes[-1] if step.kind == "cell" or rest <= 0 else rest) if sizes else True
        )
        if not fits and sizes[-1] > 0:
            return f"the graph's input has the sizes {sizes}, the first layer takes {step.inputs} values"
        if (flow.is_cut or flow.is_pooled) and (len(sizes) != 2 or sizes[-1] != step.inputs):
            return "the first layer takes a part of the graph's input"
        return ""

    def _has_rows(self, flow: Flow) -> bool:
        """Whether an input of the graph has more than a batch of single vectors."""
        return any(len(self.inputs[name]) != 2 for name in flow.sources)


def _single(flow: Flow, kind: str, name: str) -> Flow:
    """An operation on one value and constants."""
    if kind in CHOOSES and not (flow.is_cut or flow.is_reshaped or flow.is_pooled):
        return replace(flow, is_choice=True)
    if kind in RESHAPES:
        return replace(flow, is_reshaped=True)
    if kind in CUTS:
        return replace(flow, is_cut=True)
    if kind in POOLS:
        return replace(flow, is_pooled=True)
    return flow if kind in KEEPS or kind in MEETS else _unknown(flow, name)


def _meeting(flows: list[Flow]) -> Flow:
    """Ways that meet: a shortcut past layers leaves the longer way, two ways of their own are no chain."""
    longest = max(flows, key=lambda flow: flow.last.depth if flow.last else 0)
    problem = next((flow.problem for flow in flows if flow.problem), "")
    if not problem and not all(_is_before(flow.last, longest.last) for flow in flows):
        problem = "several ways of layers meet before the output"
    best = [flow for flow in flows if flow.last is longest.last]
    return Flow(
        longest.last,
        longest.first,
        longest.sources if longest.last else _sources(flows),
        problem,
        _first_problem(flows),
        is_cut=any(flow.is_cut for flow in best),
        is_reshaped=any(flow.is_reshaped for flow in best),
        is_pooled=all(flow.is_pooled for flow in best),
    )


def _joined(flows: list[Flow]) -> Flow:
    """Values side by side: before any layer parts of an observation, after one no chain any more."""
    met, sources = _meeting(flows), _sources(flows)
    if met.last is None or len(flows) == 1:
        return replace(met, is_cut=True)
    obs_problem = f"{len(sources)} inputs of the graph are joined" if len(sources) > 1 else ""
    return replace(
        met,
        problem=met.problem or "values are joined after a layer",
        obs_problem=met.obs_problem or obs_problem,
        is_cut=True,
    )


def _sources(flows: list[Flow]) -> frozenset[str]:
    return frozenset[str]().union(*(flow.sources for flow in flows))


def _first_problem(flows: list[Flow]) -> str:
    """Why the first layer of ways that meet is not the only one."""
    several = len({id(flow.first) for flow in flows if flow.first}) > 1
    known = next((flow.obs_problem for flow in flows if flow.obs_problem), "")
    return known or ("several first layers take the observation, or parts of it" if several else "")


def _is_before(step: Step | None, last: Step | None) -> bool:
    """Whether a step lies on the way to another."""
    if step is None:
        return True
    apart = last.depth - step.depth if last is not None else -1
    if not 0 <= apart <= _MOST_APART:
        return False
    for _ in range(apart):
        last = last.before if last is not None else None
    return last is step


def _unknown(flow: Flow, kind: str) -> Flow:
    """After an operation that has no rule."""
    why = f"what the operation {kind[:60]} does to the values is not known"
    return replace(flow, problem=flow.problem or why, obs_problem=flow.obs_problem or why)
