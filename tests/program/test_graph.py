"""What a program refuses of its graph."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pumice.program import Program, ProgramError
from pumice.program.random.programs import random_program


def test_readout_weights_must_have_the_rate_of_their_values():
    program = random_program(8, readout="time", stride=2, stages=1)
    nodes = [
        replace(node, inputs=(node.inputs[0], "pool_gap", "pool_gap")) if node.name == "readout" else node
        for node in program
    ]
    with pytest.raises(ProgramError, match="rates 1/2, 1/1, 1/1"):
        Program(nodes=tuple(nodes), logits="decoder", pairing="causal", class_names=("a", "b", "c"))
