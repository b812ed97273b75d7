"""Compiled kernels and the threads that run them."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import torch
from numba.core.dispatcher import Dispatcher
from numpy.typing import NDArray
from torch import Tensor

# Below this many inner-loop steps a second thread costs more than it saves.
SMALLEST_PARALLEL_WORK = 100_000
# Tables of sums at most, which one thread adds up.
MOST_PARTS = 8

_pools: dict[int, ThreadPoolExecutor] = {}


Kernel = Callable[..., Any]


def compile_kernel(function: Kernel, inline: bool = False, reassociate: bool = False) -> Kernel:
    """Compile with numba, without the interpreter lock; the machine code is kept where a cache can be written.

    Multiplications and additions may be fused; nothing is reordered, so results do not depend on threads. With
    ``inline`` kernels that call the function take it in, which spares passing arrays at every step. With
    ``reassociate`` sums are taken in the order that vectorises, which is one and the same on one machine.

    numba's cache notices a change of the function's own file. What its module has from other files is part of its name
    there: kernels and constants are to be imported before the first kernel that uses them.
    """
    function.__qualname__ = f"{function.__qualname__}_{_digest_of_imports(function)}"
    fast = {"contract", "reassoc"} if reassociate else {"contract"}
    options: dict[str, Any] = {"nogil": True, "fastmath": fast, "error_model": "numpy"}
    if inline:
        options["inline"] = "always"
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba finds no folder for its cache
        return numba.njit(**options)(function)


def _digest_of_imports(function: Kernel) -> str:
    """Of numbers and of kernels from other files, with these files, which the function's module knows so far."""
    sha = hashlib.sha256()
    for name, value in sorted(function.__globals__.items()):
        if isinstance(value, Dispatcher) and value.__module__ != function.__module__:
            # the kernel's own imports are in its name
            source = Path(value.py_func.__code__.co_filename)
            sha.update(f"{name} {value.py_func.__qualname__} ".encode() + source.read_bytes())
        elif isinstance(value, (int, float)):
            sha.update(f"{name} {value!r} ".encode())
    return sha.hexdigest()[:16]


def run_tasks(kernel: Kernel, tasks: int, work: int, *arguments: Any) -> None:
    """Call ``kernel(*arguments, start, stop)`` over 0 .. tasks, split over ``torch.get_num_threads()`` threads.

    Python threads and not numba's: they take any number at any moment, and leave forked data loaders alone.

    Args:
        kernel: a compiled kernel whose tasks write to disjoint places.
        tasks: number of independent tasks.
        work: inner-loop steps of all tasks together.
        arguments: further arguments of the kernel; of tensors it gets the memory, contiguous: those that it writes to
            have to be so before.
    """
    arguments = tuple(_memory(argument) if isinstance(argument, Tensor) else argument for argument in arguments)
    threads = min(torch.get_num_threads(), tasks)
    if threads <= 1 or work < SMALLEST_PARALLEL_WORK:
        kernel(*arguments, 0, tasks)
        return
    first, *others = itertools.pairwise(tasks * part // threads for part in range(threads + 1))
    pool = _thread_pool(threads - 1)
    parts = [pool.submit(kernel, *arguments, *span) for span in others]
    kernel(*arguments, *first)
    for part in parts:
        part.result()


def parts_of(most: int) -> int:
    """Into how many parts, each with a table of its own, work is divided that is summed in the end: 1 to ``most``."""
    return max(1, min(torch.get_num_threads(), MOST_PARTS, most))


def _memory(tensor: Tensor) -> NDArray[Any]:
    return tensor.detach().contiguous().numpy()


def _thread_pool(threads: int) -> ThreadPoolExecutor:
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="pumice-scan")
    return _pools[threads]


os.register_at_fork(after_in_child=_pools.clear)  # threads do not survive a fork
