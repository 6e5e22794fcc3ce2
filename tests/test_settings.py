"""Settings come from CALIPER_* alone, survive the trip to a child process, and never show a password."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from app.addresses import mask_password
from app.settings import (
    ENV_PREFIX,
    SOCKET_PATH_BYTES,
    Settings,
    describe_mistakes,
    get_settings,
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)


def test_defaults_describe_one_machine_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = get_settings()
    assert settings.data_dir == tmp_path / ".caliper"
    assert settings.database_url == f"sqlite:///{tmp_path}/.caliper/caliper.db"
    assert settings.artifacts_dir == tmp_path / ".caliper" / "artifacts"
    assert settings.logs_dir == tmp_path / ".caliper" / "logs"
    assert settings.spool_dir == tmp_path / ".caliper" / "tmp"
    assert (settings.host, settings.port, settings.default_tier) == ("127.0.0.1", 8400, "")


def test_the_environment_is_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIPER_PORT", "9000")
    monkeypatch.setenv("CALIPER_NO_SUCH_THING", "ignored")
    assert get_settings().port == 9000
    monkeypatch.setenv("CALIPER_PORT", "9001")
    assert get_settings().port == 9001


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIPER_PORT", "")
    monkeypatch.setenv("CALIPER_DATABASE_URL", "")
    assert get_settings().port == 8400
    assert get_settings().database_url.startswith("sqlite:///")


def test_settings_cannot_be_changed() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1


def test_every_field_is_documented() -> None:
    undocumented = [name for name, field in Settings.model_fields.items() if not field.description]
    assert undocumented == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", 0),
        ("port", 65_536),
        ("host", ""),
        ("log_level", "LOUD"),
        ("max_upload_bytes", 0),
        ("page_size_max", 1_001),
        ("max_attempts", 0),
        ("lease_seconds", 0),
        ("lease_seconds", float("nan")),
        ("queue_prefix", "two words"),
        ("worker_name", "-rf"),
        ("default_tier", "../cpu"),
        ("redis_url", "amqp://broker"),
        ("redis_url", "redis:///no-host"),
        ("data_dir", "/data?mode=memory"),
    ],
)
def test_values_out_of_bounds_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Settings(**{field: value})


def test_two_heartbeats_fit_into_a_lease() -> None:
    assert Settings(lease_seconds=20, heartbeat_seconds=10).lease_seconds == 20
    with pytest.raises(ValidationError, match="at most half of lease_seconds"):
        Settings(lease_seconds=19, heartbeat_seconds=10)


def test_the_home_directory_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings(data_dir="~/caliper").data_dir == tmp_path / "caliper"


def test_the_default_socket_lies_in_data_dir_and_is_ours(tmp_path: Path) -> None:
    settings = Settings(data_dir="/srv/caliper")
    assert settings.redis_url == "redis+socket:///srv/caliper/run/redis.sock"
    assert settings.redis_client_url == "unix:///srv/caliper/run/redis.sock"
    assert settings.redis_socket == Path("/srv/caliper/run/redis.sock")
    assert settings.redis_is_bundled


@pytest.mark.parametrize("url", ["redis://redis:6379/0", "redis+socket:///run/redis/redis.sock"])
def test_a_named_redis_is_not_ours(url: str) -> None:
    assert not Settings(redis_url=url).redis_is_bundled


def test_a_tcp_redis_has_no_socket() -> None:
    settings = Settings(redis_url="redis://redis:6379/0")
    assert settings.redis_socket is None
    assert settings.redis_client_url == settings.redis_url


@given(st.integers(min_value=1, max_value=300))
def test_the_socket_path_always_fits_into_an_address(length: int) -> None:
    settings = Settings(data_dir="/" + "d" * length)
    assert settings.redis_socket is not None
    assert len(os.fsencode(settings.redis_socket)) <= SOCKET_PATH_BYTES
    assert settings.redis_is_bundled


def test_two_deep_folders_get_two_sockets() -> None:
    left, right = (Settings(data_dir="/" + "d" * 200 + name) for name in "lr")
    assert left.redis_socket != right.redis_socket
    assert left.redis_socket == Settings(data_dir=left.data_dir).redis_socket


def test_queues_carry_the_prefix() -> None:
    assert Settings(queue_prefix="desk").queue_name("a100") == "desk.a100"


# Passwords


def with_passwords(**more: object) -> Settings:
    return Settings(
        database_url="postgresql+psycopg://caliper@db:5432/caliper",
        database_password="hunter2/@:",
        redis_url="redis://redis:6379/0",
        redis_password="swordfish@",
        **more,
    )


def test_passwords_are_quoted_into_their_urls() -> None:
    settings = with_passwords()
    assert settings.database_url == "postgresql+psycopg://caliper:hunter2%2F%40%3A@db:5432/caliper"
    assert settings.redis_url == "redis://:swordfish%40@redis:6379/0"


def test_a_password_in_the_url_wins() -> None:
    settings = Settings(database_url="postgresql://u:own@db/x", database_password="other")
    assert settings.database_url == "postgresql://u:own@db/x"


def test_sqlite_takes_no_password(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_password="hunter2", redis_password="hunter2")
    assert settings.database_url == f"sqlite:///{tmp_path}/caliper.db"
    assert "hunter2" not in settings.redis_url


def test_no_way_of_printing_shows_a_password() -> None:
    settings = with_passwords()
    shown = [
        repr(settings),
        str(settings),
        f"{settings}",
        repr(settings.model_dump()),
        settings.model_dump_json(),
        repr(list(settings.__rich_repr__())),
    ]
    for text in shown:
        assert "hunter2" not in text
        assert "swordfish" not in text
        assert "***" in text


def test_a_refused_url_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(redis_url="amqp://user:hunter2@broker", database_url=17, port="hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://u:p@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:p@ss:w@h/db", "postgresql://u:***@h/db"),
        ("redis://:p@h:1/0", "redis://:***@h:1/0"),
        ("redis://h:1/0", "redis://h:1/0"),
        ("sqlite:////srv/a:b/caliper.db", "sqlite:////srv/a:b/caliper.db"),
        ("postgresql://h/db?user=u&password=p", "postgresql://h/db?user=u&password=***"),
        ("", ""),
    ],
)
def test_mask_password(url: str, masked: str) -> None:
    assert mask_password(url) == masked


@given(
    password=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30).filter(
        str.strip
    )
)
def test_any_password_survives_the_trip_through_a_url(password: str) -> None:
    from sqlalchemy import make_url

    url = Settings(database_url="postgresql://u@h/db", database_password=SecretStr(password)).database_url
    assert make_url(url).password == password
    assert mask_password(url) == "postgresql://u:***@h/db"


def test_mistakes_are_told_by_variable_and_without_values() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(data_dir="/a?b", port="hunter2", database_password="hunter2")
    lines = describe_mistakes(caught.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["CALIPER_DATA_DIR", "CALIPER_PORT"]
    assert "hunter2" not in "".join(lines)


def test_a_contradiction_is_told_without_a_variable() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(lease_seconds=1)
    assert describe_mistakes(caught.value).startswith("Value error, heartbeat_seconds is at most half")


# The way to a child process


def test_the_environment_gives_equal_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_passwords(port=9123, lease_seconds=33.5, heartbeat_seconds=1.25, default_tier="a100")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert get_settings() == settings


def test_the_environment_hides_what_the_parent_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIPER_DATABASE_PASSWORD", "inherited")
    settings = Settings(database_password=None)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert get_settings().database_password is None


def test_settings_load_without_the_rest_of_the_app() -> None:
    code = "import sys, app.settings; print([m for m in sys.modules if m.startswith(('sqlalchemy', 'fastapi', 'app.'))])"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    # Its own parts, of which each needs the standard library and pydantic alone.
    own = {"app.settings", "app.access_settings", "app.artifact_settings", "app.addresses", "app.defaults"}
    assert set(ast.literal_eval(shown)) <= own


def test_by_default_a_lost_worker_is_noticed_and_its_job_woken_within_a_minute() -> None:
    """Lost right after a heartbeat: the lease runs out, the next sweep sees it, the relay's next turn tells a worker."""
    defaults = Settings()
    assert defaults.lease_seconds + defaults.sweep_seconds + defaults.relay_seconds <= 60


def test_names_that_others_reach_need_keys() -> None:
    assert Settings(allowed_hosts="caliper.example, api", require_keys=True).host_names == {
        "caliper.example",
        "api",
    }
    assert Settings(allowed_hosts="localhost").host_names == {"localhost"}
    with pytest.raises(ValidationError, match="need require_keys"):
        Settings(allowed_hosts="caliper.example")


@pytest.mark.parametrize("names", ["https://caliper.example", "caliper.example:8400", "a b", "*"])
def test_allowed_hosts_are_names(names: str) -> None:
    with pytest.raises(ValidationError, match="names without scheme and port"):
        Settings(allowed_hosts=names, require_keys=True)
