"""GET /checkpoints/{id}/export, asked by both clients and by hand, of a real checkpoint."""

import asyncio
from pathlib import Path

import httpx
import pytest
from running_service import Service, is_problem, safetensors_file

from app.client import AsyncClient, Client, ServiceError
from app.export.plan import FORMATS
from app.network.shape import NetworkShape
from tests.export.policies import Made, make_policy

pytest.importorskip("torch")

SUFFIXES = {"safetensors": ".safetensors", "onnx": ".onnx", "sb3": ".zip", "torch": ".pt"}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_policy(tmp_path, NetworkShape(12, (16, 8)))


@pytest.fixture
def stored(service: Service, made: Made) -> str:
    return str(service.upload_checkpoint(made.path.read_bytes())["id"])


def test_it_is_what_the_terminal_writes(service: Service, made: Made, stored: str, tmp_path: Path) -> None:
    for kind in FORMATS:
        answer = service.get(f"/checkpoints/{stored}/export", params={"format": kind})
        assert answer.status_code == 200
        assert answer.content == made.export(kind).read_bytes()
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["content-disposition"] == f'attachment; filename="{stored}{SUFFIXES[kind]}"'
        assert answer.headers["content-type"] == "application/octet-stream"
        tag = answer.headers["etag"]
        again = service.get(f"/checkpoints/{stored}/export?format={kind}", headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
    _fetch_by_both_clients(service, made, stored, tmp_path)
    report = service.upload_checkpoint(made.export("onnx").read_bytes())["report"]
    assert report["architecture"]["hidden_dims"]["value"] == [16, 8]
    assert report["findings"] == []


def test_what_cannot_be_exported_is_a_problem_with_its_reason(service: Service, tmp_path: Path) -> None:
    normed = make_policy(tmp_path, NetworkShape(12, (8,), layer_norm=True))
    row = service.upload_checkpoint(normed.path.read_bytes())["id"]
    body = is_problem(service.get(f"/checkpoints/{row}/export?format=sb3"), 422, "not_exportable")
    assert "no LayerNorm" in body["detail"]
    assert "onnx" in body["hint"]
    other = service.upload_checkpoint(safetensors_file())["id"]
    body = is_problem(service.get(f"/checkpoints/{other}/export?format=onnx"), 422, "not_exportable")
    assert "no whole Caliper checkpoint" in body["detail"]
    is_problem(service.get("/checkpoints/ckpt_none/export?format=onnx"), 404, "not_found")
    is_problem(service.get(f"/checkpoints/{row}/export?format=keras"), 422, "invalid_input")
    is_problem(service.get(f"/checkpoints/{row}/export"), 422, "invalid_input")


def _damage(service: Service, made: Made, stored: str) -> None:
    """Change a weight in the storage, behind the service's back."""
    path = service.parts.storage.path(service.get(f"/checkpoints/{stored}").json()["sha256"])
    weight = made.network.trunk[0].weight.detach().numpy().tobytes()
    path.write_bytes(path.read_bytes().replace(weight, bytes(len(weight))))


def test_a_file_that_was_damaged_in_the_storage_does_not_arrive(
    service: Service, made: Made, stored: str, tmp_path: Path
) -> None:
    """What follows the damage is not sent, so the announced length is not reached and the client keeps nothing."""
    _damage(service, made, stored)
    with pytest.raises(httpx.RemoteProtocolError):
        service.get(f"/checkpoints/{stored}/export?format=onnx")
    folder = tmp_path / "out"
    with Client(service.url) as client, pytest.raises(ServiceError):
        client.export(stored, "onnx", folder / "policy.onnx")
    assert list(folder.iterdir()) == []


def _fetch_by_both_clients(service: Service, made: Made, stored: str, tmp_path: Path) -> None:
    wanted = made.export("safetensors").read_bytes()
    with Client(service.url) as client:
        assert client.export(stored, "safetensors", tmp_path / "new" / "a").read_bytes() == wanted

    async def fetch() -> Path:
        async with AsyncClient(service.url) as awaiting:
            return await awaiting.export(stored, "safetensors", tmp_path / "b")

    assert asyncio.run(fetch()).read_bytes() == wanted
    with Client(service.url) as client, pytest.raises(ServiceError, match="no checkpoint") as caught:
        client.export("ckpt_none", "onnx", tmp_path / "c")
    assert caught.value.code == "not_found"
    assert not (tmp_path / "c").exists()
