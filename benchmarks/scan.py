"""Scan forward + backward against torch's associative_scan, in one run.

    python benchmarks/scan.py [--batch 16] [--length 2048] [--modes 64] [--threads N] [--rounds 9] [--no-compile]

Complex64, a decay of its own for every event and mode, gradients to decay and drive. The implementations take turns
within each round, so that other load on the machine meets all of them alike; times are medians over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from pumice.models.scan.diagonal import diagonal_scan
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch._higher_order_ops.associative_scan import associative_scan

OURS = "pumice numba"


def combine(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Compose x -> a x + b: first left, then right."""
    return right[0] * left[0], right[0] * left[1] + right[1]


def associative(decay: Tensor, drive: Tensor) -> Tensor:
    return associative_scan(combine, (decay, drive), dim=1, combine_mode="generic")[1]


def combine_parts(left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """`combine` in real numbers, (a_re, a_im, b_re, b_im): the compiler generates no code for complex ones."""
    a_re, a_im, b_re, b_im = left
    c_re, c_im, d_re, d_im = right
    return (
        c_re * a_re - c_im * a_im,
        c_re * a_im + c_im * a_re,
        c_re * b_re - c_im * b_im + d_re,
        c_re * b_im + c_im * b_re + d_im,
    )


def associative_parts(parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return associative_scan(combine_parts, parts, dim=1, combine_mode="generic")[2:]


def compiled_associative() -> Callable[[Tensor, Tensor], Tensor]:
    compiled = torch.compile(associative_parts)

    def scan(decay: Tensor, drive: Tensor) -> Tensor:
        return torch.complex(*compiled((decay.real, decay.imag, drive.real, drive.imag)))

    return scan


def competitors(with_compile: bool) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    found = {
        OURS: lambda decay, drive: diagonal_scan(decay, drive, implementation="numba"),
        "pumice torch (chunked)": lambda decay, drive: diagonal_scan(decay, drive, implementation="torch"),
        "plain loop": lambda decay, drive: diagonal_scan(decay, drive, implementation="reference"),
        "associative_scan, eager": associative,
    }
    if with_compile:
        found["associative_scan, compiled"] = compiled_associative()
    return found


def timed(scan: Callable[[Tensor, Tensor], Tensor], decay: Tensor, drive: Tensor, upstream: Tensor) -> tuple:
    start = time.perf_counter()
    states = scan(decay, drive)
    gradients = torch.autograd.grad(states, (decay, drive), upstream)
    return time.perf_counter() - start, (states.detach(), *gradients)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--modes", type=int, default=64)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--no-compile", action="store_true", help="leave out the compiled associative_scan")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    shape = options.batch, options.length, options.modes
    generator = torch.Generator().manual_seed(0)
    size = torch.rand(shape, generator=generator)
    decay = torch.polar(size, 6 * torch.rand(shape, generator=generator)).requires_grad_()
    drive, upstream = (
        torch.view_as_complex(torch.randn(*shape, 2, generator=generator)).requires_grad_(needed)
        for needed in (True, False)
    )
    scans = competitors(not options.no_compile)
    expected = timed(scans["plain loop"], decay, drive, upstream)[1]
    errors, seconds = {}, {name: [] for name in scans}
    for name, scan in scans.items():  # also compiles
        got = timed(scan, decay, drive, upstream)[1]
        errors[name] = max((one - two).abs().max().item() for one, two in zip(got, expected, strict=True))
    for _ in range(options.rounds):
        for name, scan in scans.items():
            seconds[name].append(timed(scan, decay, drive, upstream)[0])

    medians = {name: statistics.median(values) for name, values in seconds.items()}
    table = Table(
        "implementation", "median ms", "fastest ms", "ratio of medians", "of fastest", "largest difference",
        title=f"scan forward + backward, B={shape[0]} L={shape[1]} P={shape[2]} complex64, {options.threads} threads",
    )  # fmt: skip
    for name, median in medians.items():
        fastest = min(seconds[name])
        table.add_row(
            name,
            f"{median * 1e3:.2f}",
            f"{fastest * 1e3:.2f}",
            f"{median / medians[OURS]:.1f}",
            f"{fastest / min(seconds[OURS]):.1f}",
            f"{errors[name]:.1e}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
