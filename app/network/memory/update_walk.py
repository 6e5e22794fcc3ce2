"""One optimizer step of the trainer, walked through tensor by tensor: which are made, kept and freed when.

The order is that of `worker.ppo.learn.Learner` and of autograd's engine, where the node made last runs first:
the critic's branch before the actor's. Autocast's copies of weights are kept to the end of the forward pass, those of
later layers until their backward.

Notation: B samples of a minibatch, h_i trunk widths, A action_dim.
"""

from itertools import pairwise

from app.network.memory.layer_walk import Branch, LayerWalk
from app.network.memory.loss_memory import LossMemory
from app.network.memory.optimizer_memory import step_optimizer
from app.network.memory.tape import (
    ACTIVATIONS,
    FIRST_LAYER,
    GRADIENTS,
    OBSERVATIONS,
    WEIGHT_GRADIENTS,
    Held,
    Mark,
)
from app.network.memory.update_plan import FLOAT
from app.network.shape import HEAD_DIM


class UpdateWalk(LayerWalk):
    """Forward, loss and backward of one minibatch."""

    def run(self) -> tuple[Mark, ...]:
        """All moments from the first layer to the optimizer's step."""
        last_gradients = [self.tape.make(WEIGHT_GRADIENTS, FLOAT * count) for count in self.counts.values()]
        loss = LossMemory(self.tape, self.shape, self.batch, self.plan)
        branches, observed = self._forward()
        loss.forward()
        self.tape.drop(*self.outputs, *observed)
        loss.save()
        self.tape.drop(*self.copies)
        self.tape.drop(*last_gradients)  # dropped right before backward, which makes the new ones
        gradients = loss.backward()
        self._log_std()
        if self.shape.shared_trunk:
            self._backward_shared(branches, gradients)
        else:
            self._backward_separate(branches, gradients)
        step_optimizer(self.tape, self.shape, self.plan)
        return self.tape.marks

    # Forward

    def _forward(self) -> tuple[dict[str, Branch], tuple[Held, ...]]:
        """Run the network; the outputs are left in `outputs`, actor's first. Returns what the loss's frame holds."""
        observed = self._observe()
        self.outputs: list[Held] = []
        branches: dict[str, Branch] = {}
        heads = (("actor", self.shape.action_dim), ("critic", 1))
        if self.shape.shared_trunk:
            branches["trunk"], latent, item = self._trunk("trunk", observed)
            for head, out in heads:
                branches[head] = self._head(head, latent, item, out)
            self.tape.drop(latent)
        else:
            for head, out in heads:
                branches[f"{head}_trunk"], latent, item = self._trunk(f"{head}_trunk", observed)
                branches[head] = self._head(head, latent, item, out)
                self.tape.drop(latent)
        self.tape.mark("forward end")
        return branches, observed

    def _observe(self) -> tuple[Held, ...]:
        """What the first layer reads, or has given where windows are multiplied by themselves."""
        plan, wide = self.plan, FLOAT * self.batch * self.shape.obs_dim
        if plan.first is not None:
            return self._multiply_windows()
        if not (plan.built or plan.norm_obs):
            return ()
        raw = self.tape.make(OBSERVATIONS, wide) if plan.built else None
        if not plan.norm_obs:
            return (raw,) if raw else ()
        self.tape.pass_by("observations normalised", OBSERVATIONS, wide, wide)
        normalised = self.tape.make(OBSERVATIONS, wide)
        self.tape.drop(raw)
        return (normalised,)

    def _multiply_windows(self) -> tuple[Held, ...]:
        first = self.plan.first
        assert first is not None
        self.windows = self.tape.make(FIRST_LAYER, first.held)
        outputs = self._first_outputs
        out = self.tape.make(ACTIVATIONS, FLOAT * self.batch * outputs)
        joined = () if self.shape.shared_trunk else (FLOAT * outputs * self.shape.obs_dim, FLOAT * outputs)
        self.tape.pass_by("windows multiplied", FIRST_LAYER, first.forward, *joined)
        return (out,)

    @property
    def _first_outputs(self) -> int:
        return self.shape.hidden_dims[0] * (1 if self.shape.shared_trunk else 2)

    def _trunk(self, trunk: str, observed: tuple[Held, ...]) -> tuple[Branch, Held, int]:
        """Run a trunk; returns its backward steps, its output and that output's bytes per value."""
        branch, stride = Branch(), 3 if self.shape.layer_norm else 2
        given: Held | None = self.tape.keep(observed[0]) if observed else None
        item = FLOAT
        for index, (width, hidden) in enumerate(pairwise((self.shape.obs_dim, *self.shape.hidden_dims))):
            name = f"{trunk}.{index * stride}"
            if index or self.plan.first is None:
                given, item = self._linear(branch, name, given, item, (width, hidden))
            if self.shape.layer_norm:
                given, item = self._layer_norm(branch, f"{trunk}.{index * stride + 1}", given, item, hidden)
            given = self._activate(branch, f"{trunk}.{index * stride + stride - 1}", given, item, hidden)
        assert given is not None
        return branch, given, item

    def _head(self, head: str, latent: Held, item: int, out: int) -> Branch:
        branch = Branch()
        hidden, item = self._linear(
            branch, f"{head}.0", self.tape.keep(latent), item, (self.shape.hidden_dims[-1], HEAD_DIM)
        )
        hidden = self._activate(branch, f"{head}.1", hidden, item, HEAD_DIM)
        given, item = self._linear(branch, f"{head}.2", hidden, item, (HEAD_DIM, out))
        if item != FLOAT:
            given = self._cast(branch, given, (item, FLOAT), self.batch * out, ACTIVATIONS)
        self.outputs.append(given)
        return branch

    # Backward

    def _backward_shared(self, branches: dict[str, Branch], gradients: tuple[Held, Held]) -> None:
        of_actor, of_critic = gradients
        self.waiting = self._backward(branches["critic"], of_critic)
        merged = self._backward(branches["actor"], of_actor)
        assert merged is not None
        first = self._backward(branches["trunk"], merged)
        if first is not None:
            self._windows_backward(first)

    def _backward_separate(self, branches: dict[str, Branch], gradients: tuple[Held, Held]) -> None:
        of_actor, of_critic = gradients
        ends = []
        for head, gradient in (("critic", of_critic), ("actor", of_actor)):
            latent = self._backward(branches[head], gradient)
            assert latent is not None
            ends.append(self._backward(branches[f"{head}_trunk"], latent))
        if self.plan.first is not None:
            joined = self.tape.make(GRADIENTS, FLOAT * self.batch * self._first_outputs)
            self.tape.mark("merge of both trunks' gradients")
            self.tape.drop(*ends)
            self._windows_backward(joined)

    def _backward(self, branch: Branch, gradient: Held) -> Held | None:
        given: Held | None = gradient
        for step in reversed(branch):
            assert given is not None
            given = step(given)
        return given

    def _windows_backward(self, gradient: Held) -> None:
        """The first layer's own gradient; the weights' gradients of two trunks share one tensor."""
        first, outputs = self.plan.first, self._first_outputs
        assert first is not None
        self.tape.make(WEIGHT_GRADIENTS, FLOAT * outputs * self.shape.obs_dim)
        self.tape.pass_by("windows' gradient", FIRST_LAYER, first.backward)
        self.tape.make(WEIGHT_GRADIENTS, FLOAT * outputs)
        self.tape.mark("first layer's gradient")
        self.tape.drop(gradient)

    def _log_std(self) -> None:
        if "log_std" in self.counts:
            self.tape.make(WEIGHT_GRADIENTS, FLOAT * self.counts["log_std"])
