"""The QAT model: the frozen forward in float64 gives the reference's integers; fine-tuning sees the same arithmetic."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from pumice.errors import PumiceError
from pumice.hw_sim import simulator
from pumice.program import reference
from pumice.quantize.lowering import make_program
from pumice.quantize.s5.frozen import FrozenS5Classifier
from pumice.quantize.weights import load_frozen, save_frozen
from safetensors.torch import load_file, save_file

KINDS = {
    **{
        f"{kind}-{pooling}-{norm}": {"discretization": kind, "pooling": pooling, "head": head, "norm": norm}
        for kind, (pooling, head), norm in itertools.product(
            ("async", "dirac", "zoh"),
            (("last", "last"), ("avgpool", "pool"), ("timepool", "timepool")),
            ("layer", "batch"),
        )
    },
    "rectangular": {"expansion": 2, "conj_sym": False},
    "stride-3-mean": {"stride": 3, "pooling": "avgpool", "expansion": 2},
    "stride-3-time": {"stride": 3, "pooling": "timepool", "head": "pool", "clip_eigs": True},
    "no-stride": {"stride": 1, "head": "timepool"},
    "dense": {"vocab": None, "in_features": 6, "head": "timepool"},
    "one-layer": {"stages": 1, "layers_per_stage": 1, "pooling": "timepool"},
}
WIDTHS = {
    "w2-coarse": {"gate": 2, "skip": 2, "activation": 6, "residual": 12, "decay": 8, "read": 8},
    "state-20": {"state": 20, "read": 12},
    "state-32": {"state": 32},
    "state-8": {"state": 8, "read": 8},
    "wide": {"input": 16, "output": 16, "feedthrough": 16, "gate": 16, "skip": 16, "activation": 12},
}


def differences(made):
    """(node, sample, values that differ) where the frozen model and the reference part; and the logits' SQNR, dB."""
    frozen = made.qat.freeze()
    classes = made.model.config.num_classes
    program = make_program(
        frozen.nodes(), frozen.logits, made.pairing, [str(number) for number in range(classes)], None
    )
    logits, trace = frozen.trace(made.batch)
    assert torch.equal(frozen(*made.batch), logits)
    found, compared = [], 0
    for sample, expected in enumerate(reference.run(program, made.samples)):
        states = {f"{name}:state": state for name, state in expected.states.items()}
        for name, values in {**expected.values, **states}.items():
            if name in ("token", "dense") or "gap" in name:
                continue
            ours = trace[name][sample].numpy()
            ours, values = (ours[: len(values)], values) if ours.ndim == 2 else (ours[None], values[-1:])
            compared += values.size
            if ours.shape != values.shape or (ours != values).any():
                found.append((name, sample, np.argwhere(ours != values).tolist()))
        scale = 2.0 ** -program[program.logits].output.frac
        assert (logits[sample].numpy() == expected.logits * scale).all()
    for mode in (simulator.run, simulator.run_stepwise):
        ours = np.stack([trace.logits for trace in mode(program, made.samples)])
        assert (logits.numpy() == ours * scale).all()
    assert compared > 1000
    float_logits = made.model(*made.batch).detach().double()
    return found, float(10 * torch.log10(float_logits.square().sum() / (logits - float_logits).square().sum()))


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_model_gives_the_integers_of_the_reference(build, kind):
    found, sqnr = differences(build(KINDS[kind]))
    assert found == []
    assert sqnr > 20


@pytest.mark.parametrize(
    "widths", [pytest.param(name, marks=pytest.mark.thorough if name == "wide" else ()) for name in WIDTHS]
)
def test_the_same_at_other_widths(build, widths):
    assert differences(build({"expansion": 2}, widths=WIDTHS[widths]))[0] == []


@pytest.mark.parametrize("head", ["pool", "timepool"])
def test_the_same_with_the_next_gap(build, head):
    assert differences(build({"head": head, "pooling": "timepool"}, pairing="next"))[0] == []


def test_saturated_states_are_the_same(build):
    made = build()
    for layer in made.qat.layers:
        layer.state_frac += 3  # far too fine: stores saturate
    assert differences(made)[0] == []
    _, trace = made.qat.freeze().trace(made.batch)
    assert (trace["stages/0/layers/0/ssm:state"][0] == 2**15 - 1).any()


def test_layers_have_widths_of_their_own(build):
    made = build(layers={"stages.0.layers.1": {"state": 20, "gate": 4}})
    assert differences(made)[0] == []
    nodes = {node.name: node for node in made.qat.freeze().nodes()}
    assert nodes["stages/0/layers/1/ssm"].state_width == 20
    assert nodes["stages/0/layers/0/ssm"].state_width == 16
    assert np.abs(nodes["stages/0/layers/1/gate"].weights[0]).max() <= 7
    assert np.abs(nodes["stages/0/layers/0/gate"].weights[0]).max() > 7


@pytest.mark.parametrize("kind", ["async-avgpool-layer", "zoh-timepool-batch", "dense", "stride-3-mean"])
def test_fine_tuning_computes_what_is_frozen(build, kind):
    """In float64 exactly; in float32 nearly always, as its sums are not exact."""
    made = build(KINDS[kind], double=True)
    assert torch.equal(made.qat(*made.batch), made.qat.freeze()(*made.batch))
    made = build(KINDS[kind])
    exact = made.qat.freeze()(*made.batch)
    assert (made.qat(*made.batch).double() - exact).norm() < 0.02 * exact.norm()


@pytest.mark.parametrize("kind", ["async-last-layer", "zoh-timepool-batch", "rectangular", "stride-3-time", "dense"])
def test_every_parameter_learns(build, kind):
    made = build(KINDS[kind])
    made.qat.train()
    logits = made.qat(*made.batch)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
    for name, parameter in made.qat.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_gradients_are_those_of_the_float_model(build):
    """With fine formats the straight-through gradient tends to the true one."""
    widths = {"activation": 12, "state": 32, "input": 16, "output": 16, "feedthrough": 16, "gate": 16, "embedding": 16}
    made = build({"discretization": "zoh"}, double=True, widths={**widths, "decoder": 16})
    target = torch.tensor([0, 1, 2, 3])
    gradients = []
    for model, qat in ((made.qat, True), (made.model, False)):
        torch.nn.functional.cross_entropy(model(*made.batch), target).backward()
        named = (made.qat.model if qat else made.model).named_parameters()
        gradients.append({name: parameter.grad for name, parameter in named})
    for name, exact in gradients[1].items():
        assert (gradients[0][name] - exact).norm() < 0.05 * exact.norm() + 1e-4, name


def test_frozen_scales_stay(build):
    made = build()
    qat = made.qat.train()
    qat.freeze_scales()
    before = qat.freeze()
    with torch.no_grad():
        for parameter in qat.model.parameters():
            parameter.mul_(4.0)
    after = qat.freeze()
    gate = "stages/0/layers/0/gate:weight_fracs/0"
    assert torch.equal(before.state_dict()[gate], after.state_dict()[gate])
    qat.scales_frozen.fill_(False)
    assert torch.equal(qat.freeze().state_dict()[gate], before.state_dict()[gate] - 2)


def test_scales_freeze_by_themselves(build):
    made = build()
    qat = made.qat.train()
    qat.freeze_scales_after = 2
    for expected in (False, False, True):
        qat(*made.batch)
        assert bool(qat.scales_frozen) is expected


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")
def test_a_device_is_asked_once_what_was_counted(build):
    """On one without data asking fails."""
    qat = build().qat.train()
    qat.freeze_scales_after = 9
    qat.count_batch()
    assert (qat.held("batches_seen"), qat.held("scales_frozen")) == (1, 0)
    kept = qat.state_dict()
    qat.to("meta")
    qat.count_batch()
    assert (qat.held("batches_seen"), qat.held("scales_frozen")) == (2, 0)
    qat.load_state_dict(kept)
    with pytest.raises(RuntimeError, match="meta"):
        qat.held("batches_seen")


def test_frozen_model_survives_the_disk(build, tmp_path):
    made = build({"norm": "batch", "expansion": 2})
    frozen = made.qat.freeze()
    save_frozen(tmp_path / "frozen.safetensors", frozen, {"note": "x"})
    loaded, info = load_frozen(tmp_path / "frozen.safetensors")
    assert info == {"note": "x"}
    assert torch.equal(loaded(*made.batch), frozen(*made.batch))
    save_file(frozen.state_dict(), tmp_path / "plain.safetensors")
    other = FrozenS5Classifier(made.qat.freeze().nodes(), frozen.weight_us)
    other.get_buffer("stages/0/layers/0/gate:weights/0").zero_()
    assert not torch.equal(other(*made.batch), frozen(*made.batch))
    other.load_state_dict(load_file(tmp_path / "plain.safetensors"))
    assert torch.equal(other(*made.batch), frozen(*made.batch))


def test_damaged_frozen_weights_are_one_sentence(build, tmp_path):
    path = tmp_path / "frozen.safetensors"
    with pytest.raises(PumiceError, match="does not exist"):
        load_frozen(path)
    save_frozen(path, build().qat.freeze(), {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(PumiceError, match="cannot be read"):
        load_frozen(path)


def test_the_qat_model_is_a_copy(build):
    made = build()
    with torch.no_grad():
        made.qat.model.decoder.weight.zero_()
    assert made.model.decoder.weight.any()


def test_tokens_outside_the_vocabulary(build):
    made = build()
    tokens = made.batch[0].clone()
    tokens[0, 0] = 20
    with pytest.raises(PumiceError, match="the model knows 0 to 19"):
        made.qat.freeze()(tokens, *made.batch[1:])


def test_intervals_that_run_backwards_are_refused(build):
    made = build()
    tokens, dt, *rest = made.batch
    dt = dt.clone()
    dt[0, 3] = -0.5
    with pytest.raises(PumiceError, match=r"-0\.5 ms runs backwards"):
        made.qat.freeze()(tokens, dt, *rest)
