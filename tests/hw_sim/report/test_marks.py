"""Recordings as marks: what falls into one place, in time and channel or in a plane."""

from __future__ import annotations

import numpy as np
import pytest
from pumice.hw_sim.report.marks import COLUMNS, ROWS, marks, pictured
from pumice.train.data.tokens import TOKENS


def as_sets(found):
    return {(int(column), int(row)): int(shade) for column, row, shade in found["cells"]}


def test_channels_against_time():
    tokens, times = np.array([0, 699, 350, 350, 351]), np.array([100, 100, 500_100, 500_100, 1_000_100])
    found = marks(tokens, times, 700)
    assert (found["columns"], found["rows"], found["planar"]) == (COLUMNS, ROWS, False)
    assert (found["seconds"], found["top"]) == (1.0, 699)
    middle, row = 59, ROWS - 1 - 350 * ROWS // 700
    assert as_sets(found) == {(0, ROWS - 1): 2, (0, 0): 2, (middle, row): 3, (COLUMNS - 1, row): 2}


def test_few_channels_have_a_row_each():
    values = np.array([[0, 1, 0], [0, 0, 0], [-2, 0, 0], [0, 0, 1]])
    found = marks(values, np.arange(4) * 4000, 3)
    assert found["rows"] == 3
    assert set(as_sets(found)) == {(0, 1), (2 * 119 // 3, 2), (119, 0)}
    assert marks(values + 0.5, np.arange(4), 3) is None
    assert marks(values * 0, np.arange(4), 3) is None
    assert marks(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 3) is None


@pytest.mark.parametrize("token", ["pixel", "x-major"])
def test_the_plane_of_a_camera(token):
    events = np.array([(5, 9, 0), (5, 9, 1), (0, 3, 1)], dtype=[("x", int), ("y", int), ("p", int)])
    tokens = TOKENS[token][0](events, (10, 20, 2))
    found = marks(tokens, np.arange(3), 400, token, (10, 20, 2))
    assert (found["planar"], found["columns"], found["rows"], found["top"]) == (True, 10, 20, [9, 19])
    assert as_sets(found) == {(5, 9): 3, (0, 3): 2}
    wide = np.array([(310, 239, 0)], dtype=events.dtype)
    found = marks(TOKENS[token][0](wide, (320, 240, 2)), np.zeros(1, int), 320 * 480, token, (320, 240, 2))
    assert (found["columns"], found["rows"]) == (64, 48)
    assert set(as_sets(found)) == {(62, 47)}


def test_a_picture_has_a_path_a_shade():
    found = {"columns": 4, "rows": 2, "planar": False, "sample": 7}
    svg = pictured(found, np.array([[0, 0, 1], [2, 1, 3], [3, 1, 3]]))
    assert '<path class="s1" d="m0 .5h1"/>' in svg.replace("m0 0.5", "m0 .5")
    assert 'class="s3" d="m2 1.5h2"' in svg
    assert "s2" not in svg
