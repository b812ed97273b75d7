"""Exported models in onnxruntime: whole test sets and live streams."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime

from ...errors import PumiceError
from ...program import Program
from ...program.samples import Sample
from ...terminal import track
from .event import AFTER, BEFORE
from .feed import feed

_DTYPES = {
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
}

MOST_EVENTS = 1 << 16
"""Events of a batch: the sequence model holds all of them at once, some hundred bytes a channel at worst."""

FEW = 24
"""Numbers that are faster looked at one by one."""


def open_session(source: Path | bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session of the CPU provider.

    Args:
        source: a file, or a serialised model.
        threads: of one operation; an event's operations are too small for more than one.

    Raises:
        PumiceError: the file is missing, damaged, or not a model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors alone
    try:
        content = source.read_bytes() if isinstance(source, Path) else source
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except FileNotFoundError:
        raise PumiceError(f"{source!s} does not exist; write it with pumice export target=onnx") from None
    except Exception as error:  # onnxruntime has a dozen kinds, for what protobuf and it find damaged
        name = str(source) if isinstance(source, Path) else "the model"
        reason = str(error).splitlines()[0]
        raise PumiceError(f"{name} cannot be opened by onnxruntime ({reason}); write it anew") from error


class Session:
    """A model opened in onnxruntime on the CPU; arguments and errors are those of `open_session`."""

    def __init__(self, source: Path | bytes, threads: int = 1) -> None:
        self._session = open_session(source, threads)
        self.inputs = {value.name: value for value in self._session.get_inputs()}
        self.outputs = [value.name for value in self._session.get_outputs()]
        try:
            self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
            self._ranges = self._read_ranges()
        except (ValueError, TypeError) as error:  # text that is no UTF-8, no JSON, or tells of something else
            name = str(source) if isinstance(source, Path) else "the model"
            raise PumiceError(f"{name} has damaged metadata ({error}); write it anew") from error

    def _read_ranges(self) -> dict[str, tuple[int, int]]:
        """The lowest and the highest value of each checked input, as the model's metadata tell them."""
        about = json.loads(self.metadata.get("input_ranges", "{}"))
        if not isinstance(about, dict):
            raise ValueError("input_ranges is no JSON object")
        return {name: (int(low), int(high)) for name, (low, high) in about.items()}

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs by name; entries of ``inputs`` that the model does not read are left out.

        Raises:
            PumiceError: a token, a code or a gap of a valid event that the program does not take; or whatever the
                runtime refuses.
        """
        for name, (low, high) in self._ranges.items():
            if name not in inputs:
                raise PumiceError(f"the model checks an input {name!r}, which is not given; write the model anew")
            _check_range(name, inputs[name], low, high, inputs["valid"])
        known = {name: inputs[name] for name in self.inputs}
        try:
            return dict(zip(self.outputs, self._session.run(None, known), strict=True))
        except Exception as error:  # onnxruntime has a dozen kinds
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise PumiceError(f"onnxruntime cannot run the model ({reason}); write it anew") from error

    def states(self, batch: int) -> dict[str, np.ndarray]:
        """The states of ``batch`` streams before their first event."""
        return {
            name: np.zeros((batch, *value.shape[1:]), _DTYPES[value.type])
            for name, value in self.inputs.items()
            if name.startswith(BEFORE)
        }


def lies_within(given: np.ndarray, low: int, high: int) -> bool:
    """Whether ``low <= given <= high``; of one event in a fraction of what two reductions take."""
    if given.size == 1:
        return bool(low <= given.item() <= high)
    if given.size <= FEW:
        codes = given.ravel().tolist()
        return bool(low <= min(codes) and max(codes) <= high)
    if given.dtype in (
        np.int32,
        np.int64,
    ):  # bits of numbers from 0 up; what overflows is negative, and looked at below
        raised = given - low if low else given
        if 0 <= np.bitwise_or.reduce(raised, axis=None) <= high - low:
            return True
    return bool(given.min() >= low and given.max() <= high)


def _check_range(name: str, given: np.ndarray, low: int, high: int, valid: np.ndarray) -> None:
    if not given.size or lies_within(given, low, high):
        return
    wrong = (given < low) | (given > high)
    wrong &= valid.reshape(valid.shape + (1,) * (given.ndim - valid.ndim))
    if wrong.any():
        place = tuple(int(index) for index in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
        raise PumiceError(f"{name} {given[place]} at {place} lies outside {low} to {high}; encode it as in training")


def run_sequence(
    session: Session, program: Program, samples: Sequence[Sample], batch_size: int = 64, workers: int | None = None
) -> np.ndarray:
    """Logits (N, C) of whole samples, in their order.

    ``workers`` batches run at the same time; None: as many as there are cores.
    """
    found = run_samples(session, program, samples, batch_size, workers)
    return np.stack([outputs["logits"] for outputs in found])


def run_samples(
    session: Session, program: Program, samples: Sequence[Sample], batch_size: int = 64, workers: int | None = None
) -> list[dict[str, np.ndarray]]:
    """The sequence model's outputs of each sample, in their order: ``logits`` (C,) and, of a program that has one, the
    ``series`` (L // its rate, C). Samples of similar length share a batch; ``workers`` as in ``run_sequence``.
    """
    longest_first = sorted(range(len(samples)), key=lambda index: -len(samples[index][1]))
    batches: list[list[int]] = []
    while longest_first:
        size = max(1, min(batch_size, MOST_EVENTS // max(1, len(samples[longest_first[0]][1]))))
        batches.append(longest_first[:size])
        longest_first = longest_first[size:]
    results: list[dict[str, np.ndarray]] = [{}] * len(samples)

    def run(chosen: Sequence[int]) -> None:
        outputs = session.run(feed(program, [samples[index] for index in chosen]))
        for row, index in enumerate(chosen):
            results[index] = {name: array[row] for name, array in outputs.items()}
            if program.series is not None:
                rate = program.rates[program.series]
                results[index]["series"] = outputs["series"][row, : len(samples[index][1])][rate - 1 :: rate]

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for _ in track(pool.map(run, batches), "onnxruntime, batches", len(batches)):
            pass
    return results


def run_step(session: Session, program: Program, samples: Sequence[Sample]) -> list[np.ndarray]:
    """Running logits (L, C) after each event of each sample; the samples are streams of one batch."""
    inputs = feed(program, samples)
    states, running = session.states(len(samples)), []
    for event in track(range(inputs["valid"].shape[1]), "onnxruntime, events"):
        out = session.run({name: array[:, event] for name, array in inputs.items()} | states)
        states = {name: out[AFTER + name.removeprefix(BEFORE)] for name in states}
        running.append(out["logits"])
    lengths = inputs["valid"].sum(axis=1)
    classes = len(program.class_names)
    return [
        np.array([step[row] for step in running[:length]]).reshape(length, classes)
        for row, length in enumerate(lengths)
    ]
