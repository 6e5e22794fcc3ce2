"""The values of truncated episodes' last observations, at a rollout's end, on a tape.

Environments that began together are truncated together: there may be as many of them as environments. They are looked at a
minibatch at a time. Sizes are those of one truncated sample.
"""

from app.network.memory.rollout_walk import RolloutWalk
from app.network.memory.tape import ACTIONS, FIRST_LAYER, PARTS, Mark, each, named
from app.network.memory.update_plan import FLOAT


class FinalWalk(RolloutWalk):
    """One minibatch of final observations, of which the critic alone is asked."""

    phase = "episodes' ends"

    def run(self) -> tuple[Mark, ...]:
        """All moments of the critic's forward pass."""
        if self.plan.windowed:
            self.tape.make(FIRST_LAYER, named("table"))
        self.tape.make(ACTIONS, named("truncated"))
        self.tape.make(PARTS, *map(each, self.plan.parts or (FLOAT * self.shape.obs_dim,)))
        observed = self._look_up() if self.plan.windowed else self._materialise()
        self._run_network(observed, heads=("critic",))
        return self.tape.marks
