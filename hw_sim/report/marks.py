"""Recordings as few marks: channels against time, or the plane of a camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from .vector import cells

COLUMNS, ROWS, SIDE = 120, 48, 64
"""Places of a picture across and up, and at most along either side of a plane."""
SHADES = 3
PLANAR = {"pixel": lambda token, width, height: (token % width, token // width % height),
          "x-major": lambda token, width, height: (token // height % width, token % height)}  # fmt: skip
"""Encodings of a camera's events from which x and y follow, by name (`train.data.tokens`)."""


def marks(
    values: np.ndarray, times_us: np.ndarray, channels: int, token: str = "", sensor: Sequence[int] = ()
) -> dict[str, Any] | None:
    """The places of a picture in which anything happens; None of real numbers, and of nothing.

    Args:
        values: tokens (L,), or vectors (L, F), of which whole numbers that are not zero are marks.
        times_us: (L,) of them.
        channels: how many tokens, or entries of a vector, there are.
        token: how tokens are encoded.
        sensor: (width, height, polarities) of a camera.

    Returns:
        ``planar``; ``columns`` and ``rows`` of the picture; ``seconds`` from its left to its right, None of a plane;
        ``top``, the last channel, or of a plane the last x and y; ``cells`` (n, 3) int64, column and row from the
        top left, each once, and 1 to `SHADES` by the logarithm of how many marks fall there.
    """
    if values.ndim == 1:
        at, places = times_us, values.astype(np.int64)
    else:
        rows, places = np.nonzero(values)
        if not np.all(values == np.rint(values)):
            return None
        at = times_us[rows]
    if not len(places):
        return None
    if values.ndim == 1 and token in PLANAR and len(sensor) > 1:
        width, height = int(sensor[0]), int(sensor[1])
        step = max(-(-width // SIDE), -(-height // SIDE))
        x, y = PLANAR[token](places, width, height)
        size = -(-width // step), -(-height // step)
        found = np.stack([x // step, y // step], axis=1)
        about: dict[str, Any] = {"planar": True, "seconds": None, "top": [width - 1, height - 1]}
    else:
        span, size = int(times_us[-1] - times_us[0]), (COLUMNS, min(ROWS, channels))
        column = (at - times_us[0]) * (COLUMNS - 1) // max(span, 1)
        found = np.stack([column, size[1] - 1 - places * size[1] // channels], axis=1)
        about = {"planar": False, "seconds": span / 1e6, "top": channels - 1}
    cells, counts = np.unique(found, axis=0, return_counts=True)
    shades = np.ceil(SHADES * np.log1p(counts) / np.log1p(counts.max())).astype(np.int64)
    return {**about, "columns": size[0], "rows": size[1], "cells": np.column_stack([cells, shades])}


def pictured(found: Mapping[str, Any], places: np.ndarray) -> Markup:
    """An SVG of ``places`` (n, 3), as of `marks`, in ``columns`` and ``rows``; rasters are stretched to their frame."""
    columns, rows = int(found["columns"]), int(found["rows"])
    kind = "plane" if found["planar"] else "raster"
    aspect = "" if found["planar"] else ' preserveAspectRatio="none"'
    paths = [cells(*places[places[:, 2] == shade, :2].T) for shade in range(1, SHADES + 1)]
    drawn = "".join(f'<path class="s{shade}" d="{path}"/>' for shade, path in enumerate(paths, 1) if path)
    return Markup(
        f'<svg class="{kind}" role="img" aria-label="Events of test sample {int(found["sample"])}" '
        f'viewBox="0 0 {columns} {rows}"{aspect}>{drawn}</svg>'
    )
