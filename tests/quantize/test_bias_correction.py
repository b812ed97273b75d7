"""The mean error of logits is gone after its correction, and nothing else has changed."""

from __future__ import annotations

import torch
from pumice.quantize.bias_correction import correct_bias
from pumice.train.data.events.batch import EventBatch


def test_the_mean_error_is_taken_out(build):
    made = build({"norm": "batch"}, lengths=(64, 40), widths={"output": 4, "gate": 4})
    batch = EventBatch.of(made.batch, torch.zeros(2, 5))
    with torch.no_grad():
        floats = batch.apply(made.model)[0]
        before = {name: value.clone() for name, value in made.qat.named_parameters()}
        error = (batch.apply(made.qat.eval())[0] - floats).double()
        said = batch.apply(made.qat)[0]
        moved = correct_bias(made.qat, [said[:1], said], [floats[:1], floats])
        after = (batch.apply(made.qat)[0] - floats).double()
    rows = torch.cat([error[:1], error])  # every decision counts once
    torch.testing.assert_close(moved, -rows.mean(0), rtol=1e-5, atol=1e-6)
    unit = 2.0 ** -int(made.qat.decoder.frac + made.qat.formats().readout.frac)
    assert float((after - error - moved).abs().max()) <= unit / 2 + 1e-5
    assert [name for name, value in made.qat.named_parameters() if not torch.equal(value, before[name])] == [
        "model.decoder.bias"
    ]
    assert float(moved.abs().min()) > 10 * unit


def test_networks_of_neurons_have_no_such_bias(build, build_spiking):
    made = build()
    assert made.qat.output_bias() is made.qat.model.decoder.bias
    assert build_spiking().qat.output_bias() is None
