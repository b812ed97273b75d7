"""CPU time an event of the simulator, against float32 models in onnxruntime and torch; one stream, one thread.

    python benchmarks/simulator.py [--models s5/tiny s5/shd-medium adlif/ecg adlif/shd] [--events 20000]

Models have random weights, calibrated and lowered at w8a8. The stream of S5 models has uniform tokens, about 10,000
events a second. Networks of spiking neurons get random spikes, and input weights at which a tenth of the neurons spikes
at a step; an event is a step. Ways are compared within one interface, and do there:

- an event: the logits after each event, states carried from call to call. The simulator does it in integers. The float
  step in onnxruntime does all that a stride allows: the graph of a pooled rate runs only when its window closes. The
  float step in torch does the same, eager, and reads the logits after each event.
- a chunk: the logits after each of many events. Only the simulator offers it.
- a sample: the logits after the last event (of clocked networks, the potentials of every step). The simulator does it
  layer by layer in integers, onnxruntime by the exported float32 sequence model, torch by the model's forward pass with
  its compiled scan.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from float_onnx import FloatStep
from programs import CLOCKED, STEP_US, TICK_US, make_network, make_s5, make_stream
from pumice.export.onnx.float import adlif as float_adlif
from pumice.export.onnx.float import s5 as float_s5
from pumice.export.onnx.float.steps import float_feed
from pumice.export.onnx.session import Session
from pumice.hw_sim.simulator import Simulator, run
from pumice.models.s5.classifier import S5Classifier
from pumice.program import Program
from pumice.program.clock import gaps
from pumice.program.nodes import SPIKES
from timing import Way, compare, parse, parser

EVENT, CHUNK, SAMPLE = "an event", "a chunk", "a sample"


def in_simulator(program: Program, values: np.ndarray, times: np.ndarray) -> list[Way]:
    simulator, rows, clock = Simulator(program), list(values), times.tolist()

    def step() -> None:
        simulator.reset()
        for value, time_us in zip(rows, clock, strict=True):
            simulator.step(value, time_us)

    def step_many() -> None:
        simulator.reset()
        simulator.step_many(values, times)

    return [
        Way(EVENT, "simulator, step", step, len(times)),
        Way(CHUNK, "simulator, step_many", step_many, len(times)),
        Way(SAMPLE, "simulator, run", lambda: run(program, [(values, times)], threads=1), len(times)),
    ]


def beside(simulated: list[Way], others: list[Way]) -> list[Way]:
    """All ways, those of one interface together."""
    return sorted([*simulated, *others], key=lambda way: (EVENT, CHUNK, SAMPLE).index(way.interface))


def check_step(model: S5Classifier, tokens: np.ndarray, dt: np.ndarray) -> None:
    """onnxruntime's float graphs must compute what the model computes."""
    yardstick, state = FloatStep(model), model.init_state(1)
    for token, gap in zip(tokens[:300], dt[:300], strict=True):
        logits = yardstick.step(int(token), float(gap))
        with torch.no_grad():
            _, _, state = model.step(torch.tensor([token]), torch.tensor([gap], dtype=torch.float32), state)
    np.testing.assert_allclose(logits, model.readout(state).detach().numpy(), rtol=2e-3, atol=2e-3)


def s5_ways(name: str, events: int) -> list[Way]:
    model, program = make_s5(name)
    tokens, times = make_stream(events)
    dt = gaps(times, TICK_US) * (TICK_US / 1000)
    check_step(model, tokens, dt)
    yardstick, few = FloatStep(model), max(events // 20, 20)
    pairs = list(zip(tokens[:few].tolist(), dt[:few].tolist(), strict=True))

    def onnxruntime_step() -> None:
        for token, gap in pairs:
            yardstick.step(token, gap)

    def torch_step() -> None:
        with torch.inference_mode():
            state = model.init_state(1)
            for token, gap in pairs:
                _, _, state = model.step(torch.tensor([token]), torch.tensor([gap]), state)
                model.readout(state)

    intervals = torch.from_numpy(dt)[None].float()
    arguments = (torch.from_numpy(tokens)[None], intervals, torch.tensor([events]), intervals)
    forward = in_inference(lambda: model(*arguments))
    session = Session(float_s5.build_float_sequence(model, program.class_names).SerializeToString())
    fed = float_s5.float_feed(*arguments)
    np.testing.assert_allclose(session.run(fed)["logits"], forward(), rtol=2e-3, atol=2e-3)
    others = [
        Way(EVENT, "onnxruntime, float32 step", onnxruntime_step, few, yardstick=True),
        Way(EVENT, "torch, float32 step", torch_step, few),
        Way(SAMPLE, "onnxruntime, float32 sequence", lambda: session.run(fed), events, yardstick=True),
        Way(SAMPLE, "torch, float32 forward", forward, events),
    ]
    return beside(in_simulator(program, tokens, times), others)


def network_ways(name: str, steps: int) -> tuple[list[Way], str]:
    """The ways, and a line about the spikes."""
    model, program, values = make_network(name, steps)
    times = STEP_US * np.arange(steps)
    (trace,) = run(program, [(values[:1_000], times[:1_000])], trace=True)
    spiking = [node.name for node in program if node.keeps_state and node.output == SPIKES]
    rates = "medians of CPU time; spikes: " + ", ".join(f"{name} {trace.values[name].mean():.1%}" for name in spiking)
    names, few = program.class_names, max(steps // 20, 20)
    session = Session(float_adlif.build_float_step(model, names).SerializeToString())
    rows = [{"value": row[None], "valid": np.ones(1, bool)} for row in values[:few]]

    def onnxruntime_step() -> np.ndarray:
        states = session.states(1)
        for row in rows:
            out = session.run(row | states)
            states = {before: out["next" + before.removeprefix("state")] for before in states}
        return out["logits"]

    def torch_step() -> np.ndarray:
        with torch.inference_mode():
            states = model.initial_state(1)
            for row in rows:
                potentials, states = model.step(torch.from_numpy(row["value"]), states)
        return potentials.numpy()

    np.testing.assert_allclose(onnxruntime_step(), torch_step(), rtol=1e-3, atol=1e-3)
    whole = torch.from_numpy(values)[None]
    sequence = Session(float_adlif.build_float_sequence(model, names).SerializeToString())
    fed = float_feed(whole, torch.tensor([steps]))
    others = [
        Way(EVENT, "onnxruntime, float32 step", onnxruntime_step, few, yardstick=True),
        Way(EVENT, "torch, float32 step", torch_step, few),
        Way(SAMPLE, "onnxruntime, float32 sequence", lambda: sequence.run(fed), steps, yardstick=True),
        Way(SAMPLE, "torch, float32 forward", in_inference(lambda: model.sequence(whole)[0]), steps),
    ]
    return beside(in_simulator(program, values.astype(np.float64), times), others), rates


def in_inference(call: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    def inferred() -> torch.Tensor:
        with torch.inference_mode():
            return call()

    return inferred


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--models", nargs="+", default=["s5/tiny", "s5/shd-medium", "adlif/ecg", "adlif/shd"])
    made.add_argument("--events", type=int, default=20_000)
    made.add_argument("--rounds", type=int, default=5)
    small = {"models": ["s5/tiny", "adlif/ecg"], "events": 4_000, "rounds": 3}
    options = parse(made, small, {"models": ["s5/tiny", "adlif/tiny"], "events": 300, "rounds": 1})
    torch.set_num_threads(1)
    for name in options.models:
        clocked = name in CLOCKED
        ways, line = network_ways(name, options.events) if clocked else (s5_ways(name, options.events), None)
        title = f"{name}, w8a8, {options.events:,} {'steps' if clocked else 'events'}, one thread, batch 1"
        compare(title, ways, options.rounds, "step" if clocked else "event", line)


if __name__ == "__main__":
    main()
