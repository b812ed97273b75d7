"""Zeros of pruned weights stay zeros through fine-tuning, and are zeros in the program, where counting sees them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pumice.hw_sim.counts import count
from pumice.program import reference
from pumice.program.random.programs import random_sample
from pumice.quantize.distillation.judge import Judge
from pumice.quantize.families import lower
from pumice.quantize.qat import fine_tune
from pumice.quantize.tuning import FamilyTuning
from pumice.train.data.events.batch import EventBatch
from pumice.train.data.listed import ListedData
from pumice.train.pruning import Pruning, entries, prunable
from pumice.train.settings import LoggingSettings, SystemSettings, TrainingSettings

RECIPE = TrainingSettings(epochs=1, warmup_epochs=0, batch_size=1, weight_decay=0.0, lr=1e-2, sparsity=0.75)
QUIET = LoggingSettings(csv=False, tensorboard=False, progress=False)


@pytest.fixture(params=["s5", "adlif"])
def made(request, build, build_spiking):
    """A calibrated QAT model, a batch for it, and what its weights were before they were pruned."""
    if request.param == "s5":
        made = build(seed=1)
        batch = EventBatch.of(made.batch, torch.zeros(len(made.batch.lengths), 5))
    else:
        made = build_spiking({"cell": "se-adlif"}, kind="counts")
        with torch.no_grad():  # zero at the start
            made.qat.model.cells[0].recurrent.normal_(generator=torch.Generator().manual_seed(3)).mul_(0.1)
        batch = made.batch
    Pruning(made.qat.model, replace(RECIPE, sparsity_from=0.0, sparsity_until=0.0), 1).after(1)
    return made.qat, batch


def zeros_of(qat):
    return {name: entries(weight.detach()) == 0 for name, weight in prunable(qat.model).items()}


def test_fine_tuning_and_lowering_keep_them(made, tmp_path):
    qat, batch = made
    zeros, before = zeros_of(qat), {name: weight.detach().clone() for name, weight in prunable(qat.model).items()}
    data, judge = ListedData([batch] * 6, [], 5), Judge.of_batches("validation", [batch])
    tuning, system = FamilyTuning(epochs=2, lr=0.1), SystemSettings()
    fine_tune(qat, data, judge, tmp_path, tuning, training=RECIPE, system=system, logs=QUIET, seed=0, info={})
    after = zeros_of(qat)
    assert all(torch.equal(after[name], zeros[name]) for name in zeros)
    assert all(not torch.equal(before[name], prunable(qat.model)[name]) for name in zeros)  # the others learned

    program = lower(qat, tuple("abcde"))
    shares = {
        f"{node.name}.{tensor.name}": float(np.mean(np.asarray(tensor.codes) == 0))
        for node in program
        for tensor in node.weight_tensors()
        if tensor.name != "table" and not tensor.name.endswith("[1]")  # D
    }
    assert len(shares) >= 3
    assert all(share >= 0.74 for share in shares.values()), shares
    traces = reference.run(program, [random_sample(program, 0, 40)], trace=True)
    found = count(program, traces)
    done, dense = (sum(found.sum(kind, what) for kind in ("mac", "ac")) for what in ("effective", "dense"))
    assert done < 0.4 * dense
