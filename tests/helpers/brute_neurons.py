"""Operations of neurons counted by brute force: they run in exact fractions, neuron by neuron."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from math import floor

from pumice.program.nodes import AdaptiveLIF, CubaLIF


def stored(value, form):
    """A real number as a code of a format, rounded half up and saturated."""
    return min(max(floor(value * Fraction(2) ** form.frac + Fraction(1, 2)), form.min), form.max)


def real(code, frac):
    return int(code) / Fraction(2) ** int(frac)


def dot(weights, weight_frac, x, frac):
    return sum(real(a, weight_frac) * real(b, frac) for a, b in zip(weights, x, strict=True))


class Brute:
    """Sums by (node, kind, what): dense, effective, accumulates; and by (node, quantity)."""

    def __init__(self):
        self.operations = defaultdict(lambda: [0, 0, 0])
        self.other = defaultdict(int)

    def op(self, node, kind, what, effective=True, accumulate=False):
        entry = self.operations[node.name, kind, what]
        for index, value in enumerate((True, effective, accumulate)):
            entry[index] += int(value)

    def row(self, node, what, weights, width, x):
        """The products of one row of a matrix with x, and the weights that zeros leave unread."""
        spikes = all(value in (-1, 0, 1) for value in x)
        for weight, value in zip(weights, x, strict=True):
            hit = weight != 0 and value != 0
            self.op(node, "mac", what, hit, hit and spikes)
            self.other[node.name, "unread"] += 0 if value != 0 else width


def brute_neurons(brute, node, rows):
    """Spikes and states of a LIF, CubaLIF or AdaptiveLIF node, step by step."""
    neurons, adaptive, late = range(node.neurons), isinstance(node, AdaptiveLIF), node.reset.startswith("late")
    taken = "subtract" in node.reset
    u, w, z = ([0] * node.neurons for _ in range(3))
    spikes, states = [], []
    for x in rows:
        u_old, z_old, w_old = u, z, w
        u, z, w = [], [], []
        for i in neurons:
            brute.row(node, "W", node.input[i], node.input_width, x)
            total = dot(node.input[i], node.input_frac[i], x, node.format.frac)
            if node.is_recurrent:
                brute.row(node, "V", node.recurrent[i], node.recurrent_width, z_old)
                total += dot(node.recurrent[i], node.recurrent_frac[i], z_old, 0)
            total += real(node.bias[i], node.accumulator_frac[i])
            brute.op(node, "add", "bias", node.bias[i] != 0)
            current = real(floor(total * 2**node.potential.frac + Fraction(1, 2)), node.potential.frac)
            if node.accumulator_frac[i] > node.potential.frac:
                brute.op(node, "round", "current")
            drive = current
            if adaptive:
                drive -= real(w_old[i], node.adaptation.frac)
                brute.op(node, "add", "difference")
            elif isinstance(node, CubaLIF):
                kept = real(node.beta[i], node.beta_frac) * real(w_old[i], node.synapse.frac)
                brute.op(node, "multiply", "beta", kept != 0)
                brute.op(node, "add", "synapse")
                w.append(stored(kept + drive, node.synapse))
                drive = real(w[i], node.synapse.frac)
            alpha, rise = real(node.alpha[i], node.alpha_frac), real(node.rise[i], node.rise_frac)
            held = any(row[i] for row in spikes[-node.refractory :]) if node.refractory else False
            if node.refractory:
                brute.op(node, "compare", "refractory")
                brute.op(node, "add", "refractory", held)
            brute.op(node, "multiply", "alpha", alpha * u_old[i] != 0 and not held)
            if rise != 1 or node.rise_frac or set(node.rise.tolist()) != {1}:
                brute.op(node, "multiply", "rise", rise * drive != 0 and not held)
            raised, theta = alpha * real(u_old[i], node.potential.frac) + rise * drive, int(node.threshold[i])
            if late and z_old[i]:
                raised = raised - real(theta, node.potential.frac) if taken else 0
            code = u_old[i] if held else stored(raised, node.potential)
            spike = int(code > theta and not held)
            brute.op(node, "add", "potential")
            for what in ("threshold", "reset") if late else ("threshold",):
                brute.op(node, "compare", what)
            brute.op(node, *(("add", "reset") if taken else ("reset", "potential")), z_old[i] if late else spike)
            u.append(code if late or not spike else code - theta if taken else 0)
            z.append(spike)
            if adaptive:
                seen = (u[i], z[i]) if node.order == "se" else (u_old[i], z_old[i])
                beta = real(node.beta[i], node.beta_frac)
                coupling, jump = real(node.coupling[i], node.coupling_frac), real(node.jump[i], node.jump_frac)
                brute.op(node, "multiply", "beta", beta * w_old[i] != 0)
                brute.op(node, "multiply", "coupling", coupling * seen[0] != 0)
                brute.op(node, "add", "adaptation")
                brute.op(node, "add", "jump", jump * seen[1] != 0)
                kept = beta * real(w_old[i], node.adaptation.frac)
                w.append(stored(kept + coupling * real(seen[0], node.potential.frac) + jump * seen[1], node.adaptation))
            brute.other[node.name, "updates"] += 1
        spikes.append(z)
        states.append(u + w)
    return spikes, states


def brute_integrator(brute, node, rows):
    o, found = [0] * node.channels, []
    for x in rows:
        following = []
        for c in range(node.channels):
            brute.row(node, "W", node.weight[c], node.weight_width, x)
            total = dot(node.weight[c], node.weight_frac[c], x, node.format.frac)
            total += real(node.bias[c], node.accumulator_frac[c])
            brute.op(node, "add", "bias", node.bias[c] != 0)
            brute.op(node, "multiply", "decay", int(node.decay[c]) * o[c] != 0)
            brute.op(node, "add", "potential")
            if node.accumulator_frac[c] > node.output.frac:
                brute.op(node, "round", "potential")
            total += real(node.decay[c], node.decay_frac) * real(o[c], node.output.frac)
            following.append(stored(total, node.output))
            brute.other[node.name, "updates"] += 1
        o = following
        found.append(o)
    return found


def own_values(value):
    return [value] if isinstance(value, int) else value.tolist()


def brute_loihi(brute, node, rows):
    """Spikes and states of Loihi's own neurons, step by step in Python integers."""

    def decayed(state, kept):
        return (abs(state) * kept // 4096) * (1 if state > 0 else -1)

    def aligned(total):
        return (total << node.weight_exponent if node.weight_exponent > 0 else total >> -node.weight_exponent) << 6

    du, dv, vth = ((own_values(value) * node.neurons)[: node.neurons] for value in (node.du, node.dv, node.vth))
    u, v, z = ([0] * node.neurons for _ in range(3))
    spikes, states = [], []
    for x in rows:
        u_old, v_old, z_old = u, v, z
        u, v, z = [], [], []
        for i in range(node.neurons):
            brute.row(node, "W", node.weight[i], node.weight_bits, x)
            drive = aligned(sum(int(a) * b for a, b in zip(node.weight[i], x, strict=True)))
            if node.is_recurrent:
                brute.row(node, "V", node.recurrent[i], node.weight_bits, z_old)
                drive += aligned(sum(int(a) * b for a, b in zip(node.recurrent[i], z_old, strict=True)))
                brute.op(node, "add", "synapses")
            brute.op(node, "multiply", "decay of u", (4095 - du[i]) * u_old[i] != 0)
            brute.op(node, "multiply", "decay of v", (4096 - dv[i]) * v_old[i] != 0)
            current = decayed(u_old[i], 4095 - du[i]) + drive
            current -= (1 << 24) if current > 1 << 23 else 0
            current += (1 << 24) if current <= -(1 << 23) else 0
            total = decayed(v_old[i], 4096 - dv[i]) + current + 64 * int(node.bias[i])
            total = min(max(total, 1 - (1 << 23)), (1 << 23) - 1)
            spike = int(total > 64 * vth[i])
            for what in ("u", "v"):
                brute.op(node, "add", what)
            brute.op(node, "add", "bias", node.bias[i] != 0)
            brute.op(node, "compare", "threshold")
            brute.op(node, "reset", "v", spike)
            u.append(current)
            v.append(0 if spike else total)
            z.append(spike)
            brute.other[node.name, "updates"] += 1
        spikes.append(z)
        states.append(u + v)
    return spikes, states
