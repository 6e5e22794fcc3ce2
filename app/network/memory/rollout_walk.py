"""A rollout on a tape: the policy acts for all environments at once, they step, advantages are computed.

The order is that of `worker.ppo.collect.Collector`. Nothing is saved for a backward pass; the last step's gradients are
still there. Sizes are those of one environment, or of one truncated sample.

Notation: A action_dim, D obs_dim.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.network.memory.forward_walk import INDEX, ForwardWalk, Observed
from app.network.memory.tape import (
    ACTIONS,
    ACTIVATIONS,
    ADVANTAGES,
    ENVIRONMENT,
    FIRST_LAYER,
    OBSERVATIONS,
    WEIGHT_GRADIENTS,
    Amount,
    Mark,
    each,
    fixed,
    named,
)
from app.network.memory.update_plan import FLOAT, UpdatePlan
from app.network.shape import NetworkShape

VALUE = 8
"""Bytes of one value of an account, float64 or int64."""

ACCOUNT_FEATURES = 5
"""Account features in float64, whether or not observations hold all of them."""

MARKED_VALUES, MARKED_FLAGS = 19, 2
"""Values and booleans of an account in work when its features are put together (worker/trading/account.py)."""

RENEWED_VALUES, RENEWED_FLAGS, RENEWED_WINDOWS = 13, 3, 2
"""The same, and account windows beside the one before, when ended episodes begin anew (worker/trading/env.py)."""

MERGED_MOMENTS, MERGED_COUNTS = 6, 4
"""Values of 8 bytes per column, and single ones, while a step's mean and variance are merged into those of before."""

ADVANTAGE_BYTES = 18
"""Bytes per step of the rollout while returns of episodes, scaled rewards and advantages are computed, one after the other. Processes that
train together tell each other a few kilobytes of these, no more."""


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """What a rollout's memory depends on beside the network and how it is run."""

    num_steps: int
    row: int = 0
    """Bytes that each step adds to an account's window; 0 where the environment has none."""
    account: int = 0
    """Bytes of an account's window."""


class RolloutWalk(ForwardWalk):
    """All steps of a rollout, of which one is as large as the next."""

    learns, phase = False, "rollout"

    def __init__(self, shape: NetworkShape, plan: UpdatePlan, rollout: RolloutPlan) -> None:
        super().__init__(shape, plan)
        self.rollout = rollout
        self.tape.make(WEIGHT_GRADIENTS, *(fixed(FLOAT * count) for count in self.counts.values()))

    def run(self) -> tuple[Mark, ...]:
        """All moments from the products of windows to the advantages."""
        if self.plan.windowed:
            self.tape.pass_by("series transformed", FIRST_LAYER, named("preparing"))
            self.tape.make(FIRST_LAYER, named("table"))
            self.tape.pass_by("products by row", FIRST_LAYER, named("making"))
        if self.rollout.num_steps > 1:
            # Until the policy has acted again, what it did last is still referred to.
            before = self.tape.make(ACTIONS, *self._sampled())
            self._act()
            self.tape.drop(before)
        else:
            self._act()
        self.tape.make(ACTIONS, *self._sampled())
        if self.rollout.account:
            self._step_accounts()
        self.tape.pass_by("advantages", ADVANTAGES, each(ADVANTAGE_BYTES * self.rollout.num_steps))
        return self.tape.marks

    def _act(self) -> None:
        """Run the network and draw actions."""
        observed = self._look_up() if self.plan.windowed else self._count_and_materialise()
        self._run_network(observed)
        of_actions = FLOAT * self.shape.action_dim
        if self.shape.action_kind == "discrete":
            # Log probabilities and the action drawn, then probabilities, held to finite ones, and their products.
            drawn = each(INDEX), each(FLOAT), each(of_actions)
            self.tape.pass_by("entropy", ACTIONS, *drawn, each(of_actions, 3))
        else:
            # The actions, their scaled distance from the means, and its square in two steps.
            self.tape.pass_by("log probabilities", ACTIONS, each(of_actions, 4))
        self.tape.drop(*observed, *self.outputs, *self.copies)

    def _sampled(self) -> Iterator[Amount]:
        """Actions, log probability, entropy and value."""
        discrete = self.shape.action_kind == "discrete"
        yield each(INDEX if discrete else FLOAT * self.shape.action_dim)
        # Of a Gaussian all have one entropy.
        yield each(FLOAT, 3 if discrete else 2)

    def _look_up(self) -> Observed:
        """The first layer's outputs."""
        out = self.tape.make(ACTIVATIONS, each(FLOAT * self._first_outputs))
        self.tape.pass_by("first layer looked up", FIRST_LAYER, named("looking"))
        return (out,)

    def _count_and_materialise(self) -> Observed:
        """Observations, of which the statistics take note: measured in float64, then merged into what is known of those before."""
        if self.plan.norm_obs:
            raw = each(FLOAT * self.shape.obs_dim) if self.plan.parts else fixed()
            # Variance and mean, the count, and the number that it is filled with.
            measured = fixed(*[VALUE * self.shape.obs_dim] * 2, VALUE, VALUE)
            wide = each(VALUE * self.shape.obs_dim)
            self.tape.pass_by("observations counted", OBSERVATIONS, raw, wide, measured)
            merged = fixed(*[VALUE * self.shape.obs_dim] * MERGED_MOMENTS, *[VALUE] * MERGED_COUNTS)
            self.tape.pass_by("statistics merged", OBSERVATIONS, raw, merged)
        return self._materialise()

    def _step_accounts(self) -> None:
        """What they do is marked to prices and seen; then ended episodes begin anew."""
        features = each(VALUE * ACCOUNT_FEATURES)
        self.tape.pass_by(
            "accounts marked", ENVIRONMENT, each(VALUE, MARKED_VALUES), each(1, MARKED_FLAGS), features
        )
        windows = each(self.rollout.account, RENEWED_WINDOWS)
        renewed = each(VALUE, RENEWED_VALUES), each(1, RENEWED_FLAGS), each(self.rollout.row)
        self.tape.pass_by("episodes begun anew", ENVIRONMENT, *renewed, windows)
