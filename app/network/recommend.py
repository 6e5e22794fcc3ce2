"""Which network to train for a purpose and an amount of data: candidates with reasons, and warnings.

Bigger is not better on little data. The rule by which the choice steps down is a cautious convention, not
a theorem: at most MOST_PARAMETERS_PER_ROW parameters per row of data.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from app.errors import InvalidInput
from app.network.shape import DOCUMENTED, ActionKind, NetworkShape
from app.network.use_cases import UseCase, find_use_case

MOST_PARAMETERS_PER_ROW = 100
"""Above this the choice falls to a smaller network (convention, assumed)."""

LADDER: tuple[tuple[int, ...], ...] = (
    (2048, 1024, 512, 256),
    (1024, 512, 256),
    (512, 256, 128),
    (256, 128, 64),
)
"""The notes' networks, the largest first."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One network that could be trained."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    hidden_dims: tuple[int, ...]
    """Its trunk."""
    parameters: int
    """Its exact parameters."""
    samples_per_parameter: float
    """Rows of data per parameter."""
    reason: str
    """What speaks for or against it."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The candidates and the one to take."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    use_case: str
    """What it is for."""
    rows: int
    """Rows of data."""
    chosen: Candidate
    """The one to take."""
    candidates: tuple[Candidate, ...]
    """All that were considered, the largest first; the chosen one among them."""
    warnings: tuple[str, ...]
    """What to know before training it."""


def recommend(
    use_case: str, rows: int, obs_dim: int, *, action_dim: int = 3, action_kind: ActionKind = "discrete"
) -> Recommendation:
    """Recommend a network for `rows` of data and observations of `obs_dim` values.

    The use case's network is taken unless it has more than MOST_PARAMETERS_PER_ROW parameters per row; then
    the next smaller one, down to the smallest. Raises InvalidConfig for an unknown use case, InvalidInput
    for no rows, InvalidShape for dimensions that no network has.
    """
    case = find_use_case(use_case)
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise InvalidInput(f"rows is {rows!r}", hint="a whole number from 1", pointer="rows")
    shapes = [NetworkShape(obs_dim, dims, action_dim, action_kind) for dims in LADDER]
    allowed = shapes[LADDER.index(case.hidden_dims) :]
    fitting = [shape for shape in allowed if shape.parameters <= MOST_PARAMETERS_PER_ROW * rows]
    chosen = (fitting or allowed[-1:])[0]
    candidates = {shape.hidden_dims: _candidate(shape, case, chosen, rows) for shape in shapes}
    return Recommendation(
        use_case=case.name,
        rows=rows,
        chosen=candidates[chosen.hidden_dims],
        candidates=tuple(candidates.values()),
        warnings=tuple(_warnings(case, chosen, rows)),
    )


def _candidate(shape: NetworkShape, case: UseCase, chosen: NetworkShape, rows: int) -> Candidate:
    share = rows / shape.parameters
    return Candidate(shape.hidden_dims, shape.parameters, share, _reason(shape, case, chosen, rows))


def _reason(shape: NetworkShape, case: UseCase, chosen: NetworkShape, rows: int) -> str:
    per_row = shape.parameters / rows
    if shape.hidden_dims == chosen.hidden_dims == case.hidden_dims:
        return f"the network for {case.name}: {case.meaning}"
    if shape.hidden_dims == chosen.hidden_dims:
        return f"the largest that keeps to {MOST_PARAMETERS_PER_ROW} parameters per row, or the smallest there is"
    if shape.parameters > chosen.parameters and per_row > MOST_PARAMETERS_PER_ROW:
        return f"{per_row:,.0f} parameters per row of data: it would learn the rows by heart"
    if shape.parameters > chosen.parameters:
        return f"more than {case.name} asks for"
    return "smaller: trains faster, a baseline worth running beside the chosen one"


def _warnings(case: UseCase, chosen: NetworkShape, rows: int) -> list[str]:
    warnings = []
    if chosen.hidden_dims != case.hidden_dims:
        warnings.append(
            f"{case.name} would take {case.hidden_dims}; {rows:,} rows are too few for it: "
            "bigger is not better on little data"
        )
    if chosen.parameters > rows:
        warnings.append(
            f"{chosen.parameters:,} parameters against {rows:,} rows: the network can memorise its data; "
            "judge it only on walk-forward folds that it has not seen"
        )
    return warnings
