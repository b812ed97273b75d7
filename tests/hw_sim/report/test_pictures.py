"""What pictures of widths, ranges and decisions draw, against the numbers that they were given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pumice.hw_sim.report import disagreements, figures, pictures, widths


def points_of(line):
    return [pair for pair in zip(line.get_xdata(), line.get_ydata(), strict=True) if not np.isnan(pair[0])]


SEARCHED = [
    {"point": "point-0", "bytes": 1000.0, "energy_nj": 5.0, "correct": 0.9, "sqnr_db": 40.0, "chosen": False},
    {"point": "point-1", "bytes": 600.0, "energy_nj": 6.0, "correct": 0.8, "sqnr_db": 20.0, "chosen": True},
    {"point": "point-2", "bytes": 700.0, "energy_nj": 7.0, "correct": 0.7, "sqnr_db": None, "chosen": False},
]


def test_points_of_a_search(drawing):
    by_bytes, by_energy = drawing(pictures.searched, {"points": SEARCHED, "float": 0.95})
    accuracy, ratio = by_bytes.axes
    every, front, ring, floats = accuracy.lines
    assert points_of(every) == [(1000, 0.9), (600, 0.8), (700, 0.7)]
    assert points_of(front) == [(600, 0.8), (1000, 0.9)]
    assert points_of(ring) == [(600, 0.8)]
    assert set(floats.get_ydata()) == {0.95}
    assert points_of(ratio.lines[0]) == [(1000, 40), (600, 20)]  # what has no noise has no dot
    assert points_of(by_energy.axes[0].lines[1]) == [(5, 0.9)]  # which the others are dominated by
    same = [{**point, "energy_nj": None, "bytes": 5.0} for point in SEARCHED]
    assert drawing(pictures.searched, {"points": same, "float": 0.95}) == []


RANGES = {
    "stages/0/layers/1/gate": {"bits": 7, "zeros": 3, "first": -6, "counts": [1, 0, 0, 0, 2, 0, *[4] * 8, 0, 5, 0]},
    "cells/0:u": {"bits": 15, "zeros": 0, "first": -6, "counts": [0] * 25},
}


@pytest.mark.parametrize("width", [figures.NARROW, figures.WIDE])
def test_values_in_codes(drawing, width):
    (figure,) = drawing(pictures.ranges, RANGES, width)
    ax = figure.axes[0]
    limits = [set(line.get_xdata()).pop() for line in ax.lines if len(set(line.get_xdata())) == 1]
    assert 7.5 in limits
    inside, lost, clipped = (piece.get_paths() for piece in ax.collections[:3])
    spans = [
        (path.get_extents().x0, path.get_extents().x1, path.get_extents().height) for path in (*inside, *lost, *clipped)
    ]
    by_place = {(round(left, 3), round(right, 3)): height for left, right, height in spans}
    assert by_place[-0.5, 7.5] == pytest.approx(0.8 * 4 / 5)  # bits 0 to 7, of which the codes are
    assert by_place[-6.5, -5.5] == pytest.approx(0.8 * 1 / 5)  # rounded to nothing
    assert by_place[8.5, 9.5] == pytest.approx(0.8)  # clipped
    labels = [text.get_text() for each in figure.axes for text in each.get_yticklabels()]
    assert labels == ["0.1 gate", "0, u"]


NODES = [
    {"name": "stages/0/layers/1/ssm", "sqnr_db": None, "state_sqnr_db": 20.0, "saturations": 0},
    {"name": "stages/0/layers/1/gate", "sqnr_db": 30.0, "state_sqnr_db": None, "saturations": 50},
    {"name": "gap", "sqnr_db": None, "state_sqnr_db": None, "saturations": None},
]


def test_losses_of_nodes(drawing):
    (figure,) = drawing(pictures.losses, NODES, 2000)
    noise, clipped = figure.axes
    assert [text.get_text() for text in noise.get_yticklabels()] == ["0.1 ssm", "0.1 gate"]
    assert points_of(noise.lines[0]) == [(30, 1)]
    assert points_of(noise.lines[1]) == [(20, 0)]
    assert [bar.get_width() for bar in clipped.patches] == [0, 25]


logits = st.lists(st.lists(st.integers(-20, 20), min_size=3, max_size=3), min_size=1, max_size=8)


@given(logits, st.integers(0, 1000))
def test_a_decision_falls_only_where_more_than_its_margin_is_taken(rows, seed):
    floats = np.array(rows, dtype=float)
    scores = floats + np.random.default_rng(seed).integers(-4, 5, floats.shape) + np.array([0.0, 0.1, 0.2])
    margin, change, differ = pictures.margins(floats, scores)
    for row in range(len(rows)):
        best, second = np.sort(floats[row])[::-1][:2]
        assert margin[row] == best - second
        assert differ[row] == (floats[row].argmax() != scores[row].argmax())
        if differ[row]:
            assert change[row] >= margin[row]
        said = floats[row].argmax()
        taken = [
            (floats[row, said] - floats[row, other]) - (scores[row, said] - scores[row, other])
            for other in range(3)
            if other != said
        ]
        assert any(change[row] == pytest.approx(max(each, 0)) for each in taken)


def test_decisions_that_differ_stand_out(drawing):
    floats = np.array([[5.0, 1.0], [2.0, 1.9], [0.0, 3.0]])
    scores = np.array([[4.0, 1.5], [1.8, 2.0], [0.0, 3.1]])
    (figure,) = drawing(pictures.disagreements, floats, scores)
    same, other, diagonal = figure.axes[0].lines
    assert same.get_label() == "the same class"
    assert [x for x, _ in points_of(same)][::2] == pytest.approx([4.0, 3.0])
    assert points_of(other)[0] == pytest.approx((0.1, 0.3))
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())


def test_decisions_that_differ_are_listed():
    labels = np.array([0, 0, 0, 2])
    floats = np.array([[2.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0], [0, 1.0, 0]])
    scores = np.array([[2.0, 0, 0], [0, 1.0, 0], [3.0, 1.0, 0], [1.0, 0.0, 0]])
    found = disagreements.listed((labels, floats, scores), ["a", "b", "c"])
    assert (found["differing"], found["decisions"]) == (3, 4)
    told = [(row["decision"], row["label"], row["float"], row["integer"], row["right"]) for row in found["rows"]]
    assert told == [(1, "a", "a", "b", "float"), (2, "a", "b", "a", "integer"), (3, "c", "b", "a", "neither")]
    shares = np.exp(scores[2]) / np.exp(scores[2]).sum()
    assert found["rows"][1]["integer_share"] == pytest.approx(shares[0])
    assert found["rows"][1]["float_share"] == pytest.approx(np.e / (np.e + 2))
    assert disagreements.listed(None, []) is None


def entry(layer, width, to, ratio, refused=None, kind="weights"):
    names = {"place": f"{layer}.{width}", "layer": layer, "width": width, "kind": kind, "to": to}
    return {**names, "sqnr_db": ratio, "refused": refused}


def test_the_heat_map_has_a_cell_for_each_tensor_of_each_layer():
    entries = [
        entry("stages.0.layers.0", "gate", 2, 10.0),
        entry("stages.0.layers.0", "gate", 4, 25.0),
        entry("stages.0.layers.1", "gate", 4, 36.0),
        entry("", "embedding", 4, None),
        entry("stages.0.layers.1", "state", 8, None, "its dead zone", kind="states"),
    ]
    heat = widths.heat_map({"entries": entries, "base": {"sqnr_db": 35.0}})
    assert heat["columns"] == [("gate", 4), ("gate", 2), ("embedding", 4), ("state", 8)]
    assert heat["tensors"] == [("gate", 2), ("embedding", 1), ("state", 1)]
    rows = dict(heat["rows"])
    assert list(rows) == ["layer 0.0", "layer 0.1", "outside"]
    assert [cell and cell["sqnr_db"] for cell in rows["layer 0.0"]] == [25.0, 10.0, None, None]
    assert rows["layer 0.0"][0]["share"] == pytest.approx(10 / 30)
    assert rows["layer 0.1"][0]["share"] == 0  # nothing is lost
    assert rows["layer 0.1"][3]["refused"]
    assert rows["outside"][2] == {"sqnr_db": None, "refused": False, "share": 0.0}
