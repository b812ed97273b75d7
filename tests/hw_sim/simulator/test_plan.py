"""From programs to records: which nodes are planned, and what depends on the token alone."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.hw_sim.simulator import Simulator, opcodes, run
from pumice.hw_sim.simulator.plan.make import FUNCTIONS, make_plan
from pumice.program import Program, ProgramError, reference
from pumice.program.nodes import REGISTRY, Embedding, Linear, Lookup
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample


@dataclass(frozen=True, eq=False, kw_only=True)
class Strange(Lookup):
    """A node that no planner knows."""


def fed_by_tables(program: Program) -> Program:
    """The program with a linear node behind its embedding, which nothing else reads then."""
    source = program["embedding"]
    size = source.channels
    mixed = Linear(
        name="mixed",
        inputs=("embedding",),
        output=source.output,
        formats=(source.output,),
        weights=(np.random.default_rng(0).integers(-7, 8, (size, size)),),
        weight_widths=(4,),
        weight_fracs=(np.full(size, 2),),
        bias=np.zeros(size, dtype=np.int64),
    )
    nodes = []
    for node in program:
        inputs = tuple("mixed" if name == "embedding" else name for name in node.inputs)
        nodes.append(replace(node, inputs=inputs))
        if node is source:
            nodes.append(mixed)
    return replace(program, nodes=tuple(nodes))


def test_every_type_of_node_is_planned():
    assert {*FUNCTIONS, Embedding} == set(REGISTRY.values())


def test_a_node_of_another_type_is_refused_by_name():
    program = random_program(1, value="dense")
    known = next(node for node in program if isinstance(node, Lookup))
    strange = Strange(**{field.name: getattr(known, field.name) for field in fields(known)})
    program = replace(program, nodes=tuple(strange if node is known else node for node in program))
    with pytest.raises(ProgramError, match=f"node {known.name}: the simulator cannot run nodes of type Strange"):
        make_plan(program)


@pytest.mark.parametrize("maker", [random_program, random_network, random_loihi])
@pytest.mark.parametrize("seed", range(4))
def test_saturations_of_tables_that_nobody_reads_are_counted(assert_equal, records, maker, seed):
    program = fed_by_tables(maker(seed, value="token"))
    source = program["embedding"]
    loud = replace(source, table=np.where(source.table < 0, -1, 1), table_frac=source.output.frac - 40)
    program = replace(program, nodes=tuple(loud if node is source else node for node in program))
    assert opcodes.COUNT in [op for op, _ in records(program)]
    assert opcodes.COUNT not in [op for op, _ in records(program, trace=True)]
    result = assert_equal(program, [random_sample(program, seed, 40)])
    assert result.oracle.saturations["embedding"] > 0


@pytest.mark.parametrize("maker", [random_network, random_loihi])
@pytest.mark.parametrize("weights", [4, 8])
def test_neurons_read_what_tokens_give(assert_equal, records, maker, weights):
    name = "weight_width" if maker is random_network else "weight_bits"
    for seed in range(3):
        program = maker(seed, value="token", recurrent=True, **{name: weights})
        assert opcodes.TABLE in [op for op, _ in records(program)]
        assert_equal(program, [random_sample(program, seed, 70)])


@given(cuts=st.lists(st.integers(0, 200), max_size=4), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_a_stream_of_tokens_may_be_cut_anywhere(cuts, seed):
    program = random_network(seed, value="token")
    values, times = random_sample(program, seed, 200)
    (whole,) = run(program, [(values, times)], trace=True)
    simulator = Simulator(program)
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 200], strict=True):
        potentials, _ = simulator.step_many(values[start:stop], times[start:stop])
        np.testing.assert_array_equal(potentials, whole.series[start:stop])
    assert simulator.saturations == reference.run(program, [(values, times)], trace=False)[0].saturations
