"""Counts of clocked networks against NeuroBench 2.3, which sees W, V and W_o as float linear layers, step by step.

docs/op_counts.md says what lies outside its definitions.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
from neurobench.models import TorchModel
from pumice.hw_sim.counts import count, neurobench
from pumice.program import reference
from pumice.program.arithmetic import round_half_up_shift, saturate
from pumice.program.nodes import AdaptiveLIF, CubaLIF, LoihiLIF, Neurons
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_sample
from pumice.program.reference.neurons import (
    adaptation,
    adapted_drive,
    before_store,
    counted,
    fired,
    potential,
    synapse,
)
from torch import nn


def linear_layer(weight, bias):
    layer = nn.Linear(weight.shape[1], weight.shape[0]).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))
    return layer


class Spiking(nn.Module):
    """What is left of a layer behind its matrices, as an activation layer: products with the constants, threshold."""

    def __init__(self, node):
        super().__init__()
        self.node = node
        self.u = self.w = self.z = self.c = np.zeros(node.neurons, dtype=np.int64)

    def forward(self, own, recurrent):
        node = self.node
        drive = np.left_shift(own.numpy().astype(np.int64)[0], node.input_shift) + node.bias
        if node.is_recurrent:
            drive = drive + np.left_shift(recurrent.numpy().astype(np.int64)[0], node.recurrent_shift)
        drive = round_half_up_shift(drive, node.current_shift)
        adaptive, u, z = isinstance(node, AdaptiveLIF), self.u, self.z
        if adaptive:
            drive = adapted_drive(node, drive, self.w)
        elif isinstance(node, CubaLIF):
            self.w, _ = saturate(synapse(node, self.w, drive), node.synapse)
            drive = self.w
        integrated, _ = saturate(before_store(node, u, potential(node, u, drive), self.c), node.potential)
        self.u, self.z = fired(node, integrated, self.c)
        self.c = counted(node, self.c, self.z)
        if adaptive:
            seen = (self.u, self.z) if node.order == "se" else (u, z)
            self.w, _ = saturate(adaptation(node, self.w, *seen), node.adaptation)
        return torch.tensor(self.z).double()[None]


class Layer(nn.Module):
    """Neurons behind their matrices; biases are added with the neurons, at the sum's fractional bits."""

    def __init__(self, node):
        super().__init__()
        self.node, self.neurons = node, Spiking(node)
        none = np.zeros(node.neurons)
        self.input = linear_layer(node.input, none)
        self.recurrent = linear_layer(node.recurrent, none) if node.is_recurrent else None

    def forward(self, x):
        before = torch.tensor(self.neurons.z).double()[None]
        return self.neurons(self.input(x), self.recurrent(before) if self.recurrent is not None else None)


class Network(nn.Module):
    """One time step of a clocked program a call: the last layer's spikes, and their products with W_o.

    W_o has a bias, which NeuroBench does not count.
    """

    def __init__(self, program):
        super().__init__()
        self.cells = nn.ModuleList(Layer(node) for node in program if isinstance(node, Neurons))
        self.node = program["readout"]
        self.readout = linear_layer(self.node.weight, np.arange(self.node.channels) + 1.0)

    def forward(self, x):
        for cell in self.cells:
            x = cell(x)
        return x, self.readout(x)


def measured(program, traces):
    """NeuroBench's metrics of the network fed with the codes of each sample, and the spikes of its last layer."""
    sums, spikes = [], []
    zeros = outputs = 0
    for trace in traces:
        net = Network(program)
        model = TorchModel(net)
        model.add_activation_module(Spiking)
        model.register_hooks()
        with torch.no_grad():
            steps = [model(torch.tensor(row).double()[None])[0] for row in trace.values["dense"]]
        spikes.append(torch.cat(steps).numpy().astype(np.int64))
        data = (torch.zeros(1, 1), torch.zeros(1))
        sums.append(SynapticOperations()(model, None, data))
        made = sum(step.numel() for hook in model.activation_hooks for step in hook.activation_outputs)
        zeros += round(ActivationSparsity()(model, None, data) * made)
        outputs += made
        model.cleanup_hooks()
    means = {name: sum(entry[name] for entry in sums) / len(sums) for name in sums[0]}
    return {**means, "ActivationSparsity": zeros / outputs}, spikes


CASES = [
    (cell, kind, seed)
    for cell in ("lif", "cuba", "se", "ef")
    for kind in ("ternary", "counts", "real")
    for seed in (1, 2)
]


@pytest.mark.parametrize(("cell", "kind", "seed"), CASES)
def test_equals_neurobench(cell, kind, seed):
    program = random_network(seed, value="dense", cell=cell, input=kind, inputs=6, hidden=9)
    traces = reference.run(program, [random_sample(program, index, steps) for index, steps in enumerate((15, 9))])
    found, spikes = measured(program, traces)
    last = program["readout"].inputs[0]
    for trace, mine in zip(traces, spikes, strict=True):
        np.testing.assert_array_equal(mine, trace.values[last])  # the network is the program
    counts = count(program, traces)
    assert neurobench(counts) == found
    # and by our own definitions: the same sums, over two samples
    totals = counts.totals()
    assert totals["effective_macs"] == 2 * found["Effective_MACs"]
    assert totals["effective_acs"] == 2 * found["Effective_ACs"]
    assert totals["dense_macs"] == 2 * found["Dense"]


@pytest.mark.parametrize(("kind", "seed"), [("spikes", 1), ("ternary", 2), ("counts", 3), ("counts", 4)])
def test_matrices_of_loihis_own_neurons_equal_neurobench(kind, seed):
    program = random_loihi(seed, value="dense", input=kind, inputs=6, hidden=9, recurrent=True)
    traces = reference.run(program, [random_sample(program, seed, 15)])
    fed = []
    for node in program:
        if isinstance(node, LoihiLIF):
            spikes = traces[0].values[node.name]
            fed.append((linear_layer(node.weight, node.bias), traces[0].values[node.inputs[0]]))
            if node.is_recurrent:
                before = np.concatenate([np.zeros_like(spikes[:1]), spikes[:-1]])
                fed.append((linear_layer(node.recurrent, np.zeros(node.neurons)), before))
    model = TorchModel(nn.ModuleList(layer for layer, _ in fed))
    model.register_hooks()
    with torch.no_grad():
        for layer, rows in fed:
            for row in rows:
                layer(torch.tensor(row).double()[None])
    synaptic = SynapticOperations()(model, None, (torch.zeros(1, 1), torch.zeros(1)))
    model.cleanup_hooks()
    found = neurobench(count(program, traces))
    assert {name: found[name] for name in synaptic} == synaptic


def test_the_cases_cover_macs_and_spikes_of_every_kind():
    spiking, multiplied, silent = set(), set(), 0
    for cell, kind, seed in CASES:
        program = random_network(seed, value="dense", cell=cell, input=kind, inputs=6, hidden=9)
        found = neurobench(count(program, reference.run(program, [random_sample(program, 0, 15)])))
        silent += found["ActivationSparsity"] == 1
        if found["Effective_ACs"]:
            spiking.add((cell, kind))
        if found["Effective_MACs"]:
            multiplied.add(kind)
    assert len(spiking) == 12
    assert silent < 4
    assert multiplied >= {"counts", "real"}
    assert {
        random_network(seed, value="dense", input="counts", inputs=6, hidden=9)["cells/0"].is_recurrent
        for seed in range(9)
    } == {
        True,
        False,
    }
