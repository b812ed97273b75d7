"""What a graph leaves out: operations that nothing reads, and copies of outputs."""

import numpy as np
import onnx
from onnx import helper
from pumice.export.onnx.graph import Graph


def model_of(graph):
    model = helper.make_model(graph.build(), opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def test_operations_that_nothing_reads_are_left_out(open_session):
    """But not those that a graph inside reads alone."""
    graph = Graph("test")
    x = graph.input("x", np.float64, [1])
    for_branch, nothing = graph.op("Neg", x), graph.op("Floor", x)
    graph.op("Neg", nothing)
    then, other = graph.child("then"), graph.child("other")
    then.output(then.op("Neg", for_branch), "out", [1])
    other.output(x, "out", [1])
    condition = graph.op("Greater", graph.op("ReduceMax", x, keepdims=0), graph.constant(0, np.float64))
    graph.ops("If", condition, outputs=["y"], dtypes=[np.float64], then_branch=then.build(), else_branch=other.build())
    graph.output("y", "result", [1])
    model = model_of(graph)
    assert [operation.op_type for operation in model.graph.node] == ["Neg", "ReduceMax", "Greater", "If"]
    for value in (-3.0, 3.0):
        assert open_session(model)(x=np.array([value]))["result"].tolist() == [value]


def test_what_is_made_is_an_output_itself(open_session):
    """Once; a second output of the same tensor, and an input, are copied."""
    graph = Graph("test")
    x = graph.input("x", np.float64, [1])
    made = graph.op("Neg", x)
    for name in ("first", "second"):
        graph.output(made, name, [1])
    graph.output(graph.op("Add", made, x), "sum", [1])
    graph.output(x, "same", [1])
    model = model_of(graph)
    assert [operation.op_type for operation in model.graph.node] == ["Neg", "Identity", "Add", "Identity"]
    out = open_session(model)(x=np.array([5.0]))
    assert {name: array.tolist() for name, array in out.items()} == {
        "first": [-5.0],
        "second": [-5.0],
        "sum": [0.0],
        "same": [5.0],
    }
