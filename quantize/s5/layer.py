"""The quantizers of one layer, and its fake-quantized weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import PumiceError
from ...models.modules import ModuleDict
from ...models.s5.layer import EventLayer
from ...models.s5.norm import LAYER_NORM_EPSILON
from ...program.formats import Format
from ..codes import largest_frac
from ..config import Widths
from ..decays import decay_table, gap_digits
from ..operations import LayerNormTerms
from ..output import Output
from ..quantizers import UNSET, QuantActivation, TensorQuantizer, clipped, edge_format, fracs_of, set_edge, set_fracs
from ..scan import DecayTable
from ..straight_through import quantize_bias
from .exponents import Folded, layer_fracs, mode_rows, tick_rate
from .fold import FoldedLinear, FoldedNorm, exact_layer, fold_layer
from .formats import Geometry, LayerFormats, LayerFracs
from .network import QuantizedLayer
from .observe import LayerObserver


class QuantLayer(nn.Module):
    """One layer's quantizers. Its parameters belong to the float layer.

    Args:
        layer: the float layer, whose parameters it reads.
        geometry: where it lies.
        widths: of its tensors.
        method: of the weights' exponents.
        output: what follows its state space.
    """

    state_frac: Tensor

    def __init__(self, layer: EventLayer, geometry: Geometry, widths: Widths, method: str, output: Output[Any]) -> None:
        super().__init__()
        self._layer = (layer,)  # not a submodule: its parameters belong to the float model
        self.geometry = geometry
        self.widths = widths
        self.method = method
        self.output = output
        modes, inputs = layer.ssm.B.shape[:2]
        outputs = len(layer.ssm.C)
        edges = {"u": widths.activation, "output": widths.residual}
        edges |= {name: getattr(widths, width) for name, width in output.edges.items()}
        shapes = {"input": (modes, 2 * inputs), "output": (outputs, 2 * modes), "gate": layer.mixing.weight.shape}
        shapes["feedthrough"] = (outputs, layer.ssm.D.shape[1] if layer.ssm.D.dim() == 2 else 1)
        if layer.skip is not None:
            edges["skip"] = widths.residual
            shapes["skip"] = (outputs, inputs)
        if layer.norm.__class__ is not nn.LayerNorm:
            shapes["norm"] = (inputs, 1)
        self.edges = ModuleDict({name: QuantActivation(width) for name, width in edges.items()})
        self.weights = ModuleDict(
            {name: TensorQuantizer(shape, getattr(widths, name)) for name, shape in shapes.items()}
        )
        self.register_buffer("state_frac", torch.full((modes,), UNSET, dtype=torch.int64))

    @property
    def layer(self) -> EventLayer:
        """The float layer."""
        return self._layer[0]

    def formats(self, input: Format) -> LayerFormats:
        """Formats of the layer's edges.

        Raises:
            PumiceError: the layer is not calibrated.
        """
        path, widths = self.geometry.path, self.widths
        if (self.state_frac == UNSET).any():
            raise PumiceError(f"{path} is not calibrated; calibrate the model before it runs quantized")
        edges = {name: edge_format(quantizer, f"{path}.{name}") for name, quantizer in self.edges.items()}
        return LayerFormats(
            input=input,
            u=edges["u"],
            out=self.output.formats(edges),
            skip=edges.get("skip"),
            output=edges["output"],
            state_width=widths.state,
            state_frac=self.state_frac.cpu().numpy().astype(np.int64),
            read_shift=widths.state - widths.read,
        )

    def set_formats(self, seen: LayerObserver, method: str, headroom: int) -> None:
        """Take the exponents of activations and states from what calibration saw."""
        for name, quantizer in self.edges.items():
            wide = name in ("skip", "output", *self.output.wide)
            method_of, spare = ("max", headroom) if wide else (method, 0)
            set_edge(quantizer, seen.edges[name].frac(quantizer.width, True, method_of, spare), self.geometry.path)
        self.output.settle(self.edges)
        width = self.widths.state
        highest = (1 << (width - 1 - headroom)) - 1
        self.state_frac.copy_(torch.from_numpy(largest_frac(seen.states.largest.numpy(), highest, width - 2)))

    def folded(self) -> Folded:
        """The folded weights as float64 arrays.

        Raises:
            PumiceError: NaN or infinite weights.
        """
        return exact_layer(self.layer, self.geometry.path)

    def fracs(self, formats: LayerFormats, folded: Folded | None) -> LayerFracs:
        """Exponents of the weights: of ``folded``, or, where None, those that were set before."""
        if folded is not None:
            fracs = layer_fracs(folded, self.geometry, formats, self.widths, self.method)
            set_fracs(self.weights, fracs.by_weight())
            return fracs
        set_before = fracs_of(self.weights)
        return LayerFracs(
            multiplier=set_before.get("norm"),
            input=set_before["input"],
            output=set_before["output"],
            feedthrough=set_before["feedthrough"],
            gate=set_before["gate"],
            skip=set_before.get("skip"),
        )

    def clipped_weights(self) -> dict[str, int]:
        """How many entries of each weight lie beyond the range of their codes, at the exponents last set."""
        folded = self.folded()
        matrices = {
            "input": mode_rows(folded.input),
            "output": np.ldexp(folded.output, np.tile(-self._read_frac(), 2)),
            "gate": folded.gate,
            "feedthrough": folded.feedthrough.reshape(len(folded.bias), -1),
        }
        if folded.norm is not None:
            matrices["norm"] = folded.norm.multiplier[:, None]
        if folded.skip is not None:
            matrices["skip"] = folded.skip.weight
        return {
            name: clipped(matrices[name], frac, getattr(self.widths, name))
            for name, frac in fracs_of(self.weights).items()
        }

    def _read_frac(self) -> np.ndarray:
        """Fractional bits of what C reads, (P,)."""
        return self.state_frac.cpu().numpy() - (self.widths.state - self.widths.read)

    def quantized(self, formats: LayerFormats, frozen_scales: bool, tick_ms: float) -> QuantizedLayer:
        """Fake-quantized weights, with gradients to the float layer's parameters."""
        dtype, device = self.layer.mixing.weight.dtype, self.layer.mixing.weight.device
        exact = self.folded()
        fracs = self.fracs(formats, None if frozen_scales else exact)
        f = fold_layer(self.layer, dtype)
        state_unit = torch.exp2(self.state_frac.double()).to(dtype)

        def tensor(fracs: np.ndarray) -> Tensor:
            return torch.from_numpy(np.asarray(fracs)).to(device)

        rows = self.weights["input"](torch.cat(f.input.chunk(2), dim=1)) * state_unit.unsqueeze(1)
        drive_frac = tensor(fracs.input + formats.u.frac).repeat(2)
        drive_bias = quantize_bias(f.input_bias, drive_frac) * state_unit.repeat(2)
        read_frac = torch.from_numpy(self._read_frac()).to(device)
        read_unit = torch.exp2(-read_frac.double()).to(dtype).repeat(2)
        through = self.weights["feedthrough"](f.feedthrough.reshape(len(f.bias), -1))
        u_frac = self.geometry.pooled(formats.u).frac
        y_frac = np.maximum(fracs.output + formats.read.frac, fracs.feedthrough + u_frac)
        norm: LayerNormTerms | FoldedNorm[Tensor]
        if f.norm is not None and fracs.multiplier is not None:
            norm = FoldedNorm(
                self.weights["norm"](f.norm.multiplier.unsqueeze(1)).squeeze(1),
                quantize_bias(f.norm.offset, tensor(fracs.multiplier + formats.input.frac)),
            )
        else:
            size = f.input.shape[1]
            norm = LayerNormTerms.of(size, formats.input, LAYER_NORM_EPSILON)
        skip = None
        if f.skip is not None and fracs.skip is not None:
            x_frac = self.geometry.pooled(formats.input).frac
            skip = FoldedLinear(
                self.weights["skip"](f.skip.weight), quantize_bias(f.skip.bias, tensor(fracs.skip + x_frac))
            )
        gate_frac = tensor(fracs.gate + formats.out.mixes.frac)
        weights = self.weights["gate"](f.gate), quantize_bias(f.gate_bias, gate_frac)
        rate = tick_rate(exact, tick_ms)
        table = decay_table(rate, gap_digits(rate, formats.state_width), self.widths.decay, formats.state_width)
        return QuantizedLayer(
            geometry=self.geometry,
            formats=formats,
            norm=norm,
            drive=torch.cat(rows.chunk(2, dim=1)),
            drive_bias=drive_bias,
            table=DecayTable(*(tensor(codes.astype(np.int64)) for codes in table)),
            rate=f.rate * tick_ms,
            output=self.weights["output"](f.output * read_unit),
            feedthrough=through.squeeze(1) if f.feedthrough.dim() == 1 else through,
            bias=quantize_bias(f.bias, tensor(y_frac)),
            out=self.output.quantized(formats.out, weights, self.edges, self.widths, self.layer.dropout),
            skip=skip,
            dropout=self.layer.dropout,
            quantizers=self.edges,
        )
