"""The frozen QAT model: a model as an integer program computes it, as every model family has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import PumiceError
from ..program.nodes import Linear, Node
from ..train.data.inputs import Inputs
from .tracing import NodeCodes, Recorder

Quantized = TypeVar("Quantized")

Kind = TypeVar("Kind", bound=Node)


class NodeTable:
    """Nodes by name.

    Args:
        nodes: of one program.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = {node.name: node for node in nodes}

    def find(self, kind: type[Kind], name: str) -> Kind | None:
        """The node of this name, where there is one of the kind."""
        node = self._nodes.get(name)
        return node if isinstance(node, kind) else None

    def get(self, kind: type[Kind], name: str) -> Kind:
        """The node of this kind and name.

        Raises:
            PumiceError: there is none.
        """
        node = self.find(kind, name)
        if node is None:
            raise PumiceError(f"the frozen weights hold no {kind.__name__} '{name}'; write them anew (pumice quantize)")
        return node


class FrozenModel(nn.Module, ABC, Generic[Quantized]):
    """A model as an integer program computes it.

    Every array of every node is a buffer; the state dict is all that the forward pass reads. Evaluate in float64
    (``double()``, the default here): float32 is not exact.

    Attributes:
        logits: the node that gives the program's logits.

    Args:
        nodes: in the program's order.
    """

    logits: str

    def __init__(self, nodes: Sequence[Node]) -> None:
        super().__init__()
        self._nodes = tuple(nodes)
        for node in nodes:
            for field, array in _arrays(node):
                self.register_buffer(_key(node, field), torch.from_numpy(np.array(array)))
        self._quantized: tuple[torch.device, Quantized] | None = None

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the constructor takes beside the nodes, plain JSON data."""

    @abstractmethod
    def _run(self, inputs: Inputs, record: Recorder) -> Tensor:
        """The network's values, all of which ``record`` is shown."""

    @abstractmethod
    def _derive(self, nodes: Sequence[Node], device: torch.device) -> Quantized:
        """The values of the nodes' codes."""

    def decide(self, said: Tensor, blocks: Tensor, count: int) -> Tensor:
        """Logits (B, N, C) of ``count`` blocks (B, T) from what the network gives at each step, (B, T, C)."""
        raise NotImplementedError(f"{type(self).__name__} decides otherwise")

    def trace(self, inputs: Inputs) -> tuple[Tensor, NodeCodes]:
        """What the network gives before its logits are decided upon, and the codes of every node and state.

        Raises:
            PumiceError: input that the model does not read.
        """
        trace: NodeCodes = {}
        with torch.no_grad():
            return self._run(inputs, Recorder(trace)), trace

    def nodes(self) -> tuple[Node, ...]:
        """The nodes, with the arrays that the buffers hold now."""
        return tuple(self._restored(node) for node in self._nodes)

    def quantized(self) -> Quantized:
        """The values of the buffers' codes; computed anew after loading or moving to another device."""
        device = next(self.buffers()).device
        if self._quantized is None or self._quantized[0] != device:
            self._quantized = device, self._derive(self.nodes(), device)
        return self._quantized[1]

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Load buffers; shapes must be those of the nodes."""
        self._quantized = None
        return super().load_state_dict(*args, **kwargs)

    def _restored(self, node: Node) -> Node:
        changed: dict[str, Any] = {}
        for field, array in _arrays(node):
            value = self.get_buffer(_key(node, field)).cpu().numpy().astype(array.dtype)
            name, _, number = field.partition(".")
            changed[name] = (*changed.get(name, ()), value) if number else value
        return replace(node, **changed)


def values_of(codes: NDArray[np.integer], frac: NDArray[np.integer] | int, device: torch.device) -> Tensor:
    """Values of codes whose first axis is that of ``frac``; exact in float64."""
    frac = np.asarray(frac, dtype=np.int64)
    shaped = frac.reshape(frac.shape + (1,) * (codes.ndim - frac.ndim))
    return torch.from_numpy(np.ldexp(codes.astype(np.float64), -shaped)).to(device)


def weight_of(node: Linear, operand: int, device: torch.device) -> Tensor:
    """Values of the weights of an operand."""
    return values_of(node.weights[operand], node.weight_fracs[operand], device)


def bias_of(node: Linear, device: torch.device) -> Tensor:
    """Values of the biases."""
    return values_of(node.bias, node.accumulator_frac, device)


def _arrays(node: Node) -> list[tuple[str, NDArray[np.integer]]]:
    """(field, array) of a node; the entries of a tuple of arrays as ``field.0``, ``field.1``."""
    found = []
    for item in fields(node):
        value = getattr(node, item.name)
        if isinstance(value, np.ndarray):
            found.append((item.name, value))
        elif isinstance(value, tuple):
            found += [(f"{item.name}.{i}", part) for i, part in enumerate(value) if isinstance(part, np.ndarray)]
    return found


def _key(node: Node, field: str) -> str:
    return f"{node.name}:{field}".replace(".", "/")
