"""Matrices without their zeros: what is kept of them, when, and that the integers stay those of the simulator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pruned import pruned
from pumice.export.c import Generated, sources
from pumice.export.c.sparse import without_zeros
from pumice.program import Format, Program
from pumice.program.nodes import DenseInput, Linear, Readout
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program

SANITIZED = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover")
COUNTS, VALUES = Format(8, True, 0), Format(8, True, 3)
"""Of an input that is taken value by value, and of one whose products go by rows."""


@given(st.integers(1, 6), st.sampled_from([1, 3, 255, 256, 257, 511, 600, 1200]), st.data())
def test_what_is_kept_stands_where_it_stood(lines, entries, data):
    codes = np.zeros((lines, entries), dtype=np.int64)
    places = st.tuples(st.integers(0, lines - 1), st.integers(0, entries - 1))
    for number, place in enumerate(data.draw(st.lists(places, max_size=12))):
        codes[place] = number + 1
    kept = without_zeros(codes)
    assert len(kept.places) == len(kept.codes) == sum(kept.counts) == kept.starts[-1] > 0
    assert 0 <= kept.places.min() <= kept.places.max() <= 255
    found = np.zeros_like(codes)
    for line in range(lines):
        at = 0
        for k in range(kept.starts[line], kept.starts[line + 1]):
            at = at + kept.places[k] if entries > 256 else kept.places[k]
            found[line, at] = kept.codes[k]
    assert (found == codes).all()
    if entries <= 256 and codes.any():
        assert (kept.codes != 0).all()


def test_programs_without_most_weights_under_sanitizers(same):
    shape = {"stages": 1, "layers": 1, "width": 6, "modes": 6, "stride": 1, "weight_width": 8}
    programs = [random_program(5, **shape, value="dense", discretization="zoh", extreme=True)]
    programs += [random_program(6, **shape, value="token", state_width=32), random_loihi(6, layers=1, hidden=9)]
    programs += [
        random_network(seed, cell=cell, layers=1, hidden=12, recurrent=True) for seed, cell in ((2, "se"), (12, "ef"))
    ]
    chosen = [pruned(program, share) for program in programs for share in (0.85, 1.0)]
    for program in chosen:
        assert Generated(program).constant_bytes < Generated(program, sparse=False).constant_bytes
    assert same(chosen, SANITIZED) > 10_000


def test_packed_codes_go_beside_it(same):
    chosen = [pruned(random_network(3, cell="lif", layers=1, hidden=24, recurrent=True, weight_width=4), 0.9)]
    plain, packed = (Generated(chosen[0], pack=pack) for pack in (False, True))
    assert packed.constant_bytes < plain.constant_bytes < Generated(chosen[0], sparse=False).constant_bytes
    assert "code4(n" in sources(packed)["pumice.c"]
    assert same(chosen, SANITIZED, pack=True) > 1_000


def chain(*weights, formats=(COUNTS, VALUES)):
    """Products of these matrices one after the other."""
    nodes = [DenseInput(name="x", inputs=(), output=formats[0], size=weights[0].shape[1])]
    for number, weight in enumerate(weights):
        rows, source = len(weight), nodes[-1]
        nodes.append(
            Linear(
                name=f"y{number}",
                inputs=(source.name,),
                output=formats[-1],
                formats=(source.output,),
                weights=(weight,),
                weight_widths=(8,),
                weight_fracs=(np.full(rows, 4),),
                bias=np.zeros(rows, dtype=np.int64),
            )
        )
    last, how = nodes[-1], {"mode": "last", "extra_bits": 0, "window": 0, "decay_shift": 0}
    size = last.channels
    nodes.append(Readout(name="z", inputs=(last.name,), output=last.output, format=last.output, size=size, **how))
    return Program(nodes=tuple(nodes), logits="z", pairing="causal", class_names=tuple(str(i) for i in range(size)))


def test_lines_that_are_longer_than_a_byte_counts(same):
    """Rows and columns of 700 entries, with the first, the last, and distances of 255, 256 and 511."""
    wide = np.zeros((3, 700), dtype=np.int64)
    wide[0, [0, 255, 511, 699]] = 10, -20, 30, -40
    wide[1, [255, 256, 257]] = 50, -60, 70
    wide[2, 699] = -80
    program = chain(wide.T, wide)
    rows = np.random.default_rng(0).integers(-128, 128, (30, 3)).astype(np.float64)
    code = sources(Generated(program))["pumice.c"]
    assert "*at += " in code
    assert "*at0" in code
    same([program], SANITIZED, samples=[[(rows, np.arange(30) * 1000)]])


def constants(weight, **settings):
    """Bytes of the constants of one product."""
    generated = Generated(chain(weight, formats=(VALUES,)), **settings)
    own = sum(table.bytes for table in generated.tables if table.name.startswith("n001_w"))
    assert generated.kept.saved == ({} if own == weight.size else {"n001_w0": weight.size - own})
    return own


@pytest.mark.parametrize("seed", [0, 1])
def test_each_matrix_is_kept_in_the_way_that_pays(seed):
    rng = np.random.default_rng(seed)
    for share in (0.0, 0.2, 0.4, 0.55, 0.7, 0.9, 1.0):
        weight = rng.integers(1, 100, (20, 30)) * (rng.random((20, 30)) >= share)
        without = 2 * max(np.count_nonzero(weight), 1) + 20  # a place and a code each, a count a row
        assert constants(weight, sparse=False) == 600
        assert constants(weight) == (without if without <= 450 else 600)
    full = Generated(chain(np.ones((9, 9), dtype=np.int64)))
    assert sources(full) == sources(Generated(full.program, sparse=False))
