"""lava-dl .net files: read back by our own reader, and run by lava-dl's netx itself (slow)."""

import subprocess
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.export.lava.environment import LavaUnavailable, ensure_environment
from pumice.export.netx import read_net, write_net
from pumice.program import Program, reference
from pumice.program.nodes import LoihiLIF
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_sample
from pumice.program.samples import codes

NETX = Path(__file__).parent
LOADABLE = {"weight_exponent": 0, "weight_bits": 8, "hidden": 9, "inputs": 6}


def changed(program, **values):
    """The program with other values in its first layer."""
    nodes = list(program)
    index = next(i for i, node in enumerate(nodes) if isinstance(node, LoihiLIF))
    nodes[index] = replace(nodes[index], **values)
    return Program(nodes=tuple(nodes), logits=program.logits, pairing="causal", class_names=program.class_names)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_written_is_read_back(tmp_path, seed):
    program = random_loihi(seed, value="dense", extreme=False, **LOADABLE)
    written = write_net(program, tmp_path / "network.net")
    read = read_net(tmp_path / "network.net")
    assert len(read) == len(written) >= 2
    for mine, found in zip(written, read, strict=True):
        for name in ("weight", "recurrent", "bias"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(found, name))
        for name in ("du", "dv", "vth"):
            np.testing.assert_array_equal(mine.each(name), found.each(name))
        for name in ("format", "message_bits", "is_recurrent"):
            assert getattr(mine, name) == getattr(found, name)


def test_the_file_holds_what_lava_dl_names(tmp_path):
    program = random_loihi(0, value="dense", layers=1, recurrent=True, input="counts", extreme=False, **LOADABLE)
    node, last = write_net(program, tmp_path / "network.net")
    with h5py.File(tmp_path / "network.net") as file:
        assert file.attrs["input_message_bits"] == 8
        assert [file[f"layer/{i}/type"][0] for i in range(2)] == [b"dense_rec", b"dense"]
        assert np.array_equal(file["layer/0/neuron/iDecay"][()], node.du + 1)
        assert np.array_equal(file["layer/0/neuron/vThMant"][()], node.vth)
        assert file["layer/1/weight"].shape == last.weight.shape


@pytest.mark.parametrize("exponent", [0, 1, 3])
def test_a_positive_weight_exponent_is_folded_in_once(tmp_path, exponent):
    program = random_loihi(3, value="dense", layers=1, recurrent=True, extreme=False, **LOADABLE)
    rng, node = np.random.default_rng(0), next(iter(program.of_type(LoihiLIF)))
    drawn = {name: 2 * rng.integers(-15, 16, getattr(node, name).shape) for name in ("weight", "recurrent")}
    write_net(changed(program, **drawn, weight_exponent=exponent), tmp_path / "network.net")
    with h5py.File(tmp_path / "network.net") as file:
        np.testing.assert_array_equal(file["layer/0/weight"][()], drawn["weight"] << exponent)
        np.testing.assert_array_equal(file["layer/0/weight_rec"][()], drawn["recurrent"] << exponent)


def test_a_weight_exponent_is_folded_into_the_weights(tmp_path):
    program = changed(random_loihi(3, value="dense", layers=1, extreme=False, **LOADABLE), weight_exponent=-1)
    written, read = write_net(program, tmp_path / "a.net")[0], read_net(tmp_path / "a.net")[0]
    np.testing.assert_array_equal(read.weight * 2.0**read.weight_exponent, written.weight / 2)


def test_what_netx_cannot_hold_is_refused_by_name(tmp_path):
    program = random_loihi(3, value="dense", layers=1, recurrent=False, extreme=False, **LOADABLE)
    shape = next(node for node in program if isinstance(node, LoihiLIF)).weight.shape

    def refused(**values):
        with pytest.raises(PumiceError) as error:
            write_net(changed(program, **values), tmp_path / "refused.net")
        assert not list(tmp_path.iterdir())
        return str(error.value)

    assert "no weight exponent" in refused(weight=np.full(shape, 2), weight_exponent=-3)
    assert "netx loads -256..254" in refused(weight=np.full(shape, 200), weight_exponent=1)
    assert "all its weights are 0" in refused(weight=np.zeros(shape, dtype=np.int16))
    assert "change that weight by 2" in refused(weight=np.full(shape, -64))
    with pytest.raises(PumiceError, match="cells/0 is a LIF; lava-dl files hold chains of LoihiLIF nodes"):
        write_net(random_network(0, value="dense", cell="lif"), tmp_path / "refused.net")


def test_files_of_other_kinds_are_refused(tmp_path):
    path = tmp_path / "a.net"
    path.write_bytes(b"no HDF5")
    with pytest.raises(PumiceError, match="not a"):
        read_net(path)
    write_net(random_loihi(0, value="dense", extreme=False, **LOADABLE), path)
    with h5py.File(path, "a") as file:
        del file["layer/0/type"]
        file["layer/0"].create_dataset("type", (1,), "S10", [b"conv"])
    with pytest.raises(PumiceError, match="type conv"):
        read_net(path)


@given(place=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_is_a_sentence_or_still_a_network(tmp_path_factory, place, byte, cut):
    path = tmp_path_factory.mktemp("damaged") / "a.net"
    write_net(random_loihi(1, value="dense", layers=1, extreme=False, **LOADABLE), path)
    content = bytearray(path.read_bytes())
    place %= len(content)
    content[place] = byte
    path.write_bytes(content[:place] if cut else content)
    nodes, message = [], "a.net"
    try:
        nodes = read_net(path)
    except PumiceError as error:
        message = str(error)
    assert all(isinstance(node, LoihiLIF) for node in nodes)
    assert "a.net" in message or "layer/" in message


@pytest.mark.slow
@pytest.mark.parametrize("recurrent", [False, True], ids=["dense", "dense_rec"])
@pytest.mark.parametrize(("source", "own"), [("spikes", False), ("counts", False), ("counts", True)])
def test_netx_runs_it_and_gives_the_same_spikes(tmp_path, recurrent, source, own):
    """lava-dl 0.6.0 itself loads the file; every spike of every layer at every step."""
    try:
        python = ensure_environment((NETX / "requirements.txt").read_text(encoding="utf-8"))
    except LavaUnavailable as error:
        pytest.skip(str(error))
    program = random_loihi(
        5, value="dense", layers=2, recurrent=recurrent, input=source, own=own, extreme=False, **LOADABLE
    )
    nodes = write_net(program, tmp_path / "network.net")
    samples = [random_sample(program, row, steps) for row, steps in enumerate((40, 1, 25))]
    values = {str(row): codes(program, sample)[0] for row, sample in enumerate(samples)}
    np.savez(tmp_path / "inputs.npz", input_message_bits=nodes[0].message_bits, **values)
    files = [str(tmp_path / name) for name in ("network.net", "inputs.npz", "outputs.npz")]
    done = subprocess.run([python, NETX / "run_net.py", *files], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    spikes = 0
    with np.load(tmp_path / "outputs.npz") as found:
        for row, trace in enumerate(reference.run(program, samples)):
            for layer, node in enumerate(nodes):
                np.testing.assert_array_equal(found[f"{row}/{layer}"], trace.values[node.name])
                spikes += int(trace.values[node.name].sum())
    assert spikes > 50
