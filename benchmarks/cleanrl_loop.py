"""PPO in the manner of CleanRL's ppo.py, written for the benchmarks from the published algorithm.

One loop over whole observations in a buffer [T, N, D]: no bootstrapping of truncated episodes, advantages in
numpy-free plain torch, a host-side shuffle, `.item()` of the clip fraction in every minibatch, Adam as torch
gives it. `lean=True` takes out what LeanRL took out: no value is read back, the shuffle happens on the device,
Adam is fused, distributions do not check their arguments (LeanRL's torch.compile and CUDA graphs are left out).

Layers, initialisation, losses and hyperparameters are those of our trainer (vf_coef with the factor 1/2).
"""

from contextlib import AbstractContextManager
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from app.network.config import PPOConfig
from benchmarks.worlds import TensorEnvs

HEAD = 64


class Agent(nn.Module):
    """Actor and critic on one trunk, or on one each; tanh, heads one layer of 64 wide, as ours."""

    def __init__(self, obs_dim: int, action_dim: int, config: PPOConfig) -> None:
        super().__init__()
        widths = (obs_dim, *config.hidden_dims)
        self.trunk = _trunk(widths)
        self.critic_trunk = self.trunk if config.shared_trunk else _trunk(widths)
        self.actor = _head(widths[-1], action_dim, 0.01)
        self.critic = _head(widths[-1], 1, 1.0)
        self._shared = config.shared_trunk

    def get_value(self, obs: Tensor) -> Tensor:
        """Values [B, 1]."""
        return self.critic(self.critic_trunk(obs))

    def get_action_and_value(
        self, obs: Tensor, action: Tensor | None = None, *, validate: bool = True
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Actions (drawn where none are given), their log probabilities, entropies, values [B, 1]."""
        latent = self.trunk(obs)
        probs = Categorical(logits=self.actor(latent).float(), validate_args=validate)
        action = probs.sample() if action is None else action
        value = self.critic(latent) if self._shared else self.get_value(obs)
        return action, probs.log_prob(action), probs.entropy(), value.float()


class CleanRLLoop:
    """One training run; each `update()` collects a rollout and learns from it."""

    def __init__(
        self, envs: TensorEnvs, config: PPOConfig, device: str = "cpu", *, lean: bool = False
    ) -> None:
        self.envs, self.config, self.device, self.lean = envs, config, torch.device(device), lean
        torch.manual_seed(config.seed)
        self._shuffle = np.random.default_rng(config.seed)
        self.agent = Agent(envs.obs_dim, envs.action_dim, config).to(self.device)
        self.optimizer = torch.optim.Adam(
            self.agent.parameters(), lr=config.learning_rate, eps=1e-5, fused=True if lean else None
        )
        size = (config.num_steps, config.num_envs)
        self.obs = torch.zeros((*size, envs.obs_dim), device=self.device)
        self.actions = torch.zeros(size, dtype=torch.int64, device=self.device)
        self.logprobs, self.rewards, self.dones, self.values = torch.zeros((4, *size), device=self.device)
        self.next_obs = envs.reset(config.seed).to(self.device)
        self.next_done = torch.zeros(config.num_envs, device=self.device)
        self.updates = 0

    def update(self, epochs: int | None = None) -> None:
        """Collect num_steps of all environments, then learn for update_epochs, or as many as given."""
        if self.config.anneal_lr:
            remaining = 1.0 - self.updates / self.config.num_updates
            self.optimizer.param_groups[0]["lr"] = remaining * self.config.learning_rate
        self._collect()
        advantages, returns = self._estimate()
        self._learn(advantages, returns, epochs or self.config.update_epochs)
        self.updates += 1

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

    def _collect(self) -> None:
        for step in range(self.config.num_steps):
            self.obs[step] = self.next_obs
            self.dones[step] = self.next_done
            with torch.no_grad(), self._autocast():
                action, logprob, _, value = self.agent.get_action_and_value(
                    self.next_obs, validate=not self.lean
                )
                self.values[step] = value.flatten()
            self.actions[step] = action
            self.logprobs[step] = logprob
            next_obs, reward, done = self.envs.step(action)
            self.rewards[step] = reward.to(self.device).view(-1)
            self.next_obs, self.next_done = next_obs.to(self.device), done.to(self.device).float()

    @torch.no_grad()
    def _estimate(self) -> tuple[Tensor, Tensor]:
        with self._autocast():
            next_value = self.agent.get_value(self.next_obs).float().reshape(1, -1)
        advantages = torch.zeros_like(self.rewards)
        lastgaelam = torch.zeros_like(self.next_done)
        for t in reversed(range(self.config.num_steps)):
            last = t == self.config.num_steps - 1
            nextnonterminal = 1.0 - (self.next_done if last else self.dones[t + 1])
            nextvalues = next_value if last else self.values[t + 1]
            delta = self.rewards[t] + self.config.gamma * nextvalues * nextnonterminal - self.values[t]
            lastgaelam = delta + self.config.gamma * self.config.gae_lambda * nextnonterminal * lastgaelam
            advantages[t] = lastgaelam
        return advantages, advantages + self.values

    def _learn(self, advantages: Tensor, returns: Tensor, epochs: int) -> None:
        b_obs = self.obs.reshape(-1, self.envs.obs_dim)
        batch = (self.actions, self.logprobs, advantages, returns, self.values)
        b_batch = [values.reshape(-1) for values in batch]
        clipfracs = []
        for _ in range(epochs):
            for mb_inds in self._indices():
                loss, clipfrac = self._loss(b_obs[mb_inds], *(values[mb_inds] for values in b_batch))
                clipfracs += [clipfrac if self.lean else clipfrac.item()]
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.agent.parameters(), self.config.max_grad_norm)
                self.optimizer.step()

    def _indices(self) -> tuple[Tensor, ...]:
        size = self.config.batch_size
        if self.lean:
            order = torch.randperm(size, device=self.device)
        else:
            order = torch.from_numpy(self._shuffle.permutation(size)).to(self.device)
        return torch.split(order, self.config.minibatch_size)

    def _loss(
        self,
        obs: Tensor,
        actions: Tensor,
        logprobs: Tensor,
        advantages: Tensor,
        returns: Tensor,
        values: Tensor,
    ) -> tuple[Tensor, Tensor]:
        config = self.config
        with self._autocast():
            _, newlogprob, entropy, newvalue = self.agent.get_action_and_value(
                obs, actions, validate=not self.lean
            )
        logratio = newlogprob - logprobs
        ratio = logratio.exp()
        with torch.no_grad():
            clipfrac = ((ratio - 1.0).abs() > config.clip_coef).float().mean()
        if config.norm_adv:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        clipped = torch.clamp(ratio, 1 - config.clip_coef, 1 + config.clip_coef)
        pg_loss = torch.max(-advantages * ratio, -advantages * clipped).mean()
        newvalue = newvalue.view(-1)
        v_loss = (newvalue - returns) ** 2
        if config.clip_vloss:
            v_clipped = values + torch.clamp(newvalue - values, -config.clip_coef, config.clip_coef)
            v_loss = torch.max(v_loss, (v_clipped - returns) ** 2)
        loss = pg_loss - config.ent_coef * entropy.mean() + config.vf_coef * 0.5 * v_loss.mean()
        return loss, clipfrac


def _trunk(widths: tuple[int, ...]) -> nn.Sequential:
    layers = [(_layer_init(nn.Linear(*pair)), nn.Tanh()) for pair in pairwise(widths)]
    return nn.Sequential(*(module for pair in layers for module in pair))


def _head(width: int, out: int, gain: float) -> nn.Sequential:
    return nn.Sequential(
        _layer_init(nn.Linear(width, HEAD)), nn.Tanh(), _layer_init(nn.Linear(HEAD, out), gain)
    )


def _layer_init(layer: nn.Linear, gain: float = np.sqrt(2)) -> nn.Linear:
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.constant_(layer.bias, 0.0)
    return layer
