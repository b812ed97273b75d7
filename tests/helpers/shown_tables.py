"""The tables that a command prints, and what can be read of them at some width."""

from __future__ import annotations

import contextlib
import io
import re
from collections import Counter

import pytest
from pumice.terminal import Table
from pumice.terminal.console import Printer
from rich.cells import cell_len
from rich.console import Console, Group
from rich.text import Text

NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?%?(?![\w])")
WIDTHS = (60, 80, 120)


@contextlib.contextmanager
def recorded():
    """Give a list that fills with the tables that are printed."""
    tables, before = [], Printer.print

    def keep(self, *objects, **options):
        for each in objects:
            tables.extend(part for part in (each.renderables if isinstance(each, Group) else [each]) if is_table(part))
        before(self, *objects, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Printer, "print", keep)
        yield tables


def is_table(thing):
    return isinstance(thing, Table)


def printed(thing, width, terminal=False, encoding="utf-8"):
    """The lines of what is printed at a width."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    colours = {"color_system": None, "force_terminal": terminal}
    Console(file=file, width=width, markup=False, highlight=False, **colours).print(thing, crop=False)
    file.flush()
    return raw.getvalue().decode(encoding).splitlines()


def check(table, width, terminal=False):
    """No line is longer than ``width``; every figure is there, whole, as often as it should be."""
    lines = printed(table, width, terminal)
    assert max(map(cell_len, lines)) <= width, "\n".join(lines)
    found = Counter(cell.strip() for line in lines for cell in re.split(r"\s{2,}|[│┃]", line) if cell.strip())
    numbers = Counter(number for line in lines for number in NUMBER.findall(line))
    wanted, inside = Counter(), Counter()
    for place, column in enumerate(table.columns):
        cells = [cell.plain if isinstance(cell, Text) else str(cell) for cell in column.cells]
        if column.overflow == "fold":
            inside.update(word for cell in cells for word in cell.split() if NUMBER.fullmatch(word))
        elif place:
            wanted.update(cell.strip() for cell in cells if cell.strip())
    assert not wanted - found, (wanted - found, "\n".join(lines))
    assert not inside - numbers, (inside - numbers, "\n".join(lines))
    return lines


def rows_of(text):
    """The cells of all rows of tables without frames, by the dashes below their headings."""
    rows, spans = [], []
    for line in text.splitlines():
        if re.fullmatch(r"-+(?: -+)*", line.strip()):
            spans = [match.span() for match in re.finditer("-+", line)]
        elif spans and len(line) <= spans[-1][1] and all(line[end : end + 1].strip() == "" for _, end in spans):
            rows.append([line[start:end].strip() for start, end in spans])
        else:
            spans = []
    return rows
