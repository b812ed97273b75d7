"""Programs of every kind, and several of them as one executable."""

from __future__ import annotations

import itertools

import pytest
from pumice.errors import BackendUnavailable
from pumice.export.c import Generated, find_compiler
from pumice.export.c.build import Built
from pumice.hw_sim.parity.compare import compare
from pumice.hw_sim.simulator import run_stepwise
from pumice.program import ProgramError
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample
from pumice.program.random.spiking import random_spiking, random_spiking_events

MAKERS = (random_program, random_network, random_loihi, random_spiking, random_spiking_events)
LENGTHS = (40, 0, 7, 25)


@pytest.fixture(scope="session")
def compiler():
    """The command of the compiler; tests are skipped where there is none."""
    try:
        return find_compiler()
    except BackendUnavailable as error:
        pytest.skip(str(error))


def _random_programs(count, start=0):
    programs = []
    for make in MAKERS:
        found = (make_or_none(make, seed) for seed in itertools.count(start))
        programs += itertools.islice((program for program in found if program is not None), count)
    return programs


def make_or_none(make, seed):
    """A random program; wide weights on wide states may not fit 52 bits."""
    try:
        return make(seed)
    except ProgramError:
        return None


@pytest.fixture(scope="session")
def random_programs():
    """``random_programs(count, start=0)``: so many of each kind."""
    return _random_programs


def _same(programs, flags, pack=False, samples=None):
    """Compile programs together; every edge, state and counter has to be the simulator's. Gives the values compared."""
    generated = [Generated(program, f"p{number}", pack) for number, program in enumerate(programs)]
    built, values = Built(generated, flags=flags, traced=True), 0
    for number, program in enumerate(programs):

        def in_c(_, chosen, trace, number=number):
            return built.run(number, chosen, trace=trace)

        def simulated(program, chosen, trace):
            return run_stepwise(program, chosen, trace=trace, threads=1)

        given = (
            samples[number]
            if samples
            else [random_sample(program, seed, length) for seed, length in enumerate(LENGTHS)]
        )
        result = compare(program, given, {"simulator": simulated, "c": in_c}, traced=len(given))
        (verdict,) = result.verdicts
        assert verdict.differing == 0, (number, verdict.first)
        assert verdict.nodes[0] == len(program.nodes)
        assert verdict.states[0] == verdict.states[1]
        values += verdict.values
    return values


@pytest.fixture(scope="session")
def same(compiler):
    """``same(programs, flags, pack=False, samples=None)``: compares them with the simulator."""
    return _same


@pytest.fixture(scope="session")
def same_of(compiler):
    """``same_of(made, flags, pack=False)``: as ``same``, of programs with samples of their own."""

    def compared(made, flags, pack=False):
        return _same([each.program for each in made], flags, pack, [each.samples for each in made])

    return compared
