"""Cells, read-out, aggregate, loss and gradients against the tensors of the reference implementation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pumice.models.adlif.blocks import aggregate
from pumice.models.adlif.build import build_adlif
from torch.nn.functional import cross_entropy

GOLDEN = Path(__file__).parents[2] / "golden" / "golden_seadlif.npz"
CELLS = {"se": "se-adlif", "ef": "ef-adlif", "lif": "lif"}
IGNORED = 10


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN, allow_pickle=False) as archive:
        return {name: torch.from_numpy(np.asarray(value)) for name, value in archive.items()}


def golden_network(golden, kind, implementation):
    settings = {"cell": CELLS[kind], "hidden": 8, "q": 60.0 if kind == "ef" else 120.0, "surrogate_scale": 0.4}
    network = build_adlif(settings, num_classes=3, in_features=5, seed=0)
    cell = network.cells[0]
    cell.implementation = implementation
    values = {
        cell.input.weight: "param_weight",
        cell.input.bias: "param_bias",
        cell.recurrent: "param_recurrent",
        cell.tau_u.p: "param_tau_u_trainer_weight",
        network.readout.linear.weight: "li_param_weight",
        network.readout.linear.bias: "li_param_bias",
    }
    if kind != "lif":
        values |= {cell.a: "param_a", cell.b: "param_b", cell.tau_w.p: "param_tau_w_trainer_weight"}
    with torch.no_grad():
        for parameter, name in values.items():
            parameter.copy_(golden[name])
    return network, {name.removeprefix("param_"): parameter for parameter, name in values.items()}


@pytest.mark.parametrize("implementation", ["torch", "numba"])
@pytest.mark.parametrize("kind", list(CELLS))
def test_forward_and_gradients(golden, kind, implementation):
    network, parameters = golden_network(golden, kind, implementation)
    cell, x = network.cells[0], golden["x"]
    close = {"rtol": 1e-4, "atol": 2e-5}
    torch.testing.assert_close(cell.tau_u.decay(), golden["alpha_u"])
    torch.testing.assert_close(network.readout.tau.decay(), golden["li_decay"])

    trace = cell.trace(x)
    assert torch.equal(trace.z, golden[f"{kind}_z"])
    assert trace.z.any()
    torch.testing.assert_close(trace.u_pre, golden[f"{kind}_u_pre"], **close)
    torch.testing.assert_close(trace.u_pre * (1 - trace.z.detach()), golden[f"{kind}_u_post"], **close)
    torch.testing.assert_close(trace.state.u, golden[f"{kind}_u_post"][:, -1], **close)
    if kind != "lif":
        torch.testing.assert_close(cell.tau_w.decay(), golden["beta_w"])
        torch.testing.assert_close(trace.w, golden[f"{kind}_w"], **close)
        torch.testing.assert_close(trace.state.w, golden[f"{kind}_w"][:, -1], **close)

    potentials, _ = network.sequence(x)
    torch.testing.assert_close(potentials, golden[f"{kind}_li"], **close)
    blocks = (torch.arange(x.shape[1]) >= IGNORED).long().expand(len(x), -1)
    logits = network(x, blocks, 2)[:, 1]
    torch.testing.assert_close(logits, golden[f"{kind}_agg"], **close)
    torch.testing.assert_close(aggregate(potentials, blocks, 2, "softmax")[:, 1], logits)
    loss = cross_entropy(logits, golden["targets"])
    torch.testing.assert_close(loss.double(), golden[f"{kind}_loss"], rtol=1e-5, atol=0)

    loss.backward()
    for name in (name for name in parameters if not name.startswith("li_")):
        expected = golden[f"{kind}_grad_{name}"]
        grad = parameters[name].grad
        assert torch.linalg.norm(grad - expected) <= 1e-4 * torch.linalg.norm(expected), name
