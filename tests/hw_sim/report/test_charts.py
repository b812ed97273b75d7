"""What charts draw: bars, dots, lines and points of the figure itself, against the numbers that they were given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from pumice.hw_sim.report import figures


@pytest.fixture
def drawn(monkeypatch):
    """Call a chart's function and give the figure that it drew, with its size and label."""

    def call(chart, *arguments, **options):
        kept = {}

        def keep(width, height, label, draw):
            kept["figure"], kept["label"] = Figure(figsize=(width, height)), label
            draw(kept["figure"])
            return ""

        monkeypatch.setattr(figures, "svg", keep)
        chart(*arguments, **options)
        return kept["figure"], kept["label"]

    return call


STATES = {
    "stages/0/layers/1/ssm": {"width": 16, "counts": [4, 0, 1, *[0] * 10, 3, 0, 0, 0]},
    "cells/2:w": {"width": 8, "counts": [0, 1, 3, *[0] * 6]},
}


def test_bits_of_states(drawn):
    figure, _ = drawn(figures.state_bits, STATES)
    for ax, entry in zip(figure.axes, STATES.values(), strict=True):
        counts = np.array(entry["counts"])
        assert [bar.get_height() for bar in ax.patches] == (counts / counts.sum()).tolist()
        assert [bar.get_x() + bar.get_width() / 2 for bar in ax.patches] == pytest.approx(list(range(len(counts))))
        assert set(ax.lines[0].get_xdata()) == {entry["width"] - 0.5}
    titles = [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes]
    assert titles == ["layer 0.1", "layer 2, w"]


def test_time_constants_of_each_layer(drawn):
    values = {"stages/0/layers/0/ssm": [5.0, None, 50.0, 20.0], "stages/1/layers/0/ssm": [None, 7.0]}
    figure, _ = drawn(figures.time_constants, values, "ms")
    (ax,) = figure.axes
    dots, median, more, single = ax.lines
    assert sorted(dots.get_xdata()) == [5.0, 20.0, 50.0]
    assert set(median.get_xdata()) == {20.0}
    assert (sorted(more.get_xdata()), set(single.get_xdata())) == ([7.0], {7.0})
    assert np.all(np.abs(dots.get_ydata() - 0) < 0.5)
    assert np.all(np.abs(more.get_ydata() - 1) < 0.5)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["layer 0.0", "layer 1.0"]
    assert (ax.get_xlabel(), ax.get_xscale()) == ("time constant, ms", "log")


def test_a_sample_and_its_running_decision(drawn):
    tokens, times = np.array([3, 9, 3]), np.array([1_000_000, 1_500_000, 3_000_000])
    logits = np.log(np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.5, 0.1, 0.4]]))
    figure, _ = drawn(figures.raster, tokens, times, logits + 5, ("no", "yes", "maybe"), 2, figures.WIDE)
    events, decision = figure.axes
    across, up = events.lines[0].get_xdata(), events.lines[0].get_ydata()
    strokes = [(across[3 * k], (up[3 * k] + up[3 * k + 1]) / 2) for k in range(3)]
    np.testing.assert_allclose(strokes, [(0.0, 3.0), (0.5, 9.0), (2.0, 3.0)])
    assert events.get_ylabel() == "token"
    shown = {line.get_label(): line for line in decision.lines}
    assert list(shown) == ["maybe (true class)", "no", "yes"]  # the true one first, then by their share
    for name, column in (("maybe (true class)", 2), ("no", 0), ("yes", 1)):
        np.testing.assert_allclose(shown[name].get_xdata(), [0.0, 0.5, 2.0])
        np.testing.assert_allclose(shown[name].get_ydata(), np.exp(logits[:, column]), rtol=1e-9)
    assert decision.get_xlabel() == "time, s"
    assert decision.get_xlim() == (0.0, 2.0)


def test_steps_of_channels_are_marked_where_they_are_not_zero(drawn):
    values = np.array([[0.0, -1.0], [0.0, 0.0], [2.0, 1.0]])
    figure, _ = drawn(figures.raster, values, np.array([0, 4000, 8000]), np.zeros((3, 2)), "ab", None, figures.NARROW)
    across, up = figure.axes[0].lines[0].get_xdata(), figure.axes[0].lines[0].get_ydata()
    strokes = {(round(across[3 * k], 6), round((up[3 * k] + up[3 * k + 1]) / 2)) for k in range(3)}
    assert strokes == {(0.0, 1), (0.008, 0), (0.008, 1)}
    assert not any("true class" in line.get_label() for line in figure.axes[1].lines)
    figure, _ = drawn(figures.raster, values + 0.5, np.arange(3), np.zeros((3, 2)), "ab", None, figures.NARROW)
    assert len(figure.axes) == 1  # real numbers are not drawn


def test_points_of_a_comparison(drawn):
    rows = [
        {"short": "a", "number": 1, "accuracy": 0.9, "low": 0.8, "high": 0.95, "bytes": 3000},
        {"short": "b", "number": 2, "accuracy": 0.5, "low": 0.4, "high": 0.7, "bytes": 1000},
        {"short": "c", "number": 3, "accuracy": 0.4, "low": 0.3, "high": 0.5, "bytes": 2000},
    ]
    figure, label = drawn(figures.pareto, rows, "bytes", "parameters, bytes")
    (ax,) = figure.axes
    front, points = ax.lines[-2:]
    assert list(zip(points.get_xdata(), points.get_ydata(), strict=True)) == [(3000, 0.9), (1000, 0.5), (2000, 0.4)]
    assert list(front.get_xdata()) == [1000, 3000]
    (bars,) = ax.collections
    ends = [(low, high) for (_, low), (_, high) in bars.get_segments()]
    np.testing.assert_allclose(ends, [(row["low"], row["high"]) for row in rows])
    assert {text.get_text(): tuple(text.xy) for text in ax.texts}["b"] == (1000, 0.5)
    assert (label, ax.get_xlabel(), ax.get_ylabel()) == (
        "Accuracy against parameters, bytes",
        "parameters, bytes",
        "accuracy",
    )
