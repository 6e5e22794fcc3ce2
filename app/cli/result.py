"""How a job and what it reached look in a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli import figures, terminal
from app.cli.progress import STATE_STYLE

Json = Mapping[str, Any]

CAUTION = (
    "One run on one history proves nothing about the future: other seeds, other spans and your own costs "
    "come before any money."
)


def draw_job(job: Json) -> Group:
    """One job: how it stands, what it is, what it reached."""
    parts: list[RenderableType] = [_head(job), terminal.pairs(_facts(job))]
    if job["attempts"]:
        parts.append(_attempts(job["attempts"]))
    if job["checkpoints"]:
        parts.append(draw_checkpoints(job["checkpoints"]))
    if job["result"]:
        listed = (job.get("config") or {}).get("datasets", [])
        parts.append(draw_result(job["result"], {each["id"]: each["name"] for each in listed}))
    return terminal.stack(*parts)


def draw_result(result: Json, names: Mapping[str, str] | None = None) -> Group:
    """What a policy did on each dataset alone, under its name (by id, else the id) where there are several."""
    evaluations = result.get("evaluations") or {"": result["evaluation"]}
    parts: list[RenderableType] = []
    for dataset_id, evaluation in evaluations.items():
        name = (names or {}).get(dataset_id, dataset_id)
        title = [Text(terminal.plain(name), style="bold")] if len(evaluations) > 1 else []
        parts += [*title, draw_evaluation(evaluation), Text()]
    return Group(*parts[:-1], Text(CAUTION, style="dim"))


def draw_evaluation(evaluation: Json) -> Group:
    """What a policy did on each span, beside its baselines, and the verdict in words."""
    table = terminal.grid(
        "span",
        "strategy",
        "return",
        "Sharpe",
        "drawdown",
        "trades",
        right=("return", "Sharpe", "drawdown", "trades"),
    )
    for span in evaluation["spans"]:
        for place, (name, key) in enumerate(STRATEGIES):
            table.add_row(*_performance(span["name"] if not place else "", name, span[key]), end_section=True)
    spans = ", ".join(
        f"{span['name']} {span['first_bar'][:10]} to {span['last_bar'][:10]}" for span in evaluation["spans"]
    )
    words = [Text(f"{spans}. After costs." if not evaluation["before_costs"] else f"{spans}.", style="dim")]
    words += [Text(f"• {terminal.plain(line)}") for line in evaluation["verdict"]]
    return Group(table, Text(), *words)


STRATEGIES = (("policy", "policy"), ("buy & hold", "buy_and_hold"), ("SMA 20/100", "sma_cross"))
"""What a span's table shows: the field's name for it, and its key."""


def draw_jobs(jobs: Iterable[Json]) -> Table:
    """Jobs, one a line."""
    table = terminal.grid(
        "job",
        "name",
        "state",
        "done",
        "network",
        "created",
        right=("done",),
        whole=("job", "state", "created"),
    )
    for job in jobs:
        priority = f" ({job['priority']:+d})" if job.get("priority") else ""
        dims = ",".join(str(width) for width in job["hidden_dims"])
        table.add_row(
            terminal.cell(job["id"]),
            terminal.cell(job["name"]),
            Text(job["state"] + priority, style=STATE_STYLE.get(job["state"], "")),
            _share(job["progress"]),
            dims,
            figures.short_moment(job["created_at"]),
        )
    return table


def draw_checkpoints(checkpoints: Iterable[Json]) -> Table:
    """Checkpoints, one a line."""
    table = terminal.grid(
        *("checkpoint", "kind", "network", "step", "bytes", "name"),
        right=("step", "bytes"),
        whole=("checkpoint", "kind"),
    )
    for row in checkpoints:
        dims = ",".join(str(width) for width in row["hidden_dims"] or ("?",))
        labels = " ".join([*(f"@{alias}" for alias in row["aliases"]), *row["tags"]])
        step = figures.NOTHING if row["step"] is None else f"{row['step']:,}"
        table.add_row(
            terminal.cell(row["id"]),
            terminal.cell(row["kind"]),
            dims,
            step,
            figures.short_size(row["bytes"]),
            terminal.cell(row["name"]).append(f" {terminal.plain(labels)}" if labels else "", style="cyan"),
        )
    return table


def describe_sizes(row: Json) -> str:
    """A checkpoint's size against its prediction, in words."""
    actual, predicted = row["bytes"], row["predicted_bytes"]
    if predicted is None:
        return f"{actual:,} bytes; nothing was predicted"
    if actual == predicted:
        return f"{actual:,} bytes, exactly as predicted before training began"
    return f"{actual:,} bytes, {actual - predicted:+,} against the {predicted:,} predicted"


def describe_speed(time: Json, speed: Json) -> str:
    """The time and speed that were predicted for a job, and once it is done the measured speed beside it."""
    hours = time["hours"]
    span = f"{figures.duration(3600 * hours['low'])} to {figures.duration(3600 * hours['high'])}"
    likely = hours.get("likely")
    words = f"{span} ({time['basis']})"
    if likely is not None:
        predicted = f"{time['steps_per_second']['likely']:,.0f} steps/s"
        words = f"about {figures.duration(3600 * likely)} ({span}), {predicted} predicted"
    measured = speed.get("measured_steps_per_second")
    return words if measured is None else f"{words}, {measured:,.0f} steps/s measured"


def describe_code(attempts: Sequence[Json]) -> str | None:
    """What ran the last attempt that says so: Caliper's release, its commit where that is known, torch; else None."""
    versions = next((v for each in reversed(attempts) if (v := each.get("versions"))), None)
    if versions is None:
        return None
    commit = f", commit {versions['commit'][:12]}" if versions.get("commit") else ""
    return f"caliper {versions.get('caliper', '?')}{commit}, torch {versions.get('torch', '?')}"


def _head(job: Json) -> Text:
    state = (job["state"], STATE_STYLE.get(job["state"], ""))
    return Text.assemble((terminal.plain(job["name"]), "bold"), "  ", state, (f"  {job['id']}", "dim"))


def _facts(job: Json) -> Iterable[tuple[str, Any]]:
    yield "network", figures.chain(job["obs_dim"], job["hidden_dims"], "actions")
    yield "because", job["reasons"].get("hidden_dims")
    yield "tier", f"{job['tier']} — {job['reasons'].get('tier', '')}"
    if job.get("waiting"):
        yield "waits", terminal.plain(job["waiting"])
    if job.get("priority"):
        yield "priority", f"{job['priority']:+d}"
    if limit := (job.get("spec") or {}).get("max_hours"):
        yield (
            "time limit",
            f"{limit:g} h on a worker, {figures.duration(job['used_seconds'])} used by ended attempts",
        )
    yield "dataset", ", ".join(job.get("dataset_ids") or [job["dataset_id"]])
    yield "progress", _progress(job["progress"])
    yield "checkpoint", f"{job['predicted_bytes']:,} bytes, predicted"
    if job.get("estimate", {}).get("time"):
        yield "training", describe_speed(job["estimate"]["time"], (job["result"] or {}).get("speed") or {})
    yield "code", describe_code(job["attempts"])
    times = [
        f"{name} {figures.moment(job[f'{name}_at'])}"
        for name in ("created", "started", "ended")
        if job[f"{name}_at"]
    ]
    yield "times (UTC)", ", ".join(times)
    if job["error"]:
        yield "error", Text(terminal.plain(job["error"].get("detail", "")), style="bold red")
        yield "hint", job["error"].get("hint")


def _progress(progress: Json) -> str:
    if not progress:
        return "not begun"
    speed = f"{progress.get('steps_per_second') or 0:,.0f}"
    return f"{progress['global_step']:,} of {progress['total_timesteps']:,} steps, {speed} steps/s"


def _attempts(attempts: Iterable[Json]) -> Table:
    table = terminal.grid("attempt", "worker", "started", "ended", "outcome", "reason")
    for row in attempts:
        times = figures.moment(row["started_at"]), figures.moment(row["ended_at"])
        cells = terminal.cell(row["outcome"]), terminal.cell(row["reason"])
        table.add_row(str(row["number"]), terminal.cell(row["worker"]), *times, *cells)
    return table


def _performance(span: str, name: str, row: Json) -> tuple[RenderableType, ...]:
    style = "bold" if name == "policy" else ""
    values = (
        figures.signed_percent(row["total_return"]),
        figures.number(row["sharpe"]),
        figures.percent(row["max_drawdown"]),
        f"{row['trades']:,}",
    )
    return tuple(Text(text, style=style) for text in (span, name, *values))


def _share(progress: Json) -> str:
    total = progress.get("total_timesteps")
    return f"{min(1.0, progress.get('global_step', 0) / total):.0%}" if total else figures.NOTHING
