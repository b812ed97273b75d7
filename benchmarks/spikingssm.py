"""CPU time of a training step of SpikingSSM, by how its neurons are trained and its convolution is computed, and of
inference in integers and in floats.

    python benchmarks/spikingssm.py [--only training inference] [--lengths 784 4096] [--batch 8] [--d-model 64]
                                    [--d-state 16] [--layers 2]

A step is forward, cross entropy, backward and AdamW, in float32, on a batch of random sequences; the ways take turns.
`sdn` predicts the neurons' potentials by the surrogate network that comes with Pumice. `bptt` and `sltt` compute them
exactly, by compiled loops, or by torch step by step with autograd, as published code does it.

Inference is that of one thread, of a model with random weights at w8a8, calibrated on the same sequences. A sample:
the logits after the last step of each sequence of a batch, by the simulator in integers, layer by layer, by torch in
float32 (convolution and compiled neurons over the batch), and by onnxruntime (the exported float32 model, a step at a
time). An event: a step of one stream, states carried from call to call.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from programs import SPIKE_RATE, STEP_US
from pumice.export.onnx.float.spikingssm import build_float_sequence
from pumice.export.onnx.float.steps import float_feed
from pumice.export.onnx.session import Session
from pumice.hw_sim.simulator import Simulator, run
from pumice.models.scan.threshold import threshold_scan
from pumice.models.spikingssm.build import build_spikingssm
from pumice.models.spikingssm.network import SpikingSSM
from pumice.program.nodes import SPIKES
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.families import lower, prepare
from pumice.quantize.qat import calibrate
from pumice.train.data.inputs import Inputs
from timing import Way, compare, parse, parser
from torch.nn.functional import cross_entropy

CLASSES = 10
PARTS = ["training", "inference"]
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


def inference_ways(settings: dict[str, object], batch: int, steps: int) -> tuple[list[Way], str]:
    """The ways, and a line about the spikes."""
    model = make_model("sltt", "chunked", None, settings).eval()
    x = torch.rand(batch, steps, 1, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for block, seen in zip(model.blocks, model.traces(x), strict=True):  # a tenth of the neurons spikes, or so
            block.layer.neuron.ln_vth += seen.current.flatten(1).quantile(1 - SPIKE_RATE, dim=1).clamp(min=0.01).log()
    lengths = torch.full((batch,), steps)
    qat = calibrate(prepare(model, QuantizationConfig(max_dead_zone=1.0)), [Inputs(x, None, lengths)])
    program = lower(qat, [str(number) for number in range(CLASSES)])
    times = STEP_US * np.arange(steps)
    samples = [(values.double().numpy(), times) for values in x]
    names = [node.name for node in program if node.keeps_state and node.output == SPIKES]
    (trace,) = run(program, samples[:1], trace=True)
    line = "medians of CPU time; spikes: " + ", ".join(f"{name} {trace.values[name].mean():.1%}" for name in names)
    simulator, rows, few = Simulator(program), list(samples[0][0]), min(steps, 100)
    stretches = torch.ones(x.shape[:2], dtype=torch.int64)
    session = Session(build_float_sequence(model, program.class_names).SerializeToString())
    fed = float_feed(x, lengths)

    def step() -> None:
        simulator.reset()
        for value, time_us in zip(rows, times.tolist(), strict=True):
            simulator.step(value, time_us)

    def step_many() -> None:
        simulator.reset()
        simulator.step_many(*samples[0])

    def torch_step() -> None:
        with torch.inference_mode():
            states = model.initial_state(1)
            for value in x[0, :few]:
                _, states = model.step(value[None], states)

    def forward() -> None:
        with torch.inference_mode():
            model(x, stretches, 2)

    every = batch * steps
    return [
        Way("an event", "simulator, step", step, steps),
        Way("an event", "torch, float32 step", torch_step, few, yardstick=True),
        Way("a chunk", "simulator, step_many", step_many, steps),
        Way("a sample", "simulator, run", lambda: run(program, samples, threads=1), every),
        Way("a sample", "torch, float32 forward", forward, every, yardstick=True),
        Way("a sample", "onnxruntime, float32 sequence", lambda: session.run(fed), every),
    ], line


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--lengths", type=int, nargs="+", default=[784, 4096])
    made.add_argument("--batch", type=int, default=8)
    made.add_argument("--d-model", type=int, default=64)
    made.add_argument("--d-state", type=int, default=16)
    made.add_argument("--layers", type=int, default=2)
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    small = {"batch": 2, "lengths": [784], "rounds": 3}
    options = parse(made, small, {"batch": 1, "lengths": [64], "d_model": 4, "rounds": 1})
    torch.set_num_threads(options.threads)

    settings: dict[str, object] = {name: getattr(options, name) for name in ("d_model", "d_state", "layers")}
    shape = f"{options.layers} x d {options.d_model}, N {options.d_state}, batch {options.batch}"
    generator = torch.Generator().manual_seed(0)
    ways: list[Way] = []
    for length in options.lengths if "training" in options.only else ():
        x = torch.rand(options.batch, length, 1, generator=generator)
        labels = torch.randint(CLASSES, (options.batch,), generator=generator)
        for name, way in WAYS.items():
            step = training_step(make_model(*way, settings), x, labels)
            ways.append(Way(f"L = {length:,}", name, step, options.batch, name == "sdn"))
    if ways:
        compare(f"training step, {shape}, {options.threads} threads", ways, options.rounds, unit="sample")
    if "inference" in options.only:
        torch.set_num_threads(1)
        inferred, line = inference_ways(settings, options.batch, options.lengths[0])
        compare(f"inference, {shape}, {options.lengths[0]:,} steps, one thread", inferred, options.rounds, "step", line)


if __name__ == "__main__":
    main()
