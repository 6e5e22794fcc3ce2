"""Networks of many forms with what is true of them, named by their authors as authors do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Tensor = torch.Tensor


@dataclass(frozen=True)
class Truth:
    """A module, an example observation, and what is true of the network."""

    module: nn.Module
    example: Tensor
    obs_dim: int
    policy: tuple[int, ...]
    """Widths of all linear layers on the way to the action but the last."""
    action_dim: int
    first_takes: int | None = None
    """What the first layer takes where that is not the observation, which only a graph shows."""


NETWORKS: dict[str, Callable[[], Truth]] = {}


def network(build: Callable[[], Truth]) -> Callable[[], Truth]:
    NETWORKS[build.__name__] = build
    return build


class Net(nn.Module):
    """Modules by name, and a function of them and the observation."""

    def __init__(self, run: Callable[[Any, Tensor], Any], /, **parts: Any) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def __reduce__(self) -> Any:
        raise TypeError("pickled modules have their own tests")

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


def mlp(*widths: int, norm: bool = False, bias: bool = True, end: bool = False) -> nn.Sequential:
    """Linear layers with activations between them, and at the end where asked for."""
    layers: list[nn.Module] = []
    for at in range(len(widths) - 1):
        layers.append(nn.Linear(widths[at], widths[at + 1], bias=bias))
        if at < len(widths) - 2 or end:
            layers += [*([nn.LayerNorm(widths[at + 1])] if norm else []), nn.Tanh()]
    return nn.Sequential(*layers)


def lin(inputs: int, out: int) -> nn.Linear:
    return nn.Linear(inputs, out)


def of(
    obs: int, hidden: tuple[int, ...], actions: int, forward: Callable[[Any, Tensor], Any], /, **parts: Any
) -> Truth:
    return Truth(Net(forward, **parts), torch.zeros(2, obs), obs, hidden, actions)


@network
def shared_trunk() -> Truth:
    run = lambda m, x: (m.pi(m.trunk(x)), m.vf(m.trunk(x)))
    return of(7, (32, 16), 3, run, trunk=mlp(7, 32, 16, end=True), pi=lin(16, 3), vf=lin(16, 1))


@network
def separate_networks() -> Truth:
    run = lambda m, x: (m.actor(x), m.critic(x))
    return of(7, (32, 16), 3, run, actor=mlp(7, 32, 16, 3), critic=mlp(7, 24, 1))


@network
def value_head_first() -> Truth:
    run = lambda m, x: (m.value_head(m.body(x)), m.policy_head(m.body(x)))
    return of(7, (32,), 4, run, value_head=lin(32, 1), policy_head=lin(32, 4), body=mlp(7, 32, end=True))


@network
def one_action_value_first() -> Truth:
    run = lambda m, x: (m.v(m.fc2(m.fc1(x).tanh()).tanh()), m.pi(m.fc2(m.fc1(x).tanh()).tanh()))
    return of(6, (16, 8), 1, run, v=lin(8, 1), pi=lin(8, 1), fc1=lin(6, 16), fc2=lin(16, 8))


@network
def separate_one_action_unnamed() -> Truth:
    run = lambda m, x: (m.b(x), m.a(x))
    return of(6, (16,), 1, run, a=mlp(6, 16, 1), b=mlp(6, 24, 8, 1))


@network
def gaussian_parameter() -> Truth:
    run = lambda m, x: (m.actor(x), m.log_std.exp().expand(2, 3), m.critic(x))
    log_std = nn.Parameter(torch.zeros(3))
    return of(9, (16, 16), 3, run, actor=mlp(9, 16, 16, 3), log_std=log_std, critic=mlp(9, 16, 1))


@network
def gaussian_row() -> Truth:
    run = lambda m, x: (m.actor_mean(x) * 1, m.actor_logstd.exp())
    return of(9, (16,), 3, run, actor_mean=mlp(9, 16, 3), actor_logstd=nn.Parameter(torch.zeros(1, 3)))


def _split(m: Any, x: Tensor) -> Any:
    mean, deviation = m.policy(x).chunk(2, -1)
    return mean, deviation.clamp(-5, 2).exp()


@network
def gaussian_wide_head() -> Truth:
    return of(9, (16,), 3, _split, policy=mlp(9, 16, 6))


@network
def gaussian_wide_head_joined() -> Truth:
    return of(9, (16,), 3, lambda m, x: m.actor(x), actor=mlp(9, 16, 6))


@network
def gaussian_two_heads() -> Truth:
    run = lambda m, x: (m.mean(m.net(x)), m.log_std(m.net(x)).clamp(-5, 2))
    return of(9, (16, 8), 3, run, net=mlp(9, 16, 8, end=True), mean=lin(8, 3), log_std=lin(8, 3))


@network
def squashed_of_square_layers() -> Truth:
    run = lambda m, x: (m.mu(m.latent_pi(x)).tanh(), m.log_std(m.latent_pi(x)))
    return of(8, (8, 8), 8, run, latent_pi=mlp(8, 8, 8, end=True), mu=lin(8, 8), log_std=lin(8, 8))


@network
def observations_of_the_hidden_width() -> Truth:
    run = lambda m, x: (m.pi(m.shared(x)), m.v(m.shared(x)))
    return of(16, (16, 16), 5, run, shared=mlp(16, 16, 16, end=True), pi=lin(16, 5), v=lin(16, 1))


@network
def head_of_the_trunks_width() -> Truth:
    run = lambda m, x: (m.actor_head(m.trunk(x)), m.value_head(m.trunk(x)))
    return of(
        5, (16, 16), 16, run, trunk=mlp(5, 16, 16, end=True), actor_head=lin(16, 16), value_head=lin(16, 1)
    )


@network
def unnamed_heads_of_the_trunks_width() -> Truth:
    run = lambda m, x: (m.head_a(m.trunk(x)), m.head_b(m.trunk(x)))
    return of(5, (16, 16), 16, run, trunk=mlp(5, 16, 16, end=True), head_a=lin(16, 16), head_b=lin(16, 1))


@network
def multi_discrete_wide() -> Truth:
    run = lambda m, x: (m.actor(m.trunk(x)), m.critic(m.trunk(x)))
    return of(7, (32,), 3, run, trunk=mlp(7, 32, end=True), actor=lin(32, 9), critic=lin(32, 1))


@network
def multi_discrete_wide_separate() -> Truth:
    return of(7, (32,), 3, lambda m, x: (m.actor(x), m.critic(x)), actor=mlp(7, 32, 9), critic=mlp(7, 32, 1))


def _heads(m: Any, x: Tensor) -> Any:
    return tuple(head(m.body(x)) for head in m.policy_heads)


@network
def multi_discrete_heads() -> Truth:
    heads = nn.ModuleList([lin(16, 2), lin(16, 5), lin(16, 3)])
    return of(7, (16,), 3, _heads, body=mlp(7, 16, end=True), policy_heads=heads)


@network
def two_heads_of_one_width() -> Truth:
    return of(
        7, (16,), 2, _heads, body=mlp(7, 16, end=True), policy_heads=nn.ModuleList([lin(16, 3), lin(16, 3)])
    )


@network
def square_heads_side_by_side() -> Truth:
    heads = nn.ModuleList([lin(16, 16), lin(16, 16), lin(16, 3)])
    return of(7, (16,), 3, _heads, body=mlp(7, 16, end=True), policy_heads=heads)


@network
def softmax_policy() -> Truth:
    run = lambda m, x: (m.policy(m.base(x)).softmax(-1), m.value(m.base(x)))
    return of(7, (16,), 4, run, base=mlp(7, 16, end=True), policy=lin(16, 4), value=lin(16, 1))


def _recurrent(m: Any, x: Tensor) -> Any:
    hidden = m.rnn(m.encoder(x))[0][:, -1]
    return m.actor(hidden), m.critic(hidden)


@network
def lstm_after_an_encoder() -> Truth:
    parts = {"encoder": mlp(7, 16, end=True), "rnn": nn.LSTM(16, 12, batch_first=True)}
    module = Net(_recurrent, **parts, actor=mlp(12, 8, 3), critic=lin(12, 1))
    return Truth(module, torch.zeros(2, 1, 7), 7, (16, 8), 3)


@network
def square_gru() -> Truth:
    parts = {"encoder": mlp(8, 8, end=True), "rnn": nn.GRU(8, 8, batch_first=True)}
    return Truth(
        Net(_recurrent, **parts, actor=mlp(8, 8, 3), critic=lin(8, 1)), torch.zeros(2, 1, 8), 8, (8, 8), 3
    )


def _both_ways(m: Any, x: Tensor) -> Any:
    return m.actor(m.lstm(x)[0][:, -1])


@network
def lstm_of_both_directions() -> Truth:
    lstm = nn.LSTM(7, 8, batch_first=True, bidirectional=True)
    return Truth(Net(_both_ways, lstm=lstm, actor=mlp(16, 8, 3)), torch.zeros(2, 5, 7), 7, (8,), 3)


@network
def convolutions_first() -> Truth:
    cnn = nn.Sequential(nn.Conv2d(2, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 32), nn.ReLU())
    run = lambda m, x: (m.actor(m.network(x)), m.critic(m.network(x)))
    return Truth(
        Net(run, network=cnn, actor=lin(32, 6), critic=lin(32, 1)), torch.zeros(1, 2, 5, 5), 50, (32,), 6
    )


@network
def image_and_vector() -> Truth:
    cnn = nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(20, 8))
    run = lambda m, x: m.actor(torch.cat([m.cnn(x[:, None]), m.mlp(x)], -1))
    return of(7, (8, 8, 16), 3, run, cnn=cnn, mlp=mlp(7, 8, end=True), actor=mlp(16, 16, 3))


@network
def layer_norms() -> Truth:
    run = lambda m, x: (m.actor(x), m.critic(x))
    return of(7, (32, 16), 3, run, actor=mlp(7, 32, 16, 3, norm=True), critic=mlp(7, 32, 1, norm=True))


@network
def no_biases() -> Truth:
    run = lambda m, x: (m.policy(m.trunk(x)), m.value(m.trunk(x)))
    return of(
        7, (32, 16), 3, run, trunk=mlp(7, 32, 16, bias=False, end=True), policy=lin(16, 3), value=lin(16, 1)
    )


def _residual(m: Any, x: Tensor) -> Any:
    hidden = m.stem(x)
    for block in m.blocks:
        hidden = hidden + block(hidden)
    return m.policy(hidden), m.value(hidden)


@network
def residual_blocks() -> Truth:
    blocks = nn.ModuleList([mlp(16, 32, 16), mlp(16, 32, 16)])
    parts = {"stem": mlp(7, 16, end=True), "blocks": blocks}
    return of(7, (16, 32, 16, 32, 16), 3, _residual, **parts, policy=lin(16, 3), value=lin(16, 1))


@network
def residual_with_a_square_shortcut() -> Truth:
    run = lambda m, x: m.actor(m.fc2(m.fc1(x).relu()) + m.shortcut(x))
    return of(8, (8, 8), 3, run, fc1=lin(8, 8), fc2=lin(8, 8), shortcut=lin(8, 8), actor=lin(8, 3))


@network
def observation_joined_at_every_layer() -> Truth:
    run = lambda m, x: m.pi(torch.cat([m.fc1(x).relu(), x], -1))
    return of(7, (16,), 3, run, fc1=lin(7, 16), pi=lin(23, 3))


@network
def observation_in_two_parts() -> Truth:
    run = lambda m, x: m.actor(m.market(x[:, :5]).tanh() + m.account(x[:, 5:]).tanh())
    return of(8, (16,), 3, run, market=lin(5, 16), account=lin(3, 16), actor=lin(16, 3))


@network
def part_of_the_observation() -> Truth:
    module = Net(lambda m, x: m.actor(x[:, :5]), actor=mlp(5, 16, 3))
    return Truth(module, torch.zeros(2, 8), 8, (16,), 3, first_takes=5)


def _dueling(m: Any, x: Tensor) -> Any:
    hidden = m.features(x)
    advantage = m.advantage_stream(hidden)
    return m.value_stream(hidden) + advantage - advantage.mean(-1, keepdim=True)


@network
def dueling_dqn() -> Truth:
    streams = {"value_stream": mlp(16, 8, 1), "advantage_stream": mlp(16, 8, 4)}
    return of(7, (16, 8), 4, _dueling, features=mlp(7, 16, end=True), **streams)


@network
def distributional_dqn() -> Truth:
    return of(7, (16,), 4, lambda m, x: m.q_net(x).reshape(-1, 4, 51).softmax(-1), q_net=mlp(7, 16, 204))


@network
def plain_dqn() -> Truth:
    return of(7, (16, 12), 4, lambda m, x: m.network(x), network=mlp(7, 16, 12, 4))


@network
def bare_sequential() -> Truth:
    return Truth(mlp(7, 16, 12, 4), torch.zeros(2, 7), 7, (16, 12), 4)


@network
def stacked_frames() -> Truth:
    run = lambda m, x: (m.actor(m.trunk(x.flatten(1))), m.critic(m.trunk(x.flatten(1))))
    module = Net(run, trunk=mlp(28, 16, end=True), actor=lin(16, 3), critic=lin(16, 1))
    return Truth(module, torch.zeros(2, 4, 7), 28, (16,), 3)


@network
def rows_reduced_to_one() -> Truth:
    run = lambda m, x: m.actor(m.encoder(x).mean(1))
    module = Net(run, encoder=mlp(7, 16, end=True), actor=mlp(16, 16, 3))
    return Truth(module, torch.zeros(2, 4, 7), 28, (16, 16), 3, first_takes=7)


def _attention(m: Any, x: Tensor) -> Any:
    q, k, v = m.query(x), m.key(x), m.value(x)
    mixed = (q @ k.transpose(-1, -2)).softmax(-1) @ v
    return m.actor(mixed.mean(1))


@network
def attention() -> Truth:
    parts = {name: lin(7, 16) for name in ("query", "key", "value")}
    return Truth(Net(_attention, **parts, actor=mlp(16, 16, 3)), torch.zeros(2, 4, 7), 28, (16, 16), 3)


@network
def multihead_attention() -> Truth:
    run = lambda m, x: m.actor(m.attn(m.embed(x), m.embed(x), m.embed(x))[0][:, -1])
    attn = nn.MultiheadAttention(16, 2, batch_first=True)
    return Truth(
        Net(run, embed=lin(7, 16), attn=attn, actor=lin(16, 3)), torch.zeros(2, 4, 7), 28, (16, 16), 3
    )


@network
def gated_unit() -> Truth:
    run = lambda m, x: m.policy(nn.functional.glu(m.fc1(x)))
    return of(7, (32,), 3, run, fc1=lin(7, 32), policy=lin(16, 3))


@network
def mixed_by_a_gate() -> Truth:
    run = lambda m, x: m.actor(m.fc1(x) * m.gate(x).sigmoid())
    return of(8, (8,), 3, run, fc1=lin(8, 8), gate=lin(8, 8), actor=lin(8, 3))


@network
def tied_trunks() -> Truth:
    trunk = mlp(7, 16, end=True)
    run = lambda m, x: (m.pi(m.pi_net(x)), m.vf(m.vf_net(x)))
    return of(7, (16,), 3, run, pi_net=trunk, vf_net=trunk, pi=lin(16, 3), vf=lin(16, 1))


@network
def with_a_target_network() -> Truth:
    run = lambda m, x: m.actor(x)
    return of(
        7,
        (16,),
        3,
        run,
        actor=mlp(7, 16, 3),
        actor_target=mlp(7, 16, 3),
        qf1=mlp(10, 16, 1),
        qf2=mlp(10, 16, 1),
    )


@network
def observations_scaled_first() -> Truth:
    run = lambda m, x: m.actor((x - m.obs_mean) / (m.obs_std + 1e-8))
    statistics = {name: nn.Parameter(torch.ones(1, 7)) for name in ("obs_mean", "obs_std")}
    return of(7, (16,), 7, run, actor=mlp(7, 16, 14), **statistics)


@network
def layers_out_of_order() -> Truth:
    run = lambda m, x: m.actor(m.fc_in(x).tanh())
    return of(16, (16,), 16, run, actor=lin(16, 32), fc_in=lin(16, 16))


@network
def embedded_categories() -> Truth:
    run = lambda m, x: m.policy(m.embedding(x.long()[:, 0]))
    return of(1, (16,), 3, run, embedding=nn.Embedding(16, 16), policy=mlp(16, 16, 3))


@network
def embedded_in_a_sequential() -> Truth:
    run = lambda m, x: m.policy(x.long()[:, 0])
    layers = nn.Sequential(nn.Embedding(16, 16), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3))
    return of(1, (16,), 3, run, policy=layers)


@network
def normed_weights() -> Truth:
    run = lambda m, x: m.actor(m.trunk(x).tanh())
    return of(
        16,
        (16, 16),
        3,
        run,
        trunk=torch.nn.utils.parametrizations.weight_norm(lin(16, 16)),
        actor=mlp(16, 16, 3),
    )


@network
def beta_policy() -> Truth:
    run = lambda m, x: (m.alpha(m.net(x)).exp(), m.beta(m.net(x)).exp())
    return of(7, (16,), 3, run, net=mlp(7, 16, end=True), alpha=lin(16, 3), beta=lin(16, 3))


@network
def only_a_critic() -> Truth:
    return of(10, (), 3, lambda m, x: m.critic(x), critic=mlp(10, 16, 1))


@network
def only_an_unnamed_q_function() -> Truth:
    run = lambda m, x: m.fc3(m.fc2(m.fc1(x).relu()).relu())
    return of(10, (), 3, run, fc1=lin(10, 16), fc2=lin(16, 16), fc3=lin(16, 1))
