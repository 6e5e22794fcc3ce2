"""torch.export's .pt2 and torch.jit's archives, made by torch 2.13."""

import io
import json
import warnings
import zipfile
from typing import Any

import torch

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
    assert dimensions(report) == (5, (32, 16), 3, None)
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
    assert facts(report)["action_dim"] == 3
    assert report.bytes.weights == 4 * report.parameters


def test_a_traced_module_is_read_with_its_inputs_unflagged() -> None:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(Policy(), torch.zeros(1, 5)), file)
    report = inspect(file.getvalue())
    assert report.format == "torchscript"
    assert [finding.code for finding in report.findings] == ["torchscript_code"]
    assert dimensions(report)[:3] == (5, (32, 16), 3)
    assert (facts(report)["activation"], facts(report)["shared_trunk"]) == ("tanh", True)
