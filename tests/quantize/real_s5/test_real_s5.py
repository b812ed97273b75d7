"""S5 with real decays, and S5 as hardware has it, from float to integers: every executor agrees on every value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pumice.api.frozen import run_frozen
from pumice.errors import PumiceError
from pumice.export.onnx import run_onnx
from pumice.hw_sim import simulator
from pumice.hw_sim.parity.compare import compare
from pumice.program import reference
from pumice.program.formats import Format
from pumice.program.nodes import Add, DiagonalSSM, EventPool, LayerNorm, Lookup
from pumice.quantize.families import FAMILIES, lower, why_unavailable
from pumice.quantize.operations import Affine, LayerNormTerms, layer_norm
from pumice.train.data.inputs import Inputs

NAMES = tuple("abcde")
BARE = {
    "norm": "none",
    "activation": "relu",
    "feedthrough": False,
    "residual": False,
    "pooling": "last",
    "head": "last",
}
KINDS = {
    "plain": {},
    "dirac-last": {"discretization": "dirac", "pooling": "last", "head": "last"},
    "async-time": {"discretization": "async", "pooling": "timepool", "head": "timepool", "expansion": 2},
    "batch-inside": {"norm": "batch", "expansion": 2},
    "batch-after": {"norm": "batch", "norm_place": "after"},
    "layer-after": {"norm_place": "after", "expansion": 2, "residual": False},
    "shared-gate": {"input_gate": 0, "decay": "shared"},
    "low-rank-gate": {"input_gate": 2, "expansion": 2, "stride": 3},
    "dense": {"vocab": None, "in_features": 3, "stride": 1, "stages": 1},
    "bare": BARE,
}
HARDWARE = {
    "relu": {"activation": "relu"},
    "no-feedthrough": {"feedthrough": False, "expansion": 2},
    "no-norm": {"norm": "none"},
    "no-residual": {"residual": False, "expansion": 2},
    "bare": {**BARE, "conj_sym": False, "discretization": "zoh"},
}


def require_same(made, program):
    """Twin, simulator (whole and stepwise) and ONNX hold the reference's integers, all states included."""
    frozen = made.qat.freeze()
    backends = {
        "reference": lambda program, samples, trace: reference.run(program, samples, trace=trace),
        "twin": lambda program, samples, trace: run_frozen(frozen, program, samples, trace),
        "run": lambda program, samples, trace: simulator.run(program, samples, trace=trace),
        "step": lambda program, samples, trace: simulator.run_stepwise(program, samples, trace=trace),
        "onnx": lambda program, samples, trace: run_onnx(program, samples, trace),
    }
    found = compare(program, made.samples, backends, traced=len(made.samples))
    assert len(found.verdicts) == 4
    for verdict in found.verdicts:
        assert verdict.differing == 0, verdict.first
        assert verdict.states[0] == verdict.states[1] > 0


@pytest.fixture
def build_real(build):
    def make(settings=None, **options):
        return build({"real": True, **(settings or {})}, **options)

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_every_executor_agrees(build_real, kind):
    made = build_real(KINDS[kind])
    program = lower(made.qat, NAMES)
    assert all(node.real for node in program.of_type(DiagonalSSM))
    require_same(made, program)


@pytest.mark.parametrize("kind", HARDWARE)
def test_s5_as_hardware_has_it(build, kind):
    made = build(HARDWARE[kind])
    program = lower(made.qat, NAMES)
    require_same(made, program)
    functions = {node.function for node in program.of_type(Lookup)} - {"sigmoid"}
    assert functions == {made.model.config.activation}
    assert bool(program.of_type(LayerNorm)) == (made.model.config.norm == "layer")
    sums = [node for node in program.of_type(Add) if node.name.endswith("/out")]
    assert {len(node.inputs) for node in sums} == {1 + made.model.config.residual}
    reads = [program[node.name.removesuffix("ssm") + "y"] for node in program.of_type(DiagonalSSM)]
    assert {len(node.inputs) for node in reads} == {1 + made.model.config.feedthrough}


@pytest.mark.parametrize(
    "widths",
    [
        {"gate": 4, "skip": 4, "activation": 6, "residual": 12, "decay": 8, "read": 8},
        {"state": 24, "read": 16, "norm": 6},
        {"state": 12, "read": 4},
    ],
)
def test_the_same_at_other_widths(build_real, widths):
    made = build_real({"expansion": 2, "input_gate": 3}, widths=widths, max_dead_zone=1.0)
    require_same(made, lower(made.qat, NAMES))


@pytest.mark.parametrize("kind", ["plain", "async-time"])
def test_modes_in_units_that_fill_the_codes_of_b(build_real, kind):
    made = build_real(KINDS[kind], widths={"input": 4, "output": 4}, calibration={"method": "max", "equalize": True})
    with torch.no_grad():
        torch.testing.assert_close(made.qat.model(*made.batch), made.model(*made.batch), rtol=1e-4, atol=1e-5)
    program = lower(made.qat, NAMES)
    for node in program.of_type(DiagonalSSM):
        np.testing.assert_array_equal(np.abs(node.input_re).max(axis=1), 7)
    require_same(made, program)


@pytest.mark.parametrize("kind", ["plain", "async-time", "layer-after", "shared-gate", "batch-after"])
def test_integers_are_near_the_float_model(build_real, kind):
    made = build_real(KINDS[kind], widths={"activation": 12, "gate": 12, "input": 12, "output": 12, "embedding": 12})
    exact = Inputs(*(part.double() if part.is_floating_point() else part for part in made.batch))
    with torch.no_grad():
        expected = made.model.double()(*exact)
    error = made.qat.freeze()(*exact) - expected
    assert 10 * torch.log10(expected.square().sum() / error.square().sum()) > 32


@pytest.mark.parametrize("kind", KINDS)
def test_float_values_are_those_of_the_model(build_real, kind):
    """What calibration runs is the model: its logits, and the states of an own loop over the events."""
    made = build_real(KINDS[kind], double=True)
    one = Inputs(*(part[:1] for part in made.batch))
    program = lower(made.qat, NAMES)
    values = FAMILIES["real-s5"].float_values(made.model, program, one)
    with torch.no_grad():
        np.testing.assert_allclose(values["decoder"], made.model(*one), rtol=1e-6, atol=1e-7)  # of 1e-6 us
        first = made.model.layers[0]
        x = made.model.embedding(one.values) if made.model.config.token_input else made.model.encoder(one.values)
        u = first.gated_input(x)[0]
        state, states = torch.zeros(1, first.ssm.modes, dtype=torch.float64), []
        for event in range(int(one.lengths[0])):
            state = first.ssm.advance(u[event : event + 1], one.dt[:, event], state)
            states.append(state[0].numpy())
    np.testing.assert_allclose(values["layers/0/ssm:state"], np.stack(states), rtol=1e-9, atol=1e-9)
    shown = {name.removeprefix("layers/0/") for name in values if name.startswith("layers/0/")}
    assert {"ssm:state", "u", "y", "gate", "out"} <= shown
    missing = {node.name for node in program if node.states()} - set(values)
    assert all(name.endswith(("/ssm", "pool", "/state", "gap_pool")) or name == "readout" for name in missing)


def test_gradients_reach_every_parameter(build_real):
    made = build_real({"input_gate": 2, "expansion": 2, "norm_place": "after", "dropout": 0.2})
    made.qat.train()
    made.qat(*made.batch).square().sum().backward()
    for name, parameter in made.qat.model.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name


def test_c_reads_the_mean_of_a_window_at_its_own_width(build_real):
    for read, state in ((16, 16), (12, 16), (16, 24)):
        program = lower(build_real(widths={"read": read, "state": state}).qat, NAMES)
        pool = program["layers/0/state"]
        assert pool.mode == "mean"
        assert pool.output.width == read
        assert program["layers/0/linear"].formats[0] == pool.output


def test_states_are_pooled_as_outputs_are_and_products_are_taken_once_a_window(build_real):
    program = lower(build_real({"pooling": "timepool"}).qat, NAMES)
    pools = {node.name: node.mode for node in program.of_type(EventPool) if node.format != Format(32, False, 0)}
    for name in ("state", "u_pool", "skip_pool"):
        assert pools[f"layers/0/{name}"] == "time"
    assert program.rates["layers/0/linear"] == 4


def test_time_of_an_incomplete_window_does_not_count(build_real, build):
    """The head timepool of this family divides by the time of complete windows, that of S5 by all."""
    settings = {"head": "timepool", "pooling": "timepool"}
    values, times = np.arange(19) % 20, np.arange(19) * 1700
    for make, equal in ((build_real, True), (build, False)):
        program = lower(make(settings).qat, NAMES)
        whole, more = reference.run(program, [(values[:16], times[:16]), (values, times)])
        assert np.array_equal(whole.logits, more.logits) == equal
        assert not np.array_equal(whole.logits, program["decoder"].bias)


def test_an_event_without_a_gap_changes_no_state_of_a_zero_order_hold(build_real):
    program = lower(build_real({"stride": 1, "stages": 1}).qat, NAMES)
    values, times = np.array([3, 5, 7]), np.array([0, 5000, 5000])
    (trace,) = reference.run(program, [(values, times)])
    states = trace.states["layers/0/ssm"]
    assert not states[0].any()
    assert states[1].any()
    np.testing.assert_array_equal(states[1], states[2])


def test_a_shared_decay_is_kept_once(build_real):
    shared, own = (
        lower(build_real({"decay": decay}).qat, NAMES)["layers/0/ssm"] for decay in ("shared", "independent")
    )
    sizes = [{tensor.name: tensor.codes.size for tensor in node.tensors()} for node in (shared, own)]
    assert sizes[0]["decay_re"] == sizes[0]["decay_exponent"] == shared.digits
    assert sizes[1]["decay_re"] == own.digits * own.modes
    assert "decay_im" not in sizes[0]


def test_gelu_is_that_of_the_error_function(build_real):
    program = lower(build_real().qat, NAMES)
    node = program["layers/0/gelu"]
    values = torch.arange(node.format.min, node.format.max + 1).double() * node.format.scale
    expected = torch.nn.functional.gelu(values) / node.output.scale
    assert np.abs(node.table - expected.clamp(node.output.min, node.output.max).numpy()).max() <= 0.5


@pytest.mark.parametrize("settings", [{"head": "attnpool"}, {"recurrence": "as-trained"}])
def test_what_integers_do_not_have_is_refused(build_real, settings):
    name, value = next(iter(settings.items()))
    with pytest.raises(PumiceError, match=f"model.{name}={value} cannot be lowered"):
        build_real(settings)
    config = {"model": {"family": "real-s5", **settings}, "quantize": {}}
    assert f"model.{name}={value} cannot be lowered" in why_unavailable(config)
    assert why_unavailable({"model": {"family": "real-s5"}, "quantize": {}}) is None


@pytest.mark.parametrize("gamma_frac", [0, 7, 12])
def test_a_layer_norm_with_its_own_gamma_and_beta_is_the_node(gamma_frac):
    rng = np.random.default_rng(gamma_frac)
    read, written = Format(16, True, 9), Format(8, True, 4)
    terms = LayerNormTerms.of(5, read, 1e-5)
    gamma, beta = rng.integers(-(1 << gamma_frac) - 1, (2 << gamma_frac) + 1, 5), rng.integers(-900, 900, 5)
    own = {"gamma": gamma, "gamma_frac": gamma_frac, "beta": beta, "beta_frac": 12}
    given = {"root_shift": terms.root_shift, "epsilon": terms.epsilon, **own}
    node = LayerNorm(name="n", inputs=("x",), output=written, format=read, size=5, **given)
    codes = rng.integers(-(1 << 15), 1 << 15, (200, 5))
    codes[:3] = [[7] * 5, [0] * 5, [-1, 0, 0, 0, 1]]
    affine = Affine(torch.from_numpy(gamma * 2.0**-gamma_frac), gamma_frac, torch.from_numpy(beta * 2.0**-12), 12)
    found = layer_norm(torch.from_numpy(codes * read.scale), terms, read, written, affine) / written.scale
    a, b, c = node.shifts
    for row, q in zip(found.tolist(), codes.tolist(), strict=True):
        total = sum(q)
        variance = 5 * sum(x * x for x in q) - total * total
        root = int(((variance + terms.epsilon) << (2 * terms.root_shift)) ** 0.5)
        while root * root > (variance + terms.epsilon) << (2 * terms.root_shift):
            root -= 1
        while (root + 1) ** 2 <= (variance + terms.epsilon) << (2 * terms.root_shift):
            root += 1
        for channel, x in enumerate(q):
            p = ((5 * x - total) * int(gamma[channel]) << a) + (int(beta[channel]) * root << b)
            divisor = root << c
            assert row[channel] == max(written.min, min(written.max, (2 * p + divisor) // (2 * divisor)))


def test_a_read_out_over_the_weights_once_more_needs_their_rate(build_real):
    program = lower(build_real({"head": "timepool"}).qat, NAMES)
    read = program["readout"]
    assert read.inputs[1] == read.inputs[2]
    gap = next(node.name for node in program.gap_inputs if node.unit_us == 1)
    assert replace(read, inputs=(*read.inputs[:2], gap)).rate((16, 16, 1)) == program.rates["readout"]
