"""Where artifacts lie: what is refused at the start, and that no secret is shown."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, describe_mistakes

SECRET = "do-not-show-me"


def mistakes(**values: object) -> str:
    with pytest.raises(ValidationError) as refused:
        Settings(**values)  # type: ignore[arg-type]
    return describe_mistakes(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3://b",
        "s3://Bucket/x",
        "s3://bucket//x",
        "s3://bucket/../x",
        "s3://bucket/a?b",
        "gs://bucket/x",
        "/x",
    ],
)
def test_a_url_that_names_no_bucket_is_refused(url: str) -> None:
    assert "s3://bucket/prefix" in mistakes(artifacts_url=url)


@pytest.mark.parametrize("url", ["s3://models", "s3://models/", "s3://my.models/a/b_c/d-e"])
def test_a_bucket_may_have_a_prefix(url: str) -> None:
    assert Settings(artifacts_url=url).artifacts_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["minio:9000", "ftp://minio", "https://", "https://me:pw@minio", "https://minio?x=1"]
)
def test_an_endpoint_is_an_address(url: str) -> None:
    assert "https://host" in mistakes(artifacts_endpoint=url)


def test_plain_http_is_for_this_machine_unless_allowed() -> None:
    assert "artifacts_allow_http" in mistakes(artifacts_endpoint="http://minio.internal:9000")
    for endpoint in ("http://localhost:9000", "http://127.0.0.1:9000", "http://[::1]:9000"):
        assert Settings(artifacts_endpoint=endpoint).artifacts_over_http
    allowed = Settings(artifacts_endpoint="http://minio.internal:9000", artifacts_allow_http=True)
    assert allowed.artifacts_over_http
    assert not Settings(artifacts_endpoint="https://minio.internal:9000").artifacts_over_http


def test_a_key_has_two_halves() -> None:
    assert "set together" in mistakes(artifacts_access_key_id="key")
    assert "set together" in mistakes(artifacts_secret_access_key=SECRET)


def test_the_secret_is_nowhere_but_in_the_childs_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        artifacts_url="s3://models",
        artifacts_access_key_id="key",
        artifacts_secret_access_key=SECRET,
    )
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert SECRET not in shown
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings
    assert SECRET not in mistakes(artifacts_secret_access_key=SECRET, artifacts_url="bad")
