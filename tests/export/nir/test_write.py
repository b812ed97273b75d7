"""NIR files of float networks, held against a plain loop over the file and against snnTorch."""

from __future__ import annotations

import json
import sys

import h5py
import numpy as np
import pytest
import torch
from pumice.api.nir import export_nir
from pumice.errors import PumiceError
from pumice.export.nir import read_model, vectors_path, write_nir
from pumice.program import digest
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.families import lower, prepare
from pumice.quantize.qat import calibrate
from pumice.train.data.inputs import Inputs

nir = pytest.importorskip("nir")
KINDS = {"equal time constants": (10.0, 10.0), "different ones": (5.0, 25.0)}


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS)
def written(request, lif_network, rows, tmp_path_factory):
    """A network, its file, and its vectors, 120,000 steps of neurons."""
    network, path = lif_network(request.param, seed=3), tmp_path_factory.mktemp("nir") / "net.nir"
    figures = export_nir(network, path, rows())
    assert figures["neuron_steps"] == 120_000
    assert figures["spikes"] > 3000
    return network, path, dict(np.load(vectors_path(path)))


def differing(vectors, found):
    """How many spikes of ``found[sample][layer]`` are not those of the vectors, and of how many."""
    wrong = total = 0
    for sample, layers in enumerate(found):
        for layer, spikes in enumerate(layers):
            right = vectors[f"spikes.{sample}.cells_{layer}.lif"]
            wrong, total = wrong + int((np.asarray(spikes) != right).sum()), total + right.size
    return wrong, total


def test_a_plain_loop_over_the_file_gives_every_spike_and_potential(written):
    """By what h5py alone reads: Euler's step of NIR's equations, in float64."""
    _, path, vectors = written
    with h5py.File(path) as file:
        nodes = {name: {key: held[()] for key, held in group.items()} for name, group in file["node/nodes"].items()}
    dt, found = 1e-4, []
    for sample in range(5):
        series = []
        for layer in range(2):
            rows = vectors[f"x.{sample}"] if not layer else series[-1]
            drive, cell, back = (nodes[f"cells_{layer}{part}"] for part in ("_input", ".lif", ".w_rec"))
            v, z, out = np.zeros(40), np.zeros(40), []
            for row in rows:
                current = drive["weight"] @ row + drive["bias"] + back["weight"] @ z
                v = v + dt / cell["tau"] * (cell["r"] * current - v)
                z = (v > cell["v_threshold"]).astype(float)
                v = np.where(z == 1, cell["v_reset"], v)
                out.append(z)
            series.append(np.array(out))
        found.append(series)
        o, drive, last = np.zeros(4), nodes["readout_input"], nodes["readout"]
        for step, row in enumerate(series[-1]):
            o = o + dt / last["tau"] * (last["r"] * (drive["weight"] @ row + drive["bias"]) - o)
            np.testing.assert_allclose(o, vectors[f"potentials.{sample}"][step], rtol=1e-9, atol=1e-12)
    assert differing(vectors, found) == (0, 120_000)


def test_snntorch_gives_every_spike(written):
    reader = pytest.importorskip("snntorch.import_nir")
    _, path, vectors = written
    graph = reader._replace_rnn_subgraph_with_nirgraph(nir.read(path))
    found = []
    for sample in range(5):
        rows, series = torch.from_numpy(vectors[f"x.{sample}"]), []
        for layer in range(2):
            linear, cell = (
                reader._nir_to_snntorch_module(graph.nodes[f"cells_{layer}{part}"], init_hidden=True)
                for part in ("_input", "")
            )
            with torch.no_grad():
                rows = torch.stack([cell(linear(row[None]))[0].float() for row in rows])
            series.append(rows.numpy())
        found.append(series)
    assert differing(vectors, found) == (0, 120_000)


def test_weights_come_back_bit_for_bit(written):
    network, path, _ = written
    found = read_model(path)
    assert found.config == network.config
    for name, values in network.state_dict().items():
        assert torch.equal(values, found.state_dict()[name]), name


OTHERS = {
    "currents": {"cell": "cuba-lif", "reset": "late-subtract", "rise": "one", "tau_u": (3.0, 9.0)},
    "currents, folded": {"cell": "cuba-lif", "recurrent": False},
    "subtraction": {"reset": ("subtract", "late-zero")},
    "no leak": {"rise": "one", "tau_u": (None, None), "tau_out": (None, None), "reset": "subtract"},
    "held": {"refractory": 3, "reset": ("zero", "subtract")},
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_neurons_and_resets_are_what_a_plain_loop_over_the_file_gives(name, lif_network, rows, tmp_path):
    network, path = lif_network(seed=2, **{"threshold": 0.9, **OTHERS[name]}), tmp_path / "net.nir"
    with torch.no_grad():
        for cell in network.cells:
            cell.input.weight.mul_({"currents": 2, "no leak": 0.01, "currents, folded": 8}.get(name, 1))
            if cell.recurrent.shape[1]:
                cell.recurrent.mul_(0.1)
    figures = export_nir(network, path, rows(2, 200))
    assert 0.03 < figures["spikes"] / figures["neuron_steps"] < 0.6
    vectors, graph, dt = dict(np.load(vectors_path(path))), nir.read(path), 1e-4
    wrong = 0
    for sample in range(2):
        series = vectors[f"x.{sample}"]
        for layer, reset in enumerate(network.config.resets):
            drive, cell = (graph.nodes[f"cells_{layer}{part}"] for part in ("_input", ".lif"))
            back = graph.nodes.get(f"cells_{layer}.w_rec")
            v, z, i, out, theta = np.zeros(40), np.zeros(40), np.zeros(40), [], cell.v_threshold
            rest = np.zeros(40)
            for row in series:
                arriving = drive.weight @ row + drive.bias + (back.weight @ z if back is not None else 0)
                if isinstance(cell, nir.CubaLIF):
                    arriving = i = i + dt / cell.tau_syn * (cell.w_in * arriving - i)
                tau = getattr(cell, "tau", getattr(cell, "tau_mem", None))
                before = v
                v = v + dt * cell.r * arriving if tau is None else v + dt / tau * (cell.r * arriving - v)
                v = np.where(rest > 0, before, v)
                if reset.startswith("late"):
                    v = np.where(z == 1, 0 if reset == "late-zero" else v - theta, v)
                z = ((v > theta) & (rest == 0)).astype(float)
                rest = np.where(z == 1, network.config.refractory, np.maximum(rest - 1, 0))
                v = np.where(z == 1, {"zero": 0 * v, "subtract": v - theta}.get(reset, v), v)
                out.append(z)
            series = np.array(out)
            wrong += int((series != vectors[f"spikes.{sample}.cells_{layer}.lif"]).sum())
    assert wrong == 0
    kinds = {type(node).__name__ for node in graph.nodes.values()} - {"Input", "Output", "Affine", "Linear"}
    expected = {"currents": {"CubaLIF", "LI"}, "currents, folded": {"CubaLIF", "LI"}, "no leak": {"IF", "I"}}
    assert kinds == expected.get(name, {"LIF", "LI"})
    told = graph.metadata["pumice"]["reset"]
    said = {"subtraction": "layer 0: by subtraction, at once", "currents, folded": "to v_reset = 0, at once"}
    said["held"] = "layer 0: to v_reset = 0, at once"
    assert told.startswith(said.get(name, "by subtraction"))
    held = graph.metadata["pumice"].get("refractory", "")
    assert held.startswith("for 3 steps after a spike v^ = v") if name == "held" else not held
    assert read_model(path).config == network.config


def test_layers_of_which_some_neurons_leak_are_refused(lif_network, tmp_path):
    network = lif_network(rise="one", tau_u=(5.0, None))
    with torch.no_grad():
        network.cells[1].tau_u.p[:2] = 1.0
    with pytest.raises(PumiceError, match=r"cells.1: some neurons leak and others do not, which no NIR node has"):
        write_nir(network, tmp_path / "net.nir")


def test_the_file_says_its_reset_rounding_units_and_codes(lif_network, rows, tmp_path):
    network, samples = lif_network(), rows(2, 60)
    qat = prepare(network, QuantizationConfig(max_dead_zone=1.0))
    batch = Inputs(torch.from_numpy(np.stack(samples)), None, torch.tensor([60, 60]))
    program = lower(calibrate(qat, [batch]), tuple("abcd"))
    write_nir(network, tmp_path / "net.nir", program, dt=1e-3)
    graph = nir.read(tmp_path / "net.nir")
    told = graph.metadata["pumice"]
    assert (told["dt"], told["format_version"]) == (1e-3, 1)
    assert "to v_reset = 0, at once" in told["reset"]
    assert "strictly" in told["spike"]
    assert "floor(x + 1/2)" in told["codes"]
    assert "as they are" in told["units"]
    assert told["program"]["digest"] == digest(program)
    nodes = {node["name"]: node for node in json.loads(told["program"]["nodes"])}
    for node in program:
        assert nodes[node.name]["type"] == type(node).__name__
    first = program["cells/0"]
    assert nodes["cells/0"]["input_width"] == first.input_width
    codes = told["program"]["codes"]
    np.testing.assert_array_equal(codes["cells.0:input"], first.input)
    np.testing.assert_array_equal(codes["cells.0:input_frac"], first.input_frac)
    np.testing.assert_array_equal(graph.nodes["cells_0.lif"].v_reset, np.zeros(40))
    np.testing.assert_allclose(graph.nodes["cells_0.lif"].r, graph.nodes["cells_0.lif"].tau / 1e-3)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ({"cell": "se-adlif"}, "cells/0: its neurons have an adaptation"),
        ({"cell": "ef-adlif"}, "cells/0: its neurons have an adaptation"),
        ({"cell": "lstm"}, "cells/0: its cells have gates"),
        ("s5", "encoder/0: its modes are complex"),
        ("spiking", "encoder/0: its modes are complex"),
        ("real", r"encoder/0: its real modes would be LI nodes, but the product of its outputs with a sigmoid"),
    ],
    ids=str,
)
def test_what_nir_has_no_node_for_is_refused_by_layer(kind, sentence, lif_network, float_network, tmp_path):
    if isinstance(kind, dict):
        model = lif_network(**kind)
    else:
        model = float_network(**({kind: True} if kind != "s5" else {})).model
    with pytest.raises(PumiceError, match=sentence):
        write_nir(model, tmp_path / "net.nir")
    assert not list(tmp_path.iterdir())


def test_bad_arguments_are_one_sentence(lif_network, rows, tmp_path, monkeypatch):
    network = lif_network()
    for dt in (0.0, -1.0, float("nan"), 2.0):
        with pytest.raises(PumiceError, match=r"are no seconds of a step"):
            write_nir(network, tmp_path / "net.nir", dt=dt)
    with pytest.raises(PumiceError, match=r"sample 0 has shape \(60, 5\), the model reads \(steps, 12\)"):
        export_nir(network, tmp_path / "net.nir", rows(1, 60, 5))
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(PumiceError, match=r"pip install 'pumice\[nir\]'"):
        export_nir(network, tmp_path / "net.nir", rows(1, 60))
    assert not list(tmp_path.iterdir())


def test_changed_files_are_refused(lif_network, tmp_path):
    path = tmp_path / "net.nir"

    def refused(change, sentence):
        write_nir(lif_network(), path)
        with h5py.File(path, "r+") as file:
            change(file["node"])
        with pytest.raises(PumiceError, match=sentence):
            read_model(path)

    def put(group, name, value):
        del group[name]
        group[name] = value

    told = "metadata/pumice"
    refused(lambda node: node.__delitem__("metadata"), "was not written by Pumice")
    refused(lambda node: put(node, f"{told}/format_version", 2), "metadata of version 2, this Pumice reads 1")
    refused(lambda node: put(node, f"{told}/model", "{"), "damaged metadata")
    refused(lambda node: node[told].__delitem__("parameters"), "cells.0.tau_u.p is missing")
    refused(lambda node: put(node["nodes"]["cells_0_input"], "bias", np.zeros(3)), "has 3 biases for 40 outputs")
    refused(lambda node: put(node["nodes"]["readout"], "type", "Conv2d"), r"node readout \(Conv2d\) is a convolution")
    refused(lambda node: put(node["nodes"]["cells_1.lif"], "v_reset", np.ones(40)), "lif resets to other values")
    path.write_bytes(b"no HDF5")
    with pytest.raises(PumiceError, match="is not a NIR file, or damaged"):
        read_model(path)
    with pytest.raises(PumiceError, match="does not exist"):
        read_model(tmp_path / "none.nir")


def test_snntorchs_own_import_runs_feed_forward_layers(lif_network, rows, tmp_path):
    """Without the read-out, an LI that it does not know."""
    reader = pytest.importorskip("snntorch.import_nir")
    network = lif_network(recurrent=False, hidden=[30, 20])
    export_nir(network, tmp_path / "net.nir", rows(2, 200))
    vectors, graph = dict(np.load(tmp_path / "net_io.npz")), nir.read(tmp_path / "net.nir")
    assert not [name for name in graph.nodes if "w_rec" in name]
    nodes = {name: node for name, node in graph.nodes.items() if not name.startswith("readout")}
    nodes["output"] = nir.Output({"output": np.array([20])})
    edges = [edge for edge in graph.edges if edge[0] in nodes and edge[1] in nodes and "output" not in edge]
    kept = nir.NIRGraph(nodes, [*edges, ("cells_1.lif", "output")])
    for sample in range(2):
        run, found = reader.import_from_nir(kept), []
        with torch.no_grad():
            for row in torch.from_numpy(vectors[f"x.{sample}"]):
                given = run(row[None])
                found.append((given[0] if isinstance(given, tuple) else given)[0].numpy())
        assert vectors[f"spikes.{sample}.cells_1.lif"].sum() > 50
        np.testing.assert_array_equal(np.array(found), vectors[f"spikes.{sample}.cells_1.lif"])
