"""Any NIR file that is a chain of spiking neurons as settings and weights of a float network, or a refusal by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import PumiceError
from ...models.scan.neuron_step import LATE_RESETS, MOST_REFRACTORY, RESETS
from .chain import MOST_MADE, NEARLY, Layer, read_chain
from .own import is_own, read_own
from .read import read_model
from .tree import Graph, read_graph
from .write import DT, FORMAT_VERSION

SNNTORCH, OTHER = "snntorch", "other"
WRITERS = (SNNTORCH, OTHER)
SNNTORCH_NOTE = (
    "written by snnTorch, as its r = tau / 0.1 ms tells (nir.writer=other if not): it resets at the step after the "
    "spike, but feed-forward LIF neurons to zero at once"
)
NEVER_KEPT = 1e-3
"""A time constant, in steps, after which nothing is left within a step: exp(-1000) is 0."""


@dataclass(frozen=True, eq=False)
class Imported:
    """A network in a NIR file.

    Attributes:
        settings: of an `AdLIFConfig`, ``num_classes`` and ``in_features`` among them; of a file with nodes of Pumice's
            own namespace those of its family, which ``family`` names.
        state: its state dict, float32.
        notes: how the file was understood, sentences.
    """

    settings: dict[str, Any]
    state: dict[str, np.ndarray]
    notes: tuple[str, ...]


def read_imported(
    path: str | Path,
    reset: str | None = None,
    dt: float | None = None,
    writer: str | None = None,
    refractory: int = 0,
) -> Imported:
    """The network of a file: Affine, Linear, Flatten; LIF, CubaLIF or IF with or without one recurrent product; an LI
    or I as the last.

    A network that ends in spikes gets a read-out that passes them on: its potentials are the spikes of its last layer.

    Args:
        path: of the file.
        reset: what spikes did in training, which NIR files do not record: "zero" or "subtract", and of a writer other
            than snnTorch at once; "late-zero" or "late-subtract", at the next step. None: snnTorch's default, to
            subtract, or to zero at once, as NIR's equations have it.
        dt: seconds of a step; None for what Pumice wrote into the file, otherwise 1e-4, which snnTorch writes.
        writer: "snntorch" or "other"; None: told by the file's values.
        refractory: steps for which a spike held its neuron in training, for which NIR has no word; a reset is then at
            once, as a late one would fall into them for the same spikes. What Pumice wrote says it itself.

    Raises:
        PumiceError: a file that cannot be read, or that holds what Pumice cannot hold; names the node.
    """
    for name, value, known in (("reset", reset, RESETS), ("writer", writer, WRITERS)):
        if value not in (None, *known):
            raise PumiceError(f"nir.{name}={value} is unknown; use one of: {', '.join(known)}, or null")
    if isinstance(refractory, bool) or not isinstance(refractory, int) or not 0 <= refractory <= MOST_REFRACTORY:
        raise PumiceError(f"nir.refractory={refractory} is no number of steps from 0 to {MOST_REFRACTORY}")
    graph = read_graph(path)
    if is_own(graph):
        settings, own = read_own(graph, FORMAT_VERSION)
        return Imported(settings, own, ("written by Pumice, with nodes of its own namespace",))
    if "pumice" in graph.metadata:
        model = read_model(path)
        state = {name: values.numpy() for name, values in model.state_dict().items()}
        held = f", refractory {model.config.refractory}" if model.config.refractory else ""
        told = f"written by Pumice: reset {model.config.reset}{held}, as it says"
        return Imported(asdict(model.config), state, (told,))
    step, layers = DT if dt is None else dt, read_chain(graph)
    by_snntorch = writer == SNNTORCH or (writer is None and _is_snntorch(layers))
    resets, notes = _resets(layers, reset, by_snntorch)
    if refractory:
        resets = [LATE_RESETS.get(one, one) for one in resets]
        notes.append(f"a spike holds its neuron for {refractory} steps, as nir.refractory says: NIR has no word for it")
    found = [f"neurons reset {MEANING[one]}" for one in dict.fromkeys(resets)]
    if len(found) > 1:
        found = [f"layer {number}: {MEANING[one]}" for number, one in enumerate(resets)]
    notes.insert(0, f"{', '.join(found)}; a step is {step:g} s; a spike is above the threshold")
    network = _imported(graph, layers, step, resets, notes)
    return replace(network, settings=network.settings | {"refractory": refractory})


MEANING = {
    "zero": "to zero in the step of the spike",
    "subtract": "by their threshold in the step of the spike",
    "late-zero": "to zero in the step after the spike, whose input is lost",
    "late-subtract": "by their threshold in the step after the spike",
}


def _is_snntorch(layers: Sequence[Layer]) -> bool:
    """Whether time constants and gains are as snnTorch 1.0 writes them: r = tau / 1e-4, and no leak to other values."""
    return all(
        np.all(np.isfinite(layer.tau)) and np.all(np.abs(layer.gain(DT) - 1) < NEARLY) and not layer.v_leak.any()
        for layer in layers
        if layer.threshold is not None
    )


def _resets(layers: Sequence[Layer], reset: str | None, by_snntorch: bool) -> tuple[list[str], list[str]]:
    """What a spike does, by layer, in Pumice's words, and what is to be told of how that is known."""
    cells = [layer for layer in layers if layer.threshold is not None]
    told = [SNNTORCH_NOTE] if by_snntorch else []
    if reset is None:
        taken = "subtract, snnTorch's default" if by_snntorch else "zero, NIR's own equation"
        told.append(
            f"the file does not record the reset of its training; {taken}, was taken: neurons trained with another "
            "give other spikes; say which by nir.reset"
        )
    meant = reset or ("subtract" if by_snntorch else "zero")
    if not by_snntorch or meant not in ("subtract", "zero"):
        return [meant] * len(cells), told
    return ["late-subtract" if meant == "subtract" else "late-zero" if _is_late(own) else "zero" for own in cells], told


def _is_late(layer: Layer) -> bool:
    """Whether snnTorch's reset to zero of such neurons (RLeaky, Synaptic, RSynaptic) acts a step later."""
    return layer.recurrent is not None or layer.tau_syn is not None


def _imported(graph: Graph, layers: Sequence[Layer], dt: float, resets: list[str], told: list[str]) -> Imported:
    cells = [layer for layer in layers if layer.threshold is not None]
    if not cells:
        raise PumiceError(f"{graph.path} has no LIF neurons; Pumice imports networks that spike")
    thresholds = np.concatenate([layer.threshold for layer in cells if layer.threshold is not None])
    low = thresholds.min()
    if low <= 0:
        raise PumiceError(f"{graph.path}: a threshold is {low:g}; neurons need one above 0, so that they can be silent")
    shared = float(low) if np.all(thresholds == low) else None
    recurrent = any(layer.recurrent is not None for layer in cells)
    filtered = any(layer.tau_syn is not None for layer in cells)
    taus = [_steps(graph, layer, layer.tau, dt) for layer in cells]
    synapses = [
        np.full(len(layer.tau), NEVER_KEPT) if layer.tau_syn is None else _steps(graph, layer, layer.tau_syn, dt)
        for layer in cells
    ]
    bounds, ranges = _bounds(taus), _bounds(synapses)
    state: dict[str, np.ndarray] = {}
    for index, (layer, tau, synapse) in enumerate(zip(cells, taus, synapses, strict=True)):
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
        if filtered:
            state |= _places(f"cells.{index}.tau_i", synapse, ranges)
    if not shared:
        told.append("thresholds differ: each neuron's weights were divided by its own, which is 1 now")
    last, width = layers[-1], len(taus[-1])
    if last.threshold is None:
        tau = _steps(graph, last, last.tau, dt)
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
        "cell": "cuba-lif" if filtered else "lif",
        "layers": len(cells),
        "hidden": tuple(len(tau) for tau in taus),
        "recurrent": recurrent,
        "reset": resets[0] if len({*resets}) == 1 else tuple(resets),
        "rise": "one",
        "tau_u": _limits(bounds),
        **({"tau_i": _limits(ranges)} if filtered else {}),
        "tau_out": _limits(ends),
        "threshold": shared or 1.0,
        "aggregation": "mean",
    }
    return Imported(settings, {name: values.astype(np.float32) for name, values in state.items()}, tuple(told))


def _driven(layer: Layer, dt: float, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Weights, bias and recurrent weights of what a step adds to the potential, in units of ``unit`` (H,)."""
    gain = layer.gain(dt) / unit
    back = None if layer.recurrent is None else layer.recurrent * gain[:, None]
    return layer.weight * gain[:, None], layer.bias * gain + dt / layer.tau * layer.v_leak / unit, back


def _steps(graph: Graph, layer: Layer, tau: np.ndarray, dt: float) -> np.ndarray:
    """Time constants (H,) in steps, from seconds: 1 - dt / tau = exp(-1 / steps); infinite without a leak."""
    alpha = 1 - dt / tau
    wrong = alpha <= 0
    if wrong.any():
        raise graph.refusal(
            layer.name, f"has a time constant of {tau[wrong][0]:g} s, not above a step of {dt:g} s; check nir.dt"
        )
    return np.divide(-1, np.log(alpha), where=alpha < 1, out=np.full(len(tau), np.inf))


def _bounds(taus: Sequence[np.ndarray]) -> tuple[float, float]:
    every = np.concatenate(taus).astype(np.float32)  # what differs less is one time constant
    return float(every.min()), float(every.max())


def _limits(bounds: tuple[float, float]) -> tuple[float | None, float | None]:
    """The range as a setting."""
    low, high = (None if bound == np.inf else bound for bound in bounds)
    return low, high


def _places(name: str, tau: np.ndarray, bounds: tuple[float, float]) -> dict[str, np.ndarray]:
    """Where time constants lie in their range, as `TimeConstant` keeps them."""
    low, high = bounds
    if low == high:
        return {}
    places = 1 - low / tau if high == np.inf else (tau - low) / (high - low)
    return {f"{name}.p": np.clip(places, 0, 1)}
