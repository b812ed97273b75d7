"""Programs of .net files: what is written comes back, and what a file says of its use is kept."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from pumice.errors import PumiceError
from pumice.export.netx import program_of, write_net
from pumice.hw_sim import simulator
from pumice.program import Program, digest, load, reference, save
from pumice.program.random.loihi import random_loihi
from pumice.program.random.programs import random_sample

LOADABLE = {"weight_exponent": 0, "weight_bits": 8, "hidden": 9, "inputs": 6, "value": "dense", "extreme": False}


@pytest.mark.parametrize("seed", range(6))
def test_a_written_program_computes_the_same_when_read(tmp_path, seed):
    program = replace(random_loihi(seed, **LOADABLE), step_us=4000)
    write_net(program, tmp_path / "network.net")
    found = program_of(tmp_path / "network.net")
    assert found.class_names == program.class_names
    assert found.step_us == 4000
    samples = [(row, 4000 * np.arange(len(row))) for row, _ in (random_sample(program, k, 30) for k in range(3))]
    for mine, other in zip(reference.run(program, samples), simulator.run(found, samples), strict=True):
        np.testing.assert_array_equal(mine.logits, other.logits)
        np.testing.assert_array_equal(mine.series, other.series)


def test_a_program_of_a_file_is_saved_and_loaded(tmp_path):
    write_net(random_loihi(1, **LOADABLE, own=True), tmp_path / "network.net")
    program = program_of(tmp_path / "network.net")
    save(program, tmp_path / "program.npz")
    assert digest(load(tmp_path / "program.npz")) == digest(program)
    source = load(tmp_path / "program.npz").provenance["source"]
    assert (source["file"], len(source["sha256"]), source["input_shape"]) == ("network.net", 64, [6])


@pytest.mark.parametrize("mode", [{"mode": "last", "extra_bits": 0}, {"mode": "window", "window": 7}])
def test_the_read_out_is_that_of_the_file(tmp_path, mode):
    program = random_loihi(2, **LOADABLE)
    nodes = (
        *program.nodes[:-1],
        replace(
            program.nodes[-1], **mode, output=program.nodes[-1].output if "window" in mode else program.nodes[-2].output
        ),
    )
    program = Program(nodes=nodes, logits="logits", pairing="causal", class_names=program.class_names)
    write_net(program, tmp_path / "network.net")
    found = program_of(tmp_path / "network.net")
    (sample,) = [random_sample(program, 0, 50)]
    (mine,), (other,) = reference.run(program, [sample]), reference.run(found, [sample])
    np.testing.assert_array_equal(mine.logits, other.logits)


def test_the_file_tells_its_user_what_it_needs(tmp_path):
    write_net(replace(random_loihi(1, **LOADABLE, input="ternary"), step_us=1500), tmp_path / "network.net")
    with h5py.File(tmp_path / "network.net") as file:
        told = dict(file.attrs)
    assert (told["input_message_bits"], told["signed"], told["input_min"], told["input_max"]) == (2, True, -2, 1)
    assert told["step_us"] == 1500
    assert list(told["class_names"]) == ["class 0", "class 1", "class 2"]
    assert json.loads(told["readout"])["mode"] == "mean"


def test_names_and_steps_may_be_given(tmp_path):
    write_net(random_loihi(1, **LOADABLE), tmp_path / "network.net")
    with h5py.File(tmp_path / "network.net", "a") as file:
        for name in ("class_names", "step_us", "readout", "content"):
            file.attrs.pop(name, None)
    assert program_of(tmp_path / "network.net").class_names == ("0", "1", "2")
    assert program_of(tmp_path / "network.net").step_us is None
    given = program_of(tmp_path / "network.net", class_names=["a", "b", "c"], step_us=10)
    assert (given.class_names, given.step_us) == (("a", "b", "c"), 10)
    with pytest.raises(PumiceError, match=r"network.net: 1 class names for 3 logits"):
        program_of(tmp_path / "network.net", class_names=["a"])


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("readout", "{", "the attribute readout is no JSON"),
        ("readout", '{"mode": "mean"}', "the attribute readout has other entries"),
        ("readout", json.dumps({"mode": "no", "extra_bits": 1, "window": 0, "decay_shift": 0}), "mode 'no' is unknown"),
        ("readout", json.dumps({"mode": "mean", "extra_bits": 0.5, "window": 0, "decay_shift": 0}), "no whole number"),
        ("step_us", 1.5, "step_us=1.5 is no whole number"),
        ("step_us", -1, "-1"),
        ("input_message_bits", 99, "inputs of 99 bits are outside 0 to 16"),
        ("class_names", ["only"], "1 class names for 3 logits"),
    ],
)
def test_attributes_are_not_trusted(tmp_path, name, value, sentence):
    path = tmp_path / "network.net"
    write_net(random_loihi(1, **LOADABLE), path)
    with h5py.File(path, "a") as file:
        file.attrs[name] = value
        del file.attrs["content"]
    with pytest.raises(PumiceError, match=sentence) as refused:
        program_of(path)
    assert "network.net" in str(refused.value) or name == "input_message_bits"


@pytest.mark.parametrize("field", ["weight", "bias", "neuron/iDecay", "neuron/vDecay", "neuron/vThMant", "class_names"])
def test_a_file_that_was_changed_is_refused(tmp_path, field):
    path = tmp_path / "network.net"
    write_net(random_loihi(1, **LOADABLE), path)
    with h5py.File(path, "a") as file:
        if field == "class_names":
            file.attrs[field] = ["a", "b", "c"]
        else:
            data = file[f"layer/0/{field}"]
            data[...] = np.where(np.arange(data.size).reshape(data.shape) == data.size - 1, data[()] ^ 2, data[()])
    with pytest.raises(PumiceError, match=r"network\.net does not match its digest: it was damaged or changed"):
        program_of(path)
    with h5py.File(path, "a") as file:
        del file.attrs["content"]
    assert program_of(path).value_input.size == 6
