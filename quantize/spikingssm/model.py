"""`QuantSpikingSSM`: the float network with every tensor fake-quantized, from calibration to freezing."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...errors import PumiceError
from ...models.modules import ModuleDict, ModuleList
from ...models.spikes import listening
from ...models.spikingssm.network import SpikingSSM
from ...program.nodes import Node
from ...train.data.inputs import Inputs, Timing
from ..codes import Floats
from ..config import QuantizationConfig
from ..exponents import row_fracs, table_frac, useful_frac
from ..folding import arrays_of
from ..nodes import (
    DENSE,
    Operand,
    decoder_node,
    dense_input,
    embedding_node,
    linear_node,
    readout_node,
    token_input,
)
from ..qat_model import QATModel
from ..quantizers import InputQuantizer, QuantActivation, TensorQuantizer, edge_format, set_edge
from ..straight_through import quantize_bias
from .block import QuantBlock
from .derive import block_nodes
from .formats import NetworkFormats, block_path, node_name
from .frozen import FrozenSpikingSSM
from .network import QuantizedNetwork, run_network
from .observe import NetworkObserver, observe, real_steps
from .output import SpikingChannels
from .outputs import labelled_lengths, one_stretch

LARGEST_EXTRA = 12  # of the read-out
BLOCK_WIDTHS = (
    "norm", "output", "feedthrough", "gate", "activation", "state", "decay", "potential", "constant", "residual",
)  # fmt: skip


class QuantSpikingSSM(QATModel[SpikingSSM, NetworkObserver, FrozenSpikingSSM]):
    """The QAT model of a `SpikingSSM`; see `QATModel`. Its neurons follow the exact recurrence.

    Args:
        model: the float model, which it keeps.
        config: widths and calibration.
        timing: of the input, by regular steps.

    Raises:
        PumiceError: a model that no program can hold, or widths that do not fit it.
    """

    def __init__(self, model: SpikingSSM, config: QuantizationConfig, timing: Timing) -> None:
        super().__init__(model, config, timing)
        settings = model.config
        reason = why_not(settings.bidirectional, settings.head)
        if reason is not None:
            raise PumiceError(reason)
        paths = [block_path(number) for number in range(len(model.blocks))]
        self.has_layers(dict.fromkeys(paths, BLOCK_WIDTHS))
        widths, method = config.widths, self.config.calibration.method
        self.tokens = settings.vocab is not None
        self.input = InputQuantizer()
        self.output = SpikingChannels(settings.tau)
        self.blocks = ModuleList(
            QuantBlock(block, number, config.layer(path), method, self.output)
            for number, (block, path) in enumerate(zip(model.blocks, paths, strict=True))
        )
        self.encoder = TensorQuantizer(self.first.weight.shape, widths.embedding, per_row=not self.tokens)
        self.decoder = TensorQuantizer(model.decoder.weight.shape, widths.decoder, per_row=False)
        self.edges = ModuleDict({name: QuantActivation(widths.residual) for name in ("embedded", "readout")})

    @property
    def first(self) -> nn.Linear | nn.Embedding:
        """What reads the input: the encoder, or the embedding of tokens."""
        return self.model.embedding if self.tokens else self.model.encoder

    def observer(self) -> NetworkObserver:
        """See `QATModel.observer`."""
        config = self.model.config
        return NetworkObserver(config.d_model * config.d_state // 2, config.layers)

    def observe(self, observer: NetworkObserver, inputs: Inputs) -> None:
        """See `QATModel.observe`."""
        observe(self.model.eval(), self.output, observer, inputs)

    def set_formats(self, observer: NetworkObserver) -> None:
        """See `QATModel.set_formats`; it needs at least one step."""
        method, headroom = self.config.calibration.method, self.config.calibration.headroom
        if not self.tokens:
            format = observer.input.format(self.config.widths.dense_input, method)
            if format is None:
                raise PumiceError("calibration saw no step; give it samples that are not empty")
            self.input.format = format
        for name, quantizer in self.edges.items():
            set_edge(quantizer, observer.edges[name].frac(quantizer.width, True, "max", headroom), name)
        for block, seen in zip(self.blocks, observer.blocks, strict=True):
            block.set_formats(seen, method, headroom)
        residual, value = self.blocks[-1].edges["output"], self.edges["readout"]
        assert residual.frac is not None
        assert value.frac is not None
        value.frac = min(max(value.frac, residual.frac), residual.frac + LARGEST_EXTRA)

    def formats(self) -> NetworkFormats:
        """Formats of all edges.

        Raises:
            PumiceError: the model is not calibrated.
        """
        edges = {name: edge_format(quantizer, name) for name, quantizer in self.edges.items()}
        blocks, residual = [], edges["embedded"]
        for block in self.blocks:
            blocks.append(block.formats(residual))
            residual = blocks[-1].output
        read = None if self.tokens else self.input.format
        return NetworkFormats(read, edges["embedded"], tuple(blocks), edges["readout"])

    def forward(self, inputs: Tensor, blocks: Tensor, count: int) -> Tensor:
        """Logits (B, N, C); arguments as `SpikingSSM.forward`.

        Raises:
            PumiceError: sequences with more than one labelled stretch: programs of this family decide once.
        """
        self.count_batch()
        lengths = labelled_lengths(blocks, count)
        logits = run_network(self.quantized(), inputs, lengths, training=self.training, record=self.recorder)
        return one_stretch(logits, count)

    def hidden_nodes(self) -> tuple[str, ...]:
        """See `QATModel.hidden_nodes`."""
        return tuple(node_name(number, "neurons") for number in range(len(self.model.blocks)))

    def float_signals(self, inputs: Inputs) -> dict[str, Tensor]:
        """See `QATModel.float_signals`."""
        values = torch.where(real_steps(inputs), inputs.values, 0) if self.tokens else inputs.values
        with listening(self.model) as heard:
            self.model.features(values)
        return {name: spikes for name, (spikes,) in zip(self.hidden_nodes(), heard.values(), strict=True)}

    def quantized(self) -> QuantizedNetwork:
        """See `QATModel.quantized`."""
        formats, frozen = self.formats(), bool(self.held("scales_frozen"))
        blocks = tuple(
            block.quantized(block_formats, frozen)
            for block, block_formats in zip(self.blocks, formats.blocks, strict=True)
        )
        if not frozen:
            self._set_outer_fracs(formats)
        first, decoder = self.first, self.model.decoder
        bias = None
        if formats.input is not None:
            bias = quantize_bias(self.model.encoder.bias, self.encoder.frac + formats.input.frac)
        decoder_frac = self.decoder.frac + formats.readout.frac
        return QuantizedNetwork(
            formats=formats,
            encoder=self.encoder(first.weight),
            encoder_bias=bias,
            blocks=blocks,
            decoder=self.decoder(decoder.weight),
            decoder_bias=quantize_bias(decoder.bias, decoder_frac.expand(len(decoder.bias))),
            logits=None,
            quantizers=self.edges,
        )

    def output_bias(self) -> nn.Parameter:
        """See `QATModel.output_bias`."""
        return self.model.decoder.bias

    def _frozen(self, nodes: tuple[Node, ...]) -> FrozenSpikingSSM:
        return FrozenSpikingSSM(nodes)

    def _nodes(self) -> Iterator[Node]:
        formats, widths, frozen = self.formats(), self.config.widths, bool(self.held("scales_frozen"))
        if not frozen:
            self._set_outer_fracs(formats)
        outer, size = self._outer(), self.model.config.d_model
        source: Node
        if formats.input is None:
            table = outer["embedding.weight"]
            yield token_input(len(table))
            source = embedding_node(table, widths.embedding, int(self.encoder.frac), formats.embedded)
        else:
            yield dense_input(formats.input, self.model.encoder.in_features)
            fracs = self.encoder.frac.cpu().numpy()
            operand = Operand(DENSE, formats.input, outer["encoder.weight"], widths.embedding, fracs)
            source = linear_node("encoder", [operand], outer["encoder.bias"], formats.embedded)
        yield source
        for block, block_formats in zip(self.blocks, formats.blocks, strict=True):
            folded = block.folded()
            exponents = block.fracs(block_formats, None if frozen else folded)
            for node in block_nodes(
                block.number, source.name, folded, block_formats, exponents, block.widths, self.output
            ):
                yield node
            source = node
        residual = formats.blocks[-1].output
        yield readout_node("readout", (source.name,), residual, formats.readout, size, "mean")
        weight, bias = outer["decoder.weight"], outer["decoder.bias"]
        yield decoder_node("readout", formats.readout, weight, bias, widths.decoder, int(self.decoder.frac))

    def _set_outer_fracs(self, formats: NetworkFormats) -> None:
        method, widths = self.config.calibration.method, self.config.widths
        outer = self._outer()
        self.decoder.set_frac(table_frac(outer["decoder.weight"], widths.decoder, method, 30))
        if formats.input is None:
            limit = formats.embedded.frac
            self.encoder.set_frac(table_frac(outer["embedding.weight"], widths.embedding, method, limit))
        else:
            useful = useful_frac(formats.input, formats.embedded)
            self.encoder.set_frac(row_fracs(outer["encoder.weight"], widths.embedding, method, useful))

    def _outer(self) -> dict[str, Floats]:
        """Weights and biases outside the blocks, by their names, in float64."""
        layers = {"embedding" if self.tokens else "encoder": self.first, "decoder": self.model.decoder}
        named = {
            f"{name}.{what}": tensor for name, layer in layers.items() for what, tensor in layer.named_parameters()
        }
        return arrays_of(named, "the weight")


def why_not(bidirectional: bool, head: str) -> str | None:
    """Why no program can hold a model of these settings; None if one can."""
    if head != "mean":
        return f"model.head={head} compares pairs of sequences, which no program does; train with head=mean"
    if bidirectional:
        return (
            "model.bidirectional=true reads sequences from their end as well, which no device that runs step by step "
            "can do; train with bidirectional=false"
        )
    return None
