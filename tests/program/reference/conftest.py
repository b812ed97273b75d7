"""A second reading of the node docstrings: one event at a time, in Python's exact integers."""

from __future__ import annotations

from fractions import Fraction
from math import floor, isqrt

import numpy as np
import pytest
from pumice.program import reference
from pumice.program.nodes import DenseInput, GapInput, TokenInput

HALF = Fraction(1, 2)


def rhu(value: int, shift: int) -> int:
    return floor(Fraction(value) / Fraction(2) ** int(shift) + HALF)


def quotient(p: int, q: int) -> int:
    return floor(Fraction(p, max(q, 1)) + HALF)


class Literal:
    """A program as a stream: every node gets lists of ints or None (no valid value at this event)."""

    def __init__(self, program):
        self.program = program
        self.state = {node.name: {} for node in program}
        self.rows = {node.name: [] for node in program}
        self.states = {node.name: [] for node in program}
        self.saturations = {node.name: 0 for node in program}
        self.clipped = {}

    def sat(self, node, value, form=None):
        form = form or node.output
        stored = min(max(value, form.min), form.max)
        self.saturations[node.name] += stored != value
        return stored

    def event(self, value, gaps):
        now = {}
        for node in self.program:
            before = self.saturations[node.name]
            if isinstance(node, TokenInput):
                now[node.name] = [int(value)]
            elif isinstance(node, GapInput):
                now[node.name] = [int(gaps[node.name])]
            elif isinstance(node, DenseInput):
                codes = [floor(Fraction(float(x)) * Fraction(2) ** node.output.frac + HALF) for x in value]
                now[node.name] = [self.sat(node, code) for code in codes]
            else:
                inputs = [now[edge] for edge in node.inputs]
                kind = type(node).__name__
                if kind == "Readout":
                    now[node.name] = self.Readout(node, *inputs)
                elif inputs[0] is None:
                    now[node.name] = None
                else:
                    now[node.name] = getattr(self, kind)(node, *inputs)
            if self.program.rates[node.name] == 0:  # behind a read-out the last reading alone counts
                self.saturations[node.name] -= before
            if now[node.name] is not None:
                self.rows[node.name].append(now[node.name])

    def Embedding(self, node, token):
        shift = node.table_frac - node.output.frac
        return [self.sat(node, rhu(int(code), shift)) for code in node.table[token[0]]]

    def Linear(self, node, *inputs):
        out = []
        for r in range(len(node.bias)):
            fracs = [int(f[r]) + form.frac for f, form in zip(node.weight_fracs, node.formats, strict=True)]
            top = max(fracs)
            total = int(node.bias[r])
            for weight, frac, x in zip(node.weights, fracs, inputs, strict=True):
                if weight.ndim == 1:
                    product = int(weight[r]) * x[r]
                else:
                    product = sum(int(w) * v for w, v in zip(weight[r], x, strict=True))
                total += product * 2 ** (top - frac)
            out.append(self.sat(node, rhu(total, top - node.output.frac)))
        return out

    def Lookup(self, node, x):
        return [int(node.table[v - node.format.min]) for v in x]

    def Multiply(self, node, a, b):
        return [self.sat(node, rhu(v * w, node.shift)) for v, w in zip(a, b, strict=True)]

    def Add(self, node, *inputs):
        top = max(form.frac for form in node.formats)
        sums = [
            sum(x[c] * 2 ** (top - form.frac) for x, form in zip(inputs, node.formats, strict=True))
            for c in range(node.size)
        ]
        return [self.sat(node, rhu(total, top - node.output.frac)) for total in sums]

    def BatchNorm(self, node, x):
        parts = zip(node.multiplier, x, node.bias, node.shift, strict=True)
        return [self.sat(node, rhu(int(m) * v + int(b), s)) for m, v, b, s in parts]

    def LayerNorm(self, node, x):
        size, (a, b, c) = node.size, node.shifts
        total = sum(x)
        variance = size * sum(v * v for v in x) - total * total
        root = isqrt((variance + node.epsilon) * 4**node.root_shift)
        out = []
        for i, v in enumerate(x):
            p = (size * v - total) * 2**a
            p = p * int(node.gamma[i]) if node.gamma.size else p
            p = p + int(node.beta[i]) * root * 2**b if node.beta.size else p
            out.append(self.sat(node, quotient(p, root * 2**c)))
        return out

    def current(self, node, x, z):
        out = []
        for r in range(node.neurons):
            own, back = int(node.input_frac[r]) + node.format.frac, int(node.recurrent_frac[r])
            top = max(own, back) if node.is_recurrent else own
            total = int(node.bias[r]) + sum(int(w) * v for w, v in zip(node.input[r], x, strict=True)) * 2 ** (
                top - own
            )
            if node.is_recurrent:
                total += sum(int(w) * v for w, v in zip(node.recurrent[r], z, strict=True)) * 2 ** (top - back)
            out.append(Fraction(rhu(total, top - node.potential.frac), 1) / Fraction(2) ** node.potential.frac)
        return out

    def neurons(self, node, x, order):
        """In values rather than codes: the equation itself, rounded and saturated where it says so."""
        memory, size = self.state[node.name], node.neurons
        u, w, z = (memory.get(name, [Fraction(0)] * size) for name in "uwz")
        since = memory.setdefault("since", [None] * size)  # steps since each neuron's last spike
        unit_u = Fraction(2) ** node.potential.frac

        def constant(name, r):
            return Fraction(int(getattr(node, name)[r])) / Fraction(2) ** getattr(node, f"{name}_frac")

        def stored(value, form):
            unit = Fraction(2) ** form.frac
            return Fraction(self.sat(node, floor(value * unit + HALF), form)) / unit

        new_u, new_w, new_z = [], [], []
        for r, drive in enumerate(self.current(node, x, [int(v) for v in z])):
            theta = Fraction(int(node.threshold[r])) / unit_u
            if order == "cuba":  # w stands for its synaptic current i
                new_w.append(stored(constant("beta", r) * w[r] + drive, node.synapse))
            driven = new_w[r] if order == "cuba" else drive - w[r]
            pre = constant("alpha", r) * u[r] + constant("rise", r) * driven
            taken = theta if node.reset == "late-subtract" and z[r] else 0
            if since[r] is not None and since[r] < node.refractory:
                new_u.append(u[r])
                new_z.append(0)
                since[r] += 1
                continue
            pre = Fraction(0) if node.reset == "late-zero" and z[r] else stored(pre - taken, node.potential)
            new_z.append(int(pre > theta))
            since[r] = 0 if new_z[-1] else since[r]
            left = {"zero": Fraction(0), "subtract": pre - theta}.get(node.reset, pre)
            new_u.append(left if new_z[-1] else pre)
        for r in range(size):
            if order == "cuba":
                continue
            if order == "lif":
                new_w.append(Fraction(0))
                continue
            seen, spike = (new_u[r], new_z[r]) if order == "se" else (u[r], z[r])
            total = constant("beta", r) * w[r] + constant("coupling", r) * seen + constant("jump", r) * spike
            new_w.append(stored(total, node.adaptation))
        memory.update(u=new_u, w=new_w, z=new_z)
        state = [int(v * unit_u) for v in new_u]
        if order != "lif":
            second = node.synapse if order == "cuba" else node.adaptation
            state += [int(v * Fraction(2) ** second.frac) for v in new_w]
        self.states[node.name].append(state)
        return new_z

    def LIF(self, node, x):
        return self.neurons(node, x, "lif")

    def CubaLIF(self, node, x):
        return self.neurons(node, x, "cuba")

    def AdaptiveLIF(self, node, x):
        return self.neurons(node, x, node.order)

    def LeakyIntegrator(self, node, x):
        before = self.state[node.name].get("o", [0] * node.channels)
        out = []
        for r in range(node.channels):
            decay = Fraction(int(node.decay[r]) * before[r]) / Fraction(2) ** (node.decay_frac + node.output.frac)
            product = sum(int(w) * v for w, v in zip(node.weight[r], x, strict=True))
            product = Fraction(product) / Fraction(2) ** (int(node.weight_frac[r]) + node.format.frac)
            total = decay + product + Fraction(int(node.bias[r])) / Fraction(2) ** int(node.accumulator_frac[r])
            out.append(self.sat(node, floor(total * Fraction(2) ** node.output.frac + HALF)))
        self.state[node.name]["o"] = out
        return out

    def DiagonalSSM(self, node, u, gap):
        memory, form = self.state[node.name], node.state_format
        x = memory.setdefault("x", [(0, 0)] * node.modes)
        n = gap[0]
        longest = 2**node.digits - 1
        self.clipped[node.name] = self.clipped.get(node.name, 0) + (n > longest)
        n = min(n, longest)
        new = []
        for p, (re, im) in enumerate(x):
            acc_re = sum(int(w) * v for w, v in zip(node.input_re[p], u, strict=True)) + int(node.bias_re[p])
            acc_im = 0  # real modes have no imaginary parts
            if len(node.input_im):
                acc_im = sum(int(w) * v for w, v in zip(node.input_im[p], u, strict=True)) + int(node.bias_im[p])
            shift = int(node.input_frac[p]) + node.format.frac - int(node.state_frac[p])
            v_re, v_im = rhu(acc_re, shift), rhu(acc_im, shift)
            zoh = node.discretization == "zoh"
            if zoh and n == 0:
                new.append((re, im))
                continue
            if zoh:
                re, im = self.sat(node, re + v_re, form), self.sat(node, im + v_im, form)
            for digit in range(node.digits):
                if n >> digit & 1:
                    d_re = int(node.decay_re[digit, p])
                    d_im = int(node.decay_im[digit, p]) if len(node.input_im) else 0
                    e = int(node.decay_exponent[digit, p])
                    s_re, s_im = rhu(d_re * re - d_im * im, e), rhu(d_re * im + d_im * re, e)
                    re, im = self.sat(node, re + s_re, form), self.sat(node, im + s_im, form)
            sign = -1 if zoh else 1
            new.append((self.sat(node, re + sign * v_re, form), self.sat(node, im + sign * v_im, form)))
        memory["x"] = new
        codes = [re for re, _ in new] + [im for _, im in new if len(node.input_im)]
        self.states[node.name].append(codes)
        return [self.sat(node, rhu(code, node.read_shift)) for code in codes]

    def ChannelSSM(self, node, u):
        """In values rather than codes, rounded and saturated where the equations say so."""
        memory, form = self.state[node.name], node.state_format
        old = memory.get("x", [(0, 0)] * (node.modes * node.channels))
        biases = zip(node.bias, node.accumulator_frac, strict=True)
        new, sums = [], [Fraction(int(bias)) / Fraction(2) ** int(frac) for bias, frac in biases]
        for i, (re, im) in enumerate(old):
            m, h = divmod(i, node.channels)
            d = [
                Fraction(int(part[m, h])) / 2 ** int(node.decay_exponent[m, h])
                for part in (node.decay_re, node.decay_im)
            ]
            moved = self.sat(node, re + floor(d[0] * re - d[1] * im + HALF), form)
            im = self.sat(node, im + floor(d[0] * im + d[1] * re + HALF), form)
            unit = Fraction(2) ** (int(node.state_frac[m, h]) - node.format.frac)
            re = self.sat(node, moved + floor(u[h] * unit + HALF), form)
            new.append((re, im))
            product = int(node.output_re[m, h]) * re + int(node.output_im[m, h]) * im
            sums[h] += Fraction(product) / Fraction(2) ** int(node.output_frac[h])
        memory["x"] = new
        self.states[node.name].append([re for re, _ in new] + [im for _, im in new])
        for h, value in enumerate(u):
            fed = Fraction(2) ** (int(node.feedthrough_frac[h]) + node.format.frac)
            sums[h] += Fraction(int(node.feedthrough[h]) * value) / fed
        return [self.sat(node, floor(total * Fraction(2) ** node.output.frac + HALF)) for total in sums]

    def DrivenLIF(self, node, current):
        memory = self.state[node.name]
        u, spikes = [], []
        for h, before in enumerate(memory.get("u", [0] * node.channels)):
            kept = floor(Fraction(int(node.alpha[h]) * before, 2**node.alpha_frac) + HALF)
            reached = self.sat(node, kept + current[h], node.potential)
            spikes.append(int(reached > int(node.threshold[h])))
            u.append(0 if spikes[-1] else reached)
        memory["u"] = u
        self.states[node.name].append(u)
        return spikes

    def EventPool(self, node, x, weight=None):
        window = self.state[node.name].setdefault("window", [])
        window.append((x, weight[0] if weight else 0))
        if len(window) < node.window:
            return None
        xs, ws = [row for row, _ in window], [w for _, w in window]
        window.clear()
        out = []
        for c in range(node.size):
            column = [row[c] for row in xs]
            if node.mode == "first":
                out.append(column[0])
            elif node.mode == "last":
                out.append(column[-1])
            elif node.mode == "sum":
                out.append(self.sat(node, sum(column)))
            elif node.mode == "time" and sum(ws) > 0:
                out.append(self.sat(node, quotient(sum(w * v for w, v in zip(ws, column, strict=True)), sum(ws))))
            elif node.mode == "time" or node.divides:
                out.append(self.sat(node, quotient(sum(column), node.window)))
            else:
                out.append(self.sat(node, sum(column)))
        return out

    def Readout(self, node, x, weight=None, gap=None):
        memory = self.state[node.name]
        seen, total = memory.setdefault("seen", []), memory.get("total", 0)
        if gap is not None:
            memory["total"] = total = total + gap[0]
        if x is not None:
            seen.append((x, weight[0] if weight else 0))
        up = 2**node.extra_bits
        out = []
        for c in range(node.size):
            column = [row[c] for row, _ in seen]
            if not column:
                value = 0
            elif node.mode == "last":
                value = up * column[-1]
            elif node.mode == "forget":
                value = up * column[0]
                for v in column[1:]:
                    value += rhu(up * v - value, node.decay_shift)
            elif node.mode == "window":
                recent = column[-node.window :]
                value = quotient(up * sum(recent), len(recent))
            elif node.mode == "time" and total > 0:
                value = quotient(up * sum(w * v for v, (_, w) in zip(column, seen, strict=True)), total)
            else:
                value = quotient(up * sum(column), len(column))
            out.append(self.sat(node, value))
        return out


def literal(program, values, times):
    stream = Literal(program)
    first = times[0] if len(times) else 0
    events = []
    for k in range(len(times)):
        gaps = {}
        for node in program.gap_inputs:
            tick = [floor(Fraction(int(t - first), node.unit_us) + HALF) for t in times]
            other = k + 1 if program.pairing == "next" else k
            gaps[node.name] = 0 if other == 0 else (tick[other] - tick[other - 1] if other < len(times) else None)
        if None not in gaps.values():
            events.append((values[k], gaps))
    for value, gaps in events:
        stream.event(value, gaps)
    return stream


def _follow(program, sample):
    stream, (trace,) = literal(program, *sample), reference.run(program, [sample])
    for node in program:
        rows = trace.values[node.name]
        assert rows.tolist() == stream.rows[node.name], node.name
        if node.name in trace.states:
            assert trace.states[node.name].tolist() == stream.states[node.name], node.name
        assert rows.dtype == np.int64
    if len(sample[1]) > 1:
        assert trace.saturations == stream.saturations
        assert {k: v for k, v in trace.clipped_gaps.items() if v} == {k: v for k, v in stream.clipped.items() if v}
        assert trace.logits.tolist() == stream.rows[program.logits][-1]
    readout = next(node for node in program if type(node).__name__ == "Readout")
    assert trace.incomplete == (not stream.rows[readout.inputs[0]])


@pytest.fixture(scope="session")
def follow():
    """``follow(program, sample)``: the reference gives every edge, state and counter of the second reading."""
    return _follow
