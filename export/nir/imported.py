"""Any NIR file that is a chain of LIF neurons as settings and weights of a float network, or a refusal by node name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import PumiceError
from .chain import MOST_MADE, Layer, read_chain
from .read import read_model
from .tree import Graph, read_graph
from .write import DT

RESETS = ("zero", "subtract")
SUBTRACT = (
    "nir.reset=subtract: Pumice's LIF neurons reset to zero, in the step of the spike; train the network with "
    "reset_mechanism='zero' (snnTorch), and import it with nir.reset=zero"
)
NEVER_KEPT = 1e-3
"""A time constant, in steps, after which nothing is left within a step: exp(-1000) is 0."""


@dataclass(frozen=True, eq=False)
class Imported:
    """A network in a NIR file.

    Attributes:
        settings: of an `AdLIFConfig`, ``num_classes`` and ``in_features`` among them.
        state: its state dict, float32.
        notes: how the file was understood, sentences.
    """

    settings: dict[str, Any]
    state: dict[str, np.ndarray]
    notes: tuple[str, ...]


def read_imported(path: str | Path, reset: str | None = None, dt: float | None = None) -> Imported:
    """The network of a file: Affine, Linear, Flatten, LIF with or without one recurrent product, an LI as the last.

    A network that ends in spikes gets a read-out that passes them on: its potentials are the spikes of its last layer.

    Args:
        path: of the file.
        reset: "zero" or "subtract", which NIR files do not record. None: to zero at once, as NIR's equations have it.
        dt: seconds of a step; None for what Pumice wrote into the file, otherwise 1e-4, which snnTorch writes.

    Raises:
        PumiceError: a file that cannot be read, or that holds what Pumice cannot hold; names the node.
    """
    if reset not in (None, *RESETS):
        raise PumiceError(f"nir.reset={reset} is unknown; use one of: {', '.join(RESETS)}, or null for NIR's own")
    if reset == "subtract":
        raise PumiceError(SUBTRACT)
    graph = read_graph(path)
    if "pumice" in graph.metadata:
        model = read_model(path)
        state = {name: values.numpy() for name, values in model.state_dict().items()}
        return Imported(asdict(model.config), state, ("written by Pumice: reset to zero, at once, as it says itself",))
    step = DT if dt is None else dt
    told = [f"neurons reset to zero in the step of the spike; a step is {step:g} s; a spike is above the threshold"]
    if reset is None:
        told.append(
            "the file does not record the reset of its training; neurons that reset by subtraction, as snnTorch's do "
            "unless told otherwise, would give other spikes"
        )
    return _imported(graph, read_chain(graph), step, told)


def _imported(graph: Graph, layers: Sequence[Layer], dt: float, told: list[str]) -> Imported:
    cells = [layer for layer in layers if layer.threshold is not None]
    if not cells:
        raise PumiceError(f"{graph.path} has no LIF neurons; Pumice imports networks that spike")
    thresholds = np.concatenate([layer.threshold for layer in cells if layer.threshold is not None])
    low = thresholds.min()
    if low <= 0:
        raise PumiceError(f"{graph.path}: a threshold is {low:g}; neurons need one above 0, so that they can be silent")
    shared = float(low) if np.all(thresholds == low) else None
    recurrent = any(layer.recurrent is not None for layer in cells)
    taus = [_tau(graph, layer, dt) for layer in cells]
    bounds = _bounds(taus)
    state: dict[str, np.ndarray] = {}
    for index, (layer, tau) in enumerate(zip(cells, taus, strict=True)):
        unit = np.ones(len(tau)) if shared or layer.threshold is None else layer.threshold
        weight, bias, back = _driven(layer, dt, unit)
        state |= {f"cells.{index}.input.weight": weight, f"cells.{index}.input.bias": bias}
        made = recurrent and back is None
        if len(tau) > MOST_MADE and (made or layer is layers[-1]):
            why = "no recurrent weights beside layers that have some" if made else "no LI behind them to read them out"
            raise graph.refusal(layer.name, f"has {len(tau):,} neurons and {why}, of which {MOST_MADE:,} are held")
        if recurrent:
            state[f"cells.{index}.recurrent"] = np.zeros((len(tau), len(tau))) if back is None else back
        state |= _places(f"cells.{index}.tau_u", tau, bounds)
    if not shared:
        told.append("thresholds differ: each neuron's weights were divided by its own, which is 1 now")
    last, width = layers[-1], len(taus[-1])
    if last.threshold is None:
        tau = _tau(graph, last, dt)
        weight, bias, _ = _driven(last, dt, np.ones(len(tau)))
        ends = _bounds([tau])
        state |= _places("readout.tau", tau, ends)
    else:
        weight, bias, ends = np.eye(width), np.zeros(width), (NEVER_KEPT, NEVER_KEPT)
        told.append("the network ends in spikes: their mean over a sample is its logit")
    state |= {"readout.linear.weight": weight, "readout.linear.bias": bias}
    settings = {
        "num_classes": len(bias),
        "in_features": cells[0].weight.shape[1],
        "cell": "lif",
        "layers": len(cells),
        "hidden": tuple(len(tau) for tau in taus),
        "recurrent": recurrent,
        "tau_u": bounds,
        "tau_out": ends,
        "threshold": shared or 1.0,
        "aggregation": "mean",
    }
    return Imported(settings, {name: values.astype(np.float32) for name, values in state.items()}, tuple(told))


def _driven(layer: Layer, dt: float, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Weights, bias and recurrent weights that 1 - alpha multiplies, in units of ``unit`` (H,).

    v^ = alpha v + dt / tau (r I + v_leak), and dt / tau = 1 - alpha: what is left is r I + v_leak.
    """
    gain = layer.r / unit
    back = None if layer.recurrent is None else layer.recurrent * gain[:, None]
    return layer.weight * gain[:, None], layer.bias * gain + layer.v_leak / unit, back


def _tau(graph: Graph, layer: Layer, dt: float) -> np.ndarray:
    """Time constants (H,) in steps: alpha = 1 - dt / tau = exp(-1 / steps)."""
    alpha = 1 - dt / layer.tau
    wrong = ~((alpha > 0) & (alpha < 1))
    if wrong.any():
        raise graph.refusal(
            layer.name, f"has a time constant of {layer.tau[wrong][0]:g} s, not above a step of {dt:g} s; check nir.dt"
        )
    return -1 / np.log(alpha)


def _bounds(taus: Sequence[np.ndarray]) -> tuple[float, float]:
    every = np.concatenate(taus).astype(np.float32)  # what differs less is one time constant
    return float(every.min()), float(every.max())


def _places(name: str, tau: np.ndarray, bounds: tuple[float, float]) -> dict[str, np.ndarray]:
    """Where time constants lie in their range, as `TimeConstant` keeps them."""
    low, high = bounds
    return {f"{name}.p": np.clip((tau - low) / (high - low), 0, 1)} if low < high else {}
