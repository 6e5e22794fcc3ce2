"""Between the form of a job and the body of POST /jobs: what was typed, and what is asked for.

What cannot be read as the API's type is passed on as it was typed: the API says what is wrong with it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.client import ServiceError
from app.ui.spec_fields import BodyField

Json = Mapping[str, Any]
Fields = Mapping[str, BodyField]

PRESET = "preset"
"""The form's one field for `training_mode` and `use_case`, of which a job takes one."""
PRESETS = ("training_mode", "use_case")
DATASETS = "datasets"
OVERRIDES = "overrides"
SPECIAL = frozenset({*PRESETS, "dataset", DATASETS, OVERRIDES})
"""Fields of the API that the form has in another way."""


@dataclass(frozen=True, slots=True)
class JobValues:
    """What the form holds, as typed."""

    texts: Mapping[str, str] = field(default_factory=dict)
    """By name of the field; a field that is empty is left out of the request."""
    datasets: tuple[str, ...] = ()
    """Ids or names, in their order."""

    def get(self, name: str) -> str:
        """What stands in a field."""
        return self.texts.get(name, "")

    def missing(self, fields: Fields) -> list[str]:
        """Names of the fields that must be filled in and are not."""
        required = [name for name, each in fields.items() if each.is_required and name not in SPECIAL]
        return [*([] if self.datasets else [DATASETS]), *(name for name in required if not self.get(name))]


def read_values(form: Sequence[tuple[str, str]]) -> JobValues:
    """What a browser sent."""
    texts = {name: value.strip() for name, value in form if name != DATASETS}
    listed = [name for key, value in form if key == DATASETS for name in value.split(",")]
    return JobValues(texts, tuple(dict.fromkeys(name.strip() for name in listed if name.strip())))


def make_spec(values: JobValues, fields: Fields) -> dict[str, Any]:
    """The body of POST /jobs."""
    spec: dict[str, Any] = {"environment": {"costs": {}}}
    if values.datasets:
        spec |= (
            {"dataset": values.datasets[0]} if len(values.datasets) == 1 else {DATASETS: [*values.datasets]}
        )
    preset, _, choice = values.get(PRESET).partition(":")
    if preset in PRESETS:
        spec[preset] = choice
    for name, each in fields.items():
        if name not in SPECIAL and (text := values.get(name)):
            _put(spec, each.path, read_text(each.kind, text))
    if overrides := values.get(OVERRIDES):
        spec[OVERRIDES] = read_overrides(overrides)
    return spec


def show_spec(spec: Json, fields: Fields) -> JobValues:
    """The form of a spec: what a clone begins with. Defaults that were stored with it are left empty."""
    texts = {}
    for name, each in fields.items():
        value = _get(spec, each.path)
        if name not in SPECIAL and value not in (None, "") and (text := write_text(value)) != each.default:
            texts[name] = text
    for name in PRESETS:
        if spec.get(name):
            texts[PRESET] = f"{name}:{spec[name]}"
    if spec.get(OVERRIDES):
        texts[OVERRIDES] = "\n".join(f"{name}={json.dumps(each)}" for name, each in spec[OVERRIDES].items())
    return JobValues(texts, tuple(spec.get(DATASETS) or filter(None, [spec.get("dataset")])))


def change_values(values: JobValues, patch: Json, fields: Fields) -> JobValues:
    """The form after a JSON merge patch (RFC 7396) of its spec, as a refusal proposes one."""
    spec = merge_patch(make_spec(values, fields), patch)
    shown = show_spec(spec, fields)
    kept = {name: text for name, text in values.texts.items() if name not in fields and name != PRESET}
    return replace(shown, texts={**kept, **shown.texts})


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396: an object's members replace or, where null, remove those of the target."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def place_errors(error: ServiceError, fields: Fields) -> dict[str, list[str]]:
    """Field of the form -> what is wrong with it; what belongs to no field is under the empty name."""
    breaches = error.extra.get("errors") or [
        {"pointer": error.pointer, "detail": error.detail, "hint": error.hint}
    ]
    placed: dict[str, list[str]] = {}
    for breach in breaches:
        words = f"{breach['detail']}; {breach['hint']}" if breach.get("hint") else breach["detail"]
        placed.setdefault(_field_of(breach.get("pointer", ""), error.code, fields), []).append(words)
    return placed


def read_text(kind: str, text: str) -> Any:
    """A value of this type; the text itself where it is none."""
    if kind in ("integers", "numbers", "strings"):
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return parts if kind == "strings" else [read_text(kind.removesuffix("s"), part) for part in parts]
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind in ("integer", "number"):
        return _read_number(text, whole=kind == "integer")
    return text


def read_overrides(text: str) -> dict[str, Any]:
    """Settings from lines of `name=value`; the value is JSON, or else text."""
    settings = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, _, value = line.partition("=")
        try:
            settings[name.strip()] = json.loads(value)
        except ValueError:
            settings[name.strip()] = value.strip()
    return settings


def write_text(value: Any) -> str:
    """A value of a spec as the form shows it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    return ", ".join(map(write_text, value)) if isinstance(value, list) else str(value)


def _read_number(text: str, *, whole: bool) -> Any:
    """Thousands may be set apart, powers of ten written as 1e6."""
    plain = text.replace("_", "").replace(" ", "")
    plain = plain.replace(",", "") if whole else plain
    try:
        value = float(plain)
    except ValueError:
        return text
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - JSON knows neither
        return text
    if not value.is_integer() or "e" in plain.lower():
        return int(value) if value.is_integer() else value
    return int(plain) if plain.lstrip("+-").isdigit() else value


def _field_of(pointer: str, code: str, fields: Fields) -> str:
    parts = [part.partition("[")[0] for part in pointer.split("/")]
    for part in reversed(parts):
        if part in PRESETS:
            return PRESET
        if part in {"dataset", DATASETS}:
            return DATASETS
        if part in fields:
            return part
    is_setting = code in {"invalid_config", "invalid_shape", "does_not_fit"} and parts[-1].isidentifier()
    return OVERRIDES if is_setting else ""


def _put(spec: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        spec = spec.setdefault(part, {})
    spec[path[-1]] = value


def _get(spec: Json, path: tuple[str, ...]) -> Any:
    value: Any = spec
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
