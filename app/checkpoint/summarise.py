"""From what a container holds to the report: recipe, tensors, layers, bytes by part."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from app.checkpoint.architecture import Architecture
from app.checkpoint.contents import Contents, Context
from app.checkpoint.disagreements import note_disagreements
from app.checkpoint.features import check_features, read_features
from app.checkpoint.findings import printable
from app.checkpoint.optimizer import read_optimizer, read_scalar
from app.checkpoint.recipes import recipe_for
from app.checkpoint.recipes.recipe import Parts
from app.checkpoint.render import Renderer
from app.checkpoint.report import CheckpointReport, FeatureSchema, LayerInfo, PartBytes
from app.checkpoint.size_prediction import SizePrediction, predict_size
from app.checkpoint.statistics import hash_statistics
from app.checkpoint.tensors import Part, check_tensors, describe, distinct_values, find_tensors, item_bytes
from app.checkpoint.values import Array, Table, Tensor, fields_of
from app.errors import CaliperError
from app.network.disk.contents import FORMAT

Found = list[tuple[str, Tensor | Array]]
Placed = list[tuple[str, Tensor | Array, Part]]

_MOST_MODULE_TEXT = 1 << 17
"""Characters of all modules' names together; a list that is longer is left out."""


def summarise(
    contents: Contents, context: Context, size: int, name: str, *, with_statistics: bool = False
) -> Callable[[str | None], CheckpointReport]:
    """Everything but the hash: the function that is returned takes it and gives the report."""
    found = _tensors(contents, context)
    recipe = recipe_for(contents.root)
    parts = recipe.parts(contents.root)
    architecture = recipe.read(contents.root)
    statistics = _statistics(found, parts)
    placed = _placed(found, parts, statistics)
    layers = _layers([(path, value) for path, value, part in placed if part == "weights"], parts, contents)
    renderer = Renderer(context.meter.limits)
    optimizer = read_optimizer(parts.optimizer, contents.scalar)
    features = _features(parts, architecture, context)
    predicted = _predict_size(contents, context, size)
    modules = _modules(parts.state, context)
    hashes = hash_statistics(statistics, contents, context) if with_statistics else {}
    note_disagreements(architecture, context.findings)
    _note_newer_format(contents.root, context)
    tensors = tuple(describe(path, value, part) for path, value, part in placed)

    def report(sha256: str | None) -> CheckpointReport:
        return CheckpointReport(
            name=name,
            format=contents.format,
            producer=recipe.producer,
            complete=not context.broken,
            architecture=architecture,
            parameters=sum(layer.parameters for layer in layers),
            layers=layers,
            tensors=tensors,
            dtypes=dict(Counter(tensor.dtype for tensor in tensors)),
            optimizer=optimizer,
            config=renderer.render(parts.config),
            feature_schema=features,
            versions=renderer.render(parts.versions),
            dataset=renderer.render(parts.dataset),
            bytes=_bytes([(value, part) for _, value, part in placed], contents, size),
            size=predicted,
            normaliser=None if _holds_tensors(parts.normaliser) else renderer.render(parts.normaliser),
            normaliser_tensors=tuple(printable(path) for path, _ in statistics),
            normaliser_sha256=hashes,
            modules=modules,
            progress=renderer.render(_counters(parts.progress, contents)),
            findings=context.findings.ordered(),
            sha256=sha256,
            bytes_read=context.meter.spent.get("max_read_bytes", 0),
            limits=context.meter.limits,
        )

    return report


def _placed(found: Found, parts: Parts, statistics: Found) -> Placed:
    """Every tensor with the part that it belongs to; a normaliser's statistics among the weights are none."""
    scaling = {path for path, _ in statistics} if not parts.weights_path else set()
    return [(path, value, "other" if path in scaling else _part(path, parts)) for path, value in found]


def _features(parts: Parts, architecture: Architecture, context: Context) -> FeatureSchema | None:
    """The features that the file names, held against the width of an observation."""
    features = read_features(parts.feature_schema)
    if features is not None:
        check_features(features, architecture.obs_dim.value, context.findings)
    return features


def _note_newer_format(root: Any, context: Context) -> None:
    """Say where a file calls itself one of ours, of a format that this release does not know."""
    said = root.get("format") if isinstance(root, Table) else None
    if isinstance(said, str) and said.startswith(FORMAT.rpartition("/")[0] + "/") and said != FORMAT:
        text = f"the format {said[:60]} is not known here, only {FORMAT} is: keys may have another meaning"
        context.findings.add("unknown_format", "medium", "format", text)


def _predict_size(contents: Contents, context: Context, size: int) -> SizePrediction | None:
    """The size that the file's own config leads to, with a finding where the file has another."""
    predicted = predict_size(contents, size)
    if predicted is not None and predicted.difference:
        text = f"{predicted.difference:+,} bytes against the {predicted.predicted:,} that its config leads to"
        context.findings.add("size_differs", "low", "", text)
    return predicted


def _tensors(contents: Contents, context: Context) -> Found:
    """The tensors, checked; a limit that is passed leaves none and a finding."""
    try:
        found = find_tensors(contents.root, context)
        check_tensors(found, contents, context)
    except CaliperError as error:
        context.note(error, "tensors")
        return []
    return found


def _statistics(found: Found, parts: Parts) -> list[tuple[str, Tensor | Array]]:
    """The tensors that the recipe names as statistics, by path."""
    tables = [table for table in map(fields_of, (parts.normaliser, parts.statistics)) if table is not None]
    values = [value for table in tables for _, value in table.pairs]
    wanted = {id(value) for value in values if isinstance(value, (Tensor, Array))}
    return [(path, value) for path, value in found if id(value) in wanted]


def _holds_tensors(value: Any) -> bool:
    table = fields_of(value)
    return table is not None and any(isinstance(item, (Tensor, Array)) for _, item in table.pairs)


def _modules(state: Any, context: Context) -> tuple[str, ...]:
    """The modules that torch's state_dict() lists in its `_metadata`, in the order in which it loads them."""
    attributes = fields_of(state.attributes) if isinstance(state, Table) else None
    listed = attributes.get("_metadata") if attributes is not None else None
    names = [name for name, _ in listed.pairs if isinstance(name, str)] if isinstance(listed, Table) else []
    is_usual = len(names) <= context.meter.limits.max_tensors and sum(map(len, names)) <= _MOST_MODULE_TEXT
    return tuple(map(printable, names)) if is_usual else ()


def _counters(progress: Any, contents: Contents) -> Any:
    """The counters, those that stand in tensors of their own read."""
    table = fields_of(progress)
    if table is None:
        return None
    pairs = [(name, read_scalar(value, contents.scalar)) for name, value in table.pairs]
    return Table([(name, value) for name, value in pairs if value is not None])


def _part(path: str, parts: Parts) -> Part:
    if not parts.optimizer_path or path.startswith(f"{parts.optimizer_path}."):
        return "optimizer"
    if not parts.weights_path or path.startswith(f"{parts.critic_path}."):
        return "weights"
    return "weights" if path.startswith(f"{parts.weights_path}.") else "other"


def _layers(weights: Found, parts: Parts, contents: Contents) -> tuple[LayerInfo, ...]:
    """Tensors grouped by module; a storage gives each of its values once, however many tensors view it."""
    shapes: dict[str, tuple[int, ...]] = {}
    counts: dict[str, int] = {}
    left: dict[str, int] = {}
    for path, value in weights:
        name = path.removeprefix(f"{parts.weights_path}.") if parts.weights_path else path
        layer = name.rpartition(".")[0] if name.endswith((".weight", ".bias")) else name
        shapes.setdefault(layer, value.shape)
        counts[layer] = counts.get(layer, 0) + _count(value, left, contents)
    total = sum(counts.values()) or 1
    return tuple(LayerInfo(printable(n), shapes[n], counts[n], counts[n] / total) for n in counts)


def _count(value: Tensor | Array, left: dict[str, int], contents: Contents) -> int:
    if isinstance(value, Array):
        return len(value.data) // (item_bytes(value.dtype) or 1) if value.data else 0
    key, width = value.storage.key, item_bytes(value.storage.dtype) or 1
    declared = value.storage.numel * width
    available = left.setdefault(key, min(contents.storages.get(key, declared), declared) // width)
    taken = min(distinct_values(value), available)
    left[key] = available - taken
    return taken


def _bytes(placed: list[tuple[Any, Part]], contents: Contents, size: int) -> PartBytes:
    """Each storage's record belongs to the first part that views it."""
    sums: dict[Part, int] = {"weights": 0, "optimizer": 0, "other": 0}
    seen: set[str] = set()
    for value, part in placed:
        if isinstance(value, Array):
            sums[part] += len(value.data or b"")
        elif value.storage.key not in seen:
            seen.add(value.storage.key)
            if value.storage.key in contents.external:
                continue
            sums[part] += contents.storages.get(value.storage.key, value.storage.held or 0)
    rest = max(0, size - sum(sums.values()))
    return PartBytes(sums["weights"], sums["optimizer"], sums["other"], rest, size)
