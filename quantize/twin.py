"""The QAT model and its frozen form, as every model family has them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import PumiceError
from ..program.errors import ProgramError
from ..program.nodes import Node
from .config import QuantizationConfig

Trace = dict[str, Tensor]

Constants = TypeVar("Constants")


class FrozenTwin(nn.Module, ABC, Generic[Constants]):
    """A model as an integer program computes it.

    Every array of every node is a buffer; the state dict is all that the forward pass reads. Evaluate in float64
    (``double()``, the default here): float32 is not exact.

    Args:
        nodes: in the program's order.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        super().__init__()
        self._nodes = tuple(nodes)
        for node in nodes:
            for field, array in _arrays(node):
                self.register_buffer(_key(node, field), torch.from_numpy(np.array(array)))
        self._constants: tuple[torch.device, Constants] | None = None

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the constructor takes beside the nodes, plain JSON data."""

    @abstractmethod
    def _derive(self, nodes: Sequence[Node], device: torch.device) -> Constants:
        """The values of the nodes' codes."""

    def nodes(self) -> tuple[Node, ...]:
        """The nodes, with the arrays that the buffers hold now."""
        return tuple(self._restored(node) for node in self._nodes)

    def constants(self) -> Constants:
        """The values of the buffers' codes; computed anew after loading or moving to another device."""
        device = next(self.buffers()).device
        if self._constants is None or self._constants[0] != device:
            self._constants = device, self._derive(self.nodes(), device)
        return self._constants[1]

    def load_state_dict(self, *args, **kwargs):
        """Load buffers; shapes must be those of the nodes."""
        self._constants = None
        return super().load_state_dict(*args, **kwargs)

    def _restored(self, node: Node) -> Node:
        changed: dict[str, object] = {}
        for field, array in _arrays(node):
            value = self.get_buffer(_key(node, field)).cpu().numpy().astype(array.dtype)
            if isinstance(getattr(node, field.partition(".")[0]), tuple):
                name = field.partition(".")[0]
                changed[name] = (*changed.get(name, ()), value)
            else:
                changed[field] = value
        return replace(node, **changed)


def values_of(codes: NDArray[np.integer], frac: NDArray[np.integer] | int, device: torch.device) -> Tensor:
    """Values of codes whose first axis is that of ``frac``; exact in float64."""
    frac = np.asarray(frac, dtype=np.int64)
    shaped = frac.reshape(frac.shape + (1,) * (codes.ndim - frac.ndim))
    return torch.from_numpy(np.ldexp(codes.astype(np.float64), -shaped)).to(device)


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


Model = TypeVar("Model", bound=nn.Module)


class QuantTwin(nn.Module, ABC, Generic[Model]):
    """The fake-quantized twin of a float model.

    Calibrate it (`observer`, `observe`, `set_formats`), fine-tune it as any model (float32, straight-through
    gradients), `freeze_scales` before the last phase, and `freeze` it.

    Attributes:
        model: its own copy of the float model, which holds the parameters.
        config: widths and calibration.
        scales_frozen: whether the weights' exponents stay as they are.
        freeze_scales_after: training batches after which they do; None for never.

    Args:
        model: the float model, which it keeps.
        config: widths and calibration.
    """

    def __init__(self, model: Model, config: QuantizationConfig) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.register_buffer("scales_frozen", torch.tensor(False))
        self.register_buffer("batches_seen", torch.tensor(0))
        self.freeze_scales_after: int | None = None

    @abstractmethod
    def observer(self) -> Any:
        """A fresh observer for calibration."""

    @abstractmethod
    def observe(self, observer: Any, batch: Any) -> None:
        """Run the float model on a batch of the family's tasks and let ``observer`` see all of it."""

    @abstractmethod
    def set_formats(self, observer: Any) -> None:
        """Take the exponents of all edges and states from what ``observer`` saw.

        Raises:
            PumiceError: it saw nothing at one of them.
        """

    @abstractmethod
    def constants(self) -> Any:
        """Fake-quantized weights, with gradients to ``model``'s parameters."""

    @abstractmethod
    def _nodes(self) -> Iterator[Node]:
        """The program's nodes in order, derived in float64."""

    @abstractmethod
    def _frozen(self, nodes: tuple[Node, ...]) -> FrozenTwin:
        """The frozen twin with these nodes."""

    def count_batch(self) -> None:
        """Called by each forward pass; freezes the scales in training once ``freeze_scales_after`` is reached."""
        if self.training:
            if self.batches_seen == self.freeze_scales_after:
                self.freeze_scales()
            self.batches_seen += 1

    def freeze_scales(self) -> None:
        """Keep the weights' exponents as they are now; from here on only codes change."""
        with torch.no_grad():
            self.constants()
        self.scales_frozen.fill_(True)

    def freeze(self) -> FrozenTwin:
        """Derive every code, exponent and table in float64; the frozen twin's buffers hold them.

        Raises:
            PumiceError: not calibrated, weights that are not finite, or an intermediate that does not fit; names the
                layer.
        """
        try:
            return self._frozen(tuple(self._nodes()))
        except ProgramError as error:
            raise PumiceError(f"the model cannot be lowered: {error}") from error
