"""The demo's steps, in order: upload bars, train, check the checkpoint, inspect it, compare it with another."""

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.client import Client
from app.demo import checks
from app.demo.checks import DemoFailed
from app.demo.home import PORT, SMALL_TIMESTEPS, TIER, DemoOptions, prepare_home
from app.demo.view import View
from app.local import LocalStack
from app.market.declarations import Declarations
from app.market.trading import Costs
from app.network.tiers import TIERS
from app.settings import Settings

BARS = Path(__file__).parents[2] / "examples" / "data" / "googl_1d.csv"
"""Daily bars of Alphabet, 2009 to 2018."""

DECLARATIONS = Declarations(
    bar_seconds=86_400,
    timezone="America/New_York",
    label="open",
    adjusted="split",
    calendar="XNYS",
    volume_unit="shares",
)
"""What the file does not say by itself; its prices carry the split of 2014, and no dividend was paid."""

ORIGIN: dict[str, Any] = {"source": "gym-anytrading 2.0.0 on PyPI; upstream Yahoo Finance", "licence": "MIT"}

COSTS = Costs(fee_bps=1.0, half_spread_bps=1.0, slippage=0.02, borrow_bps_per_year=300.0)
"""What trading a large US share costs about: a stated assumption of the demo."""

OBS_DIM = 5_300
"""53 features of 100 bars."""

SMALL_DIMS = (64, 32)

Json = Mapping[str, Any]


def run_demo(options: DemoOptions, view: View) -> None:
    """Run everything on a stack of its own, which is always stopped.

    Raises DemoFailed, or the error of whatever failed; returns only where every check has held.
    """
    started = time.monotonic()
    settings = prepare_home(options)
    view.step(f"Starting the service in {settings.data_dir}")
    with LocalStack(settings, progress=view.say) as stack, Client(stack.url) as client:
        view.passed(f"the service answers at {stack.url}")
        try:
            checkpoint = take_tour(client, settings.data_dir, options.timesteps, view)
        except BaseException:
            stack.stop(hurry=True)  # nobody waits for a last checkpoint of an abandoned demo
            raise
        view.step("Stopping the service")
    view.passed(f"all of it happened, in {time.monotonic() - started:.0f} s")
    view.farewell(next_places(settings, checkpoint))


def take_tour(client: Client, folder: Path, timesteps: int, view: View) -> Json:
    """All steps against a service that runs; the main job's checkpoint."""
    dataset = upload_bars(client, view)
    job, checkpoint = train_policy(client, dataset, timesteps, view)
    file = fetch_checkpoint(client, job, checkpoint, folder, view)
    inspect_file(client, file, job, checkpoint, view)
    other = train_other(client, dataset, view)
    compare(client, checkpoint, other, view)
    return checkpoint


def upload_bars(client: Client, view: View) -> Json:
    """Send the bars with their declarations."""
    view.step(f"Uploading {BARS.name} through POST /datasets")
    if not BARS.is_file():
        raise DemoFailed(f"{BARS} is missing", hint="run the demo from a checkout of the repository")
    with BARS.open(newline="") as file:
        rows = sum(1 for _ in csv.reader(file)) - 1
    declared = {name: value for name, value in asdict(DECLARATIONS).items() if value is not None}
    dataset = client.upload_dataset(BARS, name="googl", declarations=declared, **ORIGIN)
    view.passed(checks.check_dataset(dataset, rows))
    return dataset


def train_policy(client: Client, dataset: Json, timesteps: int, view: View) -> tuple[Json, Json]:
    """Submit the main job, follow it to its end; the job and its checkpoint."""
    view.step("Training through POST /jobs")
    spec = {
        "dataset": dataset["id"],
        "total_timesteps": timesteps,
        "environment": {"costs": asdict(COSTS)},
        "tier": TIER,
        "name": "demo",
    }
    submitted = client.submit_job(spec)
    view.passed(checks.check_network(submitted, OBS_DIM, TIERS[TIER].hidden_dims))
    view.say(f"its checkpoint will have {submitted['predicted_bytes']:,} bytes, said before the first step")
    job = _finish(client, submitted["id"], view)
    view.result(job["result"])
    return job, client.checkpoint(job["result"]["checkpoint_id"])


def fetch_checkpoint(client: Client, job: Json, checkpoint: Json, folder: Path, view: View) -> Path:
    """Download the registered checkpoint and hold its size against the prediction."""
    view.step(f"Downloading {checkpoint['id']}")
    file = client.download(checkpoint["id"], folder / "demo.pt")
    view.passed(checks.check_sizes(job["predicted_bytes"], checkpoint, file.stat().st_size))
    return file


def inspect_file(client: Client, file: Path, job: Json, checkpoint: Json, view: View) -> Json:
    """Have the service read the file, without running it."""
    view.step("Inspecting it through POST /checkpoints/inspect")
    report = client.inspect_checkpoint(file)
    view.inspection(report)
    view.passed(checks.check_inspection(report, job, checkpoint))
    return report


def train_other(client: Client, dataset: Json, view: View) -> Json:
    """Train a smaller network for a moment; its checkpoint."""
    view.step(f"Training another network, {_dims(SMALL_DIMS)}, to compare with")
    spec = {
        "dataset": dataset["id"],
        "total_timesteps": SMALL_TIMESTEPS,
        "environment": {"costs": asdict(COSTS)},
        "tier": TIER,
        "hidden_dims": list(SMALL_DIMS),
        "name": "demo, smaller",
    }
    submitted = client.submit_job(spec)
    view.passed(checks.check_network(submitted, OBS_DIM, SMALL_DIMS))
    job = _finish(client, submitted["id"], view)
    checkpoint = client.checkpoint(job["result"]["checkpoint_id"])
    view.passed(checks.check_sizes(job["predicted_bytes"], checkpoint, checkpoint["bytes"]))
    return checkpoint


def compare(client: Client, left: Json, right: Json, view: View) -> Json:
    """Compare the two checkpoints."""
    view.step("Comparing them through GET /checkpoints/diff")
    diff = client.diff(left["id"], right["id"])
    view.diff(diff)
    view.passed(checks.check_diff(diff, left, right))
    return diff


def next_places(settings: Settings, checkpoint: Json) -> dict[str, str]:
    """Where to go next."""
    folder = settings.data_dir
    url = f"http://{settings.host}:{settings.port}"
    port = "" if settings.port == PORT else f" CALIPER_PORT={settings.port}"
    return {
        "serve what the demo made": f"CALIPER_DATA_DIR={folder}{port} make serve",
        "then read the API at": f"{url}/docs",
        "see its jobs": f"caliper jobs list --url {url}",
        "see its checkpoint": f"caliper checkpoints show {checkpoint['id']} --url {url}",
        "read the file without any service": f"caliper inspect {folder / 'demo.pt'}",
        "size a network of your own": "caliper estimate --obs-dim 5300 --hidden 2048,1024,512,256",
    }


def _finish(client: Client, job_id: str, view: View) -> Json:
    view.follow(client.events(job_id))
    job = client.job(job_id)
    view.passed(checks.check_success(job))
    return job


def _dims(dims: Sequence[int]) -> str:
    return f"({', '.join(str(width) for width in dims)})"
