"""What the documentation site is made of beside docs/: reference pages from the code, and the list of decisions.

mkdocs calls these functions at each build (https://www.mkdocs.org/user-guide/plugins/#events). Nothing that is
generated is committed, so nothing can be out of date.

links.py     links that leave docs/, which a site cannot follow
reference_api.py  reference_cli.py  reference_settings.py     a page each, from OpenAPI, typer and Settings
"""

from pathlib import Path
from typing import Any

from links import plain_links
from mkdocs.structure.files import File, Files
from reference_api import api_pages
from reference_cli import cli_page
from reference_settings import settings_page

DECISIONS = "decisions"


def on_config(config: Any) -> Any:
    """Put each decision into the navigation, after the page that introduces them."""
    for entry in config.nav:
        if entry.get("Decisions") == f"{DECISIONS}/README.md":
            names = (path.name for path in list_decisions(Path(config.docs_dir)))
            entry["Decisions"] = [f"{DECISIONS}/README.md", *(f"{DECISIONS}/{name}" for name in names)]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the generated reference."""
    pages = {**api_pages(), "reference/cli.md": cli_page(), "reference/settings.md": settings_page()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Take links out that lead out of docs/; list the decisions where they are introduced."""
    if page.file.src_uri == f"{DECISIONS}/README.md":
        markdown += "\n" + "\n".join(_list_item(path) for path in list_decisions(Path(config.docs_dir)))
    return plain_links(markdown, page.file.src_uri)


def list_decisions(docs: Path) -> list[Path]:
    """The records, by number."""
    return sorted((docs / DECISIONS).glob("[0-9]*.md"))


def _list_item(path: Path) -> str:
    title = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
    return f"- [{title}]({path.name})"
