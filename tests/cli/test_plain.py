"""Verbs on a .net file of lava-dl, or a program file, without a run folder."""

import json
import re

import numpy as np
import pytest
from pumice import load as load_any
from pumice.cli import plain
from pumice.cli.main import main
from pumice.errors import PumiceError
from pumice.export.netx import program_of, read_net, write_net
from pumice.program import digest, load, reference, save
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network

LOADABLE = {"weight_exponent": 0, "weight_bits": 8, "hidden": 9, "inputs": 6, "value": "dense", "extreme": False}
QUICK = "backends=[reference,run,step]"


@pytest.fixture
def pumice(tmp_path, monkeypatch, capsys):
    """Run the command in a folder of a network and inputs for it: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    write_net(random_loihi(3, **LOADABLE, layers=2, input="counts"), "network.net")
    np.save("input.npy", np.random.default_rng(0).integers(0, 40, (3, 30, 6)))

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return call


def test_a_net_file_is_simulated_and_compared(pumice, tmp_path):
    code, out, error = pumice("simulate", "net=network.net", "input=input.npy", QUICK, "out=found")
    assert (code, error) == (0, "")
    assert "samples: 3, steps: 30 to 30" in out
    assert "Parity with reference (3 samples)" in out
    told = json.loads((tmp_path / "found" / "simulate.json").read_text())
    program = program_of("network.net")
    assert told["differing"] == 0
    assert told["program"] == digest(program)
    assert told["backends"]["step"]["values"] > 1000
    assert told["backends"]["step"]["states"] == [3, 3]
    samples = [(rows.astype(np.float64), 1000 * np.arange(30)) for rows in np.load("input.npy")]
    with np.load(tmp_path / "found" / "simulate.npz") as arrays:
        for index, trace in enumerate(reference.run(program, samples)):
            np.testing.assert_array_equal(arrays["logits"][index], trace.logits)
            np.testing.assert_array_equal(arrays[f"series.{index}"], trace.series)
            best = program.class_names[trace.logits.argmax()]
            (told,) = re.findall(rf"^sample {index}: class (.*), ([\d.e-]+) spikes a step$", out, re.MULTILINE)
            value = trace.logits.max() * program[program.logits].output.scale
            assert told[0] == best
            assert float(told[1]) == pytest.approx(value, rel=1e-3)
            assert 0 < value <= 1


def test_traces_are_written_to_a_folder(pumice):
    code, out, _ = pumice("simulate", "net=network.net", "input=input.npy", QUICK, "traces=found")
    assert code == 0
    assert "written: found, values and states of 3 samples" in out
    program = program_of("network.net")
    (trace,) = reference.run(program, [(np.load("input.npy")[2].astype(np.float64), 1000 * np.arange(30))])
    assert len(trace.states) > 1
    for name, states in trace.states.items():
        np.testing.assert_array_equal(np.load(f"found/2/states/{name}.npy"), states)
    code, _, error = pumice("simulate", "net=network.net", "input=input.npy", QUICK, "traces=found")
    assert code == 2
    assert "cannot write found: File exists; choose another folder" in error


def test_a_difference_ends_with_exit_code_1(pumice, monkeypatch):
    real = plain.compare

    def wrong(program, samples, backends, **settings):
        def other(program, samples, trace):
            traces = reference.run(program, samples, trace=trace)
            traces[-1].logits[0] += 1
            return traces

        return real(program, samples, {"reference": lambda p, s, t: reference.run(p, s, trace=t), "other": other})

    monkeypatch.setattr(plain, "compare", wrong)
    code, _, error = pumice("simulate", "net=network.net", "input=input.npy")
    assert code == 1
    assert "1 values differ between backends" in error


def test_it_is_inspected_counted_and_exported(pumice, tmp_path):
    code, out, _ = pumice("inspect", "network.net", "--json")
    assert code == 0
    assert json.loads(out)["digest"] == digest(program_of("network.net"))
    assert pumice("inspect", "net=network.net", "--json")[1] == out
    code, out, _ = pumice("count", "net=network.net", "input=input.npy", "steps=10", "out=counts.json")
    assert code == 0
    assert "loihi-1" in out
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts["integer"]["events"] == 30
    assert counts["profile"]["name"] == "loihi-1"
    code, out, _ = pumice("export", "target=lava", "net=network.net", "input=input.npy", "out=bundle")
    assert code == 0
    assert (tmp_path / "bundle" / "run.py").exists()
    with np.load(tmp_path / "bundle" / "expected.npz") as expected:
        assert expected["logits"].shape == (3, 3)
    code, out, _ = pumice("export", "target=netx", "net=network.net", "out=again.net")
    assert code == 0
    for mine, found in zip(read_net("network.net"), read_net("again.net"), strict=True):
        np.testing.assert_array_equal(mine.weight, found.weight)
    code, _, error = pumice("export", "target=onnx", "net=network.net", "out=onnx")
    assert code == 2
    assert "ONNX has no form of loihi's own neurons; export them with target=lava, target=netx or target=c" in error
    assert not (tmp_path / "onnx").exists()


def test_what_a_written_file_needs_is_told(pumice):
    _, out, _ = pumice("export", "target=netx", "net=network.net", "out=again.net", "step_us=4000")
    assert "lava.lib.dl.netx.hdf5.Network('again.net', input_message_bits=8)" in out
    assert "inputs: whole numbers from 0 to 255 in each step; clip them to that, as the program does" in out
    assert "a step: 4,000 us" in out
    assert "classes, in the order of the last layer's neurons: class 0, class 1, class 2; the neuron" in out
    _, out, _ = pumice("export", "target=netx", "net=network.net", "out=again.net", "input_bits=0")
    assert "inputs: spikes, 0 or 1" in out
    assert "a step: unknown to the program" in out


def test_inputs_that_are_clipped_are_told(pumice):
    np.save("loud.npy", np.full((5, 6), 300))
    code, out, _ = pumice("simulate", "net=network.net", "input=loud.npy", QUICK)
    assert code == 0
    assert "30 of 30 input values are no multiple of 1 from 0 to 255: they are rounded and clipped" in out
    code, out, _ = pumice("simulate", "net=network.net", "input=loud.npy", "input_bits=9", QUICK)
    assert "clipped to that" not in out


def test_a_net_file_becomes_a_program_file(pumice, tmp_path):
    code, out, _ = pumice("import", "net", "network.net", "out=made/program.npz", "class_names=[a,b,c]", "step_us=500")
    assert code == 0
    program = load(tmp_path / "made" / "program.npz")
    assert digest(program) in out
    assert (program.class_names, program.step_us) == (("a", "b", "c"), 500)
    code, out, _ = pumice("simulate", "program=made/program.npz", "input=input.npy", QUICK)
    assert code == 0
    rows = np.load("input.npy")[0].astype(np.float64)
    (trace,) = reference.run(program, [(rows, 500 * np.arange(30))])
    assert f"sample 0: class {'abc'[trace.logits.argmax()]}, " in out


def test_programs_of_other_arithmetic_take_plain_inputs_too(pumice, tmp_path):
    program = random_network(2, value="dense", inputs=6)
    save(program, "neurons.npz")
    code, _, error = pumice("simulate", "program=neurons.npz", "input=input.npy", QUICK)
    assert (code, error) == (0, "")
    code, _, error = pumice("export", "target=onnx", "program=neurons.npz", "out=onnx")
    assert (code, error) == (0, "")
    assert sorted(path.name for path in (tmp_path / "onnx").iterdir()) == ["sequence.onnx", "step.onnx"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["simulate", "net=network.net"], "input is missing; name a file by input=..."),
        (["simulate", "net=none.net", "input=input.npy"], "none.net does not exist"),
        (["simulate", "net=network.net", "program=a.npz", "input=input.npy"], "program and net given; name one file"),
        (["simulate", "net=network.net", "input=input.npy", "steps=1.5"], "steps=1.5 has to be a whole number"),
        (["simulate", "net=network.net", "input=input.npy", "steps=2", "steps=3"], "steps is given twice"),
        (["simulate", "net=network.net", "input=input.npy", "colour=1"], "'colour=1' is no setting of 'simulate'"),
        (["simulate", "net=network.net", "input=input.npy", "backends=[run]"], "names no two different backends"),
        (["simulate", "net=network.net", "input=input.npy", "backends=[run,moon]"], "backend moon is unknown"),
        (["simulate", "net=network.net", "input=input.npy", "signed=maybe"], "signed=maybe has to be true or false"),
        (["count", "net=network.net", "input=input.npy", "hardware=moon"], "moon"),
        (["export", "net=network.net", "target=moon", "out=x"], "target=moon is unknown; use one of: lava, netx, onnx"),
        (["export", "net=network.net", "target=netx"], "out is missing"),
        (["import", "net", "network.net"], "out is missing"),
        (["import", "net", "out=x.npz"], "no program given"),
        (["inspect", "none.net"], "none.net does not exist"),
    ],
)
def test_mistakes_are_one_sentence(pumice, words, sentence, tmp_path):
    before = set(tmp_path.iterdir())
    code, _, error = pumice(*words)
    assert code == 2
    assert error.startswith("pumice: ")
    assert error.count("\n") == 1
    assert sentence in error
    assert set(tmp_path.iterdir()) == before


def test_the_door_for_python_takes_a_net_file(pumice):
    assert digest(load_any("network.net")) == digest(program_of("network.net"))
    assert load_any("network.net", input_bits=2).value_input.output.width == 2
    save(program_of("network.net"), "program.npz")
    with pytest.raises(PumiceError, match=r"input_bits: program\.npz is a program, which says this itself"):
        load_any("program.npz", input_bits=2)


def test_help_tells_of_files(pumice):
    for verb in ("simulate", "count", "export"):
        code, out, _ = pumice(verb, "--help")
        assert code == 0
        assert f"Without a run folder: pumice {verb} " in out
    code, out, _ = pumice("import", "net", "--help")
    assert code == 0
    assert "usage: pumice import net FILE.net out=FILE.npz" in out
