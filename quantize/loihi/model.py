"""`QuantLoihi`: a float network of LIF neurons in Loihi's arithmetic, from calibration to freezing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ...errors import PumiceError
from ...models.adlif.blocks import aggregate
from ...models.adlif.network import AdLIFNetwork
from ...models.modules import ModuleList
from ...models.scan.neuron_step import Spiking
from ...program.formats import Format
from ...program.nodes import SPIKES, Node
from ...train.data.inputs import Inputs, Timing
from ..config import QuantizationConfig
from ..nodes import dense_input, readout_node
from ..quantizers import InputQuantizer
from ..spiking import READOUT, SpikingObserver, SpikingQATModel, cell_name, cell_path, spiking_cells
from .frozen import FrozenLoihi
from .layer import QuantLoihiLayer, Source
from .network import GAIN, LOGITS, OUTPUT, QuantizedNetwork, run_network

MOST_BITS = 8
EXTRA_BITS = 12  # of the program's logits, spikes a step
THRESHOLD_SHARE = 0.25
"""Threshold of the output layer as a share of the leading class's mean potential: a few spikes a time constant."""


class LoihiObserver(SpikingObserver):
    """As `SpikingObserver`; also the mean over steps of the largest potential of the read-out, where it is positive."""

    def __init__(self, layers: int) -> None:
        super().__init__(layers)
        self.leading = torch.zeros(2, dtype=torch.float64)  # sum and number

    def run(self, model: AdLIFNetwork, inputs: Inputs) -> Tensor:
        """See `SpikingObserver.run`."""
        potentials = super().run(model, inputs)
        leading = potentials.double().amax(-1)
        leading = leading[leading > 0]
        self.leading += torch.tensor([float(leading.sum()), len(leading)], dtype=torch.float64)
        return potentials


class QuantLoihi(SpikingQATModel[LoihiObserver, FrozenLoihi]):
    """The QAT model of an `AdLIFNetwork` of LIF cells for Loihi; see `QATModel`.

    The leaky integrators of the read-out become a layer of neurons of the same weights and decay, which spike: the
    class is the neuron that spikes most often.

    Args:
        model: the float model, which it keeps.
        config: width of the synapses, and calibration.
        timing: of the input, by regular steps.

    Raises:
        PumiceError: cells that Loihi's neurons are not, or widths that the chip does not have.
    """

    def __init__(self, model: AdLIFNetwork, config: QuantizationConfig, timing: Timing) -> None:
        super().__init__(model, config, timing)
        refusal = neuron_refusal(model.config.cell, model.config.reset, model.config.refractory)
        if refusal:
            raise PumiceError(refusal)
        self.paths = paths = [*(cell_path(number) for number in range(len(model.cells))), READOUT]
        self.has_layers(dict.fromkeys(paths, ("synapses",)))
        widths = [*model.config.widths, model.config.num_classes]
        for path in paths:
            bits = config.layer(path).synapses
            if bits > MOST_BITS:
                raise PumiceError(f"{path} has synapses of {bits} bits, Loihi's have up to {MOST_BITS}; narrow them")
        self.input = InputQuantizer()
        self.layers = ModuleList(
            QuantLoihiLayer(width, config.layer(path).synapses, path, bool(config.shared_param))
            for path, width in zip(paths, widths, strict=True)
        )

    def observer(self) -> LoihiObserver:
        """See `QATModel.observer`."""
        return LoihiObserver(len(self.model.cells))

    def set_formats(self, observer: LoihiObserver) -> None:
        """See `QATModel.set_formats`.

        Raises:
            PumiceError: it saw no step, or inputs that are no spikes or counts.
        """
        self.input.format = count_format(observer)
        total, number = observer.leading.tolist()
        threshold = self._spiking.threshold
        thresholds = [threshold] * len(self.model.cells) + [THRESHOLD_SHARE * total / number if number else 1.0]
        peaks = [peak.largest or 0.0 for peak in (*observer.potentials, observer.readout)]
        for layer, source, threshold, peak in zip(self.layers, self.sources(), thresholds, peaks, strict=True):
            layer.set_scale(source, threshold, peak / threshold, self.config.calibration.method)

    def sources(self) -> list[Source]:
        """The float parameters of the layers, the read-out last."""
        readout = self.model.readout
        cells = spiking_cells(self.model)
        leaks = self.model.config.rise == "leak"
        sources = [
            Source(cell.input.weight, cell.input.bias, cell.recurrent, cell.tau_u.decay(), leaks) for cell in cells
        ]
        none = readout.linear.weight[:, :0]
        return [*sources, Source(readout.linear.weight, readout.linear.bias, none, readout.tau.decay(), leaks)]

    @property
    def _spiking(self) -> Spiking:
        """That of every layer."""
        return spiking_cells(self.model)[0].spiking

    def names(self) -> list[str]:
        """The program's names of the layers."""
        return [*(cell_name(number) for number in range(len(self.model.cells))), OUTPUT]

    def forward(self, inputs: Tensor, blocks: Tensor, count: int) -> Tensor:
        """Logits (B, N, C); arguments as `AdLIFNetwork.forward`, the logits of `FrozenLoihi`."""
        self.count_batch()
        spikes = run_network(self.quantized(), inputs, training=self.training, record=self.recorder)
        return GAIN * aggregate(spikes, blocks, count, "mean")

    def quantized(self) -> QuantizedNetwork:
        """See `QATModel.quantized`."""
        layers = zip(self.names(), self.layers, self.sources(), strict=True)
        return QuantizedNetwork(
            input=self.input.format,
            layers={name: layer.quantized(source) for name, layer, source in layers},
            slope=self._spiking.slope,
            scale=self._spiking.scale,
            dropout=self.model.config.dropout,
        )

    def taught_logits(self, logits: Tensor) -> Tensor:
        """See `QATModel.taught_logits`: a share of the steps for a class in place of their number, and ``GAIN`` times.

        Where the float model's logits are mean potentials they stay what they are.
        """
        if self.model.config.aggregation != "softmax":
            return logits
        return GAIN * logits / logits.sum(-1, keepdim=True).clamp(min=1.0)

    def least_bits(self) -> int:
        """See `QATModel.least_bits`."""
        return min(layer.bits for layer in self.layers)

    def _nodes(self) -> Iterator[Node]:
        config = self.model.config
        source: Node = dense_input(self.input.format, config.in_features)
        yield source
        for name, layer, floats in zip(self.names(), self.layers, self.sources(), strict=True):
            source = layer.node(name, source.name, source.output, floats)
            yield source
        output = Format(EXTRA_BITS + 1, False, EXTRA_BITS)
        yield readout_node(LOGITS, (source.name,), SPIKES, output, config.num_classes, "mean")

    def _frozen(self, nodes: tuple[Node, ...]) -> FrozenLoihi:
        return FrozenLoihi(nodes)


LACKS = {
    "lstm": "is no spiking neuron",
    "cuba-lif": "has a synaptic current, which Loihi's LIF neurons are given none of here",
}


def neuron_refusal(cell: str, reset: str | Sequence[str], refractory: int) -> str | None:
    """Why neurons cannot run in Loihi's arithmetic; None where they can."""
    if cell != "lif":
        what = LACKS.get(cell, "has an adaptation, which Loihi's LIF neurons lack")
        return f"model.cell={cell} {what}; train model.cell=lif, or quantize with a preset other than loihi"
    if {*([reset] if isinstance(reset, str) else reset)} != {"zero"}:
        return (
            f"model.reset={reset}, and Loihi's LIF neurons reset to zero at once; train model.reset=zero, or quantize "
            "with a preset other than loihi"
        )
    if refractory:
        return (
            f"model.refractory={refractory}, and Lava's fixed-point LIF neurons have no refractory time; train "
            "model.refractory=0, or quantize with a preset other than loihi"
        )
    return None


def count_format(observer: SpikingObserver) -> Format:
    """The narrowest format of the spikes or counts that calibration saw.

    Raises:
        PumiceError: it saw no step, or values that are not whole.
    """
    seen = observer.input
    if seen.values.exponent is None:
        raise PumiceError("calibration saw no step; give it samples that are not empty")
    if not seen.whole:
        raise PumiceError("Loihi's neurons take spikes or counts, but the input holds fractions; choose another preset")
    signed = seen.least < 0
    most = int(max(seen.most, -seen.least - 1, 1))
    return Format(most.bit_length() + signed, signed, 0)
