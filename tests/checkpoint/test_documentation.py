"""docs/checkpoints.md against the code: every limit, every finding, every producer."""

import re
from dataclasses import fields
from pathlib import Path

import app.checkpoint
from app.checkpoint.limits import ReadLimits
from app.checkpoint.recipes import RECIPES

ROOT = Path(app.checkpoint.__file__).parents[2]
PAGE = (ROOT / "docs/checkpoints.md").read_text()
ADDED = re.compile(r'\.add\(\s*"([a-z_0-9]+)",\s*"(info|low|medium|high)"')
NOTED = {"limit_exceeded": {"high"}, "more_findings": {"info"}, "config_disagrees": {"low", "medium"}}
"""Codes whose severity is chosen as they are added."""


def between(name: str) -> str:
    return PAGE.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0].strip()


def limits_table() -> str:
    limits = ReadLimits()
    docs = re.findall(r'^    (\w+): \w+ = [^\n]*\n    """(.*?)"""', limits_source(), re.MULTILINE | re.DOTALL)
    texts = {name: " ".join(text.split()) for name, text in docs}
    rows = [f"| `{f.name}` | {getattr(limits, f.name):,} | {texts[f.name]} |" for f in fields(limits)]
    return "\n".join(["| limit | default | of what |", "|---|---|---|", *rows])


def limits_source() -> str:
    return (ROOT / "app/checkpoint/limits.py").read_text()


def codes_of_the_source() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {code: set(severities) for code, severities in NOTED.items()}
    for path in (ROOT / "app/checkpoint").rglob("*.py"):
        for code, severity in ADDED.findall(path.read_text()):
            found.setdefault(code, set()).add(severity)
    return found


def test_the_limits_are_those_of_the_code() -> None:
    assert between("limits") == limits_table()


def test_every_finding_is_explained_with_its_severities() -> None:
    rows = re.findall(r"^\| `([a-z_0-9]+)` \| ([a-z, ]+) \| .+ \|$", between("findings"), re.MULTILINE)
    assert {code: set(text.split(", ")) for code, text in rows} == codes_of_the_source()
    assert [code for code, _ in rows] == sorted(code for code, _ in rows)


def test_every_producer_has_its_row() -> None:
    table = PAGE.split("## Producers")[1].split("### Adding")[0]
    named = set(re.findall(r"`([a-z0-9_-]+)`", "".join(re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE))))
    assert {recipe.producer for recipe in RECIPES} == named
