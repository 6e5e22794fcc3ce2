"""What must hold after each step of the demo; each check returns a line that says so, or raises DemoFailed."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import CaliperError

Json = Mapping[str, Any]


class DemoFailed(CaliperError):
    """A step of the demo did not give what it must."""

    code = "demo_failed"
    title = "The demo failed"


def check_dataset(dataset: Json, rows: int) -> str:
    """All rows of the file were accepted."""
    _require("rows of the dataset", dataset["rows"], rows)
    return f"{rows:,} daily bars accepted, {dataset['starts_at'][:10]} to {dataset['ends_at'][:10]}"


def check_network(job: Json, obs_dim: int, hidden_dims: Sequence[int]) -> str:
    """The job trains the network that was meant."""
    _require("obs_dim of the job", job["obs_dim"], obs_dim)
    _require("hidden_dims of the job", list(job["hidden_dims"]), list(hidden_dims))
    dims = ", ".join(str(width) for width in hidden_dims)
    return f"network ({dims}) on {obs_dim:,} inputs: {job['reasons']['hidden_dims']}"


def check_success(job: Json) -> str:
    """The job succeeded and names its checkpoint."""
    if job["state"] != "succeeded":
        error = job["error"] or {}
        detail = error.get("detail") or "the service gave no reason"
        raise DemoFailed(f"the job {job['id']} is {job['state']}: {detail}", hint=error.get("hint", ""))
    if not (job["result"] or {}).get("checkpoint_id"):
        raise DemoFailed(f"the job {job['id']} succeeded without a checkpoint")
    steps = job["result"]["global_step"]
    if steps < job["spec"]["total_timesteps"]:
        wanted = job["spec"]["total_timesteps"]
        raise DemoFailed(f"the job {job['id']} ended after {steps:,} of {wanted:,} steps")
    return f"trained for {steps:,} steps in {_attempts(job['attempt'])}"


def check_sizes(predicted: int, checkpoint: Json, file_bytes: int) -> str:
    """Prediction, registry and file agree to the byte."""
    _require("predicted bytes in the registry", checkpoint["predicted_bytes"], predicted)
    _require("bytes in the registry", checkpoint["bytes"], predicted)
    _require("bytes of the downloaded file", file_bytes, predicted)
    return f"predicted {predicted:,} bytes, actual {file_bytes:,} bytes: equal to the byte"


def check_inspection(report: Json, job: Json, checkpoint: Json) -> str:
    """What is in the file is what was asked for, whole and harmless."""
    facts = report["architecture"]
    _require("obs_dim in the file", facts["obs_dim"]["value"], job["obs_dim"])
    _require("hidden_dims in the file", list(facts["hidden_dims"]["value"] or ()), list(job["hidden_dims"]))
    _require("parameters in the file", report["parameters"], job["estimate"]["parameters"])
    _require("sha256 of the file", report["sha256"], checkpoint["sha256"])
    _check_config(report["config"], job["config"]["ppo"])
    bad = [finding for finding in report["findings"] if finding["severity"] in {"medium", "high"}]
    if bad or not report["complete"]:
        what = bad[0]["explanation"] if bad else "it could not be read to its end"
        raise DemoFailed(f"the inspection found fault with the checkpoint: {what}")
    optimizer = report["optimizer"]
    if optimizer is None or not optimizer["complete"]:
        raise DemoFailed("the checkpoint's optimizer state is not complete: training could not go on from it")
    return f"its {report['parameters']:,} parameters, network and settings are those of the job; nothing in it runs"


def check_diff(diff: Json, left: Json, right: Json) -> str:
    """The two networks differ where they must, and weights do not load across."""
    if diff["weights_load"]:
        raise DemoFailed("the diff says that weights load across two different networks")
    named = [(c["left"], c["right"]) for c in diff["architecture"] if c["name"] == "hidden_dims"]
    _require("hidden_dims in the diff", named, [(left["hidden_dims"], right["hidden_dims"])])
    _require("parameters_delta", diff["parameters_delta"], right["parameters"] - left["parameters"])
    _require("bytes_delta", diff["bytes_delta"], right["bytes"] - left["bytes"])
    return "the diff names the layers that differ, and says that weights do not load across"


def _check_config(found: Any, wanted: Json) -> None:
    """Every PPO setting of the job stands in the file."""
    if not isinstance(found, Mapping):
        raise DemoFailed("the checkpoint holds no configuration")
    for name, value in wanted.items():
        _require(f"{name} in the file", _plain(found.get(name)), _plain(value))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _require(what: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise DemoFailed(f"{what}: found {found!r}, expected {wanted!r}")


def _attempts(count: int) -> str:
    return "one attempt" if count == 1 else f"{count} attempts"
