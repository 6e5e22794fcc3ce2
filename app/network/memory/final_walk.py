"""The values of truncated episodes' last observations, at a rollout's end, on a tape.

Environments that began together are truncated together, as often as whole episodes fit into a rollout. They are looked at a
minibatch at a time. Sizes are those of one truncated sample. Only where windows are multiplied is this walked through:
observations that are written out take as much in an update, and more beside.
"""

from app.network.memory.rollout_walk import RolloutWalk
from app.network.memory.tape import ACTIONS, FIRST_LAYER, PARTS, Mark, each, named


class FinalWalk(RolloutWalk):
    """One minibatch of final observations, of which the critic alone is asked."""

    phase = "episodes' ends"

    def run(self) -> tuple[Mark, ...]:
        """All moments of the critic's forward pass."""
        self.tape.make(FIRST_LAYER, named("table"))
        self.tape.make(ACTIONS, named("truncated"))
        self.tape.make(PARTS, *map(each, self.plan.parts))
        self._run_network(self._look_up(), heads=("critic",))
        return self.tape.marks
