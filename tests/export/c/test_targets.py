"""Programs on microcontrollers: sizes by a cross compiler, and known answers on an emulated Cortex-M4."""

from __future__ import annotations

import importlib
import struct
from pathlib import Path

import numpy as np
import pytest
from pumice.errors import PumiceError
from pumice.export.c import Generated, made_samples, section_bytes, write_c
from pumice.export.c.cross import TARGETS, Sections, read_sections
from pumice.hw_sim.simulator import run
from pumice.program.random.networks import random_network

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def test_sections_are_summed_by_what_they_are_for():
    """Flags: 2 allocated, 1 written, 4 executed. Kinds: 1 content, 8 zeros, 7 notes."""
    rows = [(1, 6, 100), (1, 2, 30), (1, 2, 7), (1, 3, 5), (8, 3, 11), (1, 0, 999), (7, 2, 999), (0x70000001, 2, 999)]
    sections = b"".join(struct.pack("<10I", 0, kind, flags, 0, 0, length, 0, 0, 0, 0) for kind, flags, length in rows)
    header = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF", 1, 40, 1, 0, 0, 52, 0, 52, 0, 0, 40, len(rows), 0)
    assert read_sections(header + sections) == Sections(code=100, constants=37, ram=16)


def test_unknown_targets_are_refused():
    with pytest.raises(PumiceError, match=r"c.targets: 'avr' is unknown; choose some of: cortex-m0, "):
        section_bytes(Generated(random_network(1)), "avr")


@pytest.fixture
def zig():
    pytest.importorskip("ziglang")


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_every_kind_of_program_compiles_without_a_warning(zig, random_programs, target):
    for program in random_programs(2):
        for pack in (False, True):
            generated = Generated(program, "net", pack)
            sizes = section_bytes(generated, target)
            names = sum(len(name.encode()) + 1 for name in program.class_names) + 4 * len(program.class_names)
            assert abs(sizes.constants - generated.constant_bytes - names) < 0.1 * generated.constant_bytes + 64
            assert 200 < sizes.code < 30_000
            assert sizes.ram == 0


@pytest.mark.slow
def test_known_answers_on_a_cortex_m4(random_programs, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    cortex_m4 = importlib.import_module("cortex_m4")
    if not cortex_m4.available():
        pytest.skip("ziglang and qemu-system-arm are needed")
    for number, program in enumerate(random_programs(3)):
        samples = made_samples(program)
        logits = np.stack([trace.logits for trace in run(program, samples, threads=1)])
        folder = write_c(Generated(program, "net"), tmp_path / str(number), samples, logits)
        found = cortex_m4.run_known_answers(folder)
        assert found.wrong == 0, number
        assert 0 < found.stack < 512
        assert found.instructions > 1_000
        if number == 0:
            wrong = logits + (np.arange(logits.size) == 1).reshape(logits.shape)
            folder = write_c(Generated(program, "net"), tmp_path / "wrong", samples, wrong)
            assert cortex_m4.run_known_answers(folder).wrong == 1
