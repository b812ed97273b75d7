"""The reduced surrogate dynamic network: the membrane of a spiking neuron for all steps at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import PumiceError
from ..scan.kernels.threads import run_tasks
from .kernels import membranes

MOST_LAYERS, MOST_WIDTH, MOST_KERNEL, MOST_SWEEPS = 16, 1024, 1024, 64
Shapes = dict[str, tuple[int, ...]]


class SurrogateDynamicNetwork(nn.Module):
    """Predicts the membrane of `lif_membrane` from the last inputs, strictly causal (Shen et al. 2024, SDN).

    With K the kernel size, d the width and ``x = 0`` before the first step:

        h_t = relu(b_1 + sum_j W_1[:, j] x[t - K + j])     j = 0 .. K-1, so that x_t itself has no part
        h_t = relu(h_t + A_i h_t + b_i)
        h_t = relu(b_i + sum_j W_i[:, j] h[t - K + 1 + j])  for each further layer i, a kernel a channel; then as above
        mem_t = c h_t + b

    Each sweep then puts the membrane once through the neuron itself, for all steps at once, with v_t = mem_t + x_t:

        mem_t = tau v_{t-1} if v_{t-1} < 1, else 0

    which shrinks an error tau-fold where the spike before it is right. The published network has none.

    It is for training alone, runs without gradient, and has buffers in place of parameters: optimizers do not see
    them, and checkpoints of the model around it hold them. It computes in the dtype of its input.

        sdn = shipped_sdn(tau=0.125)
        mem = sdn(x)              # (..., L) -> (..., L)
        spikes = sdn.spikes(x)    # [mem + x >= 1], of x's dtype

    x is the drive over the threshold: divide by the threshold before. A gradient is the caller's to put in, for
    example ``max(0, 1 - |mem + x - 1|)`` with mem as a constant.

    Args:
        tau: of the neuron that it was trained on.
        tensors: by name: ``spatial.i.weight`` (d, K), ``spatial.i.bias`` (d,), ``feature.i.weight`` (d, d),
            ``feature.i.bias`` (d,), for each layer i; ``decoder.weight`` (d,), ``decoder.bias`` ().
        sweeps: how many.

    Raises:
        PumiceError: a tensor is missing, left over, of another shape, or not finite; tau outside [0, 1); sweeps that
            are no whole number from 0 to 64.
    """

    def __init__(self, tau: float, tensors: Mapping[str, Tensor], sweeps: int = 0) -> None:
        super().__init__()
        if not (isinstance(tau, float) and 0 <= tau < 1):
            raise PumiceError(f"tau={tau} of a surrogate dynamic network has to be a number from 0 to below 1")
        if not (type(sweeps) is int and 0 <= sweeps <= MOST_SWEEPS):
            raise PumiceError(f"sweeps={sweeps} of a surrogate dynamic network may be 0 to {MOST_SWEEPS}; change it")
        self.tau = tau
        self.sweeps = sweeps
        self._elsewhere: tuple[tuple[Any, ...], dict[str, Tensor]] | None = None
        self.layers = sum(name.startswith("spatial.") and name.endswith(".weight") for name in tensors)
        first = tensors.get("spatial.0.weight")
        if first is None or first.ndim != 2 or not 1 <= self.layers <= MOST_LAYERS:
            raise PumiceError(
                f"a surrogate dynamic network has 1 to {MOST_LAYERS} layers, the first a spatial.0.weight of (width, "
                "kernel size); reduce a trained one with pumice sdn reduce"
            )
        self.width, self.kernel_size = first.shape
        if not (1 <= self.width <= MOST_WIDTH and 1 <= self.kernel_size <= MOST_KERNEL):
            raise PumiceError(
                f"a surrogate dynamic network of width {self.width} and kernel size {self.kernel_size}; they may be "
                f"1 to {MOST_WIDTH} and 1 to {MOST_KERNEL}"
            )
        shapes = tensor_shapes(self.layers, self.width, self.kernel_size)
        for name in sorted(shapes.keys() ^ tensors.keys()):
            missing = "lacks" if name in shapes else "has no place for"
            raise PumiceError(f"the surrogate dynamic network {missing} {name}; reduce the trained one anew")
        for name, shape in shapes.items():
            value = tensors[name]
            if tuple(value.shape) != shape or not value.is_floating_point() or not bool(value.isfinite().all()):
                raise PumiceError(
                    f"{name} of the surrogate dynamic network has to hold finite real numbers of shape {shape}, it has "
                    f"{value.dtype} of {tuple(value.shape)}; reduce the trained one anew"
                )
            self.register_buffer(name.replace(".", "_"), value.detach().clone())

    @property
    def parameters_count(self) -> int:
        """How many numbers it has."""
        return sum(tensor.numel() for tensor in self.tensors().values())

    @property
    def macs(self) -> int:
        """Products a step and channel."""
        return self.layers * self.width * (self.kernel_size + self.width) + self.width + self.sweeps

    @property
    def memory(self) -> int:
        """How many inputs before a step it sees."""
        return self.kernel_size + (self.layers - 1) * (self.kernel_size - 1) + self.sweeps

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by the names of the constructor."""
        shapes = tensor_shapes(self.layers, self.width, self.kernel_size)
        return {name: getattr(self, name.replace(".", "_")) for name in shapes}

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """The predicted membrane before each step's drive.

        Args:
            x: drive over the threshold (..., L), float32 or float64.

        Returns:
            mem (..., L), of x's dtype, without gradient.
        """
        rows = x.detach()[None].flatten(0, -2)
        if x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64):
            return self._compiled(rows).reshape(x.shape)
        return self.membrane(rows).reshape(x.shape)

    def _compiled(self, rows: Tensor) -> Tensor:
        """`membrane` by the compiled kernel."""
        out = torch.empty_like(rows, memory_format=torch.contiguous_format)
        layers = range(self.layers)
        weights = [
            torch.stack([getattr(self, f"{kind}_{layer}_{leaf}") for layer in layers]).to(rows)
            for kind in ("spatial", "feature")
            for leaf in ("weight", "bias")
        ]
        decoder, bias = self.tensors()["decoder.weight"].to(rows), self.tensors()["decoder.bias"].to(rows).item()
        number = out.numpy().dtype.type
        settings = number(bias), number(self.tau), self.sweeps, out
        run_tasks(membranes, len(rows), rows.numel() * self.macs, rows, *weights, decoder, *settings)
        return out

    def membrane(self, rows: Tensor) -> Tensor:
        """The membrane (N, L) of the drive (N, L) by torch alone, on any device."""
        weights = self._weights_for(rows)
        if not rows.shape[-1]:
            return rows
        h = F.pad(rows, (self.kernel_size, -1))[:, None]  # from x[t - K] on, up to x[t - 1]
        for layer in range(self.layers):
            if layer > 0:
                h = F.pad(h, (self.kernel_size - 1, 0))
            kernels = weights[f"spatial.{layer}.weight"][:, None]
            h = F.conv1d(h, kernels, weights[f"spatial.{layer}.bias"], groups=h.shape[1]).relu_()
            mixed = F.conv1d(h, weights[f"feature.{layer}.weight"][..., None], weights[f"feature.{layer}.bias"])
            h = mixed.add_(h).relu_()
        membrane = F.conv1d(h, weights["decoder.weight"][None, :, None], weights["decoder.bias"][None])[:, 0]
        return sweep(rows, membrane, self.tau, self.sweeps)

    def _weights_for(self, rows: Tensor) -> dict[str, Tensor]:
        """The tensors as ``rows`` are, sent to another device once."""
        own = self.tensors()
        if own["decoder.bias"].device == rows.device:
            return {name: tensor.to(rows) for name, tensor in own.items()}
        versions = rows.device, rows.dtype, *(tensor._version for tensor in own.values())
        if self._elsewhere is None or self._elsewhere[0] != versions:
            self._elsewhere = versions, {name: tensor.to(rows) for name, tensor in own.items()}
        return self._elsewhere[1]

    def spikes(self, x: Tensor) -> Tensor:
        """Spikes (..., L), 0 or 1 of x's dtype and without gradient: where the membrane and the drive reach 1."""
        return (self(x) + x.detach() >= 1).to(x.dtype)


@torch.no_grad()
def sweep(x: Tensor, membrane: Tensor, tau: float, sweeps: int) -> Tensor:
    """The membrane (..., L) after it went ``sweeps`` times through the neuron, for all steps at once.

    From zeros, k sweeps are the neuron that began k steps before each step, at rest.

    Args:
        x: drive over the threshold (..., L).
        membrane: before each step's drive (..., L).
        tau: what remains of the potential after one step.
        sweeps: how often.
    """
    for _ in range(sweeps):
        reached = membrane + x
        membrane = F.pad(torch.where(reached < 1, reached * tau, 0.0)[..., :-1], (1, 0))
    return membrane


def tensor_shapes(layers: int, width: int, kernel_size: int) -> Shapes:
    """Names and shapes of a reduced network's tensors."""
    shapes: Shapes = {}
    for layer in range(layers):
        shapes[f"spatial.{layer}.weight"] = (width, kernel_size)
        shapes[f"spatial.{layer}.bias"] = (width,)
        shapes[f"feature.{layer}.weight"] = (width, width)
        shapes[f"feature.{layer}.bias"] = (width,)
    return {**shapes, "decoder.weight": (width,), "decoder.bias": ()}


def published_tensors(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a fused network in the published names and shapes, under Pumice's.

    Args:
        weights: ``conv1.weight`` (d, 1, K), ``conv2.weight`` (d, d, 1), ``conv3.weight`` (1, d, 1) and a bias of each.

    Raises:
        PumiceError: a tensor is missing, left over or of another shape.
    """
    names = {"conv1": "spatial.0", "conv2": "feature.0", "conv3": "decoder"}
    for name in sorted({f"{conv}.{leaf}" for conv in names for leaf in ("weight", "bias")} ^ weights.keys()):
        word = "have no place for" if name in weights else "lack"
        raise PumiceError(f"the fused weights {word} {name}; they are weight and bias of conv1, conv2 and conv3")
    first = tuple(weights["conv1.weight"].shape)
    width, kernel_size = first[0] if first else 0, first[-1] if first else 0
    published = {"conv1": (width, 1, kernel_size), "conv2": (width, width, 1), "conv3": (1, width, 1)}
    shapes = tensor_shapes(1, width, kernel_size)
    found = {}
    for conv, shape in published.items():
        weight, bias = weights[f"{conv}.weight"], weights[f"{conv}.bias"]
        if tuple(weight.shape) != shape or tuple(bias.shape) != (shape[0],):
            raise PumiceError(
                f"{conv} has a weight of {tuple(weight.shape)} and a bias of {tuple(bias.shape)}, it should be {shape} "
                f"and {(shape[0],)}; choose the fused weights of one layer"
            )
        for leaf, value in (("weight", weight), ("bias", bias)):
            name = f"{names[conv]}.{leaf}"
            found[name] = value.reshape(shapes[name])
    return found
