"""SVG in few characters: paths as relative moves of tenths, nothing between tags."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

TENTHS = 10
"""Steps of a unit that places are rounded to: a seventh of a pixel of a wide page."""
_NUMBERS = {"M": 2, "L": 2, "C": 6, "Q": 4, "z": 0}


def compact(svg: str) -> str:
    """A drawing of matplotlib with the same places, to a tenth of a point, in about a third of the characters."""
    svg = re.sub(r' d="([^"]*)"', lambda found: f' d="{shorter(found[1])}"', svg)
    svg = re.sub(r" font-family: [^;\"]*;", "", svg)  # the page's own
    svg = re.sub(r'((?: x| y|x="|y="|rotate\(|translate\(|scale\()-?\d*\.\d\d)\d+', r"\1", svg)
    svg = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", svg)
    return re.sub(r">\s+<", "><", svg)


def shorter(path: str) -> str:
    """The data of a path of absolute commands M, L, C, Q and z as relative ones, in tenths."""
    at, start, parts, last = (0, 0), (0, 0), [], ""
    for command, rest in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        if command not in _NUMBERS:
            return path
        numbers = [round(float(text) * TENTHS) for text in rest.split()]
        if len(numbers) != _NUMBERS[command]:
            return path
        if command == "z":
            parts.append("z")
            at, last = start, "z"
            continue
        moved = [number - at[place % 2] for place, number in enumerate(numbers)]
        at = (numbers[-2], numbers[-1])
        if command == "M":
            start = at
        if command == "L" and 0 in moved:
            if moved == [0, 0] and last in ("h", "v"):
                continue
            letter, moved = ("v", moved[1:]) if moved[0] == 0 else ("h", moved[:1])
        else:
            letter = command.lower()
        text = _joined(moved)
        same = letter == last and letter != "m"
        parts.append((" " if same and not text.startswith("-") else "") + text if same else letter + text)
        last = letter
    return "".join(parts)


def _joined(tenths: Sequence[int]) -> str:
    text = ""
    for number in tenths:
        own = _tenths(number)
        text += own if not text or own.startswith("-") else f" {own}"
    return text


def _tenths(number: int) -> str:
    whole, rest = divmod(abs(number), TENTHS)
    sign = "-" if number < 0 else ""
    return f"{sign}{whole or ('' if rest else 0)}" + (f".{rest}" if rest else "")


def cells(columns: np.ndarray, rows: np.ndarray) -> str:
    """The data of a path of strokes through the cells of a grid, each cell once, neighbours of a row in one stroke.

    Args:
        columns: of the cells, whole numbers (n,).
        rows: of the cells, whole numbers (n,); a stroke lies in the middle of its row.
    """
    places = np.unique(np.stack([rows, columns], axis=1).astype(np.int64), axis=0)
    parts, at = [], (0, 0)  # doubled, so that the middle of a row is a whole number
    for row in np.unique(places[:, 0]).tolist():
        own = places[places[:, 0] == row, 1]
        for run in np.split(own, np.flatnonzero(np.diff(own) > 1) + 1):
            first, size = int(run[0]), len(run)
            across, down = first - at[0], (2 * row + 1) - at[1]
            down_text = f"{down // 2}" if down % 2 == 0 else f"{down / 2:g}"
            parts.append(f"m{across}{'' if down_text.startswith('-') else ' '}{down_text}h{size}")
            at = (first + size, 2 * row + 1)
    return "".join(parts)
