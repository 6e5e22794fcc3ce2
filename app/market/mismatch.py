"""How the features of a checkpoint differ from those that a service computes, in words that name them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.errors import InvalidConfig
from app.market.schema import MARKET_FEATURES, FeatureSchema, choose_features

_MOST_NAMED = 12


def explain_mismatch(bundle: Mapping[str, Any], service: FeatureSchema) -> str:
    """One sentence on how a checkpoint's schema differs from the service's; empty if they agree."""
    return "; ".join(compare_schemas(bundle, service))


def check_computable(bundle: Mapping[str, Any]) -> None:
    """Raise InvalidConfig, naming the features, unless this release computes this schema as it stands."""
    words = explain_mismatch(bundle, _as_computed_here(bundle))
    if words:
        hint = "submit the job anew, or run it with the release that it was submitted to"
        raise InvalidConfig(f"these features cannot be computed here: {words}", hint=hint, pointer="features")


def check_weights_fit(bundle: Mapping[str, Any] | None, service: FeatureSchema, name: str) -> None:
    """Raise InvalidConfig, naming the features, where a checkpoint's weights saw other observations.

    Another version of the library is let pass: training goes on from weights that nearly fit. A checkpoint
    that does not say what it saw is judged by its shapes alone.
    """
    if not bundle or not bundle.get("names") or not bundle.get("lookback"):
        return
    words = explain_mismatch({**bundle, "library": None}, service)
    if words:
        hint = "choose the features, lookback and volume of the checkpoint, or start from fresh weights"
        raise InvalidConfig(f"{name} saw other features: {words}", hint=hint, pointer="initial_checkpoint")


def compare_schemas(bundle: FeatureSchema | Mapping[str, Any], service: FeatureSchema) -> tuple[str, ...]:
    """The differences, each in words; places count from #0 over market and account features together.

    `bundle` may be the plain form, so that features are named which this release does not know; what it
    does not say is not compared.
    """
    theirs = bundle.plain() if isinstance(bundle, FeatureSchema) else dict(bundle)
    ours = service.plain()
    words = _compare_features(_ordered(theirs), _ordered(ours))
    words += [f"{name}: bundle {a}, service {b}" for name, a, b in _changed(theirs, ours, ("lookback",))]
    masked = set(theirs.get("masked") or ()), set(ours["masked"])
    for name in sorted(masked[0] ^ masked[1]):
        words.append(
            f"{name} is masked (no volume) in the {'bundle' if name in masked[0] else 'service'} only"
        )
    known = dict(theirs.get("parameters") or {}), dict(ours["parameters"])
    for name, a, b in _changed(*known, sorted(known[0])):
        words.append(f"{name}: bundle {a}, service {b}")
    for name, a, b in _changed(theirs, ours, ("library", "version")):
        words.append(f"{name}: bundle {a}, service {b}")
    return tuple(words)


def _ordered(plain: Mapping[str, Any]) -> list[str]:
    return [*plain.get("names", ()), *plain.get("account", ())]


def _changed(
    theirs: Mapping[str, Any], ours: Mapping[str, Any], names: Sequence[str]
) -> list[tuple[str, Any, Any]]:
    """What differs; numbers and text alike, as some readers give a version as text."""
    told = [(name, theirs[name], ours.get(name)) for name in names if theirs.get(name) is not None]
    return [entry for entry in told if str(entry[1]) != str(entry[2])]


def _as_computed_here(bundle: Mapping[str, Any]) -> FeatureSchema:
    names, own = tuple(bundle.get("names", ())), tuple(bundle.get("own", ()))
    known = all(name in MARKET_FEATURES or name in own for name in names)
    schema = choose_features(names if known else None, own, int(bundle.get("lookback") or 1))
    return replace(schema, masked=tuple(name for name in bundle.get("masked", ()) if name in schema.names))


def _compare_features(theirs: list[str], ours: list[str]) -> list[str]:
    if theirs == ours:
        return []
    pairs = enumerate(zip(theirs, ours, strict=False))
    first = next((f"bundle has {a} at #{at}, service computes {b}" for at, (a, b) in pairs if a != b), None)
    known, computed = set(theirs), set(ours)
    missing = [name for name in theirs if name not in computed]
    extra = [name for name in ours if name not in known]
    words = [first or f"bundle has {len(theirs)} features, service computes {len(ours)}"]
    if not missing and not extra:
        return [*words, "the same features in another order"]
    named = [f"{what}: {_listed(group)}" for what, group in (("missing", missing), ("extra", extra)) if group]
    return [*words, f"{len(missing)} missing, {len(extra)} extra ({'; '.join(named)})"]


def _listed(names: list[str]) -> str:
    more = f", … {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
