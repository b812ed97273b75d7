"""From the parameters of a float network to what the nodes of a program hold, before quantization.

Differentiable and in the module's own float type: fine-tuning folds the float32 model, freezing a float64 copy of it.
"""

from __future__ import annotations

import copy
from typing import NamedTuple, TypeVar

import numpy as np
from torch import Tensor, nn

from ...errors import PumiceError
from ...models.adlif.cells import SpikingCell
from ...models.adlif.readout import LeakyIntegrator

Module = TypeVar("Module", bound=nn.Module)


class FoldedCell(NamedTuple):
    """One layer of H neurons with F inputs.

    Attributes:
        input: W (H, F).
        bias: (H,).
        recurrent: V (H, H).
        alpha: (H,) decay of the membrane potential.
        rise: (H,) 1 - alpha.
        beta: (H,) decay of the adaptation, None for LIF neurons, as are the next two.
        coupling: (H,) (1 - beta) q a.
        jump: (H,) (1 - beta) q b.
    """

    input: Tensor
    bias: Tensor
    recurrent: Tensor
    alpha: Tensor
    rise: Tensor
    beta: Tensor | None
    coupling: Tensor | None
    jump: Tensor | None

    @property
    def constants(self) -> dict[str, Tensor]:
        """The constants that multiply states, by their name in the node."""
        named = {name: getattr(self, name) for name in ("alpha", "rise", "beta", "coupling", "jump")}
        return {name: values for name, values in named.items() if values is not None}


class FoldedReadout(NamedTuple):
    """Leaky integrators, 1 - kappa folded into weight and bias.

    Attributes:
        weight: (1 - kappa) W_o, (C, H).
        bias: (1 - kappa) b_o, (C,).
        decay: kappa, (C,).
    """

    weight: Tensor
    bias: Tensor
    decay: Tensor


Folded = TypeVar("Folded", FoldedCell, FoldedReadout)


def fold_cell(cell: SpikingCell) -> FoldedCell:
    """Fold a layer of neurons."""
    recurrent, alpha, *adaptation = cell.constants()
    beta, coupling, jump = (None, None, None) if cell.order == "lif" else adaptation
    return FoldedCell(cell.input.weight, cell.input.bias, recurrent, alpha, 1 - alpha, beta, coupling, jump)


def fold_readout(readout: LeakyIntegrator) -> FoldedReadout:
    """Fold the read-out."""
    decay = readout.tau.decay()
    rise = 1 - decay
    return FoldedReadout(rise.unsqueeze(1) * readout.linear.weight, rise * readout.linear.bias, decay)


def exact_cell(cell: SpikingCell, path: str) -> FoldedCell:
    """The layer folded in float64, as numpy arrays.

    Raises:
        PumiceError: NaN or infinite weights; names the layer.
    """
    return _exact(fold_cell(_double(cell)), path)


def exact_readout(readout: LeakyIntegrator, path: str) -> FoldedReadout:
    """The read-out folded in float64, as numpy arrays.

    Raises:
        PumiceError: NaN or infinite weights.
    """
    return _exact(fold_readout(_double(readout)), path)


def _double(module: Module) -> Module:
    return copy.deepcopy(module).double()


def _exact(folded: Folded, path: str) -> Folded:
    arrays = {}
    for name, tensor in folded._asdict().items():
        arrays[name] = None if tensor is None else tensor.detach().cpu().numpy()
        if tensor is not None and not np.isfinite(arrays[name]).all():
            raise PumiceError(f"{path}: '{name}' holds NaN or infinity; train the model again")
    return type(folded)(**arrays)
