"""The code blocks of a page of docs/, so that tests can run what readers would."""

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"

BLOCK = re.compile(r"(?ms)^```(\w+)\n(.*?)^```$")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    code: str


def read_blocks(page: str, *languages: str) -> list[Block]:
    """The page's blocks in order, those of the languages alone."""
    found = [Block(*match.groups()) for match in BLOCK.finditer((DOCS / page).read_text(encoding="utf-8"))]
    return [block for block in found if block.language in languages]


def occurs(expected: str, output: str) -> bool:
    """Whether the lines shown on a page stand in an output, one after the other; `…` stands for anything within a line."""
    lines = [re.escape(line).replace("…", ".*") for line in expected.strip().splitlines()]
    return re.search(r"[^\n]*\n(?:[^\n]*\n)*?".join(lines), output) is not None
