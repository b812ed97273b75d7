"""Layouts of networks of time steps: SpikingSSM, and adaptive LIF networks."""

from __future__ import annotations

from collections.abc import Sequence

from ....errors import PumiceError
from ....models.adlif.config import AdLIFConfig
from ....models.spikingssm.config import SpikingSSMConfig
from .events import norm_of, source_of
from .layout import Layout

EPSILON = 1e-5
NEURONS = {"lif": "LIF", "cuba-lif": "CubaLIF", "ef-adlif": "AdLIF", "se-adlif": "AdLIF"}


def spikingssm_layout(config: SpikingSSMConfig, names: Sequence[str]) -> Layout:
    """Of a `SpikingSSM`: state space, neurons and gated product of each block, with the norm where the settings say.

    Raises:
        PumiceError: it compares pairs of sequences.
    """
    if config.head != "mean":
        raise PumiceError("a model that compares pairs of sequences (head=retrieval) has no form in NIR")
    layout = Layout(names)
    x = source_of(layout, config.vocab)
    for number in range(config.layers):
        prefix = f"blocks.{number}"
        before = config.norm_placement == "pre"
        u = norm_of(layout, f"{prefix}.norm", config.norm, x, EPSILON) if before else x
        y = layout.add(f"{prefix}.layer.kernel", "ChannelSSM", u)
        z = layout.add(f"{prefix}.layer.neuron", "ThresholdLIF", y, tau=config.tau, inference=config.inference)
        x = [*layout.add(f"{prefix}.layer.output", "GLU", z), *x]
        if config.norm_placement == "post":
            x = norm_of(layout, f"{prefix}.norm", config.norm, x, EPSILON)
    return layout.finish(layout.put("read_out", "ReadOut", layout.add("decoder", "Affine", x), head=config.head))


def adlif_layout(config: AdLIFConfig, names: Sequence[str]) -> Layout:
    """Of an `AdLIFNetwork`: product, neurons and their recurrence of each layer, then Affine and LI."""
    layout = Layout(names, ("readout.linear.bias", "readout.linear.weight", "readout.tau.p"))
    x = layout.put("input", "Input", [])
    for number in range(config.layers):
        prefix = f"cells.{number}"
        x = layout.add(f"{prefix}.lstm", "LSTM", x) if config.cell == "lstm" else _neurons(layout, config, number, x)
    x = layout.put("readout_input", "Affine", x)
    return layout.finish(layout.put("readout", "LI", x))


def _neurons(layout: Layout, config: AdLIFConfig, number: int, x: list[str]) -> list[str]:
    prefix, name = f"cells.{number}", f"cells_{number}"
    x = layout.add(f"{prefix}.input", "Affine", x)
    back = [f"{name}.w_rec"] if config.recurrent else []
    if back:
        layout.put(back[0], "Linear", [name], {"weight": f"{prefix}.recurrent"})
    second = {"lif": {}, "cuba-lif": {"tau_i": config.tau_i}}.get(config.cell, {"tau_w": config.tau_w})
    ranges = {"tau_u": config.tau_u, **second}
    told = {f"{key}_{end}": bounds[i] for key, bounds in ranges.items() for i, end in enumerate(("min", "max"))}
    adapted = {"order": config.cell.partition("-")[0], "q": config.q} if "adlif" in config.cell else {}
    reset = config.reset if isinstance(config.reset, str) else config.reset[number]
    neurons = {"threshold": config.threshold, "reset": reset, "rise": config.rise, "refractory": config.refractory}
    return layout.add(prefix, NEURONS[config.cell], [*x, *back], **neurons, **adapted, **told)
