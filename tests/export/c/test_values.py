"""The C program gives the simulator's integers: every edge, state and counter, without undefined behaviour."""

from __future__ import annotations

import numpy as np
import pytest
from pumice.program import Format, Program
from pumice.program.nodes import Add, BatchNorm, DenseInput, LayerNorm, Linear, Readout
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program

SANITIZED = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover")
WORD = Format(16, True, 0)


def small(**settings):
    return random_program(5, stages=1, layers=1, width=3, modes=2, **settings)


def test_random_programs_under_sanitizers(same, random_programs):
    programs = random_programs(1)
    programs.append(
        small(value="dense", discretization="zoh", stride=3, pool="time", readout="time", state_width=8, extreme=True)
    )
    programs += [small(readout="steps", stride=stride, value=value) for stride, value in ((1, "dense"), (3, "token"))]
    programs.append(small(real=True, stride=2, sampled="mean", readout="forget", state_width=32))
    assert same(programs, SANITIZED) > 20_000


@pytest.mark.parametrize("level", ["-O2", "-O3"])
def test_optimized_without_a_warning(same, level):
    programs = [
        small(norm="layer", stride=4, readout="window"),
        random_network(2, cell="se"),
        random_network(12, cell="ef", layers=1, recurrent=True),
        random_loihi(6, layers=1),
    ]
    assert same(programs, (level, "-pedantic")) > 3_000


def test_networks_of_every_family(same_of, lowered, lowered_network):
    """Lowered from float models, with the widths and shifts that calibration gives."""
    made = [lowered(), lowered(spiking=True, stride=2), lowered(real=True)]
    made += [lowered_network(cell, synapses=4) for cell in ("lif", "se-adlif", "ef-adlif")]
    assert same_of(made, ("-O0",)) > 40_000
    assert same_of(made[-1:], ("-O2",), pack=True) > 2_000


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize(
    ("count", "flags"),
    [(20, ("-O2",)), (20, ("-O3",)), (8, ("-O2", *SANITIZED[1:]))],
    ids=["-O2", "-O3", "sanitized"],
)
def test_many_random_programs(same, random_programs, count, flags, pack):
    assert same(random_programs(count, start=100), flags, pack) > 20_000 * count


def read_by_last(*nodes):
    last = nodes[-1]
    settings = {"mode": "last", "extra_bits": 0, "window": 0, "decay_shift": 0}
    readout = Readout(
        name="logits", inputs=(last.name,), output=last.output, format=last.output, size=last.channels, **settings
    )
    return Program(
        nodes=(*nodes, readout), logits="logits", pairing="causal", class_names=tuple("abcdefg"[: last.channels])
    )


def test_shifts_that_only_zeros_take(same):
    """A row that is always 0 may be shifted further than its register is wide."""
    source = DenseInput(name="x", inputs=(), output=WORD, size=3)
    norm = BatchNorm(
        name="norm",
        inputs=("x",),
        output=WORD,
        format=WORD,
        multiplier=np.array([0, 3, -7]),
        multiplier_width=8,
        bias=np.array([0, 5, -5]),
        shift=np.array([-45, -2, 3]),
    )
    linear = Linear(
        name="y",
        inputs=("norm", "x"),
        output=WORD,
        formats=(WORD, WORD),
        weights=(np.array([[0, 0, 0], [1, -2, 3]]), np.array([[9, 0, -9], [0, 0, 0]])),
        weight_widths=(8, 8),
        weight_fracs=(np.array([-40, 2]), np.array([2, -40])),
        bias=np.array([1, -1]),
    )
    nothing = Add(name="z", inputs=("y",), output=Format(8, True, -2), formats=(WORD,), size=2)
    flat = LayerNorm(
        name="flat",
        inputs=("z",),
        output=Format(8, True, 3),
        format=nothing.output,
        size=2,
        root_shift=2,
        epsilon=1,
        gamma=np.array([0, 0]),
        gamma_frac=0,
        beta=np.array([0, 0]),
        beta_frac=0,
    )
    rows = np.array([[32767, -32768, 0], [-32768, 32767, 1], [1, 2, 3], [0, 0, 0]], dtype=np.float64)
    program = read_by_last(source, norm, linear, nothing, flat)
    same([program], SANITIZED, samples=[[(rows, np.arange(len(rows)) * 1000)]])


@pytest.mark.parametrize("frac", [8, 15, 16])
def test_sums_around_32_bits(same, frac):
    """Extremes of 16-bit operands, where a register one size too narrow wraps."""
    source = DenseInput(name="x", inputs=(), output=WORD, size=2)
    top = (1 << 15) - 1
    linear = Linear(
        name="y",
        inputs=("x",),
        output=Format(32, True, 0),
        formats=(WORD,),
        weights=(np.array([[top, top], [top, -top], [1, 0]]),),
        weight_widths=(16,),
        weight_fracs=(np.array([frac, frac - 1, 0]),),
        bias=np.array([1 << 30, -(1 << 31), 0]),
    )
    ends = np.array([WORD.min, WORD.max, -1, 0, 1], dtype=np.float64)
    rows = np.stack(np.meshgrid(ends, ends), axis=-1).reshape(-1, 2)
    same([read_by_last(source, linear)], SANITIZED, samples=[[(rows, np.arange(len(rows)) * 1000)]])
