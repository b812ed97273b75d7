"""CPU time an event of the simulator, of networks of which most weights are zero: with their zeros and without.

    python benchmarks/zeros.py [--zeros 0.9] [--models s5/tiny s5/shd-medium] [--times 1 2 4]

Models have random weights of which the smallest are zero, that share of each matrix, calibrated and lowered at w8a8;
``times`` as wide and with as many modes. Interfaces are those of simulator.py.
"""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import torch
from programs import make_s5, make_stream, settings_of
from pumice.hw_sim.simulator import Simulator, run
from pumice.hw_sim.simulator.plan import make, planner
from pumice.program import Program
from timing import Way, compare, parse, parser

CHUNK, SAMPLE = "a chunk", "a sample"


def ways(program: Program, sample: tuple[np.ndarray, np.ndarray], said: str, whole: bool) -> list[Way]:
    """Both interfaces; ``whole``: of the form with all zeros, which the others are measured by."""
    simulator, count = Simulator(program), len(sample[1])

    def step_many() -> np.ndarray:
        simulator.reset()
        return simulator.step_many(*sample)[0]

    def run_all() -> np.ndarray:
        return run(program, [sample], threads=1)[0].logits

    np.testing.assert_array_equal(step_many()[-1], run_all())
    return [
        Way(CHUNK, f"{said}, step_many", step_many, count, whole),
        Way(SAMPLE, f"{said}, run", run_all, count, whole),
    ]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--models", nargs="+", default=["s5/tiny", "s5/shd-medium"])
    made.add_argument("--times", nargs="+", type=int, default=[1, 2, 4])
    made.add_argument("--zeros", type=float, default=0.9)
    made.add_argument("--events", type=int, default=16_384)
    made.add_argument("--rounds", type=int, default=9)
    small = {"models": ["s5/tiny"], "times": [1], "events": 4_096, "rounds": 3}
    options = parse(made, small, {"models": ["s5/tiny"], "times": [1], "events": 300, "rounds": 1})
    torch.set_num_threads(1)
    sample = make_stream(options.events)
    for name in options.models:
        settings = settings_of(name)
        for times in options.times:
            wider = {what: times * settings[what] for what in ("d_model", "d_ssm")}
            _, program = make_s5(name, events=500, zeros=options.zeros, **wider)
            _, same = make_s5(name, events=500, zeros=options.zeros, **wider)  # plans are remembered by program
            with patch.object(planner, "is_thin", lambda weight: False):
                make.make_plan(same)
                found = ways(same, sample, "all zeros", True)
            found += ways(program, sample, "without", False)
            found.sort(key=lambda way: way.interface)
            width = f"{wider['d_model']} wide, {wider['d_ssm']} modes"
            compare(
                f"{name}, {width}, {100 * options.zeros:g} % zeros, w8a8, one thread", found, options.rounds, "event"
            )


if __name__ == "__main__":
    main()
