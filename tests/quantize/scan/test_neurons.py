"""The quantized scans of neurons and integrators: integers of the reference, gradients of plain loops."""

import numpy as np
import pytest
import torch
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.models.scan.neuron_step import RESETS, NeuronConstants, NeuronState, Spiking
from pumice.models.scan.neurons import ORDERS, neuron_scan
from pumice.program import Format, reference
from pumice.program.nodes import LeakyIntegrator, Neurons
from pumice.program.random.networks import CHOICES, random_network
from pumice.program.random.programs import random_sample
from pumice.quantize.scan import NeuronCodes, quantized_integrator_scan, quantized_neuron_scan

IMPLEMENTATIONS = ("numba", "torch")
SPIKES = [*((reset, 0) for reset in RESETS), ("zero", 1), ("zero", 3), ("subtract", 1), ("subtract", 7)]
"""Resets and refractory steps that go together."""
WIDE = Format(50, True, 40)  # no rounding that matters, no saturation


def values(codes, frac):
    return torch.from_numpy(codes.astype(np.float64) * np.exp2(-np.asarray(frac, dtype=np.float64)))


def linear_drive(node, weight, frac, x):
    """W x + bias as values, x a matrix of codes."""
    product = x.astype(np.float64) @ (weight.astype(np.float64) * np.exp2(-frac.astype(np.float64))[:, None]).T
    bias = node.bias.astype(np.float64) * np.exp2(-node.accumulator_frac.astype(np.float64))
    return torch.from_numpy(product * 2.0**-node.format.frac + bias).unsqueeze(0)


def run_node(node, x, implementation):
    """A neuron node on the codes x (T, F) of one sample."""
    recurrent = torch.zeros(node.neurons, node.neurons, dtype=torch.float64)
    if node.is_recurrent:
        recurrent = values(node.recurrent, node.recurrent_frac[:, None])
    constants = [values(getattr(node, name), getattr(node, f"{name}_frac")) for name in node.constants]
    constants += [torch.zeros(node.neurons)] * (5 - len(constants))
    return quantized_neuron_scan(
        node.kind,
        linear_drive(node, node.input, node.input_frac, x),
        NeuronCodes(recurrent, values(node.threshold, node.potential.frac), *constants),
        node.potential,
        node.second,
        reset=node.reset,
        refractory=node.refractory,
        implementation=implementation,
    )


def check_program(program, seed, implementation):
    """Every node against the reference; returns spikes and saturations."""
    (trace,) = reference.run(program, [random_sample(program, seed, 40)])
    spikes = saturations = 0
    for node in program:
        if isinstance(node, Neurons):
            found = run_node(node, trace.values[node.inputs[0]], implementation)
            assert torch.equal(found.z[0], torch.from_numpy(trace.values[node.name]).double())
            threshold = values(node.threshold, node.potential.frac)
            kept = {"zero": found.u_pre * (1 - found.z), "subtract": found.u_pre - threshold * found.z}
            rest = kept.get(node.reset, found.u_pre)
            state = rest[0] * 2.0**node.potential.frac
            if node.second is not None:
                state = torch.cat([state, found.w[0] * 2.0**node.second.frac], dim=1)
            assert torch.equal(state, torch.from_numpy(trace.states[node.name]).double())
            assert torch.equal(found.state.u, rest[:, -1])
            assert torch.equal(found.state.w, found.w[:, -1])
            spikes += int(found.z.sum())
        elif isinstance(node, LeakyIntegrator):
            x = trace.values[node.inputs[0]]
            found = quantized_integrator_scan(
                linear_drive(node, node.weight, node.weight_frac, x),
                values(node.decay, node.decay_frac),
                node.output,
                implementation=implementation,
            )
            assert torch.equal(found.potentials[0] * 2.0**node.output.frac, torch.from_numpy(trace.series).double())
        else:
            continue
        assert found.saturations.tolist() == [trace.saturations[node.name]]
        saturations += trace.saturations[node.name]
    return spikes, saturations


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 2**31))
def test_integers_are_those_of_the_reference(implementation, seed):
    check_program(random_network(seed, value="dense"), seed, implementation)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("cell", CHOICES["cell"])
@pytest.mark.parametrize("width", [8, 16, 32])
def test_every_cell_and_width_with_spikes_and_saturations(implementation, cell, width):
    found = [
        check_program(
            random_network(seed, value="dense", cell=cell, state_width=width, recurrent=True), seed, implementation
        )
        for seed in range(8)
    ]
    spikes, saturations = np.sum(found, axis=0)
    assert spikes > 100
    assert width != 8 or saturations > 50


def problem(seed, batch, steps, width, potential, adaptation, magnitude=2.5, dtype=torch.float64):
    """Leaves drive, V, five constants, three states; and the threshold. Constants and state are values of codes."""
    g = torch.Generator().manual_seed(seed)

    def uniform(*shape, low=0.0, high=1.0):
        return low + (high - low) * torch.rand(*shape, generator=g, dtype=torch.float64)

    def on_grid(x, frac=14):
        return torch.round(x * 2.0**frac) * 2.0**-frac

    drive = on_grid(magnitude * torch.randn(batch, steps, width, generator=g, dtype=torch.float64) + 0.5)
    recurrent = on_grid(torch.randn(width, width, generator=g, dtype=torch.float64) / width**0.5)
    alpha, beta = (on_grid(uniform(width, low=0.5, high=0.99)) for _ in range(2))
    rise = on_grid(1 - alpha + uniform(width, low=-0.01, high=0.01))
    coupling, jump = (on_grid(uniform(width, high=0.5)) for _ in range(2))
    u = on_grid(uniform(batch, width, low=-1), min(potential.frac, 14))
    w = on_grid(uniform(batch, width, low=-1), min(adaptation.frac, 14))
    z = (uniform(batch, width) > 0.5).double()
    leaves = [drive, recurrent, alpha, rise, beta, coupling, jump, u, w, z]
    return [leaf.to(dtype).requires_grad_() for leaf in leaves], on_grid(uniform(width, low=0.8, high=1.2), 3).to(dtype)


def run_problem(order, leaves, threshold, potential, adaptation, implementation, reset="zero", refractory=0):
    drive, recurrent, alpha, rise, beta, coupling, jump, *state = leaves
    constants = NeuronCodes(recurrent, threshold, alpha, rise, beta, coupling, jump)
    state, how = NeuronState(*state), {"slope": 4, "reset": reset, "implementation": implementation}
    how["refractory"] = refractory
    return quantized_neuron_scan(order, drive, constants, potential, adaptation, state, **how)


def weighted(outputs, seed=1):
    g = torch.Generator().manual_seed(seed)
    return sum((torch.randn(out.shape, generator=g, dtype=torch.float64).to(out.dtype) * out).sum() for out in outputs)


def gradients(trace, leaves):
    return torch.autograd.grad(weighted([trace.z, *trace.state[:3]]), leaves, allow_unused=True, materialize_grads=True)


def straight_through(value, target):
    """``target``, exactly, with the gradient of ``value``."""
    return target.detach() + (value - value.detach())


def store(x, fmt):
    """One number: rounded, saturated, without a gradient at the ends of the range."""
    code = min(max(torch.floor(x.detach() * 2.0**fmt.frac + 0.5).item(), fmt.min), fmt.max)
    return straight_through(x if fmt.min < code < fmt.max else 0 * x, torch.tensor(code * fmt.scale, dtype=x.dtype))


def scalar_loop(order, leaves, threshold, potential, adaptation, reset, refractory, slope=4, scale=0.4):
    """One sample and one neuron at a time, gradients by autograd; returns spikes and the last state."""
    drive, recurrent, alpha, rise, beta, coupling, jump, *state = leaves
    samples, spikes = [], []
    for b in range(len(drive)):
        u, w, z = ([*part[b]] for part in state)
        rows, last = [], {}
        for t in range(drive.shape[1]):
            before = u, w, z
            u, w, z = [], [], []
            for i in range(drive.shape[2]):
                u_old, w_old, z_old = (part[i] for part in before)
                total = drive[b, t, i] + sum(recurrent[i, j] * before[2][j] for j in range(drive.shape[2]))
                current = straight_through(total, torch.floor(total * 2.0**potential.frac + 0.5) * potential.scale)
                if order == "cuba":
                    w.append(store(beta[i] * w_old + current, adaptation))
                current = {"lif": current, "cuba": w[-1] if w else None}.get(order, current - w_old)
                free = alpha[i] * u_old + rise[i] * current
                if reset.startswith("late") and z_old > 0:
                    free = 0 * free if reset == "late-zero" else free - threshold[i]
                if t - last.get(i, -99) <= refractory:
                    z.append(0 * u_old)
                    u.append(u_old)
                    if order in ("se", "ef"):
                        seen = (u_old, 0 * u_old) if order == "se" else (u_old, z_old)
                        w.append(store(beta[i] * w_old + coupling[i] * seen[0] + jump[i] * seen[1], adaptation))
                    w += [w_old] if order == "lif" else []
                    continue
                u_pre = store(free, potential)
                distance = u_pre.detach() - threshold[i]
                last |= {i: t} if distance > 0 else {}
                surrogate = scale * slope / 2 * torch.exp(-slope * distance.abs())
                z.append(straight_through(surrogate * u_pre, (distance > 0).to(u_pre.dtype)))
                left = {"zero": 0 * u_pre, "subtract": u_pre - threshold[i]}.get(reset, u_pre)
                u.append(left if distance > 0 else u_pre)
                if order == "cuba":
                    continue
                seen = (u[i], z[i]) if order == "se" else (u_old, z_old)
                adapted = beta[i] * w_old + coupling[i] * seen[0] + jump[i] * seen[1]
                w.append(w_old if order == "lif" else store(adapted, adaptation))
            rows.append(torch.stack(z))
        spikes.append(torch.stack(rows))
        samples.append([torch.stack(part) for part in (u, w, z)])
    return torch.stack(spikes), *(torch.stack(part) for part in zip(*samples, strict=True))


NAMES = ("drive", "V", "alpha", "rise", "beta", "coupling", "jump", "u", "w", "z")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("reset", "refractory"), SPIKES)
def test_values_and_gradients_are_those_of_scalars(order, reset, refractory, implementation):
    potential, adaptation = Format(8, True, 5), Format(8, True, 4)
    leaves, threshold = problem(3, 2, 15, 3, potential, adaptation, magnitude=8)
    trace = run_problem(order, leaves, threshold, potential, adaptation, implementation, reset, refractory)
    spikes, *state = expected = scalar_loop(order, leaves, threshold, potential, adaptation, reset, refractory)
    assert torch.equal(trace.z, spikes)
    for one, two in zip(trace.state[:3], state, strict=True):
        assert torch.equal(one, two)
    assert trace.saturations.min() > 0
    plain = torch.autograd.grad(weighted(expected), leaves, allow_unused=True, materialize_grads=True)
    for name, one, two in zip(NAMES, gradients(trace, leaves), plain, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9, msg=name)


@settings(deadline=None, max_examples=examples(60))
@given(
    order=st.sampled_from(ORDERS),
    spikes=st.sampled_from(SPIKES),
    batch=st.integers(1, 6),
    steps=st.integers(0, 30),
    width=st.integers(1, 11),
    bits=st.sampled_from([(8, 5), (8, 3), (12, 8), (16, 11), (24, 16), (32, 20)]),
    magnitude=st.sampled_from([2.5, 30.0]),
    seed=st.integers(0, 10**6),
)
def test_both_implementations_agree(order, spikes, batch, steps, width, bits, magnitude, seed):
    potential, adaptation = Format(bits[0], True, bits[1]), Format(bits[0], True, bits[1] - 1)
    leaves, threshold = problem(seed, batch, steps, width, potential, adaptation, magnitude)
    plain, compiled = (
        run_problem(order, leaves, threshold, potential, adaptation, name, *spikes) for name in ("torch", "numba")
    )
    for one, two in zip(*([trace.z, *trace.state, *trace[2:]] for trace in (plain, compiled)), strict=True):
        assert torch.equal(one, two)
    for name, one, two in zip(NAMES, gradients(plain, leaves), gradients(compiled, leaves), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("reset", "refractory"), SPIKES)
def test_fine_states_have_the_gradients_of_the_float_scan(order, reset, refractory, implementation):
    leaves, _ = problem(5, 3, 40, 7, WIDE, WIDE)
    drive, recurrent, alpha, _, beta, coupling, jump, *state = leaves
    free = [leaf for index, leaf in enumerate(leaves) if index != 3]
    constants = NeuronConstants(recurrent, alpha, beta, coupling, jump)
    spiking = Spiking(1.0, 4, 0.4, reset, refractory)
    expected = neuron_scan(order, drive, constants, NeuronState(*state), spiking)
    leaves[3] = 1 - alpha
    found = run_problem(order, leaves, torch.ones(7), WIDE, WIDE, implementation, reset, refractory)
    assert torch.equal(found.z, expected.z)
    assert 30 < found.z.sum() < 800
    torch.testing.assert_close(found.u_pre, expected.u_pre, rtol=0, atol=1e-10)
    for one, two in zip(gradients(found, free), gradients(expected, free), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_sequence_in_two_parts_equals_the_whole(implementation):
    potential, adaptation = Format(12, True, 8), Format(12, True, 7)
    leaves, threshold = problem(8, 3, 20, 6, potential, adaptation)
    drive, constants = leaves[0], leaves[1:7]
    whole = run_problem("se", leaves, threshold, potential, adaptation, implementation)
    first = run_problem("se", [drive[:, :7], *leaves[1:]], threshold, potential, adaptation, implementation)
    rest = [drive[:, 7:], *constants, *first.state]
    second = run_problem("se", rest, threshold, potential, adaptation, implementation)
    joined = whole._replace(z=torch.cat([first.z, second.z], 1), state=second.state)
    assert torch.equal(joined.z, whole.z)
    assert torch.equal(first.saturations + second.saturations, whole.saturations)
    for one, two in zip(gradients(joined, leaves), gradients(whole, leaves), strict=True):
        torch.testing.assert_close(one, two)


def test_single_precision_and_threads(monkeypatch):
    potential, adaptation = Format(16, True, 11), Format(16, True, 9)
    leaves, threshold = problem(4, 9, 50, 37, potential, adaptation, dtype=torch.float32)
    monkeypatch.setattr("pumice.models.scan.kernels.threads.SMALLEST_PARALLEL_WORK", 1)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            trace = run_problem("se", leaves, threshold, potential, adaptation, "numba")
            found.append((trace.z, trace.u_pre, trace.w, trace.saturations, *gradients(trace, leaves)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))
    assert found[0][0].dtype == torch.float32
    assert found[0][0].sum() > 100
    codes = found[0][1] * 2.0**potential.frac
    assert torch.equal(codes, codes.round())


def test_threshold_is_strict_and_the_store_saturates():
    unit = Format(8, True, 4)
    zero = torch.zeros(1, dtype=torch.float64)
    constants = NeuronCodes(torch.zeros(1, 1), zero + 1, zero, zero + 1, zero, zero, zero)
    drive = torch.tensor([[[1.03], [1.032], [9.0], [-9.0]]], dtype=torch.float64)  # half a unit is 1/32
    for implementation in IMPLEMENTATIONS:
        trace = quantized_neuron_scan("lif", drive, constants, unit, None, implementation=implementation)
        assert trace.u_pre.flatten().tolist() == [1.0, 17 / 16, 127 / 16, -8.0]
        assert trace.z.flatten().tolist() == [0.0, 1.0, 1.0, 0.0]
        assert trace.saturations.tolist() == [2]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("magnitude", [0.3, 3.0])
def test_integrators_against_scalars(implementation, magnitude):
    output = Format(8, True, 5)
    g = torch.Generator().manual_seed(2)
    drive = (magnitude * torch.randn(3, 30, 4, generator=g, dtype=torch.float64)).requires_grad_()
    decay = (torch.rand(4, generator=g, dtype=torch.float64) * 0.5 + 0.45).requires_grad_()
    initial = (torch.randint(-60, 60, (3, 4), generator=g) / 32).double().requires_grad_()
    rows = []
    for b in range(3):
        o, steps = [*initial[b]], []
        for t in range(30):
            o = [store(decay[i] * o[i] + drive[b, t, i], output) for i in range(4)]
            steps.append(torch.stack(o))
        rows.append(torch.stack(steps))
    expected = torch.stack(rows)
    found = quantized_integrator_scan(drive, decay, output, initial, implementation=implementation)
    assert torch.equal(found.potentials, expected)
    assert (found.saturations.min() > 0) == (magnitude > 1)
    leaves = (drive, decay, initial)
    plain, own = (torch.autograd.grad(weighted([out]), leaves) for out in (expected, found.potentials))
    for one, two in zip(plain, own, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9)


def test_refusals():
    leaves, threshold = problem(0, 1, 2, 2, WIDE, WIDE)
    with pytest.raises(PumiceError, match="'rk4' is unknown"):
        run_problem("rk4", leaves, threshold, WIDE, WIDE, None)
    with pytest.raises(PumiceError, match="'cuda' is unknown"):
        run_problem("se", leaves, threshold, WIDE, WIDE, "cuda")
    with pytest.raises(PumiceError, match="reset 'half' is unknown; choose one of zero, subtract"):
        run_problem("se", leaves, threshold, WIDE, WIDE, None, "half")
    with pytest.raises(PumiceError, match="need the format of their second state"):
        run_problem("ef", leaves, threshold, WIDE, None, None)
