"""Energy profiles and estimates: hand sums, and refusal of constants that are not fully stated."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf
from pumice.hw_sim.counts import count, count_float
from pumice.hw_sim.counts.records import Counts, NodeCounts, Operations, Traffic
from pumice.hw_sim.energy import EnergyProfile, energy, load_profile, print_energy
from pumice.hw_sim.energy.quantities import unit_width
from pumice.program import ProgramError, reference
from pumice.program.random.programs import random_program, random_sample
from rich.console import Console

PROFILES = Path(__file__).parents[3] / "configs" / "hardware"


def stated(**changes):
    constant = {
        "value": 2,
        "unit": "pJ",
        "process": "45 nm",
        "voltage": "0.9 V",
        "source": "a paper, table 1",
        "kind": "measured",
    }
    return {key: value for key, value in {**constant, **changes}.items() if value is not None}


def profile(constants=None, memory=()):
    return EnergyProfile.from_mapping({"name": "test", "constants": constants or {}, "memory": list(memory)})


def one_node(*operations, type="Linear", traffic=None, arithmetic="integer", **more):
    numbers = {"parameter_bits": 0, "state_bits": 0, "state_updates": 0, "digit_steps": 0, "outputs": 0}
    node = NodeCounts(
        name="node",
        type=type,
        runs=1,
        operations=operations,
        traffic=traffic or Traffic(),
        **{**numbers, "zero_outputs": 0, **more},
    )
    return Counts(arithmetic, samples=2, events=4, nodes=(node,))


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_profiles_are_fully_stated_and_compose(path):
    loaded = load_profile(path)
    assert loaded.name == path.stem
    assert EnergyProfile.from_mapping(OmegaConf.load(path)) == loaded
    for constant in (*loaded.constants.values(), *(level.access for level in loaded.memory)):
        assert len(constant.source) > 20


HOROWITZ = {  # pJ, Horowitz 2014, Fig. 1.1.9: integer, then floating point; 8, 32 bits
    "add-int8": (0.03, 0.03),
    "add-int32": (0.1, 0.1),
    "multiply-int8": (0.2, 0.2),
    "multiply-int32": (3.1, 3.1),
    "add-fp32": (0.9, 0.9),
    "multiply-fp32": (3.7, 3.7),
}
ASSUMED = {  # what each source says it follows from
    "add-int16": (0.1 / 2, 2 * 0.03),
    "add-int64": (2 * 0.1, 2 * 0.1),
    "multiply-int16": (3.1 / 4, 4 * 0.2),
    "multiply-int64": (2 * 3.1, 4 * 3.1 + 4 * 0.1),
    "divide-int64": (3.1, 64 * 0.2),
    "root-int64": (32 * 0.2, 32 * 2 * 0.2),
    "divide-fp32": (3.7, 7.1 * 3.7),
    "root-fp32": (3.7, 7.1 * 3.7),
    "function-fp32": (5 * 4.6, 20 * 4.6),
}
SRAM = {8 << 10: 10, 32 << 10: 20, 1 << 20: 100}  # pJ of 64 bits, the same figure


def test_horowitz_figures():
    loaded = load_profile(PROFILES / "horowitz-45nm.yaml")
    bounds = {name: (each.energy.low, each.energy.high) for name, each in loaded.constants.items()}
    assert {name: value for name, value in bounds.items() if name in HOROWITZ} == HOROWITZ
    assert {name: bounds[name] for name in bounds if name not in HOROWITZ} == {
        name: pytest.approx(value, rel=0.01) for name, value in ASSUMED.items()
    }
    for name, constant in loaded.constants.items():
        assert constant.kind == ("simulated" if name in HOROWITZ else "assumed")
        assert ("Fig. 1.1.9" in constant.source) == (name in HOROWITZ)
        assert (constant.process, constant.voltage) == ("45 nm", "0.9 V")
    *levels, dram = loaded.memory
    assert {level.capacity: level.access.energy.low for level in levels} == SRAM
    assert all(level.access.energy.low == level.access.energy.high for level in levels)
    assert {level.bits for level in loaded.memory} == {64}
    assert (dram.capacity, dram.access.energy.low, dram.access.energy.high) == (None, 1300, 2600)


def test_loihi_figures():
    """Davies et al. 2018, Table 2, in pJ."""
    loaded = load_profile(PROFILES / "loihi-1.yaml")
    bounds = {name: (each.energy.low, each.energy.high) for name, each in loaded.constants.items()}
    assert bounds == {"synaptic-operation": (23.6, 23.6), "neuron-update": (52, 81), "spike": (1.7, 1.7)}
    assert all("Table 2" in each.source and each.kind == "simulated" for each in loaded.constants.values())
    assert loaded.memory == ()


def test_sana_fe_figures():
    """SANA-FE's loihi.yaml, in pJ: synapse 24.0 to 35.5, access 51.2, update 21.6, spike out 69.3, message 111."""
    loaded = load_profile(PROFILES / "loihi-1-sana-fe.yaml")
    bounds = {name: (each.energy.low, each.energy.high) for name, each in loaded.constants.items()}
    assert bounds["synaptic-operation"] == (24.0, 35.5)
    assert bounds["neuron-update"] == (51.2, pytest.approx(51.2 + 21.6))
    assert bounds["spike"] == (69.3, pytest.approx(69.3 + 111))
    assert all("SANA-FE" in each.source for each in loaded.constants.values())
    assert loaded.memory == ()


def test_units_and_unit_widths():
    for unit, factor in (("fJ", 1e-3), ("pJ", 1), ("nJ", 1e3)):
        assert profile({"add-int8": stated(unit=unit)}).constants["add-int8"].energy.low == pytest.approx(2 * factor)
    widths = {1: 8, 8: 8, 9: 16, 16: 16, 17: 32, 32: 32, 33: 64, 64: 64}
    assert {bits: unit_width(bits) for bits in widths} == widths


@pytest.mark.parametrize("missing", ["unit", "process", "voltage", "source", "kind", "value"])
def test_constant_that_is_not_fully_stated_is_refused_by_name(missing):
    with pytest.raises(ProgramError, match=rf"constant add-int8: .*{missing}"):
        profile({"add-int8": stated(**{missing: None})})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "  "}, "add-int8: has no source"),
        ({"kind": "guessed"}, "kind 'guessed' is unknown"),
        ({"unit": "kWh"}, "unit 'kWh' is unknown"),
        ({"value": -1}, "-1 is not an energy"),
        ({"value": float("nan")}, "nan is not an energy"),
        ({"value": "3"}, "'3' is not an energy"),
        ({"value": None, "low": 3, "high": 2}, "low 3 is above high 2"),
        ({"low": 1}, "either value, or low and high"),
        ({"sauce": "x"}, "'sauce' is unknown"),
    ],
)
def test_wrong_constants_are_refused(changes, message):
    with pytest.raises(ProgramError, match=message):
        profile({"add-int8": stated(**changes)})


def test_wrong_profiles_are_refused(tmp_path):
    with pytest.raises(ProgramError, match="constant tea: is not priced here"):
        profile({"tea": stated()})
    with pytest.raises(ProgramError, match="does not exist"):
        load_profile(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [", encoding="utf-8")
    with pytest.raises(ProgramError, match="cannot be read as YAML"):
        load_profile(broken)
    broken.write_text(yaml.safe_dump({"name": "a", "colour": "red"}), encoding="utf-8")
    with pytest.raises(ProgramError, match="has the fields"):
        load_profile(broken)
    for field, value in (("constants", [1]), ("constants", "x"), ("memory", {"a": 1}), ("memory", "SRAM")):
        with pytest.raises(ProgramError, match="constants are a mapping"):
            EnergyProfile.from_mapping({"name": "a", field: value})
    level = {"name": "big", "capacity_bytes": None, "access_bits": 64, "access": stated()}
    with pytest.raises(ProgramError, match="must grow"):
        profile(memory=[level, {**level, "name": "small", "capacity_bytes": 100}])
    with pytest.raises(ProgramError, match="access to big: has no source"):
        profile(memory=[{**level, "access": stated(source=None)}])


def test_compute_by_hand():
    constants = {
        "multiply-int16": stated(value=None, low=2, high=3),
        "multiply-int8": stated(value=1, unit="fJ"),
        "add-int32": stated(value=10),
        "add-int8": stated(value=100),
    }
    counts = one_node(
        Operations("mac", "w", (8, 16), 32, dense=20, effective=10, accumulate=4),  # 6 products, 10 additions
        Operations("mac", "ternary", (2, 8), 32, dense=5, effective=3),  # 3 additions
        Operations("multiply", "gate", (8, 8), 32, dense=9, effective=7),
        Operations("add", "sum", (8, 8), 8, dense=2, effective=2),
        Operations("divide", "mean", (64, 64), 8, dense=1, effective=1),
        Operations("lookup", "gelu", (8, 0), 8, dense=4, effective=4),
        Operations("round", "sum", (32, 0), 8, dense=6, effective=5),  # an addition as wide as what is rounded
        Operations("compare", "threshold", (8, 8), 1, dense=2, effective=2),
        Operations("reset", "potential", (8, 0), 8, dense=2, effective=1),
    )
    estimate = energy(counts, profile(constants))
    assert estimate.compute.low == pytest.approx(6 * 2 + 18 * 10 + 7 * 0.001 + 4 * 100)
    assert estimate.compute.high == pytest.approx(6 * 3 + 18 * 10 + 7 * 0.001 + 4 * 100)
    assert estimate.memory.high == 0
    assert estimate.unpriced == {"divide-int64": 1}
    dense = energy(counts, profile(constants), skip_zeros=False)
    assert dense.compute.low == pytest.approx(20 * 2 + 31 * 10 + 9 * 0.001 + 4 * 100)
    data = json.loads(json.dumps(estimate.to_dict()))
    assert data["per_event"]["compute"]["low"] == pytest.approx(estimate.compute.low / 4)
    assert data["per_sample"]["total"]["high"] == pytest.approx(estimate.total.high / 2)


def test_memory_takes_the_smallest_level_that_holds_it():
    levels = [
        {"name": "small", "capacity_bytes": 100, "access_bits": 32, "access": stated(value=32)},
        {"name": "large", "capacity_bytes": None, "access_bits": 64, "access": stated(value=None, low=640, high=1280)},
    ]
    traffic = Traffic(weights=10, weights_dense=30, state_read=5, state_written=6, inputs_read=7, outputs_written=8)
    counts = one_node(traffic=traffic, parameter_bits=808, state_bits=800)
    estimate = energy(counts, profile(memory=levels))
    assert estimate.placement == {"weights": "large", "state": "small", "activations": "small"}
    assert (estimate.memory.low, estimate.memory.high) == (10 * 10 + 11 + 15, 10 * 20 + 11 + 15)
    dense = energy(counts, profile(memory=levels), placement={"weights": "small"}, skip_zeros=False)
    assert dense.memory.low == 30 + 11 + 15
    with pytest.raises(ProgramError, match="weights=attic"):
        energy(counts, profile(memory=levels), placement={"weights": "attic"})
    with pytest.raises(ProgramError, match="101 bytes of weights fit no memory level"):
        energy(counts, profile(memory=levels[:1]))


def test_float_reference_is_priced_in_fp32():
    counts = one_node(
        Operations("mac", "w", (32, 32), 32, dense=3, effective=3),
        Operations("function", "exp", (32, 32), 32, dense=2, effective=2),
        arithmetic="float32",
    )
    constants = {"multiply-fp32": stated(value=5), "add-fp32": stated(value=1), "function-fp32": stated(value=100)}
    assert energy(counts, profile(constants)).total.low == 3 * 6 + 200


def test_loihi_proxy_by_hand():
    loihi = load_profile(PROFILES / "loihi-1.yaml")
    linear = one_node(
        Operations("mac", "w", (8, 8), 32, dense=20, effective=10, accumulate=10), outputs=5, zero_outputs=3
    )
    estimate = energy(linear, loihi)
    assert estimate.compute.low == pytest.approx(10 * 23.6 + 5 * 52 + 2 * 1.7)
    assert estimate.compute.high == pytest.approx(10 * 23.6 + 5 * 81 + 2 * 1.7)
    ssm = one_node(type="DiagonalSSM", state_updates=7, digit_steps=9, outputs=6, zero_outputs=2)
    real = one_node(type="DiagonalSSM", state_updates=7, digit_steps=9, outputs=6, zero_outputs=2, real=True)
    assert energy(real, loihi).compute.high == pytest.approx(7 * 81 + 4 * 1.7)
    assert energy(ssm, loihi).compute.high == pytest.approx(2 * 7 * 81 + 4 * 1.7)
    norm = one_node(Operations("root", "deviation", (64, 0), 64, dense=4, effective=4), type="LayerNorm", outputs=5)
    assert energy(norm, loihi).compute.high == 0
    assert energy(norm, loihi).unpriced == {"root": 4}
    with pytest.raises(ProgramError, match="not float32"):
        energy(one_node(arithmetic="float32"), loihi)


def test_whole_program(capsys):
    program = random_program(11, modes=4, width=4)
    traces = reference.run(program, [random_sample(program, 1, 30)])
    loaded = load_profile(PROFILES / "horowitz-45nm.yaml")
    integer, floats = energy(count(program, traces), loaded), energy(count_float(program, traces), loaded)
    assert integer.unpriced == floats.unpriced == {}
    assert 0 < integer.compute.low <= integer.compute.high < floats.compute.high
    assert integer.total.high == pytest.approx(sum(node.total.high for node in integer.nodes))
    events = 30 - (program.pairing == "next")
    print_energy(integer, floats, Console(width=150))
    lines = capsys.readouterr().out.splitlines()
    assert "Energy an input event by horowitz-45nm (estimate, integer)" in lines[0]
    rows = {line.split()[0]: re.split(r"\s{2,}", line.strip())[1:] for line in lines if "pJ" in line or "nJ" in line}
    spent = {node.name.replace("stages/", "").replace("layers/", ""): node for node in integer.nodes}
    spent |= {"integer": integer, "float32": floats}
    assert set(rows) == {name for name, node in spent.items() if node.total.high > 0}
    for name, cells in rows.items():
        node = spent[name]
        memory = node.memory if name in ("integer", "float32") else sum(node.memory.values(), type(node.compute)())
        for cell, value in zip(cells, (node.compute, memory, node.total), strict=True):
            assert picojoules(cell) == pytest.approx((value.low / events, value.high / events), rel=0.02, abs=0.011)


def picojoules(cell):
    """Both ends of a printed range."""
    if cell == "-":
        return 0.0, 0.0
    numbers, unit = cell.rsplit(" ", 1)
    low, _, high = numbers.replace(",", "").partition(" to ")
    return tuple(float(end) * {"pJ": 1, "nJ": 1e3, "uJ": 1e6}[unit] for end in (low, high or low))
