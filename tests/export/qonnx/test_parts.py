"""Parts without a state: they cover what they can, depend on one another in one direction, and are the program's."""

from __future__ import annotations

import json
from functools import partial

import networkx
import numpy as np
import onnx
import onnxruntime
import pytest
from pumice.errors import ParityError, PumiceError
from pumice.export.qonnx import check, kinds, reasons, runnable, split, write, write_parts
from pumice.program import digest
from pumice.program.nodes import LayerNorm, Linear, Lookup
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample

SEEDS = range(8)
PARTED = (1, 3, 5)
CHOICES = {"layers": 2, "stages": 2, "weight_width": 4, "activation_width": 8, "state_width": 8}


def drawn(seed):
    """Every other program is narrow, so that most of its sums are written."""
    return random_program(seed, **(CHOICES if seed % 2 else {}))


def samples_of(program):
    return [random_sample(program, row, 40) for row in range(2)]


def split_of(program, *leave_out):
    return split(program, reasons(program, kinds(leave_out)))


def arrays(path):
    with np.load(path) as held:
        return dict(held)


def inputs_of(held):
    return {name.removeprefix("input/"): rows for name, rows in held.items() if name.startswith("input/")}


@pytest.mark.parametrize("seed", SEEDS)
def test_each_node_is_in_one_part_or_left_out_and_no_part_waits_for_itself(seed):
    program = drawn(seed)
    parts, left_out = split_of(program)
    covered = [node.name for part in parts for node in part.nodes]
    assert sorted([*covered, *left_out]) == sorted(node.name for node in program if not node.is_input)
    home = {node.name: index for index, part in enumerate(parts) for node in part.nodes}
    quotient, whole = networkx.DiGraph(), networkx.Graph()
    for node in program:
        whole.add_node(node.name)
        for edge in node.inputs:
            a, b = (home.get(name, name) for name in (edge, node.name))
            if a != b:
                quotient.add_edge(a, b)
            elif edge in home:
                whole.add_edge(edge, node.name)
    assert networkx.is_directed_acyclic_graph(quotient)
    for part in parts:
        assert networkx.is_connected(whole.subgraph([node.name for node in part.nodes]))
        made, own = {node.name for node in part.nodes}, {node.name for node in part.inputs}
        assert own == {edge for node in part.nodes for edge in node.inputs} - made
        read = {edge for node in program if node.name not in made for edge in node.inputs}
        assert {node.name for node in part.outputs} == made & {*read, program.logits, program.series}
    assert {why for name, why in left_out.items() if program[name].keeps_state} <= {"keeps a state from event to event"}


def test_parts_end_only_where_another_way_leads_around(lowered):
    """Where a part reads another's edge, a way through what is left out leads from that edge to it as well."""
    program = lowered().program
    parts, _ = split_of(program)
    graph, ends = networkx.DiGraph([(edge, reader.name) for reader in program for edge in reader.inputs]), 0
    for part in parts:
        others = {node.name for other in parts if other is not part for node in other.nodes}
        own = {node.name for node in part.nodes}
        for node in part.inputs:
            if node.name in others:
                longer = graph.copy()
                longer.remove_edges_from([(node.name, inner) for inner in own])
                assert own & networkx.descendants(longer, node.name)
                ends += 1
    assert ends


@pytest.mark.parametrize("dialect", ["qonnx", "hls4ml"])
@pytest.mark.parametrize("seed", SEEDS)
def test_quant_nodes_give_every_value_in_a_reading_of_their_documentation(seed, dialect, reference_of, tmp_path):
    program = drawn(seed)
    if not split_of(program)[0]:
        with pytest.raises(PumiceError, match="the program has no part without a state"):
            write_parts(program, tmp_path / "parts", samples_of(program))
        return
    written = write_parts(program, tmp_path / "parts", samples_of(program), dialect)
    for part in written.manifest["parts"]:
        model, held = onnx.load(tmp_path / "parts" / part["file"]), arrays(tmp_path / "parts" / part["vectors"])
        few = {name: rows[:30] for name, rows in held.items()}
        if not len(next(iter(few.values()))):
            continue
        for name, found in reference_of(model, inputs_of(few)).items():
            np.testing.assert_array_equal(found, few[f"output/{name}"])


@pytest.mark.parametrize("seed", PARTED)
def test_qcdq_runs_in_plain_onnxruntime_with_every_value(seed, open_session, level, tmp_path):
    program = drawn(seed)
    written = write_parts(program, tmp_path / "parts", samples_of(program), "qcdq")
    assert written.values > 0
    for part in written.manifest["parts"]:
        model, held = onnx.load(tmp_path / "parts" / part["file"]), arrays(tmp_path / "parts" / part["vectors"])
        assert {node.domain for node in model.graph.node} == {""}
        if any(map(len, held.values())):
            for name, found in open_session(model, level)(**inputs_of(held)).items():
                np.testing.assert_array_equal(found, held[f"output/{name}"])


@pytest.mark.parametrize("dialect", ["qonnx", "hls4ml"])
def test_the_package_qonnx_gives_every_value(dialect, lowered, tmp_path, monkeypatch):
    core = pytest.importorskip("qonnx.core.onnx_exec", reason="the package qonnx is not installed")
    wrapper = pytest.importorskip("qonnx.core.modelwrapper")
    # it runs single nodes as models of the newest format, which onnxruntime does not read yet
    monkeypatch.setattr(core, "qonnx_make_model", partial(core.qonnx_make_model, ir_version=10))
    network, compared = lowered(), 0
    written = write_parts(network.program, tmp_path / "parts", network.samples[2:3], dialect)
    for part in written.manifest["parts"]:
        model = wrapper.ModelWrapper(str(tmp_path / "parts" / part["file"]))
        held = arrays(tmp_path / "parts" / part["vectors"])
        for row in range(min(4, *(len(rows) for rows in held.values()))):
            found = core.execute_onnx(model, {name: rows[row : row + 1] for name, rows in inputs_of(held).items()})
            for name, values in found.items():
                np.testing.assert_array_equal(values, held[f"output/{name}"][row : row + 1])
                compared += values.size
    assert compared > 100


def test_the_list_says_what_the_files_hold(lowered, tmp_path):
    network = lowered()
    program, folder = network.program, tmp_path / "parts"
    write_parts(program, folder, network.samples)
    told = json.loads((folder / "parts.json").read_text())
    assert told["program"] == digest(program)
    assert {path.name for path in folder.iterdir()} == {
        "parts.json",
        *(part[kind] for part in told["parts"] for kind in ("file", "vectors")),
    }
    for part in told["parts"]:
        model, held = onnx.load(folder / part["file"]), arrays(folder / part["vectors"])
        props = {entry.key: entry.value for entry in model.metadata_props}
        assert props["program_digest"] == digest(program)
        assert json.loads(props["nodes"]) == [entry["node"] for entry in part["nodes"]]
        assert json.loads(props["provenance"]) == dict(program.provenance)
        assert {value.name for value in model.graph.input} == {edge["name"] for edge in part["inputs"]}
        assert {value.name for value in model.graph.output} == {edge["name"] for edge in part["outputs"]}
        assert set(held) == {
            *(f"input/{edge['name']}" for edge in part["inputs"]),
            *(f"output/{edge['name']}" for edge in part["outputs"]),
        }
        for kind in ("input", "output"):
            for edge in part[f"{kind}s"]:
                form, rows = program[edge["name"]].output, held[f"{kind}/{edge['name']}"]
                assert (edge["width"], edge["frac"], edge["signed"]) == (form.width, form.frac, form.signed)
                codes = rows if edge["tokens"] else rows * 2.0 ** edge["frac"]
                assert (codes == np.round(codes)).all()
                assert rows.dtype == (np.int64 if edge["tokens"] else np.float32)
    for entry in told["left_out"]:
        assert type(program[entry["node"]]).__name__ == entry["type"]
    assert any(entry["why"].startswith("LayerNorm has no exact form") for entry in told["left_out"])


def test_what_is_not_wanted_is_left_out(lowered, tmp_path):
    program = lowered().program
    parts, left_out = split_of(program, "Lookup")
    assert not [node for part in parts for node in part.nodes if type(node) is Lookup]
    tables = [node.name for node in program if type(node) is Lookup]
    assert {left_out[name] for name in tables} == {"Lookup nodes are left out, as the dialect or the user asks"}
    with pytest.raises(PumiceError, match=r"leave_out: Table is no kind of node that is written; it takes Add, "):
        write_parts(program, tmp_path / "parts", [], leave_out=["Table"])


def test_programs_without_a_part_are_refused_in_a_sentence(tmp_path):
    program = random_network(0, value="dense", cell="lif")
    with pytest.raises(
        PumiceError, match=r"has no part without a state .*keeps a state from event to event.*target=onnx or c"
    ):
        write_parts(program, tmp_path / "parts", [])
    assert not list(tmp_path.iterdir())


def test_nothing_is_half_written(lowered, tmp_path, monkeypatch):
    network, folder = lowered(), tmp_path / "parts"
    with pytest.raises(PumiceError, match=r"dialect=onnx is unknown; use one of: qonnx, hls4ml, qcdq"):
        write_parts(network.program, folder, network.samples, "onnx")
    monkeypatch.setattr(write, "compare", lambda *_, **__: (_ for _ in ()).throw(ParityError("other values")))
    with pytest.raises(ParityError):
        write_parts(network.program, folder, network.samples)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    folder.mkdir()
    with pytest.raises(PumiceError, match=r"cannot write .*parts: File exists; choose another folder"):
        write_parts(network.program, folder, network.samples)
    assert not list(folder.iterdir())


def test_another_value_is_found(lowered, tmp_path):
    network = lowered()
    parts, _ = split_of(network.program)
    (held, *_) = check.vectors(network.program, parts, network.samples)
    model = write.build(network.program, parts[0], write.dialect_of("qonnx"))
    assert check.compare(model, held, 1) == sum(rows.size for name, rows in held.items() if name.startswith("output"))
    name = next(name for name in held if name.startswith("output/"))
    wrong = held[name].copy()
    wrong[0, 0] += network.program[name.removeprefix("output/")].output.scale
    with pytest.raises(ParityError, match=rf"1 of [\d,]+ values of {name.removeprefix('output/')} in onnxruntime"):
        check.compare(model, {**held, name: wrong}, 1)


def test_plain_onnxruntime_does_not_know_quant_and_runs_what_says_it(lowered, tmp_path):
    network = lowered()
    write_parts(network.program, tmp_path / "parts", network.samples)
    model = onnx.load(tmp_path / "parts" / "part_0.onnx")
    with pytest.raises(Exception, match="Quant"):
        onnxruntime.InferenceSession(model.SerializeToString())
    onnxruntime.InferenceSession(runnable(model).SerializeToString())


def test_layer_norms_states_and_wide_sums_are_named(lowered):
    program = lowered().program
    _, left_out = split_of(program)
    kept = [node.name for node in program if type(node) is LayerNorm or node.keeps_state]
    assert set(kept) <= set(left_out)
    wide = [name for name in left_out if type(program[name]) is Linear]
    assert wide
    assert all(left_out[name].endswith("bits, and float32 holds 24 exactly") for name in wide)


@pytest.mark.parametrize("dialect", ["qonnx", "hls4ml"])
def test_wide_sums_are_exact_in_float64(dialect, lowered, reference_of, tmp_path, monkeypatch):
    network, compared = lowered(), []

    def compare(model, held, batch, doubles):
        compared.append(doubles)
        return check.compare(model, held, batch, doubles)

    monkeypatch.setattr(write, "compare", compare)
    written = write_parts(network.program, tmp_path / "parts", network.samples, dialect, wide=True)
    assert compared == [bool(part["beyond_float32"]) for part in written.manifest["parts"]]
    narrow = {node.name for part in split_of(network.program)[0] for node in part.nodes}
    beyond = [name for part in written.manifest["parts"] for name in part["beyond_float32"]]
    assert beyond
    assert not narrow & set(beyond)
    assert all(type(network.program[name]) is Linear for name in beyond)
    for part in written.manifest["parts"]:
        model, held = onnx.load(tmp_path / "parts" / part["file"]), arrays(tmp_path / "parts" / part["vectors"])
        few = {name: rows[:20] for name, rows in inputs_of(held).items()}
        for tensor in model.graph.initializer:  # the same numbers, computed with in float64
            values = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float64), tensor.name))
        if part["beyond_float32"] and len(next(iter(few.values()))):
            fed = {name: x.astype(np.float64) for name, x in few.items()}
            for name, found in reference_of(model, fed).items():
                np.testing.assert_array_equal(found, held[f"output/{name}"][:20])


def test_wide_sums_are_not_for_runtimes(lowered, tmp_path):
    with pytest.raises(PumiceError, match=r"wide=true is for tools that compute in fixed point, and runtimes take"):
        write_parts(lowered().program, tmp_path / "parts", [], "qcdq", wide=True)
