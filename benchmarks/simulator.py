"""Events a second of the simulator against float32 steps in onnxruntime and torch, one stream, one thread, one run.

    python benchmarks/simulator.py [--models tiny shd-medium] [--events 20000]

Models have random weights, calibrated and lowered at w8a8. The stream has uniform tokens, about 10,000 events a second.
onnxruntime does all that a stride allows: the graph of a pooled rate runs only when its window closes. Medians of five
repetitions that take turns, in CPU time, which other load on the machine does not stretch.
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
from pumice.hw_sim.simulator import Simulator, run
from pumice.models.s5.build import build_s5
from pumice.models.s5.classifier import S5Classifier
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.twin.lower import growing_modes, lower
from pumice.quantize.program import Program
from pumice.quantize.program.clock import gaps
from pumice.quantize.twin.model import calibrate, convert
from rich.console import Console
from rich.table import Table

CLASSES = 20
TICK_US = 500
VOCAB = 700
REPETITIONS = 5


def make_stream(events: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, VOCAB, events), np.cumsum(rng.exponential(100, events)).astype(np.int64)


def make_program(model: S5Classifier) -> Program:
    tokens, times = make_stream(2_000)
    dt = torch.from_numpy(gaps(times, TICK_US) * (TICK_US / 1000))[None].float()
    twin = convert(model, QuantizationConfig(max_dead_zone=1.0), TICK_US / 1000)
    twin = calibrate(twin, [(torch.from_numpy(tokens)[None], dt, torch.tensor([len(tokens)]), None)])
    names = [str(number) for number in range(CLASSES)]
    return lower(twin.freeze(), pairing="causal", class_names=names, max_dead_zone=1.0, held=growing_modes(twin))


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


def benchmark(name: str, events: int) -> dict[str, float]:
    folder = Path(pumice.configs.__file__).parent / "model" / "s5"
    settings = OmegaConf.to_container(OmegaConf.load(folder / f"{name}.yaml"))
    model = build_s5(settings, num_classes=CLASSES, seed=0, vocab=VOCAB).eval()
    program = make_program(model)
    tokens, times = make_stream(events)
    dt = gaps(times, TICK_US) * (TICK_US / 1000)
    check_yardstick(model, tokens, dt)
    simulator, yardstick = Simulator(program), FloatStep(model)
    few = max(events // 20, 100)

    def step() -> None:
        simulator.reset()
        for token, time_us in zip(tokens.tolist(), times.tolist(), strict=True):
            simulator.step(token, time_us)

    def step_many() -> None:
        simulator.reset()
        simulator.step_many(tokens, times)

    def onnxruntime_step() -> None:
        for token, gap in zip(tokens[:few].tolist(), dt[:few].tolist(), strict=True):
            yardstick.step(token, gap)

    def torch_step() -> None:
        with torch.inference_mode():
            state = model.init_state(1)
            for token, gap in zip(tokens[:few], dt[:few], strict=True):
                _, _, state = model.step(torch.tensor([token]), torch.tensor([gap], dtype=torch.float32), state)
                model.readout(state)

    ways = {
        "step (one call an event)": (step, events),
        "step_many (one call a chunk)": (step_many, events),
        "run (whole samples)": (lambda: run(program, [(tokens, times)], threads=1), events),
        "onnxruntime float32 step": (onnxruntime_step, few),
        "torch eager float32 step": (torch_step, few),
    }
    return measure(ways)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["tiny", "shd-medium"])
    parser.add_argument("--events", type=int, default=20_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.models:
        figures = benchmark(name, options.events)
        base = figures["onnxruntime float32 step"]
        table = Table(title=name)
        for column in ("way", "events/s", "us/event", "x onnxruntime"):
            table.add_column(column, justify="left" if column == "way" else "right")
        for way, rate in figures.items():
            table.add_row(way, f"{rate:,.0f}", f"{1e6 / rate:.2f}", f"{rate / base:.1f}")
        Console().print(table)


if __name__ == "__main__":
    main()
