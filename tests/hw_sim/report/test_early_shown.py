"""Early decisions as a report tells and draws them."""

from __future__ import annotations

import pytest
from pumice.hw_sim.report.early import drawn, early

FOUND = {"shares": [0.25, 0.5, 0.75, 1.0], "decisions": 20, "integer": [5, 9, 19, 20], "float": [4, 10, 18, 19]}


def test_accuracies_of_either_side(drawing):
    found = early({"early": FOUND, "duration_s": 30.0})
    assert found["integer"] == [0.25, 0.45, 0.95, 1.0]
    assert found["float"] == [0.2, 0.5, 0.9, 0.95]
    assert (found["enough"], found["seconds"], found["flat"]) == (0.75, 1.5, False)
    (figure,) = drawing(drawn, found)
    lines = {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines}
    assert lines["integers"] == found["integer"]
    assert lines["float model"] == found["float"]


def test_what_is_flat_or_not_told_is_not_drawn():
    flat = early({"early": {**FOUND, "integer": [7] * 4, "float": None}, "duration_s": None})
    assert (flat["flat"], flat["float"], flat["seconds"]) == (True, None, None)
    assert drawn(flat) is None
    assert early({"early": None}) is early(None) is None
    assert flat["integer"] == pytest.approx([0.35] * 4)
