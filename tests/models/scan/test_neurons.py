"""The compiled neuron scan against the plain torch path, step by step, and in parts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.models.scan.neuron_step import RESETS, NeuronConstants, NeuronState, Spiking, neuron_step
from pumice.models.scan.neurons import ORDERS, neuron_scan
from pumice.models.scan.surrogate import spike, surrogate_slope

SPIKING = Spiking(threshold=1.0, slope=5.0, scale=0.4)
SPIKES = [*((reset, 0) for reset in RESETS), ("zero", 1), ("zero", 3), ("subtract", 1), ("subtract", 7)]
"""Resets and refractory steps that go together."""


def problem(batch, steps, width, seed=0, dtype=torch.float64):
    """Leaves: drive, five constants, three states."""
    g = torch.Generator().manual_seed(seed)
    drive = 2.5 * torch.randn(batch, steps, width, generator=g, dtype=dtype) + 0.5
    recurrent = torch.randn(width, width, generator=g, dtype=dtype) / width**0.5
    alpha, beta = (0.5 + 0.49 * torch.rand(width, generator=g, dtype=dtype) for _ in range(2))
    coupling, jump = (0.5 * torch.rand(width, generator=g, dtype=dtype) for _ in range(2))
    u, w = (torch.randn(batch, width, generator=g, dtype=dtype) for _ in range(2))
    z = (torch.rand(batch, width, generator=g, dtype=dtype) > 0.5).to(dtype)
    return [tensor.requires_grad_() for tensor in (drive, recurrent, alpha, beta, coupling, jump, u, w, z)]


def run(order, leaves, implementation, spiking=SPIKING, rise=None):
    drive, constants, state = leaves[0], NeuronConstants(*leaves[1:6], rise), NeuronState(*leaves[6:])
    return neuron_scan(order, drive, constants, state, spiking, implementation=implementation)


def gradients(trace, leaves, seed=1):
    """Of a random weighting of everything that has a gradient."""
    g = torch.Generator().manual_seed(seed)
    outputs = [trace.z, *trace.state[:3]]
    total = sum((torch.randn(out.shape, generator=g, dtype=out.dtype) * out).sum() for out in outputs)
    return torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)


@settings(deadline=None, max_examples=40)
@given(
    order=st.sampled_from(ORDERS),
    spikes=st.sampled_from(SPIKES),
    leaks=st.booleans(),
    batch=st.integers(1, 4),
    steps=st.integers(1, 30),
    width=st.integers(1, 11),
    seed=st.integers(0, 10**6),
)
def test_both_implementations_agree(order, spikes, leaks, batch, steps, width, seed):
    leaves = problem(batch, steps, width, seed)
    spiking = SPIKING._replace(reset=spikes[0], refractory=spikes[1])
    rise = None if leaks else torch.full((width,), 0.75, dtype=torch.float64)
    plain, compiled = (run(order, leaves, name, spiking, rise) for name in ("torch", "numba"))
    assert torch.equal(plain.z, compiled.z)
    torch.testing.assert_close(plain.u_pre, compiled.u_pre, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(plain.w, compiled.w, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(tuple(plain.state[:3]), tuple(compiled.state[:3]), rtol=1e-10, atol=1e-10)
    assert torch.equal(plain.state.left, compiled.state.left)
    grads = [gradients(trace, leaves) for trace in (plain, compiled)]
    names = ["drive", "V", "alpha", "beta", "coupling", "jump", "u", "w", "z"]
    for name, one, two in zip(names, *grads, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-8, atol=1e-8, msg=name)


@pytest.mark.parametrize("implementation", ["torch", "numba"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("reset", "refractory"), SPIKES)
def test_against_a_plain_loop(order, reset, refractory, implementation):
    leaves = problem(2, 25, 5)
    trace = run(order, leaves, implementation, SPIKING._replace(reset=reset, refractory=refractory))
    drive, V, alpha, beta, coupling, jump, u, w, z = (leaf.detach().tolist() for leaf in leaves)
    spikes, last = 0, {}
    for b in range(2):
        for t in range(25):
            current = [drive[b][t][i] + sum(V[i][j] * z[b][j] for j in range(5)) for i in range(5)]
            before = list(zip(u[b], w[b], z[b], strict=True))
            for i, (u_old, w_old, z_old) in enumerate(before):
                if order == "cuba":
                    w[b][i] = beta[i] * w_old + current[i]
                driven = {"lif": current[i], "cuba": w[b][i]}.get(order, current[i] - w_old)
                u_pre = alpha[i] * u_old + (1 - alpha[i]) * driven
                if z_old and reset.startswith("late"):
                    u_pre = 0.0 if reset == "late-zero" else u_pre - 1
                held = t - last.get((b, i), -99) <= refractory
                u_pre = u_old if held else u_pre
                z[b][i] = float(u_pre > 1 and not held)
                after = {"zero": 0.0, "subtract": u_pre - 1}.get(reset, u_pre)
                u[b][i] = after if z[b][i] else u_pre
                last |= {(b, i): t} if z[b][i] else {}
                if order == "se":
                    w[b][i] = beta[i] * w_old + coupling[i] * u[b][i] + jump[i] * z[b][i]
                elif order == "ef":
                    w[b][i] = beta[i] * w_old + coupling[i] * u_old + jump[i] * z_old
                assert trace.u_pre[b, t, i].item() == pytest.approx(u_pre, abs=1e-12)
                assert trace.w[b, t, i].item() == pytest.approx(w[b][i], abs=1e-12)
            assert trace.z[b, t].tolist() == z[b]
            spikes += sum(z[b])
    assert 15 < spikes < 240
    left = [[max(refractory - (24 - last.get((b, i), -99)), 0) for i in range(5)] for b in range(2)]
    assert trace.state.left.tolist() == left


@pytest.mark.parametrize("implementation", ["torch", "numba"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("refractory", [0, 4])
def test_a_sequence_in_two_parts_equals_the_whole(order, refractory, implementation):
    leaves, spiking = problem(3, 20, 6), SPIKING._replace(refractory=refractory)
    drive, constants = leaves[0], leaves[1:6]
    whole = run(order, leaves, implementation, spiking)
    first = run(order, [drive[:, :7], *leaves[1:]], implementation, spiking)
    assert first.state.left.any() == bool(refractory) == (first.state.c is not None)
    second = run(order, [drive[:, 7:], *constants, *first.state], implementation, spiking)
    joined = whole._replace(z=torch.cat([first.z, second.z], 1), state=second.state)
    assert torch.equal(joined.z, whole.z)
    torch.testing.assert_close(tuple(joined.state[:3]), tuple(whole.state[:3]))
    assert torch.equal(joined.state.left, whole.state.left)
    for one, two in zip(gradients(joined, leaves), gradients(whole, leaves), strict=True):
        torch.testing.assert_close(one, two)


def test_single_precision_and_threads(monkeypatch):
    leaves = problem(9, 50, 37, dtype=torch.float32)
    monkeypatch.setattr("pumice.models.scan.kernels.threads.SMALLEST_PARALLEL_WORK", 1)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            trace = run("se", leaves, "numba")
            drive, _, *others = gradients(trace, leaves)
            found.append((trace.z, trace.u_pre, trace.w, drive, *others))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))
    assert found[0][0].dtype == torch.float32


@pytest.mark.parametrize("width", [3, 8, 37])
@pytest.mark.parametrize("order", ORDERS)
def test_a_sample_does_not_depend_on_those_beside_it(order, width):
    drive, *constants, u, w, z = problem(6, 20, width, dtype=torch.float32)

    def of_samples(chosen):
        leaves = [drive[chosen], *constants, u[chosen], w[chosen], z[chosen]]
        trace = run(order, leaves, "numba")
        inputs = [leaves[0], *leaves[6:]]
        grads = torch.autograd.grad((trace.z.sum() + trace.state.u.sum()), inputs, materialize_grads=True)
        return trace.z, trace.u_pre, *grads

    together = of_samples(slice(None))
    for b in range(6):
        assert all(torch.equal(one[0], all_[b]) for one, all_ in zip(of_samples([b]), together, strict=True))


def test_only_some_outputs_are_used():
    leaves = problem(5, 12, 4)
    for pick in (lambda trace: trace.z, lambda trace: trace.state.u, lambda trace: trace.state.w):
        grads = [
            torch.autograd.grad(pick(run("se", leaves, name)).sum(), leaves, materialize_grads=True)
            for name in ("torch", "numba")
        ]
        for one, two in zip(*grads, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-8, atol=1e-8)


def test_no_step_at_all():
    leaves = problem(2, 0, 3)
    for implementation in ("torch", "numba"):
        trace = run("se", leaves, implementation)
        assert trace.z.shape == (2, 0, 3)
        assert all(torch.equal(one, two) for one, two in zip(trace.state[:3], leaves[6:], strict=True))


def test_threshold_is_strict():
    u = torch.tensor([1.0, 1.0 + 1e-6, 0.9])
    assert spike(u, 1.0, 5.0, 0.4).tolist() == [0.0, 1.0, 0.0]
    drive = torch.tensor([[[1.0]]])
    one, zero = torch.ones(1), torch.zeros(1)
    constants = NeuronConstants(torch.zeros(1, 1), zero, one, zero, zero)
    state = NeuronState(*(torch.zeros(1, 1) for _ in range(3)))
    assert neuron_scan("se", drive, constants, state, SPIKING).z.item() == 0
    assert neuron_step("se", drive[:, 0] + 1e-6, constants, state, SPIKING)[1].z.item() == 1


def test_surrogate_gradient():
    u = torch.linspace(-1, 3, 41, dtype=torch.float64, requires_grad=True)
    spike(u, 1.0, 5.0, 0.4).sum().backward()
    torch.testing.assert_close(u.grad, 0.4 * 2.5 * torch.exp(-5 * (u.detach() - 1).abs()))
    torch.testing.assert_close(surrogate_slope(u.detach(), 1.0, 5.0, 0.4), u.grad)


def test_refusals():
    leaves = problem(1, 2, 2)
    with pytest.raises(PumiceError, match="'rk4' is unknown"):
        run("rk4", leaves, None)
    with pytest.raises(PumiceError, match="'cuda' is unknown"):
        run("se", leaves, "cuda")
