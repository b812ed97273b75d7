"""Event by event against the sequence pass."""

import itertools

import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.s5.classifier import S5Classifier
from pumice.models.s5.config import S5Config

SMALL = {"num_classes": 3, "d_model": 6, "d_ssm": 8, "block_size": 4, "stages": 2, "layers_per_stage": 2}
CASES = [
    {"pooling": pooling, "head": head, "stride": stride}
    for pooling, head, stride in itertools.product(
        ("last", "avgpool", "timepool"), ("pool", "timepool", "last"), (1, 2, 3)
    )
] + [
    {"discretization": "zoh", "stride": 2},
    {"discretization": "dirac", "stride": 2, "conj_sym": False},
    {"norm": "batch", "expansion": 2, "clip_eigs": True, "stride": 2},
    {"in_features": 4, "stride": 2},
]


def make_model(seed=0, **changes):
    settings = {**SMALL, **changes}
    settings.setdefault("vocab", None if "in_features" in settings else 11)
    model = S5Classifier(S5Config(**settings), torch.Generator().manual_seed(seed)).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if "norm" in name or name.endswith("bias"):
                tensor.add_(torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype) * 0.5)
    return model


def make_batch(model, lengths, padded, seed=1):
    generator = torch.Generator().manual_seed(seed)
    batch = len(lengths)
    lengths = torch.tensor(lengths)
    real = torch.arange(padded) < lengths[:, None]
    dt = torch.rand(batch, padded, generator=generator, dtype=torch.float64) * 3
    dt = dt * (torch.rand(batch, padded, generator=generator) < 0.7)
    pool_dt = torch.rand(batch, padded, generator=generator, dtype=torch.float64)
    if model.config.token_input:
        tokens = torch.randint(model.config.vocab, (batch, padded), generator=generator)
        tokens = torch.where(real, tokens, -1)
    else:
        tokens = torch.randn(batch, padded, model.config.in_features, generator=generator, dtype=torch.float64)
    return tokens, dt * real, lengths, pool_dt * real


@pytest.mark.parametrize("changes", CASES, ids=lambda changes: "-".join(str(value) for value in changes.values()))
def test_steps_equal_the_sequence_pass(changes):
    model = make_model(**changes)
    tokens, dt, lengths, pool_dt = make_batch(model, [23, 18, 1], 23)
    with torch.no_grad():
        expected, times, _ = model.encode(tokens, dt, lengths, pool_dt)
        state = model.init_state(3)
        outputs = [[], [], []]
        for k in range(23):
            value, valid, state = model.step(tokens[:, k], dt[:, k], state, pool_dt[:, k], k < lengths)
            for stream in valid.nonzero()[:, 0]:
                outputs[stream].append(value[stream])
        logits = model.readout(state)
    for stream, complete in enumerate(times.lengths):
        assert len(outputs[stream]) == complete
        for got, wanted in zip(outputs[stream], expected[stream, :complete], strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(logits, model(tokens, dt, lengths, pool_dt), rtol=1e-9, atol=1e-9)


def test_an_invalid_event_changes_nothing():
    model = make_model(stride=2, pooling="timepool")
    state = model.init_state(2)
    token, dt = torch.tensor([3, 4]), torch.tensor([1.0, 2.0])
    _, _, state = model.step(token, dt, state)
    _, valid, after = model.step(torch.tensor([-1, 5]), dt, state, valid=torch.tensor([False, True]))
    assert valid.tolist() == [False, False]
    for old, new in zip(torch.utils._pytree.tree_leaves(state), torch.utils._pytree.tree_leaves(after), strict=True):
        assert torch.equal(old[0], new[0])
    assert after.layers[0].count.tolist() == [1, 0]


def test_step_refuses_training_mode_and_unknown_tokens():
    model = make_model()
    state = model.init_state(1)
    with pytest.raises(PumiceError, match="the model knows 0 to 10"):
        model.step(torch.tensor([11]), torch.zeros(1), state)
    with pytest.raises(PumiceError, match="evaluation mode"):
        model.train().step(torch.tensor([1]), torch.zeros(1), state)
