"""Arithmetic, clock, bounds and the validation of nodes and graphs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import fields, replace
from fractions import Fraction
from math import ceil, floor, isqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pumice.export.lava import LavaUnavailable, ensure_environment
from pumice.program import Format, Program, ProgramError
from pumice.program.arithmetic import integer_sqrt, round_half_up_real, round_half_up_shift, rounded_divide, saturate
from pumice.program.bounds import dot_bound
from pumice.program.clock import gaps, ticks
from pumice.program.nodes import GAP_FORMAT, REGISTRY, DenseInput, DiagonalSSM, Embedding, Linear, Readout
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program
from pumice.program.random.spiking import random_spiking

DRAWS = (random_program, random_network, random_loihi, random_spiking)
CODES = st.integers(-(1 << 52) + 1, (1 << 52) - 1)


@given(CODES, st.integers(-9, 52))
def test_shifts_round_half_up(value, shift):
    assert round_half_up_shift(value, shift) == floor(Fraction(value) / Fraction(2) ** shift + Fraction(1, 2))


@example(0.5)  # ties: above an even number, below one, and what becomes 1 when 0.5 is added
@example(-1.5)
@example(0.49999999999999994)
@given(st.floats(-(2.0**51), 2.0**51) | st.integers(-999, 999).map(lambda whole: whole + 0.5))
def test_real_values_round_half_up(value):
    assert round_half_up_real(np.float64(value)) == floor(Fraction(value) + Fraction(1, 2))


@given(st.integers(-(1 << 40), 1 << 40), st.integers(-(1 << 20), 1 << 20), st.integers(0, 16))
def test_rounding_commutes_with_whole_units(value, units, shift):
    assert round_half_up_shift(value + (units << shift), shift) == round_half_up_shift(value, shift) + units


@given(CODES, st.integers(-3, 1 << 40))
def test_division_rounds_half_up(p, q):
    assert rounded_divide(p, q) == floor(Fraction(p, max(q, 1)) + Fraction(1, 2))


@given(st.one_of(st.integers(0, (1 << 52) - 1), st.integers(0, (1 << 26) - 1).map(lambda n: n * n)))
def test_square_roots_are_exact(value):
    for near in (max(value - 1, 0), value):
        assert integer_sqrt(near) == isqrt(near)


@given(CODES, st.integers(1, 40), st.booleans())
def test_saturation(value, width, signed):
    form = Format(width, signed, 0)
    stored, clipped = saturate(np.array([value]), form)
    assert form.min <= stored[0] <= form.max
    assert clipped[0] == (not form.min <= value <= form.max)
    assert clipped[0] or stored[0] == value


@given(st.lists(st.integers(0, 10**7), max_size=30), st.integers(1, 10**4), st.integers(-(10**12), 10**12))
def test_gaps_come_from_rounded_absolute_times(steps, tick, start):
    times = start + np.cumsum(np.array(steps, dtype=np.int64))
    between = gaps(times, tick)
    assert between.sum() == (ticks(times[-1:] - times[:1], tick)[0] if steps else 0)
    assert (between >= 0).all()
    if steps:
        assert between[0] == 0
        np.testing.assert_array_equal(gaps(times, tick, "next"), between[1:])
        elapsed = [floor(Fraction(int(t - times[0]), tick) + Fraction(1, 2)) for t in times]
        np.testing.assert_array_equal(np.cumsum(between), elapsed)


def test_times_that_go_backwards_are_named():
    with pytest.raises(ProgramError, match="event 2 lies 4 us before event 1"):
        gaps(np.array([0, 5, 1]), 10)
    with pytest.raises(ProgramError, match="pairing 'both' is unknown"):
        gaps(np.array([0]), 10, "both")


def nodes_of(kind, **fixed):
    for seed in range(40):
        for node in random_program(seed, **fixed):
            if isinstance(node, kind):
                return node
    raise AssertionError(f"no {kind.__name__} in any program")


def test_every_node_type_is_in_the_registry_and_occurs():
    seen = {type(node).__name__ for seed in range(40) for draw in DRAWS for node in draw(seed)}
    assert seen == set(REGISTRY)


def test_decays_that_grow_are_refused():
    node = nodes_of(DiagonalSSM)
    growing = node.decay_re.copy()
    growing[0, -1] = 1
    with pytest.raises(ProgramError, match=f"{node.name}: mode {node.modes - 1} grows"):
        replace(node, decay_re=growing)


def test_intermediates_beyond_52_bits_are_refused():
    node = nodes_of(Linear)
    with pytest.raises(ProgramError, match=r"the sum can reach \d+ bits, the limit is 52"):
        replace(node, bias=np.full(node.channels, 1 << 52))


def test_weights_are_narrow():
    node = nodes_of(DiagonalSSM)
    with pytest.raises(ProgramError, match=r"input_re holds -128\.\.-128, outside -127\.\.127"):
        replace(node, input_re=np.full_like(node.input_re, -128))


def test_float_tensors_are_refused():
    node = nodes_of(Linear)
    with pytest.raises(ProgramError, match="bias must hold integers, not float64"):
        replace(node, bias=node.bias.astype(float))
    with pytest.raises(ProgramError, match="weights must hold integers, not float64"):
        replace(node, weights=tuple(weight.astype(float) for weight in node.weights))
    assert not any(weight.flags.writeable for weight in node.weights)


def test_every_token_has_a_row():
    program = random_program(1, value="token")
    embedding = next(node for node in program if isinstance(node, Embedding))
    short = replace(embedding, table=embedding.table[:-1])
    with pytest.raises(ProgramError, match=r"its \d+ rows are fewer than \d+ tokens"):
        replace(program, nodes=tuple(short if node is embedding else node for node in program))


def test_edges_are_checked():
    program = random_program(1, stride=1, value="token")

    def rebuilt(nodes):
        return Program(nodes=tuple(nodes), logits="decoder", pairing="causal", class_names=("a", "b", "c"))

    rebuilt(program)
    with pytest.raises(ProgramError, match="which no earlier node makes"):
        rebuilt(program.nodes[::-1])
    with pytest.raises(ProgramError, match="names must be unique"):
        rebuilt([*program.nodes, program.nodes[-1]])
    wider = [replace(node, output=Format(20, False, 0)) if node.name == "token" else node for node in program]
    with pytest.raises(ProgramError, match=r"edge token -> embedding: carries u20\.0, u16\.0 is expected"):
        rebuilt(wider)
    with pytest.raises(ProgramError, match="2 class names for 3 logits"):
        replace(program, class_names=("a", "b"))
    with pytest.raises(ProgramError, match="do not lie behind a read-out"):
        replace(program, logits="embedding")


PROGRAM_FOLDER = Path(sys.modules["pumice.program"].__file__).parent
ALONE = """
import sys
for blocked in ("torch", "numba", "brevitas", "rich"):
    sys.modules[blocked] = None
import {package} as program
known = ("pumice.program", "pumice.version")  # the package itself names its version
others = [name for name in sys.modules if name.startswith("pumice.") and not name.startswith(known)]
assert not others, others
print(program.__name__, sorted(program.__all__))
"""


def test_the_program_needs_numpy_alone():
    script = ALONE.format(package="pumice.program")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_reference_needs_no_torch_and_no_numba():
    script = ALONE.format(package="pumice.program") + "import pumice.program.reference\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_copy_of_the_folder_works_under_python_310(tmp_path):
    try:
        python = ensure_environment()  # the one of the Lava bundles: numpy 1.26
    except LavaUnavailable as error:
        pytest.skip(f"SKIPPED: {error}")
    shutil.copytree(PROGRAM_FOLDER, tmp_path / "carried")
    script = ALONE.format(package="carried")
    done = subprocess.run([str(python), "-c", script], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("order", ["se", "ef"])
def test_the_stability_limit_of_adaptive_neurons_is_exact(order):
    node = random_network(1, value="dense", cell=order, hidden=1)["cells/0"]
    alpha, rise, beta = 3, 1, 3  # of 4
    changed = replace(
        node, alpha=np.array([alpha]), alpha_frac=2, rise=np.array([rise]), rise_frac=2, beta=np.array([beta]),
        beta_frac=2, coupling_frac=4, coupling=np.array([0]),
    )  # fmt: skip
    limit = Fraction(49, 16) if order == "se" else Fraction(7, 16)
    most = limit / Fraction(rise, 4) * 16  # this coupling code is the first that is refused
    replace(changed, coupling=np.array([floor(most) - 1]), constant_width=12)
    with pytest.raises(ProgramError, match=r"unstable.*lower q or raise tau_w"):
        replace(changed, coupling=np.array([ceil(most)]), constant_width=12)


def test_neurons_refuse_what_cannot_be():
    node = random_network(2, value="dense", cell="se", hidden=3, recurrent=True)["cells/0"]
    with pytest.raises(ProgramError, match="cells/0: recurrent has shape"):
        replace(node, recurrent=node.recurrent[:, :2])
    with pytest.raises(ProgramError, match="order 'me' is unknown"):
        replace(node, order="me")
    with pytest.raises(ProgramError, match="its output are spikes"):
        replace(node, output=Format(8, True, 0))
    with pytest.raises(ProgramError, match="alpha has to lie below 1"):
        replace(node, alpha=np.full(3, 4), alpha_frac=2)
    with pytest.raises(ProgramError, match="an adaptation does not decay: beta has to lie below 1"):
        replace(node, beta=np.full(3, 4), beta_frac=2)
    for beyond in (node.potential.min - 2, node.potential.max + 1):
        with pytest.raises(ProgramError, match="threshold holds"):
            replace(node, threshold=np.full(3, beyond))


@pytest.mark.parametrize("order", ["se", "ef"])
def test_feedback_in_large_units_is_unstable_too(order):
    node = random_network(2, value="dense", cell=order, hidden=1)["cells/0"]
    codes = {"alpha": 0, "alpha_frac": 0, "beta": 0, "beta_frac": 0, "rise": 1, "rise_frac": -1, "coupling_frac": 0}
    one = {name: np.array([code]) if name in ("alpha", "beta", "rise") else code for name, code in codes.items()}
    with pytest.raises(ProgramError, match="1 neurons are unstable"):
        replace(node, **one, coupling=np.array([1]))  # 2, the limit is 1


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("extreme", [-(1 << 63), (1 << 63) - 1])
def test_the_extremes_of_64_bits_are_refused_in_every_bias(draw, extreme):
    """|-2**63| is negative in int64: bounds are taken in Python integers."""
    biased = [node for seed in range(40) for node in draw(seed) for name in vars(node) if name.startswith("bias")]
    assert biased
    for node in biased:
        for name in [name for name in vars(node) if name.startswith("bias")]:
            changed = getattr(node, name).astype(np.int64)
            changed[-1] = extreme
            with pytest.raises(
                ProgramError, match=rf"node {node.name}: .*(can reach 6[3-9]|can reach [7-9][0-9]|bias holds)"
            ):
                replace(node, **{name: changed})


@given(
    st.lists(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=3, max_size=3), min_size=1), st.integers(0, 9)
)
def test_bounds_of_products_are_exact(rows, magnitude):
    expected = [sum(map(abs, row)) * magnitude for row in rows]
    assert list(dot_bound(np.array(rows, dtype=np.int64), magnitude)) == expected
    assert list(dot_bound(np.array(rows, dtype=np.int64)[:, 0], magnitude)) == [abs(row[0]) * magnitude for row in rows]


STRANGE = [
    None,
    True,
    1.0,
    "?",
    1 << 62,
    -(1 << 62),
    [1],
    (1,),
    {},
    Format(8, True, 0),
    np.array([1]),
    "",
    "a\nb",
    "[/red]",
]


@pytest.mark.parametrize("draw", DRAWS)
def test_fields_hold_what_they_are_declared_as(draw):
    """Files declare anything: every field of every node refuses every kind of value that is not its own."""
    for node in draw(3):
        for item in fields(node):
            value = getattr(node, item.name)
            for strange in STRANGE:
                same = type(strange) is type(value) and item.name != "name"
                if not same and strange is not value:
                    with pytest.raises(ProgramError, match=f"{node.name}|a node needs a name"):
                        replace(node, **{item.name: strange})


@pytest.mark.parametrize("dtype", ["u8", ">i4", "?", "f8", "O", "U1", "M8[s]"])
def test_tensors_are_of_native_integers(dtype):
    node = nodes_of(Linear)
    with pytest.raises(ProgramError, match=f"node {node.name}: bias must hold .*integers"):
        replace(node, bias=np.zeros(node.channels, dtype=dtype))


def test_programs_that_no_machine_holds_are_refused():
    program = random_network(1, value="dense", input="counts")
    wide = replace(program.value_input, size=1 << 19)
    with pytest.raises(ProgramError, match=r"all nodes together have \d+ channels, the limit is 262144"):
        replace(program, nodes=(wide, *program.nodes[1:]))
    readout = next(node for node in program if isinstance(node, Readout))
    for window in (1 << 17, 1 << 40):
        with pytest.raises(ProgramError, match=f"a window of {window} events is outside"):
            replace(readout, mode="window", window=window, decay_shift=0)
    for node in program:
        for item in fields(node):
            if isinstance(getattr(node, item.name), np.ndarray):
                with pytest.raises(ProgramError, match="the limit is 262144"):
                    replace(node, **{item.name: np.zeros((1 << 18) + 1, dtype=np.int8)})


def test_gaps_come_from_gap_inputs():
    program = random_program(1, value="dense")
    gap = program.gap_inputs[0]
    forged = [
        DenseInput(name=gap.name, inputs=(), output=GAP_FORMAT, size=1) if node is gap else node for node in program
    ]
    with pytest.raises(ProgramError, match=r"one token or dense input, not 2|carries values, gaps are expected"):
        replace(program, nodes=tuple(forged))


@pytest.mark.parametrize("names", [("a", "b", "c\n"), ("a", "b", "\x1b[31m"), ("a", "b", 3), ("a", "b", "\ud800")])
def test_class_names_are_printable(names):
    with pytest.raises(ProgramError, match="class names are printable"):
        replace(random_program(1), class_names=names)


def test_a_refractory_time_has_few_bits_and_resets_at_once():
    node = random_network(1, value="dense", cell="cuba", reset="zero", refractory=5)["cells/0"]
    assert [(state.name, state.width) for state in node.states() if state.name == "c"] == [("c", 3)]
    assert node.features[-1] == "refractory times"
    assert node.detail.endswith(", refractory 5")
    assert not any(state.name == "c" for state in replace(node, refractory=0).states())
    for steps in (-1, 256):
        with pytest.raises(ProgramError, match=f"refractory={steps} is outside 0..255"):
            replace(node, refractory=steps)
    with pytest.raises(ProgramError, match="refractory=True is no whole number"):
        replace(node, refractory=True)
    late = replace(node, refractory=0, reset="late-zero", threshold=np.maximum(node.threshold, 0))
    with pytest.raises(
        ProgramError, match="a late-zero reset acts in a refractory step, where nothing changes; use zero"
    ):
        replace(late, refractory=5)
