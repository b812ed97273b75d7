"""Programs: read, written and run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..hw_sim.simulator import run, run_stepwise
from ..program import Program, storage
from ..program.samples import Trace
from .program_files import load_program
from .samples import as_samples, told


def load(path: str | Path, **settings: Any) -> Program:
    """Read a program (``.npz``) and check its digest and every node, or make one of a ``.net`` file of lava-dl.

    Args:
        path: of the file.
        settings: what a ``.net`` file may leave open: ``input_bits`` and ``signed`` of its input, ``class_names``
            and ``step_us``; see ``pumice.export.netx.program_of``.

    Raises:
        PumiceError: it is missing, damaged, newer than this Pumice, or no program; a layer, neuron or value of a
            ``.net`` file that a program cannot hold.
    """
    return load_program(path, **settings)


def save(program: Program, path: str | Path) -> str:
    """Write a program to a file, whole or not at all.

    Args:
        program: what to write.
        path: of the file, ``.npz`` by custom; one that exists is replaced.

    Returns:
        The digest, equal for equal programs.

    Raises:
        PumiceError: the folder cannot be written to.
    """
    with told():
        return storage.save(program, path)


def simulate(
    program: Program,
    samples: Iterable[Any],
    *,
    trace: bool = False,
    stepwise: bool = False,
    threads: int | None = None,
    empty_steps: str = "refuse",
    folder: str | Path | None = None,
) -> list[Trace]:
    """Run whole samples in the integer simulator, each from the zero state, in parallel over samples.

    For a live stream, event by event, see `Simulator`.

    Args:
        program: any.
        samples: (values, times_us) pairs of arrays or tensors: tokens (L,) or vectors (L, F), and times (L,) in integer
            microseconds, not decreasing; of a network of time steps also the vectors (T, F) alone; or torch batches.
        trace: keep every edge and state as well.
        stepwise: go event by event, as a live stream comes; the integers are the same.
        threads: how many; all cores if not given.
        empty_steps: of a network that knows the length of its steps, whether samples that leave steps out are
            refused, or these filled in with rows of zeros ("fill").
        folder: keep every edge and state there, of recordings too long for memory: a file ``values/NODE.npy`` or
            ``states/NODE.npy`` each, in a folder for each sample. It is made anew, and appears when all is written.

    Returns:
        one `Trace` a sample, with ``folder`` of read-only arrays that are read from there as they are asked for.
        ``logits`` (C,) are integer codes; ``logits * program[program.logits].output.scale`` are their values.
        ``series`` (L, C) are the outputs of a network of neurons after every step, None of others.

    Raises:
        PumiceError: a sample that the program cannot take; names the sample, the event and the fix. Or the folder
            exists already, or the disk is full.
    """
    given, kept = as_samples(program, samples), None if folder is None else Path(folder)
    with told():
        return (run_stepwise if stepwise else run)(
            program, given, trace=trace, threads=threads, empty_steps=empty_steps, folder=kept
        )
