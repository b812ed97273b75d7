"""From the parameters of a float network to what the nodes of a program hold, before quantization.

Differentiable and in the module's own float type: fine-tuning folds the float32 model, freezing a float64 copy of it.
"""

from __future__ import annotations

import copy
from typing import Generic, NamedTuple

from torch import Tensor

from ...models.adlif.cells import SpikingCell
from ...models.adlif.readout import LeakyIntegrator
from ..codes import Floats
from ..folding import Array, arrays_of


class FoldedCell(NamedTuple, Generic[Array]):
    """One layer of H neurons with F inputs.

    Attributes:
        input: W (H, F).
        bias: (H,).
        recurrent: V (H, H), or (H, 0).
        alpha: (H,) decay of the membrane potential.
        rise: (H,) 1 - alpha, or 1.
        beta: (H,) decay of the second state, None for LIF neurons.
        coupling: (H,) (1 - beta) q a, None without an adaptation, as is the next.
        jump: (H,) (1 - beta) q b.
    """

    input: Array
    bias: Array
    recurrent: Array
    alpha: Array
    rise: Array
    beta: Array | None
    coupling: Array | None
    jump: Array | None

    @property
    def constants(self) -> dict[str, Array]:
        """The constants that multiply states, by their name in the node."""
        named = {name: getattr(self, name) for name in ("alpha", "rise", "beta", "coupling", "jump")}
        return {name: values for name, values in named.items() if values is not None}


class FoldedReadout(NamedTuple, Generic[Array]):
    """Leaky integrators, 1 - kappa folded into weight and bias where they rise by that.

    Attributes:
        weight: (1 - kappa) W_o, or W_o, (C, H).
        bias: (1 - kappa) b_o, or b_o, (C,).
        decay: kappa, (C,).
    """

    weight: Array
    bias: Array
    decay: Array


def fold_cell(cell: SpikingCell) -> FoldedCell[Tensor]:
    """Fold a layer of neurons."""
    constants = cell.constants()
    recurrent, alpha, beta, coupling, jump, _ = constants
    shared = cell.input.weight, cell.input.bias, recurrent, alpha, constants.risen
    if cell.order in ("lif", "cuba"):
        return FoldedCell(*shared, beta if cell.order == "cuba" else None, None, None)
    return FoldedCell(*shared, beta, coupling, jump)


def fold_readout(readout: LeakyIntegrator) -> FoldedReadout[Tensor]:
    """Fold the read-out."""
    decay = readout.tau.decay()
    rise = readout.risen(decay)
    return FoldedReadout(rise.unsqueeze(1) * readout.linear.weight, rise * readout.linear.bias, decay)


def exact_cell(cell: SpikingCell, path: str) -> FoldedCell[Floats]:
    """The layer folded in float64.

    Raises:
        PumiceError: NaN or infinite weights; names the layer.
    """
    return FoldedCell(**arrays_of(fold_cell(copy.deepcopy(cell).double())._asdict(), f"{path}:"))


def exact_readout(readout: LeakyIntegrator, path: str) -> FoldedReadout[Floats]:
    """The read-out folded in float64.

    Raises:
        PumiceError: NaN or infinite weights.
    """
    return FoldedReadout(**arrays_of(fold_readout(copy.deepcopy(readout).double())._asdict(), f"{path}:"))
