"""Files that snnTorch 1.0 wrote, held against its own spikes; and what Pumice cannot hold, by node."""

from pathlib import Path

import numpy as np
import pumice
import pytest
import torch
from pumice.errors import PumiceError
from pumice.export.nir.imported import read_imported
from pumice.hw_sim.simulator import run
from pumice.quantize.config import QuantizationConfig, Widths
from pumice.quantize.families import lower, prepare
from pumice.quantize.qat import calibrate
from pumice.train.data.inputs import Inputs

nir = pytest.importorskip("nir")
GOLDEN = Path(__file__).parents[2] / "golden" / "nir"
DT = 1e-4


def given(name):
    held = np.load(GOLDEN / f"snntorch_{name}_io.npz")
    return held["x"], held["spikes"]


def potentials(model, x):
    with torch.no_grad():
        return model.sequence(torch.from_numpy(x)[None])[0][0].numpy()


def test_spikes_of_snntorch_come_back_and_stay_at_16_bits():
    x, spikes = given("leaky_zero")
    model = pumice.import_nir(GOLDEN / "snntorch_leaky_zero.nir", reset="zero")
    assert model.config.hidden == (20, 4)
    assert not model.config.recurrent
    np.testing.assert_array_equal(potentials(model, x), spikes)
    qat = prepare(model, QuantizationConfig(widths=Widths(synapses=16, decoder=16), max_dead_zone=1.0))
    program = lower(calibrate(qat, [Inputs(torch.from_numpy(x)[None], None, torch.tensor([200]))]), tuple("abcd"))
    (trace,) = run(program, [(x, np.arange(200))])
    assert set(np.unique(trace.series)) == {0, trace.series.max()}
    assert np.mean((trace.series > 0) != spikes) <= 0.01


def test_another_reset_is_told_and_refused():
    x, spikes = given("leaky_subtract")
    path = GOLDEN / "snntorch_leaky_subtract.nir"
    assert np.sum(potentials(pumice.import_nir(path), x) != spikes) == 200
    assert any("does not record the reset" in note for note in read_imported(path).notes)
    assert not any("does not record" in note for note in read_imported(path, "zero").notes)
    with pytest.raises(PumiceError, match="reset=subtract: Pumice's LIF neurons reset to zero"):
        pumice.import_nir(path, reset="subtract")
    with pytest.raises(PumiceError, match="reset=later is unknown"):
        pumice.import_nir(path, reset="later")
    with pytest.raises(PumiceError, match=r"node 1 \(CubaLIF\) has a second state"):
        pumice.import_nir(GOLDEN / "snntorch_synaptic.nir")


def lif(count, **changes):
    values = {"tau": 5e-4, "r": 5.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **changes}
    return nir.LIF(**{name: np.broadcast_to(value, count).astype(float) for name, value in values.items()})


def chain(*nodes, width=6, back=()):
    """A file's graph of named nodes one behind the other; ``back``: nodes (name, behind which, node) in a cycle."""
    held = {"input": nir.Input({"input": np.array([width])}), **dict(nodes)}
    last = np.array([3])
    held["output"] = nir.Output({"output": last})
    edges = list(zip(list(held), list(held)[1:], strict=False))
    for name, of, node in back:
        held[name] = node
        edges += [(of, name), (name, of)]
    return nir.NIRGraph(held, edges, type_check=False)


def test_small_files_make_no_large_matrices(tmp_path):
    wide = ("0", nir.Linear(weight=np.ones((3000, 6))))
    nir.write(tmp_path / "net.nir", chain(wide, ("1", lif(3000))))
    with pytest.raises(PumiceError, match="node 1 has 3,000 neurons and no LI behind them to read them out, of which"):
        pumice.import_nir(tmp_path / "net.nir")
    nir.write(tmp_path / "net.nir", chain(("1", lif(3000)), width=3000))
    with pytest.raises(PumiceError, match="node 1 reads 3,000 values without a product"):
        pumice.import_nir(tmp_path / "net.nir")
    second = ("2", nir.Linear(weight=np.ones((3, 3000))))
    back = [("w", "3", nir.Linear(weight=np.ones((3, 3))))]
    nir.write(tmp_path / "net.nir", chain(wide, ("1", lif(3000)), second, ("3", lif(3)), back=back))
    with pytest.raises(PumiceError, match="node 1 has 3,000 neurons and no recurrent weights beside layers that"):
        pumice.import_nir(tmp_path / "net.nir")


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "a graph within"])
def test_a_recurrent_graph_is_what_a_plain_loop_gives(nested, tmp_path):
    """Own r, leak and threshold a neuron, two products in a row, a bias on the recurrence, an LI at the end."""
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(7, 6)), rng.normal(size=(5, 7))
    bias, back, more = rng.normal(size=5) * 0.2, rng.normal(size=(5, 5)), rng.normal(size=5) * 0.1
    tau, r = rng.uniform(3e-4, 2e-3, 5), rng.uniform(1, 6, 5)
    leak, threshold = rng.uniform(-0.2, 0.2, 5), rng.uniform(0.5, 1.5, 5)
    out, slow = rng.normal(size=(3, 5)), rng.uniform(5e-4, 3e-3, 3)
    cell = lif(5, tau=tau, r=r, v_leak=leak, v_threshold=threshold)
    recurrent = nir.Affine(weight=back, bias=more)
    ends = [("2", nir.Linear(weight=out)), ("3", nir.LI(tau=slow, r=np.ones(3), v_leak=np.zeros(3)))]
    starts = [("a", nir.Linear(weight=first)), ("0", nir.Affine(weight=second, bias=bias))]
    if nested:
        inner = {"input": nir.Input({"input": np.array([5])}), "lif": cell, "w_rec": recurrent}
        inner["output"] = nir.Output({"output": np.array([5])})
        edges = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
        graph = chain(*starts, ("1", nir.NIRGraph(inner, edges)), *ends)
    else:
        graph = chain(*starts, ("1.lif", cell), *ends, back=[("1.w_rec", "1.lif", recurrent)])
    nir.write(tmp_path / "net.nir", graph)
    model = pumice.import_nir(tmp_path / "net.nir")
    assert model.config.recurrent
    x = (rng.random((400, 6)) < 0.4).astype(np.float32)
    v, z, o, right = np.zeros(5), np.zeros(5), np.zeros(3), []
    for row in x:
        current = second @ (first @ row) + bias + back @ z + more
        v = v + DT / tau * (leak - v + r * current)
        z = (v > threshold).astype(float)
        v = v * (1 - z)
        o = o + DT / slow * (out @ z - o)
        right.append(o)
    assert np.ptp(right) > 0.1
    np.testing.assert_allclose(potentials(model, x), right, atol=1e-5)


LAYER = ("0", nir.Linear(weight=np.ones((3, 6))))


@pytest.mark.parametrize(
    ("nodes", "back", "sentence"),
    [
        ([LAYER, ("s", nir.Scale(scale=np.ones(3))), ("1", lif(3))], [], r"node s \(Scale\) scales each value"),
        ([LAYER, ("d", nir.Delay(delay=np.ones(3))), ("1", lif(3))], [], r"node d \(Delay\) delays its input"),
        ([LAYER, ("1", nir.I(r=np.ones(3)))], [], r"node 1 \(I\) has no leak"),
        ([LAYER, ("1", lif(3, v_reset=0.1))], [], "node 1 resets to other values than 0"),
        ([LAYER, ("1", lif(3, v_threshold=0.0))], [], "a threshold is 0"),
        ([LAYER, ("1", lif(3, tau=1e-4))], [], "not above a step of 0.0001 s; check nir.dt"),
        ([LAYER, ("1", lif(3, tau=-1.0))], [], "a time constant of -1 s"),
        ([LAYER, ("1", lif(3, tau=np.nan))], [], "values of tau that are not finite"),
        ([LAYER, ("1", lif(4))], [], "has 4 values of tau for 3 neurons"),
        ([LAYER], [], "reads a product and no neurons"),
        ([("0", nir.Linear(weight=np.ones((3, 5)))), ("1", lif(3))], [], r"weights of shape \(3, 5\) for 6 inputs"),
        ([LAYER, ("1", lif(3))], [("w", "1", lif(3))], "node w leads back to where it comes from"),
        ([LAYER, ("1", lif(3))], [("w", "0", nir.Linear(weight=np.ones((6, 3))))], "node w leads back"),
    ],
)
def test_what_cannot_be_held_is_named(nodes, back, sentence, tmp_path):
    nir.write(tmp_path / "net.nir", chain(*nodes, back=back))
    with pytest.raises(PumiceError, match=sentence) as refused:
        pumice.import_nir(tmp_path / "net.nir")
    assert len(str(refused.value).splitlines()) == 1


def test_damaged_files_are_one_sentence(tmp_path):
    """Bytes changed anywhere: the file is read, or refused by an error that a user can mend."""
    whole, path = (GOLDEN / "snntorch_leaky_zero.nir").read_bytes(), tmp_path / "net.nir"
    rng, told = np.random.default_rng(0), []
    for count in (1, 4, 64) * 20:
        content = bytearray(whole)
        for place in rng.integers(0, len(whole), count):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content[: rng.integers(1, len(whole))] if count == 64 else content)
        try:
            read_imported(path)
        except PumiceError as error:
            told.append(str(error))
    assert len(told) >= 20
    assert all(len(sentence.splitlines()) == 1 for sentence in told)
