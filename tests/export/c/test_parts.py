"""Work space, packed codes, numbers, names and the compiler."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import numpy as np
import pumice
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pumice.errors import BackendUnavailable, PumiceError
from pumice.export.c import CBackend, Generated, compiler, find_compiler, sources, writer
from pumice.export.c.memory import Field, WorkSpace, struct_bytes
from pumice.export.c.names import comment, string
from pumice.export.c.sums import pack, packed_bits
from pumice.export.c.types import CType, literal
from pumice.program import reference
from pumice.program.nodes import LIF
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_sample

pieces = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5)), min_size=1, max_size=30)


@given(pieces)
def test_arrays_that_live_together_do_not_overlap(wanted):
    work, placed = WorkSpace(), []
    for now, (size, for_) in enumerate(wanted):
        start = work.take(8, size, now, now + for_)
        for other_start, other_size, until in placed:
            assert until < now or start + size <= other_start or other_start + other_size <= start
        placed.append((start, size, now + for_))
        assert start + size <= work.sizes[8]


def test_what_is_done_with_gives_its_place_to_others():
    work = WorkSpace()
    places = [work.take(8, size, now, now + 1) for now, size in enumerate([10, 4, 6, 3])]
    assert places == [0, 10, 0, 6]
    assert work.sizes == {8: 14}


@given(st.sampled_from([2, 4]), st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**32))
def test_packed_codes_are_found_again(bits, lines, entries, seed):
    top = (1 << (bits - 1)) - 1
    given_codes = np.random.default_rng(seed).integers(-top, top + 1, (lines, entries))
    packed = pack(given_codes, bits)
    assert packed.shape == (lines, -(-entries * bits // 8))
    for line, row in zip(given_codes, packed.tolist(), strict=True):
        whole = int.from_bytes(bytes(row), "little")
        fields = [whole >> (bits * i) & ((1 << bits) - 1) for i in range(entries)]
        assert [field - (1 << bits) if field >> (bits - 1) else field for field in fields] == line.tolist()


def test_weights_above_4_bits_are_not_packed():
    assert [packed_bits(width) for width in (2, 3, 4, 5, 8)] == [2, 4, 4, 0, 0]


def test_packed_weights_take_less_and_give_the_same(compiler_here):
    program = random_network(
        2, layers=1, hidden=9, inputs=6, weight_width=4, recurrent=True, value="dense", input="counts"
    )
    samples = [random_sample(program, 0, 30)]
    plain, packed = (Generated(program, name, pack) for name, pack in (("plain", False), ("packed", True)))
    saved = sum(table.bytes for table in plain.tables) - sum(table.bytes for table in packed.tables)
    codes = 6 * 9 + 9 * 9 + 9 * 3
    rows = 6 * 5 + 9 * 5 + 9 * 2  # bytes of 9, 9 and 3 codes
    assert saved == codes - rows
    (wanted,) = reference.run(program, samples)
    for found in CBackend(pack=True)(program, samples, False):
        assert (found.logits == wanted.logits).all()


@pytest.fixture
def compiler_here():
    try:
        return find_compiler()
    except BackendUnavailable as error:
        pytest.skip(str(error))


def test_a_struct_is_padded_to_its_widest_field():
    fields = [Field("a", CType(8), 3, ""), Field("b", CType(32), 0, ""), Field("c", CType(16), 1, "")]
    assert struct_bytes(fields) == 12
    assert struct_bytes(fields[:1]) == 3


def test_numbers_of_every_size():
    numbers = [0, -1, 2**31 - 1, -(2**31), 2**31, -(2**40)]
    found = [literal(number) for number in numbers]
    assert found == ["0", "(-1)", "2147483647", "(-2147483647 - 1)", "INT64_C(2147483648)", "(INT64_C(-1099511627776))"]


def test_texts_of_others_stay_texts(compiler_here, tmp_path):
    """Class names come from files of others; what they hold is never code."""
    names = ('a"; int x = 1; "', "??/", "\\ */ \u00e9")
    assert "*/" not in comment("x */ y ??/ z")
    assert "??" not in comment("??/")
    assert string('"\\') == '"\\042\\134"'
    code = sources(Generated(replace(random_network(1, layers=1), class_names=names), "net"))
    assert code["net.c"].isascii()
    (tmp_path / "net.h").write_text(code["net.h"])
    said = "#include <stdio.h>\nint main(void) { for (int i = 0; i < 3; i++) puts(net_class_names[i]); return 0; }\n"
    (tmp_path / "net.c").write_text(code["net.c"] + said)
    subprocess.run([*compiler_here, "-std=c99", "-o", "names", "net.c"], cwd=tmp_path, check=True)
    found = subprocess.run([tmp_path / "names"], capture_output=True, check=True).stdout.decode()
    assert found == "".join(f"{name}\n" for name in names)


@pytest.mark.parametrize("name", ["Net", "9net", "int", "main", "a-b", "", "known", "n" * 32])
def test_names_that_c_or_a_file_cannot_have_are_refused(name):
    with pytest.raises(PumiceError, match="is no name for C"):
        Generated(random_network(1), name)


def test_a_machine_without_a_compiler_is_told_apart(monkeypatch, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    compiler._works.cache_clear()
    program = random_network(1)
    with pytest.raises(BackendUnavailable, match="no C compiler; install gcc or clang"):
        CBackend()(program, [random_sample(program, 0, 3)], False)
    monkeypatch.setenv("CC", "/nowhere/cc -O1")
    with pytest.raises(PumiceError, match="CC names /nowhere/cc -O1, which compiles no C"):
        find_compiler()
    compiler._works.cache_clear()


def test_a_node_that_c_lacks_is_named_and_comparisons_go_on(monkeypatch):
    program = random_network(1, cell="lif")
    monkeypatch.delitem(writer.EMITTERS, LIF)
    with pytest.raises(BackendUnavailable, match="node cells/0: C has no form of nodes of type LIF; run it elsewhere"):
        sources(Generated(program))
    samples = [random_sample(program, 0, 5)]
    result = pumice.compare(program, samples, ["reference", "run", "c"])
    assert set(result.skipped) == {"c"}
    assert "cells/0" in result.skipped["c"]
