"""A network that snnTorch trained on spoken digits, through the whole chain: the same class for every test sample."""

from __future__ import annotations

import json

import numpy as np
import pumice
import pytest
import torch
from pumice.cli.main import main
from runs import check_same_integers
from torch import nn
from torch.nn.functional import cross_entropy

nir = pytest.importorskip("nir")
snntorch = pytest.importorskip("snntorch")
writer = pytest.importorskip("snntorch.export_nir")

HIDDEN, EPOCHS = 64, 10
SETTINGS = ["task=spoken-digits-binned", "training=adlif-spoken-digits", "system.threads=1", "logging.progress=false"]
SETTINGS += ["quantize.qat.epochs=1", "quantize.widths.synapses=16", "quantize.widths.decoder=16"]
SETTINGS += [
    "quantize.max_dead_zone=1",
    "simulate.backends=[reference,twin,run,step,onnx,c]",
]
SETTINGS += [f"simulate.samples.{name}=20" for name in ("twin", "onnx", "c")]
SETTINGS += ["export.step_samples=1", "export.float_samples=4", "export.qdq_samples=4"]


class Network(nn.Module):
    """Two layers of Leaky neurons with snnTorch's defaults, fed a bin a step."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList([nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, classes)])
        self.neurons = nn.ModuleList(
            snntorch.Leaky(beta=torch.full((width,), beta), threshold=torch.ones(width))
            for width, beta in ((HIDDEN, 0.9), (classes, 0.95))
        )

    def forward(self, inputs):
        """Spikes of the last layer, (B, T, C)."""
        driven = self.layers[0](inputs)
        hidden, last = (neurons.reset_mem() for neurons in self.neurons)
        out = []
        for step in driven.unbind(1):
            spikes, hidden = self.neurons[0](step, hidden)
            spikes, last = self.neurons[1](self.layers[1](spikes), last)
            out.append(spikes)
        return torch.stack(out, 1)


def rates(network, batch):
    """Share of the labelled bins in which each output spikes, (B, C)."""
    counted = (batch.blocks == 1).float()
    return (network(batch.inputs) * counted.unsqueeze(2)).sum(1) / counted.sum(1, keepdim=True)


def trained(data):
    network = Network(140, 20)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(EPOCHS):
        for batch in data.train_dataloader():
            optimizer.zero_grad()
            cross_entropy(20 * rates(network, batch), batch.targets[:, 1]).backward()
            optimizer.step()
    return network.eval()


def write(network, path):
    modules = [module for pair in zip(network.layers, network.neurons, strict=True) for module in pair]
    nodes = {str(at): writer._extract_snntorch_module(module) for at, module in enumerate(modules)}
    held = {"input": nir.Input({"input": np.array([140])}), **nodes, "output": nir.Output({"output": np.array([20])})}
    nir.write(path, nir.NIRGraph(held, list(zip(held, list(held)[1:], strict=False)), type_check=False))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_trained_by_snntorch_imported_quantized_simulated_and_exported(tmp_path, capsys):
    torch.set_num_threads(1)
    data = pumice.load_data("spoken-digits-binned", seed=0)
    network = trained(data)
    source, folder = tmp_path / "net.nir", tmp_path / "run"
    write(network, source)

    def call(*words):
        with pytest.raises(SystemExit) as ended:
            main([*words, *SETTINGS, f"run_dir={folder}"])
        assert ended.value.code == 0, capsys.readouterr().err

    call("import", "nir", str(source))
    note = json.loads((folder / "stages/train.json").read_text())["figures"]["imported"]["understood"]
    assert "neurons reset by their threshold in the step after the spike" in note[0]
    model, same, right, total = pumice.load_model(folder), 0, 0, 0
    with torch.no_grad():
        for batch in data.batches("test"):
            theirs = rates(network, batch)
            ours, targets = batch.apply(model)
            same += int((ours.argmax(1) == theirs.argmax(1)).sum())
            right += int((theirs.argmax(1) == targets).sum())
            total += len(targets)
    print(f"snnTorch {right} of {total} right, Pumice the same class in {same}")
    assert total == 400
    assert same == total
    assert right > 0.4 * total
    for verb in (
        ["quantize"],
        ["simulate"],
        ["export", "target=onnx"],
        ["export", "target=c"],
        ["export", "target=nir"],
    ):
        call(*verb)
    check_same_integers(folder)
    figures = json.loads((folder / "stages/simulate.json").read_text())["figures"]
    print({key: figures[key] for key in figures if "accuracy" in key or "agree" in key})
