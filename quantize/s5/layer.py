"""The quantizers of one layer, and its fake-quantized weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import PumiceError
from ...models.modules import ModuleDict
from ...program.formats import Format
from ..codes import largest_frac
from ..config import Calibration, Widths
from ..operations import Affine, Dropout, LayerNormTerms, OwnNorm
from ..output import Output
from ..quantizers import UNSET, QuantActivation, TensorQuantizer, clipped, edge_format, fracs_of, set_edge, set_fracs
from ..scan import DecayTable
from ..straight_through import quantize_bias
from .equalization import decay_left, spare_bits
from .exponents import BETA_BITS, Folded, layer_decays, layer_fracs
from .fold import Fold, FoldedLayer, FoldedLinear, FoldedNorm, exact_layer
from .formats import GATE_NAMES, Geometry, LayerFormats, LayerFracs, gate_names, weight_width
from .network import QuantizedLayer
from .observe import LayerObserver
from .reading import BatchNormed, LayerNormed, Reading, gated


class QuantLayer(nn.Module):
    """One layer's quantizers. Its parameters belong to the float layer.

    Args:
        fold: folds the float layer, which keeps its parameters.
        geometry: where it lies, and what it is made of.
        widths: of its tensors.
        method: of the weights' exponents.
        output: what follows its state space.
        dropout: of the float layer.
    """

    state_frac: Tensor

    def __init__(
        self, fold: Fold, geometry: Geometry, widths: Widths, method: str, output: Output[Any], dropout: Dropout
    ) -> None:
        super().__init__()
        self.fold = fold
        self.geometry = geometry
        self.widths = widths
        self.method = method
        self.output = output
        self.dropout = dropout
        with torch.no_grad():
            matrices = weight_matrices(fold(torch.float64))
        edges = {"u": widths.activation, "output": widths.residual}
        edges |= {name: getattr(widths, width) for name, width in output.edges.items()}
        edges |= {name: widths.activation for name in GATE_NAMES if name in matrices}
        wide = {"skip": "skip" in matrices, "linear": geometry.inside, "total": geometry.after}
        edges |= {name: widths.residual for name, there in wide.items() if there}
        self.edges = ModuleDict({name: QuantActivation(width) for name, width in edges.items()})
        self.weights = ModuleDict(
            {
                name: TensorQuantizer(matrix.shape, getattr(widths, weight_width(name)), per_row=name != "gamma")
                for name, matrix in matrices.items()
            }
        )
        modes = len(matrices["input"])
        self.register_buffer("state_frac", torch.full((modes,), UNSET, dtype=torch.int64))

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
            read_shift=self.geometry.read_shift(widths.state, widths.read),
            linear=edges.get("linear"),
            total=edges.get("total"),
            gates=tuple(edges[name] for name in GATE_NAMES if name in edges),
        )

    def set_formats(self, seen: LayerObserver, calibration: Calibration, tick_ms: float) -> None:
        """Take the exponents of activations and states from what calibration saw."""
        method, headroom = calibration.method, calibration.headroom
        for name, quantizer in self.edges.items():
            wide = name in ("skip", "linear", "total", "output", *self.output.wide)
            method_of, spare = ("max", headroom) if wide else (method, 0)
            set_edge(quantizer, seen.edges[name].frac(quantizer.width, True, method_of, spare), self.geometry.path)
        self.output.settle(self.edges)
        width = self.widths.state
        highest = (1 << (width - 1 - headroom)) - 1
        peaks = seen.states.largest.numpy()
        frac = largest_frac(peaks, highest, width - 2)
        if calibration.equalize:
            frac = frac - self._spare_bits(frac, peaks, tick_ms)
        self.state_frac.copy_(torch.from_numpy(frac))

    def _spare_bits(self, frac: np.ndarray, peaks: np.ndarray, tick_ms: float) -> np.ndarray:
        folded, shift = self.folded(), self.geometry.read_shift(self.widths.state, self.widths.read)
        read = frac - shift
        columns = np.ldexp(folded.output, -np.tile(read, folded.parts))
        return spare_bits(columns, np.ldexp(peaks, read), decay_left(folded, tick_ms), shift, self.widths.output)

    def folded(self) -> Folded:
        """The folded weights as float64 arrays.

        Raises:
            PumiceError: NaN or infinite weights.
        """
        return exact_layer(self.fold, self.geometry.path)

    def fracs(self, formats: LayerFormats, folded: Folded | None) -> LayerFracs:
        """Exponents of the weights: of ``folded``, or, where None, those that were set before."""
        if folded is None:
            return LayerFracs.from_weights(fracs_of(self.weights))
        fracs = layer_fracs(folded, self.geometry, formats, self.widths, self.method)
        set_fracs(self.weights, fracs.by_weight())
        return fracs

    def clipped_weights(self) -> dict[str, int]:
        """How many entries of each weight lie beyond the range of their codes, at the exponents last set."""
        folded = self.folded()
        matrices = weight_matrices(folded)
        matrices["output"] = np.ldexp(folded.output, np.tile(-self._read_frac(), folded.parts))
        return {
            name: clipped(matrices[name], frac, getattr(self.widths, weight_width(name)))
            for name, frac in fracs_of(self.weights).items()
        }

    def _read_frac(self) -> np.ndarray:
        """Fractional bits of what C reads, (P,)."""
        return self.state_frac.cpu().numpy() - self.geometry.read_shift(self.widths.state, self.widths.read)

    def quantized(
        self, formats: LayerFormats, frozen_scales: bool, tick_ms: float, dtype: torch.dtype
    ) -> QuantizedLayer:
        """Fake-quantized weights in ``dtype``, with gradients to the float layer's parameters."""
        exact = self.folded()
        fracs = self.fracs(formats, None if frozen_scales else exact)
        f = self.fold(dtype)
        device, parts, geometry = f.gate.device, f.parts, self.geometry
        state_unit = torch.exp2(self.state_frac.double()).to(dtype)

        def tensor(fracs: np.ndarray) -> Tensor:
            return torch.from_numpy(np.asarray(fracs)).to(device)

        rows = self.weights["input"](torch.cat(f.input.chunk(parts), dim=1)) * state_unit.unsqueeze(1)
        drive_frac = tensor(fracs.input + formats.u.frac).repeat(parts)
        drive_bias = quantize_bias(f.input_bias, drive_frac) * state_unit.repeat(parts)
        read_frac = torch.from_numpy(self._read_frac()).to(device)
        read_unit = torch.exp2(-read_frac.double()).to(dtype).repeat(parts)
        through, y_frac = None, fracs.output + geometry.sampled(formats.read).frac
        if f.feedthrough is not None and fracs.feedthrough is not None:
            through = self.weights["feedthrough"](f.feedthrough.reshape(len(f.bias), -1))
            through = through.squeeze(1) if f.feedthrough.dim() == 1 else through
            y_frac = np.maximum(y_frac, fracs.feedthrough + geometry.pooled(formats.u).frac)
        skip = None
        if f.skip is not None and fracs.skip is not None:
            x_frac = geometry.pooled(formats.input).frac
            skip = FoldedLinear(
                self.weights["skip"](f.skip.weight), quantize_bias(f.skip.bias, tensor(fracs.skip + x_frac))
            )
        norm = None
        if f.norm is not None and fracs.norm is not None:
            read, _ = formats.normed(geometry)
            norm = FoldedNorm(
                self.weights["norm"](f.norm.multiplier.unsqueeze(1)).squeeze(1),
                quantize_bias(f.norm.offset, tensor(fracs.norm + read.frac)),
            )
        gate_frac = tensor(fracs.gate + formats.out.mixes.frac)
        weights = self.weights["gate"](f.gate), quantize_bias(f.gate_bias, gate_frac)
        table = layer_decays(exact, tick_ms, formats, self.widths)
        return QuantizedLayer(
            geometry=geometry,
            formats=formats,
            reading=self._reading(f, formats, fracs, norm),
            drive=torch.cat(rows.chunk(parts, dim=1)),
            drive_bias=drive_bias,
            table=DecayTable(*(tensor(codes.astype(np.int64)) for codes in table)),
            rate=f.rate * tick_ms,
            output=self.weights["output"](f.output * read_unit),
            feedthrough=through,
            bias=quantize_bias(f.bias, tensor(y_frac)),
            out=self.output.quantized(formats.out, weights, self.edges, self.widths, self.dropout.probability),
            skip=skip,
            inside=self._own_norm(f, fracs, formats.linear, formats.out.sums),
            after=norm if geometry.after == "batch" else self._own_norm(f, fracs, formats.total, formats.output),
            dropout=self.dropout,
            quantizers=self.edges,
        )

    def _reading(
        self, f: FoldedLayer[Tensor], formats: LayerFormats, fracs: LayerFracs, norm: FoldedNorm[Tensor] | None
    ) -> Reading:
        """What the state space reads."""
        if self.geometry.before == "batch" and norm is not None:
            return BatchNormed(norm)
        if self.geometry.before == "layer":
            return LayerNormed(LayerNormTerms.of(f.input.shape[1], formats.input, self.geometry.epsilon))
        layers, form = [], formats.input
        for name, layer, frac, output in zip(gate_names(f.gates), f.gates, fracs.gates, formats.gates, strict=True):
            accumulator = torch.from_numpy(frac + form.frac).to(layer.bias.device)
            layers.append(FoldedLinear(self.weights[name](layer.weight), quantize_bias(layer.bias, accumulator)))
            form = output
        return gated(tuple(layers), formats, f.gate.device)

    def _own_norm(
        self, f: FoldedLayer[Tensor], fracs: LayerFracs, read: Format | None, written: Format
    ) -> OwnNorm | None:
        """A layer norm that holds its gamma and beta, from one format to the other."""
        if f.affine is None or fracs.gamma is None or read is None:
            return None
        beta_frac = written.frac + BETA_BITS
        size = len(f.affine.offset)
        frac = torch.full((size,), beta_frac, device=f.affine.offset.device)
        gamma = self.weights["gamma"](f.affine.multiplier.unsqueeze(0)).squeeze(0)
        affine = Affine(gamma, int(fracs.gamma[0]), quantize_bias(f.affine.offset, frac), beta_frac)
        return OwnNorm(LayerNormTerms.of(size, read, self.geometry.epsilon), affine)


def weight_matrices(folded: FoldedLayer[Any]) -> dict[str, Any]:
    """The weights that are quantized, by name, (rows, columns) each; C still for values of states."""
    split = np.split(folded.input, folded.parts) if isinstance(folded.input, np.ndarray) else None
    rows = torch.cat(folded.input.chunk(folded.parts), dim=1) if split is None else np.concatenate(split, axis=1)
    found = {"input": rows, "output": folded.output, "gate": folded.gate}
    if folded.feedthrough is not None:
        found["feedthrough"] = folded.feedthrough.reshape(len(folded.bias), -1)
    if folded.skip is not None:
        found["skip"] = folded.skip.weight
    if folded.norm is not None:
        found["norm"] = folded.norm.multiplier[:, None]
    if folded.affine is not None:
        found["gamma"] = folded.affine.multiplier[None]
    return found | {name: layer.weight for name, layer in zip(gate_names(folded.gates), folded.gates, strict=True)}
