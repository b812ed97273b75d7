"""Steps a second of a Lava bundle, by its parts, beside the simulator and the reference, one run.

    python benchmarks/lava.py [--models s5/tiny s5/shd-medium adlif/tiny adlif/ecg] [--events 1000] [--cold]

Models are those of simulator.py; one Lava step is one event, or one time step of a clocked network. Lava takes a long
and a short sample, in wall time, the best of three: the difference is the time of the steps, the rest is the start
(imports, processes, ports). Other load on the machine shows, as every step waits for every process. The logits of all
are compared first. With --cold the environment is also built in an empty cache, as at first use.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import torch
from omegaconf import OmegaConf
from pumice.export.lava import ensure_environment, run_lava
from pumice.hw_sim.simulator import Simulator
from pumice.models.s5.build import build_s5
from pumice.program import Program, reference
from pumice.program.samples import Sample
from rich.console import Console
from rich.table import Table
from simulator import (
    CLASSES,
    CONFIGS,
    INPUTS,
    STEP_US,
    VOCAB,
    lower_calibrated,
    make_network,
    make_program,
    make_stream,
)

SHORT = 20
REPETITIONS = 3


def seconds_of(function, *arguments, **named) -> tuple[float, object]:
    start = time.perf_counter()
    found = function(*arguments, **named)
    return time.perf_counter() - start, found


def measure_lava(program: Program, sample: Sample, right: np.ndarray, parts: str) -> tuple[float, float]:
    """Steps a second, and seconds of the start."""
    short: Sequence[Sample] = [(sample[0][:SHORT], sample[1][:SHORT])]
    starts, wholes = [], []
    for _ in range(REPETITIONS):
        starts.append(seconds_of(run_lava, program, short, False, parts=parts)[0])
        seconds, traces = seconds_of(run_lava, program, [sample], False, parts=parts)
        wholes.append(seconds)
        np.testing.assert_array_equal(traces[0].logits, right)
    return (len(sample[1]) - SHORT) / (min(wholes) - min(starts)), min(starts)


def make(name: str, events: int) -> tuple[Program, Sample]:
    if name in INPUTS:
        model, values = make_network(name, events)
        return lower_calibrated(model, values), (values.astype(np.float64), STEP_US * np.arange(events))
    settings = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"))
    return make_program(build_s5(settings, num_classes=CLASSES, seed=0, vocab=VOCAB).eval()), make_stream(events)


def benchmark(name: str, events: int) -> dict[str, tuple[float, float]]:
    """Events a second and seconds of the start, by way."""
    program, sample = make(name, events)
    seconds, traces = seconds_of(reference.run, program, [sample], trace=False)
    right = traces[0].logits
    simulator, rows, clock = Simulator(program), list(sample[0]), sample[1].tolist()
    simulator.step(rows[0], clock[0])  # compile
    simulator.reset()

    def steps() -> np.ndarray:
        for value, time_us in zip(rows, clock, strict=True):
            logits = simulator.step(value, time_us)
        return logits

    stepped, _ = seconds_of(steps)
    ways = {"Lava, one process a layer": "layers", "Lava, one process": "fused"}
    if name in INPUTS:
        ways["Lava, its own Dense"] = "stock"
    measured = {way: measure_lava(program, sample, right, parts) for way, parts in ways.items()}
    return measured | {"simulator, one call an event": (events / stepped, 0.0), "reference": (events / seconds, 0.0)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["s5/tiny", "s5/shd-medium", "adlif/tiny", "adlif/ecg"])
    parser.add_argument("--events", type=int, default=1_000)
    parser.add_argument("--cold", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    ensure_environment()
    console.print(f"environment, warm: {seconds_of(ensure_environment)[0]:.2f} s")
    if options.cold:
        cache = os.environ.get("PUMICE_CACHE")
        with tempfile.TemporaryDirectory() as empty:
            os.environ["PUMICE_CACHE"] = empty
            console.print(f"environment, cold: {seconds_of(ensure_environment)[0]:.1f} s")
        os.environ.pop("PUMICE_CACHE")
        if cache is not None:
            os.environ["PUMICE_CACHE"] = cache
    for name in options.models:
        table = Table(title=f"{name}, {options.events} events")
        for column in ("way", "steps/s", "ms/step", "start, s"):
            table.add_column(column, justify="left" if column == "way" else "right")
        for way, (rate, start) in benchmark(name, options.events).items():
            table.add_row(way, f"{rate:,.0f}", f"{1000 / rate:.3f}", f"{start:.1f}" if start else "")
        console.print(table)


if __name__ == "__main__":
    main()
