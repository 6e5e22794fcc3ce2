"""API and workers on hosts that share no disk: PostgreSQL, a queue and an S3-compatible store between them.

The dataset goes up, a worker trains and loses its power, a second one on another host resumes from the checkpoint in
the store, and what it makes is downloaded, inspected and compared over the API.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hosts import Host, another_host, forwarded
from running_service import Service, running
from s3_server import S3Server, store_settings
from sqlalchemy import make_url

from app.client import Client
from app.local.services import answers_ping, find_redis_server, python_environment
from app.settings import Settings
from tests.journeys.test_main_job import SMALL, has_checkpoint, in_state, until, upload

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(420)]


@dataclass(frozen=True)
class Network:
    """What stands on the first host: registry, queue, store and API."""

    api: Settings
    service: Service
    ports: dict[str, int]

    def settings_on(self, host: Host, folder: Path, name: str) -> Settings:
        """The settings of a worker there; its folder is its own."""
        database = make_url(self.api.database_url)
        url = database.set(host=host.address, port=self.ports["postgresql"], query={})
        return self.api.model_copy(
            update={
                "data_dir": folder,
                "database_url": url.render_as_string(hide_password=False),
                "redis_url": f"redis://{host.address}:{self.ports['redis']}/0",
                "artifacts_endpoint": f"http://{host.address}:{self.ports['s3']}",
                "artifacts_allow_http": True,
                "worker_name": name,
                "default_tier": "cpu",
            }
        )


@pytest.fixture
def network(migrated_postgresql: str, free_port: int, tmp_path: Path) -> Iterator[Network]:
    with ExitStack() as stack:
        queue = subprocess.Popen(
            [
                *(str(find_redis_server()), "--port", str(free_port), "--bind", "0.0.0.0"),
                *("--protected-mode", "no", "--save", ""),
            ],
            stdout=subprocess.DEVNULL,
        )
        stack.callback(queue.wait)
        stack.callback(queue.kill)
        store = S3Server("0.0.0.0")
        stack.callback(store.stop)
        socket_folder = Path(str(make_url(migrated_postgresql).query["host"]))
        (socket_file,) = socket_folder.glob(".s.PGSQL.*[0-9]")
        ports = {
            "postgresql": stack.enter_context(forwarded(socket_file)),
            "redis": free_port,
            "s3": store.port,
        }
        settings = store_settings(
            store.url,
            store.new_bucket(),
            tmp_path / "a",
            database_url=migrated_postgresql,
            redis_url=f"redis://127.0.0.1:{free_port}/0",
            checkpoint_every_updates=20,
            lease_seconds=5,
        )
        until(lambda: answers_ping(settings))
        yield Network(settings, stack.enter_context(running(settings)), ports)


def start_worker(host: Host, settings: Settings) -> None:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    options = (
        "-P",
        "prefork",
        "-c",
        "1",
        "-n",
        f"{settings.worker_name}@%h",
        "--without-gossip",
        "--without-mingle",
    )
    command = (sys.executable, "-m", "celery", "-A", "worker.main:app", "worker", *options)
    environment = {**os.environ, **python_environment(settings)}
    host.start(command, environment, settings.data_dir / "worker.log")


def test_a_job_survives_its_host_and_nothing_is_shared(network: Network, tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("b", "c")}
    with (
        another_host(network.api.data_dir) as first,
        another_host(network.api.data_dir) as second,
        Client(network.service.url) as client,
    ):
        upload(client)
        start_worker(first, network.settings_on(first, folders["b"], "first"))
        job = client.submit_job({**SMALL, "total_timesteps": 30_000})
        until(has_checkpoint(client, job["id"]))
        first.cut_power()
        start_worker(second, network.settings_on(second, folders["c"], "second"))
        done = until(in_state(client, job["id"], "succeeded"), 240)
        check_the_story(done)
        check_what_was_made(client, done["id"], tmp_path)
        check_who_has_what(network, folders)


def check_the_story(done: object) -> None:
    assert isinstance(done, dict)
    lost, last = done["attempts"]
    assert (lost["outcome"], last["outcome"]) == ("worker_lost", "succeeded")
    assert lost["worker"].startswith("first@")
    assert last["worker"].startswith("second@")
    assert last["resumed_from"] is not None


def check_what_was_made(client: Client, job_id: str, tmp_path: Path) -> None:
    """Downloaded, inspected, exported, compared by the worker; the log and the picture came over too."""
    (final,) = client.checkpoints(job=job_id)
    file = client.download(final["id"], tmp_path / "policy.pt")
    assert torch.load(file, weights_only=True)["config"]["hidden_dims"] == [8]
    assert client.inspect_checkpoint(file)["findings"] == []
    assert client.export(final["id"], "onnx", tmp_path / "policy.onnx").stat().st_size > 0
    again = client.upload_checkpoint(file, name="copy")
    assert client.diff(final["id"], again["id"])["weights_load"] is True
    assert client.diff_weights(final["id"], again["id"])["identical"] is True
    assert "resumed" in client.log(job_id)
    assert client.evaluation(job_id)["assets"][0]["evaluation"]
    assert client.evaluation_picture(job_id).startswith(b"\x89PNG")


def check_who_has_what(network: Network, folders: dict[str, Path]) -> None:
    """The workers' disks hold copies alone, and the API's no checkpoint."""
    stored = network.service.parts.storage.listed()
    for folder in folders.values():
        assert not (folder / "artifacts" / "objects").exists()
        copies = {path.name for path in (folder / "artifacts" / "cache").iterdir()}
        assert copies & set(stored), "the dataset, at least"
    assert not (network.api.artifacts_dir / "objects").exists()


def test_a_worker_with_a_folder_of_its_own_does_not_start(network: Network, tmp_path: Path) -> None:
    with another_host(network.api.data_dir) as host:
        settings = network.settings_on(host, tmp_path / "own", "lost").model_copy(
            update={"artifacts_url": ""}
        )
        command = (
            sys.executable,
            "-m",
            "celery",
            "-A",
            "worker.main:app",
            "worker",
            "-P",
            "prefork",
            "-c",
            "1",
        )
        ended = host.run(command, {**os.environ, **python_environment(settings)})
    assert ended.returncode != 0
    assert "is not where the registry's artifacts lie" in ended.stderr
    assert "CALIPER_ARTIFACTS_URL" in ended.stderr
