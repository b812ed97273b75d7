"""The float reference by the words of docs/op_counts.md: every operation, bit moved and bit kept of every node."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pumice.hw_sim.counts import count_float
from pumice.program import reference
from pumice.program.nodes import QUERY
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample

SETTINGS = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


class Float:
    """Operations by kind; numbers kept, and numbers moved."""

    def __init__(self):
        self.operations, self.moved = Counter(), Counter()
        self.parameters = self.states = 0

    def add(self, **kinds):
        self.operations.update({kind: number for kind, number in kinds.items() if number})

    def held(self, numbers, reads=0, writes=0):
        self.states += numbers
        self.moved.update(state_read=reads, state_written=writes)

    def kept(self, numbers, reads):
        self.parameters += numbers
        self.moved.update(weights=reads)


def stateless(f, node, kind, inputs, runs):
    size = runs * node.channels
    if kind == "Linear":
        numbers = sum(w.size for w in node.weights)
        bias = int((node.bias != 0).sum())
        f.add(mac=runs * numbers, add=runs * bias)
        f.kept(numbers + bias, runs * (numbers + bias))
    elif kind == "Embedding":
        f.add(gather=runs * node.table.size)
        f.kept(node.table.size, size)
    elif kind == "Lookup":
        if node.function == "gelu":
            f.add(multiply=6 * size, add=2 * size, function=size)
        else:
            f.add(add=size, divide=size, function=size)
    elif kind == "Multiply":
        f.add(multiply=size)
    elif kind == "Add":
        f.add(add=size * (len(inputs) - 1))
    elif kind == "BatchNorm":
        f.add(multiply=size, add=size)
        f.kept(2 * node.channels, 2 * size)
    elif kind == "LayerNorm":
        h, own = node.size, node.gamma.size + node.beta.size
        # sums of x and of squares, the mean, centred values, squares and their mean, 1 / sqrt(. + eps), the product
        f.add(add=runs * (2 * (h - 1) + 1 + h), multiply=runs * (2 + h + h), root=runs, divide=runs)
        f.add(multiply=runs * node.gamma.size, add=runs * node.beta.size)
        f.kept(own, runs * own)


def ssm(f, node, inputs):
    modes, width = node.modes, node.input_re.shape[1]
    bias = int((node.bias_re != 0).sum() + (node.bias_im != 0).sum())
    f.parameters = 2 * modes * width + bias + 2 * modes
    f.states = 2 * modes
    for (gap,) in inputs[1]:
        if node.discretization == "zoh" and not gap:
            continue
        f.add(mac=2 * modes * width, add=bias + 2 * modes * (2 if node.discretization == "zoh" else 1))
        f.kept(0, 2 * modes * width + bias)
        f.held(0, 2 * modes, 2 * modes)
        if gap:  # exp, cos and sin; the factor; the complex product
            f.add(function=3 * modes, multiply=8 * modes, add=2 * modes)
            f.kept(0, 2 * modes)


def pool(f, node, inputs):
    size, timed = node.size, node.mode == "time"
    if node.mode == "last":
        return
    f.states = size + timed
    for k in range(len(inputs[0])):
        first, last = k % node.window == 0, k % node.window == node.window - 1
        if node.mode == "first":
            f.held(0, last * size, first * size)
            continue
        f.held(0, (not first) * f.states, (not last) * f.states)
        f.add(add=(not first) * (size + timed), multiply=timed * size)
        f.add(divide=last * timed * size, multiply=last * (node.mode == "mean") * size)


def readout(f, node, inputs):
    size, mode, events = node.size, node.mode, len(inputs[0])
    if mode in ("mean", "time"):
        every = len(inputs[2]) if mode == "time" else events
        f.add(add=events * size + every, multiply=(mode == "time") * events * size, divide=size)
        f.held(size + 1, events * size + every + size + 1, events * size + every)
    elif mode == "window":
        last = min(events, node.window)
        f.add(add=max(last - 1, 0) * size, divide=size)
        f.held(node.window * size, last * size, events * size)
    else:
        moved = max(events - 1, 0) * size * (mode == "forget")
        f.add(add=2 * moved, multiply=moved)
        f.held(size, moved + size, events * size)


def neurons(f, node, kind, runs):
    n = node.channels
    if kind == "LeakyIntegrator":
        bias = int((node.bias != 0).sum())
        f.add(mac=runs * node.weight.size, add=runs * (bias + n), multiply=runs * n)
        f.kept(node.weight.size + bias + n, runs * (node.weight.size + bias + n))
        f.held(n, runs * n, runs * n)
        return
    bias = int((node.bias != 0).sum())
    loihi, adaptive, cuba = (kind == name for name in ("LoihiLIF", "AdaptiveLIF", "CubaLIF"))
    matrices = (node.weight if loihi else node.input).size + node.recurrent.size
    taken = not loihi and "subtract" in node.reset
    f.add(mac=runs * matrices, compare=runs * n, **{"add" if taken else "reset": runs * n})
    if loihi:
        f.add(add=runs * (bias + 2 * n), multiply=runs * 2 * n)
        alike = [np.unique(np.broadcast_to(value, n)).size == 1 for value in (node.du, node.dv, node.vth)]
        constants = sum(1 if same else n for same in alike)
        states = n * (2 + node.is_recurrent)
    else:
        products = (5 if adaptive else 3 if cuba else 2) - (node.rise_frac == 0 and set(node.rise.tolist()) == {1})
        f.add(add=runs * (bias + n + 3 * n * adaptive + n * cuba), multiply=runs * n * products)
        constants = n * products + (1 if len(set(node.threshold.tolist())) == 1 else n)
        f.add(compare=runs * n * (node.refractory > 0), add=runs * n * (node.refractory > 0))
        states = n * (
            1 + adaptive + cuba + (node.refractory > 0) + (node.is_recurrent or (adaptive and node.order == "ef"))
        )
    f.kept(matrices + bias + constants, runs * (matrices + bias + constants))
    f.held(states, runs * states, runs * states)


def check(program, sample):
    (trace,) = reference.run(program, [sample])
    counts = count_float(program, [trace])
    rows = {name: values.tolist() for name, values in trace.values.items()}
    for node in program:
        if program.rates[node.name] == QUERY:  # read once, after the last event
            rows[node.name] = rows[node.name][-1:] or [[0] * node.channels]
    for node in program:
        if node.is_input:
            continue
        found, kind = counts[node.name], type(node).__name__
        inputs, runs, f = [rows[edge] for edge in node.inputs], len(rows[node.name]), Float()
        if kind == "DiagonalSSM":
            ssm(f, node, inputs)
        elif kind == "EventPool":
            pool(f, node, inputs)
        elif kind == "Readout":
            readout(f, node, inputs)
        elif hasattr(node, "recurrent") or kind == "LeakyIntegrator":
            neurons(f, node, kind, runs)
        else:
            stateless(f, node, kind, inputs, runs)
        operations = Counter()
        for item in found.operations:
            operations[item.kind] += item.effective
            assert (item.dense, item.accumulate) == (item.effective, 0)
            assert (item.widths, item.result) == ((32, 32), 32)
        assert operations == f.operations, (node.name, node.detail)
        f.moved.update(
            inputs_read=sum(len(row) for given in inputs for row in given), outputs_written=runs * node.channels
        )
        f.moved["weights_dense"] = f.moved["weights"]
        for field, bits in vars(found.traffic).items():
            assert bits == 32 * f.moved[field], (node.name, node.detail, field)
        assert (found.parameter_bits, found.state_bits) == (32 * f.parameters, 32 * f.states), (node.name, node.detail)


@SETTINGS
@given(seed=st.integers(0, 10_000), events=st.integers(0, 14))
def test_event_networks(seed, events):
    program = random_program(seed, width=3)
    check(program, random_sample(program, seed, events))


@pytest.mark.parametrize("mode", ["mean", "time", "last", "window", "forget"])
def test_every_window(mode):
    for pooling, norm in (("first", "layer"), ("last", "layer"), ("mean", "affine"), ("time", "batch")):
        program = random_program(3, readout=mode, pool=pooling, norm=norm, stride=3, stages=2, width=3, modes=2)
        check(program, random_sample(program, 1, 13))


@SETTINGS
@given(seed=st.integers(0, 10_000), steps=st.integers(0, 12))
def test_clocked_networks(seed, steps):
    for program in (random_network(seed), random_loihi(seed)):
        check(program, random_sample(program, seed, steps))
