"""How ONNX models compare in onnxruntime: integers with the program, floats with torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..export.onnx import build_sequence
from ..export.onnx.float import writer_of
from ..export.onnx.qdq import QDQ
from ..export.onnx.session import Session, run_samples, run_step
from ..hw_sim.parity.noise import sqnr_of
from ..hw_sim.simulator import Simulator
from ..hw_sim.simulator import run as simulate
from ..program import Program
from ..program.samples import Sample, Trace
from ..train.data.base import TaskDataModule
from ..train.evaluate import Predictions, figures_of
from .decisions import TestSet


def parity(
    target: Path, program: Program, tests: TestSet, step_samples: int, threads: int | None
) -> dict[str, dict[str, Any]]:
    """The integer models against the simulator: all that the sequence model gives, running logits of the step model."""
    samples = tests.samples
    expected = simulate(program, samples, threads=threads)
    session = Session(target / "sequence.onnx")
    start = time.perf_counter()
    found = _traces(run_samples(session, program, samples, workers=threads))
    seconds = time.perf_counter() - start
    events = sum(len(times) for _, times in samples)
    pairs = list(zip(found, expected, strict=True))
    wrong = [_differing(mine, right) for mine, right in pairs]
    sequence = {
        "recordings": len(samples),
        "values": sum(array.size for right in expected for array in _arrays(right)),
        "differing": sum(wrong),
        "first_sample": next((index for index, count in enumerate(wrong) if count), None),
        "events_per_s": round(events / seconds),
        **_figures(program, tests, found),
    }
    return {"sequence": sequence, "step": _step_parity(target, program, samples[:step_samples])}


def _step_parity(target: Path, program: Program, samples: Sequence[Sample]) -> dict[str, Any]:
    start = time.perf_counter()
    running = run_step(Session(target / "step.onnx"), program, samples)
    seconds = time.perf_counter() - start
    step: dict[str, Any] = {"recordings": len(samples), "samples": len(samples), "values": 0, "differing": 0}
    step |= {"first_sample": None, "first_event": None}
    for index, (found, (values, times)) in enumerate(zip(running, samples, strict=True)):
        right, _ = Simulator(program).step_many(values, times)
        different = (found != right).any(axis=1)
        if different.any() and step["first_sample"] is None:
            step |= {"first_sample": index, "first_event": int(different.argmax())}
        step["values"] += int(right.size)
        step["differing"] += int((found != right).sum())
    return {**step, "events_per_s": round(sum(map(len, running)) / seconds)}


def compare_qdq(program: Program, tests: TestSet, count: int, threads: int | None) -> dict[str, Any]:
    """The approximate form against the program, in values. Its sequence form computes the same, and is faster."""
    samples = tests.samples[:count]
    session = Session(build_sequence(program, dialect=QDQ).SerializeToString())
    outputs = run_samples(session, program, samples, workers=threads)
    scales = {"logits": program[program.logits].output.scale}
    if program.series is not None:
        scales["series"] = program[program.series].output.scale
    codes = [{name: array / scales[name] for name, array in of_one.items()} for of_one in outputs]
    found, right = _traces(codes), simulate(program, samples, threads=threads)
    chosen = range(len(samples))
    mine, exact = (tests.scores(program, traces, chosen) for traces in (found, right))
    values = tests.labels(chosen).dtype.kind == "f"
    return {"recordings": len(samples), **difference(mine, exact, values), **_figures(program, tests, found)}


def compare_float(path: Path, model: nn.Module, data: TaskDataModule, count: int) -> dict[str, Any]:
    """float.onnx against torch, on the first test samples; by the logits, or as the family's writer says."""
    inputs = next(iter(data.batches("test", count))).padded()
    with torch.inference_mode():
        writer = writer_of(model)
        found, right = writer.outputs(Session(path), model.eval(), *inputs)
    if writer.agreement is None:
        apart = difference(found.astype(np.float64), right.astype(np.float64), data.regression)
        return {"recordings": len(inputs.lengths), **apart}
    figures = writer.agreement(found, right, inputs.lengths.numpy())
    return {"recordings": len(found), **figures, "sqnr_db": None, "largest_logit": float(np.abs(right).max())}


def difference(found: np.ndarray, right: np.ndarray, values: bool = False) -> dict[str, Any]:
    """Largest difference of scores (M, C), signal-to-noise ratio in dB, and how often the class is the same.

    ``values``: the scores are values, and of no class.
    """
    told = {
        "samples": len(right),
        "largest_difference": float(np.abs(found - right).max()),
        "largest_logit": float(np.abs(right).max()),
        "sqnr_db": sqnr_of(found, right),
    }
    return told if values else told | {"same_class": int((found.argmax(1) == right.argmax(1)).sum())}


def _traces(outputs: Sequence[dict[str, np.ndarray]]) -> list[Trace]:
    return [Trace(of_one["logits"], False, {}, {}, series=of_one.get("series")) for of_one in outputs]


def _arrays(trace: Trace) -> list[np.ndarray]:
    return [trace.logits] if trace.series is None else [trace.logits, trace.series]


def _differing(mine: Trace, right: Trace) -> int:
    return sum(int((a != b).sum()) for a, b in zip(_arrays(mine), _arrays(right), strict=True))


def _figures(program: Program, tests: TestSet, traces: Sequence[Trace]) -> dict[str, Any]:
    """Figures of the first samples, by what their traces decide."""
    chosen = range(len(traces))
    said = tests.scores(program, traces, chosen)
    found = Predictions(said, tests.labels(chosen), recordings=tests.recordings(chosen))
    return figures_of(found, program.class_names)
