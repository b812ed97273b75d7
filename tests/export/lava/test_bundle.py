"""The event-by-event arithmetic of a bundle against the reference, without Lava; wiring and inputs."""

import itertools
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pumice.errors import PumiceError
from pumice.export.lava import run_lava, write_bundle
from pumice.export.lava.driver import LavaFailure
from pumice.export.lava.readme import readme
from pumice.export.lava.runtime import check
from pumice.export.lava.runtime.evaluator import Evaluator
from pumice.export.lava.runtime.head import RESET, VALID
from pumice.export.lava.runtime.parts import split
from pumice.export.lava.runtime.sending import source_arrays
from pumice.export.lava.runtime.synapses import check_parts, synapses
from pumice.program import ProgramError, reference
from pumice.program.clock import gaps
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample


@pytest.mark.parametrize("seed", range(20))
def test_every_edge_of_every_event(seed):
    program = random_program(300 + seed, pairing="causal")
    sample = random_sample(program, seed, 25)
    trace = reference.run(program, [sample])[0]
    evaluator = Evaluator([node for node in program if not node.is_input])
    between = {node.name: gaps(sample[1], node.unit_us)[:, None] for node in program.gap_inputs}
    seen = {node.name: [] for node in program}
    source = program.value_input.name
    for event in range(25):
        edges = evaluator.step({source: trace.values[source][event]} | {name: n[event] for name, n in between.items()})
        for name, value in edges.items():
            seen[name].append(value)
        for name, states in trace.states.items():
            done = (event + 1) // program.rates[name]
            if done:
                np.testing.assert_array_equal(evaluator.states[name].codes.ravel(), states[done - 1])
    for name, rows in seen.items():
        np.testing.assert_array_equal(np.reshape(rows, trace.values[name].shape), trace.values[name], name)


def test_parts_follow_the_layers():
    program = random_program(4, stages=2, layers=2, stride=2, pool="time", readout="time")
    parts = split(program)
    names = ["front", *(f"stages/{i}/layers/{j}" for i in range(2) for j in range(2)), "readout"]
    assert [part.name for part in parts] == names
    for part, after in itertools.pairwise(parts):
        assert (part.value_out, part.gap_out) == (after.value_in, after.gap_in)
    assert (parts[1].gap_in, parts[1].gap_out) == ("gap", "stages/0/layers/0/gap_pool")
    assert parts[-1].pool_gap_in == "stages/1/layers/0/pool_gap_pool"
    assert parts[-1].total_gap_in == "pool_gap"


def test_the_parts_of_a_clocked_network_are_its_layers():
    parts = split(random_network(4, value="dense", cell="ef", layers=2, hidden=5))
    assert [part.name for part in parts] == ["cells/0", "cells/1", "readout"]
    assert [part.state_size for part in parts] == [10, 10, 3]
    assert [node.name for node in parts[-1].nodes] == ["readout", "logits"]


@pytest.mark.parametrize(("bits", "processes"), [(8, 1), (9, 2), (12, 2), (14, 2), (16, 0)])
def test_weights_of_lavas_dense(bits, processes):
    program = random_network(4, value="dense", layers=1)
    node = program["cells/0"]
    top = (1 << (bits - 1)) - 1
    matrix = np.random.default_rng(bits).integers(-top, top + 1, node.input.shape)
    matrix.flat[0] = -top
    part = replace(split(program)[0], nodes=(replace(node, input=matrix, input_width=bits),))
    if processes == 0:
        with pytest.raises(
            ProgramError, match="node cells/0: W does not fit Lava's Dense, 14-bit codes and 30-bit sums"
        ):
            synapses(part)
        return
    found = [dense for dense in synapses(part) if not dense.recurrent]
    assert [dense.name for dense in found] == ["cells/0/W", "cells/0/W1"][:processes]
    assert max(np.abs(dense.codes).max() for dense in found) <= 127
    np.testing.assert_array_equal(sum(dense.codes << dense.exponent for dense in found), matrix)


def test_samples_follow_one_another_led_by_a_reset():
    program = random_program(4, value="token", pairing="causal")
    samples = [random_sample(program, 1, 5), random_sample(program, 2, 0), random_sample(program, 3, 2)]
    arrays = source_arrays(program, samples)
    assert arrays["flags"][:, 0].tolist() == [RESET, *[VALID] * 5, RESET, RESET, VALID, VALID]
    np.testing.assert_array_equal(arrays["values"][1:6, 0], samples[0][0])
    np.testing.assert_array_equal(arrays["gaps"][1:6, 0], gaps(samples[0][1], 500))
    np.testing.assert_array_equal(arrays["pool_gaps"][1:6, 0], gaps(samples[0][1], 1))


def test_a_bundle_does_not_overwrite(tmp_path):
    program = random_program(4)
    with pytest.raises(PumiceError, match=r"cannot write the bundle .*: File exists; choose another folder"):
        write_bundle(program, [random_sample(program, 1, 5)], tmp_path)


def test_a_bundle_is_whole_or_not_there(tmp_path, monkeypatch):
    program = random_program(4)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pumice.export.lava.bundle.save", full)
    with pytest.raises(PumiceError, match=r"cannot write the bundle .*: No space left"):
        write_bundle(program, [random_sample(program, 1, 5)], tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_the_readme_shows_the_process_graph(tmp_path):
    program = random_program(4, stages=2, layers=2, stride=2)
    text = (write_bundle(program, [random_sample(program, 1, 5)], tmp_path / "b") / "README.md").read_text()
    for node in program:
        assert node.is_input or f"  {node.name}: {type(node).__name__}(" in text
    graph = [line.split()[0] for line in text.split("```\n")[1].splitlines()]
    assert graph == ["source", *(part.name for part in split(program))]
    assert "one event out for 2 in" in text


def test_the_readme_of_a_clocked_network_shows_lavas_own_processes():
    program = random_network(4, value="dense", cell="se", layers=2, recurrent=True, hidden=5, inputs=3)
    text = readme(program, 1, 9)
    assert [line.split()[0] for line in text.split("```\n")[1].splitlines()] == [
        "source",
        "cells/0",
        "cells/1",
        "readout",
    ]
    assert "cells/0.value_out -> Dense cells/0/V (5 x 5) -> cells/0.recurrent_in" in text
    assert "cells/1.value_out -> Dense readout/W (3 x 5) -> readout.product_in" in text
    assert "one time step of the network" in text
    events = readme(random_program(4), 1, 9)
    assert "One Lava step is one event" in events
    assert "stock" not in events


def test_the_readme_of_loihis_neurons_shows_what_stock_py_connects():
    program = random_loihi(4, value="dense", layers=1, recurrent=True, hidden=3, inputs=6)
    text = readme(program, 1, 9)
    edges = [
        "RingBuffer -> Dense cells/0/W (3 x 6) -> LIF cells/0",
        "LIF cells/0 -> Dense cells/0/V (3 x 3) -> LIF cells/0",
        "LIF cells/0 -> Dense output/W (3 x 3) -> LIF output",
    ]
    assert "\n".join(edges) in text
    assert "connections in `stock.py`" in text
    for untrue in ("recorder", "travel", "network.py", "--parts", "saturates"):
        assert untrue not in text


@pytest.mark.parametrize("error", [LavaFailure, PumiceError, KeyboardInterrupt])
def test_the_bundle_of_a_failed_run_alone_is_kept(tmp_path, monkeypatch, error):
    def fail(folder, *_):
        raise error(str(folder))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("pumice.export.lava.backend.run_bundle", fail)
    program = random_program(4)
    with pytest.raises(error) as raised:
        run_lava(program, [random_sample(program, 1, 5)], trace=False)
    assert Path(str(raised.value)).exists() is (error is LavaFailure)
    assert any(tmp_path.iterdir()) is (error is LavaFailure)


def test_the_readme_lists_every_file_of_the_bundle(tmp_path):
    program = random_program(4)
    folder = write_bundle(program, [random_sample(program, 1, 5)], tmp_path / "b", np.zeros((1, 3), dtype=np.int64))
    table = re.findall(r"^\| `([^`]+)` \|", (folder / "README.md").read_text(), re.MULTILINE)
    after_a_run = {"outputs/", "failures/", "progress", "run.log"}
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for listed in set(table) - after_a_run:
        assert any(name == listed or (listed.endswith("/") and name.startswith(listed)) for name in written), listed
    packages = {"pumice/__init__.py", "pumice/export/__init__.py", "pumice/export/lava/__init__.py"}  # empty
    for name in written - packages - {"README.md"}:
        assert any(name == listed or (listed.endswith("/") and name.startswith(listed)) for listed in table), name
    assert sum((folder / name).stat().st_size for name in written if name.startswith("pumice/")) < 300_000
    assert all((folder / name).stat().st_size == 0 for name in packages)


def test_neurons_fed_by_tokens_have_a_front_of_their_own():
    program = random_network(5, value="token", layers=2)
    parts = split(program)
    assert [part.name for part in parts] == ["front", "cells/0", "cells/1", "readout"]
    assert [node.name for node in parts[0].nodes] == ["embedding"]
    with pytest.raises(
        ProgramError, match="front: parts=stock needs a clocked network of neurons; use layers or fused"
    ):
        check_parts(program, "stock")
    with pytest.raises(ProgramError, match="node embedding: a Embedding cannot lie beside LoihiLIF nodes"):
        split(random_loihi(5, value="token"))


@pytest.mark.parametrize("seed", range(3))
def test_the_block_of_the_readme_makes_inputs_of_a_recording(seed, tmp_path, monkeypatch):
    program = random_program(40 + seed, value="token" if seed else "dense", pairing="causal")
    folder = write_bundle(program, [random_sample(program, 1, 5)], tmp_path / "b")
    values, times = random_sample(program, 2, 30)
    if seed:
        np.save(folder / "recording.npy", np.stack([times, values], axis=1))
    else:
        np.savez(folder / "recording.npz", rows=values, t=times)
    text = (folder / "README.md").read_text()
    block = re.search(r"```python\n(.*?)```", text, re.S)[1]
    block = block.replace("recording.npy", "recording.npz") if not seed else block
    done = subprocess.run([sys.executable, "-c", block], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "inputs.npz") as found:
        expected = source_arrays(program, [(values, times)])
        assert sorted(found.files) == sorted(expected)
        for name, rows in expected.items():
            np.testing.assert_array_equal(found[name], rows)
    assert ("a row an event" in text) == bool(seed)


def test_the_check_of_recordings_counts_differences(tmp_path, monkeypatch, capsys):
    program = random_program(41, value="token", pairing="causal")
    samples = [random_sample(program, seed, 30) for seed in (2, 3)]
    logits = np.stack([trace.logits for trace in reference.run(program, samples)])
    monkeypatch.setattr(check, "_logits", lambda *_: logits)
    assert check.check_recordings(program, samples, ["a", "b"], np.zeros(2), tmp_path) == 0
    monkeypatch.setattr(check, "_logits", lambda *_: logits + np.eye(len(logits), logits.shape[1], dtype=np.int64))
    assert check.check_recordings(program, samples, ["a", "b"], np.zeros(2), tmp_path) == 2
    out = capsys.readouterr().out.splitlines()
    scale = program[program.logits].output.scale
    assert out[0] == f"a: {program.class_names[logits[0].argmax()]}  {logits[0].max() * scale:.3f}"
    assert out[-1] == f"2 of {logits.size} logits differ from the program's"
