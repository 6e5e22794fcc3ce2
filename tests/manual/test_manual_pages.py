"""The manual's generated reference says all that the code says, and its links lead somewhere."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from app.settings import ENV_PREFIX, Settings
from tests.manual.code_blocks import DOCS, occurs

ROOT = DOCS.parent


@pytest.fixture(scope="module", autouse=True)
def generators() -> Iterator[None]:
    """mkdocs puts the hooks' folder on the path; so do we."""
    sys.path.insert(0, str(ROOT / "manual"))
    yield
    sys.path.remove(str(ROOT / "manual"))


def test_every_setting_is_in_the_reference_with_its_docstring() -> None:
    from reference_settings import settings_page

    page = settings_page()
    for name, field in Settings.model_fields.items():
        assert f"## `{ENV_PREFIX}{name.upper()}`\n\n{field.description}" in page
    assert "Whole number from 1 to 65,535; default: `8400`" in page
    assert "One of `DEBUG`, `INFO`, `WARNING`, `ERROR`; default: `INFO`" in page
    assert str(Path.home()) not in page


def test_every_command_and_option_is_in_the_reference() -> None:
    from reference_cli import cli_page
    from typer.core import TyperGroup
    from typer.main import get_command

    from app.cli.commands import app

    page, count = cli_page(), 0

    def walk(path: str, command: Any) -> None:
        nonlocal count
        (section,) = re.findall(rf"(?ms)^#+ `{re.escape(path)}`\n(.*?)(?=^#|\Z)", page)
        for parameter in command.params:
            count += 1
            if parameter.param_type_name == "option" and parameter.name != "help":
                assert f"`{parameter.opts[0]}`" in section, path
        for name, inner in command.commands.items() if isinstance(command, TyperGroup) else ():
            walk(f"{path} {name}", inner)

    walk("caliper", get_command(app))
    assert count > 100
    assert "caliper jobs export job_01k… --tensorboard runs" in page


def test_every_operation_and_type_is_in_the_reference() -> None:
    from reference_api import api_pages, describe_service

    pages, document = api_pages(), describe_service()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"### {operation['summary']}\n\n`{method.upper()} {path}`" in pages["reference/api.md"]
    headings = set(re.findall(r"(?m)^## (\w+)$", pages["reference/schemas.md"]))
    assert headings == set(document["components"]["schemas"])
    linked = set(re.findall(r"schemas\.md#(\w+)", pages["reference/api.md"]))
    assert linked <= {heading.lower() for heading in headings}
    assert len(linked) > 20


def test_links_out_of_the_docs_become_words() -> None:
    from links import plain_links

    text = "[a](../x.yml) [b](other.md#c) [`d`](../../x) [e](https://e.org) ![f](../f.png) [g](#h)"
    assert plain_links(text, "page.md") == (
        "`a` [b](other.md#c) `d` [e](https://e.org) ![f](../f.png) [g](#h)"
    )
    assert plain_links("[a](../page.md) [b](../../x)", "how-to/b.md") == "[a](../page.md) `b`"


def test_the_pages_that_are_served_are_all_in_the_navigation() -> None:
    named = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert {name for name in written if not re.match(r"decisions/\d", name)} <= named


def test_a_page_s_words_are_found_in_an_output() -> None:
    assert occurs("a …b\nc", "x\na lot of b and\nmore\nc")
    assert not occurs("c\na", "a\nc")


class Assets(HTMLParser):
    """What a browser fetches for a page by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        wanted = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}.get(tag)
        if wanted and values.get(wanted):
            self.found.append(str(values[wanted]))


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= 40
    for page in pages:
        assets = Assets()
        assets.feed(page.read_text(encoding="utf-8"))
        outside = [url for url in assets.found if re.match(r"(?:\w+:)?//", url)]
        assert outside == [], page
    styles = "".join(path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.css"))
    assert re.findall(r"url\(['\"]?(?:https?:)?//[^)]*|@import[^;]*", styles) == []
