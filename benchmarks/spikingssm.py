"""CPU time of a training step of SpikingSSM, by how its neurons are trained and its convolution is computed.

    python benchmarks/spikingssm.py [--lengths 784 4096] [--batch 8] [--d-model 64] [--d-state 16] [--layers 2]

A step is forward, cross entropy, backward and AdamW, in float32, on a batch of random sequences; the ways take turns.
`sdn` predicts the neurons' potentials by the surrogate network that comes with Pumice. `bptt` and `sltt` compute them
exactly, by compiled loops, or by torch step by step with autograd, as published code does it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from pumice.models.scan.threshold import threshold_scan
from pumice.models.spikingssm.build import build_spikingssm
from pumice.models.spikingssm.network import SpikingSSM
from timing import Way, compare, parse, parser
from torch.nn.functional import cross_entropy

CLASSES = 10
WAYS = {
    "sdn": ("sdn", "chunked", None),
    "sltt, compiled": ("sltt", "chunked", None),
    "bptt, compiled": ("bptt", "chunked", None),
    "sltt, torch": ("sltt", "chunked", "torch"),
    "bptt, torch": ("bptt", "chunked", "torch"),
    "sdn, by FFT": ("sdn", "fft", None),
}


def make_model(neuron: str, convolution: str, implementation: str | None, settings: dict[str, object]) -> SpikingSSM:
    more = {"neuron": neuron, "convolution": convolution}
    model = build_spikingssm(settings | more, num_classes=CLASSES, in_features=1, seed=0)
    if implementation is not None:
        for block in model.blocks:
            neurons = block.layer.neuron
            scan = partial(threshold_scan, tau=neurons.tau, gradient=neuron, implementation=implementation)
            neurons.forward = scan  # type: ignore[method-assign]
    return model


def training_step(model: SpikingSSM, x: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    stretches = torch.ones(x.shape[:2], dtype=torch.int64)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(model(x, stretches, 2)[:, 1], labels).backward()
        optimizer.step()

    return step


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--lengths", type=int, nargs="+", default=[784, 4096])
    made.add_argument("--batch", type=int, default=8)
    made.add_argument("--d-model", type=int, default=64)
    made.add_argument("--d-state", type=int, default=16)
    made.add_argument("--layers", type=int, default=2)
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--rounds", type=int, default=5)
    small = {"batch": 2, "lengths": [784], "rounds": 3}
    options = parse(made, small, {"batch": 1, "lengths": [64], "d_model": 4, "rounds": 1})
    torch.set_num_threads(options.threads)

    settings: dict[str, object] = {name: getattr(options, name) for name in ("d_model", "d_state", "layers")}
    generator = torch.Generator().manual_seed(0)
    ways = []
    for length in options.lengths:
        x = torch.rand(options.batch, length, 1, generator=generator)
        labels = torch.randint(CLASSES, (options.batch,), generator=generator)
        for name, way in WAYS.items():
            step = training_step(make_model(*way, settings), x, labels)
            ways.append(Way(f"L = {length:,}", name, step, options.batch, name == "sdn"))
    shape = f"{options.layers} x d {options.d_model}, N {options.d_state}, batch {options.batch}"
    compare(f"training step, {shape}, {options.threads} threads", ways, options.rounds, unit="sample")


if __name__ == "__main__":
    main()
