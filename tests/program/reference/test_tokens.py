"""Tables by token against the reference on a sample of each token, and which nodes have one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.program import Format, Program, reference
from pumice.program.nodes import Linear, TokenInput
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program
from pumice.program.random.spiking import random_spiking
from pumice.program.reference.tokens import by_token

MAKERS = {
    "program": lambda seed: random_program(seed, value="token", pairing="causal"),
    "network": lambda seed: random_network(seed, value="token"),
    "loihi": lambda seed: random_loihi(seed, value="token"),
    "spiking": lambda seed: random_spiking(seed, value="token"),
}


@pytest.mark.parametrize("maker", MAKERS)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_tables_are_what_single_events_give(maker, seed):
    program = MAKERS[maker](seed)
    tables = by_token(program, 1 << 20)
    assert "embedding" in tables
    samples = [(np.array([token]), np.array([0])) for token in range(program.value_input.vocab)]
    traces = reference.run(program, samples)
    for name, table in tables.items():
        expected = np.concatenate([trace.values[name] for trace in traces])
        np.testing.assert_array_equal(table.values, expected)
        np.testing.assert_array_equal(table.saturations, [trace.saturations[name] for trace in traces])


@pytest.mark.parametrize("maker", MAKERS)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_exactly_the_edges_that_nothing_but_the_token_can_move_have_one(maker, seed):
    """Reachability, read the other way round: no path from a state or a gap leads to a node with a table."""
    program = MAKERS[maker](seed)
    stateful = (
        "DiagonalSSM",
        "EventPool",
        "LIF",
        "AdaptiveLIF",
        "CubaLIF",
        "LeakyIntegrator",
        "LoihiLIF",
        "Readout",
        "ChannelSSM",
        "DrivenLIF",
    )

    def moved(name: str) -> bool:
        node = program[name]
        return type(node).__name__ in (*stateful, "GapInput") or any(moved(edge) for edge in node.inputs)

    expected = [node.name for node in program if node.inputs and not moved(node.name)]
    assert list(by_token(program, 1 << 20)) == expected


def test_beyond_the_limit_the_embedding_is_left_alone():
    program = random_program(11, value="token", norm="layer")
    assert len(by_token(program, 1 << 20)) > 1
    assert list(by_token(program, 10)) == ["embedding"]
    room = program.value_input.vocab * program["stages/0/layers/0/norm"].channels
    assert list(by_token(program, room))[:2] == ["embedding", "stages/0/layers/0/norm"]
    assert by_token(random_program(11, value="dense"), 1 << 20) == {}


def test_a_large_vocabulary_that_no_table_holds_takes_no_memory():
    small = random_network(3, value="token", layers=1)
    _, embedding, *rest = small.nodes
    large = TokenInput(name="token", inputs=(), output=Format(40, False, 0), vocab=1 << 40)
    linear = Linear(
        name="embedding",
        inputs=("token",),
        output=embedding.output,
        formats=(large.output,),
        weights=(np.ones((embedding.channels, 1), dtype=np.int64),),
        weight_widths=(2,),
        weight_fracs=(np.zeros(embedding.channels, dtype=np.int64),),
        bias=np.zeros(embedding.channels, dtype=np.int64),
    )
    program = Program(nodes=(large, linear, *rest), logits="logits", pairing="causal", class_names=small.class_names)
    assert by_token(program, 1 << 20) == {}
