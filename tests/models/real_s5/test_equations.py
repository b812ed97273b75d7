"""Models with real decays against an independent loop over single events, in float64, written from the equations."""

from math import erf, exp, log1p, sqrt

import numpy as np
import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.real_s5.classifier import RealS5Classifier
from pumice.models.real_s5.config import RealS5Config
from pumice.models.real_s5.reference_weights import reference_names, reference_state_dict
from pumice.models.real_s5.ssm import cumulative_states

BASE = {"vocab": 11, "num_classes": 3, "d_model": 4, "d_ssm": 6, "stages": 2, "layers_per_stage": 2, "stride": 2}
CASES = {
    "port": {},
    "after": {"norm_place": "after", "pooling": "timepool", "head": "timepool", "expansion": 2},
    "batch": {"norm": "batch", "pooling": "last", "head": "last", "discretization": "dirac"},
    "shared": {"decay": "shared", "norm": "none", "residual": False, "feedthrough": False, "activation": "relu"},
    "gated": {"input_gate": 0, "head": "attnpool", "discretization": "async"},
    "low rank": {"input_gate": 2, "expansion": 2, "step_rescale": 3.0},
}


def make_model(settings, seed=0):
    generator = torch.Generator().manual_seed(seed)
    model = RealS5Classifier(RealS5Config(**{**BASE, **settings}), generator).double().eval()
    with torch.no_grad():
        for value in model.state_dict().values():  # norms, biases and D are something else than 0 and 1
            value.add_(0.3 * torch.rand(value.shape, generator=generator, dtype=value.dtype))
    return model


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def linear(state, name, x):
    return state[f"{name}.weight"] @ x + state[f"{name}.bias"]


def norm(state, name, x):
    if f"{name}.running_mean" in state:
        x = (x - state[f"{name}.running_mean"]) / np.sqrt(state[f"{name}.running_var"] + 1e-5)
    elif f"{name}.weight" in state:
        x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    else:
        return x
    return x * state[f"{name}.weight"] + state[f"{name}.bias"]


def gate_input(state, at, x):
    if f"{at}.input_gate.weight" in state:
        return x * sigmoid(linear(state, f"{at}.input_gate", x))
    if f"{at}.input_gate.0.weight" in state:
        return x * sigmoid(linear(state, f"{at}.input_gate.1", linear(state, f"{at}.input_gate.0", x)))
    return x


def ssm(state, at, config, inputs, gaps):
    """Every event's output, one mode at a time."""
    raw, log_step, b, c = (state[f"{at}.ssm.{name}"] for name in ("Lambda_raw", "log_step", "B", "C"))
    x, outputs = np.zeros(len(b)), []
    for u, dt in zip(inputs, gaps, strict=True):
        for p in range(len(b)):
            own = 0 if len(raw) == 1 else p
            eigenvalue = -(log1p(exp(raw[own])) + 1e-3)
            step = config.step_rescale * exp(log_step[own])
            decay = exp(eigenvalue * step * dt)
            gamma = {
                "zoh": (decay - 1) / eigenvalue,
                "dirac": 1.0,
                "async": (exp(eigenvalue * step) - 1) / eigenvalue,
            }[config.discretization]
            x[p] = decay * x[p] + gamma * (b[p] @ u)
        y = c @ x
        if f"{at}.ssm.D" in state:
            d = state[f"{at}.ssm.D"]
            y = y + (d * u if d.ndim == 1 else d @ u)
        outputs.append(y)
    return outputs


def pool(rows, gaps, stride, mode):
    pooled = []
    for start in range(0, len(rows) - stride + 1, stride):
        part, weights = np.array(rows[start : start + stride]), np.array(gaps[start : start + stride]) + 1e-6
        pooled.append({"last": part[-1], "avgpool": part.mean(0), "timepool": weights @ part / weights.sum()}[mode])
    return pooled


def layer(state, at, config, xs, gaps, stride):
    ys = ssm(state, at, config, [gate_input(state, at, x) for x in xs], gaps)
    if stride > 1:
        xs, ys = pool(xs, gaps, stride, config.pooling), pool(ys, gaps, stride, config.pooling)
        gaps = [sum(gaps[start : start + stride]) for start in range(0, len(gaps) - stride + 1, stride)]
    outputs = []
    for x, y in zip(xs, ys, strict=True):
        y = norm(state, f"{at}.norm", y) if config.norm_place == "inside" else y
        gelu = np.array([v * (1 + erf(v / sqrt(2))) / 2 for v in y])
        activated = gelu if config.activation == "gelu" else np.maximum(y, 0)
        y = y * sigmoid(linear(state, f"{at}.gate", activated))
        if config.residual:
            y = y + (linear(state, f"{at}.skip", x) if f"{at}.skip.weight" in state else x)
        outputs.append(norm(state, f"{at}.norm", y) if config.norm_place == "after" else y)
    return outputs, gaps


def logits_of(model, tokens, gaps):
    config, state = model.config, {name: value.numpy() for name, value in model.state_dict().items()}
    xs = [state["embedding.weight"][token] for token in tokens]
    for index in range(config.stages * config.layers_per_stage):
        stride = config.stride if index % config.layers_per_stage == 0 else 1
        xs, gaps = layer(state, f"layers.{index}", config, xs, gaps, stride)
    if not xs:
        return state["decoder.bias"]
    weights = {
        "pool": np.ones(len(xs)),
        "timepool": np.array(gaps) + 1e-6,
        "last": np.eye(len(xs))[-1],
        "attnpool": np.exp([linear(state, "attention", x)[0] for x in xs]) if config.head == "attnpool" else None,
    }[config.head]
    return linear(state, "decoder", weights @ np.array(xs) / weights.sum())


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_the_equations(name):
    model = make_model(CASES[name])
    rng = np.random.default_rng(1)
    lengths = [37, 20, 3]
    tokens, dt = np.full((3, 40), -1), np.zeros((3, 40))
    for row, length in enumerate(lengths):
        tokens[row, :length] = rng.integers(0, 11, length)
        dt[row, :length] = np.where(rng.random(length) < 0.3, 0, rng.exponential(5, length))
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens), torch.from_numpy(dt), torch.tensor(lengths)).numpy()
    for row, length in enumerate(lengths):
        expected = logits_of(model, tokens[row, :length], list(dt[row, :length]))
        np.testing.assert_allclose(logits[row], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_event_by_event_equals_whole_sequences(name):
    """With events between that are none, which change nothing."""
    model = make_model(CASES[name])
    rng = np.random.default_rng(2)
    lengths, events = torch.tensor([23, 9, 2]), 23
    tokens = torch.from_numpy(rng.integers(0, 11, (3, events)))
    dt = torch.from_numpy(rng.exponential(4, (3, events)))
    real = torch.arange(events) < lengths.unsqueeze(1)
    tokens, dt = torch.where(real, tokens, -1), torch.where(real, dt, 0)
    with torch.no_grad():
        expected, (outputs, _) = model(tokens, dt, lengths), model.encode(tokens, dt, lengths)
        state, seen = model.init_state(3), [[], [], []]
        for k in range(events):
            for valid in (torch.zeros(3, dtype=torch.bool), real[:, k]):
                values, out, state = model.step(
                    tokens[:, k].clamp(min=0), dt[:, k] + 1 - valid.double(), state, None, valid
                )
                for row in range(3):
                    seen[row] += [values[row]] if out[row] else []
        torch.testing.assert_close(model.readout(state), expected, rtol=1e-9, atol=1e-9)
    for row, length in enumerate(lengths.tolist()):
        count = length // model.config.window
        assert len(seen[row]) == count
        if count:
            torch.testing.assert_close(torch.stack(seen[row]), outputs[row, :count], rtol=1e-9, atol=1e-9)
    with pytest.raises(PumiceError, match="evaluation mode"):
        model.train().step(tokens[:, 0], dt[:, 0], state)


def test_the_recurrence_of_the_training_departs_as_published():
    """Relative error at accumulated exponents of 18.7, 23.4 and beyond 40: 4 %, 68 %, 100 % (docs/import.md)."""
    dt = torch.full((1, 400), 0.11)
    given = cumulative_states(torch.tensor([-1.0]), dt, torch.ones(1, 400, 1), False)[0, :, 0].double()
    exact, x = [], 0.0
    for _ in range(400):
        x = exp(-0.11) * x + 1
        exact.append(x)
    error = (given / torch.tensor(exact) - 1).abs()
    at = {exponent: float(error[round(exponent / 0.11)]) for exponent in (5, 18.7, 23.4, 42)}
    assert at[5] < 1e-5
    assert 0.01 < at[18.7] < 0.2
    assert 0.5 < at[23.4] < 0.95
    assert at[42] > 0.99


def port_state(model, generator):
    """What the port would save of the same weights, with all that it does not use."""
    state = {theirs: model.state_dict()[own] for own, theirs in reference_names(model).items()}
    row = torch.zeros(1, model.config.d_model)
    state["encoder.encoder.weight"] = torch.cat([row, state["encoder.encoder.weight"]])
    state |= {"attn_pool.weight": torch.zeros(1, model.config.d_model), "attn_pool.bias": torch.zeros(1)}
    for name in [name for name in state if name.endswith(".gate.weight")]:
        at, width = name.removesuffix(".gate.weight"), len(state[name])
        for part in ("proj", "norm_in", "norm_out"):
            for leaf in ("weight", "bias"):
                state.setdefault(f"{at}.{part}.{leaf}", torch.rand(width, generator=generator))
    return state


@pytest.mark.parametrize("name", ["port", "after", "low rank"])
def test_weights_of_the_port_have_their_places(name):
    model = make_model(CASES[name]).float()
    given = port_state(model, torch.Generator().manual_seed(2))
    assert "encoder.stages.1.layers.0.ssm_block.Lambda_raw" in given
    assert ("encoder.stages.0.layers.1.norm_in.weight" in reference_names(model).values()) == (name != "after")
    found = reference_state_dict(model, given)
    for own, value in model.state_dict().items():
        assert torch.equal(found[own], value), own
    with pytest.raises(PumiceError, match="one row of padding and 11 tokens"):
        reference_state_dict(model, given | {"encoder.encoder.weight": torch.zeros(11, 4)})
    with pytest.raises(
        PumiceError, match=r"'encoder.stages.0.layers.0.ssm_block.B' of shape \(6, 5\), which is \(6, 4\)"
    ):
        reference_state_dict(model, given | {"encoder.stages.0.layers.0.ssm_block.B": torch.zeros(6, 5)})
    with pytest.raises(PumiceError, match="has no place"):
        reference_state_dict(model, given | {"encoder.stages.0.layers.0.ssm_block.E": torch.zeros(6)})


def test_gradients_reach_every_parameter():
    model = make_model(CASES["gated"]).train()
    tokens = torch.randint(0, 11, (2, 16), generator=torch.Generator().manual_seed(0))
    model(tokens, torch.ones(2, 16).double(), torch.tensor([16, 12])).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert name == "attention.bias" or parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    "change",
    [{"decay": "complex"}, {"input_gate": -1}, {"residual": 1}, {"head": "max"}, {"dt_min": 0}, {"vocab": None}],
)
def test_settings_outside_their_limits_are_refused(change):
    with pytest.raises(PumiceError, match=next(iter(change))):
        RealS5Config(**{**BASE, **change})
