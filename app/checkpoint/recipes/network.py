"""An actor-critic of linear layers as its shapes tell it, joined with what a configuration says."""

from dataclasses import dataclass, field, replace
from typing import Any

from app.checkpoint.architecture import Architecture, Basis, Fact, Value, merge
from app.checkpoint.layers import (
    Layers,
    Recurrence,
    Shapes,
    are_parallel,
    convolutions,
    has_layer_norm,
    is_chain,
    recurrence,
)
from app.checkpoint.recipes.said import Said

ACTOR_RECURRENCE = ("actor", "memory_a", "policy", "pi")
NO_ACTIVATION = "shapes cannot tell an activation"
_MOST_LAYERS = 256
_OUTPUTS = "{} outputs: the file does not say whether they are choices, means, or means and deviations"
_ONE_EACH = ("discrete", "multi_binary", "deterministic")
_CHOICES = "{} outputs: the choices of one action, or of several components together; the file does not say"
_UNSAID = "the file does not say"
_IMAGE = "the sizes of an image's sides do not follow from its convolutions"


@dataclass(frozen=True, slots=True)
class Network:
    """What shapes tell of an actor-critic: layers as (out, in) in order."""

    shapes: Shapes
    """All tensors of the network."""
    actor: Layers
    """From the trunk, or where there is none from the observation, to the action; several heads side by side
    where its layers are parallel."""
    critic: Layers
    """From the trunk or the observation to the value."""
    trunk: Layers | None = None
    """Layers of their own before the heads: shared ones, or the actor's."""
    action_kind: str | None = None
    """What the producer's names tell."""
    log_std: str = ""
    """Name of the tensor that a Gaussian policy has."""
    shares: bool | None = None
    """Whether actor and critic share the trunk; told by `trunk` where it is not given."""
    outputs_per_action: int = 1
    """Outputs for each action: 2 where the network gives a deviation with each mean."""
    activation: str | None = None
    """What the file's graph or module classes tell."""
    encoder: Layers = field(default_factory=list)
    """Layers before a recurrent one, which belong to the hidden ones."""

    def architecture(self, config: Any = None) -> Architecture:
        """All facts, those of the shapes joined with those of the configuration."""
        said, chain = Said(config), _Chain(self)
        cell = chain.cell
        return Architecture(
            obs_dim=merge(said.whole("obs_dim", "num_observations"), chain.obs_dim, chain.why_not_obs),
            hidden_dims=merge(said.widths(), chain.hidden, chain.why_not),
            action_dim=self._action_dim(said),
            action_kind=merge(said.text("action_kind"), self._kind()),
            activation=_activation(said.text("activation", "activation_fn"), self.activation),
            shared_trunk=merge(said.flag("shared_trunk"), self._shared()),
            layer_norm=merge(said.flag("layer_norm"), has_layer_norm(self.shapes) if self.shapes else None),
            recurrent=merge(None, cell is not None if self.shapes else None),
            recurrent_kind=merge(None, cell.kind if cell else None, "there is no recurrent layer"),
            recurrent_dim=merge(
                said.whole("lstm_hidden_size"), cell.width if cell else None, "there is no recurrent layer"
            ),
            convolutional=merge(None, bool(convolutions(self.shapes)) if self.shapes else None),
            action_nvec=self._nvec(said),
            actor_head=merge(None, self._head(), "the layers of the head are not known"),
            critic_hidden_dims=merge(
                said.widths("critic_hidden_dims"), chain.critic_hidden, "the critic's layers form no chain"
            ),
        )

    def _outputs(self) -> int | None:
        if not self.actor:
            return None
        total = sum(out for out, _ in self.actor) if are_parallel(self.actor) else self.actor[-1][0]
        return total // self.outputs_per_action

    def _action_dim(self, said: Said) -> Fact:
        """The head's outputs only where the kind of action says that each is an action or a choice of one."""
        nvec = self._nvec(said)
        if isinstance(nvec.value, tuple):
            return Fact(len(nvec.value), nvec.basis, nvec.note)
        named, outputs = said.whole("action_dim", "num_actions"), self._outputs()
        if outputs is None or self._counts_actions(said):
            return merge(named, outputs, _UNSAID)
        if self._kind() == "multi_discrete" or said.text("action_kind") == "multi_discrete":
            return merge(named, None, f"{outputs} outputs, of how many components is not said")
        if named == outputs:
            return Fact(named, "both")
        why = _OUTPUTS.format(outputs)
        if named is None or not named or outputs % named:
            return merge(named, outputs) if named else merge(None, None, why)
        return Fact(named, "config", why)

    def _counts_actions(self, said: Said) -> bool:
        """Whether each output is an action, or a choice of the only one."""
        own = self._kind()
        if own is not None:
            return own != "multi_discrete"
        return said.text("action_kind") in _ONE_EACH or self.outputs_per_action > 1

    def _nvec(self, said: Said) -> Fact:
        """Parallel heads show the choices; one head only their sum, which the configuration's must be."""
        named = said.widths("action_nvec")
        if are_parallel(self.actor):
            return merge(named, tuple(out for out, _ in self.actor))
        if not isinstance(named, tuple):
            return Fact(None, "undetermined", "the action is not known to be multi-discrete")
        outputs = self._outputs()
        if outputs is None or outputs == sum(named):
            return Fact(named, "config" if outputs is None else "both")
        note = f"the config says {named}, {sum(named)} in all, the shapes say {outputs} outputs"
        return Fact(named, "shapes", note)

    def _kind(self) -> str | None:
        if are_parallel(self.actor):
            return "multi_discrete"
        return "gaussian" if self.log_std and self.log_std in self.shapes else self.action_kind

    def _shared(self) -> bool | None:
        if not self.actor or not self.critic:
            return None
        return self.trunk is not None if self.shares is None else self.shares

    def _head(self) -> tuple[int, ...] | None:
        if are_parallel(self.actor) or not self.actor:
            return (sum(out for out, _ in self.actor),) if self.actor else None
        return tuple(out for out, _ in (self.actor if self.trunk is not None else self.actor[-1:]))


def without_components(facts: Architecture) -> Architecture:
    """The facts of a head whose outputs are choices, of how many components the producer never says."""
    head = facts.actor_head.value
    if facts.action_kind.value is not None or not isinstance(head, tuple) or not head:
        return facts
    untold = Fact(None, "undetermined", _CHOICES.format(head[-1]))
    return replace(facts, action_dim=untold, action_kind=untold, action_nvec=untold)


class _Chain:
    """The layers from the observation on, the recurrent one put where it fits."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.cell: Recurrence | None = recurrence(network.shapes, ACTOR_RECURRENCE)
        self.has_trunk = network.trunk is not None
        before = [*network.encoder, *(network.trunk or [])]
        self.hidden_layers = before if self.has_trunk else [*before, *network.actor[:-1]]
        if are_parallel(network.actor):
            self.hidden_layers = before
        self.whole = self._whole()
        self.is_whole = is_chain(self.whole)

    def _whole(self) -> Layers:
        """All layers of the actor, the recurrent one among them at the first place where it fits."""
        heads = self.network.actor
        rest = heads[:1] if are_parallel(heads) else heads
        layers = [*self.hidden_layers, *(rest if self.has_trunk else rest[-1:])]
        cell = self.cell
        if cell is None:
            return layers
        as_layer = (cell.width, cell.inputs)
        for at in range(len(layers) + 1 if len(layers) <= _MOST_LAYERS else 0):
            candidate = [*layers[:at], as_layer, *layers[at:]]
            if is_chain(candidate):
                return candidate
        return [as_layer, *layers]

    @property
    def obs_dim(self) -> int | None:
        """The first layer's input, unless convolutions come before it."""
        if convolutions(self.network.shapes) or not self.whole:
            return None
        return self.whole[0][1] if self.is_whole or len(self.whole) == 1 else self._first()

    def _first(self) -> int | None:
        """Where the layers form no chain, the first one still takes the observation, unless one is recurrent."""
        return None if self.cell else self.whole[0][1]

    @property
    def why_not_obs(self) -> str:
        return _IMAGE if convolutions(self.network.shapes) else self.why_not

    @property
    def hidden(self) -> Value:
        """Widths of the hidden layers, where all layers form a chain."""
        return tuple(out for out, _ in self.hidden_layers) if self.is_whole else None

    @property
    def critic_hidden(self) -> Value:
        """Widths of the critic's layers but the last."""
        critic = self.network.critic
        return tuple(out for out, _ in critic[:-1]) if is_chain(critic) else None

    @property
    def why_not(self) -> str:
        return "the layers form no chain" if self.whole and not self.is_whole else _UNSAID


def _activation(named: str | None, seen: str | None) -> Fact:
    """The activation, of the configuration or of the graph."""
    if seen is None:
        return merge(named, None, NO_ACTIVATION)
    if named is None or named == seen:
        basis: Basis = "graph" if named is None else "both"
        return Fact(seen, basis)
    return Fact(seen, "graph", f"the config says {named}, the graph has {seen}")
