"""docs/deployment.md tells the truth: its settings table, the files and the commands that it names."""

import re
from pathlib import Path
from typing import Any

import yaml

from app.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
DOC = (ROOT / "docs" / "deployment.md").read_text() if (ROOT / "docs" / "deployment.md").exists() else ""

COMPUTED = {
    "database_url": "`sqlite:///` + data_dir + `/caliper.db`",
    "redis_url": "`redis+socket://` + data_dir + `/run/redis.sock`",
    "database_password": "none",
    "redis_password": "none",
    "artifacts_secret_access_key": "none",
}
UNITS = {30: "GiB", 20: "MiB", 10: "KiB"}


def expected_rows() -> list[str]:
    """The table's rows as the Settings class has them."""
    fields = Settings.model_fields.items()
    return [
        f"| `{ENV_PREFIX}{name.upper()}` | {shown(name, f.default)} | {f.description} |" for name, f in fields
    ]


def shown(name: str, default: Any) -> str:
    if name in COMPUTED:
        return COMPUTED[name]
    if name.endswith("_bytes"):
        power = next(power for power in UNITS if default % (1 << power) == 0)
        return f"{default} ({default >> power} {UNITS[power]})"
    return (
        f"{default:g}"
        if isinstance(default, float)
        else f"`{default}`"
        if not isinstance(default, int)
        else str(default)
    )


def test_the_settings_table_equals_the_settings() -> None:
    assert re.findall(r"(?m)^\| `CALIPER_.*$", DOC) == expected_rows()


def test_every_linked_file_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", DOC) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    assert set(re.findall(r"`make ([a-z-]+)", DOC)) <= targets


def test_the_override_for_a_second_card_changes_only_what_differs() -> None:
    """Parsed with the tag that compose gives a meaning to, and laid beside the file that it extends."""
    block = next(block for block in re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL) if "!override" in block)
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_constructor("!override", lambda load, node: load.construct_mapping(node, deep=True))
    service = yaml.load(block, Loader=loader)["services"]["worker-1"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert service["extends"]["service"] in compose
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    (first,) = compose["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {**first, "device_ids": ["1"]}


def test_services_and_volumes_that_commands_name_exist() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    for command in re.findall(r"(?m)^docker compose (?:exec|stop|start|run)(?: -T| --rm)* ([a-z-]+)", DOC):
        assert command in compose["services"]
    for volume in re.findall(r"caliper_([a-z]+):", DOC):
        assert volume in compose["volumes"]
