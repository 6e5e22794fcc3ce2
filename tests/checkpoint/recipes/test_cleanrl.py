"""CleanRL's agents, written as its scripts write them (ppo.py, ppo_continuous_action.py, ppo_atari.py, ppo_atari_lstm.py).

CleanRL is scripts, no library: `torch.save(agent.state_dict(), "runs/…/….cleanrl_model")` of such a class is the real file.
"""

import pytest
from torch import nn

from tests.checkpoint.reading import dimensions, facts, inspect
from tests.checkpoint.real_files import agent, saved


class AtariAgent(nn.Module):
    """The Agent of ppo_atari.py, with the LSTM of ppo_atari_lstm.py where asked for."""

    def __init__(self, *, lstm: bool = False) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(1 if lstm else 4, 32, 8, stride=4), nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2), nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(64 * 7 * 7, 512), nn.ReLU(),
        )  # fmt: skip
        if lstm:
            self.lstm = nn.LSTM(512, 128)
        self.actor = nn.Linear(128 if lstm else 512, 6)
        self.critic = nn.Linear(128 if lstm else 512, 1)


@pytest.mark.parametrize("gaussian", [False, True])
def test_ppo_discrete_and_continuous(gaussian: bool) -> None:
    report = inspect(saved(agent(gaussian).state_dict()))
    assert (report.producer, report.findings) == ("cleanrl", ())
    assert dimensions(report) == (4, (64, 64), 2, "gaussian" if gaussian else "discrete")
    assert facts(report)["shared_trunk"] is False
    assert facts(report)["critic_hidden_dims"] == (64, 64)


def test_atari_says_that_an_images_size_cannot_be_told() -> None:
    report = inspect(saved(AtariAgent().state_dict()))
    assert report.producer == "cleanrl"
    assert dimensions(report) == (None, (512,), None, None)
    assert report.architecture.action_dim.note.startswith("6 outputs: one discrete action, or")
    assert facts(report)["actor_head"] == (6,)
    assert report.architecture.obs_dim.note.startswith("the sizes of an image's sides")
    assert (facts(report)["convolutional"], facts(report)["shared_trunk"]) == (True, True)


def test_atari_with_an_lstm_between() -> None:
    report = inspect(saved(AtariAgent(lstm=True).state_dict()))
    found = facts(report)
    assert dimensions(report)[1:] == ((512,), None, None)
    assert (found["recurrent_kind"], found["recurrent_dim"]) == ("lstm", 128)


def test_a_whole_pickled_agent_shows_its_activation() -> None:
    report = inspect(saved(AtariAgent()))
    assert report.producer == "torch-module"
    assert dimensions(report)[1:] == ((512,), None, None)
    assert (facts(report)["activation"], report.architecture.activation.basis) == ("relu", "graph")
