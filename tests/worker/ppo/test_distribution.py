import math

import torch
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Independent, Normal

from worker.ppo.distribution import Categorical, DiagonalGaussian


def test_categorical_matches_torch() -> None:
    logits = torch.randn(50, 4, dtype=torch.float64) * 3
    actions = torch.randint(4, (50,))
    ours, reference = Categorical(logits), TorchCategorical(logits=logits)
    assert torch.allclose(ours.log_prob(actions), reference.log_prob(actions))
    assert torch.allclose(ours.entropy(), reference.entropy())


def test_categorical_by_hand() -> None:
    two = Categorical(torch.tensor([[math.log(3.0), 0.0]]))  # probabilities 3/4 and 1/4
    assert math.isclose(two.log_prob(torch.tensor([1])).item(), math.log(0.25), rel_tol=1e-6)
    assert math.isclose(two.entropy().item(), -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)), rel_tol=1e-6)
    assert two.mode().tolist() == [0]


def test_categorical_samples_follow_the_probabilities() -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    logits = probabilities.log().expand(40_000, 4)
    actions = Categorical(logits).sample(torch.Generator().manual_seed(0))
    shares = torch.bincount(actions, minlength=4) / 40_000
    # Five standard errors of a share near one half.
    assert torch.allclose(shares, probabilities, atol=5 * 0.5 / 200)


def test_an_action_of_probability_zero_is_never_drawn_and_adds_no_entropy() -> None:
    masked = Categorical(torch.tensor([[0.0, -math.inf, 0.0]]).expand(1000, 3))
    assert 1 not in masked.sample(torch.Generator().manual_seed(0)).tolist()
    assert torch.allclose(masked.entropy(), torch.full((1000,), math.log(2)))


def test_gaussian_matches_torch() -> None:
    mean, log_std = torch.randn(20, 3, dtype=torch.float64), torch.tensor([-1.0, 0.0, 0.7]).double()
    actions = torch.randn(20, 3, dtype=torch.float64)
    ours, reference = DiagonalGaussian(mean, log_std), Independent(Normal(mean, log_std.exp()), 1)
    assert torch.allclose(ours.log_prob(actions), reference.log_prob(actions))
    assert torch.allclose(ours.entropy(), reference.entropy())
    assert torch.equal(ours.mode(), mean)


def test_gaussian_samples_have_the_mean_and_deviation() -> None:
    mean = torch.tensor([[1.0, -2.0]]).expand(40_000, 2)
    log_std = torch.tensor([math.log(0.5), math.log(2.0)])
    actions = DiagonalGaussian(mean, log_std).sample(torch.Generator().manual_seed(0))
    assert torch.allclose(actions.mean(0), mean[0], atol=5 * 2 / 200)
    assert torch.allclose(actions.std(0), log_std.exp(), rtol=0.03)


def test_samples_repeat_with_the_generator_and_ignore_the_global_one() -> None:
    logits = torch.randn(100, 4)
    torch.manual_seed(1)
    first = Categorical(logits).sample(torch.Generator().manual_seed(5))
    torch.manual_seed(2)
    second = Categorical(logits).sample(torch.Generator().manual_seed(5))
    assert torch.equal(first, second)
