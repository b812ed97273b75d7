"""`QuantS5Classifier`: the float model with every tensor fake-quantized, from calibration to freezing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

import numpy as np
from torch import Tensor, nn

from ...errors import PumiceError
from ...models.modules import ModuleDict, ModuleList
from ...models.real_s5.classifier import RealS5Classifier
from ...models.s5.classifier import EventClassifier, S5Classifier
from ...models.s5.config import STEPS
from ...models.s5.head import NEWEST
from ...models.s5.norm import LAYER_NORM_EPSILON
from ...program.nodes import DenseInput, Embedding, Linear, Node, TokenInput
from ...train.data.inputs import Inputs, Timing
from ..codes import Floats
from ..config import QuantizationConfig
from ..exponents import row_fracs, table_frac, useful_frac
from ..nodes import (
    DENSE,
    LOGITS,
    Operand,
    decoder_node,
    dense_input,
    embedding_node,
    linear_node,
    readout_node,
    token_input,
)
from ..operations import Dropout
from ..output import Output
from ..qat_model import QATModel
from ..quantizers import QuantActivation, TensorQuantizer, edge_format, set_edge
from ..straight_through import quantize_bias
from .derive import Edges, input_nodes, layer_nodes, readout
from .equalization import fill_rows
from .fold import Fold, exact_layer, fold_layer, fold_linear
from .formats import Geometry, NetworkFormats
from .frozen import FrozenEventClassifier, FrozenS5Classifier
from .layer import QuantLayer, weight_matrices
from .network import QuantizedNetwork, run_network
from .observe import LayerObserver, NetworkObserver, Observed, observe, observed
from .output import Gated

DEFAULT_TICK_MS = 0.5
LARGEST_EXTRA = 12  # of a read-out
POOLINGS = {"last": "first", "avgpool": "mean", "timepool": "time"}
LAYER_WIDTHS = (
    "input", "output", "feedthrough", "gate", "skip", "norm", "activation", "state", "read", "decay", "residual",
)  # fmt: skip


Events = TypeVar("Events", bound=EventClassifier[Any] | RealS5Classifier)
FrozenModelOfEvents = TypeVar("FrozenModelOfEvents", bound=FrozenEventClassifier)


class QuantEventClassifier(QATModel[Events, NetworkObserver, FrozenModelOfEvents]):
    """The QAT model of a state-space classifier of events; see `QATModel`.

    Attributes:
        frozen: the frozen models.

    Args:
        model: the float model, which it keeps.
        config: widths and calibration.
        timing: of the events.

    Raises:
        PumiceError: settings that do not fit the model or its input.
    """

    frozen: type[FrozenModelOfEvents]
    all_time: ClassVar[bool] = True
    """Whether the time of head "timepool" is that of all events, and not of the complete windows."""

    def __init__(self, model: Events, config: QuantizationConfig, timing: Timing) -> None:
        super().__init__(model, config, timing)
        self.tick_us = round(tick_ms_of(config, timing.tick_ms) * 1000)
        self.weight_us = config.pool_tick_us
        widths, method = config.widths, self.config.calibration.method
        geometries = list(self.geometries(model))
        self.output = self.output_of(model)
        named = {*LAYER_WIDTHS, *self.output.edges.values(), *self.output.constants}
        self.has_layers({geometry.path: named for geometry in geometries})
        self.equalized = bool(config.calibration.equalize)
        if self.equalized:
            self.equalize(model, [config.layer(geometry.path).input for geometry in geometries])
        self.layers = ModuleList(
            QuantLayer(fold, geometry, config.layer(geometry.path), method, self.output, self.dropout_of(model))
            for fold, geometry in zip(self.folds(model), geometries, strict=True)
        )
        first = model.embedding if model.config.token_input else model.encoder
        self.embedding = TensorQuantizer(first.weight.shape, widths.embedding, per_row=not model.config.token_input)
        self.decoder = TensorQuantizer(model.decoder.weight.shape, widths.decoder, per_row=False)
        self.edges = ModuleDict({name: QuantActivation(widths.residual) for name in ("embedded", "readout")})
        if not model.config.token_input:
            self.edges["input"] = QuantActivation(widths.dense_input)

    @classmethod
    @abstractmethod
    def output_of(cls, model: Events) -> Output[Any]:
        """What follows the state space of the model's layers."""

    @classmethod
    @abstractmethod
    def geometries(cls, model: Events) -> Iterator[Geometry]:
        """Where each layer lies and what it is made of, in order."""

    @classmethod
    @abstractmethod
    def folds(cls, model: Events) -> Iterator[Fold]:
        """What folds each layer, in order."""

    @classmethod
    @abstractmethod
    def dropout_of(cls, model: Events) -> Dropout:
        """Of all layers."""

    @classmethod
    def equalize(cls, model: Events, widths: Sequence[int]) -> None:
        """Count the modes of each layer in units that fill the codes of B, of so many bits; in place."""
        of_layers = zip(model.layers, cls.folds(model), cls.geometries(model), widths, strict=True)
        for layer, fold, geometry, width in of_layers:
            fill_rows(layer.ssm, weight_matrices(exact_layer(fold, geometry.path))["input"], width)

    @property
    def tick_ms(self) -> float:
        """Length of a tick."""
        return self.tick_us / 1000

    def observer(self) -> NetworkObserver:
        """See `QATModel.observer`."""
        return NetworkObserver(
            [LayerObserver(layer.geometry.path, len(layer.state_frac), tuple(layer.edges)) for layer in self.layers]
        )

    def observe(self, observer: NetworkObserver, inputs: Inputs) -> None:
        """See `QATModel.observe`."""
        observe(self.model.eval(), self.observed(), self.output, observer, *inputs.events(), all_time=self.all_time)

    def observed(self) -> list[Observed]:
        """What calibration runs: the float layers, folded, in order."""
        return observed(self.folds(self.model), [layer.geometry for layer in self.layers], self.model.layers)

    def set_formats(self, observer: NetworkObserver) -> None:
        """See `QATModel.set_formats`; it needs at least one complete window."""
        method, headroom = self.config.calibration.method, self.config.calibration.headroom
        for name, quantizer in self.edges.items():
            method_of, spare = (method, 0) if name == "input" else ("max", headroom)
            frac = observer.edges[name].frac(quantizer.width, True, method_of, spare)
            set_edge(quantizer, frac, name)
        for layer, seen in zip(self.layers, observer.layers, strict=True):
            layer.set_formats(seen, self.config.calibration, self.tick_ms)
        residual, value = self.layers[-1].edges["output"], self.edges["readout"]
        assert residual.frac is not None
        assert value.frac is not None
        if self.model.config.head in NEWEST:
            value.frac = residual.frac
        else:
            value.frac = min(max(value.frac, residual.frac), residual.frac + LARGEST_EXTRA)

    def formats(self) -> NetworkFormats:
        """Formats of all edges.

        Raises:
            PumiceError: the model is not calibrated.
        """
        edges = {name: edge_format(quantizer, name) for name, quantizer in self.edges.items()}
        layers, residual = [], edges["embedded"]
        for layer in self.layers:
            layers.append(layer.formats(residual))
            residual = layers[-1].output
        read = residual if self.model.config.head == STEPS else edges["readout"]
        return NetworkFormats(edges.get("input"), edges["embedded"], tuple(layers), read)

    def forward(self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None = None) -> Tensor:
        """Logits (B, C), or (B, N, C); arguments as `EventClassifier.forward`.

        While training, the scales are frozen once ``freeze_scales_after`` batches have been seen, where that is set.
        """
        self.count_batch()
        return run_network(self.quantized(), tokens, dt, lengths, pool_dt, training=self.training, record=self.recorder)

    def output_bias(self) -> nn.Parameter:
        """See `QATModel.output_bias`."""
        return self.model.decoder.bias

    def quantized(self) -> QuantizedNetwork:
        """Fake-quantized weights, with gradients to ``model``'s parameters."""
        formats = self.formats()
        frozen = bool(self.held("scales_frozen"))
        layers = tuple(
            layer.quantized(layer_formats, frozen, self.tick_ms, self.model.decoder.weight.dtype)
            for layer, layer_formats in zip(self.layers, formats.layers, strict=True)
        )
        if not frozen:
            self._set_outer_fracs(formats)
        decoder = self.model.decoder
        decoder_frac = self.decoder.frac + formats.readout.frac
        if formats.input is None:
            weight, bias = self.model.embedding.weight, None
        else:
            weight, encoder_bias = fold_linear(self.model.encoder, decoder.weight.dtype)
            bias = quantize_bias(encoder_bias, self.embedding.frac + formats.input.frac)
        return QuantizedNetwork(
            formats=formats,
            embedding=self.embedding(weight),
            encoder_bias=bias,
            layers=layers,
            head=self.model.config.head,
            all_time=self.all_time,
            decoder=self.decoder(decoder.weight),
            decoder_bias=quantize_bias(decoder.bias, decoder_frac.expand(len(decoder.bias))),
            logits=None,
            tick_us=self.tick_us,
            weight_us=self.weight_us,
            quantizers=self.edges,
        )

    def _frozen(self, nodes: tuple[Node, ...]) -> FrozenModelOfEvents:
        return self.frozen(nodes, self.weight_us)

    def _nodes(self) -> Iterator[Node]:
        formats, config, widths = self.formats(), self.model.config, self.config.widths
        frozen = bool(self.held("scales_frozen"))
        if not frozen:
            self._set_outer_fracs(formats)
        first: Embedding | Linear
        if formats.input is None:
            table = _array(self.model.embedding)
            values: TokenInput | DenseInput = token_input(len(table))
            first = embedding_node(table, widths.embedding, int(self.embedding.frac), formats.embedded)
        else:
            encoder, weight = self.model.encoder, _array(self.model.encoder)
            values = dense_input(formats.input, encoder.in_features)
            operand = Operand(DENSE, formats.input, weight, widths.embedding, self.embedding.frac.cpu().numpy())
            first = linear_node("encoder", [operand], _array(encoder, encoder.bias), formats.embedded)
        timed = "timepool" in (config.pooling if config.stride > 1 else "", config.head)
        inputs = input_nodes(values, self.tick_us, self.weight_us if timed else None)
        yield from inputs
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
                self.output,
            )
            yield from nodes
        decoder, residual = self.model.decoder, formats.layers[-1].output
        source = edges.x
        if config.head != STEPS:
            total = full_rate_weight if self.all_time else edges.weight
            yield readout(config.head, edges, total, residual, formats.readout, decoder.in_features)
            source = "readout"
        weights = _array(decoder), _array(decoder, decoder.bias)
        logits = decoder_node(source, formats.readout, *weights, widths.decoder, int(self.decoder.frac))
        yield logits
        if config.head == STEPS:
            yield readout_node(LOGITS, (logits.name,), logits.output, logits.output, logits.channels, "last")

    def _set_outer_fracs(self, formats: NetworkFormats) -> None:
        method, widths = self.config.calibration.method, self.config.widths
        self.decoder.set_frac(table_frac(_array(self.model.decoder), widths.decoder, method, 30))
        if formats.input is None:
            table, limit = _array(self.model.embedding), formats.embedded.frac
            self.embedding.set_frac(table_frac(table, widths.embedding, method, limit))
        else:
            useful = useful_frac(formats.input, formats.embedded)
            self.embedding.set_frac(row_fracs(_array(self.model.encoder), widths.embedding, method, useful))


S5Events = TypeVar("S5Events", bound=EventClassifier[Any])


class QuantS5Layers(QuantEventClassifier[S5Events, FrozenModelOfEvents]):
    """The QAT model of an `EventClassifier`, whose state space is that of S5."""

    @classmethod
    def geometries(cls, model: S5Events) -> Iterator[Geometry]:
        """See `QuantEventClassifier.geometries`."""
        return layer_geometries(model)

    @classmethod
    def folds(cls, model: S5Events) -> Iterator[Fold]:
        """See `QuantEventClassifier.folds`."""
        return (partial(fold_layer, layer) for layer in model.layers)

    @classmethod
    def dropout_of(cls, model: S5Events) -> Dropout:
        """See `QuantEventClassifier.dropout_of`."""
        return Dropout(model.config.dropout)


class QuantS5Classifier(QuantS5Layers[S5Classifier, FrozenS5Classifier]):
    """The QAT model of an `S5Classifier`."""

    frozen = FrozenS5Classifier

    @classmethod
    def output_of(cls, model: S5Classifier) -> Gated:
        """See `QuantEventClassifier.output_of`."""
        return Gated(model.config.activation)


def tick_ms_of(config: QuantizationConfig, data_tick_ms: float | None) -> float:
    """The program's tick: that of the task, or the configured one where the task has exact times.

    Raises:
        PumiceError: both are given and differ, which would round times twice.
    """
    if data_tick_ms is None:
        return config.tick_ms or DEFAULT_TICK_MS
    if config.tick_ms not in (None, data_tick_ms):
        raise PumiceError(
            f"quantize.tick_ms={config.tick_ms} differs from task.tick_ms={data_tick_ms}, which would round times "
            "twice; set quantize.tick_ms=null, or task.tick_ms=null and train again"
        )
    if round(data_tick_ms * 1000) != data_tick_ms * 1000:
        raise PumiceError(f"task.tick_ms={data_tick_ms} is no whole number of microseconds; round it and train again")
    return data_tick_ms


def layer_geometries(model: EventClassifier[Any]) -> Iterator[Geometry]:
    """Where each layer lies, in order."""
    config = model.config
    stages = len(model.stages)
    for i, stage in enumerate(model.stages):
        for j, layer in enumerate(stage.layers):
            later = i + 1 < stages
            yield Geometry(
                path=f"stages.{i}.layers.{j}",
                stride=layer.pool.stride,
                pooling=POOLINGS[config.pooling],
                sampling="first",
                discretization=config.discretization,
                before=None if config.norm == "none" else config.norm,
                residual=config.residual,
                epsilon=LAYER_NORM_EPSILON,
                pools_gap=len(stage.layers) > 1 or later,
                pools_weight=config.head == "timepool" or (later and config.pooling == "timepool"),
            )


def _array(owner: nn.Linear | nn.Embedding, tensor: Tensor | None = None) -> Floats:
    """A tensor of ``owner``, its weight if not given, in float64."""
    array = (owner.weight if tensor is None else tensor).detach().double().cpu().numpy()
    if not np.isfinite(array).all():
        raise PumiceError(f"a weight of {owner} holds NaN or infinity; train the model again")
    return array
