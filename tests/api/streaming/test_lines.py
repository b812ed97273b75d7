"""Lines of numbers, however the bytes are cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pumice.api.streaming.lines import LONGEST_LINE, LineReader
from pumice.errors import PumiceError


def read(data, cuts=(), widths=(2, 4), refused=None):
    told = []
    reader = LineReader("source", widths, refused or told.append)
    parts, at = [], 0
    for stop in (*cuts, len(data)):
        parts.append(reader.take(data[at:stop]))
        at = stop
    parts.append(reader.finish())
    return np.concatenate([part for part in parts if len(part)] or [np.zeros((0, 2))]), told


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 700)), max_size=30), st.data())
def test_bytes_may_be_cut_anywhere(rows, data):
    text = "".join(f"{t},{x}\n" for t, x in rows).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    found, told = read(text, cuts)
    assert told == []
    np.testing.assert_array_equal(found, np.array(rows, dtype=float).reshape(-1, 2))


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", ", "])
def test_separators_names_and_remarks(separator):
    text = f"t{separator}x\n# a remark\n\n1{separator}2\r\n3{separator}4".encode()
    found, told = read(text)
    assert told == []
    np.testing.assert_array_equal(found, [[1, 2], [3, 4]])


def test_lines_that_are_none_are_told_by_number():
    found, told = read(b"1,2\n3,x\n4\n5,6\n7,8,9\nnan,1\n7,8\n", [9])
    np.testing.assert_array_equal(found, [[1, 2], [5, 6], [7, 8]])
    assert [sentence.split(" is ")[0] for sentence in told] == [f"source: line {k}" for k in (2, 3, 5, 6)]
    _, told = read(b"1,2,3\n1,2\n")
    assert told == ["source: line 1 has 3 columns, not 2 or 4"]


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory():
    reader = LineReader("source", (2,), print)
    for _ in range(8):
        reader.take(b"1" * 8192)
    with pytest.raises(PumiceError, match="line 1 has more than"):
        reader.take(b"1" * 8192)
    assert len(reader._rest) < 2 * LONGEST_LINE
