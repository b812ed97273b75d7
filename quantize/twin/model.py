"""`QuantS5Classifier`: the float model with every tensor fake-quantized, from calibration to freezing."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import PumiceError
from ...models.s5.classifier import S5Classifier
from ...models.s5.layer import SequenceLayer
from ...models.s5.norm import LAYER_NORM_EPSILON
from ..config import QuantizationConfig, Widths
from ..constants import FUNCTIONS, decay_table, gap_digits, largest_frac, layer_norm_constants, lookup_table, rounded
from ..derive import (
    Edges,
    decoder_node,
    embedding_node,
    input_nodes,
    layer_nodes,
    linear_node,
    readout_node,
)
from ..exponents import check_finite, layer_fracs, mode_rows, row_fracs, table_frac, to_numpy, useful_frac
from ..fold import FoldedLayer, fold_layer, fold_linear
from ..formats import SIGMOID, Geometry, LayerFormats, LayerFracs, NetworkFormats, pooled
from ..program.errors import ProgramError
from ..program.formats import Format
from ..program.nodes import Node
from ..quantizers import UNSET, QuantActivation, TensorQuantizer
from ..scan import DecayTable
from .frozen import FrozenS5Classifier
from .network import LayerConstants, NetworkConstants, quantize_bias, run_network
from .observe import LayerObserver, NetworkObserver, observe
from .ops import LayerNormConstants

LARGEST_EXTRA = 12  # of a read-out


class QuantLayer(nn.Module):
    """One layer's quantizers. Its parameters belong to the float layer.

    Args:
        layer: the float layer, whose parameters it reads.
        geometry: where it lies.
        widths: of its tensors.
    """

    def __init__(self, layer: SequenceLayer, geometry: Geometry, widths: Widths, method: str) -> None:
        super().__init__()
        self._layer = (layer,)  # not a submodule: its parameters belong to the float model
        self.geometry = geometry
        self.widths = widths
        self.method = method
        modes, inputs = layer.ssm.B.shape[:2]
        outputs = len(layer.ssm.C)
        edges = {"u": widths.activation, "y": widths.activation, "gelu": widths.activation, "gate": widths.activation}
        edges["output"] = widths.residual
        shapes = {"input": (modes, 2 * inputs), "output": (outputs, 2 * modes), "gate": (outputs, outputs)}
        shapes["feedthrough"] = (outputs, layer.ssm.D.shape[1] if layer.ssm.D.dim() == 2 else 1)
        if layer.skip is not None:
            edges["skip"] = widths.residual
            shapes["skip"] = (outputs, inputs)
        if layer.norm.__class__ is not nn.LayerNorm:
            shapes["norm"] = (inputs, 1)
        self.edges = nn.ModuleDict({name: QuantActivation(width) for name, width in edges.items()})
        self.weights = nn.ModuleDict(
            {name: TensorQuantizer(shape, getattr(widths, name)) for name, shape in shapes.items()}
        )
        for quantizer in self.weights.values():
            _scaling(quantizer).frozen.fill_(True)  # the exponents are set here, from float64, and by nobody else
        self.register_buffer("state_frac", torch.full((modes,), UNSET, dtype=torch.int64))

    @property
    def layer(self) -> SequenceLayer:
        """The float layer."""
        return self._layer[0]

    def formats(self, input: Format) -> LayerFormats:
        """Formats of the layer's edges.

        Raises:
            PumiceError: the layer is not calibrated.
        """
        path, widths = self.geometry.path, self.widths
        if (self.state_frac == UNSET).any():
            raise PumiceError(f"{path} is not calibrated; show the twin training data before it runs quantized")
        edges = {name: edge_format(quantizer, f"{path}.{name}") for name, quantizer in self.edges.items()}
        return LayerFormats(
            input=input,
            u=edges["u"],
            y=edges["y"],
            gelu=edges["gelu"],
            gate=edges["gate"],
            skip=edges.get("skip"),
            output=edges["output"],
            state_width=widths.state,
            state_frac=self.state_frac.cpu().numpy().astype(np.int64),
            read_shift=widths.state - widths.read,
        )

    def set_formats(self, seen: LayerObserver, method: str, headroom: int) -> None:
        """Take the exponents of activations and states from what calibration saw."""
        for name, quantizer in self.edges.items():
            wide = name in ("skip", "output")
            method_of, spare = ("max", headroom) if wide else (method, 0)
            set_edge(quantizer, seen.edges[name].frac(quantizer.width, True, method_of, spare), self.geometry.path)
        width = self.widths.state
        highest = (1 << (width - 1 - headroom)) - 1
        self.state_frac.copy_(torch.from_numpy(largest_frac(seen.states.largest.numpy(), highest, width - 2)))

    def folded(self) -> FoldedLayer:
        """The folded weights as float64 arrays.

        Raises:
            PumiceError: NaN or infinite weights.
        """
        with torch.no_grad():
            folded = to_numpy(fold_layer(self.layer, torch.float64))
        check_finite(folded, self.geometry.path)
        return folded

    def fracs(self, formats: LayerFormats, folded: FoldedLayer | None) -> LayerFracs:
        """Exponents of the weights: of ``folded``, or, where None, those that were set before."""
        if folded is not None:
            fracs = layer_fracs(folded, self.geometry, formats, self.widths, self.method)
            for name, quantizer in self.weights.items():
                frac = torch.from_numpy(getattr(fracs, "multiplier" if name == "norm" else name))
                _scaling(quantizer).frac.copy_(frac.reshape(_scaling(quantizer).frac.shape))
            return fracs
        set_before = {name: _scaling(q).frac.flatten().cpu().numpy() for name, q in self.weights.items()}
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
        matrices = {"input": mode_rows(folded.input), "gate": folded.gate, "skip": folded.skip}
        matrices["output"] = np.ldexp(folded.output, np.tile(-self._read_frac(), 2))
        matrices["feedthrough"] = folded.feedthrough.reshape(len(folded.bias), -1)
        matrices["norm"] = None if folded.multiplier is None else folded.multiplier[:, None]
        found = {}
        for name, quantizer in self.weights.items():
            frac = _scaling(quantizer).frac.reshape(-1, 1).cpu().numpy()
            highest = (1 << (getattr(self.widths, name) - 1)) - 1
            found[name] = int((rounded(np.abs(np.ldexp(matrices[name], frac))) > highest).sum())
        return found

    def _read_frac(self) -> np.ndarray:
        """Fractional bits of what C reads, (P,)."""
        return self.state_frac.cpu().numpy() - (self.widths.state - self.widths.read)

    def constants(self, formats: LayerFormats, frozen_scales: bool, tick_ms: float) -> LayerConstants:
        """Fake-quantized weights, with gradients to the float layer's parameters."""
        dtype, device = self.layer.gate.weight.dtype, self.layer.gate.weight.device
        exact = self.folded()
        fracs = self.fracs(formats, None if frozen_scales else exact)
        f = fold_layer(self.layer, dtype)
        state_unit = torch.exp2(self.state_frac.double()).to(dtype)

        def tensor(fracs: np.ndarray) -> Tensor:
            return torch.from_numpy(np.asarray(fracs)).to(device)

        rows = self.weights["input"](torch.cat(f.input.chunk(2), dim=1)) * state_unit.unsqueeze(1)
        drive_frac = tensor(fracs.input + formats.u.frac).repeat(2)
        drive_bias = quantize_bias(f.input_bias, drive_frac) * state_unit.repeat(2)
        read_unit = torch.exp2((formats.read_shift - self.state_frac).double()).to(dtype).repeat(2)
        through = self.weights["feedthrough"](f.feedthrough.reshape(len(f.bias), -1))
        u_frac = pooled(formats.u, self.geometry.stride).frac if self.geometry.pooling == "avgpool" else formats.u.frac
        y_frac = np.maximum(fracs.output + formats.read.frac, fracs.feedthrough + u_frac)
        multiplier = offset = norm = skip = skip_bias = None
        if f.multiplier is not None:
            multiplier = self.weights["norm"](f.multiplier.unsqueeze(1)).squeeze(1)
            offset = quantize_bias(f.offset, tensor(fracs.multiplier + formats.input.frac))
        else:
            size = f.input.shape[1]
            norm = LayerNormConstants(size, *layer_norm_constants(size, formats.input, LAYER_NORM_EPSILON))
        if f.skip is not None:
            mean = self.geometry.pooling == "avgpool"
            x_frac = pooled(formats.input, self.geometry.stride).frac if mean else formats.input.frac
            skip = self.weights["skip"](f.skip)
            skip_bias = quantize_bias(f.skip_bias, tensor(fracs.skip + x_frac))
        rate = exact.rate * tick_ms
        table = decay_table(rate, gap_digits(rate, formats.state_width), self.widths.decay, formats.state_width)
        return LayerConstants(
            geometry=self.geometry,
            formats=formats,
            norm=norm,
            multiplier=multiplier,
            offset=offset,
            drive=torch.cat(rows.chunk(2, dim=1)),
            drive_bias=drive_bias,
            table=DecayTable(*(tensor(codes.astype(np.int64)) for codes in table)),
            rate=f.rate * tick_ms,
            output=self.weights["output"](f.output * read_unit),
            feedthrough=through.squeeze(1) if f.feedthrough.dim() == 1 else through,
            bias=quantize_bias(f.bias, tensor(y_frac)),
            gate=self.weights["gate"](f.gate),
            gate_bias=quantize_bias(f.gate_bias, tensor(fracs.gate + formats.gelu.frac)),
            skip=skip,
            skip_bias=skip_bias,
            gelu=_values(lookup_table(FUNCTIONS["gelu"], formats.y, formats.gelu), formats.gelu, device),
            sigmoid=_values(lookup_table(FUNCTIONS["sigmoid"], formats.gate, SIGMOID), SIGMOID, device),
            dropout=self.layer.dropout,
            quantizers=self.edges,
        )


class QuantS5Classifier(nn.Module):
    """The fake-quantized twin of an `S5Classifier`; make it with `convert`.

    Calibrate it (`calibrate`), fine-tune it as any model (float32, straight-through gradients), `freeze_scales`
    before the last phase, and `freeze` it. ``model`` is its own copy of the float model and holds the parameters.

    Args:
        model: the float model, which it keeps.
        config: widths and calibration.
        tick_us: length of a tick.
    """

    def __init__(self, model: S5Classifier, config: QuantizationConfig, tick_us: int) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.tick_us = tick_us
        self.weight_us = config.pool_tick_us
        widths, method = config.widths, config.calibration.method
        geometries = list(layer_geometries(model))
        for path in config.layers:
            if path not in {geometry.path for geometry in geometries}:
                raise PumiceError(
                    f"quantize.layers names {path}, which the model lacks; "
                    f"its layers are {', '.join(geometry.path for geometry in geometries)}"
                )
        layers = [layer for stage in model.stages for layer in stage.layers]
        self.layers = nn.ModuleList(
            QuantLayer(layer, geometry, config.layer(geometry.path), method)
            for layer, geometry in zip(layers, geometries, strict=True)
        )
        first = model.embedding if model.config.token_input else model.encoder
        self.embedding = TensorQuantizer(first.weight.shape, widths.embedding, per_row=not model.config.token_input)
        self.decoder = TensorQuantizer(model.decoder.weight.shape, widths.decoder, per_row=False)
        for quantizer in (self.embedding, self.decoder):
            _scaling(quantizer).frozen.fill_(True)
        self.edges = nn.ModuleDict({name: QuantActivation(widths.residual) for name in ("embedded", "readout")})
        if not model.config.token_input:
            self.edges["input"] = QuantActivation(widths.dense_input)
        self.register_buffer("scales_frozen", torch.tensor(False))
        self.register_buffer("batches_seen", torch.tensor(0))
        self.freeze_scales_after: int | None = None

    @property
    def tick_ms(self) -> float:
        """Length of a tick."""
        return self.tick_us / 1000

    def observer(self) -> NetworkObserver:
        """A fresh observer for `calibrate`."""
        return NetworkObserver([len(layer.state_frac) for layer in self.layers])

    def set_formats(self, observer: NetworkObserver) -> None:
        """Take the exponents of all edges and states from what ``observer`` saw.

        Raises:
            PumiceError: it saw no event, or no complete window.
        """
        method, headroom = self.config.calibration.method, self.config.calibration.headroom
        for name, quantizer in self.edges.items():
            method_of, spare = (method, 0) if name == "input" else ("max", headroom)
            frac = observer.edges[name].frac(quantizer.width, True, method_of, spare)
            set_edge(quantizer, frac, name)
        for layer, seen in zip(self.layers, observer.layers, strict=True):
            layer.set_formats(seen, method, headroom)
        residual, readout = self.layers[-1].edges["output"].frac, self.edges["readout"]
        last = self.model.config.head == "last"
        readout.frac = residual if last else min(max(readout.frac, residual), residual + LARGEST_EXTRA)

    def formats(self) -> NetworkFormats:
        """Formats of all edges.

        Raises:
            PumiceError: the twin is not calibrated.
        """
        edges = {name: edge_format(quantizer, name) for name, quantizer in self.edges.items()}
        layers, residual = [], edges["embedded"]
        for layer in self.layers:
            layers.append(layer.formats(residual))
            residual = layers[-1].output
        return NetworkFormats(edges.get("input"), edges["embedded"], tuple(layers), edges["readout"])

    def forward(self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None = None) -> Tensor:
        """Logits (B, C); arguments as `S5Classifier.forward`.

        While training, the scales are frozen once ``freeze_scales_after`` batches have been seen, where that is set.
        """
        if self.training:
            if self.batches_seen == self.freeze_scales_after:
                self.freeze_scales()
            self.batches_seen += 1
        return run_network(self.constants(), tokens, dt, lengths, pool_dt, training=self.training)

    def constants(self) -> NetworkConstants:
        """Fake-quantized weights, with gradients to ``model``'s parameters."""
        formats = self.formats()
        frozen = bool(self.scales_frozen)
        layers = tuple(
            layer.constants(layer_formats, frozen, self.tick_ms)
            for layer, layer_formats in zip(self.layers, formats.layers, strict=True)
        )
        if not frozen:
            self._set_outer_fracs(formats)
        decoder = self.model.decoder
        decoder_frac = _scaling(self.decoder).frac + formats.readout.frac
        weight, bias = (self.model.embedding.weight, None) if formats.input is None else fold_linear(
            self.model.encoder, decoder.weight.dtype
        )
        if bias is not None:
            bias = quantize_bias(bias, _scaling(self.embedding).frac.flatten() + formats.input.frac)
        return NetworkConstants(
            formats=formats,
            embedding=self.embedding(weight),
            encoder_bias=bias,
            layers=layers,
            head=self.model.config.head,
            decoder=self.decoder(decoder.weight),
            decoder_bias=quantize_bias(decoder.bias, decoder_frac.expand(len(decoder.bias))),
            logits=None,
            tick_us=self.tick_us,
            weight_us=self.weight_us,
            quantizers=self.edges,
        )

    def freeze_scales(self) -> None:
        """Keep the weights' exponents as they are now; from here on only codes change."""
        with torch.no_grad():
            self.constants()
        self.scales_frozen.fill_(True)

    def freeze(self) -> FrozenS5Classifier:
        """Derive every code, exponent and table in float64; the frozen twin's buffers hold them.

        Raises:
            PumiceError: not calibrated, weights that are not finite, or an intermediate that does not fit; names the
                layer.
        """
        try:
            return FrozenS5Classifier(tuple(self._nodes()), self.weight_us)
        except ProgramError as error:
            raise PumiceError(f"the model cannot be lowered: {error}") from error

    def _nodes(self) -> Iterator[Node]:
        formats, config, widths = self.formats(), self.model.config, self.config.widths
        frozen = bool(self.scales_frozen)
        if not frozen:
            self._set_outer_fracs(formats)
        timed = "timepool" in (config.pooling if config.stride > 1 else "", config.head)
        inputs = input_nodes(
            config.vocab, config.in_features, formats.input, self.tick_us, self.weight_us if timed else None
        )
        yield from inputs
        source = self.model.embedding if formats.input is None else self.model.encoder
        weight = _array(source.weight, source)
        if formats.input is None:
            first = embedding_node(weight, widths.embedding, int(_scaling(self.embedding).frac), formats.embedded)
        else:
            fracs = _scaling(self.embedding).frac.flatten().cpu().numpy()
            operand = ("dense", formats.input, weight, widths.embedding, fracs)
            first = linear_node("encoder", [operand], _array(source.bias, source), formats.embedded)
        yield first
        edges = Edges(first.name, "gap", inputs[-1].name)
        full_rate_weight = edges.weight
        for layer, layer_formats in zip(self.layers, formats.layers, strict=True):
            folded = layer.folded()
            fracs = layer.fracs(layer_formats, None if frozen else folded)
            nodes, edges = layer_nodes(
                folded,
                layer.geometry,
                edges,
                layer_formats,
                fracs,
                layer.widths,
                self.tick_ms,
                LAYER_NORM_EPSILON,
            )
            yield from nodes
        decoder, residual = self.model.decoder, formats.layers[-1].output
        yield readout_node(
            config.head, edges, full_rate_weight, residual, formats.readout, decoder.in_features
        )
        yield decoder_node(
            "readout",
            formats.readout,
            _array(decoder.weight, decoder),
            _array(decoder.bias, decoder),
            widths.decoder,
            int(_scaling(self.decoder).frac),
        )

    def _set_outer_fracs(self, formats: NetworkFormats) -> None:
        method, widths = self.config.calibration.method, self.config.widths
        decoder = _array(self.model.decoder.weight, self.model.decoder)
        _scaling(self.decoder).frac.fill_(table_frac(decoder, widths.decoder, method, 30))
        if formats.input is None:
            table = _array(self.model.embedding.weight, self.model.embedding)
            limit = formats.embedded.frac
            _scaling(self.embedding).frac.fill_(table_frac(table, widths.embedding, method, limit))
        else:
            weight = _array(self.model.encoder.weight, self.model.encoder)
            limit = useful_frac(formats.input, formats.embedded)
            fracs = torch.from_numpy(row_fracs(weight, widths.embedding, method, limit))
            scaling = _scaling(self.embedding)
            scaling.frac.copy_(fracs.reshape(scaling.frac.shape))


def convert(model: S5Classifier, config: QuantizationConfig, tick_ms: float) -> QuantS5Classifier:
    """The uncalibrated twin of a trained model, with a copy of its weights.

    Args:
        model: the float model.
        config: widths and calibration.
        tick_ms: length of a tick, a whole number of microseconds.

    Raises:
        PumiceError: settings that do not fit the model.
    """
    return QuantS5Classifier(copy.deepcopy(model), config, round(tick_ms * 1000))


def calibrate(
    twin: QuantS5Classifier, batches: Iterable[tuple[Tensor, Tensor, Tensor, Tensor | None]]
) -> QuantS5Classifier:
    """Set the exponents of all edges and states from batches of (tokens, dt, lengths, pool_dt).

    Raises:
        PumiceError: no event at all, or values that are not finite.
    """
    observer = twin.observer()
    for tokens, dt, lengths, pool_dt in batches:
        observe(twin.model.eval(), observer, tokens, dt, lengths, pool_dt)
    twin.set_formats(observer)
    return twin


def layer_geometries(model: S5Classifier) -> Iterator[Geometry]:
    """Where each layer lies, in order."""
    config = model.config
    stages = len(model.stages)
    for i, stage in enumerate(model.stages):
        for j, layer in enumerate(stage.layers):
            later = i + 1 < stages
            yield Geometry(
                path=f"stages.{i}.layers.{j}",
                stride=layer.pool.stride,
                pooling=config.pooling,
                discretization=config.discretization,
                pools_gap=len(stage.layers) > 1 or later,
                pools_weight=config.head == "timepool" or (later and config.pooling == "timepool"),
            )


def edge_format(quantizer: QuantActivation, name: str) -> Format:
    """The format of a calibrated activation.

    Raises:
        PumiceError: it is not calibrated.
    """
    if quantizer.frac is None:
        raise PumiceError(f"{name} is not calibrated; show the twin training data before it runs quantized")
    return Format(quantizer.width, quantizer.signed, quantizer.frac)


def set_edge(quantizer: QuantActivation, frac: int | None, name: str) -> None:
    """Set an activation's exponent.

    Raises:
        PumiceError: nothing was seen there.
    """
    if frac is None:
        raise PumiceError(
            f"calibration saw no value at {name}; give it samples with at least one complete window of events"
        )
    quantizer.frac = frac


def _scaling(quantizer: TensorQuantizer) -> nn.Module:
    return quantizer.weight_quant.tensor_quant.scaling_impl


def _array(tensor: Tensor, owner: nn.Module) -> np.ndarray:
    array = tensor.detach().double().cpu().numpy()
    if not np.isfinite(array).all():
        raise PumiceError(f"a weight of {owner} holds NaN or infinity; train the model again")
    return array


def _values(codes: np.ndarray, format: Format, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ldexp(codes.astype(np.float64), -format.frac)).to(device)
