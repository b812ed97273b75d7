"""What charts draw, as matplotlib's figures."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure
from pumice.hw_sim.report import figures


@pytest.fixture
def drawing(monkeypatch):
    """Call a chart's function and give the figure that it drew."""

    def call(chart, *arguments):
        kept = []

        def keep(width, height, label, draw):
            kept.append(Figure(figsize=(width, height)))
            draw(kept[-1])
            return label

        monkeypatch.setattr(figures, "svg", keep)
        chart(*arguments)
        return kept

    return call
