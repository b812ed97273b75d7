"""CPU time an event of a program in C beside the simulator's; one stream, one thread.

    python benchmarks/c.py [--models s5/tiny s5/shd-medium adlif/ecg adlif/shd] [--events 20000]
        [--widths w4a8] [--zeros 0.9]

Models have random weights, calibrated and lowered (benchmarks/simulator.py). The C program is the one that is exported,
compiled by the compiler of this machine; a loop in C calls it. Ways are compared within one interface, and give the
same integers there:

- a chunk: the logits after each of many events.
- a sample: the logits after the last event. The simulator does it layer by layer, C event by event.

With --device (packages ziglang, qemu-system-arm) a second table tells code, stack and instructions of each program on a
Cortex-M4, over 1,000 events (cortex_m4.py).

``packed`` are weights of up to 4 bits that share bytes, where a program has such (--widths w4a8, w2a8). ``all zeros``
keeps those of matrices that go without them otherwise, where a program has such (--zeros 0.9 makes that share of each
matrix zero).
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from cortex_m4 import run_known_answers
from programs import CLOCKED, STEP_US, make_network, make_s5, make_stream
from pumice.api.presets import preset
from pumice.export.c import Generated, find_compiler, section_bytes, sources, write_c
from pumice.hw_sim.simulator import Simulator, run
from pumice.program import Program
from pumice.program.samples import codes
from pumice.quantize.config import QuantizationConfig, Widths
from rich.console import Console
from rich.table import Table
from timing import Way, compare, parse, parser

CHUNK, SAMPLE = "a chunk", "a sample"
LEVELS = {"-O2": ["-O2"], "-O3 -march=native": ["-O3", "-march=native"]}

LOOP = """
#include "net.h"
void loop(net_state *s, const net_input *values, const int64_t *gaps, size_t events, int reading, net_logit *logits);
void loop(net_state *s, const net_input *values, const int64_t *gaps, size_t events, int reading, net_logit *logits)
{{
    (void)gaps;
    net_reset(s);
    for (size_t k = 0; k < events; k++) {{
        net_step({arguments});
        if (reading) {{
            net_logits(s, logits + k * NET_CLASSES);
        }}
    }}
    if (!reading) {{
        net_logits(s, logits);
    }}
}}
size_t state_size(void);
size_t state_size(void)
{{
    return sizeof(net_state);
}}
"""


def compiled(generated: Generated, flags: list[str], folder: Path) -> ctypes.CDLL:
    """The program and the loop as a shared library."""
    folder.mkdir()
    source = generated.program.value_input
    value = f"values + k * {source.channels}" if source.event_shape else "values[k]"
    count = len(generated.program.gap_inputs)
    arguments = ", ".join(["s", value, *(f"gaps[{count} * k + {i}]" for i in range(count))])
    for name, text in {**sources(generated), "loop.c": LOOP.format(arguments=arguments)}.items():
        (folder / name).write_text(text)
    command = [*find_compiler(), "-std=c99", *flags, "-fPIC", "-shared", "-o", "net.so", "net.c", "loop.c"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "net.so"))


def in_c(generated: Generated, flags: list[str], folder: Path, sample: tuple[np.ndarray, np.ndarray]) -> Callable:
    """``call(reading)``: logits after each event, or after the last."""
    library, program = compiled(generated, flags, folder), generated.program
    library.state_size.restype = ctypes.c_size_t
    taken, between = codes(program, sample)
    kind = f"{'i' if generated.value_type.signed else 'u'}{generated.value_type.bits // 8}"
    values = np.ascontiguousarray(taken.astype(kind))
    gaps = np.concatenate([between[node.name] for node in program.gap_inputs] or [np.zeros((1, 0))], axis=1)
    gaps = np.ascontiguousarray(gaps.astype(np.int64))
    logits = np.zeros((len(values), len(program.class_names)), dtype=f"i{generated.logit_type.bits // 8}")
    state = np.zeros(library.state_size() // 8 + 1, dtype=np.int64)
    kept = (state, values, gaps)

    def call(reading: bool) -> np.ndarray:
        places = [ctypes.c_void_p(array.ctypes.data) for array in kept]
        library.loop(*places, ctypes.c_size_t(len(values)), int(reading), ctypes.c_void_p(logits.ctypes.data))
        return logits if reading else logits[0]

    return call


def kinds_of(program: Program) -> dict[str, Generated]:
    """The program in C, and where they differ from it, with packed weights and with all zeros."""
    plain = Generated(program, "net")
    others = {
        "C, packed": Generated(program, "net", pack=True),
        "C, all zeros": Generated(program, "net", sparse=False),
    }
    different = {name: each for name, each in others.items() if each.constant_bytes != plain.constant_bytes}
    return {"C": plain, **different}


def ways(program: Program, sample: tuple[np.ndarray, np.ndarray], folder: Path) -> tuple[list[Way], str]:
    """The ways, all of which give the same integers, and a line about memory."""
    kinds = kinds_of(program)
    simulator, count = Simulator(program), len(sample[1])

    def step_many() -> np.ndarray:
        simulator.reset()
        return simulator.step_many(*sample)[0]

    def whole() -> np.ndarray:
        return run(program, [sample], threads=1)[0].logits

    chunk, last = [Way(CHUNK, "simulator, step_many", step_many, count, yardstick=True)], []
    last.append(Way(SAMPLE, "simulator, run", whole, count, yardstick=True))
    for name, generated in kinds.items():
        for level, flags in LEVELS.items():
            call = in_c(generated, flags, folder / f"{name}{level}", sample)
            np.testing.assert_array_equal(call(True), step_many())
            np.testing.assert_array_equal(call(False), whole())
            chunk.append(Way(CHUNK, f"{name}, {level}", lambda call=call: call(True), count))
            last.append(Way(SAMPLE, f"{name}, {level}", lambda call=call: call(False), count))
    memory = ", ".join(f"{name} {generated.constant_bytes:,}" for name, generated in kinds.items())
    return [*chunk, *last], f"bytes of constants: {memory}; of RAM: {kinds['C'].state_bytes:,}; medians of CPU time"


def device_rows(name: str, program: Program, sample: tuple[np.ndarray, np.ndarray], folder: Path) -> list[list[str]]:
    """A row a way of compiling."""
    few = (sample[0][:1_000], sample[1][:1_000])
    logits, rows = run(program, [few], threads=1)[0].logits[None], []
    for kind, generated in kinds_of(program).items():
        for level in ("-Os", "-O2"):
            found = run_known_answers(write_c(generated, folder / f"device{kind}{level}", [few], logits), level)
            if found.wrong:
                raise SystemExit(f"{name}: {found.wrong} logits differ on the device")
            sizes = section_bytes(generated, "cortex-m4", (level,))
            what = [sizes.code, sizes.constants, generated.state_bytes, found.stack, found.instructions // len(few[1])]
            rows.append([f"{name}{kind[1:]}", level, *(f"{number:,}" for number in what)])
    return rows


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--models", nargs="+", default=["s5/tiny", "s5/shd-medium", "adlif/ecg", "adlif/shd"])
    made.add_argument("--events", type=int, default=20_000)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--widths", default="w8a8")
    made.add_argument("--zeros", type=float, default=0.0)
    made.add_argument("--device", action="store_true", help="on an emulated Cortex-M4 as well")
    small = {"models": ["s5/tiny", "adlif/ecg"], "events": 4_000, "rounds": 3}
    options = parse(made, small, {"models": ["s5/tiny", "adlif/tiny"], "events": 300, "rounds": 1})
    torch.set_num_threads(1)
    config = QuantizationConfig(widths=Widths(**preset("quantize", options.widths)["widths"]), max_dead_zone=1.0)
    device = Table(title="on an emulated Cortex-M4, bytes")
    for column in ("program", "compiled", "code", "constants", "RAM", "stack", "instructions an event"):
        device.add_column(column, justify="left" if column in ("program", "compiled") else "right")
    with tempfile.TemporaryDirectory() as temporary:
        for number, name in enumerate(options.models):
            folder, clocked = Path(temporary) / str(number), name in CLOCKED
            folder.mkdir()
            if clocked:
                _, program, values = make_network(name, options.events, config, options.zeros)
                sample = values.astype(np.float64), STEP_US * np.arange(options.events)
            else:
                _, program = make_s5(name, config, zeros=options.zeros)
                sample = make_stream(options.events)
            found, line = ways(program, sample, folder)
            zeros = f", {100 * options.zeros:g} % zeros" if options.zeros else ""
            title = (
                f"{name}, {options.widths}{zeros}, {options.events:,} {'steps' if clocked else 'events'}, one thread"
            )
            compare(title, found, options.rounds, "step" if clocked else "event", line)
            for row in device_rows(name, program, sample, folder) if options.device else []:
                device.add_row(*row)
    if options.device:
        Console(width=120).print(device)


if __name__ == "__main__":
    main()
