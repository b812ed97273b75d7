"""`QuantAdLIF`: the float network with every tensor fake-quantized, from calibration to freezing."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from ...errors import PumiceError
from ...models.adlif.blocks import aggregate
from ...models.adlif.cells import SpikingCell
from ...models.adlif.network import AdLIFNetwork
from ...program.formats import Format
from ...program.nodes import SPIKES, Node
from ...train.data.inputs import Inputs, Timing
from ..config import QuantizationConfig
from ..qat_model import QATModel
from ..quantizers import InputQuantizer
from .cell import QuantCell
from .derive import input_node, logits_node
from .formats import CellFormats
from .frozen import FrozenAdLIF
from .network import QuantizedNetwork, run_network
from .observe import NetworkObserver, observe
from .readout import QuantReadout

LIF_WIDTHS = ("synapses", "constant", "potential")
CELL_WIDTHS = (*LIF_WIDTHS, "adaptation")
READOUT_WIDTHS = ("decoder", "constant", "residual")


class QuantAdLIF(QATModel[AdLIFNetwork, NetworkObserver, FrozenAdLIF]):
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
        cells = [cell for cell in model.cells if isinstance(cell, SpikingCell)]
        if len(cells) < len(model.cells):
            raise PumiceError(not_spiking(model.config.cell))
        paths = [f"cells.{number}" for number in range(len(cells))]
        known = CELL_WIDTHS if model.config.cell != "lif" else LIF_WIDTHS
        config.check_layers({**dict.fromkeys(paths, known), QuantReadout.path: READOUT_WIDTHS})
        method = config.calibration.method
        self.input = InputQuantizer()
        self.cells = nn.ModuleList(
            QuantCell(cell, number, config.layer(path), method)
            for number, (cell, path) in enumerate(zip(cells, paths, strict=True))
        )
        self.readout = QuantReadout(model.readout, config.layer(QuantReadout.path), method)

    def observer(self) -> NetworkObserver:
        """See `QATModel.observer`."""
        return NetworkObserver(len(self.cells))

    def observe(self, observer: NetworkObserver, inputs: Inputs) -> None:
        """See `QATModel.observe`."""
        observe(self.model.eval(), observer, inputs.values, inputs.lengths)

    def set_formats(self, observer: NetworkObserver) -> None:
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
        potentials = run_network(self.quantized(), inputs, training=self.training)
        return aggregate(potentials, blocks, count, self.model.config.aggregation)

    def constrain(self) -> None:
        """Bring parameters back into their ranges; called after each optimizer step."""
        self.model.constrain()

    def quantized(self) -> QuantizedNetwork:
        """See `QATModel.quantized`."""
        frozen = bool(self.scales_frozen)
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
        frozen, config = bool(self.scales_frozen), self.model.config
        source: Node = input_node(self.input.format, config.in_features)
        yield source
        for cell, formats in zip(self.cells, self.formats(), strict=True):
            source = cell.node(source.name, formats, frozen)
            yield source
        yield self.readout.node(source.name, frozen)
        yield logits_node(self.readout.format, config.num_classes)

    def _frozen(self, nodes: tuple[Node, ...]) -> FrozenAdLIF:
        return FrozenAdLIF(nodes, self.model.config.aggregation)


def not_spiking(cell: str) -> str:
    """Why a network of this cell cannot be quantized."""
    return f"model.cell={cell} has no spiking neurons and cannot be quantized; use lif, ef-adlif or se-adlif"
