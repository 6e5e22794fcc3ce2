"""The forward pass on a tape: what the first layer reads, trunks and heads, in the order of NativeActorCritic.

h_i are the trunk's widths.
"""

from itertools import pairwise

from app.network.memory.layer_walk import Branch, LayerWalk
from app.network.memory.tape import ACTIVATIONS, OBSERVATIONS, Held, each
from app.network.memory.update_plan import FLOAT
from app.network.shape import HEAD_DIM

INDEX = 8
"""Bytes of a row's number."""

Observed = tuple[Held, ...]
"""What the frame around the forward pass holds: what the first layer reads or has given; nothing where the environment's own
observation, or the minibatch's, is read."""


class ForwardWalk(LayerWalk):
    """Observations, trunks and heads."""

    outputs: list[Held]
    """What the heads gave, the actor's first."""

    def _run_network(
        self, observed: Observed, heads: tuple[str, ...] = ("actor", "critic")
    ) -> dict[str, Branch]:
        """Some or all heads; returns the backward steps."""
        branches: dict[str, Branch] = {}
        self.outputs = []
        if self.shape.shared_trunk:
            branches["trunk"], latent, item = self._trunk("trunk", observed)
            for head in heads:
                branches[head] = self._head(head, latent, item)
            self.tape.drop(latent)
        else:
            for head in heads:
                branches[f"{head}_trunk"], latent, item = self._trunk(f"{head}_trunk", observed)
                branches[head] = self._head(head, latent, item)
                self.tape.drop(latent)
        self.tape.mark("forward end")
        return branches

    def _materialise(self) -> Observed:
        """Observations written out, and normalised, where the environment's own are not read as they are."""
        plan, wide = self.plan, each(FLOAT * self.shape.obs_dim)
        if not (plan.parts or plan.norm_obs):
            return ()
        raw = self.tape.make(OBSERVATIONS, wide) if plan.parts else None
        if raw:
            self.tape.pass_by("observations built", OBSERVATIONS, each(INDEX))
        if not plan.norm_obs:
            return (raw,) if raw else ()
        self.tape.pass_by("observations normalised", OBSERVATIONS, wide, wide)
        normalised = self.tape.make(OBSERVATIONS, wide)
        self.tape.drop(raw)
        return (normalised,)

    @property
    def _first_outputs(self) -> int:
        """Outputs of all trunks' first layers."""
        return self.shape.hidden_dims[0] * (1 if self.shape.shared_trunk else 2)

    def _trunk(self, trunk: str, observed: Observed) -> tuple[Branch, Held, int]:
        """Run a trunk; returns its backward steps, its output and that output's bytes per value."""
        branch, stride = Branch(), 3 if self.shape.layer_norm else 2
        given: Held | None = self.tape.keep(observed[0]) if observed else None
        item = FLOAT
        for index, (width, hidden) in enumerate(pairwise((self.shape.obs_dim, *self.shape.hidden_dims))):
            name = f"{trunk}.{index * stride}"
            if index or not self.plan.windowed:
                given, item = self._linear(branch, name, given, item, (width, hidden))
            if self.shape.layer_norm:
                given, item = self._layer_norm(branch, f"{trunk}.{index * stride + 1}", given, item, hidden)
            given = self._activate(branch, f"{trunk}.{index * stride + stride - 1}", given, item, hidden)
        assert given is not None
        return branch, given, item

    def _head(self, head: str, latent: Held, item: int) -> Branch:
        branch, out = Branch(), self.shape.action_dim if head == "actor" else 1
        hidden, item = self._linear(
            branch, f"{head}.0", self.tape.keep(latent), item, (self.shape.hidden_dims[-1], HEAD_DIM)
        )
        hidden = self._activate(branch, f"{head}.1", hidden, item, HEAD_DIM)
        given, item = self._linear(branch, f"{head}.2", hidden, item, (HEAD_DIM, out))
        if item != FLOAT:
            given = self._cast(branch, given, (item, FLOAT), out, ACTIVATIONS)
        self.outputs.append(given)
        return branch
