"""`caliper export`: writes the file whole or not at all, and says how far its outputs lie from the checkpoint's."""

import json
from pathlib import Path

import httpx
import pytest
from command_line import CommandLine

from app.network.shape import NetworkShape
from tests.export.policies import make_policy

pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("onnx", ".onnx"), ("safetensors", ".safetensors"), ("sb3", ".zip"), ("torch", ".weights.pt")],
)
def test_it_writes_and_checks(
    caliper: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, suffix: str
) -> None:
    made = make_policy(tmp_path, NetworkShape(12, (16, 8)))
    monkeypatch.chdir(tmp_path)
    done = caliper("export", made.path, "--format", kind, "--check")
    assert done.exit_code == 0, done.output
    written = tmp_path / f"run{suffix}"
    assert f"run{suffix}: {written.stat().st_size:,} bytes" in done.stderr
    assert "holds" in done.stdout
    assert "100.00 %" in done.stdout
    assert written.read_bytes() == made.export(kind).read_bytes()


def test_json_for_programs(caliper: CommandLine, tmp_path: Path) -> None:
    made = make_policy(tmp_path, NetworkShape(12, (16, 8), 2, "gaussian"))
    target = tmp_path / "policy.onnx"
    answer = json.loads(caliper("export", made.path, "-f", "onnx", "-o", target, "--check", "--json").stdout)
    assert answer["bytes"] == target.stat().st_size
    assert answer["parity"]["holds"]
    assert answer["parity"]["argmax_agreement"] is None
    plain = json.loads(caliper("export", made.path, "-f", "torch", "-o", target, "--json").stdout)
    assert plain["parity"] is None


def test_a_refusal_leaves_the_old_file(caliper: CommandLine, tmp_path: Path) -> None:
    made = make_policy(tmp_path, NetworkShape(12, (16,), layer_norm=True))
    target = tmp_path / "policy.zip"
    target.write_text("older")
    done = caliper("export", made.path, "--format", "sb3", "--output", target)
    assert done.exit_code == 1
    assert "no LayerNorm" in done.stderr
    assert "export it as onnx" in done.stderr
    assert target.read_text() == "older"


def test_a_damaged_checkpoint_leaves_nothing(caliper: CommandLine, tmp_path: Path) -> None:
    made = make_policy(tmp_path, NetworkShape(12, (16,)))
    weight = made.network.trunk[0].weight.detach().numpy().tobytes()
    made.path.write_bytes(made.path.read_bytes().replace(weight, bytes(len(weight))))
    done = caliper("export", made.path, "-f", "onnx", "-o", tmp_path / "policy.onnx")
    assert done.exit_code == 1
    assert "does not match its checksum" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_the_checkpoint_itself_is_not_overwritten(caliper: CommandLine, tmp_path: Path) -> None:
    made = make_policy(tmp_path, NetworkShape(12, (16,)))
    before = made.path.read_bytes()
    done = caliper("export", made.path, "--format", "torch", "--output", made.path)
    assert done.exit_code == 1
    assert "is the checkpoint itself" in done.stderr
    assert made.path.read_bytes() == before


def test_from_a_service(caliper: CommandLine, tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params["format"] == "onnx"
        return httpx.Response(200, stream=httpx.ByteStream(b"the file"), headers={"Content-Length": "8"})

    caliper.service.answers["GET /checkpoints/live/export"] = answer
    target = tmp_path / "live.onnx"
    done = caliper("export", "http://caliper.test/checkpoints/live", "-f", "onnx", "-o", target)
    assert done.exit_code == 0, done.output
    assert target.read_bytes() == b"the file"
    refused = caliper("export", "http://caliper.test/checkpoints/live", "-f", "onnx", "--check")
    assert refused.exit_code == 1
    assert "--check needs the checkpoint's file" in refused.stderr


def test_a_missing_file_and_a_wrong_format(caliper: CommandLine, tmp_path: Path) -> None:
    done = caliper("export", tmp_path / "none.pt", "-f", "onnx")
    assert done.exit_code == 1
    assert "cannot be opened" in done.stderr
    assert caliper("export", tmp_path / "none.pt", "-f", "keras").exit_code == 2
