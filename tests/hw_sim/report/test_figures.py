"""Charts as SVG: texts as they were drawn, colours of the page, nothing that would collide."""

import re
from html import unescape

import numpy as np
import pytest
from pumice.hw_sim.report import figures


def texts(svg):
    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def test_texts_are_left_alone_and_paths_are_short():
    def draw(figure):
        ax = figure.subplots()
        ax.plot(np.linspace(0, 1, 50) ** 3, color=figures.ACCENT)
        ax.set_xticks([0, 25], ["0.123456", "a $x_1$ < b & c"])

    svg = figures.svg(4, 3, "a line", draw)
    assert {"0.123456", "a $x_1$ < b & c"} <= set(texts(svg))
    assert not re.search(r"\.\d{3}", " ".join(re.findall(r' d="[^"]*"', svg)))
    assert "var(--accent)" in svg
    assert svg.startswith('<svg role="img" aria-label="a line"')
    assert not re.search(r'id="axes_\d', svg)


def test_the_same_data_give_the_same_picture():
    states = {"stages/0/layers/0/ssm": {"width": 8, "counts": [1, 2, 3, 4, 3, 2, 1, 0, 0]}}
    assert figures.state_bits(states) == figures.state_bits(states)
    assert "layer 0.0" in texts(figures.state_bits(states))


@pytest.mark.parametrize("values", [np.array([3, 1, 2]), np.ones((3, 4)), np.zeros(0, dtype=np.int64)])
def test_rasters_of_tokens_of_dense_values_and_of_nothing(values):
    logits = np.zeros((len(values), 3))
    svg = figures.raster(values, np.arange(len(values)) * 1000, logits, ["a", "b", "c"], 1, figures.NARROW)
    assert "b (true class)" in texts(svg)


def test_inputs_of_whole_numbers_are_marks_and_real_ones_are_not():
    logits = np.array([[0, 2, 1]] * 4)
    values = np.array([[0, 1], [0, 0], [-2, 3], [0, 0]])
    drawn = figures.raster(values, np.arange(4) * 1000, logits, ["a", "b", "c"], None, figures.WIDE)
    assert "channel" in texts(drawn)
    assert {"a", "b", "c"} <= set(texts(drawn))
    assert not any("true" in text for text in texts(drawn))
    drawn = figures.raster(values + 0.5, np.arange(4) * 1000, logits, ["a", "b", "c"], 2, figures.WIDE)
    assert "channel" not in texts(drawn)
    assert "c (true class)" in texts(drawn)


def test_time_constants_name_their_unit_and_layers():
    shown = texts(figures.time_constants({"cells/0:u": [5.0, 20.0], "cells/0:w": [80.0, None]}, "steps"))
    assert {"layer 0, u", "layer 0, w", "time constant, steps"} <= set(shown)


def test_axes_of_a_comparison_tell_close_costs_apart():
    rows = [
        {"cost": cost, "accuracy": 0.9, "low": 0.85, "high": 0.93, "short": name, "number": 1}
        for cost, name in ((1.78, "narrow"), (1.85, "wide"))
    ]
    shown = texts(figures.pareto(rows, "cost", "nJ"))
    numbers = [text for text in shown if re.fullmatch(r"\d\.\d+", text)]
    assert {"narrow", "wide"} <= set(shown)
    assert len(numbers) == len(set(numbers)) >= 3
