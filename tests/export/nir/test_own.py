"""Nodes of Pumice's own namespace: every family comes back bit for bit, and nobody else reads them by mistake."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pumice
import pytest
import torch
from pumice.errors import PumiceError
from pumice.export.nir import needs_own, vectors_path, write_own
from pumice.export.nir.own.families import FAMILIES
from pumice.export.nir.own.layout import EQUATIONS, STANDARD
from pumice.train.data.inputs import Inputs

SMALL = {"d_model": 12, "d_ssm": 8, "stride": 4}
S5 = {**SMALL, "block_size": 4}
MODELS = {
    "s5": ("s5/tiny", {"vocab": 20, **S5}),
    "s5, other settings": (
        "s5/tiny",
        {"in_features": 3, **S5, "expansion": 2, "norm": "batch", "pooling": "timepool", "head": "last"},
    ),
    "s5, bare": ("s5/tiny", {"vocab": 9, **S5, "norm": "none", "residual": False, "feedthrough": False}),
    "s5, an answer a window": ("s5/tiny", {"vocab": 20, **S5, "head": "steps"}),
    "spiking s5": ("spikings5/tiny", {"vocab": 20, **S5, "expansion": 2}),
    "real s5": ("real-s5/tiny", {"vocab": 20, **SMALL}),
    "real s5, other settings": (
        "real-s5/tiny",
        {"vocab": 20, **SMALL, "expansion": 2, "head": "attnpool", "input_gate": 3, "norm_place": "after"},
    ),
    "real s5, shared": ("real-s5/tiny", {"vocab": 9, **SMALL, "decay": "shared", "input_gate": 0, "norm": "batch"}),
    "spikingssm": ("spikingssm/smnist", {"in_features": 3, "d_model": 8, "d_state": 6}),
    "spikingssm, other settings": (
        "spikingssm/smnist",
        {"vocab": 11, "d_model": 8, "d_state": 6, "norm_placement": "post", "bidirectional": True},
    ),
    "spikingssm, trained B": (
        "spikingssm/smnist",
        {"in_features": 3, "d_model": 8, "kernel": "trainable-b", "norm_placement": "reference", "threshold": "shared"},
    ),
    "ef-adlif": ("adlif/tiny", {"in_features": 5, "cell": "ef-adlif", "hidden": [7, 9], "layers": 2}),
    "se-adlif": ("adlif/tiny", {"in_features": 5, "cell": "se-adlif", "recurrent": False, "tau_out": [5, 20]}),
    "lstm": ("adlif/tiny", {"in_features": 5, "cell": "lstm"}),
    "lif by subtraction": ("adlif/tiny", {"in_features": 5, "cell": "lif", "reset": "subtract", "rise": "one"}),
    "cuba-lif, late": (
        "adlif/tiny",
        {"in_features": 5, "cell": "cuba-lif", "reset": ["late-zero", "zero"], "layers": 2, "hidden": 6},
    ),
    "lif, refractory": ("adlif/tiny", {"in_features": 5, "cell": "lif", "refractory": 3}),
    "no leak": (
        "adlif/tiny",
        {"in_features": 5, "cell": "lif", "reset": "late-zero", "rise": "one", "tau_out": [None, None]},
    ),
}


def made(name, seed=0):
    """A model with every parameter drawn, and a few samples."""
    base, settings = MODELS[name]
    model = pumice.build_model(base, num_classes=4, seed=seed, **settings).eval()
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    with torch.no_grad():
        for key, values in model.state_dict().items():
            if any(part in key for part in ("norm", "bias", "ln_vth", "attention")):
                values.add_(0.3 * torch.rand(values.shape, generator=generator))
    samples = []
    if name == "spikingssm, other settings":  # pairs of tokens are events
        tokens = torch.from_numpy(rng.integers(0, 11, (2, 40)))
        return model, [Inputs(tokens, None, torch.tensor([40, 31]))]
    for length in (70, 48):
        x = rng.integers(0, settings["vocab"], length) if "vocab" in settings else rng.random((length, 5))
        x = x if "vocab" in settings else x[:, : settings["in_features"]].astype(np.float32)
        steps = rng.integers(0, 3000, length) if "s5" in base else np.full(length, 1000)
        samples.append((x, np.cumsum(steps)))
    return model, samples


@pytest.mark.parametrize("name", MODELS)
def test_every_family_comes_back_bit_for_bit(name, tmp_path):
    model, samples = made(name)
    figures = pumice.export_nir(model, tmp_path / "net.nir", samples, namespace="pumice")
    assert figures["samples"] == 2
    found = pumice.import_nir(tmp_path / "net.nir")
    assert type(found) is type(model)
    for key, values in model.state_dict().items():
        assert torch.equal(values, found.state_dict()[key]), key
    vectors = dict(np.load(vectors_path(tmp_path / "net.nir")))
    values, lengths = torch.from_numpy(vectors["values.0"]), torch.from_numpy(vectors["lengths.0"])
    exact = found.double().eval()
    values = values.double() if values.is_floating_point() else values
    with torch.no_grad():
        if name == "s5, an answer a window":
            return
        if "dt.0" in vectors:
            logits = exact(values, *(torch.from_numpy(vectors[f"{part}.0"]) for part in ("dt", "lengths", "pool_dt")))
        else:
            steps = torch.arange(values.shape[1])
            logits = exact(values, (steps < lengths[:, None]).long(), 2)[:, 1]
    np.testing.assert_array_equal(logits.numpy(), vectors["logits.0"])
    assert np.ptp(vectors["logits.0"]) > 0


@pytest.mark.parametrize("name", MODELS)
def test_a_node_a_part_each_says_what_it_computes(name, tmp_path):
    """By what h5py alone reads: each tensor stands in one node, under its own name, and standard nodes are NIR's."""
    model, _ = made(name)
    write_own(model, tmp_path / "net.nir")
    state, seen = {key: values.numpy() for key, values in model.state_dict().items()}, set()
    with h5py.File(tmp_path / "net.nir") as file:
        nodes = {key: {field: group[field] for field in group} for key, group in file["node/nodes"].items()}
        edges = {(a.decode(), b.decode()) for a, b in file["node/edges"][()]}
        assert {end for edge in edges for end in edge} == set(nodes)
        for key, node in nodes.items():
            kind = node["type"][()].decode()
            space, _, own = kind.rpartition(".")
            assert (space, own) in {("pumice", own), ("", own)}
            assert (own in EQUATIONS) == bool(space)
            if not space:
                assert own in {*STANDARD, "I"}
                assert "equation" not in node
            else:
                assert node["equation"][()].decode() == EQUATIONS[own]
            for field in node.keys() - {"type", "equation", "settings", "shape"}:
                place = [
                    full
                    for full in state
                    if full.replace(".", "_") in (f"{key}_{field}".replace(".", "_"), f"attention_{field}")
                    and full not in seen
                ]
                same = [full for full in place if np.array_equal(state[full], node[field][()])]
                seen |= set(same[:1])
    folded = {key for key in state if key.startswith("readout.") or key.endswith(".recurrent")}
    assert set(state) - seen == folded


def test_edges_are_the_way_of_the_data(tmp_path):
    """Of two layers of S5, the first of which pools: norm, state space and gate, the residual path beside them."""
    model = pumice.build_model("s5/tiny", num_classes=4, vocab=20, stages=1, **S5)
    write_own(model, tmp_path / "net.nir")
    with h5py.File(tmp_path / "net.nir") as file:
        edges = {(a.decode(), b.decode()) for a, b in file["node/edges"][()]}
    one, two = "stages_0_layers_0", "stages_0_layers_1"
    first = {("input", "embedding"), ("embedding", f"{one}_norm"), ("embedding", f"{one}_pool")}
    layers = {(f"{name}_{a}", f"{name}_{b}") for name in (one, two) for a, b in (("norm", "ssm"), ("ssm", "gate"))}
    between = {(f"{one}_{end}", f"{two}_norm") for end in ("gate", "pool")}
    sums = {(end, "read_out") for end in (f"{one}_gate", f"{one}_pool", f"{two}_gate")}
    assert edges == {*first, *layers, *between, *sums, ("read_out", "decoder"), ("decoder", "output")}


def test_plain_readers_stop_at_the_name(tmp_path):
    nir = pytest.importorskip("nir")
    model, samples = made("s5")
    pumice.export_nir(model, tmp_path / "net.nir", samples, namespace="pumice")
    with pytest.raises(AssertionError) as error:  # nir.read knows no such type, and says no more
        nir.read(tmp_path / "net.nir")
    assert error.traceback[-1].locals["type"].startswith("pumice.")


def test_nirs_own_nodes_are_read_by_nir(tmp_path):
    """Of an adaptive network the products and the integrators at the end."""
    nir = pytest.importorskip("nir")
    model, _ = made("ef-adlif")
    write_own(model, tmp_path / "net.nir")
    with h5py.File(tmp_path / "net.nir", "r+") as file:
        for key in ("cells_0", "cells_1"):
            assert file[f"node/nodes/{key}/type"][()] == b"pumice.AdLIF"
            del file[f"node/nodes/{key}"]
            group = file.create_group(f"node/nodes/{key}")
            group["type"] = "Scale"
            group["scale"] = np.ones(7 if key == "cells_0" else 9)
    graph = nir.read(tmp_path / "net.nir", type_check=False)
    np.testing.assert_array_equal(graph.nodes["cells_0_input"].weight, model.cells[0].input.weight.detach().numpy())
    np.testing.assert_array_equal(graph.nodes["cells_1.w_rec"].weight, model.cells[1].recurrent.detach().numpy())
    alpha = 1 - 1e-4 / graph.nodes["readout"].tau
    np.testing.assert_allclose(alpha, model.readout.tau.decay().detach().numpy(), rtol=1e-6)
    folded = model.readout.linear.weight.detach().double().numpy() * (1 - alpha)[:, None]
    np.testing.assert_allclose(graph.nodes["readout_input"].weight, folded, rtol=1e-5)


def test_what_nir_holds_is_written_in_nirs_nodes_all_the_same(lif_network, rows, tmp_path):
    pytest.importorskip("nir")
    network = lif_network()
    assert not needs_own(network)
    pumice.export_nir(network, tmp_path / "a.nir", rows(1, 30), namespace="pumice")
    pumice.export_nir(network, tmp_path / "b.nir", rows(1, 30))
    with h5py.File(tmp_path / "a.nir") as one, h5py.File(tmp_path / "b.nir") as other:
        kinds = [[node["type"][()] for node in file["node/nodes"].values()] for file in (one, other)]
    assert kinds[0] == kinds[1]


def test_without_the_request_the_refusal_names_it(tmp_path):
    pytest.importorskip("nir")
    model, samples = made("s5")
    with pytest.raises(PumiceError, match=r"encoder/0: its modes are complex.*nir\.namespace=pumice"):
        pumice.export_nir(model, tmp_path / "net.nir", samples)
    with pytest.raises(PumiceError, match=r"nir\.namespace=norse is unknown; use pumice, or null"):
        pumice.export_nir(model, tmp_path / "net.nir", samples, namespace="norse")
    assert not list(tmp_path.iterdir())


def test_surrogate_networks_stay_outside(tmp_path):
    model = pumice.build_model("spikings5/tiny", num_classes=3, vocab=9, inference="sdn", **S5)
    with pytest.raises(PumiceError, match=r"inference=sdn evaluates neurons by a surrogate network in a file"):
        write_own(model, tmp_path / "net.nir")
    model = pumice.build_model("spikings5/tiny", num_classes=3, vocab=9, sdn="other.pt", **S5)
    write_own(model, tmp_path / "net.nir")
    assert pumice.import_nir(tmp_path / "net.nir").config.sdn is None
    assert set(FAMILIES) == {"s5", "real-s5", "spikings5", "spikingssm", "adlif"}


def test_changed_files_are_refused_by_node(tmp_path):
    path = tmp_path / "net.nir"
    models = {name: made(name)[0] for name in ("s5", "ef-adlif")}

    def refused(change, sentence, name="s5"):
        write_own(models[name], path)
        with h5py.File(path, "r+") as file:
            change(file["node"])
        with pytest.raises(PumiceError, match=sentence) as error:
            pumice.import_nir(path)
        assert len(str(error.value)) < 400

    def put(group, name, value):
        if name in group:
            del group[name]
        group[name] = value

    def settings(node, **changes):
        told = json.loads(node["metadata/pumice/model"][()])
        put(node["metadata/pumice"], "model", json.dumps({**told, **changes}))

    ssm, norm = "nodes/stages_0_layers_0_ssm", "nodes/stages_0_layers_0_norm"
    refused(lambda node: put(node, "metadata/pumice/namespace", "other"), "nodes of another namespace than pumice")
    refused(lambda node: put(node, "metadata/pumice/format_version", 2), "metadata of another version than 1")
    refused(lambda node: put(node, "metadata/pumice/model", "{" * 9000), "has damaged metadata")
    refused(lambda node: settings(node, family="s4"), "has damaged metadata")
    refused(lambda node: settings(node, sdn=3), "has no setting 'sdn'")
    refused(lambda node: settings(node, stages=10**12), "declares more than|more than .* modes")
    refused(lambda node: settings(node, d_model=1 << 40), "declares more than 67,108,864 weights")
    refused(
        lambda node: settings(node, norm="batch"), "norm is a pumice.LayerNorm, its settings say a pumice.BatchNorm"
    )
    refused(lambda node: settings(node, discretization="zoh"), "says discretization=async, the model's settings zoh")
    refused(lambda node: put(node[ssm], "B", np.zeros((3, 12, 2), np.float32)), r"ssm has B of shape \(3, 12, 2\)")
    refused(lambda node: put(node[ssm], "B", np.array(["x"], dtype="S1")), r"has no float32 numbers called B")
    refused(
        lambda node: put(node[ssm], "B", np.zeros((4, 12, 2))), r"ssm \(pumice.DiagonalSSM\) has no float32 numbers"
    )
    refused(lambda node: put(node[norm], "bias", np.full(12, np.nan, np.float32)), "bias that are not finite")
    refused(lambda node: put(node[ssm], "settings/stride", 3), "says stride=3, the model's settings 4")
    refused(lambda node: node[ssm].__delitem__("settings"), "ssm has to say clip_eigs, conj_sym, discretization")
    refused(lambda node: node.__delitem__(norm), "norm (is missing|is named by an edge)|is missing")
    refused(lambda node: node.move(ssm, "nodes/more"), r"ssm \(pumice.DiagonalSSM\) is missing")
    refused(lambda node: node.copy(ssm, "nodes/more"), r"more \(pumice.DiagonalSSM\) has no place")

    def swap(node):
        edges = node["edges"][()]
        edges[edges == b"read_out"] = b"output"
        put(node, "edges", edges)

    refused(swap, "leads? to .* other than its settings say")
    adlif = "ef-adlif"
    refused(lambda node: put(node["nodes/readout"], "tau", np.zeros(4)), "readout has a time constant of 0 s", adlif)
    refused(lambda node: put(node["nodes/readout"], "type", "I"), "does not leak, though its settings say", adlif)
    refused(lambda node: put(node["nodes/cells_0"], "type", "LIF"), "is a LIF, its settings say a pumice.AdLIF", adlif)
    refused(lambda node: put(node, "metadata/pumice/dt", 0.0), "has steps of 0.0 s", adlif)
