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


@pytest.mark.parametrize(
    ("name", "reset", "found"),
    [
        ("leaky_zero", "zero", "zero"),
        ("leaky_subtract", None, "late-subtract"),
        ("leaky_subtract", "late-subtract", "late-subtract"),
        ("synaptic", "zero", ("late-zero", "zero")),
    ],
)
def test_spikes_of_snntorch_come_back_and_stay_at_16_bits(name, reset, found):
    x, spikes = given(name)
    model = pumice.import_nir(GOLDEN / f"snntorch_{name}.nir", reset=reset)
    assert model.config.hidden == (20, 4)
    assert not model.config.recurrent
    assert model.config.reset == found
    assert spikes.sum() > 100
    np.testing.assert_array_equal(potentials(model, x), spikes)
    qat = prepare(model, QuantizationConfig(widths=Widths(synapses=16, decoder=16), max_dead_zone=1.0))
    program = lower(calibrate(qat, [Inputs(torch.from_numpy(x)[None], None, torch.tensor([200]))]), tuple("abcd"))
    (trace,) = run(program, [(x, np.arange(200))])
    assert set(np.unique(trace.series)) == {0, trace.series.max()}
    assert np.mean((trace.series > 0) != spikes) <= 0.01


def test_the_reset_is_told_and_another_gives_other_spikes():
    x, spikes = given("leaky_subtract")
    path = GOLDEN / "snntorch_leaky_subtract.nir"
    for reset in ("zero", "subtract", "late-zero"):
        wrong = np.sum(potentials(pumice.import_nir(path, reset=reset, writer="other"), x) != spikes)
        assert wrong > 50, reset
    notes = read_imported(path).notes
    assert notes[0].startswith("neurons reset by their threshold in the step after the spike; a step is 0.0001 s")
    assert "written by snnTorch, as its r = tau / 0.1 ms tells" in notes[1]
    assert "does not record the reset of its training; subtract, snnTorch's default, was taken" in notes[2]
    assert not any("does not record" in note for note in read_imported(path, "zero").notes)
    other = read_imported(path, writer="other").notes
    assert "zero, NIR's own equation, was taken" in other[1]
    assert not any("snnTorch" in note for note in other)
    assert "layer 0: to zero in the step after" in read_imported(GOLDEN / "snntorch_synaptic.nir", "zero").notes[0]
    with pytest.raises(PumiceError, match="reset=later is unknown; use one of: zero, subtract, late-zero"):
        pumice.import_nir(path, reset="later")
    for steps in (-1, 256, 1.5, True):
        with pytest.raises(PumiceError, match=r"refractory=.* is no number of steps from 0 to 255"):
            pumice.import_nir(path, refractory=steps)
    held = read_imported(path, refractory=4)
    assert (held.settings["reset"], held.settings["refractory"]) == ("subtract", 4)
    assert "a spike holds its neuron for 4 steps, as nir.refractory says" in " ".join(held.notes)
    with pytest.raises(PumiceError, match="writer=norse is unknown; use one of: snntorch, other"):
        pumice.import_nir(path, writer="norse")


def lif(count, **changes):
    values = {"tau": 5e-4, "r": 5.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **changes}
    return nir.LIF(**{name: np.broadcast_to(value, count).astype(float) for name, value in values.items()})


def cuba_lif(count, **changes):
    values = {
        "tau_syn": 5e-4,
        "tau_mem": 1e-3,
        "r": 10.0,
        "w_in": 5.0,
        "v_leak": 0.0,
        "v_threshold": 1.0,
        "v_reset": 0.0,
    }
    values |= changes
    return nir.CubaLIF(**{name: np.broadcast_to(value, count).astype(float) for name, value in values.items()})


CUBALI = nir.CubaLI(tau_syn=np.ones(3), tau_mem=np.ones(3), r=np.ones(3), v_leak=np.zeros(3))


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


@pytest.mark.parametrize(("changes", "reset"), [({}, "late-subtract"), ({"r": 1.0}, "zero"), ({"v_leak": 0.1}, "zero")])
def test_files_of_snntorch_are_known_by_their_gain(changes, reset, tmp_path):
    nir.write(tmp_path / "net.nir", chain(("0", nir.Linear(weight=np.ones((3, 6)))), ("1", lif(3, **changes))))
    assert read_imported(tmp_path / "net.nir").settings["reset"] == reset


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
    assert model.config.reset == "zero"
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


@pytest.mark.parametrize(("reset", "refractory"), [("zero", 0), ("subtract", 0), ("zero", 2), ("subtract", 3)])
def test_neurons_without_leak_and_with_a_current_are_what_a_plain_loop_gives(reset, refractory, tmp_path):
    """IF, then CubaLIF with gains and thresholds of its own and a recurrence, then LIF, then I; in one chain."""
    rng = np.random.default_rng(2)
    first, second, third, out = (rng.normal(size=size) for size in ((8, 6), (7, 8), (5, 7), (3, 5)))
    back = rng.normal(size=(7, 7)) * 0.3
    rate, threshold, gain = rng.uniform(2e3, 9e3, 8), rng.uniform(0.5, 1.5, 7), rng.uniform(1, 3, 7)
    synapse, membrane = rng.uniform(2e-4, 8e-4, 7), rng.uniform(4e-4, 2e-3, 7)
    end = rng.uniform(10, 90, 3)
    cuba = {"tau_syn": synapse, "tau_mem": membrane, "r": 4 * np.ones(7), "w_in": gain, "v_leak": np.zeros(7)}
    cells = [
        ("1", nir.IF(r=rate, v_threshold=np.ones(8), v_reset=np.zeros(8))),
        ("3", nir.CubaLIF(**cuba, v_threshold=threshold, v_reset=np.zeros(7))),
        ("5", lif(5, v_threshold=0.8)),
        ("7", nir.I(r=end)),
    ]
    products = [(str(2 * at), nir.Linear(weight=weight)) for at, weight in enumerate((first, second, third, out))]
    nodes = [node for pair in zip(products, cells, strict=True) for node in pair]
    nir.write(tmp_path / "net.nir", chain(*nodes, back=[("w", "3", nir.Linear(weight=back))]))
    model = pumice.import_nir(tmp_path / "net.nir", reset=reset, refractory=refractory)
    assert (model.config.cell, model.config.reset, model.config.tau_u[1]) == ("cuba-lif", reset, None)
    assert model.config.refractory == refractory
    x = (rng.random((300, 6)) < 0.4).astype(np.float32)
    u, i, v, o, z = np.zeros(8), np.zeros(7), np.zeros(7), np.zeros(3), np.zeros(7)
    w, spikes, right = np.zeros(5), np.zeros(3), []

    rests = {}

    def fired(old, potential, limit, name):
        rest = rests.get(name, np.zeros(len(old)))
        potential = np.where(rest > 0, old, potential)
        s = ((potential > limit) & (rest == 0)).astype(float)
        rests[name] = np.where(s > 0, refractory, np.maximum(rest - 1, 0))
        return s, potential * (1 - s) if reset == "zero" else potential - limit * s

    for row in x:
        s, u = fired(u, u + DT * rate * (first @ row), 1.0, "u")
        i = i + DT / synapse * (gain * (second @ s + back @ z) - i)
        z, v = fired(v, v + DT / membrane * (4 * i - v), threshold, "v")
        y, w = fired(w, w + DT / 5e-4 * (5 * (third @ z) - w), 0.8, "w")
        o = o + DT * end * (out @ y)
        spikes += [s.mean(), z.mean(), y.mean()]
        right.append(o)
    assert (spikes / len(x) > 0.03).all()
    np.testing.assert_allclose(potentials(model.double(), x.astype(float)), right, atol=1e-5)


LAYER = ("0", nir.Linear(weight=np.ones((3, 6))))


@pytest.mark.parametrize(
    ("nodes", "back", "sentence"),
    [
        ([LAYER, ("s", nir.Scale(scale=np.ones(3))), ("1", lif(3))], [], r"node s \(Scale\) scales each value"),
        ([LAYER, ("d", nir.Delay(delay=np.ones(3))), ("1", lif(3))], [], r"node d \(Delay\) delays its input"),
        ([LAYER, ("1", nir.I(r=np.ones(3)))], [], "has no LIF neurons"),
        ([LAYER, ("1", nir.I(r=np.ones(3))), ("2", lif(3))], [], "node 1 is an I node before others"),
        ([LAYER, ("1", CUBALI)], [], r"node 1 \(CubaLI\) has a second state"),
        ([LAYER, ("1", cuba_lif(3, v_leak=0.1))], [], "node 1 leaks to other values than 0"),
        ([LAYER, ("1", cuba_lif(3, tau_syn=5e-5))], [], "a time constant of 5e-05 s, not above a step"),
        ([LAYER, ("1", lif(3, v_reset=0.1))], [], "node 1 resets to other values than 0"),
        ([LAYER, ("1", lif(3, v_threshold=0.0))], [], "a threshold is 0"),
        ([LAYER, ("1", lif(3, tau=1e-4))], [], "not above a step of 0.0001 s; check nir.dt"),
        ([LAYER, ("1", lif(3, tau=-1.0))], [], "a time constant of -1 s"),
        ([LAYER, ("1", lif(3, tau=np.nan))], [], "values of tau that are not finite"),
        ([LAYER, ("1", lif(4))], [], "has 4 values of r for 3 neurons"),
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
