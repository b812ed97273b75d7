"""`QuantAdLIF`: the float network with every tensor fake-quantized, from calibration to freezing."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from ...errors import PumiceError
from ...models.adlif.blocks import aggregate
from ...models.adlif.network import AdLIFNetwork
from ...models.modules import ModuleList
from ...program.formats import Format
from ...program.nodes import SPIKES, Node
from ...train.data.inputs import Timing
from ..config import QuantizationConfig
from ..nodes import dense_input
from ..quantizers import InputQuantizer
from ..spiking import READOUT, SpikingObserver, SpikingQATModel, cell_path, spiking_cells
from .cell import QuantCell
from .derive import logits_node
from .formats import CellFormats
from .frozen import FrozenAdLIF
from .network import QuantizedNetwork, run_network
from .readout import QuantReadout

LIF_WIDTHS = ("synapses", "constant", "potential")
CELL_WIDTHS = (*LIF_WIDTHS, "adaptation")
READOUT_WIDTHS = ("decoder", "constant", "residual")


class QuantAdLIF(SpikingQATModel[SpikingObserver, FrozenAdLIF]):
    """The QAT model of an `AdLIFNetwork`; see `QATModel`.

    Args:
        model: the float model, which it keeps.
        config: widths and calibration.
        timing: of the input, by regular steps.

    Raises:
        PumiceError: cells that do not spike, or widths of layers that the model does not have.
    """

    def __init__(self, model: AdLIFNetwork, config: QuantizationConfig, timing: Timing) -> None:
        super().__init__(model, config, timing)
        cells = spiking_cells(model)
        paths = [cell_path(number) for number in range(len(cells))]
        known = CELL_WIDTHS if model.config.cell != "lif" else LIF_WIDTHS
        self.has_layers({**dict.fromkeys(paths, known), QuantReadout.path: READOUT_WIDTHS})
        method = self.config.calibration.method
        self.input = InputQuantizer()
        self.cells = ModuleList(
            QuantCell(cell, number, config.layer(path), method)
            for number, (cell, path) in enumerate(zip(cells, paths, strict=True))
        )
        self.readout = QuantReadout(model.readout, config.layer(QuantReadout.path), method)

    output_node = READOUT

    def observer(self) -> SpikingObserver:
        """See `QATModel.observer`."""
        return SpikingObserver(len(self.cells))

    def set_formats(self, observer: SpikingObserver) -> None:
        """See `QATModel.set_formats`; it needs at least one step."""
        calibration = self.config.calibration
        format = observer.input.format(self.config.widths.dense_input, calibration.method)
        if format is None:
            raise PumiceError("calibration saw no step; give it samples that are not empty")
        self.input.format = format
        for cell, u, w in zip(self.cells, observer.potentials, observer.adaptations, strict=True):
            cell.set_formats(u, w, calibration.headroom)
        self.readout.set_format(observer.readout, calibration.headroom)

    def formats(self) -> tuple[CellFormats, ...]:
        """Formats of the layers.

        Raises:
            PumiceError: the model is not calibrated.
        """
        inputs: list[Format] = [self.input.format, *[SPIKES] * (len(self.cells) - 1)]
        return tuple(cell.formats(format) for cell, format in zip(self.cells, inputs, strict=True))

    def forward(self, inputs: Tensor, blocks: Tensor, count: int) -> Tensor:
        """Logits (B, N, C); arguments as `AdLIFNetwork.forward`."""
        self.count_batch()
        potentials = run_network(self.quantized(), inputs, training=self.training, record=self.recorder)
        return aggregate(potentials, blocks, count, self.model.config.aggregation)

    def quantized(self) -> QuantizedNetwork:
        """See `QATModel.quantized`."""
        frozen = bool(self.held("scales_frozen"))
        weight, bias, decay = self.readout.quantized(frozen)
        return QuantizedNetwork(
            input=self.input.format,
            cells=tuple(
                cell.quantized(formats, frozen) for cell, formats in zip(self.cells, self.formats(), strict=True)
            ),
            weight=weight,
            bias=bias,
            decay=decay,
            readout=self.readout.format,
            dropout=self.model.config.dropout,
        )

    def _nodes(self) -> Iterator[Node]:
        frozen, config = bool(self.held("scales_frozen")), self.model.config
        source: Node = dense_input(self.input.format, config.in_features)
        yield source
        for cell, formats in zip(self.cells, self.formats(), strict=True):
            source = cell.node(source.name, formats, frozen)
            yield source
        yield self.readout.node(source.name, frozen)
        yield logits_node(self.readout.format, config.num_classes)

    def _frozen(self, nodes: tuple[Node, ...]) -> FrozenAdLIF:
        return FrozenAdLIF(nodes, self.model.config.aggregation)
