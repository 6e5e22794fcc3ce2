"""`caliper estimate`: what a network is and needs, and where it fits; computed here without any service."""

from dataclasses import asdict, replace
from typing import Any

from app.cli import estimate_options as option
from app.cli import terminal
from app.cli.calibration_file import read_calibration_file
from app.cli.options import AsJson, Hidden, parse_dims
from app.cli.sizing_compare import draw_comparison
from app.cli.sizing_report import draw_sizing
from app.network.question import Question
from app.network.sizing import size_network


def estimate_command(  # noqa: PLR0913 - the options of a command
    *,
    obs_dim: option.ObsDim = 5300,
    hidden: Hidden = "512,256,128",
    compare: option.Compare = None,
    gpu: option.Gpu = None,
    memory_bytes: option.MemoryBytes = None,
    cpu: option.Cpu = False,
    action_dim: option.ActionDim = 3,
    gaussian: option.Gaussian = False,
    separate_trunks: option.SeparateTrunks = False,
    layer_norm: option.LayerNorm = False,
    norm_obs: option.NormObs = False,
    norm_reward: option.NormReward = False,
    norm_adv: option.NormAdv = True,
    clip_vloss: option.ClipVloss = True,
    oom_retry: option.OomRetry = False,
    activation: option.Activation = "tanh",
    timesteps: option.Timesteps = 1_000_000,
    num_envs: option.NumEnvs = 16,
    num_steps: option.NumSteps = 128,
    num_minibatches: option.NumMinibatches = 4,
    update_epochs: option.UpdateEpochs = 4,
    precision: option.Precision = "fp32",
    first_layer: option.FirstLayer = "auto",
    adam: option.Adam = "fused",
    world_size: option.WorldSize = 1,
    lookback: option.Lookback = None,
    features: option.Features = None,
    rows: option.Rows = None,
    episode_length: option.EpisodeLength = None,
    dataset_bytes: option.DatasetBytes = 0,
    calibration: option.CalibrationFile = None,
    mode: option.Mode = "standard",
    show_all: option.Everything = False,
    as_json: AsJson = False,
) -> None:
    """Size a network: parameters, bytes on disk, memory to train, the cards it fits, what each tier would choose.

    Works offline. Sizes on disk are exact to the byte for torch 2.13; time is a range from data sheets unless
    --calibration names a measured device. --json: the answer of GET /estimate; with --compare a list of both.

    Example: caliper estimate --obs-dim 5300 --hidden 2048,1024,512,256 --gpu t4 --compare 1024,512,256
    """
    batch = {"num_envs": num_envs, "num_steps": num_steps, "num_minibatches": num_minibatches}
    run = {"total_timesteps": timesteps, "update_epochs": update_epochs, "precision": precision}
    norms = {"norm_obs": norm_obs, "norm_reward": norm_reward, "norm_adv": norm_adv}
    learning = {"clip_vloss": clip_vloss, "oom_retry": oom_retry, "first_layer": first_layer}
    network = {"activation": activation, "layer_norm": layer_norm, "shared_trunk": not separate_trunks}
    shape: dict[str, Any] = {"obs_dim": obs_dim, "hidden_dims": parse_dims(hidden), "action_dim": action_dim}
    kinds: dict[str, Any] = {"action_kind": "gaussian" if gaussian else "discrete", "adam": adam}
    device: dict[str, Any] = {"device": "cpu" if cpu else None, "gpu": gpu, "memory_bytes": memory_bytes}
    windows = {"lookback": lookback, "features": features, "rows": rows, "episode_length": episode_length}
    measured = read_calibration_file(calibration) if calibration else None
    work: dict[str, Any] = {"dataset_bytes": dataset_bytes, "training_mode": mode, "calibration": measured}
    settings = {**batch, **run, **network, **norms, **learning}
    asked = {**shape, **kinds, **device, **windows, **work, "world_size": world_size}
    question = Question(**asked, settings=settings)
    show_sizing(question, parse_dims(compare) if compare else None, everything=show_all, as_json=as_json)


def show_sizing(
    question: Question, second: tuple[int, ...] | None, *, everything: bool, as_json: bool
) -> None:
    """Print the answer, or both beside each other where there is a second network."""
    questions = [question, *([replace(question, hidden_dims=second)] if second else [])]
    answers: list[dict[str, Any]] = [asdict(size_network(each)) for each in questions]
    if as_json:
        terminal.print_json(answers if second else answers[0])
    elif second:
        terminal.show(draw_comparison(*answers))
    else:
        terminal.show(draw_sizing(answers[0], everything=everything))
