"""Networks of many forms in every container: dimensions come out right or are said to be undetermined, with the reason."""

import io
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_safetensors

from app.checkpoint.report import CheckpointReport
from tests.checkpoint.networks import NETWORKS, Truth
from tests.checkpoint.reading import inspect
from tests.checkpoint.real_files import saved

OF_NO_POLICY = ("only_a_critic", "only_an_unnamed_q_function")
"""Files whose first layer takes the action too: nothing is the policy's."""


def _state(truth: Truth) -> bytes:
    return saved(truth.module.state_dict())


def _legacy(truth: Truth) -> bytes:
    return saved({"model": truth.module.state_dict()}, _use_new_zipfile_serialization=False)


def _safetensors(truth: Truth) -> bytes:
    return save_safetensors({name: value.clone() for name, value in truth.module.state_dict().items()})


def _torchscript(truth: Truth) -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(truth.module.eval(), truth.example, check_trace=False), file)
    return file.getvalue()


def _pt2(truth: Truth) -> bytes:
    file = io.BytesIO()
    torch.export.save(torch.export.export(truth.module.eval(), (truth.example,)), file)
    return file.getvalue()


def _onnx(truth: Truth, *, dynamo: bool = False, **options: Any) -> bytes:
    file = io.BytesIO()
    program = torch.onnx.export(
        truth.module.eval(), (truth.example,), None if dynamo else file, dynamo=dynamo, **options
    )
    return program.model_proto.SerializeToString() if dynamo else file.getvalue()  # type: ignore[union-attr]


def _onnx_dynamic(truth: Truth) -> bytes:
    return _onnx(truth, input_names=["obs"], dynamic_axes={"obs": {0: "batch"}})


def _onnx_dynamo(truth: Truth) -> bytes:
    return _onnx(truth, dynamo=True, verbose=False)


FAST: dict[str, Callable[[Truth], bytes]] = {
    "state_dict": _state,
    "legacy": _legacy,
    "safetensors": _safetensors,
    "torchscript": _torchscript,
    "onnx": _onnx,
}
SLOW: dict[str, Callable[[Truth], bytes]] = {
    "pt2": _pt2,
    "onnx_dynamic": _onnx_dynamic,
    "onnx_dynamo": _onnx_dynamo,
}


def made(container: Callable[[Truth], bytes], truth: Truth) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return container(truth)


def wrong(name: str, truth: Truth, report: CheckpointReport) -> dict[str, Any]:
    """Every dimension that is told and is not true, or is not told and has no reason."""
    facts = report.architecture
    told = {"obs_dim": facts.obs_dim, "hidden_dims": facts.hidden_dims, "action_dim": facts.action_dim}
    head = facts.actor_head.value
    policy = (*(facts.hidden_dims.value or ()), *(head[:-1] if isinstance(head, tuple) else ()))  # type: ignore[misc]
    right = {
        "obs_dim": facts.obs_dim.value in (truth.obs_dim, None if _has_graph(report) else truth.first_takes),
        "hidden_dims": policy == truth.policy,
        "action_dim": facts.action_dim.value == truth.action_dim,
    }
    return {
        key: (fact, policy)
        for key, fact in told.items()
        if not (fact.note if fact.value is None else right[key] and name not in OF_NO_POLICY)
    }


def _has_graph(report: CheckpointReport) -> bool:
    return report.format in ("onnx", "torch-export")


@pytest.mark.parametrize("container", FAST)
@pytest.mark.parametrize("name", NETWORKS)
def test_dimensions_are_right_or_undetermined(name: str, container: str) -> None:
    truth = NETWORKS[name]()
    assert wrong(name, truth, inspect(made(FAST[container], truth))) == {}


@pytest.mark.slow
@pytest.mark.parametrize("container", SLOW)
@pytest.mark.parametrize("name", NETWORKS)
def test_dimensions_of_exported_graphs(name: str, container: str) -> None:
    truth = NETWORKS[name]()
    assert wrong(name, truth, inspect(made(SLOW[container], truth))) == {}
