"""Runs of 100,000 steps in integers: stable neurons stay within what their first steps reach, unstable ones do not."""

import numpy as np
import pytest
import torch
from pumice.hw_sim.simulator import run
from pumice.program import Format
from pumice.quantize.adlif.codes import stability_limit
from pumice.quantize.families import lower
from pumice.quantize.qat import calibrate
from pumice.quantize.scan import NeuronCodes, quantized_neuron_scan
from pumice.train.data.inputs import Inputs

STEPS, CALIBRATED = 100_000, 1000
SIGNS = np.random.default_rng(0).integers(-1, 2, (STEPS, 4))
INPUTS = {
    "random signs": SIGNS,
    "all +1": np.ones_like(SIGNS),
    "all -1": -np.ones_like(SIGNS),
    "silence after signs": SIGNS * (np.arange(STEPS) < CALIBRATED)[:, None],
}


@pytest.mark.parametrize("cell", ["se-adlif", "ef-adlif", "lif"])
def test_states_stay_bounded(build_spiking, cell):
    """Formats from 1000 steps hold a hundred times as many: nothing saturates, and no state grows."""
    made = build_spiking({"cell": cell, "layers": 2})
    values = np.stack(list(INPUTS.values())).astype(np.float32)
    lengths = torch.full((len(values),), CALIBRATED)
    calibrate(made.qat, [Inputs(torch.from_numpy(values[:, :CALIBRATED]), None, lengths)])
    program = lower(made.qat, "abcde")
    traces = run(program, [(rows, 1000 * np.arange(STEPS)) for rows in values], trace=True, threads=1)
    assert 0.001 < traces[0].values["cells/1"].mean() < 0.7
    for name, trace in zip(INPUTS, traces, strict=True):
        assert sum(trace.saturations.values()) == 0, name
        for state in (*trace.states.values(), trace.series):
            early, late = (np.abs(half).max(axis=0) for half in np.split(state, 2))
            assert (late <= 1.5 * early + 1).all(), name


@pytest.mark.parametrize("order", ["se", "ef"])
@pytest.mark.parametrize(("share", "stable"), [(0.97, True), (1.03, False)])
def test_the_limit_of_stability_holds_in_integers(order, share, stable):
    """Feedback of every neuron at a share of its limit; inputs whose response stays far below the threshold."""
    neurons, fine = 6, 2.0**-14
    alpha, beta = (
        torch.floor(torch.exp(-1 / torch.linspace(*tau, neurons, dtype=torch.float64)) / fine) * fine
        for tau in ((5, 25), (60, 300))
    )
    coupling = torch.floor(share * stability_limit(order, alpha, beta, 1) / (1 - alpha) / fine) * fine
    recurrent, threshold = torch.zeros(neurons, neurons), torch.full((neurons,), 15.0)
    codes = NeuronCodes(recurrent, threshold, alpha, 1 - alpha, beta, coupling, torch.zeros(neurons))
    drive = torch.from_numpy(SIGNS[None, :, :1] / 4).expand(-1, -1, neurons)
    trace = quantized_neuron_scan(order, drive, codes, Format(16, True, 11), Format(16, True, 8))
    assert (trace.saturations.item() + trace.z.sum().item() == 0) == stable
    assert not stable or trace.u_pre.abs().max() < 5
