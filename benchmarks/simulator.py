"""Events a second of the simulator against float32 steps in onnxruntime and torch, one stream, one thread, one run.

    python benchmarks/simulator.py [--models s5/tiny s5/shd-medium adlif/ecg adlif/shd] [--events 20000]

Models have random weights, calibrated and lowered at w8a8. The stream of S5 models has uniform tokens, about 10,000
events a second; onnxruntime does all that a stride allows: the graph of a pooled rate runs only when its window closes.
Networks of spiking neurons get random spikes, and input weights at which a tenth of the neurons spikes at a step; an
event is a step; onnxruntime runs the exported float step. Medians of five repetitions that take turns, in CPU time,
which other load on the machine does not stretch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pumice.configs
import torch
from float_onnx import FloatStep
from omegaconf import OmegaConf
from pumice.export.onnx.float.adlif import build_float_step
from pumice.export.onnx.session import Session
from pumice.hw_sim.parity.fidelity import spike_rates
from pumice.hw_sim.simulator import Simulator, run
from pumice.models.adlif.build import build_adlif
from pumice.models.adlif.network import AdLIFNetwork
from pumice.models.s5.build import build_s5
from pumice.models.s5.classifier import S5Classifier
from pumice.program import Program
from pumice.program.clock import gaps
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.families import lower, prepare
from pumice.quantize.qat import calibrate
from pumice.train.data.inputs import Inputs, Timing
from rich.console import Console
from rich.table import Table

CLASSES = 20
TICK_US = 500
VOCAB = 700
REPETITIONS = 5
ONNXRUNTIME, TORCH = "onnxruntime float32 step", "torch eager float32 step"
CONFIGS = Path(pumice.configs.__file__).parent / "model"
SPIKE_RATE = 0.1
STEP_US = 1_000
INPUTS = {"adlif/ecg": (4, 6, 0.3), "adlif/shd": (140, 20, 0.05), "adlif/tiny": (140, 20, 0.05)}
"""Inputs, classes, and the share of inputs that are not 0, by network."""


def make_stream(events: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, VOCAB, events), np.cumsum(rng.exponential(100, events)).astype(np.int64)


def make_program(model: S5Classifier) -> Program:
    tokens, times = make_stream(2_000)
    dt = torch.from_numpy(gaps(times, TICK_US) * (TICK_US / 1000))[None].float()
    qat = prepare(model, QuantizationConfig(max_dead_zone=1.0), Timing(tick_ms=TICK_US / 1000))
    calibrate(qat, [Inputs(torch.from_numpy(tokens)[None], dt, torch.tensor([len(tokens)]))])
    return lower(qat, [str(number) for number in range(CLASSES)])


def check_yardstick(model: S5Classifier, tokens: np.ndarray, dt: np.ndarray) -> None:
    """onnxruntime's float graphs must compute what the model computes."""
    yardstick, state = FloatStep(model), model.init_state(1)
    for token, gap in zip(tokens[:300], dt[:300], strict=True):
        logits = yardstick.step(int(token), float(gap))
        with torch.no_grad():
            _, _, state = model.step(torch.tensor([token]), torch.tensor([gap], dtype=torch.float32), state)
    np.testing.assert_allclose(logits, model.readout(state).detach().numpy(), rtol=2e-3, atol=2e-3)


def measure(ways: dict[str, tuple[Callable[[], None], int]]) -> dict[str, float]:
    """Median events a second of each way, (function, events); the ways take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for function, _ in ways.values():
        function()
    for _ in range(REPETITIONS):
        for name, (function, events) in ways.items():
            start = time.process_time()
            function()
            seconds[name].append((time.process_time() - start) / events)
    return {name: 1 / statistics.median(times) for name, times in seconds.items()}


def in_simulator(program: Program, values: np.ndarray, times: np.ndarray) -> dict[str, tuple[Callable[[], None], int]]:
    simulator, rows, clock = Simulator(program), list(values), times.tolist()

    def step() -> None:
        simulator.reset()
        for value, time_us in zip(rows, clock, strict=True):
            simulator.step(value, time_us)

    def step_many() -> None:
        simulator.reset()
        simulator.step_many(values, times)

    return {
        "step (one call an event)": (step, len(times)),
        "step_many (one call a chunk)": (step_many, len(times)),
        "run (whole samples)": (lambda: run(program, [(values, times)], threads=1), len(times)),
    }


def benchmark(name: str, events: int) -> dict[str, float]:
    settings = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"))
    model = build_s5(settings, num_classes=CLASSES, seed=0, vocab=VOCAB).eval()
    program = make_program(model)
    tokens, times = make_stream(events)
    dt = gaps(times, TICK_US) * (TICK_US / 1000)
    check_yardstick(model, tokens, dt)
    yardstick, few = FloatStep(model), max(events // 20, 100)

    def onnxruntime_step() -> None:
        for token, gap in zip(tokens[:few].tolist(), dt[:few].tolist(), strict=True):
            yardstick.step(token, gap)

    def torch_step() -> None:
        with torch.inference_mode():
            state = model.init_state(1)
            for token, gap in zip(tokens[:few], dt[:few], strict=True):
                _, _, state = model.step(torch.tensor([token]), torch.tensor([gap], dtype=torch.float32), state)
                model.readout(state)

    ways = in_simulator(program, tokens, times)
    ways[ONNXRUNTIME], ways[TORCH] = (onnxruntime_step, few), (torch_step, few)
    return measure(ways)


def make_network(name: str, steps: int) -> tuple[AdLIFNetwork, np.ndarray]:
    """A network whose neurons spike at SPIKE_RATE on the inputs (steps, F) that come with it."""
    inputs, classes, rate = INPUTS[name]
    rng = np.random.default_rng(0)
    signs = rng.choice([-1, 1] if name == "adlif/ecg" else [1], (steps, inputs))
    values = (signs * (rng.random((steps, inputs)) < rate)).astype(np.float32)
    settings = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"))
    model = build_adlif(settings, num_classes=classes, in_features=inputs, seed=0).eval()
    x = torch.from_numpy(values[None, :1_000])
    with torch.no_grad():
        for cell in model.cells:
            while cell.sequence(x)[0].mean() < SPIKE_RATE:
                cell.input.weight *= 1.05
            x = cell.sequence(x)[0]
    return model, values


def lower_calibrated(model: AdLIFNetwork, values: np.ndarray) -> Program:
    qat = prepare(model, QuantizationConfig(max_dead_zone=1.0))
    calibrate(qat, [Inputs(torch.from_numpy(values)[None], None, torch.tensor([len(values)]))])
    return lower(qat, [str(number) for number in range(model.config.num_classes)])


def benchmark_network(name: str, steps: int) -> tuple[dict[str, float], dict[str, float]]:
    """Events a second of each way, and spikes by layer."""
    model, values = make_network(name, steps)
    program = lower_calibrated(model, values[:1_000])
    times = STEP_US * np.arange(steps)
    (trace,) = run(program, [(values[:1_000], times[:1_000])], trace=True)
    session = Session(build_float_step(model, program.class_names).SerializeToString())
    few = max(steps // 20, 100)
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

    np.testing.assert_allclose(onnxruntime_step(), torch_step(), rtol=1e-3, atol=1e-3)  # the yardstick computes it
    ways = in_simulator(program, values.astype(np.float64), times)
    ways[ONNXRUNTIME], ways[TORCH] = (onnxruntime_step, few), (torch_step, few)
    return measure(ways), spike_rates(program, [trace])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["s5/tiny", "s5/shd-medium", "adlif/ecg", "adlif/shd"])
    parser.add_argument("--events", type=int, default=20_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.models:
        clocked = name in INPUTS
        figures, rates = benchmark_network(name, options.events) if clocked else (benchmark(name, options.events), {})
        base = figures[ONNXRUNTIME]
        table = Table(title=name)
        for column in ("way", "events/s", "us/event", "x onnxruntime"):
            table.add_column(column, justify="left" if column == "way" else "right")
        for way, rate in figures.items():
            table.add_row(way, f"{rate:,.0f}", f"{1e6 / rate:.2f}", f"{rate / base:.1f}")
        if rates:
            table.caption = "spikes: " + ", ".join(f"{layer} {rate:.1%}" for layer, rate in rates.items())
        Console().print(table)


if __name__ == "__main__":
    main()
