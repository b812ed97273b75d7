"""Lowering: what it reports, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pumice.errors import PumiceError
from pumice.program import digest, load, reference, save
from pumice.program.nodes import DiagonalSSM
from pumice.quantize.families import lower
from pumice.quantize.lowering import dead_zones, make_program
from pumice.quantize.qat import calibrate
from pumice.quantize.s5.report import STATES, lowering_report

NAMES = ("a", "b", "c", "d", "e")


def lowered(made, max_dead_zone=0.1):
    made.qat.config = replace(made.qat.config, max_dead_zone=max_dead_zone)
    return lower(made.qat, NAMES)


def test_the_same_weights_give_the_same_program(build, tmp_path):
    first, second = lowered(build()), lowered(build())
    assert digest(first) == digest(second)
    assert save(first, tmp_path / "program.npz") == digest(load(tmp_path / "program.npz"))


def test_report(build):
    made = build({"expansion": 2})
    program = lowered(made)
    report = lowering_report(made.qat, program)
    assert [entry["layer"] for entry in report] == [layer.geometry.path for layer in made.qat.layers]
    assert report[0]["registers"]["the decay step"] == "i32"
    assert all(entry["growing_modes"] == 0 for entry in report)


def test_dead_zone_is_measured_on_the_codes(build):
    program = lowered(build())
    ssm = next(node for node in program if isinstance(node, DiagonalSSM))
    zone = next(dead_zones(program.nodes, STATES))
    a = 1 + (ssm.decay_re[0] + 1j * ssm.decay_im[0]) * 2.0 ** -ssm.decay_exponent[0].astype(float)
    assert zone.units == pytest.approx(0.71 / (1 - np.abs(a).max()), rel=1e-6)
    assert zone.share == zone.units / 2**15


def test_a_wide_dead_zone_is_refused_and_the_named_width_cures_it(build):
    made = build()
    with torch.no_grad():
        made.model.stages[0].layers[1].ssm.log_step.sub_(7.0)
    slow = {"seed": 0}
    with pytest.raises(PumiceError, match=r"stages\.0\.layers\.1: mode .* \{state: (\d+)\}") as caught:
        lowered(_again(build, made, slow))
    width = int(str(caught.value).split("state: ")[1].split("}")[0])
    lowered(_again(build, made, slow, layers={"stages.0.layers.1": {"state": width}}))
    with pytest.raises(PumiceError, match="dead zone"):
        lowered(_again(build, made, slow, layers={"stages.0.layers.1": {"state": width - 1}}))


def _again(build, made, options, **quantization):
    """The same changed float model under other settings."""
    fresh = build(**options, **quantization)
    fresh.qat.model.load_state_dict(made.model.state_dict())
    return fresh


def test_growing_modes_are_held_and_reported(build):
    made = build({"stages": 1, "layers_per_stage": 1})
    with torch.no_grad():
        made.qat.model.stages[0].layers[0].ssm.Lambda_re[0] = 0.5
    program = lowered(made)
    assert lowering_report(made.qat, program)[0]["growing_modes"] == 1
    ssm = program["stages/0/layers/0/ssm"]
    assert ssm.digits == 20
    a = 1 + (ssm.decay_re[:, 0] + 1j * ssm.decay_im[:, 0]) * 2.0 ** -ssm.decay_exponent[:, 0].astype(float)
    assert np.abs(a).max() <= 1


@pytest.mark.parametrize("what", ["B", "C", "D", "gate", "skip", "decoder", "embedding", "everything"])
def test_all_zero_weights_work(build, what):
    made = build({"expansion": 2})
    with torch.no_grad():
        for name, parameter in made.model.named_parameters():
            everything = what == "everything" and "Lambda" not in name
            if f".{what}" in name or name.startswith(what) or everything:
                parameter.zero_()
    fresh = _again(build, made, {"settings": {"expansion": 2}})
    calibrate(fresh.qat, [fresh.batch])
    frozen = fresh.qat.freeze()
    program = make_program(frozen.nodes(), frozen.logits, "causal", NAMES, None)  # states that do not decay are fine
    logits = frozen(*fresh.batch)
    assert logits.isfinite().all()
    expected = reference.run(program, fresh.samples, trace=False)
    scale = 2.0 ** -program["decoder"].output.frac
    assert (logits.numpy() == np.stack([trace.logits for trace in expected]) * scale).all()


def test_a_row_of_zeros_in_c_leaves_d_its_precision(build):
    made = build()
    with torch.no_grad():
        for stage in made.model.stages:
            for layer in stage.layers:
                layer.ssm.C.zero_()
    fresh = _again(build, made, {})
    calibrate(fresh.qat, [fresh.batch])
    expected, found = fresh.model(*fresh.batch).double(), fresh.qat.freeze()(*fresh.batch)
    assert (found - expected).square().sum() < 1e-3 * expected.square().sum()


def test_modes_without_a_rate_are_refused(build):
    made = build()
    with torch.no_grad():
        made.qat.model.stages[0].layers[0].ssm.Lambda_re.zero_()
        made.qat.model.stages[0].layers[0].ssm.Lambda_im.zero_()
    with pytest.raises(PumiceError, match=r"stages\.0\.layers\.0: the folded weight 'input' holds NaN"):
        lowered(made)


def test_sums_that_do_not_fit_are_refused_with_the_layer(build):
    made = build()
    with torch.no_grad():
        made.qat.model.stages[1].layers[0].gate.bias.fill_(1e15)
    with pytest.raises(PumiceError, match="stages/1/layers/0/gate"):
        lowered(made)


def test_class_names_must_fit(build):
    with pytest.raises(PumiceError, match="2 class names"):
        lower(build().qat, ("a", "b"))


@pytest.mark.parametrize(
    ("pooling", "pool", "head", "readout"),
    [("last", "first", "pool", "mean"), ("avgpool", "mean", "timepool", "time"), ("timepool", "time", "last", "last")],
)
def test_pools_and_read_outs_have_the_mode_of_the_model(build, pooling, pool, head, readout):
    nodes = {node.name: node for node in build({"pooling": pooling, "head": head}).qat.freeze().nodes()}
    assert nodes["readout"].mode == readout
    for what, mode in (("u_pool", pool), ("skip_pool", pool), ("state", "first")):
        assert nodes[f"stages/0/layers/0/{what}"].mode == mode
