"""A run whose float decisions are changed on chosen samples, and all that it shows, read back.

Lost and won, rows and columns, float and integer then differ, so that none can stand for another. What is expected is
computed here, from predictions.npz, program.npz, the labels and counts.json.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
import itertools
import json
import math
import re
import shutil
import struct
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pumice
import pytest
from pumice.cli.main import main
from pumice.program import load, reference
from pumice.program.nodes import QUERY, DiagonalSSM
from pumice.records import record_path
from runs import LOOKED_AT
from shown_tables import rows_of

LOST, WON = 7, 2
"""Samples of which the float model's decision is made right where the integers err, and wrong where they do not."""


def call(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 0
    return out.getvalue()


def wilson(correct, count):
    """The interval that Wilson (1927) gives, for two-sided 95 %."""
    z, p = 1.959963984540054, correct / count
    centre, half = p + z * z / (2 * count), z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return (centre - half) / (1 + z * z / count), (centre + half) / (1 + z * z / count)


def mcnemar(a, b):
    """Twice the smaller tail of a fair coin; 1 where that is more."""
    few = sum(math.comb(a + b, k) for k in range(min(a, b) + 1))
    return min(1.0, 2 * few / 2 ** (a + b))


def decibel(signal, found):
    return 10 * math.log10(float((signal**2).sum()) / float(((found - signal) ** 2).sum()))


def number(text):
    """The number of a cell and half a unit of its last place."""
    match = re.fullmatch(r"(-?[\d,]+)(\.\d+)?(e[+-]?\d+)?( M)?( %| nJ| KiB| dB)?", text)
    assert match, text
    unit = 10.0 ** -(len(match[2]) - 1 if match[2] else 0) * (1e6 if match[4] else 1)
    unit *= float(f"1{match[3]}") if match[3] else 1
    value = float(f"{match[1].replace(',', '')}{match[2] or ''}{match[3] or ''}") * (1e6 if match[4] else 1)
    return value, unit / 2


def near(text, value, scale=1.0):
    """Whether a cell shows ``value * scale``, to its last place."""
    shown, half = number(text)
    return abs(shown - value * scale) <= half * 1.0001


def spans(text, low, high, scale=1.0):
    """Whether a cell shows ``low to high``, or one number for both."""
    parts = text.split(" to ")
    return near(parts[0], low, scale) and near(parts[-1], high, scale)


def part_of(node):
    """The part of the network that a node belongs to, as people count layers."""
    pieces = node.split("/")
    if pieces[0] == "cells":
        return f"layer {pieces[1]}"
    return f"layer {pieces[1]}.{pieces[3]}" if pieces[0] == "stages" else node


@dataclass
class Shown:
    """What a run shows, and what its files hold.

    Attributes:
        folder: of the run; ``before``: the `Finished` run that it is a copy of.
        page: the report, read; ``printed``: by ``pumice simulate``.
        simulated, counts, exported: the results of the stages.
        program, samples, traces: of the test set, by the reference.
        labels, floats, integers: classes (N,), logits of the float model as changed (N, C), decisions (N,).
        true_floats, logits: of the float model itself, and of the program, as values (N, C).
        lost, won: how many decisions were changed.
    """

    folder: Path
    before: Any
    page: Any
    printed: str
    simulated: dict
    counts: dict
    exported: dict
    program: Any
    samples: list
    traces: list
    labels: np.ndarray
    floats: np.ndarray
    true_floats: np.ndarray
    logits: np.ndarray
    integers: np.ndarray
    lost: int = LOST
    won: int = WON

    def table_of(self, heading, number=0):
        """Rows of a table of the page by their first cell, the header apart."""
        header, *rows = self.page.tables[heading][number]
        return header, {row[0]: dict(zip(header, row, strict=False)) for row in rows}

    def csv_of(self, name, key):
        return {row[key]: row for row in self.rows_of(name)}

    def rows_of(self, name):
        with (self.folder / "report" / f"{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    @staticmethod
    def lines_of(printed):
        """Cells of all printed tables, by their first one."""
        return {row[0]: row[1:] for row in rows_of(printed)}

    def decided(self, which):
        """Right decisions of the float model or the integers, and what the table shows of them."""
        correct = int(((self.floats.argmax(1) if which == "float" else self.integers) == self.labels).sum())
        return correct, correct / len(self.labels), wilson(correct, len(self.labels))

    def check_accuracy(self, cells, which):
        _, share, (low, high) = self.decided(which)
        assert near(cells["accuracy"], share, 100)
        assert spans(cells["95 % interval"].replace(" %", ""), low, high, 100)

    def kept(self):
        """The model that became the program: name, decisions lost and won against the float model's own, and SQNR."""
        chosen = json.loads(record_path(self.folder, "quantize").read_text())["figures"]["chosen"]
        floats = self.true_floats.argmax(1) == self.labels
        ours = self.integers == self.labels
        lost, won = int((floats & ~ours).sum()), int((ours & ~floats).sum())
        return chosen, lost, won, decibel(self.true_floats, self.logits)

    def confusion(self):
        matrix = np.zeros((20, 20), dtype=int)
        for label, answer in zip(self.labels, self.integers, strict=True):
            matrix[label, answer] += 1
        return matrix

    def values_compared(self, name):
        """Logits, flags and, where counted, counters of all samples; edges and states of the traced ones."""
        per_sample = 20 + 1
        if name != "twin":
            per_sample += len(self.program.nodes) + len(self.program.of_type(DiagonalSSM))
        total = per_sample * len(self.samples)
        seen = self.simulated["backends"][name]
        for trace in self.traces[: self.simulated["traced"]]:
            total += sum(array.size for array in trace.states.values())
            for node in self.program:
                offered = {"step": True, "run": self.program.rates[node.name] != QUERY}.get(name)
                if name == "twin":
                    offered = not (node.is_input or node.name.endswith("gap_pool"))
                    offered = offered and node.name not in self.offered_by_none()
                total += trace.values[node.name].size if offered else 0
        assert seen["samples"] == len(self.samples)
        return total

    def offered_by_none(self):
        """Edges that the frozen model has no tensor for: those behind the read-out give their last value alone."""
        return {node.name for node in self.program if self.program.rates[node.name] == QUERY}

    def per_part(self):
        """Operations a layer and event, from the counts of every node."""
        events, parts = self.counts["integer"]["events"], defaultdict(lambda: defaultdict(float))
        for node in self.counts["integer"]["nodes"]:
            part = parts[part_of(node["name"])]
            for item in node["operations"]:
                if item["kind"] == "mac":
                    part["dense"] += item["dense"] / events
                    part["ac"] += item["accumulate"] / events
                    part["mac"] += (item["effective"] - item["accumulate"]) / events
                elif item["kind"] != "gather":
                    part["other"] += item["effective"] / events
            part["decays"] += node["digit_steps"] / events
        return {name: dict(part) for name, part in parts.items() if any(part.values())}

    def products(self):
        """Products left when zeros are skipped, and all of them, by layer and event: from traces, not counts.

        A product for every weight and operand that are not zero, at every event of the operand's edge.
        """
        found, dense, samples = defaultdict(float), defaultdict(float), self.samples[: self.counts["samples"]]
        traces, events = reference.run(self.program, samples), sum(len(times) for _, times in samples)
        for node in self.program:
            matrices = dict(zip(node.inputs, getattr(node, "weights", ()), strict=False))
            if isinstance(node, DiagonalSSM):
                matrices = {node.inputs[0]: np.concatenate([node.input_re, node.input_im])}
            for (edge, weight), trace in itertools.product(matrices.items(), traces):
                rows = trace.values[edge][-1:] if self.program.rates[edge] == QUERY else trace.values[edge]
                for codes in rows:
                    found[part_of(node.name)] += np.count_nonzero(weight * codes) / events
                    dense[part_of(node.name)] += weight.size / events
        return found, dense, events

    def energy_of(self, what):
        """Compute and memory, low and high, by layer; pJ an event."""
        priced, parts = self.counts["energy"][what], defaultdict(lambda: defaultdict(float))
        for node in priced["nodes"]:
            for end in ("low", "high"):
                part = parts[part_of(node["name"])]
                part[f"compute_{end}"] += node["compute"][end] / priced["events"]
                part[f"memory_{end}"] += sum(entry[end] for entry in node["memory"].values()) / priced["events"]
        return {name: part for name, part in parts.items() if any(part.values())}


FIGURES = SimpleNamespace(
    call=call,
    wilson=wilson,
    mcnemar=mcnemar,
    decibel=decibel,
    near=near,
    spans=spans,
    part_of=part_of,
    number=number,
    per_part=Shown.per_part,
    energy_of=Shown.energy_of,
)


@pytest.fixture(scope="session")
def figures():
    """Functions that compute figures on their own, and read them from texts."""
    return FIGURES


@pytest.fixture(scope="session")
def shown(small_finished, tmp_path_factory, read_page):
    """The run with other float decisions, simulated and reported anew; what it shows, and what its files say."""
    folder = tmp_path_factory.mktemp("shown") / "run"
    shutil.copytree(small_finished.folder, folder)
    program = load(folder / "program.npz")
    config = json.loads(record_path(folder, "train").read_text())["settings"]
    samples = pumice.load_data(config["task"]).program_samples("test")
    traces = reference.run(program, samples)
    logits = np.stack([trace.logits for trace in traces]) * 2.0 ** -program[program.logits].output.frac
    with np.load(folder / "predictions.npz") as arrays:
        found = dict(arrays)
    labels, true_floats = found["test_labels"], found["test_logits"].astype(np.float64)
    integers, floats = logits.argmax(1), found["test_logits"].copy()
    floats[:] = np.eye(20)[integers] + floats / 100  # the integers' decisions, but for those changed below
    right = integers == labels
    for index in np.flatnonzero(~right)[:LOST]:
        floats[index, labels[index]] = 9
    for index in np.flatnonzero(right)[:WON]:
        floats[index, (labels[index] + 3) % 20] = 9
    assert right.sum() >= WON
    found["test_logits"] = floats
    np.savez(folder / "predictions.npz", **found)
    record = json.loads(record_path(folder, "evaluate").read_text())
    record["outputs"]["predictions.npz"] = hashlib.sha256((folder / "predictions.npz").read_bytes()).hexdigest()
    record_path(folder, "evaluate").write_text(json.dumps(record))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "240")
        printed = call("simulate", *small_finished.settings, f"run_dir={folder}")
        call("report", *small_finished.settings, f"run_dir={folder}")
    files = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("simulate", "counts", "onnx/export")}
    return Shown(
        folder=folder,
        before=small_finished,
        page=read_page(folder / "report.html"),
        printed=printed,
        simulated=files["simulate"],
        counts=files["counts"],
        exported=files["onnx/export"],
        program=program,
        samples=samples,
        traces=traces,
        labels=labels,
        floats=floats.astype(np.float64),
        true_floats=true_floats,
        logits=logits,
        integers=integers,
    )


@pytest.fixture(scope="session")
def mnist_files(tmp_path_factory):
    """MNIST's files with two kinds of images that differ in their brightness."""
    folder = tmp_path_factory.mktemp("mnist")
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 100), ("t10k", 20)):
        labels = (np.arange(count) % 2).astype(np.uint8)
        images = (rng.integers(0, 60, (count, 28, 28)) + 150 * labels[:, None, None]).astype(np.uint8)
        for name, values in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
            head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
            (folder / f"{name}.gz").write_bytes(gzip.compress(head + values.tobytes()))
    return folder


@pytest.fixture(scope="session")
def small_looked(small_upto):
    """A trained and evaluated run whose sensitivity has been looked at by `LOOKED_AT`; copy it before changing it."""
    folder = small_upto("train", "evaluate")
    call("sensitivity", f"run_dir={folder}", *LOOKED_AT)
    return folder
