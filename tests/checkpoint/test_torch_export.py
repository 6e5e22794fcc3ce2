"""torch.export's .pt2 and torch.jit's archives, made by torch 2.13."""

import io
import json
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from app.checkpoint.sandbox import SandboxLimits, inspect_in_child
from tests.attacks.builders import called, pickled, text, torch_zip
from tests.checkpoint.reading import dimensions, facts, inspect
from tests.checkpoint.real_files import saved
from tests.checkpoint.test_onnx import Policy


def exported() -> bytes:
    file = io.BytesIO()
    torch.export.save(torch.export.export(Policy(), (torch.zeros(1, 5),)), file)
    return file.getvalue()


def rewritten(data: bytes, **changes: Any) -> bytes:
    """The archive with members, known by the end of their name, replaced by what a function makes of them."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            change = next((c for end, c in changes.items() if info.filename.endswith(f"{end}.json")), None)
            content = old.read(info)
            new.writestr(info.filename, change(content) if change else content)
    return out.getvalue()


def test_a_policy_that_torch_exports() -> None:
    report = inspect(exported())
    assert (report.format, report.producer, report.complete) == ("torch-export", "torch-export", True)
    assert [f.code for f in report.findings if f.severity in ("medium", "high")] == []
    assert dimensions(report) == (5, (32, 16), None, None)
    assert report.architecture.action_dim.note.startswith("3 outputs")
    assert (facts(report)["activation"], facts(report)["shared_trunk"]) == ("tanh", True)
    assert report.parameters == sum(p.numel() for p in Policy().parameters())
    assert report.bytes.weights == 4 * report.parameters


def test_sizes_that_lie_are_flagged() -> None:
    def lie(content: bytes) -> bytes:
        document = json.loads(content)
        document["config"]["trunk.0.weight"]["tensor_meta"]["sizes"] = [{"as_int": 1 << 30}, {"as_int": 5}]
        return json.dumps(document).encode()

    report = inspect(rewritten(exported(), weights_config=lie))
    assert "storage_size" in {finding.code for finding in report.findings if finding.severity == "high"}


def test_malformed_sizes_leave_the_rest_readable() -> None:
    def break_it(content: bytes) -> bytes:
        document = json.loads(content)
        document["config"]["critic.weight"]["tensor_meta"]["sizes"] = [{"as_int": -1}]
        return json.dumps(document).encode()

    report = inspect(rewritten(exported(), weights_config=break_it))
    assert not report.complete
    assert report.findings[0].code == "damaged"


def test_the_older_layout_keeps_its_weights_in_a_zip_within() -> None:
    """Built from the members of torch 2.1 to 2.8: serialized_exported_program.json, serialized_state_dict.pt."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", saved(dict(Policy().state_dict())))
    report = inspect(out.getvalue())
    assert (report.format, report.complete) == ("torch-export", True)
    assert facts(report)["actor_head"] == (3,)
    assert report.bytes.weights == 4 * report.parameters


def test_a_traced_module_is_read_with_its_inputs_unflagged() -> None:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(Policy(), torch.zeros(1, 5)), file)
    report = inspect(file.getvalue())
    assert report.format == "torchscript"
    assert [finding.code for finding in report.findings] == ["torchscript_code"]
    assert dimensions(report)[:3] == (5, (32, 16), None)
    assert facts(report)["activation"] == "tanh"


def with_members(data: bytes, **members: bytes) -> bytes:
    """The archive with members more; a double underscore stands for a slash."""
    out = io.BytesIO(data)
    with zipfile.ZipFile(out, "a") as archive:
        for name, content in members.items():
            archive.writestr(f"archive/{name.replace('__', '/')}", content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data__aotinductor__model__wrapper.so", b"\x7fELF\2\1\1"),
        ("data__aotinductor__model__wrapper.cpp", b"int main() {}"),
        ("data__aotinductor__model__kernel", b"\x7fELF\2\1\1"),
        ("extra__innocent.txt", b"\x7fELF\2\1\1"),
    ],
)
def test_compiled_code_is_of_high_severity(name: str, content: bytes) -> None:
    """Built from the members of an AOTInductor package: a library's name, or a library behind another name."""
    found = {f.code: f.severity for f in inspect(with_members(exported(), **{name: content})).findings}
    assert found["compiled_code"] == "high"


@pytest.mark.slow
def test_a_package_that_inductor_compiles(tmp_path: Path) -> None:
    """A real AOTInductor package, where a C++ compiler is at hand."""
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(Policy(), (torch.zeros(1, 5),))
        path = torch._inductor.aoti_compile_and_package(program, package_path=str(tmp_path / "policy.pt2"))
    report = inspect(Path(path))
    assert {f.severity for f in report.findings if f.code == "compiled_code"} == {"high"}
    assert report.architecture.obs_dim.note


def test_weights_that_are_pickled_are_walked() -> None:
    """`use_pickle`: torch.load with everything allowed reads such a weight; here its pickle is walked."""

    def by_pickle(content: bytes) -> bytes:
        document = json.loads(content)
        document["config"]["critic.weight"]["use_pickle"] = True
        return json.dumps(document).encode()

    plain = exported()
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        (config,) = (n for n in archive.namelist() if n.endswith("weights_config.json"))
        record = json.loads(archive.read(config))["config"]["critic.weight"]["path_name"]
    honest = replaced(rewritten(plain, weights_config=by_pickle), record, saved(torch.zeros(1, 16)))
    report = inspect(honest)
    assert [f.code for f in report.findings if f.severity in ("medium", "high")] == []
    assert report.parameters == sum(p.numel() for p in Policy().parameters())
    evil = inspect(replaced(honest, record, torch_zip(pickled_call("posix", "system", text("true")))))
    assert {f.severity for f in evil.findings if f.code == "would_call"} == {"high"}


def replaced(data: bytes, end: str, content: bytes) -> bytes:
    """The archive with the member of this name given other content."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, content if info.filename.endswith(f"/{end}") else old.read(info))
    return out.getvalue()


def pickled_call(module: str, name: str, argument: bytes) -> bytes:
    return pickled(called(module, name, argument))


class Deep(nn.Module):
    """Very many layers."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            *(m for _ in range(layers) for m in (nn.Linear(8, 8), nn.Tanh())), nn.Linear(8, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


@pytest.mark.slow
def test_a_graph_of_thousands_of_nodes_stays_within_the_walls(tmp_path: Path) -> None:
    path = tmp_path / "deep.pt2"
    torch.export.save(torch.export.export(Deep(1500), (torch.zeros(1, 8),)), path)
    report = inspect_in_child(path, sandbox=SandboxLimits(max_memory_bytes=256 << 20, max_cpu_seconds=5))
    assert report.complete
    assert dimensions(report)[:2] == (8, (8,) * 1500)
