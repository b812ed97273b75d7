"""What lava-dl files hold is carried exactly, or refused by file, layer, field, value and limit."""

import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.export.lava.environment import LavaUnavailable, ensure_environment
from pumice.export.netx import program_of, read_net
from pumice.export.netx.layers import MOST_INPUTS
from pumice.program import Format, reference
from pumice.program.nodes import SPIKES

HERE = Path(__file__).parent
WEIGHT = np.array([[20.0], [20.0], [20.0]])


def spikes_of(path, rows, **settings):
    program = program_of(path, **settings)
    (trace,) = reference.run(program, [(np.asarray(rows, dtype=np.float64), np.arange(len(rows)))])
    return trace.values[program.nodes[-2].name]


def test_every_neuron_keeps_its_own_decay_and_threshold(net_file, dense):
    """As slayer writes them with shared_param=False; Lava's LIF spikes 3, 2 and 0 times."""
    decays = net_file([dense(WEIGHT, {"vDecay": np.array([0, 1024, 4000])})])
    assert spikes_of(decays, np.ones((12, 1))).sum(axis=0).tolist() == [3, 2, 0]
    (node,) = read_net(net_file([dense(WEIGHT, {"vThMant": [60, 19, 20], "iDecay": [4096, 1, 4096]})]))
    assert node.vth.tolist() == [60, 19, 20]
    assert node.du.tolist() == [4095, 0, 4095]
    assert node.dv == 128


def test_equal_values_are_one_for_the_layer(net_file, dense):
    (node,) = read_net(
        net_file([dense(WEIGHT, {"vDecay": [7, 7, 7], "iDecay": [4096], "vThMant": np.full((3, 1), 60)})])
    )
    assert (node.du, node.dv, node.vth) == (4095, 7, 60)
    assert all(isinstance(getattr(node, what), int) for what in ("du", "dv", "vth"))


def test_one_bias_is_that_of_each_neuron(net_file, dense):
    for bias in (np.array([-9.0]), np.float32(-9), np.full(3, -9), np.full((3, 1, 1), -9.0)):
        assert read_net(net_file([dense(WEIGHT, bias=bias)]))[0].bias.tolist() == [-9, -9, -9]


def test_weights_in_one_row_are_a_matrix(net_file, dense):
    layer = dense(np.full((2, 3), 4.0)) | {"weight": np.arange(0.0, 12, 2), "shape": np.array([2, 1, 1])}
    assert read_net(net_file([layer]))[0].weight.tolist() == [[0, 2, 4], [6, 8, 10]]


def test_odd_weights_are_doubled_and_halved_again(net_file, dense):
    weight = np.array([[127.0, -128], [3, 4]])
    (node,) = read_net(net_file([dense(weight)]))
    np.testing.assert_array_equal(node.weight * 2.0**node.weight_exponent, weight)
    with pytest.raises(PumiceError, match="weight holds 129 beside the odd 129: even weights reach"):
        read_net(net_file([dense([[129.0, -2]])]))


@given(weight=st.lists(st.integers(-128, 127), min_size=4, max_size=4), x=st.lists(st.integers(0, 255), min_size=2))
def test_sums_are_those_of_the_weights_in_the_file(tmp_path_factory, weight, x):
    path = tmp_path_factory.mktemp("net") / "a.net"
    with h5py.File(path, "w") as file:
        layer = file.create_group("layer/0")
        layer.create_dataset("type", data=b"dense")
        layer.create_dataset("weight", data=np.reshape(weight, (2, 2)))
        for key, value in {"type": b"CUBA", "iDecay": 4096, "vDecay": 0, "vThMant": 131071}.items():
            layer.create_dataset(f"neuron/{key}", data=value)
    program = program_of(path, input_bits=8)
    (trace,) = reference.run(program, [(np.array([x[:2]], dtype=np.float64), np.arange(1))])
    np.testing.assert_array_equal(trace.states["layer/0"][0, :2], 64 * np.reshape(weight, (2, 2)) @ x[:2])


BAD = [
    ({"neuron": {"vDecay": 65538}}, "neuron/vDecay holds 65538, outside 0..4095; Loihi's voltage loses vDecay"),
    ({"neuron": {"vDecay": [0, 4096, 1]}}, "neuron/vDecay holds 4096 at entry 1, outside 0..4095"),
    ({"neuron": {"vDecay": 12.5}}, "neuron/vDecay holds 12.5, no whole number"),
    ({"neuron": {"vDecay": [1, 2]}}, "dv has 2 entries for 3 neurons; give one, or one each"),
    ({"neuron": {"iDecay": 0}}, "neuron/iDecay holds 0, outside 1..4096"),
    (
        {"neuron": {"vThMant": (1 << 18) - 1}},
        "neuron/vThMant holds 262143, outside 0..131071; above 131071 a neuron never",
    ),
    ({"neuron": {"refDelay": 2}}, "neuron/refDelay holds 2, outside 1..1; train it with a refractory delay of 1"),
    (
        {"neuron": {"gradedSpike": True}},
        "neuron/gradedSpike holds True, outside 0..0; train it with spikes of one size",
    ),
    ({"neuron": {"messageBits": 8}}, "neuron/messageBits holds 8"),
    ({"neuron": {"wgtExp": 2}}, "neuron/wgtExp holds 2"),
    ({"neuron": {"rho": 1}}, "has neuron/rho, which a LoihiLIF node does not have; export it without"),
    ({"neuron": {"a\nb\x1b[2J": 1}}, r"has neuron/a\\nb\\x1b\[2J, which a LoihiLIF node does not have"),
    ({"neuron": {"type": "SDNN"}}, "has SDNN neurons; CUBA and LOIHI are read"),
    ({"weight": [[20.0], [np.nan], [20.0]]}, "weight holds nan at entry 1, no whole number"),
    ({"weight": [[20.0], [2.0], [np.inf]]}, "weight holds inf at entry 2, no whole number"),
    ({"weight": [[20.0], [2.5], [20.0]]}, "weight holds 2.5 at entry 1, no whole number; quantize it in slayer"),
    ({"weight": [[20.0], [65538], [20.0]]}, "weight holds 65538.0 at entry 1, outside -256..254"),
    ({"weight": [[1e300]] * 3}, r"weight holds (inf|1e\+300) at entry 0"),
    ({"weight": np.zeros((3, 0))}, "weight is empty; export it anew"),
    ({"weight": np.full((2, 1), 2.0)}, r"weight has shape \(2, 1\) for 3 neurons"),
    ({"bias": [1.0, 2.0]}, "bias has 2 entries for 3 neurons"),
    ({"bias": 5000}, "bias holds 5000, outside -4096..4095"),
    ({"delay": [1.0, 2, 3]}, "layer/0 has delays, which LoihiLIF nodes do not have; train it without"),
    ({"weight_rec": np.zeros((3, 3))}, "has weight_rec, which a LoihiLIF node does not have"),
    ({"shape": [-3]}, "shape holds -3 at|shape holds -3, outside"),
    ({"shape": [1 << 20, 1 << 20]}, "has more than 1048576 entries; split the layer"),
    ({"type": "conv"}, "layer/0 is of type conv; input, flatten, dense, dense_rec are read"),
    ({"type": "average"}, "layer/0 is of type average"),
    ({"type": "pool"}, "layer/0 is of type pool"),
]


@pytest.mark.parametrize(("changed", "sentence"), BAD, ids=[sentence[:32] for _, sentence in BAD])
def test_what_a_node_does_not_hold_is_refused_by_name(net_file, dense, changed, sentence):
    layer = dense(WEIGHT)
    for key, value in changed.items():
        layer[key] = layer[key] | value if key == "neuron" else value
    path = net_file([layer])
    with pytest.raises(PumiceError, match=sentence) as refused:
        read_net(path)
    assert str(refused.value).startswith(f"{path}: layer/0")
    assert "\n" not in str(refused.value)


def test_a_layer_without_neurons_is_refused_by_name(net_file, dense):
    last = {key: value for key, value in dense(np.ones((2, 3))).items() if key != "neuron"}
    with pytest.raises(PumiceError, match="layer/1 has no neurons: netx reads its potential"):
        read_net(net_file([dense(WEIGHT), last]))


def test_layers_that_do_not_fit_together_are_refused(net_file, dense):
    with pytest.raises(PumiceError, match="layer/1 takes 4 values, layer/0 gives 3; export it anew"):
        read_net(net_file([dense(WEIGHT), dense(np.full((2, 4), 2.0))]))
    path = net_file([dense(WEIGHT), dense(np.full((2, 3), 2.0))])
    with h5py.File(path, "a") as file:
        file.move("layer/1", "layer/7")
    with pytest.raises(PumiceError, match="has 2 layers, but no layer/1"):
        read_net(path)
    with pytest.raises(PumiceError, match="layer/0 is the last one, and none has neurons"):
        read_net(net_file([{"type": "input", "shape": np.array([4])}]))


@pytest.mark.parametrize("shape", [[2, 3, 4], [24], [1, 1, 24]])
def test_flatten_keeps_the_order_of_the_file(net_file, dense, shape):
    rng = np.random.default_rng(0)
    last = dense(2.0 * rng.integers(-60, 60, (5, 24)))
    flat = net_file(
        [{"type": "input", "shape": np.array(shape)}, {"type": "flatten", "shape": np.array([24, 1, 1])}, last]
    )
    program = program_of(flat)
    assert program.provenance["source"]["input_shape"] == shape
    assert program.value_input.size == 24
    rows = rng.integers(0, 2, (40, 24))
    np.testing.assert_array_equal(spikes_of(flat, rows), spikes_of(net_file([last]), rows))
    if len([size for size in shape if size > 1]) > 1:
        with pytest.raises(PumiceError, match=r"layer/1 takes 24 values in a row, the input has shape \(2, 3, 4\)"):
            read_net(net_file([{"type": "input", "shape": np.array(shape)}, last]))


def lif_of_biases(rows, weight, bias, decay, threshold):
    """netx's input block: LIF neurons whose bias is 64 (weight x + bias) at each step, in Python integers."""
    found, v = [], [0] * len(rows[0])
    for row in rows:
        z = []
        for i, x in enumerate(row):
            kept = abs(v[i]) * (4096 - decay) >> 12
            v[i] = (kept if v[i] > 0 else -kept) + 64 * (weight * int(x) + bias)
            z.append(int(v[i] > 64 * threshold))
            v[i] = 0 if z[-1] else v[i]
        found.append(z)
    return found


@pytest.mark.parametrize(("weight", "bias"), [([36.0], [34.0]), (np.float32(-25), np.float32(400)), (None, None)])
def test_an_input_with_neurons_is_one_lif_an_input(net_file, dense, weight, bias):
    neuron = {
        "type": "LOIHI",
        "iDecay": 1000,
        "vDecay": 1024,
        "vThMant": 250,
        "scaleRho": 10.0,
        "theta": 16000,
        "wgtExp": 0,
    }
    first = {"type": "input", "shape": np.array([2, 2, 1]), "neuron": neuron}
    first |= {} if weight is None else {"weight": weight, "bias": bias}
    path = net_file([first, {"type": "flatten", "shape": np.array([4])}, dense(np.eye(4) * 100, {"vThMant": 1})])
    rows = np.random.default_rng(1).integers(0, 16, (60, 4))
    program = program_of(path, input_bits=4)
    assert program.value_input.output == Format(4, False, 0)
    (trace,) = reference.run(program, [(rows.astype(np.float64), np.arange(60))])
    expected = lif_of_biases(
        rows,
        64 if weight is None else int(np.ravel(weight)[0]),
        0 if bias is None else int(np.ravel(bias)[0]),
        1024,
        250,
    )
    assert 10 < np.sum(expected) < 230
    np.testing.assert_array_equal(trace.values["layer/0"], expected)
    np.testing.assert_array_equal(trace.values["layer/2"], expected)
    with pytest.raises(
        PumiceError, match="layer/0 takes values, and the file does not say how wide; give input_bits=8"
    ):
        read_net(path)


def test_inputs_with_neurons_have_limits(net_file, dense):
    neuron = {"type": "CUBA", "iDecay": 4096, "vDecay": 1024, "vThMant": 25}
    many = {"type": "input", "shape": np.array([MOST_INPUTS + 1]), "neuron": neuron}
    with pytest.raises(PumiceError, match="layer/0 has 4097 inputs with neurons, 4096 are held"):
        program_of(net_file([many]), input_bits=8)
    steep = {"type": "input", "shape": np.array([2]), "neuron": neuron, "weight": 200.0}
    with pytest.raises(PumiceError, match="inputs reach 1023, above 655 u wraps; give fewer input_bits"):
        program_of(net_file([steep]), input_bits=10)
    with pytest.raises(PumiceError, match="layer/1 is an input behind other layers"):
        program_of(net_file([dense(WEIGHT), steep]), input_bits=8)


def test_the_input_is_spikes_unless_it_is_said(net_file, dense):
    assert read_net(net_file([dense(WEIGHT)]))[0].format == SPIKES
    assert program_of(net_file([dense(WEIGHT)]), input_bits=5, signed=True).value_input.output == Format(5, True, 0)
    assert program_of(net_file([dense(WEIGHT)], input_message_bits=3)).value_input.output == Format(3, False, 0)
    for bits, signed in ((17, False), (-1, False), (1, True)):
        with pytest.raises(PumiceError, match="are outside 0 to 16"):
            program_of(net_file([dense(WEIGHT)]), input_bits=bits, signed=signed)


def test_a_recurrent_layer_feeds_itself(net_file, dense):
    layer = dense(np.full((2, 1), 50.0)) | {"type": "dense_rec", "weight_rec": np.array([[0.0, 6], [-8, 0]])}
    (node,) = read_net(net_file([layer]))
    assert node.recurrent.tolist() == [[0, 6], [-8, 0]]
    with pytest.raises(PumiceError, match=r"weight_rec has shape \(2, 1\), not \(2, 2\)"):
        read_net(net_file([layer | {"weight_rec": np.zeros((2, 1))}]))


def test_strange_contents_are_no_net(tmp_path, net_file, dense):
    with pytest.raises(PumiceError, match=r"missing\.net does not exist"):
        read_net(tmp_path / "missing.net")
    with pytest.raises(PumiceError, match=r"is not a \.net file of lava-dl"):
        read_net(tmp_path)
    with pytest.raises(PumiceError, match="holds no layers"):
        read_net(net_file([]))
    with pytest.raises(PumiceError, match="weight is no array"):
        read_net(net_file([dense(WEIGHT) | {"weight": {"real": WEIGHT, "imag": WEIGHT}}]))
    with pytest.raises(PumiceError, match=r"weight is object, no numbers|weight is \|S3, no numbers"):
        read_net(net_file([dense(WEIGHT) | {"weight": np.array([b"abc"])}]))
    with pytest.raises(PumiceError, match="neuron is no group"):
        read_net(net_file([dense(WEIGHT) | {"neuron": 3}]))


@pytest.mark.slow
def test_netx_itself_runs_inputs_with_neurons_and_flatten_alike(net_file, dense, tmp_path):
    """lava-dl 0.6.0: 2 x 3 x 4 inputs with neurons, flattened, into 7 neurons of their own decays."""
    try:
        python = ensure_environment((HERE / "requirements.txt").read_text(encoding="utf-8"))
    except LavaUnavailable as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(5)
    neuron = {"type": "LOIHI", "iDecay": 2048, "vDecay": 700, "vThMant": 250, "wgtExp": 0}
    own = {
        "vDecay": rng.integers(0, 3000, 7),
        "vThMant": rng.integers(200, 4000, 7),
        "iDecay": rng.integers(900, 4097, 7),
    }
    path = net_file(
        [
            {"type": "input", "shape": np.array([2, 3, 4]), "neuron": neuron, "weight": [36.0], "bias": [-34.0]},
            {"type": "flatten", "shape": np.array([24, 1, 1])},
            dense(2.0 * rng.integers(-80, 90, (7, 24)), own),
        ]
    )
    rows = rng.integers(0, 16, (50, 24))
    np.save(tmp_path / "inputs.npy", rows)
    files = [str(path), str(tmp_path / "inputs.npy"), str(tmp_path / "outputs.npz")]
    done = subprocess.run([python, HERE / "run_input.py", *files], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (trace,) = reference.run(program_of(path, input_bits=4), [(rows.astype(np.float64), np.arange(50))])
    with np.load(tmp_path / "outputs.npz") as found:
        for index, name in enumerate(("layer/0", "layer/2")):
            assert 40 < trace.values[name].sum() < 0.9 * trace.values[name].size
            np.testing.assert_array_equal(found[str(index)], trace.values[name])
