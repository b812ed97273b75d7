"""Time of the quantized scan, forward and backward, beside the float scan: python benchmarks/quantized_scan.py"""

import argparse
import time

import torch
from pumice.models.scan.event import event_scan
from pumice.models.scan.intervals import Intervals
from pumice.quantize.scan import DecayTable, quantized_scan


def milliseconds(function, repeats: int) -> float:
    """The fastest of some runs."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--modes", type=int, default=64)
    parser.add_argument("--moving", type=float, default=0.2, help="share of events with a gap above 0")
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
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

    def run(dtype: torch.dtype, training: bool, **settings):
        values = drive.detach().to(dtype, copy=True).requires_grad_(training)
        if settings.pop("as_complex", False):
            values = torch.complex(*values.detach().chunk(2, dim=-1)).requires_grad_(training)
        gradient = None

        def once() -> None:
            nonlocal gradient
            with torch.set_grad_enabled(training):
                states = quantized_scan(values, gaps, table, rate, -(2**15), 2**15 - 1, **settings)
            if training:
                gradient = torch.ones_like(states) if gradient is None else gradient
                torch.autograd.grad(states, [values, rate], gradient)

        return milliseconds(once, options.repeats)

    intervals = Intervals.of(gaps.float())
    leaf = drive.clone().requires_grad_()

    def float_scan() -> None:
        states = event_scan(rate, intervals, leaf)
        torch.autograd.grad(states, [leaf, rate], torch.ones_like(states))

    print(f"B={batch} L={length} P={modes}, {options.moving:.0%} of events move, {torch.get_num_threads()} threads, ms")
    print(f"float scan, float32, forward + backward        {milliseconds(float_scan, options.repeats):8.2f}")
    for dtype in (torch.float32, torch.float64):
        name = str(dtype).removeprefix("torch.")
        print(f"quantized, {name}, forward                  {run(dtype, False):8.2f}")
        print(f"quantized, {name}, forward + backward       {run(dtype, True):8.2f}")
        print(f"quantized, {name}, ... zoh                  {run(dtype, True, hold=True):8.2f}")
        print(f"quantized, {name}, ... every 8th state      {run(dtype, True, sample_every=8):8.2f}")
        print(f"quantized, {name}, ... complex tensors      {run(dtype, True, as_complex=True):8.2f}")


if __name__ == "__main__":
    main()
