"""Sums at the ends of 30, 31, 32 and more bits: logits and inner sums of every backend against Python's integers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from pumice.export.onnx.backend import run_onnx
from pumice.export.onnx.integer import INTEGER
from pumice.export.onnx.sequence import build_sequence
from pumice.hw_sim.simulator import run, run_stepwise
from pumice.program import Format, Program, reference
from pumice.program.nodes import DenseInput, Linear, Readout

BACKENDS = {
    "reference": reference.run,
    "run": run,
    "step": run_stepwise,
    "onnx": lambda p, s: run_onnx(p, s, False),
    "integers": lambda p, s: run_onnx(p, s, False, dialect=INTEGER),
}
TOP = (1 << 16) - 1
BESIDE = (-2, -1, 0, 1)


def linear(name, source, weights, bias, output, format):
    return Linear(
        name=name,
        inputs=(source,),
        output=output,
        formats=(format,),
        weights=(np.array(weights),),
        weight_widths=(32,),
        weight_fracs=(np.zeros(len(weights), dtype=np.int64),),
        bias=np.array(bias),
    )


def program_of(weights, bias, output, inner):
    """One 16-bit input; the sum is that of the logits, or of a layer before the read-out."""
    value, classes = Format(16, False, 0), len(weights)
    nodes = [DenseInput(name="x", inputs=(), output=value, size=len(weights[0]))]
    if inner:
        nodes.append(linear("y", "x", weights, bias, output, value))
        held, size = output, classes
    else:
        held, size = value, len(weights[0])
    settings = {"mode": "last", "extra_bits": 0, "window": 0, "decay_shift": 0}
    nodes.append(Readout(name="last", inputs=(nodes[-1].name,), output=held, format=held, size=size, **settings))
    if inner:
        # one to one: what was stored comes out again
        same = {"name": "logits", "inputs": ("last",), "formats": (held,), "weights": (np.ones(classes, int),)}
        same |= {"weight_widths": (2,), "weight_fracs": (np.zeros(classes, int),), "bias": np.zeros(classes, int)}
        nodes.append(Linear(**same, output=Format(64, True, output.frac)))
    else:
        nodes.append(linear("logits", "last", weights, bias, output, value))
    names = tuple(f"class {k}" for k in range(classes))
    return Program(nodes=tuple(nodes), logits="logits", pairing="causal", class_names=names)


@pytest.mark.parametrize("inner", [False, True], ids=["logits", "inner sum"])
@pytest.mark.parametrize("width", [32, 50])
@pytest.mark.parametrize("bits", [29, 30, 31, 32, 33, 40])
def test_sums_around_powers_of_two(bits, width, inner):
    """Rows reach 2**bits - 2 to 2**bits + 1 at the largest input, half of them below zero; 32 bits saturate."""
    factor = (1 << bits) // TOP
    weights = [[sign * factor] for sign in (1, -1) for _ in BESIDE]
    bias = [sign * ((1 << bits) + beside - factor * TOP) for sign in (1, -1) for beside in BESIDE]
    output = Format(width, True, 0)
    program = program_of(weights, bias, output, inner)
    samples = [(np.array([[float(x)]]), np.array([0])) for x in (TOP, TOP - 1, 1, 0)]
    for name, backend in BACKENDS.items():
        for (values, _), trace in zip(samples, backend(program, samples), strict=True):
            sums = [weight * int(values[0, 0]) + added for (weight,), added in zip(weights, bias, strict=True)]
            stored = [min(max(total, output.min), output.max) for total in sums]
            assert trace.logits.tolist() == stored, name
            if trace.saturations:
                clipped = sum(total != kept for total, kept in zip(sums, stored, strict=True))
                assert sum(trace.saturations.values()) == clipped, name


@pytest.mark.parametrize("bits", [29, 30, 31, 32])
def test_half_units_at_the_limit_of_a_register(bits):
    """A sum that its half unit alone takes beyond 2**bits - 1, shifted right by 20 afterwards."""
    half = 1 << 19
    factor = ((1 << bits) - half - 2) // TOP
    weights = [[sign * factor] for sign in (1, -1) for _ in BESIDE]
    bias = [sign * ((1 << bits) - half + beside - factor * TOP) for sign in (1, -1) for beside in BESIDE]
    output = Format(16, True, -20)
    program = program_of(weights, bias, output, True)
    assert program["y"].bounds()["the sum"] == (1 << bits) + 1
    samples = [(np.array([[float(x)]]), np.array([0])) for x in (TOP, TOP - 1, 1, 0)]
    for name, backend in BACKENDS.items():
        for (values, _), trace in zip(samples, backend(program, samples), strict=True):
            sums = [weight * int(values[0, 0]) + added for (weight,), added in zip(weights, bias, strict=True)]
            assert trace.logits.tolist() == [(total + half) >> 20 for total in sums], name


def test_logits_are_as_wide_as_their_format():
    """What leaves the model is int32 only where every code fits: 32-bit logits fit, 33-bit ones do not."""
    for width, kind in ((32, onnx.TensorProto.INT32), (33, onnx.TensorProto.INT64)):
        program = program_of([[1]], [0], Format(width, True, 0), False)
        (logits,) = (output for output in build_sequence(program).graph.output if output.name == "logits")
        assert logits.type.tensor_type.elem_type == kind
