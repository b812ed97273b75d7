"""Labels of points have room, whatever their names and places."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from pumice.hw_sim.report.labels import LONGEST, label, shortened

point = st.tuples(st.floats(0, 1), st.floats(0.5, 1))


def boxes_of(points, names):
    figure = Figure(figsize=(4.4, 3.0), layout="constrained")
    ax = figure.subplots()
    x, y = np.array(points).T
    ax.plot(x, y, "o")
    ax.margins(x=0.22, y=0.12)
    label(figure, ax, x, y, names)
    figure.draw_without_rendering()
    return ax, {text.get_text(): text.get_window_extent() for text in ax.texts}, ax.transData.transform(points)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(point, st.integers(1, 40)), min_size=1, max_size=12))
def test_no_label_covers_another_or_a_point_or_leaves_the_axes(entries):
    points = [place for place, _ in entries]
    names = [(f"{number}{'w' * size}", f"#{number}") for number, (_, size) in enumerate(entries)]
    ax, boxes, places = boxes_of(points, names)
    frame = ax.get_window_extent()
    for box in boxes.values():
        assert frame.x0 - 1 <= box.x0 < box.x1 <= frame.x1 + 1
        assert frame.y0 - 1 <= box.y0 < box.y1 <= frame.y1 + 1
    for one, other in combinations(boxes.values(), 2):
        assert min(one.x1, other.x1) - max(one.x0, other.x0) < 1 or min(one.y1, other.y1) - max(one.y0, other.y0) < 1
    for text, box in boxes.items():
        own = next(n for n, choice in enumerate(names) if text in (shortened(choice[0]), choice[1]))
        for number, (across, up) in enumerate(places):
            apart = not (box.x0 < across < box.x1 and box.y0 < up < box.y1)
            assert apart or number == own or tuple(places[own]) == (across, up)


def test_points_that_stand_apart_have_their_names():
    _, boxes, _ = boxes_of([(0.0, 0.6), (0.5, 0.9), (1.0, 0.7)], [("w8a8", "1"), ("w4a8", "2"), ("w2a8", "3")])
    assert set(boxes) == {"w8a8", "w4a8", "w2a8"}


def test_crowded_points_have_their_numbers():
    near = [(0.5 + 0.02 * step, 0.8) for step in range(3)] + [(0.0, 0.5), (1.0, 1.0)]
    _, boxes, _ = boxes_of(near, [(f"a name of a run {step}", str(step)) for step in range(5)])
    assert {"3", "4"}.isdisjoint(boxes)
    assert len(boxes) >= 4


@pytest.mark.parametrize("size", [LONGEST, LONGEST + 1, 90])
def test_long_names_lose_their_middle(size):
    text = "".join(chr(97 + place % 26) for place in range(size))
    found = shortened(text)
    assert len(found) == min(size, LONGEST)
    assert (found == text) == (size <= LONGEST)
    assert (found[:8], found[-8:]) == (text[:8], text[-8:])
