"""All scan implementations against a plain loop, in values and gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.models.scan.diagonal import diagonal_scan
from pumice.models.scan.event import TableDrive, event_scan
from pumice.models.scan.intervals import Intervals
from pumice.models.scan.kernels.event import decay_complement

FAST = ["numba", "torch", "levels"]


@pytest.fixture
def threads():
    """Set the number of threads; put it back afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def random_scan(batch, length, modes, dtype, seed=0):
    generator = torch.Generator().manual_seed(seed)
    real = torch.float64
    size = torch.rand(batch, length, modes, generator=generator, dtype=real)
    angle = torch.rand(batch, length, modes, generator=generator, dtype=real) * 6
    drive = torch.randn(batch, length, modes, 2, generator=generator, dtype=real)
    initial = torch.randn(batch, modes, 2, generator=generator, dtype=real)
    tensors = torch.polar(size, angle), torch.view_as_complex(drive), torch.view_as_complex(initial)
    return [tensor.to(dtype).requires_grad_() for tensor in tensors]


def plain_loop(decay, drive, initial=None):
    """The recurrence one event at a time."""
    state, states = torch.zeros_like(drive[:, 0]) if initial is None else initial, []
    for decay_k, drive_k in zip(decay.expand(drive.shape).unbind(1), drive.unbind(1), strict=True):
        state = decay_k * state + drive_k
        states.append(state)
    return torch.stack(states, dim=1)


def value_and_gradients(function, inputs):
    output = function(*inputs)
    generator = torch.Generator().manual_seed(5)
    weights = torch.randn(torch.view_as_real(output).shape, generator=generator, dtype=torch.float64)
    loss = (torch.view_as_real(output) * weights).sum()
    return [output, *torch.autograd.grad(loss, inputs)]


@pytest.mark.parametrize("implementation", FAST)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex128, 1e-12), (torch.complex64, 2e-5)])
def test_implementations_agree(implementation, dtype, tolerance):
    inputs = random_scan(3, 41, 5, dtype)
    expected = value_and_gradients(plain_loop, inputs)
    got = value_and_gradients(lambda *x: diagonal_scan(*x, implementation=implementation), inputs)
    for one, two in zip(got, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=tolerance, atol=tolerance)


def test_levels_of_levels_agree_with_the_loop():
    """Sequences of more than 16 x 16 events, of full chunks and not."""
    for length in (256, 257, 600):
        inputs = random_scan(2, length, 3, torch.complex128)
        expected = value_and_gradients(plain_loop, inputs)
        got = value_and_gradients(lambda *x: diagonal_scan(*x, implementation="levels"), inputs)
        for one, two in zip(got, expected, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-11)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_scans_on_a_gpu_wait_for_nothing():
    inputs = random_scan(3, 600, 5, torch.complex128)
    there = [tensor.detach().cuda().requires_grad_() for tensor in inputs]
    rate, intervals, table, tokens = random_events(2, 37, 4, 9, torch.float64)
    torch.cuda.set_sync_debug_mode("error")
    try:
        states = diagonal_scan(*there)
        gradients = torch.autograd.grad(torch.view_as_real(states).square().sum(), there)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = plain_loop(*inputs)
    wanted = torch.autograd.grad(torch.view_as_real(expected).square().sum(), inputs)
    for one, two in zip((states, *gradients), (expected, *wanted), strict=True):
        torch.testing.assert_close(one.cpu(), two)
    moved = Intervals.of(intervals.values[intervals.index].cuda())
    sampled = event_scan(rate.detach().cuda(), moved, TableDrive(table.detach().cuda(), tokens.cuda()), stride=3)
    torch.testing.assert_close(sampled.cpu(), event_scan(rate, intervals, TableDrive(table, tokens), stride=3))


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 3), length=st.integers(0, 20), modes=st.integers(1, 4), seed=st.integers(0, 9))
def test_any_shape(batch, length, modes, seed):
    decay, drive, initial = (tensor.detach() for tensor in random_scan(batch, length, modes, torch.complex128, seed))
    state, expected = initial, torch.empty_like(drive)
    for k in range(length):
        state = decay[:, k] * state + drive[:, k]
        expected[:, k] = state
    for implementation in FAST:
        torch.testing.assert_close(diagonal_scan(decay, drive, initial, implementation=implementation), expected)


@pytest.mark.parametrize("implementation", FAST)
def test_gradcheck(implementation):
    inputs = random_scan(2, 5, 2, torch.complex128)
    assert torch.autograd.gradcheck(lambda *x: diagonal_scan(*x, implementation=implementation), inputs)


@pytest.mark.parametrize("implementation", FAST)
def test_decay_broadcasts_and_initial_is_optional(implementation):
    decay, drive, _ = random_scan(2, 7, 3, torch.complex128)
    constant = decay[:1, :1].detach().requires_grad_()
    expected = value_and_gradients(plain_loop, [constant, drive])
    got = value_and_gradients(lambda a, b: diagonal_scan(a, b, implementation=implementation), [constant, drive])
    for one, two in zip(got, expected, strict=True):
        torch.testing.assert_close(one, two)


def test_wrong_implementation_is_refused():
    decay, drive, _ = random_scan(1, 2, 1, torch.complex128)
    with pytest.raises(PumiceError, match="choose one of"):
        diagonal_scan(decay, drive, implementation="fast")
    with pytest.raises(PumiceError, match="complex tensors on the CPU"):
        diagonal_scan(decay.real, drive.real, implementation="numba")
    assert torch.equal(diagonal_scan(decay.real, drive.real)[:, 0], drive.real[:, 0])


def random_events(batch, length, modes, vocab, dtype, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rate = torch.complex(
        -torch.rand(modes, generator=generator, dtype=torch.float64),
        torch.randn(modes, generator=generator, dtype=torch.float64),
    )
    dt = torch.randint(4, (batch, length), generator=generator) * 0.5
    table = torch.randn(vocab, 2 * modes, generator=generator, dtype=torch.float64)
    tokens = torch.randint(vocab, (batch, length), generator=generator)
    return (
        rate.to(dtype.to_complex()),
        Intervals.of(dt.to(dtype)),
        table.to(dtype),
        tokens,
    )


def test_intervals_give_back_the_differences_wherever_they_are():
    dt = torch.tensor([[0.0, 0.5, 0.5], [2.0, 0.5, 0.0]])
    one = Intervals.of(dt)
    assert torch.equal(one.values[one.index], dt)
    assert one.values.tolist() == [0.0, 0.5, 2.0]
    elsewhere = Intervals.of(dt.to("meta"))
    assert (elsewhere.values.shape, elsewhere.index.shape) == ((6,), dt.shape)
    assert elsewhere.index.device == elsewhere.values.device == torch.device("meta")


def loop_oracle(rate, dt, drive, stride, hold):
    """The equations of `event_scan`, one event at a time."""
    states = []
    v = torch.complex(*drive.chunk(2, dim=-1))
    state = torch.zeros_like(v[:, 0])
    for k in range(v.shape[1]):
        decay = torch.exp(rate * dt[:, k, None])
        state = decay * state + ((decay - 1) * v[:, k] if hold else v[:, k])
        if k % stride == 0 and k // stride < v.shape[1] // stride:
            states.append(torch.cat([state.real, state.imag], dim=-1))
    return torch.stack(states, dim=1)


@pytest.mark.parametrize("implementation", FAST)
@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("by_token", [False, True])
@pytest.mark.parametrize(("stride", "length"), [(1, 9), (4, 19), (4, 4), (3, 11)])
def test_event_scan_equals_the_loop(implementation, hold, by_token, stride, length):
    rate, intervals, table, tokens = random_events(3, length, 18, 7, torch.float64)
    rate.requires_grad_()
    drive = table if by_token else table[tokens]
    drive = drive.detach().requires_grad_()
    dt = intervals.values[intervals.index]
    given_drive = TableDrive(drive, tokens) if by_token else drive
    got = event_scan(rate, intervals, given_drive, stride=stride, hold=hold, implementation=implementation)
    expected = loop_oracle(rate, dt, drive[tokens] if by_token else drive, stride, hold)
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)
    weights = torch.randn(got.shape, generator=torch.Generator().manual_seed(1), dtype=got.dtype)
    got_gradients = torch.autograd.grad((got * weights).sum(), [rate, drive])
    expected_gradients = torch.autograd.grad((expected * weights).sum(), [rate, drive])
    for one, two in zip(got_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("by_token", [False, True])
def test_event_scan_gradcheck(hold, by_token):
    rate, intervals, table, tokens = random_events(2, 7, 2, 3, torch.float64)
    drive = table if by_token else table[tokens]

    def run(rate, drive):
        given_drive = TableDrive(drive, tokens) if by_token else drive
        return event_scan(rate, intervals, given_drive, stride=3, hold=hold)

    assert torch.autograd.gradcheck(run, [rate.requires_grad_(), drive.detach().requires_grad_()])


@pytest.mark.parametrize("by_token", [False, True])
def test_event_scan_does_not_depend_on_threads(threads, by_token):
    rate, intervals, table, tokens = random_events(3, 400, 130, 50, torch.float32)
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        drive = (table if by_token else table[tokens]).detach().requires_grad_()
        leaf = rate.detach().requires_grad_()
        states = event_scan(leaf, intervals, TableDrive(drive, tokens) if by_token else drive, stride=4)
        results.append([states, *torch.autograd.grad((states * states.detach()).sum(), [leaf, drive])])
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def test_diagonal_scan_does_not_depend_on_threads(threads):
    inputs = random_scan(5, 400, 64, torch.complex64)
    results = []
    for count in (1, 2, 5):
        threads(count)
        results.append(value_and_gradients(diagonal_scan, inputs))
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def test_event_scan_without_a_complete_window():
    rate, intervals, table, tokens = random_events(2, 3, 2, 3, torch.float64)
    drive = table[tokens].requires_grad_()
    states = event_scan(rate, intervals, drive, stride=4)
    assert states.shape == (2, 0, 4)
    states.sum().backward()
    assert not drive.grad.any()


def test_the_complement_keeps_the_precision_of_slow_modes():
    """exp(rate dt) - 1 in float32, without cancellation: 1e-9 and 1 alike."""
    rate = torch.tensor([-1e-9 + 1e-9j, -1e-4 - 3e-3j, -0.5 + 0.25j, -2 - 3j], dtype=torch.complex64)
    values = torch.tensor([0.0, 0.5, 1.0, 7.0])
    got = torch.complex(*decay_complement(rate, values).chunk(2, dim=1)).to(torch.complex128)
    # expm1(z) by numpy in float64; numpy has it for complex numbers.
    expected = torch.from_numpy(np.expm1(np.multiply.outer(values.double().numpy(), rate.to(torch.complex128).numpy())))
    assert ((got - expected).abs() <= 3e-7 * expected.abs()).all()
