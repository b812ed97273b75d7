"""The quantized scan against integer arithmetic on Python integers and against differentiable loops."""

import pytest
import torch
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.models.scan.diagonal import diagonal_scan
from pumice.quantize.scan import DecayTable, quantized_scan

IMPLEMENTATIONS = ("numba", "torch")


def make_table(rate: torch.Tensor, digits: int, bits: int = 15) -> DecayTable:
    """Codes of exp(rate 2**j) - 1 with the largest exponent that fits, real parts rounded down: |1 + d| <= 1 nearly."""
    complement = torch.stack([torch.exp(rate * 2**j) - 1 for j in range(digits)])
    largest = torch.maximum(complement.real.abs(), complement.imag.abs())
    exponent = torch.floor(torch.log2((2 ** (bits - 1) - 1) / largest)).clamp(max=40).long()
    scale = 2.0**exponent
    return DecayTable((complement.real * scale).floor().long(), (complement.imag * scale).round().long(), exponent)


def integer_scan(drive, gaps, table, low, high, hold, initial):
    """DiagonalSSM on Python integers: drive already rounded; returns codes and saturations."""
    modes = len(drive[0]) // 2
    x, lost, states = list(initial), 0, []
    decay_re, decay_im, exponents = (t.tolist() for t in table)

    def sat(value):
        nonlocal lost
        lost += not low <= value <= high
        return min(max(value, low), high)

    for v, gap in zip(drive, gaps, strict=True):
        longest = 2 ** len(exponents) - 1
        gap = min(gap, longest)
        if hold and gap == 0:
            states.append(list(x))
            continue
        y = [sat(a + b) for a, b in zip(x, v, strict=True)] if hold else x
        for j in range(len(exponents)):
            if gap >> j & 1:
                old = y
                y = [0] * (2 * modes)
                for p in range(modes):
                    re, im, e = decay_re[j][p], decay_im[j][p], exponents[j][p]
                    half = 1 << (e - 1)
                    q = modes + p
                    y[p] = sat(old[p] + (re * old[p] - im * old[q] + half >> e))
                    y[q] = sat(old[q] + (re * old[q] + im * old[p] + half >> e))
        x = [sat(a - b if hold else a + b) for a, b in zip(y, v, strict=True)]
        states.append(list(x))
    return states, lost


def make_case(seed, batch, length, modes, digits, magnitude, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    real = -torch.rand(modes, dtype=torch.float64, generator=generator) * 0.3 - 0.01
    imag = torch.randn(modes, dtype=torch.float64, generator=generator) * 0.3
    rate = torch.complex(real, imag)
    drive = (torch.randn(batch, length, 2 * modes, dtype=torch.float64, generator=generator) * magnitude).to(dtype)
    some = torch.rand(batch, length, generator=generator) < 0.5
    gaps = torch.randint(0, 2**digits + 3, (batch, length), generator=generator) * some
    initial = torch.randint(-100, 100, (batch, 2 * modes), generator=generator).to(dtype)
    return drive, gaps, make_table(rate, digits), rate.to(torch.complex64 if dtype == torch.float32 else rate), initial


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@settings(max_examples=examples(40), deadline=None)
@given(
    seed=st.integers(0, 2**31),
    hold=st.booleans(),
    digits=st.integers(1, 6),
    width=st.sampled_from([8, 12, 16, 20, 24, 32]),
    loudness=st.sampled_from([0.05, 0.5, 3.0]),
)
def test_codes_and_counts_are_those_of_integers(implementation, seed, hold, digits, width, loudness):
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    drive, gaps, table, rate, initial = make_case(seed, 2, 12, 3, digits, loudness * high)
    states, saturations = quantized_scan(
        drive, gaps, table, rate, low, high, hold, initial, implementation=implementation
    )
    for b in range(2):
        rounded = torch.floor(drive[b] + 0.5).long().tolist()
        expected, lost = integer_scan(rounded, gaps[b].tolist(), table, low, high, hold, initial[b].long().tolist())
        assert states[b].tolist() == expected
        assert saturations[b] == lost


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("width", [16, 24, 32])
def test_float32_gives_the_integers_where_the_drive_is_exact(implementation, hold, width):
    """Products of 16-bit states with 15-bit decays need 31 bits: they must not be taken in float32."""
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    drive, gaps, table, rate, initial = make_case(5, 3, 200, 8, 5, 0.3 * high)
    drive = torch.floor(drive).float().double()
    exact = quantized_scan(drive, gaps, table, rate, low, high, hold, initial, implementation=implementation).states
    single = quantized_scan(
        drive.float(), gaps, table, rate.to(torch.complex64), low, high, hold, initial.float(),
        implementation=implementation,
    ).states  # fmt: skip
    assert single.dtype == torch.float32
    assert torch.equal(single, exact.float())


def straight_through(value, target):
    """``target``, exactly, with the gradient of ``value``."""
    return target.detach() + (value - value.detach())


def differentiable_loop(drive, gaps, table, rate, low, high, hold, initial):
    """One sample and one mode at a time, on complex scalars, gradients by autograd."""

    def store(z):
        return torch.complex(z.real.clamp(low, high), z.imag.clamp(low, high))

    def rounded(z):
        return straight_through(z, torch.complex(torch.floor(z.real + 0.5), torch.floor(z.imag + 0.5)))

    batch, length, modes = drive.shape
    rows = []
    for b in range(batch):
        columns = []
        for p in range(modes):
            x, column = initial[b, p], []
            for k in range(length):
                gap = min(int(gaps[b, k]), 2 ** len(table[0]) - 1)
                v = rounded(drive[b, k, p])
                if not (hold and gap == 0):
                    y = store(x + v) if hold else x
                    for j in range(len(table[0])):
                        if gap >> j & 1:
                            d = torch.complex(table[0][j, p].double(), table[1][j, p].double()) * 2.0 ** -int(
                                table[2][j, p]
                            )
                            a = (1 + d) * torch.exp(2**j * (rate[p] - rate[p].detach()))
                            y = store(straight_through(a * y, y + rounded(d * y)))
                    x = store(y - v if hold else y + v)
                column.append(x)
            columns.append(torch.stack(column))
        rows.append(torch.stack(columns, dim=1))
    return torch.stack(rows)


def to_complex(planar):
    return torch.complex(*planar.chunk(2, dim=-1))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("width", [8, 16])
def test_gradients_are_those_of_a_differentiable_loop(implementation, hold, every, width):
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    drive, gaps, table, rate, initial = make_case(width + hold, 2, 18, 2, 3, 100.0)
    leaves = [t.clone().requires_grad_() for t in (to_complex(drive), rate, to_complex(initial))]
    copies = [t.detach().clone().requires_grad_() for t in leaves]
    states, saturations = quantized_scan(
        leaves[0], gaps, table, leaves[1], low, high, hold, leaves[2], sample_every=every,
        implementation=implementation,
    )  # fmt: skip
    count = 18 // every
    expected = differentiable_loop(copies[0], gaps, table, copies[1], low, high, hold, copies[2])[
        :, : count * every : every
    ]
    assert torch.equal(states, expected)
    assert (saturations > 4).all() == (width == 8)
    weights = torch.randn(states.shape, dtype=states.dtype, generator=torch.Generator().manual_seed(1))
    for output in (states, expected):
        (output * weights).real.sum().backward()
    for got, want in zip(leaves, copies, strict=True):
        torch.testing.assert_close(got.grad, want.grad, rtol=1e-9, atol=1e-9)
        assert want.grad.abs().sum() > 0


@pytest.mark.parametrize("hold", [False, True])
def test_fine_states_have_the_gradient_of_the_float_scan(hold):
    """With a wide state rounding vanishes, and d A / d rate is n A of the ordinary recurrence."""
    digits = 4
    drive, gaps, table, rate, _ = make_case(3, 2, 30, 4, digits, 1e6)
    table = make_table(rate, digits, bits=26)
    gaps = gaps.clamp(max=2**digits - 1)
    leaves = [to_complex(drive).requires_grad_(), rate.clone().requires_grad_()]
    copies = [t.detach().clone().requires_grad_() for t in leaves]
    states = quantized_scan(leaves[0], gaps, table, leaves[1], -(2**31), 2**31 - 1, hold).states
    decay = torch.exp(copies[1] * gaps.unsqueeze(-1))
    expected = diagonal_scan(decay, (decay - 1) * copies[0] if hold else copies[0], implementation="torch")
    torch.testing.assert_close(states, expected, rtol=1e-4, atol=20.0)
    for output in (states, expected):
        output.imag.sum().backward()
    torch.testing.assert_close(leaves[0].grad, copies[0].grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(leaves[1].grad, copies[1].grad, rtol=1e-4, atol=1e2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("every", [1, 8])
def test_kernel_and_torch_path_agree(dtype, hold, every):
    drive, gaps, table, rate, initial = make_case(11, 4, 100, 6, 5, 4000.0, dtype)
    results = []
    for implementation in IMPLEMENTATIONS:
        leaves = [drive.clone().requires_grad_(), rate.clone().requires_grad_(), initial.clone().requires_grad_()]
        states, saturations = quantized_scan(
            leaves[0], gaps, table, leaves[1], -8192, 8191, hold, leaves[2], sample_every=every,
            implementation=implementation,
        )  # fmt: skip
        (states * torch.linspace(-1, 1, states.shape[1], dtype=dtype)[:, None]).sum().backward()
        results.append((states, saturations, [leaf.grad for leaf in leaves]))
    (states, saturations, grads), (other_states, other_lost, other_grads) = results
    assert torch.equal(states, other_states)
    assert torch.equal(saturations, other_lost)
    assert saturations.sum() > 0
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    for got, want in zip(grads, other_grads, strict=True):
        assert got.dtype == want.dtype
        torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


def test_planar_and_complex_agree_and_padding_changes_nothing():
    drive, gaps, table, rate, initial = make_case(7, 2, 20, 3, 4, 500.0)
    drive[:, 15:] = 0
    gaps[:, 15:] = 0
    planar = quantized_scan(drive, gaps, table, rate, -1024, 1023, initial=initial).states
    states = quantized_scan(to_complex(drive), gaps, table, rate, -1024, 1023, initial=to_complex(initial)).states
    assert torch.equal(to_complex(planar), states)
    assert torch.equal(states[:, 15:], states[:, 14:15].expand(-1, 5, -1))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("length", [0, 3])
def test_sequences_without_a_complete_window(implementation, length):
    drive, gaps, table, rate, _ = make_case(7, 2, length, 3, 4, 500.0)
    drive.requires_grad_()
    states, saturations = quantized_scan(
        drive, gaps, table, rate, -99, 99, sample_every=4, implementation=implementation
    )
    assert states.shape == (2, 0, 6)
    assert (saturations > 0).all() == (length > 0)
    states.sum().backward()
    assert torch.equal(drive.grad, torch.zeros_like(drive))


def test_an_unknown_implementation_is_refused():
    drive, gaps, table, rate, _ = make_case(7, 1, 2, 1, 1, 5.0)
    with pytest.raises(PumiceError, match="'fast' is unknown"):
        quantized_scan(drive, gaps, table, rate, -99, 99, implementation="fast")


@pytest.mark.parametrize("threads", [1, 2])
def test_results_do_not_depend_on_threads(threads):
    drive, gaps, table, rate, _ = make_case(9, 5, 400, 32, 4, 500.0, torch.float32)
    before = torch.get_num_threads()
    gradients = []
    for count in (1, threads):
        torch.set_num_threads(count)
        leaf, slope = drive.clone().requires_grad_(), rate.clone().requires_grad_()
        quantized_scan(leaf, gaps, table, slope, -2048, 2047).states.square().sum().backward()
        gradients.append((leaf.grad, slope.grad))
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("low", [-(2**15), -60])  # nothing clips, and much does
def test_a_row_a_token_is_a_row_an_event(implementation, hold, low):
    """Drives of tokens give the states and the gradients of drives that were looked up before."""
    _, gaps, table, rate, initial = make_case(9, 5, 40, 3, 4, 1.0)
    generator = torch.Generator().manual_seed(4)
    rows = 40 * torch.randn(7, 6, dtype=torch.float64, generator=generator)
    tokens = torch.randint(0, 7, gaps.shape, generator=generator)
    weights = torch.randn(5, 10, 6, dtype=torch.float64, generator=generator)
    found = []
    for by_token in (False, True):
        leaves = [rows.clone().requires_grad_(), rate.clone().requires_grad_()]
        drive = leaves[0] if by_token else leaves[0][tokens]
        states, saturations = quantized_scan(
            drive, gaps, table, leaves[1], low, -low - 1, hold, initial, tokens=tokens if by_token else None,
            sample_every=4, implementation=implementation,
        )  # fmt: skip
        found.append((states.detach(), saturations, *torch.autograd.grad((states * weights).sum(), leaves)))
    looked_up, by_token = found
    assert torch.equal(looked_up[0], by_token[0])
    assert torch.equal(looked_up[1], by_token[1])
    assert bool(looked_up[1].any()) == (low == -60)
    for one, other in zip(looked_up[2:], by_token[2:], strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-9)
