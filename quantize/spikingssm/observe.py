"""Calibration: the float model over every step, and what its edges and states reach."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ...models.spikingssm.convolution import states
from ...models.spikingssm.layer import Block
from ...models.spikingssm.network import SpikingSSM
from ...train.data.inputs import Inputs
from ..observers import Histogram, InputObserver, Peaks
from .formats import block_path
from .output import SpikingChannels

CHUNK = 1 << 22
"""Numbers of states that are held at once."""


class BlockObserver:
    """What the edges of a block and its modes reach."""

    def __init__(self, path: str, modes: int) -> None:
        names = ("u", "current", "y", "gate", "total", "output")
        self.edges = {name: Histogram(f"{path}.{name}") for name in names}
        self.states = Peaks(modes, f"the state of {path}")


class NetworkObserver:
    """What the edges of a network reach.

    Args:
        modes: of all channels of a block together.
        blocks: how many there are.
    """

    def __init__(self, modes: int, blocks: int) -> None:
        self.input = InputObserver()
        self.edges = {"embedded": Histogram("the encoder's output"), "readout": Histogram("the read-out")}
        self.blocks = [BlockObserver(block_path(number), modes) for number in range(blocks)]


@torch.no_grad()
def observe(model: SpikingSSM, output: SpikingChannels, observer: NetworkObserver, inputs: Inputs) -> None:
    """Run the float network on a batch and let ``observer`` see every real step."""
    if model.config.vocab is None:
        observer.input.update(inputs.values[real_steps(inputs)])
    else:
        observer.edges["embedded"].update(model.embedding.weight)
    height = model.config.d_model * model.config.d_state * inputs.values.shape[1]
    at_once = max(1, CHUNK // max(height, 1))
    for start in range(0, len(inputs.lengths), at_once):
        some = slice(start, start + at_once)
        _observe(model, output, observer, Inputs(inputs.values[some], None, inputs.lengths[some]))


def _observe(model: SpikingSSM, output: SpikingChannels, observer: NetworkObserver, inputs: Inputs) -> None:
    real = real_steps(inputs)
    h = model.encode(inputs.values if model.config.vocab is None else torch.where(real, inputs.values, 0))
    if model.config.vocab is None:
        observer.edges["embedded"].update(h[:, real])
    for block, seen in zip(model.blocks, observer.blocks, strict=True):
        for name, value in block_values(block, output, h):
            if name == "states":
                seen.states.update(torch.cat([value.real, value.imag], dim=2)[real])
            elif name in seen.edges:
                seen.edges[name].update(value[:, real])
            if name in output.wide:
                seen.edges[name].update(output.reach(value[:, real]))
            h = value if name == "output" else h
    counts = inputs.lengths.clamp(min=1).to(h.dtype)
    observer.edges["readout"].update((h * real).sum(2) / counts)


def block_values(block: Block, output: SpikingChannels, h: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What a block holds for the residual stream h (H, B, T), by the names of its nodes and edges, (H, B, T) each.

    ``states`` are (B, T, M H) complex. ``output`` comes last.
    """
    layer = block.layer
    u = block.before(h)
    yield "u", u
    modes = layer.kernel.discrete(layer.neuron.scale())
    x = states(modes, u)
    yield "states", x.permute(1, 2, 3, 0).flatten(2)
    current = 2 * torch.einsum("hblm,hm->hbl", x, modes.C).real + modes.D.reshape(-1, 1, 1) * u
    gated = current
    for name, value in output.values(layer, current):
        gated = value
        yield name, value
    total = h + gated
    yield "total", total
    yield "output", block.after(total)


def real_steps(inputs: Inputs) -> Tensor:
    """Which steps of a batch are no padding, (B, T) bool."""
    return torch.arange(inputs.values.shape[1], device=inputs.lengths.device) < inputs.lengths.unsqueeze(1)
