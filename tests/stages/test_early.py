"""Early decisions: beginnings of recordings, heard on the way, are decided as if they were whole."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pumice.hw_sim.simulator.along import WARM, duration_s, latency, running
from pumice.models.adlif.config import AdLIFConfig
from pumice.models.adlif.network import AdLIFNetwork
from pumice.models.real_s5.classifier import RealS5Classifier
from pumice.models.real_s5.config import RealS5Config
from pumice.models.s5.classifier import S5Classifier
from pumice.models.s5.config import S5Config
from pumice.program import reference
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample
from pumice.stages.early import SHARES, _of_blocks, cuts
from pumice.train.data.sequences.batch import BlockBatch

SIZES = {"num_classes": 3, "d_model": 8, "d_ssm": 8, "stages": 2, "layers_per_stage": 1, "stride": 2}


@pytest.mark.parametrize("kind", ["s5", "real-s5"])
@pytest.mark.parametrize("head", ["pool", "timepool", "last", "attnpool"])
def test_beginnings_of_events_are_decided_as_if_they_were_whole(kind, head):
    if kind == "s5" and head == "attnpool":
        pytest.skip("S5 has no such head")
    made = S5Classifier if kind == "s5" else RealS5Classifier
    model = (
        made((S5Config if kind == "s5" else RealS5Config)(vocab=20, head=head, pooling="avgpool", **SIZES))
        .double()
        .eval()
    )
    rng = torch.Generator().manual_seed(1)
    lengths = torch.tensor([13, 9])
    tokens = torch.randint(0, 20, (2, 16), generator=rng)
    dt = torch.rand(2, 16, generator=rng, dtype=torch.float64) * (torch.arange(16) < lengths.unsqueeze(1))
    heard = torch.tensor([[0, 3, 4, 7, 13], [0, 1, 5, 8, 9]])
    with torch.no_grad():
        found = model.running(tokens, dt, lengths, None, heard)
        for row in range(2):
            for column, end in enumerate(heard[row].tolist()):
                alone = model(tokens[row : row + 1, :end], dt[row : row + 1, :end], torch.tensor([end]))
                torch.testing.assert_close(found[row, column], alone[0])


@pytest.mark.parametrize("aggregation", ["softmax", "mean"])
def test_beginnings_of_steps_are_decided_as_if_they_were_whole(aggregation):
    config = AdLIFConfig(in_features=5, num_classes=3, hidden=6, cell="se-adlif", aggregation=aggregation)
    model = AdLIFNetwork(config, torch.Generator().manual_seed(0)).double().eval()
    inputs = (torch.rand(2, 12, 5, generator=torch.Generator().manual_seed(2)) > 0.3).double() * 4
    blocks = torch.tensor([[0] * 2 + [1] * 10, [1] * 8 + [0] * 4])
    batch = BlockBatch(inputs, blocks, torch.tensor([[-1, 2], [-1, 0]]), torch.tensor([12, 8]))
    heard = torch.tensor([[1, 5, 6, 12], [2, 2, 7, 8]])
    with torch.no_grad():
        found = _of_blocks(model, batch, heard)
        for row in range(2):
            for column, end in enumerate(heard[row].tolist()):
                own = blocks[row : row + 1, :end]
                alone = model(inputs[row : row + 1, :end], own, 2)[0, 1]
                steps = int(own.sum()) if aggregation == "mean" else 1
                torch.testing.assert_close(found[row, column], alone * steps)


@pytest.mark.parametrize("program", [random_program(8), random_program(1, pairing="next"), random_network(0)])
def test_programs_hear_a_recording_once(program):
    samples = [random_sample(program, seed, length) for seed, length in ((0, 30), (1, 2), (2, 17))]
    heard = np.array([[2, 3, 3, 18, 30], [0, 1, 2, 2, 2], [2, 9, 10, 16, 17]])
    found = running(program, samples, heard)
    for row, (values, times) in enumerate(samples):
        for column, end in enumerate(heard[row].tolist()):
            if end:
                (alone,) = reference.run(program, [(values[:end], times[:end])])
                np.testing.assert_array_equal(found[row, column], alone.logits)


def test_parts_of_a_recording_are_parts_of_its_time():
    times = np.array([1000, 1000, 1100, 1500, 1501, 2000])
    found = dict(zip(SHARES, cuts(times).tolist(), strict=True))
    assert [found[share] for share in (0.05, 0.1, 0.5, 0.55, 1.0)] == [2, 3, 4, 5, 6]
    assert len(SHARES) == 20
    assert cuts(times[:0]).tolist() == [0] * 20


def test_an_event_alone_is_timed_by_the_clock():
    program = random_program(8)
    values, times = random_sample(program, 0, WARM + 100)
    took = np.array([*np.full(97, 4), 50, 60, 70]) * 1000
    gaps = [*np.full(WARM, 900), *np.stack([np.full(100, 7000), took], axis=1).ravel()]  # the first are not timed
    ticks = iter(np.cumsum(gaps).tolist())
    found = latency(program, (values, times), lambda: next(ticks))
    assert found["events"] == 100
    assert found["median_us"] == 4
    assert 50 <= found["p99_us"] <= 70
    covered = (times[-1] - times[WARM - 1]) * 1000
    assert found["real_time"] == pytest.approx(covered / took.sum())
    assert latency(program, (values[:WARM], times[:WARM])) is None


def test_steps_without_a_length_last_no_time():
    program = SimpleNamespace(clocked=True, step_us=None)
    assert duration_s(program, [(None, np.array([0, 5]))]) is None
    program.step_us = 5
    assert duration_s(program, [(None, np.array([0, 5])), (None, np.array([])), (None, np.array([3, 10]))]) == 12e-6
