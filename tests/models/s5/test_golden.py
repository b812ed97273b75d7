"""Every case of the golden archive, to 1e-5."""

import numpy as np
import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.s5.classifier import S5Classifier
from pumice.models.s5.config import S5Config
from pumice.models.s5.hippo import hippo_block, hippo_modes
from pumice.models.s5.pool import EventPool
from pumice.models.s5.reference_weights import load_reference_weights
from pumice.models.s5.ssm import S5SSM
from pumice.models.s5.times import EventTimes
from pumice.models.scan.event import event_scan

TOLERANCE = 1e-5
STRIDED = [
    (conj, "async", clip, stride, pooling)
    for conj in (0, 1)
    for clip in (0, 1)
    for stride, pooling in ((1, "last"), (4, "last"), (4, "avgpool"), (4, "timepool"))
]
PLAIN = [(conj, discretization, 0, 1, "last") for conj in (0, 1) for discretization in ("zoh", "dirac")]


def sequence_times(golden):
    dt = torch.from_numpy(golden["dt"])[None]
    return EventTimes(dt, dt, torch.tensor([dt.shape[1]]))


def make_ssm(parameters, *, conj_sym, discretization, clip_eigs, stride):
    out_features, in_features = parameters["C"].shape[0], parameters["B"].shape[1]
    ssm = S5SSM(
        in_features,
        out_features,
        len(parameters["B"]) * (2 if conj_sym else 1),
        block_size=4,
        stride=stride,
        conj_sym=conj_sym,
        clip_eigs=clip_eigs,
        discretization=discretization,
        dt_min=0.001,
        dt_max=0.1,
        c_init="lecun_normal",
        step_rescale=1.0,
        generator=torch.Generator().manual_seed(0),
    )
    ssm.load_state_dict({name: torch.from_numpy(value) for name, value in parameters.items()})
    return ssm


@pytest.mark.parametrize(("conj", "discretization", "clip", "stride", "pooling"), STRIDED + PLAIN)
def test_ssm_layer_matches_golden(golden_event_ssm, conj, discretization, clip, stride, pooling):
    case = f"ssm/conj{conj}/{discretization}/clip{clip}/stride{stride}_{pooling}"
    ssm = make_ssm(
        golden_event_ssm.under(f"{case}/param"),
        conj_sym=bool(conj),
        discretization=discretization,
        clip_eigs=bool(clip),
        stride=stride,
    )
    u = torch.from_numpy(golden_event_ssm["u"])[None]
    times = sequence_times(golden_event_ssm)
    drive = u @ ssm.input_matrix().mT
    y = ssm(drive, EventPool(stride, pooling)(u, times), times)[0]
    np.testing.assert_allclose(y.detach().numpy(), golden_event_ssm[f"{case}/y"], atol=TOLERANCE, rtol=TOLERANCE)

    states = event_scan(ssm.rates(), times.intervals, drive, hold=discretization == "zoh")[0]
    expected = golden_event_ssm[f"{case}/x_f64"]
    got = torch.complex(*states.detach().chunk(2, dim=-1)).numpy()
    if len(expected) != len(got):
        got = got[::stride][: len(expected)]
    np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_rectangular_ssm_matches_golden(golden_event_ssm):
    parameters = golden_event_ssm.under("ssm_rect/param")
    ssm = make_ssm(parameters, conj_sym=False, discretization="async", clip_eigs=False, stride=4)
    u = torch.from_numpy(golden_event_ssm["u"])[None]
    times = sequence_times(golden_event_ssm)
    expected = golden_event_ssm["ssm_rect/y"]
    y = ssm(u @ ssm.input_matrix().mT, EventPool(4, "timepool")(u, times), times)[0]
    np.testing.assert_allclose(y.detach().numpy(), expected, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("pooling", ["last", "avgpool", "timepool"])
def test_pool_matches_golden(golden_event_ssm, pooling):
    u = torch.from_numpy(golden_event_ssm["u"])[None]
    times = sequence_times(golden_event_ssm)
    expected = golden_event_ssm.under(f"pool/{pooling}")
    np.testing.assert_allclose(EventPool(4, pooling)(u, times)[0], expected["x"], atol=TOLERANCE)
    np.testing.assert_allclose(times.pooled(4).dt[0], expected["dt"], atol=TOLERANCE)


@pytest.mark.parametrize("size", [4, 8, 16])
def test_hippo_matches_golden(golden_event_ssm, size):
    expected = golden_event_ssm.under(f"hippo/{size}")
    eigenvalues, vectors = hippo_block(size)
    np.testing.assert_allclose(eigenvalues, expected["Lambda"], rtol=1e-5, atol=1e-5)
    # Eigenvectors are free up to a phase: their projectors are not.
    ours = np.einsum("ik,jk->kij", vectors, vectors.conj())
    theirs = np.einsum("ik,jk->kij", expected["V"], expected["V"].conj())
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_hippo_blocks_keep_the_negative_half():
    eigenvalues, vectors = hippo_modes(16, 8, conj_sym=True)
    assert eigenvalues.shape == (8,)
    assert vectors.shape == (16, 8)
    assert (eigenvalues.imag < 0).all()
    np.testing.assert_allclose(vectors.conj().T @ vectors, np.eye(8), atol=1e-12)


MODELS = {
    "shd_like": {},
    "dvs_like": {"pooling": "timepool", "head": "timepool", "expansion": 2, "clip_eigs": True},
    "ssc_like_ln": {"expansion": 2, "conj_sym": True},
    "last_like": {"pooling": "last", "head": "last", "conj_sym": True},
    "ssc_bn": {"expansion": 2, "conj_sym": True, "norm": "batch"},
}


def make_model(golden, name, vocab=20):
    settings = {"d_model": 8, "d_ssm": 8, "block_size": 4, "stages": 2, "layers_per_stage": 2, "stride": 4}
    settings |= {"conj_sym": False, **MODELS[name]}
    model = S5Classifier(S5Config(num_classes=5, vocab=vocab, **settings)).eval()
    load_reference_weights(model, golden.under(f"model/{name}/param"), golden.under(f"model/{name}/batch_stats"))
    return model


@pytest.mark.parametrize("name", ["shd_like", "dvs_like", "ssc_like_ln"])
def test_model_matches_golden(golden_event_ssm, name):
    model = make_model(golden_event_ssm, name)
    tokens = torch.from_numpy(golden_event_ssm["tok_pad"]).long()[None]
    dt = torch.from_numpy(golden_event_ssm["dt_pad"])[None]
    lengths = torch.tensor([int(golden_event_ssm["length"])])
    with torch.no_grad():
        logits = model(tokens, dt, lengths)
        x, times, total_time = model.encode(tokens, dt, lengths)
    expected = golden_event_ssm.under(f"model/{name}")
    np.testing.assert_allclose(logits[0], expected["logits"], atol=TOLERANCE, rtol=TOLERANCE)
    complete = int(times.lengths[0])
    assert complete == 37 // 16
    np.testing.assert_allclose(x[0, :complete], expected["enc_x"][:complete], atol=TOLERANCE, rtol=TOLERANCE)
    np.testing.assert_allclose(times.dt[0], expected["enc_dt"], atol=TOLERANCE, rtol=TOLERANCE)
    np.testing.assert_allclose(total_time[0], expected["enc_dt"].sum(), rtol=TOLERANCE)


def test_last_head_matches_golden(golden_event_ssm):
    """The reference reads the last window of the padding, made of the last row of the embedding; so must the input."""
    model = make_model(golden_event_ssm, "last_like")
    tokens = torch.from_numpy(golden_event_ssm["tok_pad"]).long()[None]
    dt = torch.from_numpy(golden_event_ssm["dt_pad"])[None]
    with torch.no_grad():
        padded = torch.where(tokens < 0, 19, tokens)
        logits = model(padded, dt, torch.tensor([64]))
        x = model.encode(padded, dt, torch.tensor([64]))[0]
        unpadded = model(tokens, dt, torch.tensor([37]))
        expected = model.decoder(x[:, 37 // 16 - 1])
    case = golden_event_ssm.under("model/last_like")
    np.testing.assert_allclose(logits[0], case["logits"], atol=TOLERANCE, rtol=TOLERANCE)
    np.testing.assert_allclose(x[0], case["enc_x"], atol=TOLERANCE, rtol=TOLERANCE)
    np.testing.assert_allclose(unpadded, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_batch_norm_model_matches_golden(golden_event_ssm):
    model = make_model(golden_event_ssm, "ssc_bn")
    case = golden_event_ssm.under("model/ssc_bn")
    # The second sample has -1 among its real events, which the reference reads as the last row of the embedding.
    tokens = np.where(case["tok"] < 0, 19, case["tok"])
    with torch.no_grad():
        logits = model(
            torch.from_numpy(tokens).long(),
            torch.from_numpy(case["dt"]),
            torch.from_numpy(case["length"]).long(),
        )
    np.testing.assert_allclose(logits, case["logits"], atol=TOLERANCE, rtol=TOLERANCE)


def test_reference_weights_of_other_settings_are_refused(golden_event_ssm):
    with pytest.raises(PumiceError, match="embedding"):
        make_model(golden_event_ssm, "shd_like", vocab=21)
    other = S5Classifier(S5Config(num_classes=5, vocab=20, d_model=8, d_ssm=8, block_size=4, stages=1))
    with pytest.raises(PumiceError, match="stages_1"):
        load_reference_weights(other, golden_event_ssm.under("model/shd_like/param"))
    with pytest.raises(PumiceError, match="lack"):
        load_reference_weights(other, {})
