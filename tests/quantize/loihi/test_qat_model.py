"""Networks for Loihi: the scan against the reference, and the way from a float model to a program."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.models.adlif.build import build_adlif
from pumice.program import Program, digest, load, reference, save
from pumice.program.nodes import SPIKES, DenseInput, LoihiLIF, Readout
from pumice.program.random.loihi import random_loihi
from pumice.quantize.config import Calibration, QuantizationConfig, Widths
from pumice.quantize.families import FAMILIES, lower, prepare
from pumice.quantize.loihi.layer import QuantLoihiLayer, Source, synapse_codes
from pumice.quantize.loihi.loop import Dynamics
from pumice.quantize.loihi.report import lowering_report
from pumice.quantize.loihi.scan import loihi_scan
from pumice.quantize.lowering import make_program
from pumice.quantize.qat import calibrate
from pumice.train.data.sequences.batch import LabelledSequence, collate_blocks

FEATURES, CLASSES = 7, 4
LOIHI = QuantizationConfig(arithmetic="loihi")


def float_model(seed=0, **changed):
    values = {"cell": "lif", "layers": 2, "hidden": 12, "aggregation": "mean", "tau_out": [3, 9], "threshold": 0.05}
    return build_adlif({**values, **changed}, num_classes=CLASSES, in_features=FEATURES, seed=seed)


def make_batch(rng, most=3, rows=6, steps=40):
    sequences = []
    for row in range(rows):
        length = steps - 3 * row
        inputs = rng.integers(0, most + 1, (length, FEATURES)).astype(np.float32)
        sequences.append(LabelledSequence(inputs, (np.arange(length) >= 5).astype(np.int64), np.array([-1, row % 4])))
    return collate_blocks(sequences)


def calibrated(batch, config=None, **changed):
    return calibrate(prepare(float_model(**changed), config or LOIHI), [batch.padded()])


@pytest.mark.parametrize("implementation", ["numba", "torch"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_the_scan_is_the_reference(implementation, dtype, seed):
    """Spikes, both states and what was lost, of whole layers, wraps and clips among them."""
    program = random_loihi(seed, value="dense", layers=1, weight_exponent=0)
    node = next(node for node in program if isinstance(node, LoihiLIF))
    rng = np.random.default_rng(seed)
    x = rng.integers(node.format.min, node.format.max + 1, (3, 30, node.weight.shape[1]))
    samples = [(row, np.arange(30)) for row in x.astype(np.float64)]
    found = loihi_scan(
        torch.from_numpy(x @ node.weight.astype(np.int64).T).to(dtype),
        torch.tensor(node.recurrent).to(dtype),
        torch.tensor(node.bias).to(dtype),
        Dynamics(node.du, node.dv, node.vth),
        implementation=implementation,
    )
    states = torch.cat([found.u, found.v * (1 - found.z)], dim=2)
    for row, trace in enumerate(reference.run(program, samples)):
        np.testing.assert_array_equal(found.z[row].numpy(), trace.values[node.name])
        np.testing.assert_array_equal(states[row].numpy(), trace.states[node.name])
        assert int(found.lost[row]) == trace.saturations[node.name]


EACH = Dynamics(np.arange(9) * 500, np.arange(9)[::-1] * 50, 300 + np.arange(9) * 50)


@pytest.mark.parametrize("dynamics", [Dynamics(3000, 250, 500), EACH], ids=["shared", "own"])
@pytest.mark.parametrize("recurrent", [True, False])
def test_both_scans_have_the_same_gradients(recurrent, dynamics):
    generator = torch.Generator().manual_seed(0)
    drive = (150 * torch.randn(6, 30, 9, generator=generator, dtype=torch.float64)).round().requires_grad_()
    shape = (9, 9 if recurrent else 0)
    weight = (60 * torch.randn(shape, generator=generator, dtype=torch.float64)).round().requires_grad_()
    bias = (20 * torch.randn(9, generator=generator, dtype=torch.float64)).round().requires_grad_()
    inputs = [drive, bias, *([weight] if recurrent else [])]
    found = []
    for implementation in ("numba", "torch"):
        z = loihi_scan(drive, weight, bias, dynamics, implementation=implementation).z
        assert 0.01 < float(z.detach().mean()) < 0.9
        found.append(torch.autograd.grad((z * torch.arange(1.0, 10)).sum(), inputs))
    for mine, other in zip(*found, strict=True):
        assert mine.abs().max() > 0
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


@given(bits=st.integers(2, 8), seed=st.integers(0, 1000))
def test_weights_are_what_a_synapse_holds(bits, seed):
    weight = np.random.default_rng(seed).normal(0, 200, 50)
    codes, unit = synapse_codes(weight, bits), 2 ** (9 - bits)
    assert not (codes % unit).any()
    assert np.abs(codes).max() <= 254
    inside = np.abs(weight) <= 254 // unit * unit
    assert np.abs(codes - weight)[inside].max(initial=0) <= unit / 2


def test_a_frozen_model_gives_the_program_s_integers(tmp_path):
    rng = np.random.default_rng(1)
    batch = make_batch(rng)
    frozen = calibrated(batch).freeze()
    program = make_program(frozen.nodes(), frozen.logits, "causal", tuple("abcd"), None)
    save(program, tmp_path / "program.npz")
    assert digest(load(tmp_path / "program.npz")) == digest(program)
    assert program.series == "output"
    _, trace = frozen.trace(batch.padded())
    lengths = batch.lengths.tolist()
    samples = [(batch.inputs[row, :length].numpy(), np.arange(length)) for row, length in enumerate(lengths)]
    spikes = 0
    for row, found in enumerate(reference.run(program, samples)):
        length = len(samples[row][1])
        for name, codes in found.values.items():
            if name != program.logits:
                np.testing.assert_array_equal(trace[name][row, :length].numpy(), codes)
        for name, codes in found.states.items():
            np.testing.assert_array_equal(trace[f"{name}:state"][row, :length].numpy(), codes)
        np.testing.assert_array_equal(found.series, found.values["output"])
        rates = np.floor(2.0**12 * found.series.sum(0) / length + 0.5)
        np.testing.assert_array_equal(found.logits, rates)
        spikes += int(found.series.sum())
    assert spikes > 20


def test_the_qat_model_computes_as_it_is_frozen():
    batch = make_batch(np.random.default_rng(2))
    qat = calibrated(batch).eval()
    frozen = qat.freeze()
    for name, layer in qat.quantized().layers.items():
        node = next(node for node in frozen.nodes() if node.name == name)
        np.testing.assert_array_equal(layer.weight.detach().numpy(), node.weight)
        np.testing.assert_array_equal(layer.bias.detach().numpy(), node.bias)
    with torch.no_grad():
        torch.testing.assert_close(
            qat(batch.inputs, batch.blocks, 2).double(), frozen(batch.inputs, batch.blocks, 2), rtol=1e-5, atol=1e-6
        )


def test_fine_tuning_reaches_every_weight_and_lowers_the_loss():
    batch = make_batch(np.random.default_rng(3), rows=12, steps=60)
    qat = calibrated(batch).train()
    optimizer = torch.optim.Adam(qat.model.parameters(), lr=5e-3)
    losses = []
    for _ in range(40):
        logits, labels = batch.apply(qat)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    names = {name for name, tensor in qat.model.named_parameters() if tensor.grad is not None and tensor.grad.any()}
    assert {"cells.0.input.weight", "cells.1.recurrent", "cells.1.input.bias", "readout.linear.weight"} <= names
    assert min(losses[-5:]) < losses[0] - 0.2


def test_neurons_of_one_decay_keep_their_response():
    """With one time constant for all, a layer is the float layer but for rounding: it spikes at the same steps."""
    batch = make_batch(np.random.default_rng(4), most=1)
    model = float_model(layers=1, tau_u=[10, 10])
    qat = calibrated(batch, layers=1, tau_u=[10, 10])
    program = lower(qat, tuple("abcd"))
    node = program["cells/0"]
    assert node.du == 4095
    assert node.dv == round(4096 * (1 - np.exp(-1 / 10)))
    _, trace = qat.freeze().trace(batch.padded())
    with torch.no_grad():
        expected, _ = model.cells[0].sequence(batch.inputs)
    real = torch.arange(batch.inputs.shape[1]) < batch.lengths[:, None]
    assert expected[real].mean() > 0.005
    assert (trace["cells/0"][real] == expected[real]).double().mean() > 0.99


def test_report_tells_decays_and_clipped_weights():
    qat = calibrated(make_batch(np.random.default_rng(5)))
    with torch.no_grad():
        qat.model.cells[0].input.weight[0, 0] = 1e3
        qat.model.cells[0].input.bias[1] = -1e6
    report = lowering_report(qat, lower(qat, tuple("abcd")))
    assert [entry["layer"] for entry in report] == ["cells.0", "cells.1", "readout"]
    assert report[0]["clipped_weights"]["input"] >= 1
    assert report[0]["clipped_weights"]["bias"] == 1
    assert report[0]["du"] == 4095


def test_a_potential_beyond_all_thresholds_leaves_a_threshold():
    layer = QuantLoihiLayer(2, 8, "cells.0")
    ones = torch.ones(2, 1)
    source = Source(ones, ones[:, 0], ones[:, :0], 0.9 * ones[:, 0])
    layer.set_scale(source, threshold=1.0, peak=1e9, method="max")
    assert layer.dynamics.vth == 1


def test_what_cannot_run_on_loihi_is_refused_by_name():
    batch = make_batch(np.random.default_rng(6))
    with pytest.raises(PumiceError, match="cell=se-adlif has an adaptation"):
        prepare(float_model(cell="se-adlif"), LOIHI)
    with pytest.raises(PumiceError, match="cell=lstm is no spiking neuron"):
        prepare(float_model(cell="lstm"), LOIHI)
    with pytest.raises(PumiceError, match="cell=cuba-lif has a synaptic current"):
        prepare(float_model(cell="cuba-lif"), LOIHI)
    with pytest.raises(PumiceError, match="reset=subtract, and Loihi's LIF neurons reset to zero at once"):
        prepare(float_model(reset="subtract"), LOIHI)
    with pytest.raises(PumiceError, match="refractory=2, and Lava's fixed-point LIF neurons have no refractory time"):
        prepare(float_model(refractory=2), LOIHI)
    with pytest.raises(PumiceError, match="synapses of 12 bits, Loihi's have up to 8"):
        prepare(float_model(), QuantizationConfig(arithmetic="loihi", widths=Widths(synapses=12)))
    with pytest.raises(PumiceError, match="the input holds fractions"):
        calibrated(batch._replace(inputs=batch.inputs / 2))
    with pytest.raises(PumiceError, match="not calibrated"):
        prepare(float_model(), LOIHI).freeze()


TAU = np.linspace(5, 25, 8)
FLOAT_SPIKES = [50, 33, 25, 20, 16, 13, 12, 10]


def driven_spikes(shared, steps=400, drive=1.3):
    """Spikes of eight neurons of other time constants under a constant drive, and their layer."""
    layer = QuantLoihiLayer(8, 8, "cells.0", shared)
    weight = torch.full((8, 1), drive, dtype=torch.float64)
    source = Source(weight, torch.zeros(8, dtype=torch.float64), weight[:, :0], torch.tensor(np.exp(-1 / TAU)))
    layer.set_scale(source, threshold=1.0, peak=drive, method="mse")
    node = layer.node("cells/0", "dense", SPIKES, source)
    values = {"output": SPIKES, "format": SPIKES, "size": 8, "mode": "last", "extra_bits": 0, "window": 0}
    nodes = (
        DenseInput(name="dense", inputs=(), output=SPIKES, size=1),
        node,
        Readout(name="logits", inputs=("cells/0",), decay_shift=0, **values),
    )
    program = Program(nodes=nodes, logits="logits", pairing="causal", class_names=tuple("abcdefgh"))
    (trace,) = reference.run(program, [(np.ones((steps, 1)), np.arange(steps))])
    return trace.values["cells/0"].sum(axis=0).tolist(), layer, source


def test_neurons_under_a_drive_that_lasts_spike_as_in_float():
    u, expected = np.zeros(8), np.zeros(8, dtype=int)
    for _ in range(400):
        u = np.exp(-1 / TAU) * u + (1 - np.exp(-1 / TAU)) * 1.3
        expected, u = expected + (u > 1), np.where(u > 1, 0, u)
    assert expected.tolist() == FLOAT_SPIKES
    spikes, layer, source = driven_spikes(shared=False)
    assert spikes == FLOAT_SPIKES
    assert layer.slower(source) == 0


@pytest.mark.parametrize("shared", [False, True])
def test_currents_that_enter_as_they_are_keep_their_strength(shared):
    """The same neuron written with 1 - a in its weights and with ``rise`` one: the same codes."""
    batch = make_batch(np.random.default_rng(3))
    leaking, rising = float_model(), float_model(rise="one")
    rising.load_state_dict(leaking.state_dict())
    with torch.no_grad():
        for layer in (*rising.cells, rising.readout):
            linear = layer.linear if layer is rising.readout else layer.input
            loss = 1 - (layer.tau if layer is rising.readout else layer.tau_u).decay()
            for values in (linear.weight, linear.bias, *([] if layer is rising.readout else [layer.recurrent])):
                values.mul_(loss.reshape(-1, *[1] * (values.ndim - 1)))
    settings = replace(LOIHI, shared_param=shared)
    found = []
    for model in (leaking, rising):
        qat = prepare(model, settings).eval()
        calibrate(qat, [batch.padded()])
        found.append(qat.freeze().nodes())
    for one, two in zip(*found, strict=True):
        if isinstance(one, LoihiLIF):
            np.testing.assert_array_equal(one.each("dv"), two.each("dv"))
            np.testing.assert_allclose(one.each("vth"), two.each("vth"), rtol=0.01)
            assert np.abs(one.weight.astype(int) - two.weight).max() <= 4


def test_a_shared_decay_says_whom_it_silences():
    spikes, layer, source = driven_spikes(shared=True)
    assert spikes == [80, 44, 26, 16, 0, 0, 0, 0]
    assert layer.slower(source) == 5  # the fourth loses 0.0757 a step by itself, and 0.0818 as the layer does
    batch = make_batch(np.random.default_rng(0))
    model = calibrated(batch, QuantizationConfig(arithmetic="loihi", shared_param=True))
    program = lower(model, class_names=tuple("abcd"))
    assert isinstance(program["cells/0"].dv, int)
    report = lowering_report(model, program)
    assert report[0]["slower"] > 0
    table = FAMILIES["loihi"].report(model, program).table()
    assert f"{report[0]['slower']} of cells.0" in table.caption
    assert "quantize.shared_param=false gives each neuron its own" in table.caption
    own = calibrated(batch)
    report = FAMILIES["loihi"].report(own, lower(own, class_names=tuple("abcd")))
    assert "slower" not in report.table().caption


def test_each_neuron_keeps_its_decay_and_fills_its_range():
    model = calibrated(
        make_batch(np.random.default_rng(0)),
        QuantizationConfig(arithmetic="loihi", calibration=Calibration(method="max")),
    )
    node = lower(model, class_names=tuple("abcd"))["cells/0"]
    decay = model.model.cells[0].tau_u.decay().detach().double().numpy()
    np.testing.assert_array_equal(node.dv, np.rint(4096 * (1 - decay)))
    both = np.abs(np.hstack([node.weight, node.recurrent])).max(axis=1)
    assert ((both >= 252) | (node.vth == node.vth.max())).all()
    assert len(np.unique(node.vth)) > 1


def test_a_decay_of_zero_is_refused():
    """A time constant of 1e5 steps loses less than half a 4096th a step."""
    model = calibrated(make_batch(np.random.default_rng(0)), tau_u=[1e5, 1e5])
    with pytest.raises(PumiceError, match=r"cells\.0: the potential of neuron 0 decays so slowly that its dead zone"):
        lower(model, class_names=tuple("abcd"))
    with pytest.raises(PumiceError, match=r"state of 24 bits.*; train with time constants below 8192 steps, or raise"):
        lower(model, class_names=tuple("abcd"))
    assert lower(calibrated(make_batch(np.random.default_rng(0)), tau_u=[8e3, 8e3]), class_names=tuple("abcd"))


def test_a_checkpoint_of_a_shared_decay_continues():
    """Calibrated models of before held one dv and one vth a layer."""
    model = calibrated(make_batch(np.random.default_rng(0)), QuantizationConfig(arithmetic="loihi", shared_param=True))
    codes = {f"layers.{number}.code" for number in range(3)}
    before = {name: value[:, 0] if name in codes else value for name, value in model.state_dict().items()}
    other = prepare(float_model(), LOIHI)
    other.load_state_dict(before)
    for mine, found in zip(model.layers, other.layers, strict=True):
        assert torch.equal(mine.code, found.code)


def test_sharing_is_a_setting_of_loihi():
    with pytest.raises(PumiceError, match=r"shared_param=3 has to be true, false or null"):
        QuantizationConfig(arithmetic="loihi", shared_param=3)
    with pytest.raises(PumiceError, match=r"shared_param is for quantize\.arithmetic=loihi alone"):
        QuantizationConfig(shared_param=False)
