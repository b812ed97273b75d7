"""Networks of snnTorch itself, recurrent ones among them: its neurons' own spikes in what Pumice imports."""

import numpy as np
import pumice
import pytest
import torch

nir = pytest.importorskip("nir")
snntorch = pytest.importorskip("snntorch")
writer = pytest.importorskip("snntorch.export_nir")
SIZE, STEPS = 24, 300


def network(kind, reset, seed=0):
    """Linear, a layer of ``kind``, linear, Leaky neurons of the same reset; steps of both."""
    generator = torch.Generator().manual_seed(seed)
    alpha, beta = (torch.rand(SIZE, generator=generator) * 0.5 + 0.4 for _ in range(2))
    settings = {"reset_mechanism": reset, "init_hidden": True}
    decays = {"alpha": alpha, "beta": beta} if "Synaptic" in kind else {"beta": beta}
    more = {"linear_features": SIZE} if kind.startswith("R") else {}
    cell = getattr(snntorch, kind)(**decays, **more, threshold=torch.full((SIZE,), 0.9), **settings)
    last = snntorch.Leaky(beta=torch.full((4,), 0.8), threshold=torch.full((4,), 0.9), **settings)
    layers = [torch.nn.Linear(12, SIZE), cell, torch.nn.Linear(SIZE, 4), last]
    with torch.no_grad():
        for layer, scale in ((layers[0], 0.6), (layers[2], 0.5)):
            layer.weight.normal_(0, scale, generator=generator)
            layer.bias.normal_(0, 0.1, generator=generator)
        if more:
            cell.recurrent.weight.normal_(0, 0.15, generator=generator)
            cell.recurrent.bias.normal_(0, 0.05, generator=generator)
    return layers


def graph(layers):
    """As its exporter makes it, node by node."""
    nodes = {str(at): writer._extract_snntorch_module(layer) for at, layer in enumerate(layers)}
    held = {"input": nir.Input({"input": np.array([12])}), **nodes, "output": nir.Output({"output": np.array([4])})}
    return nir.NIRGraph(held, list(zip(held, list(held)[1:], strict=False)), type_check=False)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("kind", ["Leaky", "RLeaky", "Synaptic", "RSynaptic"])
def test_every_spike_of_both_layers(kind, reset, tmp_path):
    layers = network(kind, reset)
    nir.write(tmp_path / "net.nir", graph(layers))
    model = pumice.import_nir(tmp_path / "net.nir", reset=reset)
    assert model.config.recurrent == kind.startswith("R")
    x = (torch.rand(STEPS, 12, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    hidden, out = [], []
    with torch.no_grad():
        for row in x:
            hidden.append(layers[1](layers[0](row[None])))
            out.append(layers[3](layers[2](hidden[-1])))
        found = model.cells[0].trace(x[None]).z
        last = model.sequence(x[None])[0]
    assert 0.05 < float(torch.cat(hidden).mean()) < 0.6
    assert int((found[0] != torch.cat(hidden)).sum()) == 0
    assert int((last[0] != torch.cat(out)).sum()) == 0
