"""The settings of where artifacts lie: in a folder, or in an S3-compatible store."""

import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.access_settings import GIB, Bytes, Seconds
from app.addresses import is_loopback

STORE_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()-]+)*/?")
"""A bucket's name and a prefix, of characters that are safe in keys."""


class ArtifactSettings(BaseSettings):
    """The artifact store and this machine's copies of its files: a part of Settings, which reads them with all others."""

    model_config = SettingsConfigDict(frozen=True, use_attribute_docstrings=True)

    artifacts_url: str = ""
    """Where artifacts lie: `s3://bucket/prefix`; empty: in `data_dir`, which then all hosts must share."""
    artifacts_endpoint: str = ""
    """Address of an S3-compatible store that is not Amazon's, such as `https://minio.internal:9000`."""
    artifacts_region: str = ""
    """Region of the bucket; empty: that of the environment (AWS_REGION), else us-east-1."""
    artifacts_access_key_id: str = ""
    """Name of the store's access key; empty: what the provider's own environment says (AWS_ACCESS_KEY_ID, a role)."""
    artifacts_secret_access_key: SecretStr | None = None
    """The access key's secret."""
    artifacts_allow_http: bool = False
    """Whether a store on another host may be spoken to without TLS."""
    artifact_cache_bytes: Bytes = 20 * GIB
    """Copies of a store's files that this machine keeps; what was unused the longest goes first."""
    artifact_retry_seconds: Seconds = 60
    """How long a store that does not answer is asked again."""
    checkpoint_downloads: Literal["stream", "redirect"] = "stream"
    """How a store's checkpoints are downloaded: through the API, or by a redirect to a URL of the store."""
    download_url_seconds: Seconds = 300
    """How long such a URL is good for."""

    @property
    def artifacts_over_http(self) -> bool:
        """Whether the store may be spoken to without TLS: allowed, or on this machine."""
        host = urlsplit(self.artifacts_endpoint).hostname or ""
        return self.artifacts_allow_http or is_loopback(host)

    @field_validator("artifacts_url")
    @classmethod
    def _names_a_bucket(cls, url: str) -> str:
        if url and (not STORE_URL.fullmatch(url) or {".", ".."} & set(url.split("/"))):
            raise ValueError("the URL is s3://bucket or s3://bucket/prefix, the prefix of plain characters")
        return url.rstrip("/")

    @field_validator("artifacts_endpoint")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in {"http", "https"} or not parts.hostname or "@" in url or parts.query):
            raise ValueError("the address is https://host[:port], without a user or a query")
        return url

    @model_validator(mode="after")
    def _store_is_private(self) -> Self:
        """Keys and weights do not go over a network in the clear, unless somebody says so."""
        if self.artifacts_endpoint.startswith("http:") and not self.artifacts_over_http:
            raise ValueError(
                "artifacts_endpoint is https:// where it is not this machine, or artifacts_allow_http is set"
            )
        return self

    @model_validator(mode="after")
    def _store_key_is_whole(self) -> Self:
        if bool(self.artifacts_access_key_id) != (self.artifacts_secret_access_key is not None):
            raise ValueError("artifacts_access_key_id and artifacts_secret_access_key are set together")
        return self
