"""The threads behind the compiled kernels."""

import os

import numpy as np
import pytest
import torch
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
