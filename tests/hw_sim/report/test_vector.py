"""Short paths lead to the same places."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pumice.hw_sim.report.vector import cells, compact, shorter

WORDS = {"m": 2, "l": 2, "h": 1, "v": 1, "c": 6, "q": 4, "z": 0}


def places(path):
    """The strokes of a path of relative commands, each as (command, absolute end points), by SVG's own rules."""
    at, start, found = (0.0, 0.0), (0.0, 0.0), []
    for command, rest in re.findall(r"([a-z])([^a-z]*)", path):
        numbers = [float(text) for text in re.findall(r"-?\d*\.?\d+", rest)]
        size = WORDS[command]
        for first in range(0, max(len(numbers), 1), max(size, 1)):
            own = numbers[first : first + size]
            if command in "hv":
                own = [own[0], 0.0] if command == "h" else [0.0, own[0]]
            ends = [(at[0] + x, at[1] + y) for x, y in zip(own[::2], own[1::2], strict=True)]
            at = ends[-1] if ends else start
            start = at if command == "m" else start
            found.append(("l" if command in "hv" else command, ends))
    return found


number = st.floats(-500, 500).map(lambda value: round(value, 3))
point = st.tuples(number, number)
stroke = st.one_of(
    st.tuples(st.just("L"), st.tuples(point)), st.tuples(st.just("C"), st.tuples(point, point, point)),
    st.tuples(st.just("Q"), st.tuples(point, point)), st.just(("z", ())), st.tuples(st.just("M"), st.tuples(point)),
)  # fmt: skip


@given(point, st.lists(stroke, max_size=12))
def test_relative_moves_end_where_absolute_ones_do(first, strokes):
    strokes = [("M", (first,)), *strokes]
    path = " ".join(f"{letter} {' '.join(f'{x} {y}' for x, y in ends)}" for letter, ends in strokes)
    found = places(shorter(path))
    expected = [(letter.lower(), ends) for letter, ends in strokes]
    before = (0.0, 0.0)
    for letter, ends in found:
        while not (letter == expected[0][0] and np.allclose(ends, expected[0][1], atol=0.0501)):
            left, (end,) = expected.pop(0)
            assert left == "l"  # a stroke that goes nowhere may be left out
            assert np.allclose(end, before, atol=0.101)
        before = [*ends, before][-2 if ends else -1]
        expected.pop(0)
    assert all(letter == "l" for letter, _ in expected)
    assert len(shorter(path)) <= len(path)


def test_what_is_not_understood_stays():
    assert shorter("M 0 0 A 1 1 0 0 0 2 2") == "M 0 0 A 1 1 0 0 0 2 2"
    assert shorter("M 0.26 0 L 0.26 -1.5 L 10 -1.5") == "m.3 0v-1.5h9.7"


def test_texts_keep_their_numbers():
    svg = (
        "<g>\n <text x=\"1.23456\" style=\"font-size: 9px; font-family: 'A', 'B'; fill: x\">0.123456 M 1 2</text>\n</g>"
    )
    assert compact(svg) == '<g><text x="1.23" style="font-size: 9px; fill: x">0.123456 M 1 2</text></g>'


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), min_size=1, max_size=40))
def test_strokes_go_through_all_cells_and_no_others(points):
    columns, rows = np.array(points).T
    seen, at = [], (0.0, 0.0)
    for command, ends in places(cells(columns, rows)):
        if command == "l":
            seen += [(int(column), at[1] - 0.5) for column in range(int(at[0]), int(ends[0][0]))]
        at = ends[0]
    assert len(seen) == len(set(seen))
    assert set(seen) == set(points)


def test_a_grid_without_marks_has_no_path():
    assert cells(np.zeros(0), np.zeros(0)) == ""
