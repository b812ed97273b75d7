"""Every rule against an independent count: a limit at the actual value is kept, one below it is broken there."""

import numpy as np
import pytest
from pruned import pruned
from pumice.export.c import Generated
from pumice.hw_sim.chips import check, load_chip
from pumice.hw_sim.chips.profile import LIMITS
from pumice.program.nodes import SPIKES
from pumice.program.nodes.features import FEATURES
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program


def profile(limits=None, has=FEATURES, **more):
    given = {
        name: {"value": value, "unit": LIMITS[name], "source": "a test", "kind": "assumed"}
        for name, value in (limits or {}).items()
    }
    features = {"has": list(has), "source": "a test", "kind": "assumed"}
    return load_chip({"name": "trial", "features": features, "limits": given, **more})


PROGRAMS = {
    "events": lambda: random_program(3),
    "neurons": lambda: random_network(5),
    "loihi": lambda: random_loihi(2),
}


@pytest.fixture(params=PROGRAMS)
def program(request):
    return PROGRAMS[request.param]()


KEPT = ("Linear", "Embedding", "DiagonalSSM", "LIF", "AdaptiveLIF", "LoihiLIF", "LeakyIntegrator", "DrivenLIF")


def on_chip(program):
    """Nodes that keep weights or states and are neither the host's inputs nor its means, by their stored fields."""
    for node in program:
        kind = type(node).__name__
        pooled = kind in ("EventPool", "ChannelSSM") and node.output.width < 48
        if pooled or kind in KEPT:
            yield node


def matrices(node):
    """(source, matrix, width) of each matrix of a node, from its own fields."""
    kind = type(node).__name__
    if kind == "Linear":
        for edge, codes, width in zip(node.inputs, node.weights, node.weight_widths, strict=True):
            if codes.ndim == 2:
                yield edge, codes, width
    elif kind == "Embedding":
        yield node.inputs[0], node.table.T, node.table_width
    elif kind == "DiagonalSSM":
        yield node.inputs[0], np.concatenate([node.input_re, node.input_im]), node.input_width
    elif kind in ("LIF", "AdaptiveLIF"):
        yield node.inputs[0], node.input, node.input_width
        if node.recurrent.size:
            yield node.name, node.recurrent, node.recurrent_width
    elif kind == "LoihiLIF":
        yield node.inputs[0], node.weight, node.weight_bits
        if node.recurrent.size:
            yield node.name, node.recurrent, node.weight_bits
    elif kind == "LeakyIntegrator":
        yield node.inputs[0], node.weight, node.weight_width


def actual(program, name):
    """What a program has of a limit, counted anew."""
    every = [(node, *entry) for node in program for entry in matrices(node)]
    if name == "weight_bits":
        vectors = [width for node in program if type(node).__name__ == "Linear" for width in node.weight_widths]
        return max([*vectors, *(width for *_, width in every)])
    if name == "state_bits":
        return max((state.width for node in on_chip(program) for state in node.states()), default=0)
    if name == "fan_in":
        inputs = {}
        for node, _, codes, _ in every:
            inputs[node.name] = inputs.get(node.name, 0) + max(int((row != 0).sum()) for row in codes)
        return max(inputs.values())
    if name == "fan_out":
        outputs = {}
        for _, source, codes, _ in every:
            outputs[source] = outputs.get(source, 0) + (codes != 0).sum(axis=0)
        return max(int(counts.max()) for counts in outputs.values())
    if name == "neurons":
        return sum(node.channels for node in on_chip(program))
    if name == "layers":
        return sum(1 for _ in on_chip(program))
    if name == "outputs":
        return len(program.class_names) or program[program.logits].channels
    if name == "synapses":
        vectors = [w for node in program if type(node).__name__ == "Linear" for w in node.weights if w.ndim == 1]
        return sum(int((codes != 0).sum()) for *_, codes, _ in every) + sum(int((w != 0).sum()) for w in vectors)
    if name == "chip_bytes":
        return -(-sum(node.parameter_bits + node.state_bits for node in program) // 8)
    raise KeyError(name)


@pytest.mark.parametrize(
    "name", ["weight_bits", "state_bits", "fan_in", "fan_out", "neurons", "layers", "outputs", "synapses", "chip_bytes"]
)
def test_a_limit_is_kept_at_the_actual_value_and_broken_below(program, name):
    value = actual(program, name)
    if value < 2:
        pytest.skip("the program has next to nothing of it")
    assert check(program, profile({name: value})).fits
    fit = check(program, profile({name: value - 1}))
    assert not fit.fits
    assert all(str(value - 1) in breach.limit.replace(",", "") for breach in fit.breaches)
    assert str(value) in {breach.actual.replace(",", "").removesuffix(" bit") for breach in fit.breaches}
    assert all(breach.cure for breach in fit.breaches)


def test_nodes_that_the_chip_lacks_are_named(program):
    needed = {feature for node in program for feature in node.features}
    assert check(program, profile(has=needed)).fits
    for feature in needed:
        fit = check(program, profile(has=needed - {feature}))
        assert {breach.where for breach in fit.breaches} == {node.name for node in program if feature in node.features}
        assert {(breach.limit, breach.actual) for breach in fit.breaches} == {(f"no {feature}", feature)}


def test_features_follow_from_the_kinds_of_nodes():
    expected = {
        "LayerNorm": "layer norm",
        "Lookup": "tables of a function",
        "Multiply": "products of activations",
        "EventPool": "windows of events",
        "LIF": "leaky integrate-and-fire neurons",
        "AdaptiveLIF": "adaptive neurons",
        "LoihiLIF": "current-based neurons",
        "CubaLIF": "current-based neurons",
        "BatchNorm": "a multiplier a channel",
    }
    programs = [make(seed) for make in (random_program, random_network, random_loihi) for seed in range(12)]
    nodes = [node for program in programs for node in program]
    seen = {type(node).__name__ for node in nodes}
    assert set(expected) <= seen
    for node in nodes:
        kind = type(node).__name__
        if kind == "DiagonalSSM":
            assert node.features == (("complex modes",) if len(node.decay_im) else ("real modes",))
            continue
        own = {expected[kind]} if kind in expected else set()
        recurrent = {"recurrent synapses"} if getattr(node, "recurrent", np.zeros((0, 0))).size else set()
        held = {"refractory times"} if getattr(node, "refractory", 0) else set()
        assert set(node.features) == own | recurrent | held


def test_spikes_are_messages_of_one_bit():
    program = random_network(5)
    fit = check(program, profile({"message_bits": 1}))
    wide = {breach.where.removesuffix(":output") for breach in fit.breaches}
    assert not [name for name in wide if program[name].output == SPIKES]
    events = random_program(3)
    read = {
        edge for node in on_chip(events) for edge, role in zip(node.inputs, node.roles, strict=True) if role == "value"
    }
    widest = max(events[edge].output.width for edge in read if not events[edge].is_input)
    assert check(events, profile({"message_bits": widest})).fits
    assert not check(events, profile({"message_bits": widest - 1})).fits


def test_one_decay_a_layer():
    own, shared = random_loihi(2, own=True), random_loihi(2, own=False)
    assert check(shared, profile({"decays_per_layer": 1})).fits
    (first, *_) = check(own, profile({"decays_per_layer": 1})).breaches
    node, _, state = first.where.partition(":")
    assert first.actual == f"{len(np.unique(own[node].each('d' + state)))} different"


def test_neurons_of_another_arithmetic():
    assert check(random_loihi(2), profile(arithmetic="loihi")).fits
    fit = check(random_network(5), profile(arithmetic="loihi"))
    neurons = {node.name for node in random_network(5) if type(node).__name__ == "LIF"}
    assert {breach.where for breach in fit.breaches} == neurons
    assert all("quantize=loihi" in breach.cure for breach in fit.breaches)


@pytest.mark.parametrize(("per_core", "memory"), [(7, None), (None, 300), (5, 200), (1 << 20, 1 << 30)])
def test_layers_on_cores(program, per_core, memory):
    limits = {name: v for name, v in (("neurons_per_core", per_core), ("core_bytes", memory)) if v is not None}
    fit = check(program, profile(limits))
    units = {}
    for node in on_chip(program):
        layer = node.name.rpartition("/")[0] or node.name
        units[layer] = units.get(layer, 0) + node.channels
    for entry in fit.placed:
        nodes = [node for node in program if (node.name.rpartition("/")[0] or node.name) == entry.layer]
        size = -(-sum(node.parameter_bits + node.state_bits for node in nodes if not node.is_input) // 8)
        assert (entry.units, entry.bytes) == (units.get(entry.layer, 0), size)
        wanted = [1, -(-entry.units // per_core) if per_core else 0, -(-size // memory) if memory else 0]
        assert entry.cores == max(wanted)
    total = sum(entry.cores for entry in fit.placed)
    assert check(program, profile({**limits, "cores": total})).fits
    if total > 1:
        (breach,) = check(program, profile({**limits, "cores": total - 1})).breaches
        assert (breach.limit, breach.actual) == (f"{total - 1} cores", str(total))


@pytest.mark.parametrize("zeros", [0.0, 0.3, 0.9, 1.0])
def test_flash_is_without_the_zeros_that_c_leaves_out(zeros):
    """C stores other things in fewer bytes than this count, sums' start and scales; of zeros it saves the same."""
    program = pruned(random_network(2, layers=2, hidden=40, inputs=30, recurrent=True, weight_width=8), zeros)
    found = check(program, profile({"flash_bytes": 1})).breaches
    (told,) = (int(breach.actual.replace(",", "")) for breach in found if breach.rule == "flash bytes")
    tensors = [tensor for node in program for tensor in node.tensors()]
    whole = sum(each.codes.size * next(size for size in (1, 2, 4, 8) if each.width <= 8 * size) for each in tensors)
    assert whole - told == pytest.approx(sum(Generated(program).kept.saved.values()), rel=0.06)
    assert (whole > told) == (zeros >= 0.9)
