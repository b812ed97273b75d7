"""What inspect and diff say about programs whose contents are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from pumice.hw_sim.inspection import dead_zones, diff, diff_table, inspect, inspection_table
from pumice.program import digest
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program
from rich.console import Console


def rendered(group) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(group)
    return console.export_text()


def test_inspect_counts_memory_by_node():
    program = random_program(3, stages=1, layers=1, stride=2, norm="layer", value="token", width=4, modes=3)
    data = json.loads(json.dumps(inspect(program)))
    nodes = {node["name"]: node for node in data["nodes"]}
    assert nodes["embedding"]["weight_bits"] == 11 * 4 * 8
    ssm = program["stages/0/layers/0/ssm"]
    described = nodes["stages/0/layers/0/ssm"]
    assert described["state_bits"] == 2 * 3 * ssm.state_width
    assert described["tensors"]["decay_re"] == {"shape": [ssm.digits, 3], "bits": 15}
    assert described["rate"] == 1
    assert nodes["stages/0/layers/0/y"]["rate"] == 2
    assert nodes["decoder"]["rate"] == 0
    assert data["weight_bits"] == sum(node["weight_bits"] for node in data["nodes"])
    assert set(data["tables"]) == {"stages/0/layers/0/gelu", "stages/0/layers/0/sigmoid"}
    assert data["digest"] == digest(program)
    text = rendered(inspection_table(data))
    assert "stages/0/layers/0/ssm" in text
    assert f"{data['weight_bits'] / 8:,.0f}" in text


def test_registers_follow_the_bounds():
    program = random_program(3)
    for node, described in zip(program, inspect(program)["nodes"], strict=True):
        for what, bound in node.bounds().items():
            assert described["registers"][what]["register"] == ("i32" if bound < 1 << 30 else "i64")


def test_dead_zone_of_a_known_decay():
    node = random_program(3, modes=1, digits=1, state_width=16)["stages/0/layers/0/ssm"]
    half = replace(
        node, decay_re=np.array([[-(1 << 6)]]), decay_im=np.array([[0]]), decay_exponent=np.array([[8]])
    )  # a = 3/4
    zone = dead_zones(half)[node.name]
    assert zone["max"] == pytest.approx(0.71 / 0.25)
    assert zone["share"] == pytest.approx(0.71 / 0.25 / 32767)
    never = replace(half, decay_re=np.array([[0]]))
    assert dead_zones(never)[node.name]["share"] == 1.0


def test_a_program_does_not_differ_from_itself():
    result = diff(random_program(4), random_program(4))
    assert result == {"identical": True, "only_first": [], "only_second": [], "order": False, "changed": []}
    assert "identical" in rendered(diff_table(result))


def test_diff_names_every_change():
    program = random_program(4, value="token", layers=1, stages=1)
    table = program["embedding"].table.copy()
    table[2, 0], table[3, 1] = 0, 0
    was = np.abs(program["embedding"].table.astype(int) - table)
    changed = replace(program["embedding"], table=table)
    nodes = tuple(changed if node.name == "embedding" else node for node in program)
    other = replace(program, nodes=nodes, class_names=("a", "b", "z"))
    result = diff(program, other)
    assert not result["identical"]
    names, tensor = result["changed"]
    assert names == {"node": "program", "field": "class_names[2]", "first": "c", "second": "z"}
    assert (tensor["differing"], tensor["largest"]) == (int((was > 0).sum()), int(was.max()))
    json.dumps(result)
    assert "class_names[2]" in rendered(diff_table(result))


def test_diff_of_programs_of_other_shapes():
    result = diff(random_program(4, stages=1, width=3), random_program(4, stages=2, width=4))
    assert result["only_second"]
    assert any("shape" in str(entry.get("first")) for entry in result["changed"])
    rendered(diff_table(result))


def test_clocked_networks_are_described():
    program = random_network(
        5, value="dense", cell="se", layers=1, hidden=4, inputs=3, classes=2, recurrent=True, state_width=16
    )
    data = json.loads(json.dumps(inspect(program)))
    neurons, readout = (next(n for n in data["nodes"] if n["name"] == name) for name in ("cells/0", "readout"))
    node = program["cells/0"]
    assert data["series"] == "readout"
    assert neurons["tensors"]["recurrent"] == {"shape": [4, 4], "bits": node.recurrent_width}
    assert neurons["tensors"]["coupling"] == {"shape": [4], "bits": node.constant_width}
    assert readout["tensors"]["weight"]["bits"] == program["readout"].weight_width
    assert neurons["state_bits"] == 4 * (16 + 16 + 1)
    assert readout["state_bits"] == 2 * 16
    assert set(data["dead_zones"]) == {"cells/0:u", "cells/0:w", "readout"}
    slowest = int(node.beta.max()) / 2**node.beta_frac
    assert data["dead_zones"]["cells/0:w"]["max"] == pytest.approx(0.5 / (1 - slowest))
    text = rendered(inspection_table(data))
    for piece in ("AdaptiveLIF", "spikes", "one row a step, no gaps", "read at every step: readout"):
        assert piece in text


def test_diff_of_neurons_names_the_constants_that_changed():
    program = random_network(5, value="dense", cell="ef", layers=1)
    node = program["cells/0"]
    slower = replace(node, beta=np.zeros_like(node.beta), coupling=np.zeros_like(node.coupling))
    other = replace(program, nodes=tuple(slower if entry is node else entry for entry in program))
    changed = {(entry["node"], entry["field"]) for entry in diff(program, other)["changed"]}
    assert changed == {("cells/0", "beta"), ("cells/0", "coupling")}


def test_diff_of_a_decay_shared_by_a_layer_and_one_a_neuron():
    shared = random_loihi(3, value="dense", layers=1, own=False)
    node = shared["cells/0"]
    apart = replace(node, dv=np.full(node.neurons, node.dv))
    other = replace(shared, nodes=tuple(apart if entry is node else entry for entry in shared))
    (entry,) = diff(shared, other)["changed"]
    assert entry == {"node": "cells/0", "field": "dv", "first": node.dv, "second": f"shape ({node.neurons},)"}


def test_a_single_unit_is_a_difference():
    program = random_program(1, value="dense", stages=1, layers=1)
    node = program["decoder"]
    bias = node.bias.astype(np.int64)
    bias[1] -= 1
    other = replace(program, nodes=(*program.nodes[:-1], replace(node, bias=bias)))
    (entry,) = diff(program, other)["changed"]
    assert entry == {"node": "decoder", "field": "bias", "entries": 3, "differing": 1, "largest": 1}


@pytest.mark.parametrize("seed", [0, 3, 8])
def test_the_share_of_zeros_is_that_of_all_products(seed):
    """Every code that multiplies an input or a state, one by one."""
    program = random_program(seed)
    zeros = total = 0
    for node in program:
        for tensor in node.weight_tensors():
            if tensor.name != "table":
                for code in np.asarray(tensor.codes).reshape(-1).tolist():
                    zeros, total = zeros + (code == 0), total + 1
    data = inspect(program)
    assert data["zero_weights"] == zeros / total
    assert f"{100 * zeros / total:.1f} % of weights are zero" in rendered(inspection_table(data))
