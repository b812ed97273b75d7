"""What tries many settings on one run folder: its bench, and the processes that share the work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..api.bench import Bench, Measured
from ..api.chips import chip_profile
from ..errors import PumiceError
from ..train.cores import usable_cores
from ..train.settings import SystemSettings, TrainingSettings, read_section
from ..train.weights import read_weights
from .build import apply_system, build_data, check_windows, load_model
from .quantize import provenance

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Looked:
    """What each of the settings that are tried is judged by.

    Attributes:
        samples: training samples that calibration looks at; None for all.
        judged: validation samples that judge; None for all.
        counted: samples whose operations and energy are counted.
        chip: that programs are held against, a name of configs/chip; None for none.
        chip_limits: in place of the chip's own, by name.
    """

    samples: int | None
    judged: int | None
    counted: int
    chip: str | None = None
    chip_limits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in (("samples", self.samples), ("judged", self.judged), ("counted", self.counted)):
            if value is not None and value < 1:
                raise PumiceError(f"{name}={value} has to be at least 1")


def open_bench(config: Mapping[str, Any], folder: Path, looked: Looked, threads: int | None) -> Bench:
    """The bench of the weights in ``folder``.

    Raises:
        PumiceError: weights or data that cannot be read.
    """
    system = read_section(SystemSettings, config, "system")
    apply_system(system if threads is None else SystemSettings(threads=threads))
    data = build_data(config, read_section(TrainingSettings, config, "training"), system)
    weights = folder / WEIGHTS
    model = load_model(config, data, read_weights(weights))
    check_windows(model, data)
    return Bench(
        model,
        data,
        config["quantize"],
        samples=looked.samples,
        judged=looked.judged,
        counted=looked.counted,
        hardware=config["hardware"],
        chip=None if looked.chip is None else chip_profile(looked.chip, looked.chip_limits),
        provenance=lambda settings: provenance({**config, "quantize": dict(settings)}, weights),
        threads=system.threads if threads is None else threads,
    )


def jobs_of(config: Mapping[str, Any], most: int) -> tuple[int, int | None]:
    """Processes that share the work, at most ``most``, and the threads of each; None for those of ``system``."""
    system = read_section(SystemSettings, config, "system")
    cores = usable_cores()
    jobs = max(1, min(system.jobs or cores, most))
    return jobs, None if jobs == 1 else max(1, (system.threads or cores) // jobs)


def measure_all(
    config: Mapping[str, Any], folder: Path, looked: Looked, bench: Bench, todo: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Measured]]:
    """Measure settings by their names, in several processes where ``system.jobs`` allows; as they are done.

    Args:
        config: the resolved configuration.
        folder: of the run.
        looked: what judges.
        bench: that of this process, which does the work where it has it alone.
        todo: settings by name.

    Raises:
        PumiceError: a process died.
    """
    jobs, threads = jobs_of(config, len(todo))
    if jobs == 1:
        for name, settings in todo.items():
            yield name, bench.measure(settings)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, start_worker, (dict(config), folder, looked, threads)) as pool:
        waiting: dict[Future[Measured], str] = {
            pool.submit(_measured, dict(settings)): name for name, settings in todo.items()
        }
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BrokenProcessPool as error:
            raise PumiceError(
                "a process that tries settings has died, perhaps for want of memory; what is done is kept, the same "
                "command goes on, with system.jobs=1 in this process alone"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_bench: Bench | None = None


def start_worker(config: Mapping[str, Any], folder: Path, looked: Looked, threads: int | None) -> None:
    """What a process does first: it leaves interruptions to its parent, ends with it, and opens its bench."""
    global _bench
    leave_interruptions()
    end_with_parent()
    _bench = open_bench(config, folder, looked, threads)


def leave_interruptions() -> None:
    """Let the parent answer an interruption of all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def end_with_parent() -> None:
    """End this process when its parent ends, however that ends."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _measured(settings: Mapping[str, Any]) -> Measured:
    assert _bench is not None
    return _bench.measure(settings)
