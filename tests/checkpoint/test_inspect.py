"""Real files of real software are read wholly, rightly, and without a flag."""

import collections
import hashlib
import io
import json
import pathlib
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save as save_safetensors
from torch import nn

from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.limits import ReadLimits
from app.checkpoint.report import CheckpointReport
from app.errors import CaliperError, LimitExceeded, UnreadableCheckpoint
from tests.checkpoint.real_files import (
    ACTIONS,
    HIDDEN,
    OBS,
    Policy,
    TrainerConfig,
    agent,
    caliper_tree,
    plain_config,
    saved,
    trained,
)

torch.set_num_threads(1)


def inspect(data: bytes, **options: Any) -> CheckpointReport:
    return inspect_checkpoint(io.BytesIO(data), **options)


def facts(report: CheckpointReport) -> dict:
    return {name: getattr(report.architecture, name).value for name in report.architecture.__slots__}


@pytest.fixture(scope="module")
def ppo_zip() -> bytes:
    from stable_baselines3 import PPO

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, n_epochs=1, device="cpu",
                    policy_kwargs={"net_arch": [32, 16], "activation_fn": nn.ReLU})  # fmt: skip
        model.learn(8)
        file = io.BytesIO()
        model.save(file)
    return file.getvalue()


def test_caliper_with_a_plain_config() -> None:
    policy = Policy()
    data = saved(caliper_tree(policy, plain_config()))
    report = inspect(data)
    assert (report.producer, report.format, report.complete) == ("caliper", "torch-zip", True)
    assert facts(report) == {
        "obs_dim": OBS,
        "hidden_dims": HIDDEN,
        "action_dim": ACTIONS,
        "action_kind": "discrete",
        "activation": "tanh",
        "shared_trunk": True,
        "layer_norm": False,
        "recurrent": False,
        "recurrent_kind": None,
        "recurrent_dim": None,
        "convolutional": False,
        "action_nvec": None,
        "actor_head": (64, ACTIONS),
        "critic_hidden_dims": (64,),
    }
    assert report.architecture.hidden_dims.basis == "both"
    assert report.parameters == sum(p.numel() for p in policy.parameters())
    assert report.findings == ()
    assert report.feature_schema.names == ("ret_1", "rsi_14", "mfi_14")
    assert report.sha256 == hashlib.sha256(data).hexdigest()
    assert report.versions["caliper"] == "0.1.0"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_config_object_of_an_unknown_class_is_read(protocol: Any) -> None:
    report = inspect(saved(caliper_tree(Policy(), TrainerConfig()), pickle_protocol=protocol))
    assert report.config["hidden_dims"] == list(HIDDEN)
    assert report.config["clip_coef"] == "inf"
    assert report.config["notes"] == ["a\\x1b[31m"]
    assert report.architecture.obs_dim.basis == "both"
    assert not report.suspicious
    assert [finding.code for finding in report.findings] == ["unknown_name", "unknown_class"]


@pytest.mark.parametrize("container", ["torch", "safetensors"])
@pytest.mark.parametrize("shared", [True, False])
def test_the_weights_alone_tell_the_same_network(container: str, shared: bool) -> None:
    state = Policy(shared=shared).state_dict()
    report = inspect(saved(dict(state)) if container == "torch" else save_safetensors(state))
    found = facts(report)
    assert report.producer == "caliper"
    assert (found["obs_dim"], found["hidden_dims"], found["actor_head"]) == (OBS, HIDDEN, (64, ACTIONS))
    assert report.architecture.action_dim.note.startswith("3 outputs")
    assert found["shared_trunk"] is shared
    assert report.architecture.obs_dim.basis == "shapes"
    assert report.findings == ()


def test_gaussian_separate_layer_norm() -> None:
    policy = Policy(shared=False, gaussian=True, layer_norm=True)
    found = facts(inspect(saved(caliper_tree(policy, plain_config(shared_trunk=False)))))
    assert (found["hidden_dims"], found["action_kind"]) == (HIDDEN, "gaussian")
    assert (found["shared_trunk"], found["layer_norm"]) == (False, True)


def test_config_and_shapes_that_disagree_are_named() -> None:
    report = inspect(saved(caliper_tree(Policy(), plain_config() | {"hidden_dims": [512, 256]})))
    assert report.architecture.hidden_dims.value == HIDDEN
    assert "512" in report.architecture.disagreements[0]
    assert report.findings[0].code == "config_disagrees"


def test_bytes_by_part_add_up_to_the_file() -> None:
    policy = Policy()
    data = saved(caliper_tree(policy, plain_config()))
    parts = inspect(data).bytes
    weights = 4 * sum(p.numel() for p in policy.parameters())
    steps = 4 * len(list(policy.parameters()))
    assert (parts.weights, parts.optimizer) == (weights, 2 * weights + steps)
    assert parts.weights + parts.optimizer + parts.other_tensors + parts.other == parts.total == len(data)


@pytest.mark.parametrize(("name", "kind"), [("Adam", "adam"), ("AdamW", "adamw"), ("RMSprop", "rmsprop")])
def test_optimizer(name: Any, kind: Any) -> None:
    policy = Policy()
    tree = {
        "policy_state_dict": policy.state_dict(),
        "optimizer_state_dict": trained(policy, name).state_dict(),
    }
    report = inspect(saved(tree))
    found = report.optimizer
    assert (found.kind, found.complete, found.steps, found.learning_rate) == (kind, True, 1, 1e-3)
    assert found.parameters == len(list(policy.parameters()))
    assert report.producer == "native-ppo"


def test_an_optimizer_without_state_is_incomplete() -> None:
    policy = Policy()
    state = torch.optim.Adam(policy.parameters()).state_dict()
    found = inspect(
        saved({"policy_state_dict": policy.state_dict(), "optimizer_state_dict": state})
    ).optimizer
    assert (found.complete, found.with_state, found.steps) == (False, 0, None)
    assert "0 of" in found.note


def test_stable_baselines3(ppo_zip: Any) -> None:
    report = inspect(ppo_zip)
    assert (report.producer, report.complete, report.findings) == ("stable-baselines3", True, ())
    found = facts(report)
    assert (found["obs_dim"], found["hidden_dims"], found["action_dim"]) == (4, (32, 16), 2)
    assert (found["action_kind"], found["activation"]) == ("discrete", "relu")
    assert report.architecture.obs_dim.basis == "both"
    assert report.optimizer.complete
    assert report.optimizer.steps == 1
    assert report.versions == {"stable_baselines3": "2.9.2"}


@pytest.mark.parametrize("gaussian", [False, True])
def test_cleanrl(gaussian: Any) -> None:
    report = inspect(saved(agent(gaussian).state_dict()))
    found = facts(report)
    assert (report.producer, report.findings) == ("cleanrl", ())
    assert (found["obs_dim"], found["hidden_dims"], found["action_dim"]) == (4, (64, 64), 2)
    assert found["action_kind"] == ("gaussian" if gaussian else "discrete")
    assert found["shared_trunk"] is False


def test_a_whole_pickled_module_is_read() -> None:
    report = inspect(saved(nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2))))
    found = facts(report)
    assert report.producer == "torch-module"
    assert (found["obs_dim"], found["hidden_dims"], found["actor_head"]) == (7, (5,), (2,))
    assert not report.suspicious


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_read_and_said_to_hold_code() -> None:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2))), file)
    report = inspect(file.getvalue())
    assert report.format == "torchscript"
    assert [finding.code for finding in report.findings] == ["torchscript_code"]
    found = facts(report)
    assert (found["obs_dim"], found["hidden_dims"], found["actor_head"]) == (7, (5,), (2,))


def test_a_plain_state_dict_takes_the_only_chain() -> None:
    net = nn.Sequential(nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    report = inspect(saved({"model": net.state_dict(), "epoch": 3}))
    found = facts(report)
    assert (found["obs_dim"], found["hidden_dims"], found["actor_head"]) == (9, (6, 4), (2,))
    assert found["activation"] is None
    assert report.architecture.activation.basis == "undetermined"


@pytest.mark.parametrize(
    ("tree", "producer"),
    [
        ({"model_state_dict": "net", "optimizer_state_dict": {}, "iter": 7, "infos": None}, "rsl_rl"),
        ({"policy": "skrl", "value": "critic", "optimizer": {}}, "skrl"),
        ({"model": "rl_games", "epoch": 1, "frame": 2, "optimizer": {}}, "rl_games"),
    ],
)
def test_other_producers(tree: Any, producer: Any) -> None:
    linear = torch.zeros
    nets = {
        "net": {"std": torch.zeros(2), "actor.0.weight": linear(16, 8), "actor.2.weight": linear(2, 16),
                "critic.0.weight": linear(16, 8), "critic.2.weight": linear(1, 16)},
        "skrl": {"log_std_parameter": torch.zeros(2), "net_container.0.weight": linear(16, 8),
                 "policy_layer.weight": linear(2, 16)},
        "critic": {"net_container.0.weight": linear(16, 8), "value_layer.weight": linear(1, 16)},
        "rl_games": {"a2c_network.actor_mlp.0.weight": linear(16, 8), "a2c_network.mu.weight": linear(2, 16),
                     "a2c_network.value.weight": linear(1, 16)},
    }  # fmt: skip
    report = inspect(saved({k: nets.get(v, v) if isinstance(v, str) else v for k, v in tree.items()}))
    found = facts(report)
    assert report.producer == producer
    assert (found["obs_dim"], found["hidden_dims"], found["action_dim"]) == (8, (16,), 2)
    assert found["action_kind"] == "gaussian"


def test_safetensors() -> None:
    tensors = {k: v.contiguous() for k, v in Policy().state_dict().items()}
    report = inspect(save_safetensors(tensors))
    assert (report.format, report.findings) == ("safetensors", ())
    assert report.parameters == sum(t.numel() for t in tensors.values())


def test_legacy_stream() -> None:
    policy = Policy()
    data = saved(caliper_tree(policy, plain_config()), _use_new_zipfile_serialization=False)
    report = inspect(data)
    assert (report.format, report.producer, report.findings) == ("torch-legacy", "caliper", ())
    assert report.parameters == sum(p.numel() for p in policy.parameters())
    assert report.bytes.weights == 4 * report.parameters


def test_ordinary_values_are_unflagged() -> None:
    tree = {
        "policy_state_dict": collections.OrderedDict(w=torch.zeros(2, 2)),
        "config": {
            "path": pathlib.Path("runs") / "a",
            "lr": np.float64(1e-3),
            "n": np.int64(4),
            "mean": np.zeros(3),
            "tags": {"x"},
            "device": torch.device("cpu"),
            "dtype": torch.float32,
            "size": torch.Size([2, 3]),
            "rng": np.random.default_rng(1),
            "seen": collections.deque([1, 2], maxlen=4),
            "counts": collections.defaultdict(int, a=1),
        },
    }
    report = inspect(saved(tree))
    assert report.findings == ()
    shown = report.config
    assert (shown["lr"], shown["n"], shown["size"]) == (1e-3, 4, [2, 3])
    assert (shown["path"], shown["device"], shown["seen"]) == ("path runs/a", "device cpu", [1, 2])


def test_shared_tensors_are_counted_once() -> None:
    weight = torch.zeros(4, 4)
    report = inspect(saved({"a.weight": weight, "b.weight": weight, "c.weight": weight[:2]}))
    assert report.parameters == 16
    assert len({tensor.storage for tensor in report.tensors}) == 1
    assert report.bytes.weights == 64
    assert not report.suspicious


def test_an_expanded_tensor_is_flagged_and_counted_by_what_is_stored() -> None:
    report = inspect(saved({"w": torch.zeros(1).expand(1000, 1000)}))
    assert report.parameters == 1
    assert [finding.code for finding in report.findings] == ["expanded_tensor"]


def test_only_directory_and_pickle_are_read() -> None:
    data = saved({"w": torch.zeros(1_000_000)})
    report = inspect(data, with_sha256=False)
    assert report.bytes_read < 100_000 < len(data)
    assert report.sha256 is None


def test_the_report_is_json_and_comes_back_equal(ppo_zip: Any) -> None:
    report = inspect(ppo_zip)
    assert CheckpointReport.from_plain(json.loads(json.dumps(report.plain(), allow_nan=False))) == report


def test_a_file_past_the_limit_is_refused() -> None:
    with pytest.raises(LimitExceeded) as caught:
        inspect(saved({}), limits=ReadLimits(max_file_bytes=10))
    assert caught.value.limit_name == "max_file_bytes"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x1f\x8b\x08rest", "gzip"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b'{"a": 1}', "JSON"),
        (b"hello world", "text"),
        (b"", "empty"),
        (b"\x08\x07\x12\x07pytorch", "ONNX"),
    ],
)
def test_a_refusal_says_what_the_file_is(data: Any, said: Any) -> None:
    with pytest.raises(UnreadableCheckpoint, match=said):
        inspect(data)


def test_a_torn_pickle_gives_what_could_be_read() -> None:
    import zipfile

    whole = saved(caliper_tree(Policy(), plain_config()))
    torn = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(torn, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            new.writestr(
                info.filename, data[: len(data) // 2] if info.filename.endswith("data.pkl") else data
            )
    report = inspect(torn.getvalue())
    assert not report.complete
    assert report.findings[0].code == "damaged"
    assert facts(report)["obs_dim"] == OBS
    assert facts(report)["hidden_dims"] == HIDDEN


HONEST = [
    saved(caliper_tree(Policy(), TrainerConfig())),
    saved(caliper_tree(Policy(), TrainerConfig()), _use_new_zipfile_serialization=False),
    save_safetensors({k: v.contiguous() for k, v in Policy().state_dict().items()}),
]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutated_files_raise_nothing_but_our_own_errors(data: Any) -> None:
    mutated = bytearray(data.draw(st.sampled_from(HONEST)))
    pickle_only = data.draw(st.booleans())
    last = min(len(mutated), 4000) - 1 if pickle_only else len(mutated) - 1
    for _ in range(data.draw(st.integers(1, 8))):
        mutated[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del mutated[data.draw(st.integers(0, len(mutated))) :]
    try:
        report = inspect(bytes(mutated), limits=ReadLimits(max_seconds=5))
    except CaliperError:
        return
    json.dumps(report.plain(), allow_nan=False)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"", b"\x80\x02", b"\x80\x04\x95", b"PK\x03\x04"]))
def test_random_bytes_raise_nothing_but_our_own_errors(data: Any, head: Any) -> None:
    try:
        report = inspect(head + data)
    except CaliperError:
        return
    json.dumps(report.plain(), allow_nan=False)
