"""docs/security.md: each line of the threat model is backed by a test that exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOC = (ROOT / "docs" / "security.md").read_text()


def rows() -> list[list[str]]:
    """The cells of the table of threats."""
    table = DOC.partition("## Threats and defences")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_line_names_a_test_that_exists() -> None:
    assert len(rows()) >= 35
    for threat, defence, held_by in rows():
        assert threat
        assert defence
        found = re.fullmatch(r"`([\w/]+\.py)::(test_\w+)`", held_by)
        assert found, held_by
        tree = ast.parse((ROOT / found[1]).read_text())
        names = {
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert found[2] in names, held_by


def test_it_says_what_is_not_defended() -> None:
    assert DOC.partition("## What is not defended")[2].count("\n- **") >= 5


def test_it_is_found_from_the_readme_and_the_site() -> None:
    assert "docs/security.md" in (ROOT / "README.md").read_text()
    assert "security.md" in (ROOT / "mkdocs.yml").read_text()
