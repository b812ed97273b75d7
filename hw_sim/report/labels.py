"""Labels of points that neither cover each other, nor points, nor leave the axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

LONGEST = 24
"""Characters of a label; the middle of a longer one goes."""
AWAY, SIZE, RADIUS = 6.0, 8.0, 3.0
"""Points between a point and its label, of its type, and around a point that has to stay free."""
SIDES = (
    ("left", "bottom", 1, 1),
    ("left", "top", 1, -1),
    ("right", "bottom", -1, 1),
    ("right", "top", -1, -1),
    ("center", "bottom", 0, 1.4),
    ("center", "top", 0, -1.4),
    ("left", "center", 1.5, 0),
    ("right", "center", -1.5, 0),
)
"""Which side of a label lies at the point, and the way from there; the first that has room is taken."""


def shortened(text: str, longest: int = LONGEST) -> str:
    """A text of at most so many characters, without its middle where it is longer."""
    if len(text) <= longest:
        return text
    left = (longest - 1) // 2
    return f"{text[:left]}…{text[len(text) - (longest - 1 - left) :]}"


def label(figure: Figure, ax: Axes, x: np.ndarray, y: np.ndarray, names: Sequence[tuple[str, str]]) -> None:
    """Write beside each point the first of its names that has room, shortened; nothing where none has.

    Call it last: what changes the axes afterwards moves the points.
    """
    figure.draw_without_rendering()
    frame, points = ax.get_window_extent(), ax.transData.transform(np.column_stack([x, y]))
    radius = RADIUS * figure.dpi / 72
    dots = [Bbox([point - radius, point + radius]) for point in points]
    texts: list[Bbox] = []
    for number, choice in enumerate(names):
        taken = [*(dot for other, dot in enumerate(dots) if other != number), *texts]
        for name in choice:
            box = _placed(figure, ax, (float(x[number]), float(y[number])), shortened(name), frame, taken)
            if box is not None:
                texts.append(box)
                break


def _placed(
    figure: Figure, ax: Axes, point: tuple[float, float], text: str, frame: Bbox, taken: Sequence[Bbox]
) -> Bbox | None:
    """Write a text beside a point, and give its place; None where it has no room."""
    note = ax.annotate(text, point, (0, 0), textcoords="offset points", fontsize=SIZE)
    for across, up, right, above in SIDES:
        note.set(horizontalalignment=across, verticalalignment=up, position=(AWAY * right, AWAY * 0.7 * above))
        box = note.get_window_extent()
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if inside and not any(box.overlaps(other) for other in taken):
            return box
    note.remove()
    return None
