"""The graph of a float model: a node a part, its parameters by their names in the state dict, and its settings."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....errors import PumiceError
from ..tree import MOST_NODES

NAMESPACE = "pumice"
NAMESPACES = (NAMESPACE,)
STANDARD = ("Affine", "Input", "Linear", "LI", "Output")
"""Kinds of nodes that are NIR's own, with its fields."""
HELD = "; for refractory steps after a spike u is held as the reset left it, and z = 0"
MEETING = "edges that meet at a node add what they carry"

EQUATIONS: Mapping[str, str] = {
    "AdLIF": (
        "I = what arrives; u^ = alpha u + (1 - alpha) (I - w), or alpha u + I - w where rise is one; z = [u^ > "
        "threshold]; u as reset says; w = beta w + (1 - beta) q (a u + b z), of the same step with order se, of the "
        "step before with ef; alpha = exp(-1 / tau_u), beta = exp(-1 / tau_w), tau = p tau_max + (1 - p) tau_min steps"
        + HELD
    ),
    "BatchNorm": "y = (x - running_mean) / sqrt(running_var + epsilon) weight + bias",
    "ChannelSSM": (
        "of each channel h: x = exp(dt A) x + u; y = 2 Re(sum_m C (exp(dt A) - 1) / A B x) + D u; A = "
        "-exp(log_A_real) + i A_imag, dt = exp(log_dt), B = 1 where there is none; C_back reads a state that runs "
        "backwards from the end"
    ),
    "CubaLIF": (
        "i = beta i + I; u^ = alpha u + (1 - alpha) i, or alpha u + i where rise is one; z = [u^ > threshold]; u as "
        "reset says; alpha = exp(-1 / tau_u), beta = exp(-1 / tau_i), tau = p tau_max + (1 - p) tau_min steps" + HELD
    ),
    "DiagonalSSM": (
        "at each event, dt ms after the one before: x = exp(Lambda step dt) x + gamma B u; y = 2 Re(C x) + D u, or "
        "Re(C x) + D u without conj_sym; step = step_rescale exp(log_step); gamma = 1 (dirac), "
        "(exp(Lambda step) - 1) / Lambda (async) or (exp(Lambda step dt) - 1) / Lambda (zoh); with a stride y "
        "is given once a window, C x at its first event, D u of the pooled u; complex numbers as a last axis"
    ),
    "Embedding": "y = weight[token]",
    "EventPool": "one value for each window of stride events: pooling says which",
    "GLU": "y = a sigmoid(b), a and b the halves of weight x + bias",
    "Gate": "y = x sigmoid(weight f(x) + bias), f the activation",
    "InputGate": "y = x sigmoid(W x + b); with a rank W x + b is the second product of the first",
    "LIF": (
        "u^ = alpha u + (1 - alpha) I, or alpha u + I where rise is one; z = [u^ > threshold]; u as reset says; alpha "
        "= exp(-1 / tau_u), tau_u = p tau_max + (1 - p) tau_min steps" + HELD
    ),
    "LSTM": "an LSTM of gates i, f, g, o (Hochreiter and Schmidhuber 1997)",
    "LayerNorm": "y = (x - mean) / sqrt(variance + epsilon) weight + bias, over the channels",
    "ReadOut": "what is left of all events: head says how, steps: every output; weight and bias, if any, score events",
    "RealSSM": (
        "as DiagonalSSM, of real modes without the factor 2: Lambda = -(softplus(Lambda_raw) + 1e-3), one for all "
        "where decay is shared; there is an output at every event"
    ),
    "ThresholdLIF": "u^ = tau u + x exp(-ln_vth); z = [u^ >= 1]; u = (1 - z) u^",
}
"""What each kind of Pumice's own computes."""


@dataclass(frozen=True, eq=False)
class OwnNode:
    """One node.

    Attributes:
        name: in the file.
        kind: its type: of `STANDARD` as it is, of `EQUATIONS` behind ``pumice.``.
        tensors: names in the state dict, by field.
        settings: numbers, texts and truth values that the equation speaks of.
    """

    name: str
    kind: str
    tensors: Mapping[str, str]
    settings: Mapping[str, Any]

    @property
    def type(self) -> str:
        """As the file has it."""
        return self.kind if self.kind in STANDARD else f"{NAMESPACE}.{self.kind}"


@dataclass
class Layout:
    """Nodes and edges of a model, added one after the other.

    Attributes:
        names: of the state dict, sorted.
        folded: names of it whose values stand in standard nodes with what multiplies them.
        nodes: by name.
        edges: from name to name.
    """

    names: Sequence[str]
    folded: tuple[str, ...] = ()
    nodes: dict[str, OwnNode] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    _placed: set[str] = field(default_factory=set)

    def add(self, prefix: str, kind: str, sources: Iterable[str], **settings: Any) -> list[str]:
        """Add a node that reads the sum of ``sources`` and holds what lies below ``prefix`` and has no node yet.

        Returns:
            its name, as the source of others.

        Raises:
            PumiceError: there are too many.
        """
        place, tensors = bisect_left(self.names, f"{prefix}."), {}
        while place < len(self.names) and (name := self.names[place]).startswith(f"{prefix}."):
            if name not in self._placed and name not in self.folded:
                tensors[name.removeprefix(f"{prefix}.")] = name
            place += 1
        return self.put(prefix.replace(".", "_"), kind, sources, tensors, **settings)

    def put(
        self, name: str, kind: str, sources: Iterable[str], tensors: Mapping[str, str] | None = None, **settings: Any
    ) -> list[str]:
        """As `add`, with the tensors named."""
        if len(self.nodes) >= MOST_NODES:
            raise PumiceError(f"the model has more than {MOST_NODES:,} parts; a NIR file holds fewer")
        tensors = tensors or {}
        self._placed |= set(tensors.values())
        self.nodes[name] = OwnNode(name, kind, tensors, settings)
        self.edges += [(source, name) for source in sources]
        return [name]

    def finish(self, sources: Iterable[str]) -> Layout:
        """Add the output; every tensor has its place then.

        Raises:
            PumiceError: one has none.
        """
        self.put("output", "Output", sources)
        left = [name for name in self.names if name not in self._placed and name not in self.folded]
        if left:
            raise PumiceError(f"{left[0]} has no node in a NIR file; export this model with target=onnx or c")
        return self
