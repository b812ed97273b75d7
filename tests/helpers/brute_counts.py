"""Counts by brute force: a plain loop over every product, addition and access of a program's trace."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from pumice.program.nodes import QUERY, DiagonalSSM, Embedding, EventPool, Linear, Lookup, Multiply, Readout


class Brute:
    """Sums by (node, kind, what) and (node, quantity)."""

    def __init__(self):
        self.operations = defaultdict(lambda: [0, 0, 0])
        self.other = defaultdict(int)

    def op(self, node, kind, what, dense=1, effective=1, accumulate=0):
        entry = self.operations[node.name, kind, what]
        entry[0] += dense
        entry[1] += effective
        entry[2] += accumulate

    def matrix(self, node, what, weight, width, x):
        spikes = all(abs(value) <= 1 for value in x)
        rows, columns = weight.shape if weight.ndim == 2 else (None, weight.size)
        for c in range(columns):
            column = [int(weight[c])] if rows is None else [int(weight[r, c]) for r in range(rows)]
            for w in column:
                hit = w != 0 and x[c] != 0
                self.op(node, "mac", what, 1, hit, hit and spikes)
                self.other[node.name, "matrix_bits_dense"] += width
                self.other[node.name, "matrix_bits"] += width if x[c] != 0 else 0


def sat(value, width):
    return min(max(value, -(1 << (width - 1))), (1 << (width - 1)) - 1)


def rhu(value, shift):
    return (value + (1 << (shift - 1))) >> shift if shift > 0 else value << -shift


def brute_ssm(brute, node, u_rows, gaps):
    """Event by event and digit by digit in Python integers; returns the states."""
    re, im = [0] * node.modes, [0] * node.modes
    states = []
    for u, gap in zip(u_rows, gaps, strict=True):
        n, zoh = min(int(gap), node.max_gap), node.discretization == "zoh"
        if n > 0 or not zoh:
            brute.matrix(node, "B", np.concatenate([node.input_re, node.input_im]), node.input_width, u)
            parts = 1 if node.real else 2
            for bias in (*node.bias_re, *node.bias_im):
                brute.op(node, "add", "bias", 1, bias != 0)
            for p in range(node.modes):
                shift = int(node.drive_shift[p])
                v = [
                    rhu(sum(int(w) * int(x) for w, x in zip(row, u, strict=True)) + int(b), shift)
                    for row, b in zip(
                        [rows[p] for rows in (node.input_re, node.input_im)[:parts]],
                        [biases[p] for biases in (node.bias_re, node.bias_im)[:parts]],
                        strict=True,
                    )
                ] + [0] * (2 - parts)
                brute.op(node, "round", "drive", parts * (shift > 0), parts * (shift > 0))
                a, b = re[p], im[p]
                if zoh:
                    a, b = sat(a + v[0], node.state_width), sat(b + v[1], node.state_width)
                    brute.op(node, "add", "drive", parts, parts)
                for j in range(node.digits):
                    if (n >> j) & 1:
                        d, k = int(node.decay_re[j, p]), int(node.decay_exponent[j, p])
                        e = 0 if node.real else int(node.decay_im[j, p])
                        for left, right in ((d, a), (e, b), (d, b), (e, a))[: parts**2]:
                            brute.op(node, "multiply", "decay", 1, left != 0 and right != 0)
                        if not node.real:
                            brute.op(node, "add", "decay", 2, 2)
                        brute.op(node, "round", "decay", parts, parts)
                        brute.op(node, "add", "state", parts, parts)
                        brute.other[node.name, "digit_steps"] += 1
                        a, b = (
                            sat(a + rhu(d * a - e * b, k), node.state_width),
                            sat(b + rhu(d * b + e * a, k), node.state_width),
                        )
                sign = -1 if zoh else 1
                re[p], im[p] = sat(a + sign * v[0], node.state_width), sat(b + sign * v[1], node.state_width)
                brute.op(node, "add", "drive", parts, parts)
                brute.other[node.name, "state_updates"] += 1
                brute.other[node.name, "state_read"] += parts * node.state_width
                brute.other[node.name, "state_written"] += parts * node.state_width
        states.append([*re, *im][: node.channels])
        brute.op(node, "round", "read", node.channels * (node.read_shift > 0), node.channels * (node.read_shift > 0))
    return states


def brute_pool(brute, node, x_rows, weights):
    held = 0
    for k, x in enumerate(x_rows):
        held = k % node.window
        last = held == node.window - 1
        for c in range(node.size):
            if node.mode not in ("first", "last") and held > 0:
                brute.op(node, "add", "sum")
            if node.mode == "time":
                brute.op(node, "multiply", "weighting", 1, x[c] != 0 and weights[k][0] != 0)
                if held > 0:
                    brute.op(node, "add", "weighted sum")
            if last and (node.mode == "time" or (node.mode == "mean" and node.window not in (2, 4, 8))):
                brute.op(node, "divide", "mean")
        if node.mode == "time" and held > 0:
            brute.op(node, "add", "weights")


def brute_readout(brute, node, x_rows, weights, events):
    for k, x in enumerate(x_rows):
        for c in range(node.size):
            if node.mode in ("mean", "time"):
                brute.op(node, "add", "sum")
            if node.mode == "time":
                brute.op(node, "multiply", "weighting", 1, x[c] != 0 and weights[k][0] != 0)
                brute.op(node, "add", "weighted sum")
            if node.mode == "forget" and k > 0:
                for kind, what in (("add", "difference"), ("round", "difference"), ("add", "value")):
                    brute.op(node, kind, what)
        if node.mode in ("mean", "time"):
            brute.op(node, "add", "count")
    if node.mode == "time":
        brute.op(node, "add", "time", events, events)
    for _ in range(node.size):
        if node.mode == "window":
            added = max(min(len(x_rows), node.window) - 1, 0)
            brute.op(node, "add", "sum", added, added)
        if node.mode in ("mean", "time", "window"):
            brute.op(node, "divide", "mean")


def brute_linear(brute, node, inputs, runs):
    for k in range(runs):
        for edge, weight, width, x in zip(node.inputs, node.weights, node.weight_widths, inputs, strict=True):
            brute.matrix(node, edge, weight, width, x[k])
        for r in range(node.channels):
            brute.op(node, "add", "bias", 1, node.bias[r] != 0)
            shifted = int(node.output_shift[r] > 0)
            brute.op(node, "round", "sum", shifted, shifted)


def brute_force(program, trace):
    brute = Brute()
    rows = dict(trace.values)
    for node in program:
        if program.rates[node.name] == QUERY:  # read once, after the last event
            rows[node.name] = rows[node.name][-1:]
    for node in program:
        inputs, output = [rows[edge] for edge in node.inputs], rows[node.name]
        for y in output:
            brute.other[node.name, "outputs"] += len(y)
            brute.other[node.name, "zero_outputs"] += sum(1 for value in y if value == 0)
        if isinstance(node, DiagonalSSM):
            assert brute_ssm(brute, node, inputs[0], inputs[1][:, 0]) == trace.states[node.name].tolist()
        elif isinstance(node, Linear):
            brute_linear(brute, node, inputs, len(output))
        elif isinstance(node, Embedding):
            for token in inputs[0][:, 0]:
                for channel in range(node.channels):
                    hit = node.table[token, channel] != 0
                    brute.op(node, "gather", "table", len(node.table), hit, hit)
                    brute.op(node, "round", "row", node.shift > 0, node.shift > 0)
        elif isinstance(node, Lookup):
            for _ in output.flat:
                brute.op(node, "lookup", node.function)
        elif isinstance(node, Multiply):
            for a, b in zip(inputs[0].flat, inputs[1].flat, strict=True):
                brute.op(node, "multiply", "product", 1, a != 0 and b != 0)
                brute.op(node, "round", "product", node.shift > 0, node.shift > 0)
        elif isinstance(node, EventPool):
            brute_pool(brute, node, inputs[0], inputs[-1])
        elif isinstance(node, Readout):
            brute_readout(brute, node, inputs[0], inputs[1] if node.mode == "time" else None, len(inputs[-1]))
        elif type(node).__name__ == "Add":
            for _ in output.flat:
                brute.op(node, "add", "sum", len(inputs) - 1, len(inputs) - 1)
                brute.op(node, "round", "sum", node.output_shift > 0, node.output_shift > 0)
        elif type(node).__name__ == "BatchNorm":
            for x in inputs[0]:
                for c in range(node.channels):
                    brute.op(node, "multiply", "scale", 1, x[c] != 0 and node.multiplier[c] != 0)
                    brute.op(node, "add", "bias", 1, node.bias[c] != 0)
                    brute.op(node, "round", "sum", node.shift[c] > 0, node.shift[c] > 0)
        elif type(node).__name__ == "LayerNorm":
            brute_layer_norm(brute, node, inputs[0])
    return brute


def brute_layer_norm(brute, node, x_rows):
    for x in x_rows:
        brute.op(node, "root", "deviation")
        brute.op(node, "multiply", "variance", 2, 2)
        brute.op(node, "add", "variance", 2, 2)
        for c in range(node.size):
            brute.op(node, "multiply", "squares", 1, x[c] != 0)
            brute.op(node, "multiply", "centre", 1, x[c] != 0)
            brute.op(node, "add", "centre")
            brute.op(node, "divide", "quotient")
            if c > 0:
                brute.op(node, "add", "sums", 2, 2)
            if node.gamma.size:
                centred = node.size * int(x[c]) - sum(int(value) for value in x)
                brute.op(node, "multiply", "gamma", 1, centred != 0 and node.gamma[c] != 0)
            if node.beta.size:
                brute.op(node, "multiply", "beta", 1, node.beta[c] != 0)
                brute.op(node, "add", "beta")


def counted(counts):
    """The counts as the brute force keys them; steps of equal name are added up over their widths."""
    operations = defaultdict(lambda: [0, 0, 0])
    for node in counts:
        for item in node.operations:
            for index, value in enumerate((item.dense, item.effective, item.accumulate)):
                operations[node.name, item.kind, item.what][index] += value
    return dict(operations)
