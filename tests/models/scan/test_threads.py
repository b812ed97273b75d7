"""The threads behind the compiled kernels."""

import importlib
import os
import pkgutil
import re
import sys

import numpy as np
import pytest
import torch
from numba.core.caching import NullCache
from numba.core.dispatcher import Dispatcher
from pumice import models, quantize
from pumice.models.scan.kernels import threads as scan_threads


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def mark(spans, counts, start, stop):
    spans.append((start, stop))
    counts[start:stop] += 1


@pytest.mark.parametrize("tasks", [0, 1, 3, 4, 10])
@pytest.mark.parametrize("work", [1, 10_000_000])
def test_every_task_runs_once(four_threads, tasks, work):
    spans, counts = [], np.zeros(tasks, dtype=int)
    scan_threads.run_tasks(mark, tasks, work, spans, counts)
    assert (counts == 1).all()
    assert len(spans) == (min(4, tasks) or 1 if work > 1 else 1)


def test_a_failing_task_is_reported(four_threads):
    def fail(start, stop):
        if start:
            raise ValueError("task failed")

    with pytest.raises(ValueError, match="task failed"):
        scan_threads.run_tasks(fail, 4, 10_000_000)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_kernels_run_in_a_forked_process(four_threads):
    """Data loaders fork: the child has to make threads of its own."""
    counts = np.zeros(4, dtype=int)
    scan_threads.run_tasks(mark, 4, 10_000_000, [], counts)
    child = os.fork()
    if child == 0:
        scan_threads.run_tasks(mark, 4, 10_000_000, [], counts)
        os._exit(0 if (counts == 2).all() else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_kernels_compile_where_no_cache_can_be_written(monkeypatch):
    real = scan_threads.numba.njit

    def without_cache(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    def double(x, start, stop):
        for i in range(start, stop):
            x[i] *= 2

    with monkeypatch.context() as patch:  # numba itself calls njit while it compiles
        patch.setattr(scan_threads.numba, "njit", without_cache)
        kernel = scan_threads.compile_kernel(double)
    x = np.arange(3.0)
    kernel(x, 0, 2)
    assert x.tolist() == [0.0, 2.0, 2.0]


INNER = """
from pumice.models.scan.kernels.threads import compile_kernel

@compile_kernel
def add(x):
    return x + {add}
"""
MIDDLE = """
from inner import add
from steps import STEP
from pumice.models.scan.kernels.threads import compile_kernel

TWICE = 2 * STEP

@compile_kernel
def add_twice(x):
    return add(add(x)) + TWICE
"""
OUTER = """
from middle import add_twice
from pumice.models.scan.kernels.threads import compile_kernel

@compile_kernel
def tenfold(x):
    return 10 * add_twice(x)
"""


def test_a_kernel_is_compiled_anew_when_what_it_calls_in_other_files_has_changed(tmp_path, monkeypatch):
    """numba's cache looks at a function's own file alone; here neither the caller nor what lies between changes."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "middle.py").write_text(MIDDLE)
    (tmp_path / "outer.py").write_text(OUTER)

    def computed(add, step):
        (tmp_path / "inner.py").write_text(INNER.format(add=add))
        (tmp_path / "steps.py").write_text(f"STEP = {step}\n")
        for name in ("inner", "middle", "outer", "steps"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        kernel = importlib.import_module("outer").tenfold
        return kernel(1), sum(kernel.stats.cache_hits.values())

    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a source of equal size and second would not be read again
    assert computed(1, 0) == (30, 0)
    assert computed(1, 0) == (30, 1)
    assert computed(2, 0) == (50, 0)
    assert computed(2, 1) == (70, 0)
    assert computed(2, 2) == (90, 0)
    assert computed(1, 0) == (30, 1)


def test_every_kernel_that_calls_others_is_named_by_them():
    """Where a function with a cache takes a compiled function from another file, a digest is part of its name."""
    for folder in (models, quantize):
        for module in pkgutil.walk_packages(folder.__path__, f"{folder.__name__}."):
            importlib.import_module(module.name)
    named = set()
    for module in [module for name, module in sys.modules.items() if name.startswith("pumice.")]:
        kernels = [value for value in vars(module).values() if isinstance(value, Dispatcher)]
        kept = [kernel for kernel in kernels if not isinstance(kernel._cache, NullCache)]
        for kernel in (kernel for kernel in kept if kernel.__module__ == module.__name__):
            if any(other.__module__ != module.__name__ for other in kernels):
                assert re.search(r"_[0-9a-f]{16}$", kernel.__qualname__), kernel
                named.add(module.__name__)
    assert {"pumice.models.scan.kernels.neurons", "pumice.quantize.loihi.kernels"} <= named
