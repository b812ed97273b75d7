"""CPU time of the quantized scan beside the float scan it stands for.

    python benchmarks/quantized_scan.py [--batch 16] [--length 2048] [--modes 64] [--moving 0.2] [--threads 1]

Both scans decay the same states over the same gaps and add the same drive; the quantized one also rounds and saturates
every state to 16 bits. Ways are compared within one interface: forward alone without gradients, and forward + backward
with the gradients to drive and rates. zoh holds the drive; "every 8th state" returns those alone; "complex tensors"
takes and gives them in place of real and imaginary parts.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pumice.models.scan.event import event_scan
from pumice.models.scan.intervals import Intervals
from pumice.quantize.scan import DecayTable, quantized_scan
from timing import Way, compare, parse, parser

FORWARD, BOTH = "forward", "forward + backward"


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--batch", type=int, default=16)
    made.add_argument("--length", type=int, default=2048)
    made.add_argument("--modes", type=int, default=64)
    made.add_argument("--moving", type=float, default=0.2, help="share of events with a gap above 0")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--rounds", type=int, default=9)
    small = {"length": 512, "rounds": 5}
    options = parse(made, small, {"batch": 2, "length": 16, "modes": 4, "rounds": 1})
    torch.set_num_threads(options.threads)
    batch, length, modes = options.batch, options.length, options.modes

    generator = torch.Generator().manual_seed(0)
    rate = torch.complex(-0.05 * torch.rand(modes, generator=generator), torch.randn(modes, generator=generator))
    digits = torch.stack([torch.expm1(rate.to(torch.complex128) * 2**j) for j in range(10)])
    codes = torch.view_as_real(digits * 2**13).round().long()
    table = DecayTable(codes[..., 0], codes[..., 1], torch.full((10, modes), 13))
    moving = torch.rand(batch, length, generator=generator) < options.moving
    gaps = (1 + torch.poisson(torch.full((batch, length), 1.5), generator=generator).long()) * moving
    drive = 100 * torch.randn(batch, length, 2 * modes, generator=generator)
    rate.requires_grad_()

    def both(scan: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor) -> Callable[[], None]:
        leaf = values.detach().clone().requires_grad_()

        def once() -> None:
            states = scan(leaf)
            torch.autograd.grad(states, [leaf, rate], torch.ones_like(states))

        return once

    def forward(scan: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor) -> Callable[[], None]:
        def once() -> None:
            with torch.no_grad():
                scan(values)

        return once

    def quantized(**settings) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda values: quantized_scan(values, gaps, table, rate, -(2**15), 2**15 - 1, **settings).states

    intervals = Intervals.of(gaps.float())

    def float_scan(values: torch.Tensor) -> torch.Tensor:
        return event_scan(rate, intervals, values)

    double, complexes = drive.double(), torch.complex(*drive.chunk(2, dim=-1))
    ways = [
        Way(FORWARD, "float scan, float32", forward(float_scan, drive), yardstick=True),
        Way(FORWARD, "quantized, float32", forward(quantized(), drive)),
        Way(FORWARD, "quantized, float64", forward(quantized(), double)),
        Way(BOTH, "float scan, float32", both(float_scan, drive), yardstick=True),
        Way(BOTH, "quantized, float32", both(quantized(), drive)),
        Way(BOTH, "quantized, float32, zoh", both(quantized(hold=True), drive)),
        Way(BOTH, "quantized, float32, every 8th state", both(quantized(sample_every=8), drive)),
        Way(BOTH, "quantized, float32, complex tensors", both(quantized(), complexes)),
        Way(BOTH, "quantized, float64", both(quantized(), double)),
    ]
    title = f"B={batch} L={length} P={modes}, {options.moving:.0%} of events move, {options.threads} threads"
    compare(title, ways, options.rounds, "scan")


if __name__ == "__main__":
    main()
