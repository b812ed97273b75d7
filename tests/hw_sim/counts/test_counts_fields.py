"""Every field that the counts of operations leave over: bits moved and kept, runs, and the widths of every operation.

Each is found by the words of docs/op_counts.md from what the nodes are connected to and what lay on the edges, an event
after the other, in Python integers: nothing is asked of what a node tells of its own memory.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pumice.hw_sim.counts import count, count_float
from pumice.program import reference
from pumice.program.nodes import GAP_FORMAT, QUERY
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample

SETTINGS = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
READOUTS = ("mean", "time", "last", "window", "forget")
POOLS, NORMS = ("first", "last", "mean", "time"), ("layer", "batch")
FIELDS = ("weights", "weights_dense", "state_read", "state_written", "inputs_read", "outputs_written")


def reg(bound):
    return 32 if bound < 1 << 30 else 64


def shift_bits(shifts):
    """One byte a row, one in all where the rows agree, none where nothing is shifted."""
    values = [int(s) for s in shifts]
    return 8 * (len(values) if len(set(values)) > 1 else 1) * any(values)


def bias_bits(bias, register):
    return bias.size * register if bias.any() else 0


def matrix_reads(weight, width, rows):
    """Bits of a matrix read over all rows: without the columns of zeros, and whole."""
    column = weight.shape[0] * width if weight.ndim == 2 else width
    return sum(column for x in rows for value in x if value != 0), len(rows) * weight.size * width


class Expected:
    """What one node keeps and moves in one sample."""

    def __init__(self):
        self.parameters = self.states = 0
        self.moved = Counter()
        self.widths = {}

    def matrix(self, weight, width, rows):
        read, dense = matrix_reads(weight, width, rows)
        self.parameters += weight.size * width
        self.move(weights=read, weights_dense=dense)

    def fixed(self, bits, runs):
        """Parameters that every run needs."""
        self.parameters += bits
        self.move(weights=bits * runs, weights_dense=bits * runs)

    def move(self, **bits):
        self.moved.update(bits)

    def op(self, kind, what, left, right, result):
        self.widths[kind, what] = ((left, right), result)


def embedding(node, sources, inputs, runs):
    e, width = Expected(), node.output.width
    e.parameters = node.table.size * node.table_width
    row = node.table.shape[1] * node.table_width
    e.move(weights=row * runs, weights_dense=row * runs)
    e.op("gather", "table", node.table_width, 1, width)
    e.op("round", "row", node.table_width, 0, width)
    return e


def linear(node, sources, inputs, runs):
    e, r = Expected(), reg(node.bounds()["the sum"])
    fracs = [f.astype(int) + s.output.frac for f, s in zip(node.weight_fracs, sources, strict=True)]
    top = np.max(fracs, axis=0)
    for edge, weight, width, source, rows, frac in zip(
        node.inputs, node.weights, node.weight_widths, sources, inputs, fracs, strict=True
    ):
        e.matrix(weight, width, rows)
        e.fixed(shift_bits(top - frac), runs)
        e.op("mac", edge, width, source.output.width, r)
    e.fixed(bias_bits(node.bias, r) + shift_bits(top - node.output.frac), runs)
    e.op("add", "bias", r, r, r)
    e.op("round", "sum", r, 0, node.output.width)
    return e


def ssm(node, sources, inputs, runs):
    e, state, modes = Expected(), node.state_width, node.modes
    drive, step = (reg(node.bounds()[what]) for what in ("the drive", "the decay step"))
    u, gaps = inputs[0], [min(int(gap[0]), 2**node.digits - 1) for gap in inputs[1]]
    moving = [row for row, gap in zip(u, gaps, strict=True) if gap or node.discretization != "zoh"]
    for weight in (node.input_re, node.input_im):
        e.matrix(weight, node.input_width, moving)
    shift = node.input_frac.astype(int) + sources[0].output.frac - node.state_frac.astype(int)
    e.fixed(bias_bits(np.stack([node.bias_re, node.bias_im]), drive) + shift_bits(shift), len(moving))
    digit = modes * (2 * node.decay_width + 8)
    e.parameters += node.digits * digit
    applied = digit * sum(bin(gap).count("1") for gap in gaps)
    e.move(weights=applied, weights_dense=applied)
    e.states = 2 * modes * state
    e.move(state_read=e.states * len(moving), state_written=e.states * len(moving))
    e.op("mac", "B", node.input_width, sources[0].output.width, drive)
    e.op("add", "bias", drive, drive, drive)
    e.op("round", "drive", drive, 0, state)
    e.op("add", "drive", state, state, state)
    e.op("multiply", "decay", node.decay_width, state, step)
    e.op("add", "decay", step, step, step)
    e.op("round", "decay", step, 0, state)
    e.op("add", "state", state, state, state)
    e.op("round", "read", state, 0, node.output.width)
    return e


def lookup(node, sources, inputs, runs):
    e, width = Expected(), node.output.width
    e.parameters = 2 ** sources[0].output.width * width
    bits = sum(len(row) for row in inputs[0]) * width
    e.move(weights=bits, weights_dense=bits)
    e.op("lookup", node.function, sources[0].output.width, 0, width)
    return e


def multiply(node, sources, inputs, runs):
    e, r = Expected(), reg(node.bounds()["the product"])
    e.op("multiply", "product", sources[0].output.width, sources[1].output.width, r)
    e.op("round", "product", r, 0, node.output.width)
    return e


def add(node, sources, inputs, runs):
    e, r = Expected(), reg(node.bounds()["the sum"])
    e.op("add", "sum", r, r, r)
    e.op("round", "sum", r, 0, node.output.width)
    return e


def batch_norm(node, sources, inputs, runs):
    e, r = Expected(), reg(node.bounds()["the affine map"])
    e.fixed(node.multiplier.size * node.multiplier_width + bias_bits(node.bias, r) + shift_bits(node.shift), runs)
    e.op("multiply", "scale", node.multiplier_width, sources[0].output.width, r)
    e.op("add", "bias", r, r, r)
    e.op("round", "sum", r, 0, node.output.width)
    return e


def layer_norm(node, sources, inputs, runs):
    e, width = Expected(), sources[0].output.width
    signed = [max(abs(int(code)) for code in codes).bit_length() + 1 if codes.size else 0 for codes in
              (node.gamma, node.beta)]  # fmt: skip
    e.fixed(64 + signed[0] * node.gamma.size + signed[1] * node.beta.size, runs)
    e.op("multiply", "squares", width, width, 64)
    e.op("multiply", "variance", 64, 64, 64)
    e.op("root", "deviation", 64, 0, 64)
    e.op("multiply", "centre", len(bin(node.size)[2:]) + 1, width, 64)
    for what in ("sums", "variance", "centre", "beta"):
        e.op("add", what, 64, 64, 64)
    e.op("multiply", "gamma", signed[0], 64, 64)
    e.op("multiply", "beta", signed[1], 64, 64)
    e.op("divide", "quotient", 64, 64, node.output.width)
    return e


def pool(node, sources, inputs, runs):
    """A window's first event is stored; each later one is added to what is read, and the last is not stored again."""
    e, width, size, window = Expected(), sources[0].output.width, node.size, node.window
    gaps = sources[0].output == GAP_FORMAT  # sums over time
    if node.mode == "last":  # handed on
        return e
    total = 64 if gaps or node.mode == "time" else width + next(k for k in range(17) if 2**k >= window)
    e.states = {"first": size * width, "time": 64 * (2 * size + 1)}.get(node.mode, size * total)
    for k in range(len(inputs[0])):
        first, last = k % window == 0, k % window == window - 1
        if node.mode == "first":
            e.move(state_written=first * e.states, state_read=last * e.states)
        else:
            e.move(state_read=(not first) * e.states, state_written=(not last) * e.states)
    e.op("add", "sum", total, total, total)
    if node.mode == "time":
        e.op("multiply", "weighting", sources[1].output.width, width, 64)
        e.op("add", "weighted sum", 64, 64, 64)
        e.op("add", "weights", 64, 64, 64)
    e.op("divide", "mean", total, total, node.output.width)
    return e


def readout(node, sources, inputs, runs):
    """Sums are read and written at each event and read at the end; held values are written, a ring read at the end."""
    e, width, out, size = Expected(), sources[0].output.width, node.output.width, node.size
    mode, events = node.mode, len(inputs[0])
    if mode in ("mean", "time"):
        e.states = 64 * (size + 1)
        e.move(state_read=e.states * (events + 1), state_written=e.states * events)
    if mode == "time":
        e.states += 64 * (size + 1)
        each, every = 64 * size * events, 64 * len(inputs[2])
        e.move(state_read=each + every + 64 * (size + 1), state_written=each + every)
        e.op("multiply", "weighting", sources[1].output.width, width, 64)
    if mode == "window":
        e.states = node.window * size * width
        e.move(state_written=events * size * width, state_read=min(events, node.window) * size * width)
    if mode in ("last", "forget"):
        e.states = size * out
        e.move(state_written=events * e.states, state_read=e.states)
    if mode == "forget":
        e.move(state_read=max(events - 1, 0) * e.states)
    for what in ("sum", "count", "weighted sum", "time"):
        e.op("add", what, 64, 64, 64)
    e.op("add", "difference", out + 1, out + 1, out + 1)
    e.op("round", "difference", out + 1, 0, out)
    e.op("add", "value", out, out, out)
    e.op("divide", "mean", 64, 64, out)
    return e


def neurons(node, sources, inputs, runs):
    e, bounds, k = Expected(), node.bounds(), node.refractory.bit_length()
    current, potential = reg(bounds["the current"]), reg(bounds["the potential"])
    c, w, n = node.constant_width, node.potential.width, node.neurons
    cuba, adaptive = hasattr(node, "synapse"), hasattr(node, "adaptation")
    e.op("mac", "W", node.input_width, sources[0].output.width, current)
    e.op("mac", "V", node.recurrent_width, 1, current)
    e.op("round", "current", current, 0, current)
    e.op("multiply", "alpha", c, w, potential)
    e.op("multiply", "rise", c, bounds["the drive"].bit_length() + 1, potential)
    e.op("round", "potential", potential, 0, w)
    for what, one, two in (("threshold", w, w), ("reset", w, w), ("refractory", k, 0)):
        e.op("compare", what, one, two, 1)
    e.op("reset", "potential", w, 0, w)
    for what, one in (("bias", current), ("potential", potential), ("reset", w), ("refractory", k)):
        e.op("add", what, one, one, one)
    if cuba:
        total, i = reg(bounds["the synapse"]), node.synapse.width
        e.op("multiply", "beta", c, i, total)
        e.op("add", "synapse", total, total, total)
        e.op("round", "synapse", total, 0, i)
    spikes = node.is_recurrent or (adaptive and node.order == "ef")
    e.states = n * (w + k + (node.adaptation.width if adaptive else 0) + (node.synapse.width if cuba else 0) + spikes)
    if adaptive:
        drive, total, a = reg(bounds["the drive"]), reg(bounds["the adaptation"]), node.adaptation.width
        e.op("add", "difference", drive, drive, drive)
        for what, width in (("beta", a), ("coupling", w)):
            e.op("multiply", what, c, width, total)
        for what in ("adaptation", "jump"):
            e.op("add", what, total, total, total)
        e.op("round", "adaptation", total, 0, a)
    e.move(state_read=e.states * runs, state_written=e.states * runs)
    return e


def integrator(node, sources, inputs, runs):
    e, r, out = Expected(), reg(max(node.bounds().values())), node.output.width
    e.op("mac", "W", node.weight_width, sources[0].output.width, r)
    e.op("multiply", "decay", node.decay_width, out, r)
    for what in ("bias", "potential"):
        e.op("add", what, r, r, r)
    e.op("round", "potential", r, 0, out)
    e.states = node.channels * out
    e.move(state_read=e.states * runs, state_written=e.states * runs)
    return e


def loihi(node, sources, inputs, runs):
    e, r = Expected(), reg(node.bounds()["the current"])
    e.op("mac", "W", node.weight_bits, sources[0].output.width, r)
    e.op("mac", "V", node.weight_bits, 1, r)
    e.op("add", "synapses", r, r, r)
    for name in "uv":
        e.op("multiply", f"decay of {name}", 12, 24, 64)
        e.op("add", name, r, r, 24)
    e.op("add", "bias", r, r, r)
    e.op("compare", "threshold", 24, 24, 1)
    e.op("reset", "v", 24, 0, 24)
    e.states = node.neurons * (48 + node.is_recurrent)
    e.move(state_read=e.states * runs, state_written=e.states * runs)
    return e


RULES = {
    "Embedding": embedding,
    "Linear": linear,
    "DiagonalSSM": ssm,
    "Lookup": lookup,
    "Multiply": multiply,
    "Add": add,
    "BatchNorm": batch_norm,
    "LayerNorm": layer_norm,
    "EventPool": pool,
    "Readout": readout,
    **dict.fromkeys(("LIF", "AdaptiveLIF", "CubaLIF"), neurons),
    "LeakyIntegrator": integrator,
    "LoihiLIF": loihi,
}
WEIGHTS_ELSEWHERE = ("LIF", "AdaptiveLIF", "CubaLIF", "LeakyIntegrator", "LoihiLIF")
"""Their parameters are in test_counts_neurons.py."""


def check(program, sample):
    (trace,) = reference.run(program, [sample])
    counts = count(program, [trace])
    rows = {name: values.tolist() for name, values in trace.values.items()}
    for node in program:
        if program.rates[node.name] == QUERY:  # read once, after the last event
            read = rows[node.name][-1:] or [[0] * node.channels]  # nothing was seen: the mean is 0
            rows[node.name] = [trace.logits.tolist()] if node.name == program.logits else read
    for node in program:
        found = counts[node.name]
        runs = len(rows[node.name])
        assert found.runs == runs
        if node.is_input:
            assert (found.operations, found.traffic, found.parameter_bits) == ((), type(found.traffic)(), 0)
            continue
        sources, inputs = [program[edge] for edge in node.inputs], [rows[edge] for edge in node.inputs]
        expected = RULES[type(node).__name__](node, sources, inputs, runs)
        expected.move(
            inputs_read=sum(
                len(row) * s.output.width for s, given in zip(sources, inputs, strict=True) for row in given
            ),
            outputs_written=sum(len(row) for row in rows[node.name]) * node.output.width,
        )
        left = ("weights", "weights_dense") if type(node).__name__ in WEIGHTS_ELSEWHERE else ()
        for field in FIELDS:
            if field not in left:
                assert getattr(found.traffic, field) == expected.moved[field], (node.name, node.detail, field)
        assert found.state_bits == expected.states, (node.name, node.detail)
        if not left:
            assert found.parameter_bits == expected.parameters, node.name
        for item in found.operations:
            assert (item.widths, item.result) == expected.widths[item.kind, item.what], (node.name, item)
    totals = counts.totals()
    for field in FIELDS:
        assert totals[f"{field}_bits"] == sum(getattr(node.traffic, field) for node in counts)
    return counts


@pytest.mark.parametrize("mode", READOUTS)
@pytest.mark.parametrize("pooling", POOLS)
def test_every_field_of_every_window(mode, pooling):
    for norm, stride in zip((*NORMS, "affine"), (2, 3, 4), strict=True):
        kinds = {"readout": mode, "pool": pooling, "norm": norm, "all_time": stride != 3}
        program = random_program(3, stride=stride, stages=2, width=3, modes=2, **kinds)
        for events in (0, 1, 13):
            check(program, random_sample(program, 1, events))


@SETTINGS
@given(seed=st.integers(0, 10_000), events=st.integers(0, 14))
def test_every_field_of_event_networks(seed, events):
    program = random_program(seed, width=3)
    check(program, random_sample(program, seed, events))


@SETTINGS
@given(seed=st.integers(0, 10_000), steps=st.integers(0, 12))
def test_every_field_of_clocked_networks(seed, steps):
    for program in (random_network(seed), random_loihi(seed)):
        check(program, random_sample(program, seed, steps))


@pytest.mark.parametrize("make", [random_program, random_network, random_loihi])
def test_sums_means_and_float_traffic(make):
    program = make(4)
    traces = reference.run(program, [random_sample(program, seed, events) for seed, events in ((1, 13), (2, 8))])
    for counts in (count(program, traces), count_float(program, traces)):
        data, totals = counts.to_dict(), counts.totals()
        assert (data["samples"], data["events"]) == (2, 21)
        for name, value in totals.items():
            if name not in ("parameter_bits", "state_bits"):
                assert data["per_event"][name] == pytest.approx(value / 21)
                assert data["per_sample"][name] == pytest.approx(value / 2)
        operations = [item for node in counts for item in node.operations]
        for kind, plural in (("add", "adds"), ("divide", "divides"), ("compare", "comparisons"), ("round", "rounds")):
            assert totals[plural] == sum(item.effective for item in operations if item.kind == kind)
        products = [item for item in operations if item.kind == "mac"]
        assert totals["effective_acs"] == sum(item.accumulate for item in products)
        assert totals["effective_macs"] == sum(item.effective - item.accumulate for item in products)
        assert totals["dense_macs"] == sum(item.dense for item in products)
        assert totals["multiplies_dense"] == sum(item.dense for item in operations if item.kind == "multiply")
        by_widths = counts.by_widths()
        assert list(by_widths) == sorted(by_widths)
        for widths, pair in by_widths.items():
            chosen = [item for item in products if item.widths == widths]
            assert pair == (sum(item.dense for item in chosen), sum(item.effective for item in chosen))
    for node in program:  # float: every number on an edge, and every state, has 32 bits
        if not node.is_input:
            found = counts[node.name]
            assert found.zero_outputs == -1 * found.outputs**0
            assert found.traffic.outputs_written == 32 * found.outputs
            assert all((item.widths, item.result, item.accumulate) == ((32, 32), 32, 0) for item in found.operations)
