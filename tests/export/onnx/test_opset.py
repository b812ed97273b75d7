"""Operator sets: the lowest that a graph needs, what is asked for, the same integers in each."""

import numpy as np
import onnx
import pytest
from pumice.errors import PumiceError
from pumice.export.onnx import build_sequence, build_step
from pumice.export.onnx.doubles import DOUBLES
from pumice.export.onnx.feed import feed
from pumice.export.onnx.integer import INTEGER
from pumice.export.onnx.opset import operations
from pumice.export.onnx.qdq import QDQ
from pumice.program import reference
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program

IR = {16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}


@pytest.mark.parametrize("opset", [None, *IR])
@pytest.mark.parametrize("make", [random_program, random_network])
def test_every_operator_set_gives_the_same_integers(make_samples, open_session, make, opset):
    for seed in range(3):
        program = make(300 + seed)
        samples = make_samples(program, seed)
        model = build_sequence(program, opset=opset, dialect=DOUBLES if seed else INTEGER)
        assert (model.opset_import[0].version, model.ir_version) == ((opset or 16), IR[opset or 16])
        onnx.checker.check_model(model, full_check=True)
        found = open_session(model)(**feed(program, samples))["logits"]
        for row, trace in enumerate(reference.run(program, samples)):
            np.testing.assert_array_equal(found[row], trace.logits)


def test_lower_bits_are_cleared_where_operators_allow():
    program = random_program(3, value="token", norm="batch")
    kinds = [{op.op_type for op in operations(build_step(program, dialect=INTEGER, opset=k).graph)} for k in (17, 18)]
    assert "BitwiseAnd" not in kinds[0]
    assert "BitwiseAnd" in kinds[1]


@pytest.mark.parametrize("opset", [0, 15, 22, -1])
@pytest.mark.parametrize("build", [build_step, build_sequence])
def test_others_are_refused(build, opset):
    with pytest.raises(PumiceError, match=rf"opset={opset} is outside 16\.\.21; leave it out"):
        build(random_program(1), opset=opset)


def test_what_an_operator_set_lacks_is_named():
    program = random_program(1)
    assert build_step(program, dialect=QDQ, branches=False).opset_import[0].version == 21
    with pytest.raises(PumiceError, match=r"opset=20 has no \w+Linear as step uses it; choose a higher one, up to 21"):
        build_step(program, dialect=QDQ, branches=False, opset=20)
