"""CPU time of the scan of a diagonal SSM, forward and backward, against torch's associative_scan.

    python benchmarks/scan.py [--batch 16] [--length 2048] [--modes 64] [--threads 1] [--rounds 9] [--no-compile]

Every way computes x_k = a_k x_(k-1) + b_k in complex64, with a decay of its own for every event and mode, and the
gradients to decay and drive; results are compared with the plain loop first. CPU time adds up all threads: where the
work is spread over several, the clock on the wall may show less.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pumice.models.scan.diagonal import diagonal_scan
from rich.console import Console
from timing import Way, compare, parse, parser
from torch import Tensor
from torch._higher_order_ops.associative_scan import associative_scan

Scan = Callable[[Tensor, Tensor], Tensor]
EAGER = "torch, associative_scan, eager"


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


def compiled_associative() -> Scan:
    compiled = torch.compile(associative_parts)

    def scan(decay: Tensor, drive: Tensor) -> Tensor:
        return torch.complex(*compiled((decay.real, decay.imag, drive.real, drive.imag)))

    return scan


def plain_loop(decay: Tensor, drive: Tensor) -> Tensor:
    states = [drive[:, 0]]
    for decay_k, drive_k in zip(decay.unbind(1)[1:], drive.unbind(1)[1:], strict=True):
        states.append(decay_k * states[-1] + drive_k)
    return torch.stack(states, dim=1)


def competitors(with_compile: bool) -> dict[str, Scan]:
    found: dict[str, Scan] = {
        EAGER: associative,
        "pumice, numba": lambda decay, drive: diagonal_scan(decay, drive, implementation="numba"),
        "pumice, torch (chunked)": lambda decay, drive: diagonal_scan(decay, drive, implementation="torch"),
        "pumice, torch (levels)": lambda decay, drive: diagonal_scan(decay, drive, implementation="levels"),
        "torch, plain loop": plain_loop,
    }
    if with_compile:
        found["torch, associative_scan, compiled"] = compiled_associative()
    return found


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--batch", type=int, default=16)
    made.add_argument("--length", type=int, default=2048)
    made.add_argument("--modes", type=int, default=64)
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--rounds", type=int, default=9)
    made.add_argument("--no-compile", action="store_true", help="leave out the compiled associative_scan")
    small = {"length": 512, "rounds": 5, "no_compile": True}
    smallest = {"batch": 2, "length": 16, "modes": 4, "rounds": 1, "no_compile": True}
    options = parse(made, small, smallest)
    torch.set_num_threads(options.threads)

    shape = options.batch, options.length, options.modes
    generator = torch.Generator().manual_seed(0)
    size = torch.rand(shape, generator=generator)
    decay = torch.polar(size, 6 * torch.rand(shape, generator=generator)).requires_grad_()
    drive, upstream = (
        torch.view_as_complex(torch.randn(*shape, 2, generator=generator)).requires_grad_(needed)
        for needed in (True, False)
    )

    def results(scan: Scan) -> tuple[Tensor, ...]:
        states = scan(decay, drive)
        return (states.detach(), *torch.autograd.grad(states, (decay, drive), upstream))

    scans = competitors(not options.no_compile)
    expected, console = results(scans["torch, plain loop"]), Console(width=120)
    for name, scan in scans.items():
        apart = max((one - two).abs().max().item() for one, two in zip(results(scan), expected, strict=True))
        console.print(f"{name}: at most {apart:.1e} from the plain loop")
    interface = "forward + backward"
    ways = [
        Way(interface, name, lambda scan=scan: results(scan), yardstick=name == EAGER) for name, scan in scans.items()
    ]
    title = f"scan, B={shape[0]} L={shape[1]} P={shape[2]} complex64, {options.threads} threads"
    compare(title, ways, options.rounds, "scan")


if __name__ == "__main__":
    main()
