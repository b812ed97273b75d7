"""Calibration: the float model over every event, and what its edges and states reach."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear

from ...errors import PumiceError
from ...models.s5.head import read_out
from ...models.s5.layer import SequenceLayer
from ...models.s5.norm import MaskedBatchNorm
from ...models.s5.times import EventTimes
from ...models.scan.event import event_scan
from ..constants import largest_frac
from ..fold import fold_layer
from ..program.formats import MAX_FRAC
from ..quantizers import FINER_EXPONENTS
from ..rounding import code_range, pow2, pow2_codes

BINS = 1 << 14  # eight or more a code of 12 bits


class Histogram:
    """Counts of values over ``[-2**k, 2**k)``; k grows with the values, pairs of bins being merged."""

    def __init__(self) -> None:
        self.exponent: int | None = None
        self.counts = torch.zeros(BINS, dtype=torch.float64)
        self.largest = 0.0

    def update(self, x: Tensor) -> None:
        """Count the values of x, any shape.

        Raises:
            PumiceError: values that are not finite.
        """
        x = x.detach().flatten().double().cpu()
        if not len(x):
            return
        largest = float(x.abs().max())
        if not np.isfinite(largest):
            raise PumiceError("calibration met NaN or infinity; train the model again, or clean the data")
        self.largest = max(self.largest, largest)
        needed = int(np.frexp(largest)[1]) if largest > 0 else -MAX_FRAC
        self.exponent = needed if self.exponent is None else self.exponent
        while self.exponent < needed:
            quarter = torch.zeros(BINS // 4, dtype=torch.float64)
            self.counts = torch.cat([quarter, self.counts.reshape(-1, 2).sum(1), quarter])
            self.exponent += 1
        limit = 2.0**self.exponent
        self.counts += torch.histc(x, BINS, -limit, limit)

    def frac(self, width: int, signed: bool, method: str, headroom: int = 0) -> int | None:
        """Fractional bits for codes of ``width`` bits, ``headroom`` of them spare; None where nothing was seen."""
        if self.exponent is None:
            return None
        _, highest = code_range(width - headroom, signed)
        frac = int(np.clip(largest_frac(self.largest, highest, highest.bit_length()), -MAX_FRAC, MAX_FRAC))
        if method == "max" or self.largest == 0:
            return frac
        limit = 2.0**self.exponent
        centres = torch.linspace(-limit, limit, 2 * BINS + 1, dtype=torch.float64)[1::2]
        errors = []
        for candidate in range(frac, frac + FINER_EXPONENTS + 1):
            restored = pow2_codes(centres, candidate, width - headroom, signed) * pow2(-candidate, centres)
            errors.append(float(((restored - centres).square() * self.counts).sum()))
        return frac + int(np.argmin(errors))


class Peaks:
    """The largest magnitude of each mode's real and imaginary part."""

    def __init__(self, modes: int) -> None:
        self.largest = torch.zeros(modes, dtype=torch.float64)
        self.seen = False

    def update(self, states: Tensor) -> None:
        """Look at states (N, 2P), planar."""
        if len(states):
            peaks = states.detach().abs().amax(0).double().cpu()
            self.largest = torch.maximum(self.largest, torch.maximum(*peaks.chunk(2)))
            self.seen = True


class LayerObserver:
    """What the edges of one layer reach."""

    def __init__(self, modes: int) -> None:
        self.edges = {name: Histogram() for name in ("u", "y", "gelu", "gate", "skip", "output")}
        self.states = Peaks(modes)


class NetworkObserver:
    """What the edges of a network reach.

    Args:
        modes: of each layer.
    """

    def __init__(self, modes: list[int]) -> None:
        self.edges = {name: Histogram() for name in ("input", "embedded", "readout")}
        self.layers = [LayerObserver(count) for count in modes]


@torch.no_grad()
def observe(
    model: torch.nn.Module,
    observer: NetworkObserver,
    tokens: Tensor,
    dt: Tensor,
    lengths: Tensor,
    pool_dt: Tensor | None = None,
) -> Tensor:
    """Run the float ``S5Classifier`` on a batch and let ``observer`` see every real event; returns the logits."""
    times = EventTimes(dt.to(model.decoder.weight.dtype), (dt if pool_dt is None else pool_dt).to(dt.dtype), lengths)
    total_time = times.pool_dt.sum(1)
    if model.config.token_input:
        x = model.embedding(torch.where(times.real, tokens, 0))
        observer.edges["embedded"].update(model.embedding.weight)
    else:
        tokens = tokens.to(dt.dtype)
        observer.edges["input"].update(tokens[times.real])
        x = model.encoder(tokens)
        observer.edges["embedded"].update(x[times.real])
    layers = [layer for stage in model.stages for layer in stage.layers]
    for layer, seen in zip(layers, observer.layers, strict=True):
        x, times = _observe_layer(layer, seen, x, times)
    value = read_out(x, times, total_time, model.config.head)
    observer.edges["readout"].update(value)
    return model.decoder(value)


def _observe_layer(
    layer: SequenceLayer, seen: LayerObserver, x: Tensor, times: EventTimes
) -> tuple[Tensor, EventTimes]:
    folded = fold_layer(layer, x.dtype)
    norm, ssm = layer.norm, layer.ssm
    if isinstance(norm, MaskedBatchNorm):
        u = x * folded.multiplier + folded.offset
    else:
        u = layer_norm(x, norm.normalized_shape, eps=norm.eps)
    seen.edges["u"].update(u[times.real])
    drive = linear(u, folded.input, folded.input_bias)
    hold = ssm.discretization == "zoh"
    states = event_scan(folded.rate, times.intervals, drive, hold=hold)
    seen.states.update(states[times.real])
    if hold:  # the sum of state and drive is stored as well
        before = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], 1)
        seen.states.update((before + drive)[times.real])
    stride = layer.pool.stride
    count = x.shape[1] // stride
    u, x = layer.pool(u, times), layer.pool(x, times)
    times = times.pooled(stride)
    states = states[:, : count * stride : stride]
    through = u * folded.feedthrough if folded.feedthrough.dim() == 1 else linear(u, folded.feedthrough)
    y = linear(states, folded.output, folded.bias) + through
    activated = gelu(y, approximate="tanh")
    gate = linear(activated, folded.gate, folded.gate_bias)
    if folded.skip is not None:
        x = linear(x, folded.skip, folded.skip_bias)
        seen.edges["skip"].update(x[times.real])
    x = x + y * torch.sigmoid(gate)
    for name, value in (("y", y), ("gelu", activated), ("gate", gate), ("output", x)):
        seen.edges[name].update(value[times.real])
    return x, times
