"""Verbs on a program file, or a .net file of lava-dl, without a run folder: ``pumice simulate net=FILE input=FILE``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..api.compare import compare
from ..api.count import count as count_program
from ..api.export import export_c, export_lava, export_netx, export_onnx, export_qonnx
from ..api.program_files import load_program
from ..api.programs import simulate as simulate_program
from ..archives import save_arrays
from ..errors import ParityError, PumiceError
from ..export.netx.usage import layer_table, usage
from ..files import write_json
from ..program import Program, digest, save
from ..program.samples import shortest
from ..terminal import Printer
from .inputs import Inputs, read_inputs
from .words import SOURCES, Words

CONSOLE = Printer()
READING = (*SOURCES, "input_bits", "signed", "class_names", "step_us")
FEEDING = ("input", "steps", "columns", "threads")
LAVA_SAMPLES, LAVA_TIMEOUT_S = 2, 600
TRACED = 8
"""Samples of which every edge and state is compared."""


def simulate(arguments: Sequence[str]) -> None:
    """``pumice simulate net=FILE input=FILE [backends=[...]] [out=FOLDER]``: compare backends bit for bit.

    ``traces=FOLDER`` is a new folder for the simulator's every edge and state.

    Raises:
        ParityError: values that differ.
        PumiceError: wrong settings or files.
    """
    own = ("backends", "lava_samples", "lava_timeout_s", "out", "traces")
    words = Words(arguments, (*READING, *FEEDING, *own), "simulate")
    program = read_program(words)
    inputs = _inputs(words, program)
    folder = words.path("traces")
    if folder is not None:
        simulate_program(program, inputs.samples, threads=words.number("threads"), folder=folder)
        CONSOLE.print(f"written: {folder}, values and states of {len(inputs.samples)} samples")
    default = ["reference", "run", "step", *(["lava"] if program.chip else [])]
    few = shortest(inputs.samples, words.number("lava_samples") or LAVA_SAMPLES)
    parity = compare(
        program,
        inputs.samples,
        words.listed("backends") or default,
        traced=TRACED,
        shares={"lava": few},
        threads=words.number("threads"),
        lava={"timeout_s": float(words.number("lava_timeout_s") or LAVA_TIMEOUT_S)},
    )
    CONSOLE.print(parity.table())
    for name, reason in parity.skipped.items():
        CONSOLE.print(f"left out: {name}: {reason}")
    logits = np.stack([trace.logits for trace in parity.traces[parity.oracle]])
    for index, scores in enumerate(logits[:TRACED]):
        best = int(scores.argmax())
        CONSOLE.print(f"sample {index}: class {program.class_names[best]}, {_score(program, int(scores[best]))}")
    out = words.path("out")
    if out is not None:
        verdicts = {name: asdict(verdict) for name, verdict in parity.verdicts.items()}
        found = {"program": digest(program), "differing": parity.differing, "backends": verdicts}
        write_json(out / "simulate.json", {**found, "skipped": dict(parity.skipped), "notes": inputs.notes})
        series = [trace.series for trace in parity.traces[parity.oracle]]
        steps = {f"series.{index}": rows for index, rows in enumerate(series) if rows is not None}
        save_arrays(out / "simulate.npz", {"logits": logits, **steps}, compress=True)
        CONSOLE.print(f"written: {out / 'simulate.json'} and simulate.npz")
    if parity.differing:
        raise ParityError(f"{parity.differing} values differ between backends; report this with the program")


def count(arguments: Sequence[str]) -> None:
    """``pumice count net=FILE input=FILE [hardware=NAME] [out=FILE.json]``: operations, memory, energy.

    Raises:
        PumiceError: wrong settings or files.
    """
    words = Words(arguments, (*READING, *FEEDING, "hardware", "out"), "count")
    program = read_program(words)
    samples = _inputs(words, program).samples
    hardware = words.text("hardware", "loihi-1" if program.chip == "loihi" else "horowitz-45nm")
    costs = count_program(program, samples, hardware=hardware, threads=words.number("threads"))
    costs.print(CONSOLE)
    out = words.path("out")
    if out is not None:
        found: dict[str, Any] = {"program": digest(program), "samples": len(samples)}
        found |= {"integer": costs.integer.to_dict(), "float32": costs.floating.to_dict()}
        found |= {"neurobench": costs.neurobench, "profile": asdict(costs.profile)}
        write_json(out, {**found, "energy": {name: entry.to_dict() for name, entry in costs.energy.items()}})
        CONSOLE.print(f"written: {out}")


def export(arguments: Sequence[str]) -> None:
    """``pumice export target=lava|netx|onnx|c|qonnx net=FILE [input=FILE] out=PATH``: the program for another runtime.

    Raises:
        PumiceError: wrong settings or files, or a program that the target cannot hold.
    """
    own = ("c.name", "c.pack", "c.sparse", "qonnx.dialect", "qonnx.leave_out", "qonnx.wide")
    words = Words(arguments, (*READING, *FEEDING, "target", "out", *own), "export")
    targets = {
        "lava": _export_lava,
        "netx": _export_netx,
        "onnx": _export_onnx,
        "c": _export_c,
        "qonnx": _export_qonnx,
    }
    target = words.text("target", "onnx")
    if target == "nir":
        raise PumiceError("target=nir writes the float network, which a program no longer holds; name its run folder")
    if target not in targets:
        raise PumiceError(f"target={target} is unknown; use one of: {', '.join(targets)}")
    targets[target](read_program(words), words, words.needed_path("out"))


def import_net(arguments: Sequence[str]) -> None:
    """``pumice import net FILE.net out=program.npz``: a program file of a .net file.

    Raises:
        PumiceError: wrong settings or files, or layers that no program holds.
    """
    files = [f"net={argument}" if "=" not in argument else argument for argument in arguments]
    words = Words(files, (*READING, "out"), "import net")
    program, out = read_program(words), words.needed_path("out")
    CONSOLE.print(f"{out}: program {save(program, out)}")


def read_program(words: Words) -> Program:
    """The program that ``net=`` or ``program=`` names.

    Raises:
        PumiceError: none or both, or a file that is no program.
    """
    named = [source for source in SOURCES if source in words.given]
    if len(named) != 1:
        raise PumiceError(f"{' and '.join(named) or 'no program'} given; name one file by program=... or net=...")
    settings: dict[str, Any] = {}
    for name in ("input_bits", "step_us"):
        if name in words.given:
            settings[name] = words.number(name)
    if "signed" in words.given:
        settings["signed"] = words.flag("signed")
    if "class_names" in words.given:
        settings["class_names"] = words.listed("class_names")
    return load_program(words.needed_path(named[0]), **settings)


def _inputs(words: Words, program: Program) -> Inputs:
    columns = words.listed("columns") if "columns" in words.given else None
    inputs = read_inputs(words.needed_path("input"), program, words.number("steps"), columns)
    for note in inputs.notes:
        CONSOLE.print(note)
    lengths = [len(times) for _, times in inputs.samples]
    CONSOLE.print(f"samples: {len(lengths)}, steps: {min(lengths)} to {max(lengths)}")
    if inputs.outside:
        source = program.value_input.output
        low, high = source.min * source.scale, source.max * source.scale
        CONSOLE.print(
            f"{inputs.outside:,} of {inputs.values:,} input values are no multiple of {source.scale:g} from {low:g} to "
            f"{high:g}: they are rounded and clipped to that; of a .net file input_bits=... chooses the range",
        )
    return inputs


def _score(program: Program, code: int) -> str:
    value = code * program[program.logits].output.scale
    return f"{value:.4g} spikes a step" if program.chip == "loihi" else f"logit {value:.6g}"


def _export_lava(program: Program, words: Words, out: Path) -> None:
    export_lava(program, out, _inputs(words, program).samples, threads=words.number("threads"))
    CONSOLE.print(f"to run it: cd {out} && uv run run.py (README.md there tells more)")


def _export_c(program: Program, words: Words, out: Path) -> None:
    samples = _inputs(words, program).samples if "input" in words.given else None
    form = {what: words.flag(f"c.{what}") for what in ("pack", "sparse") if f"c.{what}" in words.given}
    export_c(program, out, samples, name=words.text("c.name", "pumice"), **form, threads=words.number("threads"))
    CONSOLE.print(f"to try it: cd {out} && make test (README.md there tells more)")


def _export_qonnx(program: Program, words: Words, out: Path) -> None:
    samples = _inputs(words, program).samples if "input" in words.given else None
    written = export_qonnx(
        program,
        out,
        samples,
        dialect=words.text("qonnx.dialect", "qonnx"),
        leave_out=words.listed("qonnx.leave_out"),
        wide=words.flag("qonnx.wide") if "qonnx.wide" in words.given else False,
    )
    for line in written.lines():
        CONSOLE.print(line)


def _export_netx(program: Program, words: Words, out: Path) -> None:
    nodes = export_netx(program, out)
    CONSOLE.print(layer_table(nodes))
    for sentence in usage(program, nodes, out):
        CONSOLE.print(sentence)


def _export_onnx(program: Program, words: Words, out: Path) -> None:
    if program.chip:
        raise PumiceError(
            f"ONNX has no form of {program.chip}'s own neurons; export them with target=lava, target=netx or target=c"
        )
    for form in ("step", "sequence"):
        CONSOLE.print(f"written: {export_onnx(program, out / f'{form}.onnx', form=form)}")
