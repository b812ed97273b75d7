"""Exponents that are searched: the logits come nearer, by what is told."""

from __future__ import annotations

import copy

import torch
from pumice.quantize.exponent_search import search_exponents
from pumice.train.data.events.batch import EventBatch


def test_spoiled_exponents_are_found_again(build):
    made = build(seed=1, calibration={"method": "max"})
    batch = EventBatch.of(made.batch, torch.zeros(len(made.batch.lengths), 5))
    with torch.no_grad():
        floats = batch.apply(made.model)[0]

        def noise(qat):
            return float((batch.apply(qat)[0] - floats).double().square().sum())

        good = noise(made.qat)
        spoiled = copy.deepcopy(made.qat)
        edge = spoiled.layers[0].edges["y"]
        edge.frac = edge.frac - 4
        spoiled.freeze_scales()
        spoiled.layers[1].weights["output"].set_frac(spoiled.layers[1].weights["output"].frac.numpy() - 5)
        bad = noise(spoiled)
        changed = search_exponents(spoiled, made.qat, [batch], [floats])
    assert bad > 1.5 * good
    assert noise(spoiled) <= good
    assert sum(bits for name, bits in changed.items() if name.startswith("layers.0.edges.y")) >= 3
    outputs = len(made.qat.layers[1].weights["output"].frac)
    assert sum(bits for name, bits in changed.items() if name.startswith("layers.1.weights.output")) == 5 * outputs
    assert spoiled.scales_frozen
    spoiled.freeze()  # what was found is a program


def test_nothing_is_changed_where_nothing_helps(build_spiking):
    made = build_spiking()
    with torch.no_grad():
        floats = made.batch.apply(made.qat.eval())[0]  # no noise at all
        assert search_exponents(made.qat, None, [made.batch], [floats]) == {}
        assert torch.equal(made.batch.apply(made.qat)[0], floats)
