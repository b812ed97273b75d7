"""What nodes tell of themselves, against what the reference does and against a count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.hw_sim.counts import count
from pumice.hw_sim.inspection import inspect
from pumice.program import Format, Program, ProgramError, reference
from pumice.program.nodes import (
    GAP_FORMAT,
    OUTPUT,
    QUERY,
    REGISTRY,
    TRACED,
    DenseInput,
    DiagonalSSM,
    Embedding,
    EventPool,
    GapInput,
    Linear,
    Readout,
)
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample
from pumice.program.random.spiking import random_spiking

MAKERS = {
    "program": random_program,
    "network": random_network,
    "loihi": random_loihi,
    "spiking": random_spiking,
}


@pytest.mark.parametrize("maker", MAKERS)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_states_of_a_node_are_those_that_the_reference_traces(maker, seed):
    program = MAKERS[maker](seed)
    (trace,) = reference.run(program, [random_sample(program, seed, 13)])
    for node in program:
        states = node.states()
        assert node.keeps_state == bool(states)
        assert len({state.name for state in states}) == len(states)
        traced = [state for state in states if state.seen == TRACED]
        assert (node.name in trace.states) == bool(traced)
        if traced:
            held = trace.states[node.name]
            assert held.shape[1] == sum(state.size for state in traced) == node.state_fracs.size
            pieces = np.split(held, np.cumsum([state.size for state in traced])[:-1], axis=1)
            for state, codes in zip(traced, pieces, strict=True):
                assert node.chip or np.abs(codes).max(initial=0) <= 1 << (state.width - 1)  # Loihi's u wraps but once
        assert all(state.size == node.channels for state in states if state.seen == OUTPUT)
        assert all(state.loss.min() >= 0 and state.decay.max() <= 1 for state in states if state.loss is not None)


@pytest.mark.parametrize("maker", MAKERS)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_edges_carry_no_code_beyond_the_range_told(maker, seed):
    program = MAKERS[maker](seed)
    (trace,) = reference.run(program, [random_sample(program, seed, 13)])
    for node in program:
        low, high = node.code_range
        codes = trace.values[node.name]
        assert codes.size == 0 or low <= codes.min() <= codes.max() <= high
        assert len(node.roles) == len(node.inputs) == len(node.input_formats)
        assert (program.rates[node.name] == QUERY) == any(reads_out(program, edge) for edge in (node.name,))


def reads_out(program, name):
    """Whether any path to the node leads through a read-out."""
    node = program[name]
    return type(node).__name__ == "Readout" or any(reads_out(program, edge) for edge in node.inputs)


@pytest.mark.parametrize("maker", MAKERS)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_inspection_and_counts_have_one_memory(maker, seed):
    program = MAKERS[maker](seed)
    totals = count(program, reference.run(program, [random_sample(program, seed, 5)])).totals()
    inspected = inspect(program)
    assert inspected["weight_bits"] == totals["parameter_bits"] == sum(node.parameter_bits for node in program)
    assert inspected["state_bits"] == totals["state_bits"] == sum(node.state_bits for node in program)
    for node in inspected["nodes"]:
        stored = node["tensors"].values()
        assert node["weight_bits"] == sum(int(np.prod(entry["shape"])) * entry["bits"] for entry in stored)


def small_program():
    """Dense input of 3 channels, an encoder, 2 modes of 2 gap digits, a pool of 4, the mean, 2 logits."""
    byte, wide = Format(8, True, 4), Format(16, True, 0)
    zeros = np.zeros(2, dtype=np.int64)
    return Program(
        nodes=(
            DenseInput(name="x", inputs=(), output=byte, size=3),
            GapInput(name="gap", inputs=(), output=GAP_FORMAT, unit_us=500),
            Linear(
                name="encoder",
                inputs=("x",),
                output=byte,
                formats=(byte,),
                weights=(np.ones((2, 3), dtype=np.int64),),
                weight_widths=(4,),
                weight_fracs=(np.array([3, 3]),),
                bias=np.array([0, 5]),
            ),
            DiagonalSSM(
                name="ssm",
                inputs=("encoder", "gap"),
                output=wide,
                format=byte,
                discretization="async",
                input_re=np.ones((2, 2), dtype=np.int64),
                input_im=np.zeros((2, 2), dtype=np.int64),
                input_width=8,
                input_frac=np.array([4, 6]),
                bias_re=zeros,
                bias_im=zeros,
                state_width=16,
                state_frac=np.array([6, 7]),
                decay_re=np.full((2, 2), -40),
                decay_im=np.zeros((2, 2), dtype=np.int64),
                decay_width=15,
                decay_exponent=np.full((2, 2), 8),
                read_shift=0,
            ),
            EventPool(
                name="pool", inputs=("ssm",), output=Format(18, True, 2), format=wide, size=4, window=4, mode="mean"
            ),
            Readout(
                name="mean",
                inputs=("pool",),
                output=Format(20, True, 4),
                format=Format(18, True, 2),
                size=4,
                mode="mean",
                extra_bits=2,
                window=0,
                decay_shift=0,
            ),
            Linear(
                name="decoder",
                inputs=("mean",),
                output=Format(40, True, 8),
                formats=(Format(20, True, 4),),
                weights=(np.ones((2, 4), dtype=np.int64),),
                weight_widths=(12,),
                weight_fracs=(np.array([4, 4]),),
                bias=zeros,
            ),
        ),
        logits="decoder",
        pairing="causal",
        class_names=("a", "b"),
    )


def test_memory_of_a_small_program_by_hand():
    found = {node.name: (node.parameter_bits, node.state_bits) for node in small_program()}
    assert found == {
        "x": (0, 0),
        "gap": (0, 0),
        "encoder": (2 * 3 * 4 + 2 * 32 + 8, 0),  # W; biases of i32 sums; one shift right, that of both rows; none left
        "ssm": (
            2 * (2 * 2 * 8)  # B, real and imaginary
            + 2 * (2 * 15 + 8)  # two digits of the decay that both modes share: two codes and an exponent each
            + 2 * 8,  # shifts of the drive, 4 + 4 - 6 and 6 + 4 - 7, differ; no bias
            2 * 2 * 16,
        ),
        "pool": (0, 4 * (16 + 2)),  # a sum of four values has two more bits
        "mean": (0, 64 * (4 + 1)),  # 64-bit sums and their count
        "decoder": (2 * 4 * 12, 0),  # no bias, and nothing is shifted
    }


def test_limits_of_sums_and_the_clock_of_decays_by_hand():
    program = small_program()
    assert program.max_events == 4 * ((1 << 62) // ((1 << 17 << 3) + 1))
    assert program.max_duration_us == ((1 << 48) - 2) * 500
    (state,) = program["ssm"].states()
    assert program.unit_us(state.clock) == 500
    decay = 1 - 40 / 256
    np.testing.assert_allclose(state.decay, [decay, decay], rtol=1e-12)
    np.testing.assert_allclose(state.dead_zone, 0.71 / (1 - decay), rtol=1e-12)
    assert program.series is None
    assert program.chip == ""
    assert random_loihi(1).chip == "loihi"


def test_every_node_type_says_what_it_computes():
    equations = [kind.equation for kind in REGISTRY.values()]
    assert all(equations)
    assert len(set(equations)) == len(equations) == 20


@pytest.mark.parametrize(
    ("signed", "sentence"),
    [(True, "no row for the codes below 0 that x can carry"), (False, "its 4 rows are fewer than 256 tokens")],
)
def test_an_embedding_of_codes_that_it_has_no_row_for_is_refused(signed, sentence):
    program = small_program()
    codes = Format(8, signed, 0)
    values = DenseInput(name="x", inputs=(), output=codes, size=1)
    table = np.zeros((4, 2), dtype=np.int64)
    embedding = Embedding(
        name="encoder",
        inputs=("x",),
        output=Format(8, True, 4),
        table=table,
        table_width=8,
        table_frac=4,
        token_format=codes,
    )
    nodes = (values, program.nodes[1], embedding, *program.nodes[3:])
    with pytest.raises(ProgramError, match=f"node encoder: .*{sentence}"):
        Program(nodes=nodes, logits="decoder", pairing="causal", class_names=("a", "b"))
