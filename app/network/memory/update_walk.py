"""One optimizer step of the trainer, walked through tensor by tensor: which are made, kept and freed when.

The order is that of `worker.ppo.learn.Learner` and of autograd's engine, where the node made last runs first:
the critic's branch before the actor's. Autocast's copies of weights are kept to the end of the forward pass, those of
later layers until their backward.
"""

from app.network.memory.forward_walk import ForwardWalk, Observed
from app.network.memory.layer_walk import Branch
from app.network.memory.loss_memory import LossMemory
from app.network.memory.optimizer_memory import step_optimizer
from app.network.memory.tape import (
    ACTIVATIONS,
    FIRST_LAYER,
    GRADIENTS,
    MINIBATCH,
    ORDER,
    PARTS,
    WEIGHT_GRADIENTS,
    Held,
    Mark,
    each,
    fixed,
    named,
)
from app.network.memory.update_plan import FLOAT

MINIBATCH_SCALARS = (4, 4, 4, 4)
"""Bytes per sample that a minibatch holds beside observations and actions: log probability, old value,
advantage, return."""

ACTION_INDEX = 8
"""Bytes of a discrete action."""


class UpdateWalk(ForwardWalk):
    """Forward, loss and backward of one minibatch."""

    def run(self) -> tuple[Mark, ...]:
        """All moments from the first layer to the optimizer's step."""
        self._take_minibatch()
        last_gradients = [
            self.tape.make(WEIGHT_GRADIENTS, fixed(FLOAT * count)) for count in self.counts.values()
        ]
        loss = LossMemory(self.tape, self.shape, self.plan)
        observed = self._multiply_windows() if self.plan.windowed else self._materialise()
        branches = self._run_network(observed)
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

    def _take_minibatch(self) -> None:
        """What there is from the step's beginning to its end."""
        gaussian = self.shape.action_kind == "gaussian"
        action = FLOAT * self.shape.action_dim if gaussian else ACTION_INDEX
        stored = () if self.plan.parts or self.plan.windowed else (FLOAT * self.shape.obs_dim,)
        self.tape.make(PARTS, *(each(size) for size in (*stored, *self.plan.parts)))
        self.tape.make(MINIBATCH, *(each(size) for size in (*MINIBATCH_SCALARS, action)))
        self.tape.make(ORDER, named("order"))

    def _multiply_windows(self) -> Observed:
        """The products of windows, without their being part of an observation."""
        self.windows = self.tape.make(FIRST_LAYER, named("windows held"))
        outputs = self._first_outputs
        out = self.tape.make(ACTIVATIONS, each(FLOAT * outputs))
        joined = () if self.shape.shared_trunk else (FLOAT * outputs * self.shape.obs_dim, FLOAT * outputs)
        self.tape.pass_by("windows multiplied", FIRST_LAYER, named("windows forward"), fixed(*joined))
        return (out,)

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
        if self.plan.windowed:
            joined = self.tape.make(GRADIENTS, each(FLOAT * self._first_outputs))
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
        outputs = self._first_outputs
        self.tape.make(WEIGHT_GRADIENTS, fixed(FLOAT * outputs * self.shape.obs_dim))
        self.tape.pass_by("windows' gradient", FIRST_LAYER, named("windows backward"))
        self.tape.make(WEIGHT_GRADIENTS, fixed(FLOAT * outputs))
        self.tape.mark("first layer's gradient")
        self.tape.drop(gradient)

    def _log_std(self) -> None:
        if "log_std" in self.counts:
            self.tape.make(WEIGHT_GRADIENTS, fixed(FLOAT * self.counts["log_std"]))
