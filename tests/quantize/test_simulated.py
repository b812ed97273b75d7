"""What stands for a frozen model says the same, bit for bit, of every kind of batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pumice.api.simulated import Simulated
from pumice.models.spikingssm.config import SpikingSSMConfig
from pumice.models.spikingssm.network import SpikingSSM
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.families import prepare
from pumice.quantize.qat import calibrate
from pumice.train.data.events.batch import EventBatch
from pumice.train.data.sequences.batch import IGNORED, LabelledSequence, collate_blocks
from pumice.train.data.sequences.stepwise import EventBlockBatch
from torch import nn


class Refused(nn.Module):
    """A frozen model that must not be asked."""

    def forward(self, *inputs):
        raise AssertionError("the frozen model was asked")


def both(qat, batch, asked=False):
    """What the simulator and the frozen model say of a batch."""
    frozen = qat.freeze()
    ours = Simulated(frozen, qat.timing)
    with torch.no_grad():
        expected = batch.apply(frozen)[0]
        if not asked:
            decide = getattr(frozen, "decide", None)
            ours.frozen = Refused()
            ours.frozen.decide = decide
        found = batch.apply(ours)[0]
    return found, expected


def assert_same(found, expected):
    assert found.dtype == expected.dtype == torch.float64
    assert len(expected) > 0
    assert float(expected.abs().max()) > 0
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("pairing", ["causal", "next"])
@pytest.mark.parametrize("head", ["pool", "timepool", "last"])
def test_events(build, pairing, head):
    made = build({"head": head}, pairing=pairing)
    assert_same(*both(made.qat, EventBatch.of(made.batch, torch.zeros(4, 5))))


def test_events_whose_ticks_are_no_rounded_times(build):
    """Intervals that were rounded one by one have no times that give them; the frozen model is asked."""
    made = build({"head": "timepool"})
    coarse = made.batch._replace(dt=(made.batch.dt * 2).round() / 2 + 0.5 * (made.batch.dt > 0))
    found, expected = both(made.qat, EventBatch.of(coarse, torch.zeros(4, 5)), asked=True)
    assert_same(found, expected)


@pytest.mark.parametrize("stride", [1, 4])
def test_events_that_are_labelled_one_by_one(build, stride):
    made = build({"head": "steps", "stride": stride}, lengths=(70, 57, 8, 5))
    values, dt, lengths, pool_dt = made.batch
    steps = torch.arange(dt.shape[1])
    blocks = torch.where(steps < lengths.unsqueeze(1), steps // 9 + 1, 0)
    targets = torch.zeros(len(lengths), 10, dtype=torch.int64)
    targets[:, 0] = IGNORED
    every = made.qat.model.config.answers_every
    batch = EventBlockBatch(values, pool_dt, lengths, blocks, targets, every)
    assert_same(*both(made.qat, batch))


@pytest.mark.parametrize("aggregation", ["softmax", "mean"])
def test_networks_of_neurons(build_spiking, aggregation):
    made = build_spiking({"aggregation": aggregation}, kind="counts")
    assert_same(*both(made.qat, made.batch))


def test_neurons_as_loihi_computes_them(build_spiking):
    settings = {"cell": "lif", "aggregation": "mean", "tau_out": (3.0, 9.0), "threshold": 0.05}
    made = build_spiking(settings, kind="counts", arithmetic="loihi")
    assert_same(*both(made.qat, made.batch))


@pytest.mark.parametrize("vocab", [None, 9])
def test_spiking_state_spaces(vocab):
    rng = np.random.default_rng(0)
    sequences = []
    for row, length in enumerate((40, 23, 2)):
        inputs = rng.random((length, 2)) if vocab is None else rng.integers(0, vocab, (length, 1))
        sequences.append(LabelledSequence(inputs.astype(np.float32), np.ones(length, np.int64), np.array([-1, row])))
    batch = collate_blocks(sequences)
    if vocab is not None:
        batch = batch._replace(inputs=batch.inputs[:, :, 0].long())
    source = {"in_features": 2} if vocab is None else {"vocab": vocab}
    config = SpikingSSMConfig(num_classes=3, d_model=6, d_state=6, norm_placement="pre", dt_min=0.01, **source)
    model = SpikingSSM(config, torch.Generator().manual_seed(1)).eval()
    assert_same(*both(calibrate(prepare(model, QuantizationConfig()), [batch.padded()]), batch))
