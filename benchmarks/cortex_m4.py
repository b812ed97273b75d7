"""Known answers of a C program on a Cortex-M4 that QEMU emulates: wrong logits, instructions, stack.

Needs the package ziglang and qemu-system-arm (machine mps2-an386). Instructions are counted by the system timer, which
runs at 25 MHz where an instruction takes a nanosecond (``-icount shift=0``); wait states and pipelines are not in them.
The stack is what is left of a pattern below the caller's own frame.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pumice.export.c.compiler import STRICT
from pumice.export.c.cross import cross_compiler

EMULATOR = "qemu-system-arm"
_NS_A_TICK = 40
_STARTUP = """
#include <stdint.h>
int net_known_answers(void);
void start(void);
extern char stack_top[];
#define PAINTED 8192

static void call(int what, const void *argument)
{
    register int r0 __asm__("r0") = what;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void say(uint32_t number)
{
    static char text[16];
    int i = 14;
    text[i--] = '\\n';
    do {
        text[i--] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    call(4, text + i + 1);
}

void start(void)
{
    volatile uint32_t *const timer = (volatile uint32_t *)0xE000E010;
    volatile char *here;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    for (volatile char *p = here - PAINTED; p < here; p++) {
        *p = 0x5A;
    }
    timer[1] = 0xFFFFFF;
    timer[2] = 0;
    timer[0] = 5;
    const uint32_t before = timer[2];
    const int wrong = net_known_answers();
    const uint32_t after = timer[2];
    volatile char *deepest = here - PAINTED;
    while (deepest < here && *deepest == 0x5A) {
        deepest++;
    }
    say((uint32_t)wrong);
    say((before - after) & 0xFFFFFF);
    say((uint32_t)(here - deepest));
    call(0x18, (void *)0x20026);
}
__attribute__((section(".vectors"), used)) const void *const vectors[2] = {stack_top, (const void *)start};
"""
_LAYOUT = """
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


@dataclass(frozen=True)
class Run:
    """What the device did: ``instructions`` of all known answers, up to 671 million, and bytes of ``stack``."""

    wrong: int
    instructions: int
    stack: int


def available() -> bool:
    """Whether this machine has what it needs."""
    return find_spec("ziglang") is not None and shutil.which(EMULATOR) is not None


def run_known_answers(folder: Path, level: str = "-Os") -> Run:
    """Compile a folder that was written under the name ``net``, and run its known answers."""
    (folder / "startup.c").write_text(_STARTUP)
    (folder / "layout.ld").write_text(_LAYOUT)
    files = ["net.c", "known.c", "startup.c", "-T", "layout.ld", "-nostdlib", "-Wl,--gc-sections,-e,start"]
    command = [*cross_compiler("cortex-m4"), *STRICT, level, "-fno-lto", "-DNO_MAIN", *files, "-o", "net.elf"]
    subprocess.run(command, cwd=folder, check=True)
    machine = [
        EMULATOR,
        "-M",
        "mps2-an386",
        "-cpu",
        "cortex-m4",
        "-icount",
        "shift=0",
        "-nographic",
        "-monitor",
        "none",
    ]
    semihosting = ["-serial", "none", "-semihosting-config", "enable=on,target=native", "-kernel", "net.elf"]
    done = subprocess.run([*machine, *semihosting], cwd=folder, capture_output=True, text=True, timeout=300, check=True)
    wrong, ticks, stack = (int(line) for line in (done.stdout + done.stderr).split())
    return Run(wrong, ticks * _NS_A_TICK, stack)
