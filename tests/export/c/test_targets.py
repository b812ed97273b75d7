"""Programs on microcontrollers: sizes by a cross compiler, and known answers on an emulated Cortex-M4."""

from __future__ import annotations

import shutil
import struct
import subprocess

import numpy as np
import pytest
from pumice.errors import PumiceError
from pumice.export.c import Generated, made_samples, section_bytes, write_c
from pumice.export.c.compiler import STRICT
from pumice.export.c.cross import TARGETS, Sections, cross_compiler, read_sections
from pumice.hw_sim.simulator import run
from pumice.program.random.networks import random_network

STARTUP = """
#include <stdint.h>
int net_known_answers(void);
void start(void);
static void call(int what, const void *argument)
{
    register int r0 __asm__("r0") = what;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
void start(void)
{
    static char text[2] = {0, 0};
    const int wrong = net_known_answers();
    text[0] = (char)(wrong > 20 ? 'M' : 'A' + wrong);
    call(4, text);
    call(0x18, (void *)0x20026);
}
extern char stack_top[];
__attribute__((section(".vectors"), used)) const void *const vectors[2] = {stack_top, (const void *)start};
"""
"""Semihosting prints A for no wrong logit, B for one, ..., and ends the emulator."""

LAYOUT = """
ENTRY(start)
MEMORY { FLASH : ORIGIN = 0, LENGTH = 4M  RAM : ORIGIN = 0x20000000, LENGTH = 4M }
SECTIONS {
    .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > FLASH
    .ARM.exidx : { *(.ARM.exidx*) } > FLASH
    .data : { *(.data*) } > RAM AT > RAM
    .bss : { *(.bss*) *(COMMON) } > RAM
    stack_top = ORIGIN(RAM) + LENGTH(RAM);
}
"""


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
def test_known_answers_on_a_cortex_m4(zig, random_programs, tmp_path):
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    for number, program in enumerate(random_programs(3)):
        samples = made_samples(program)
        logits = np.stack([trace.logits for trace in run(program, samples, threads=1)])
        answers = {"right": logits, "wrong": logits + (np.arange(logits.size) == 1).reshape(logits.shape)}
        for what, expected in answers.items() if number == 0 else [("right", logits)]:
            folder = write_c(Generated(program, "net"), tmp_path / f"{number}{what}", samples, expected)
            assert said_by_a_cortex_m4(folder) == {"right": "A", "wrong": "B"}[what], (number, what)


def said_by_a_cortex_m4(folder):
    (folder / "startup.c").write_text(STARTUP)
    (folder / "layout.ld").write_text(LAYOUT)
    files = ["net.c", "known.c", "startup.c", "-T", "layout.ld", "-nostdlib", "-Wl,--gc-sections", "-o", "net.elf"]
    command = [*cross_compiler("cortex-m4"), *STRICT, "-Os", "-DNO_MAIN", *files]
    subprocess.run(command, cwd=folder, check=True)
    machine = ["qemu-system-arm", "-M", "mps2-an386", "-cpu", "cortex-m4", "-nographic", "-monitor", "none"]
    semihosting = ["-serial", "none", "-semihosting-config", "enable=on,target=native", "-kernel", "net.elf"]
    done = subprocess.run([*machine, *semihosting], cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return (done.stdout + done.stderr).strip()
