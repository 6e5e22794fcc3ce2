"""Every page once in a real browser: scripts run, nothing is refused by the policy, no other host is asked.

What the pages do, and whether all can use them, is in this folder's long tests.
"""

from collections.abc import Callable

from playwright.sync_api import Page
from running_service import Service, running, safetensors_file

from app.registry.database import Database
from app.settings import Settings

PATHS = (
    "/ui",
    "/ui/estimate?obs_dim=53&hidden=64,32&gpu=t4",
    "/ui/inspect",
    "/ui/checkpoints",
    "/ui/checkpoints/{id}",
    "/ui/diff?a={id}&b={id}",
    "/ui/jobs",
    "/ui/jobs/new",
    "/ui/datasets",
    "/ui/queue",
)


def test_every_page_loads_without_an_error(
    page: Page, settings: Settings, registry: Database, check_accessible: Callable[[Page], None]
) -> None:
    with running(settings) as service:
        checkpoint = service.upload_checkpoint(safetensors_file())
        for path in PATHS:
            visit(page, service, path.format(id=checkpoint["id"]))
        check_accessible(page)


def visit(page: Page, service: Service, path: str) -> None:
    answer = page.goto(service.url + path)
    assert answer is not None
    assert answer.status == 200, path
    assert page.get_by_role("main").is_visible(), path
