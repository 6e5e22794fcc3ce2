"""How far a run could grow on each card: the largest minibatch, and the most environments, that still fit.

Memory as a function of the batch is a sum and maximum of lines, up to the blocks that tensors are rounded to. Where
three points of it lie on one line, so does all between them; a few evaluations then answer for all cards.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from app.errors import InvalidConfig
from app.network.config import RANGES, PPOConfig
from app.network.memory.possible_runs import PossibleRuns
from app.network.memory.run_plan import RunPlan
from app.network.shape import NetworkShape

GRAIN = 128
"""Minibatches are searched in steps of so many samples: 128 fp32 values fill one of the allocator's 512 B blocks."""

FINE_BELOW = 16 * GRAIN
"""Below this the search goes on to the single sample."""

MOST_SAMPLES = 1 << 40
"""Where the search for a minibatch size ends."""

SLACK = 4 << 10
"""Bytes by which rounding may bend a line on the coarse grid, where nearly all tensors fill whole blocks."""

FINE_SLACK = 32 << 10
"""The same between the grid's points, where each tensor's last block is partly filled."""

WELL_BELOW, WELL_BEYOND = 4, 2
"""The stretch that is tried first goes from the smallest budget by the first to the largest times the second."""

NEVER = 1 << 60
"""What a run that cannot be is said to need: more bytes than any device has."""

MOST_STEPS = 80
"""Evaluations after which a search ends on the safe side; halving alone needs 40."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a run can grow within a number of bytes."""

    largest_minibatch: int
    """Most samples per optimizer step of one process beside this rollout; 0 where not even one fits."""
    fewest_minibatches: int | None
    """Smallest num_minibatches that divides the batch and fits; None where none does."""
    largest_num_envs: int
    """Most environments with these num_steps and num_minibatches; 0 where not even the fewest fit."""


def find_limits(
    shape: NetworkShape, config: PPOConfig, plan: RunPlan, budgets: Iterable[int]
) -> dict[int, Limits]:
    """The limits within each of these numbers of bytes; `config` must have been checked."""
    wanted = sorted(set(budgets))
    looked_at: list[int] = []
    minibatches = largest_minibatches(shape, config, plan, wanted, looked_at)
    environments = _most_envs(shape, config, plan, wanted, looked_at)
    return {
        budget: Limits(
            minibatches[budget], _fewest_minibatches(config, plan, minibatches[budget]), environments[budget]
        )
        for budget in wanted
    }


def largest_minibatches(
    shape: NetworkShape,
    config: PPOConfig,
    plan: RunPlan,
    budgets: list[int],
    looked_at: list[int] | None = None,
) -> dict[int, int]:
    """Most samples per optimizer step of one process within each budget, beside the rollout that `config` has.

    In steps of GRAIN from FINE_BELOW on. The answer need not divide the batch. The steps that were evaluated
    are added to `looked_at`.
    """
    run = PossibleRuns.of(shape, config, plan)

    def needs(samples: int) -> int:
        return needed_or_never(lambda: run.with_minibatch(samples).total_bytes)

    search = _Search(needs, GRAIN, 1, MOST_SAMPLES, bends=plan.windows is not None)
    return search.largest_each(budgets, [] if looked_at is None else looked_at)


def needed_or_never(count_bytes: Callable[[], int]) -> int:
    """What a run needs; NEVER where it cannot be, as a larger minibatch's table of windows may pass its limit."""
    try:
        return count_bytes()
    except InvalidConfig:
        return NEVER


def _most_envs(
    shape: NetworkShape, config: PPOConfig, plan: RunPlan, budgets: list[int], looked_at: list[int]
) -> dict[int, int]:
    """Most environments within each budget; always so many that num_minibatches divides the batch.

    Where a step is one of minibatches too, those that were looked at have their update reckoned already.
    """
    steps, parts, processes = config.num_steps, config.num_minibatches, plan.processes
    fine = processes * parts // math.gcd(parts, steps)
    coarse = math.lcm(fine, processes * GRAIN * parts // math.gcd(GRAIN * parts, steps))
    run = PossibleRuns.of(shape, config, plan)

    def needs(envs: int) -> int:
        return needed_or_never(lambda: run.with_envs(envs).total_bytes)

    most = int(RANGES["num_envs"][1])
    return _Search(needs, coarse, fine, most, bends=plan.windows is not None).largest_each(budgets, looked_at)


@dataclass(frozen=True, slots=True)
class _Search:
    """A search in steps of `coarse`, and of `fine` where little is found."""

    needs: Callable[[int], int]
    coarse: int
    fine: int
    most: int
    bends: bool

    def largest_each(self, budgets: list[int], looked_at: list[int]) -> dict[int, int]:
        """For each budget, ascending, the largest multiple of a step within it."""
        rough = _Growth(self.needs, self.coarse, self.most // self.coarse, None if self.bends else SLACK)
        rough.prepare(budgets, sorted(looked_at))
        found = {budget: rough.largest(budget) * self.coarse for budget in budgets}
        looked_at += rough.known
        threshold = self.coarse * FINE_BELOW // GRAIN
        if self.coarse > self.fine and any(size < threshold for size in found.values()):
            exact = _Growth(self.needs, self.fine, self.most // self.fine, None if self.bends else FINE_SLACK)
            small = (budget for budget, size in found.items() if size < threshold)
            found |= {budget: exact.largest(budget) * self.fine for budget in list(small)}
        return found


class _Growth:
    """A function that does not fall, evaluated at multiples of a step and remembered."""

    def __init__(self, needs: Callable[[int], int], step: int, most: int, slack: int | None) -> None:
        """Without `slack` no stretch of it is taken for straight: every answer is evaluated."""
        self._needs, self._step, self._most, self._slack = needs, step, most, slack
        self.known: dict[int, int] = {}
        self._order: list[int] = []
        self._straight: list[tuple[int, int]] = []

    def prepare(self, budgets: list[int], hints: list[int]) -> None:
        """See whether all from below the smallest budget to beyond the largest is one straight stretch.

        Evaluates at hints where they serve as well; budgets and hints ascend.
        """
        if self._slack is None or self._most < 4 or not budgets or self._at(1) > budgets[-1]:
            return
        rise = max(1, self._at(2) - self._at(1))
        low = min(max(2, (budgets[0] // WELL_BELOW - self._at(1)) // rise), self._most // 2)
        low = max((hint for hint in hints if 1 < hint <= low), default=low)
        rise = max(1, (self._at(low) - self._at(1)) // (low - 1))
        high = min(self._most, low + 2 + (WELL_BEYOND * budgets[-1] - self._at(low)) // rise)
        high = next((hint for hint in hints if high <= hint <= self._most), max(high, low + 2))
        middle = (low + high) // 2
        within = [hint for hint in hints if low < hint < high]
        self._note_straight(low, min(within, key=lambda hint: abs(hint - middle), default=middle), high)

    def largest(self, budget: int) -> int:
        """The largest count of steps within the budget, 0 where one is too much."""
        if self._most < 1 or self._at(1) > budget:
            return 0
        low, high = self._bracket(budget)
        for turn in range(MOST_STEPS):
            if high - low <= 1:
                break
            guess = self._between(low, high, budget)
            if self._settled(low, high, guess, budget):
                return guess
            # Guesses along the chord come from one side only; a halving now and then bounds their number.
            middle = (low + high) // 2 if turn % 4 == 3 else min(max(guess, low + 1), high - 1)
            self._note_straight(low, middle, high)
            low, high = (middle, high) if self._at(middle) <= budget else (low, middle)
        return low

    def _bracket(self, budget: int) -> tuple[int, int]:
        """A count within the budget, and one beyond it or beyond all."""
        place = bisect_left(self._order, True, key=lambda count: self.known[count] > budget)
        low = self._order[place - 1]
        if place < len(self._order):
            return low, self._order[place]
        while low < self._most:
            reach = self._reach(low, budget)
            if self._at(reach) > budget:
                return low, reach
            low = reach
        return low, low + 1

    def _reach(self, low: int, budget: int) -> int:
        """Well beyond the budget by the slope before `low`: no later slope is flatter."""
        if low == 1:
            return min(2, self._most)
        before = self._order[self._order.index(low) - 1]
        slope = max(1, (self._at(low) - self._at(before)) // (low - before))
        return min(self._most, low + 1 + (WELL_BEYOND * budget - self._at(low)) // slope)

    def _between(self, low: int, high: int, budget: int) -> int:
        """Where the chord between two counts reaches the budget, rounded down."""
        rise = self._at(high) - self._at(low)
        return low + (budget - self._at(low)) * (high - low) // rise

    def _settled(self, low: int, high: int, guess: int, budget: int) -> bool:
        """Whether the chord is the function itself here, and the budget not so near that rounding decides."""
        slack = self._slack
        if slack is None or not any(start <= low and high <= end for start, end in self._straight):
            return False
        rise, width = self._at(high) - self._at(low), high - low
        here = self._at(low) + rise * (guess - low) // width
        return here + slack <= budget and here + rise // width - slack > budget

    def _note_straight(self, low: int, middle: int, high: int) -> None:
        if self._slack is None or not low < middle < high:
            return
        chord = self._at(low) + (self._at(high) - self._at(low)) * (middle - low) // (high - low)
        if abs(self._at(middle) - chord) <= self._slack // 2:
            self._straight.append((low, high))

    def _at(self, count: int) -> int:
        if count not in self.known:
            self.known[count] = self._needs(count * self._step)
            insort(self._order, count)
        return self.known[count]


def _fewest_minibatches(config: PPOConfig, plan: RunPlan, largest: int) -> int | None:
    """The first number of parts, all of one size of at most `largest` samples."""
    if largest < 1:
        return None
    share = config.num_envs // plan.processes
    counts = divisors_of_batch(share, config.num_steps)
    place = bisect_left(counts, -(-share * config.num_steps // largest))
    most = RANGES["num_minibatches"][1]
    return counts[place] if place < len(counts) and counts[place] <= most else None


@lru_cache(maxsize=256)
def divisors_of_batch(num_envs: int, num_steps: int) -> list[int]:
    """All numbers of equal minibatches that num_envs·num_steps samples can be cut into, ascending."""
    return sorted({a * b for a in _divisors(num_envs) for b in _divisors(num_steps)})


def _divisors(number: int) -> list[int]:
    small = [part for part in range(1, math.isqrt(number) + 1) if number % part == 0]
    return small + [number // part for part in small]
