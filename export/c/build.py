"""Programs as one executable that runs samples, and what it says."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import PumiceError
from ...program.nodes import QUERY
from ...program.samples import Sample, Trace, codes
from .compiler import compile_files
from .generated import Generated
from .source import sources

FILES = resources.files(__package__).joinpath("files")
FLAGS = ("-O2",)


def filled(name: str, /, **texts: str) -> str:
    """A file of ``files/`` with its ``@places@`` filled in."""
    text = FILES.joinpath(name).read_text(encoding="utf-8")
    for place, its in texts.items():
        text = text.replace(f"@{place}@", its)
    return text


class Built:
    """Programs that were compiled together; the folder goes with this object.

    Args:
        programs: in C.
        flags: of the compiler, beside ``STRICT``.
        traced: whether samples may be traced.
    """

    def __init__(self, programs: Sequence[Generated], *, flags: Sequence[str] = FLAGS, traced: bool = False) -> None:
        self._programs, self._traced = programs, traced
        self._temporary = tempfile.TemporaryDirectory(prefix="pumice-c-")
        self.folder = Path(self._temporary.name)
        files = ["driver.c"]
        names = [each.name for each in programs]
        for each in programs:
            for name, text in sources(each).items():
                (self.folder / name).write_text(text, encoding="ascii")
            (self.folder / f"{each.name}_harness.c").write_text(_harness(each), encoding="ascii")
            files += [f"{each.name}.c", f"{each.name}_harness.c"]
        declared = "\n".join(f"int {name}_run(FILE *in, FILE *out, int64_t events, int tracing);" for name in names)
        driver = filled("driver.c", declarations=declared, runners=", ".join(f"{name}_run" for name in names))
        (self.folder / "driver.c").write_text(driver, encoding="ascii")
        macros = ["-DPUMICE_COUNT", *(["-DPUMICE_TRACE"] if traced else [])]
        compile_files(self.folder, files, "run", [*flags, *macros])

    def run(self, number: int, samples: Sequence[Sample], *, trace: bool = False) -> list[Trace]:
        """What program ``number`` makes of whole samples.

        Raises:
            ProgramError: a sample that the program cannot take.
            PumiceError: the executable fails.
        """
        generated = self._programs[number]
        asked, told = self.folder / "samples.bin", self.folder / "answers.bin"
        lengths = []
        with asked.open("wb") as file:
            for index, sample in enumerate(samples):
                values, gaps = codes(generated.program, sample, index)
                lengths.append(len(values))
                file.write(np.array([number, len(values), trace], dtype=np.int64).tobytes())
                file.write(_rows(generated, values, gaps).tobytes())
        done = subprocess.run(
            [str(self.folder / "run"), str(asked), str(told)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]
            raise PumiceError(f"the C program fails ({said}); report this with the program")
        answers = np.fromfile(told, dtype=np.int64)
        reader = _Reader(generated, answers, self._traced)
        return [reader.trace(length, trace) for length in lengths]

    @cached_property
    def executable(self) -> Path:
        """What was compiled."""
        return self.folder / "run"


def _rows(generated: Generated, values: np.ndarray, gaps: dict[str, np.ndarray]) -> np.ndarray:
    """Events as the harness reads them: values, then gaps, a record each."""
    program, kind = generated.program, generated.value_type
    fields: list[Any] = [("values", f"{'i' if kind.signed else 'u'}{kind.bits // 8}", values.shape[1:])]
    fields.append(("gaps", np.int64, (len(program.gap_inputs),)))
    rows = np.zeros(len(values), dtype=fields)
    rows["values"] = values
    for column, node in enumerate(program.gap_inputs):
        rows["gaps"][:, column] = gaps[node.name][:, 0]
    return rows


def call_of(generated: Generated, state: str, values: str, token: str, gap: str) -> str:
    """A call of ``step``; ``gap`` has a place for its number."""
    source = generated.program.value_input
    gaps = [gap.format(number) for number in range(len(generated.program.gap_inputs))]
    return f"{generated.name}_step({', '.join([state, values if source.event_shape else token, *gaps])})"


def _harness(generated: Generated) -> str:
    source = generated.program.value_input
    return filled(
        "harness.c",
        name=generated.name,
        NAME=generated.name.upper(),
        inputs=str(source.channels),
        call=call_of(generated, "state", "values", "values[0]", "gaps[{}]"),
    )


class _Reader:
    """Takes the numbers that the driver wrote, one after the other."""

    def __init__(self, generated: Generated, answers: np.ndarray, traced: bool) -> None:
        self._program, self._answers, self._traced, self._at = generated.program, answers, traced, 0

    def _take(self, count: int) -> np.ndarray:
        self._at += count
        return self._answers[self._at - count : self._at]

    def trace(self, length: int, trace: bool) -> Trace:
        """The next sample's."""
        program = self._program
        series = None
        if program.series is not None:
            channels = program[program.series].channels
            rate = program.rates[program.series]
            series = self._take(length * channels).reshape(length, channels)[rate - 1 :: rate].copy()
        logits = self._take(len(program.class_names)).copy()
        ready, _ = self._take(2)
        saturations, clipped = self._take(len(program.nodes)), self._take(len(program.nodes))
        counted = {n.name: int(count) for n, count in zip(program, saturations, strict=True) if not n.is_input}
        gaps = {n.name: int(count) for n, count in zip(program, clipped, strict=True) if n.edge("gap")}
        found = Trace(logits, not ready, counted, gaps, series=series)
        while self._traced:
            at, count = (int(number) for number in self._take(2))
            if at < 0:
                break
            self._keep(found, at, self._take(count).copy())
        if trace:
            self._fill(found, length)
        return found

    def _keep(self, found: Trace, at: int, values: np.ndarray) -> None:
        node, state = self._program.nodes[at // 2], at % 2
        channels = node.state_fracs.size if state else node.channels
        kept = found.states if state else found.values
        kept[node.name] = values.reshape(-1, channels)

    def _fill(self, found: Trace, length: int) -> None:
        """Arrays without rows, of windows that never were complete or of samples without events."""
        for node in self._program:
            rate = self._program.rates[node.name]
            if rate == QUERY and length == 0:
                found.values.pop(node.name, None)
            found.values.setdefault(node.name, np.zeros((0, node.channels), dtype=np.int64))
            if node.state_fracs.size:
                found.states.setdefault(node.name, np.zeros((0, node.state_fracs.size), dtype=np.int64))
