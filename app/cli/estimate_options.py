"""The options of `caliper estimate`."""

from pathlib import Path
from typing import Annotated

import typer

ObsDim = Annotated[int, typer.Option(help="Length of an observation: features times lookback.")]
Compare = Annotated[
    str | None, typer.Option(help="Widths of a second network, shown beside the first.", show_default=False)
]
Gpu = Annotated[
    str | None, typer.Option(help="A card, such as t4, a100-80 or 'NVIDIA L40S'.", show_default=False)
]
MemoryBytes = Annotated[
    int | None, typer.Option(help="The device's memory, where no card's name fits.", show_default=False)
]
Cpu = Annotated[bool, typer.Option("--cpu", help="Memory for training on the CPU instead of a GPU.")]
ActionDim = Annotated[int, typer.Option(help="Number of actions, or of action components.")]
Gaussian = Annotated[bool, typer.Option("--gaussian", help="Continuous actions.")]
SeparateTrunks = Annotated[bool, typer.Option("--separate-trunks", help="A trunk each for actor and critic.")]
LayerNorm = Annotated[bool, typer.Option("--layer-norm", help="LayerNorm after each trunk layer.")]
NormObs = Annotated[bool, typer.Option("--norm-obs", help="Normalise observations.")]
NormReward = Annotated[bool, typer.Option("--norm-reward", help="Scale rewards.")]
NormAdv = Annotated[
    bool, typer.Option("--norm-adv/--no-norm-adv", help="Normalise advantages in each minibatch, or not.")
]
ClipVloss = Annotated[bool, typer.Option("--clip-vloss/--no-clip-vloss", help="Clip the value loss, or not.")]
OomRetry = Annotated[
    bool, typer.Option("--oom-retry", help="Repeat an update with smaller minibatches where memory runs out.")
]
FirstLayer = Annotated[str, typer.Option(help="auto, direct, table or convolution.")]
Activation = Annotated[str, typer.Option(help="tanh, relu, elu or silu.")]
Timesteps = Annotated[int, typer.Option(help="Environment steps of the whole run.")]
NumEnvs = Annotated[int, typer.Option(help="Environments stepped at once.")]
NumSteps = Annotated[int, typer.Option(help="Steps of each between two updates.")]
NumMinibatches = Annotated[int, typer.Option(help="Minibatches an epoch is cut into.")]
UpdateEpochs = Annotated[int, typer.Option(help="Passes over the batch per update.")]
Precision = Annotated[str, typer.Option(help="fp32, tf32, bf16 or auto.")]
Adam = Annotated[str, typer.Option(help="fused, foreach or for-loop.")]
WorldSize = Annotated[int, typer.Option(help="Processes that train together, a card each.")]
Lookback = Annotated[
    int | None, typer.Option(help="Rows of a window, where observations are windows.", show_default=False)
]
Features = Annotated[
    int | None, typer.Option(help="Columns of the series that windows show.", show_default=False)
]
Rows = Annotated[int | None, typer.Option(help="Rows of that series.", show_default=False)]
EpisodeLength = Annotated[
    int | None, typer.Option(help="Steps after which an episode ends, for windows.", show_default=False)
]
DatasetBytes = Annotated[int, typer.Option(help="Bars and features kept on the device.")]
CalibrationFile = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        help="A file of `caliper calibrate --output`: time is then that device's.",
        show_default=False,
    ),
]
Mode = Annotated[str, typer.Option(help="Schedule of the tiers' choices: standard, quick, extended.")]
Everything = Annotated[bool, typer.Option("--all", help="Every card, part, instant, reason and constant.")]
