"""CPU time an event of the ONNX models in onnxruntime: integers against float32, the simulator beside; one thread.

    python benchmarks/onnx_models.py [--models s5/tiny s5/shd-medium adlif/ecg adlif/shd-small]
                                     [--events 2000] [--batch 64]

S5 models have random weights, calibrated and lowered at w8a8; spiking networks random codes of the default widths, as
their cost in ONNX does not depend on spikes, while the simulator's does. Ways are compared within one interface:

- an event: a step with its states carried by the host. Integer and float32 model have the same structure (clock, valid
  flags, branches behind strides), so that the arithmetic is what differs; "rates apart" is a float32 step without clock
  and flags, whose host runs a graph a rate; qdq is float arithmetic between QuantizeLinear and DequantizeLinear,
  without branches. The simulator's step gives the same integers as the integer step, and so do models of integer
  tensors alone (``export.integers=true``).
- a sample, a batch: the logits after the last event of one sample, or of as many equal ones as the batch has; integer
  and float32 model are the same `Scan`, and the simulator's `run` gives the same integers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import torch
from float_onnx import FloatStep
from programs import CLOCKED, TICK_US, make_s5, make_stream, settings_of
from pumice.export.onnx import build_sequence, build_step
from pumice.export.onnx.feed import feed
from pumice.export.onnx.float import adlif as float_adlif
from pumice.export.onnx.float import s5 as float_s5
from pumice.export.onnx.float.steps import float_feed
from pumice.export.onnx.integer import INTEGER
from pumice.export.onnx.qdq import QDQ
from pumice.export.onnx.session import Session
from pumice.hw_sim.simulator import Simulator, run
from pumice.models.adlif.build import build_adlif
from pumice.program import Program
from pumice.program.clock import gaps
from pumice.program.random.networks import random_network
from pumice.program.samples import Sample
from timing import Way, compare, parse, parser

EVENT, SAMPLE = "an event", "a sample"


def step_through(session: Session, inputs: dict[str, np.ndarray]) -> Callable[[], None]:
    """One call an event, states carried."""
    events = next(iter(inputs.values())).shape[1]
    rows = [{name: array[:, event] for name, array in inputs.items()} for event in range(events)]

    def go() -> None:
        states = session.states(1)
        for row in rows:
            out = session.run(row | states)
            states = {name: out["next" + name.removeprefix("state")] for name in states}

    return go


def open_model(built: onnx.ModelProto) -> Session:
    return Session(built.SerializeToString(), threads=1)


def s5_ways(name: str, events: int, batch: int) -> list[Way]:
    """An S5 classifier of configs/model/s5."""
    model, program = make_s5(name)
    tokens, times = make_stream(events)
    dt = torch.from_numpy(gaps(times, TICK_US) * (TICK_US / 1000))[None].float()
    arguments = (torch.from_numpy(tokens)[None], dt, torch.tensor([events]), dt)
    float_one = float_s5.float_feed(*arguments)
    step = float_s5.build_float_step(model, program.class_names)
    sequence = float_s5.build_float_sequence(model, program.class_names)
    with torch.inference_mode():
        expected = model(*arguments)
    np.testing.assert_allclose(open_model(sequence).run(float_one)["logits"], expected, rtol=1e-3, atol=1e-3)
    yardstick = FloatStep(model)
    pairs = list(zip(tokens.tolist(), dt[0].tolist(), strict=True))
    apart = Way(EVENT, "onnxruntime, float32 step, rates apart", lambda: [yardstick.step(*p) for p in pairs], events)
    ways = make_ways(program, (tokens, times), batch, step, sequence, float_one)
    return [ways[0], apart, *ways[1:]]


def network_ways(name: str, events: int, batch: int) -> list[Way]:
    """A spiking network of the sizes in configs/model/adlif."""
    settings, (inputs, classes, _) = settings_of(name), CLOCKED[name]
    network = build_adlif(settings, num_classes=classes, in_features=inputs, seed=0).eval()
    widths = {"state_width": 16, "constant_width": 16, "weight_width": 8, "reset": "zero", "refractory": 0}
    sizes = {"inputs": inputs, "classes": classes, "layers": settings["layers"], "hidden": settings["hidden"]}
    cell = settings["cell"].removesuffix("-adlif")
    program = random_network(
        0, value="dense", cell=cell, recurrent=True, extreme=False, input="counts", **sizes, **widths
    )
    values = np.random.default_rng(0).poisson(0.2, (events, inputs)).astype(np.float32)
    step = float_adlif.build_float_step(network, program.class_names)
    sequence = float_adlif.build_float_sequence(network, program.class_names)
    float_one = float_feed(torch.from_numpy(values)[None], torch.tensor([events]))
    return make_ways(program, (values, np.arange(events) * 1000), batch, step, sequence, float_one)


def make_ways(
    program: Program,
    sample: Sample,
    batch: int,
    float_step: onnx.ModelProto,
    float_sequence: onnx.ModelProto,
    float_one: dict[str, np.ndarray],
) -> list[Way]:
    """Every way to run ``sample``; the integers are compared with the simulator's first."""
    values, times = sample
    events, many, together = len(times), f"a batch of {batch}", len(times) * batch
    one, fed = feed(program, [sample]), feed(program, [sample] * batch)
    float_fed = {name: np.repeat(array, batch, axis=0) for name, array in float_one.items()}
    integer, floating = open_model(build_sequence(program)), open_model(float_sequence)
    expected = run(program, [sample], threads=1)[0].logits
    np.testing.assert_array_equal(integer.run(one)["logits"][0], expected)
    simulator = Simulator(program)

    def simulate() -> None:
        simulator.reset()
        for value, time_us in zip(values, times.tolist(), strict=True):
            simulator.step(value, time_us)

    alone = open_model(build_sequence(program, dialect=INTEGER))
    alone_step = step_through(open_model(build_step(program, dialect=INTEGER)), one)
    qdq = open_model(build_step(program, dialect=QDQ, branches=False))
    step = step_through(open_model(build_step(program)), one)
    return [
        Way(EVENT, "onnxruntime, float32 step", step_through(open_model(float_step), float_one), events, True),
        Way(EVENT, "onnxruntime, integer step", step, events),
        Way(EVENT, "onnxruntime, integer tensors alone, step", alone_step, events),
        Way(EVENT, "onnxruntime, qdq step", step_through(qdq, one), events),
        Way(EVENT, "simulator, step", simulate, events),
        Way(SAMPLE, "onnxruntime, float32 sequence", lambda: floating.run(float_one), events, True),
        Way(SAMPLE, "onnxruntime, integer sequence", lambda: integer.run(one), events),
        Way(SAMPLE, "onnxruntime, integer tensors alone, sequence", lambda: alone.run(one), events),
        Way(SAMPLE, "simulator, run", lambda: run(program, [sample], threads=1), events),
        Way(many, "onnxruntime, float32 sequence", lambda: floating.run(float_fed), together, True),
        Way(many, "onnxruntime, integer sequence", lambda: integer.run(fed), together),
        Way(many, "onnxruntime, integer tensors alone, sequence", lambda: alone.run(fed), together),
        Way(many, "simulator, run", lambda: run(program, [sample] * batch, threads=1), together),
    ]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--models", nargs="+", default=["s5/tiny", "s5/shd-medium", "adlif/ecg", "adlif/shd-small"])
    made.add_argument("--events", type=int, default=2_000)
    made.add_argument("--batch", type=int, default=64)
    made.add_argument("--rounds", type=int, default=5)
    small = {"models": ["s5/tiny", "adlif/ecg"], "events": 500, "batch": 16, "rounds": 3}
    options = parse(made, small, {"models": ["s5/tiny", "adlif/ecg"], "events": 30, "batch": 2, "rounds": 1})
    torch.set_num_threads(1)
    for name in options.models:
        ways = (network_ways if name in CLOCKED else s5_ways)(name, options.events, options.batch)
        title = f"{name}, {options.events:,} events, one thread, onnxruntime {onnxruntime.__version__}"
        compare(title, ways, options.rounds)


if __name__ == "__main__":
    main()
