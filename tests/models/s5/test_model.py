"""Padding, tables, short samples, batch statistics, dropout, precision."""

import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.s5.classifier import S5Classifier
from pumice.models.s5.config import S5Config
from pumice.models.s5.discretization import discretize
from pumice.models.s5.norm import MaskedBatchNorm
from pumice.models.s5.times import EventTimes

SMALL = {"num_classes": 3, "d_model": 6, "d_ssm": 8, "block_size": 4, "stages": 2, "layers_per_stage": 2, "stride": 3}


def make_model(**changes):
    settings = {**SMALL, **changes}
    settings.setdefault("vocab", None if "in_features" in settings else 11)
    return S5Classifier(S5Config(**settings), torch.Generator().manual_seed(0)).double()


def make_batch(lengths, padded, vocab=11):
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor(lengths)
    real = torch.arange(padded) < lengths[:, None]
    tokens = torch.where(real, torch.randint(vocab, real.shape, generator=generator), -1)
    dt = torch.rand(real.shape, generator=generator, dtype=torch.float64) * real
    return tokens, dt, lengths


def gradients(model, batch):
    loss = model(*batch).square().sum()
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("pooling", ["last", "avgpool", "timepool"])
@pytest.mark.parametrize("stride", [1, 3])
def test_the_token_table_equals_the_dense_path(norm, pooling, stride):
    batch = make_batch([31, 20], 33)
    outputs = []
    for vocab in (11, 1000):  # a vocabulary larger than the batch takes the dense path
        model = make_model(norm=norm, pooling=pooling, head="timepool", stride=stride, vocab=vocab).train()
        reference = make_model(norm=norm, pooling=pooling, head="timepool", stride=stride).state_dict()
        weight = torch.zeros(vocab, 6, dtype=torch.float64)
        weight[:11] = reference.pop("embedding.weight")
        model.load_state_dict({**reference, "embedding.weight": weight})
        grads = gradients(model, batch)
        grads["embedding.weight"] = grads["embedding.weight"][:11]
        outputs.append((model(*batch), grads, {n: b for n, b in model.named_buffers()}))
    (logits, grads, buffers), (dense_logits, dense_grads, dense_buffers) = outputs
    torch.testing.assert_close(logits, dense_logits)
    for name in grads:
        torch.testing.assert_close(grads[name], dense_grads[name], msg=name)
    for name in buffers:
        torch.testing.assert_close(buffers[name], dense_buffers[name], msg=name)


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("head", ["pool", "timepool", "last"])
@pytest.mark.parametrize("vocab", [11, 1000])
def test_padding_changes_nothing(norm, head, vocab):
    """Not the logits, not the gradients, not the running statistics, whatever the padding holds."""
    results = []
    for padded, filler in ((31, -1), (48, -1), (48, 7)):
        model = make_model(norm=norm, head=head, vocab=vocab).train()
        tokens, dt, lengths = make_batch([31, 20], 48)
        tokens = torch.where(tokens < 0, filler, tokens)[:, :padded]
        batch = tokens, dt[:, :padded], lengths
        results.append((model(*batch), gradients(model, batch), dict(model.named_buffers())))
    for logits, grads, buffers in results[1:]:
        torch.testing.assert_close(logits, results[0][0])
        for name in grads:
            torch.testing.assert_close(grads[name], results[0][1][name], msg=name)
        for name in buffers:
            torch.testing.assert_close(buffers[name], results[0][2][name], msg=name)


@pytest.mark.parametrize("head", ["pool", "timepool", "last"])
@pytest.mark.parametrize("padded", [8, 9, 40])
def test_a_sample_without_a_complete_window_gives_the_bias(head, padded):
    for norm in ("layer", "batch"):
        model = make_model(head=head, norm=norm).train()
        logits = model(*make_batch([8, 1], padded))
        torch.testing.assert_close(logits, model.decoder.bias.expand(2, 3))
        for name, gradient in gradients(model, make_batch([8, 1], padded)).items():
            assert torch.isfinite(gradient).all(), name
        assert all(torch.isfinite(buffer).all() for buffer in model.buffers())


def test_simultaneous_events_pool_to_the_plain_mean():
    model = make_model(pooling="timepool", head="timepool").eval()
    plain = make_model(pooling="avgpool", head="pool").eval()
    tokens, dt, lengths = make_batch([30], 30)
    torch.testing.assert_close(
        model(tokens, dt, lengths, torch.zeros_like(dt)), plain(tokens, dt, lengths), rtol=1e-9, atol=1e-9
    )


def test_pool_dt_weighs_and_dt_decays():
    model = make_model(pooling="timepool", head="timepool").eval()
    tokens, dt, lengths = make_batch([30], 30)
    same = model(tokens, dt, lengths)
    assert torch.equal(model(tokens, dt, lengths, dt), same)
    assert not torch.allclose(model(tokens, dt, lengths, dt.flip(1)), same)
    assert not torch.allclose(model(tokens, dt.flip(1), lengths, dt), same)


def test_the_whole_model_passes_gradcheck():
    model = make_model(stages=1, layers_per_stage=2, d_model=3, d_ssm=4, expansion=1, vocab=5, pooling="timepool")
    tokens, dt, lengths = make_batch([7, 4], 7, vocab=5)
    names, values = zip(*model.named_parameters(), strict=True)

    def run(*parameters):
        return torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), (tokens, dt, lengths))

    assert torch.autograd.gradcheck(run, [value.detach().clone().requires_grad_() for value in values])


def test_batch_statistics_count_real_events_only():
    norm = MaskedBatchNorm(4).double().train()
    x = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    counts = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]])
    real = x[counts.bool()]
    y = norm(x, counts)
    torch.testing.assert_close(y[counts.bool()].mean(0), torch.zeros(4, dtype=torch.float64))
    variance = real.var(0, unbiased=False)
    torch.testing.assert_close(norm.running_mean, 0.05 * real.mean(0))
    torch.testing.assert_close(norm.running_var, 0.95 + 0.05 * variance)
    torch.testing.assert_close(y, (x - real.mean(0)) / (variance + 1e-5).sqrt())
    repeated = MaskedBatchNorm(4).double().train()
    rows = x[0, :2]
    torch.testing.assert_close(repeated(rows, torch.tensor([3, 1])), norm(rows[[0, 0, 0, 1]], torch.ones(4))[[0, 3]])


def test_the_dropout_mask_is_shared_over_time():
    layer = make_model(dropout=0.5).train().stages[1].layers[1]
    torch.manual_seed(0)
    dropped = layer.drop(torch.ones(4, 6, 6, dtype=torch.float64))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert len({tuple(row) for row in dropped[:, 0].tolist()}) > 1, "samples have masks of their own"
    assert torch.equal(layer.eval().drop(dropped), dropped)


def test_dropout_acts_before_the_gate_and_on_what_it_lets_through(monkeypatch):
    """Two masks, here two factors; the residual path has none."""
    layer = make_model(expansion=2).stages[1].layers[0]
    factors = iter((0.5, 3.0))
    monkeypatch.setattr(layer, "drop", lambda x: x * next(factors))
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(2, 4, width, generator=generator, dtype=torch.float64) for width in (6, 12))
    bent = 0.5 * y * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (y + 0.044715 * y**3)))
    gate = 1 / (1 + torch.exp(-(0.5 * bent @ layer.gate.weight.T + layer.gate.bias)))
    expected = x @ layer.skip.weight.T + layer.skip.bias + 3.0 * y * gate
    torch.testing.assert_close(layer.combine(x, y), expected)


@pytest.mark.parametrize("discretization", ["zoh", "dirac", "async"])
def test_discretization_follows_its_equations(discretization):
    modes = torch.tensor([-0.5 + 3j, -0.5 - 0.4j], dtype=torch.complex128)
    log_step = torch.tensor([[-3.0], [-2.0]], dtype=torch.float64)
    dt = torch.tensor([0.0, 0.5, 20.0], dtype=torch.float64)
    decay, gamma = discretize(modes, log_step, dt, discretization, step_rescale=2.0)
    step = 2 * log_step[:, 0].exp()
    expected = torch.stack([torch.exp(modes * step * interval) for interval in dt])
    torch.testing.assert_close(decay, expected)
    wanted = {
        "zoh": (expected - 1) / modes,
        "dirac": torch.ones_like(expected),
        "async": ((torch.exp(modes * step) - 1) / modes).expand(3, 2),
    }[discretization]
    torch.testing.assert_close(gamma.expand(3, 2), wanted)


def test_lower_precision_in_the_matrix_products_only():
    model = make_model().float()
    tokens, dt, lengths = make_batch([31, 20], 33)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(tokens, dt.float(), lengths)
    logits.float().sum().backward()
    torch.testing.assert_close(logits.float(), model(tokens, dt.float(), lengths), rtol=0.1, atol=0.1)
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())


def test_dense_input_and_wrong_shapes():
    model = make_model(in_features=4).eval()
    _, dt, lengths = make_batch([30, 12], 30)
    x = torch.randn(2, 30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert model(x, dt, lengths).shape == (2, 3)
    with pytest.raises(PumiceError, match=r"dense input \(B, L, d_in\)"):
        model(torch.zeros(2, 30, dtype=torch.int64), dt, lengths)
    with pytest.raises(PumiceError, match="does not fit dt"):
        model(x, dt[:, :10], lengths)
    with pytest.raises(PumiceError, match="the model knows 0 to 10"):
        make_model()(torch.full((2, 30), 11), dt, lengths)


def test_pooled_times_are_sums_over_complete_windows():
    dt = torch.arange(7.0)[None]
    times = EventTimes(dt, 2 * dt, torch.tensor([6])).pooled(3)
    assert times.dt.tolist() == [[3.0, 12.0]]
    assert times.pool_dt.tolist() == [[6.0, 24.0]]
    assert times.lengths.tolist() == [2]
    assert times.real.tolist() == [[True, True]]


@pytest.mark.parametrize("clip", [False, True])
def test_eigenvalues_are_clipped_where_that_is_asked_for(clip):
    model = make_model(clip_eigs=clip)
    ssm = model.layers[0].ssm
    with torch.no_grad():
        ssm.Lambda_re[0] = 0.25
    found = ssm.eigenvalues().real
    assert found[0].item() == pytest.approx(-1e-4 if clip else 0.25)
    assert torch.equal(found[1:], ssm.Lambda_re[1:])
