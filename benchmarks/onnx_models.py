"""Events a second of the ONNX models in onnxruntime: integers against float32, the simulator beside both, one run.

    python benchmarks/onnx_models.py [--models tiny shd-medium ecg shd-small] [--events 2000] [--batch 64]

S5 models have random weights, calibrated and lowered at w8a8; spiking networks (ecg, shd-small, bsd) random codes of
the default widths, as their cost in ONNX does not depend on spikes, while the simulator's does. One thread. The integer
and the float32 model have the same structure (clock, valid flags, branches behind strides), so that the arithmetic is
what differs; "rates apart" is a float32 step without clock and flags, whose host runs a graph a rate. Medians of five
repetitions that take turns, in CPU time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pumice.configs
import torch
from float_onnx import FloatStep
from omegaconf import OmegaConf
from pumice.export.onnx import build_sequence, build_step
from pumice.export.onnx.feed import feed
from pumice.export.onnx.float.adlif import build_float_sequence as build_float_network
from pumice.export.onnx.float.adlif import build_float_step as build_float_network_step
from pumice.export.onnx.float.adlif import float_feed as float_network_feed
from pumice.export.onnx.float.s5 import build_float_sequence, build_float_step, float_feed
from pumice.export.onnx.qdq import QDQ
from pumice.export.onnx.session import Session
from pumice.hw_sim.simulator import Simulator, run
from pumice.models.adlif.build import build_adlif
from pumice.models.s5.build import build_s5
from pumice.program import Program
from pumice.program.clock import gaps
from pumice.program.random.networks import random_network
from pumice.program.samples import Sample
from rich.console import Console
from rich.table import Table
from simulator import CLASSES, TICK_US, VOCAB, make_program, make_stream, measure

BASE = "float32 step, batch 1"
CONFIGS = Path(pumice.configs.__file__).parent / "model"
CLOCKED = {"ecg": (4, 6), "shd-small": (140, 20), "bsd": (10, 20)}
"""Inputs and classes of the spiking networks."""


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


def benchmark(name: str, events: int, batch: int) -> dict[str, float]:
    """An S5 classifier of configs/model/s5."""
    settings = OmegaConf.to_container(OmegaConf.load(CONFIGS / "s5" / f"{name}.yaml"))
    model = build_s5(settings, num_classes=CLASSES, seed=0, vocab=VOCAB).eval()
    program = make_program(model)
    tokens, times = make_stream(events)
    dt = torch.from_numpy(gaps(times, TICK_US) * (TICK_US / 1000))[None].float()
    arguments = (torch.from_numpy(tokens)[None], dt, torch.tensor([events]), dt)
    float_one = float_feed(*arguments)
    names = program.class_names
    step, sequence = build_float_step(model, names), build_float_sequence(model, names)
    with torch.inference_mode():
        expected = model(*arguments)
    np.testing.assert_allclose(open_model(sequence).run(float_one)["logits"], expected, rtol=1e-3, atol=1e-3)
    yardstick = FloatStep(model)
    pairs = list(zip(tokens.tolist(), dt[0].tolist(), strict=True))
    apart = {"float32 step, rates apart": (lambda: [yardstick.step(*pair) for pair in pairs], events)}
    return race(program, (tokens, times), batch, step, sequence, float_one, apart)


def benchmark_clocked(name: str, events: int, batch: int) -> dict[str, float]:
    """A spiking network of the sizes in configs/model/adlif."""
    settings = OmegaConf.to_container(OmegaConf.load(CONFIGS / "adlif" / f"{name}.yaml"))
    inputs, classes = CLOCKED[name]
    network = build_adlif(settings, num_classes=classes, in_features=inputs, seed=0).eval()
    widths = {"state_width": 16, "constant_width": 16, "weight_width": 8}
    sizes = {"inputs": inputs, "classes": classes, "layers": settings["layers"], "hidden": settings["hidden"]}
    cell = settings["cell"].removesuffix("-adlif")
    program = random_network(
        0, value="dense", cell=cell, recurrent=True, extreme=False, input="counts", **sizes, **widths
    )
    values = np.random.default_rng(0).poisson(0.2, (events, inputs)).astype(np.float32)
    names = program.class_names
    step, sequence = build_float_network_step(network, names), build_float_network(network, names)
    x = torch.from_numpy(values)[None]
    float_one = float_network_feed(x, torch.tensor([events]))
    return race(program, (values, np.arange(events) * 1000), batch, step, sequence, float_one, {})


def race(
    program: Program,
    sample: Sample,
    batch: int,
    float_step: onnx.ModelProto,
    float_sequence: onnx.ModelProto,
    float_one: dict[str, np.ndarray],
    others: dict[str, tuple[Callable[[], None], int]],
) -> dict[str, float]:
    """Events a second of every way to run ``sample``, and of ``others``."""
    values, times = sample
    events = len(times)
    one, many = feed(program, [sample]), feed(program, [sample] * batch)
    float_many = {name: np.repeat(array, batch, axis=0) for name, array in float_one.items()}
    integer, floating = open_model(build_sequence(program)), open_model(float_sequence)
    expected = run(program, [sample], threads=1)[0].logits
    np.testing.assert_array_equal(integer.run(one)["logits"][0], expected)
    simulator = Simulator(program)

    def simulate() -> None:
        simulator.reset()
        for value, time_us in zip(values, times.tolist(), strict=True):
            simulator.step(value, time_us)

    qdq = open_model(build_step(program, family=QDQ, branches=False))
    return measure(
        {
            BASE: (step_through(open_model(float_step), float_one), events),
            **others,
            "integer step, batch 1": (step_through(open_model(build_step(program)), one), events),
            "qdq step, batch 1": (step_through(qdq, one), events),
            "float32 sequence, batch 1": (lambda: floating.run(float_one), events),
            "integer sequence, batch 1": (lambda: integer.run(one), events),
            f"float32 sequence, batch {batch}": (lambda: floating.run(float_many), events * batch),
            f"integer sequence, batch {batch}": (lambda: integer.run(many), events * batch),
            "simulator step": (simulate, events),
            "simulator run": (lambda: run(program, [sample] * batch, threads=1), events * batch),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["tiny", "shd-medium", "ecg", "shd-small"])
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.models:
        run_it = benchmark_clocked if name in CLOCKED else benchmark
        figures = run_it(name, options.events, options.batch)
        table = Table(title=f"{name}, onnxruntime {onnxruntime.__version__}")
        for column in ("way", "events/s", "us/event", "x float32 step"):
            table.add_column(column, justify="left" if column == "way" else "right")
        for way, rate in figures.items():
            table.add_row(way, f"{rate:,.0f}", f"{1e6 / rate:.2f}", f"{rate / figures[BASE]:.2f}")
        Console().print(table)


if __name__ == "__main__":
    main()
