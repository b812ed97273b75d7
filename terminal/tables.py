"""Tables that fit: no number is ever broken or cut, names grow shorter in their middle, prose wraps at words.

What is still too wide goes on below, with the names again. The first column has the names; a column with
``overflow="fold"`` has prose; all others have figures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rich import box, table
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

from .console import folded

SHORTEST_NAME, LONGEST_NAME = 16, 40
"""Columns below which no name is made shorter, and up to which none is: shortened names shall not be alike."""
SHORTEST_PROSE = 12
NUMBER = re.compile(r"[-+(]*[\d.,]+(e[-+]?\d+)?[%),;:]*")
MANY = 100_000
PLAIN = box.Box("    \n    \n -  \n    \n -  \n -  \n    \n    \n", ascii=True)
"""No frame: dashes below each heading, and between sections."""


class Table(table.Table):
    """A Rich table that prints as the module says."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, or its pieces one below the other."""
        own = options.update(max_width=MANY, width=MANY)
        for place, part in enumerate(self._parts(console, own, options.max_width)):
            if place:
                yield Text("")
            wide = max(options.max_width, Measurement.get(console, own, part).maximum)
            yield from table.Table.__rich_console__(part, console, options.update(width=wide))

    def _parts(self, console: Console, own: ConsoleOptions, most: int) -> list[Table]:
        plain = not console.is_terminal or bool(console.no_color)
        kinds = [self._kind(number) for number in range(len(self.columns))]
        everything = list(range(len(kinds)))

        def width(part: Table) -> int:
            return Measurement.get(console, own, part).maximum

        whole = self._part(everything, {}, plain)
        if width(whole) <= most:
            return [whole]
        least = {number: self._least(number) for number in everything if kinds[number]}
        if width(self._part(everything, least, plain, wrapped=True)) <= most:
            return [self._fitted(everything, least, plain, most, width)]
        names = [number for number in everything if kinds[number] == "name"]
        prose = [number for number in everything if kinds[number] == "prose"]
        groups: list[list[int]] = [[]]
        for number in [*(number for number in everything if not kinds[number]), *prose]:
            longer = [*names, *groups[-1], number]
            if groups[-1] and width(self._part(longer, least, plain, wrapped=True)) > most:
                groups.append([])
            groups[-1].append(number)
        parts = [self._fitted([*names, *group], least, plain, most, width) for group in groups]
        for part in parts[1:]:
            part.title = None
        for part in parts[:-1]:
            part.caption = None
        return parts

    def _fitted(self, numbers: Sequence[int], least: dict[int, int], plain: bool, most: int, width: Any) -> Table:
        """These columns, names and prose as wide as there is room for."""
        widths = {number: least[number] for number in numbers if number in least}
        spare = most - width(self._part(numbers, widths, plain, wrapped=True))
        for place, number in enumerate(widths):
            share = spare if place == len(widths) - 1 or self._kind(number) == "name" else spare // 2
            more = min(max(share, 0), self._widest(number) - widths[number])
            widths[number] += more
            spare -= more
        for number, wide in widths.items():
            if spare < 0 and self._kind(number) == "name":  # the figures alone are nearly as wide as the screen
                widths[number] = max(1, wide + spare)
        return self._part(numbers, widths, plain, wrapped=True)

    def _part(self, numbers: Sequence[int], widths: dict[int, int], plain: bool, wrapped: bool = False) -> Table:
        """A table of some columns, some of them of given widths, which Rich has no reason to change."""
        part = Table(
            title=self.title,
            caption=self.caption,
            box=PLAIN if plain and self.box else self.box,
            show_header=self.show_header,
            show_edge=self.show_edge and not plain,
            pad_edge=self.pad_edge and not plain,
            padding=self.padding,
            header_style=self.header_style,
            row_styles=self.row_styles,
            title_style=self.title_style,
            caption_style=self.caption_style,
            title_justify="left" if plain else "center",
            caption_justify="left" if plain else "center",
        )
        for number in numbers:
            column, kind = self.columns[number], self._kind(number)
            header = self._text(column.header)
            heading = Text(folded(header.plain, self._widest(number)) if wrapped and kind != "prose" else header.plain)
            part.add_column(
                heading,
                justify=column.justify,
                style=column.style,
                no_wrap=kind != "prose",
                overflow="fold",
                width=widths.get(number),
            )
        cells = [list(self.columns[number].cells) for number in numbers]
        for at, row in enumerate(self.rows):
            texts = [self._text(column[at]) for column in cells]
            for place, number in enumerate(numbers):
                if number in widths and self._kind(number) == "name":
                    texts[place] = shortened(texts[place], widths[number])
                elif self._kind(number) == "prose":  # a blank ahead would be part of the first word
                    texts[place] = texts[place][len(texts[place]) - len(texts[place].plain.lstrip()) :]
            part.add_row(*texts, style=row.style, end_section=row.end_section)
        return part

    def _kind(self, number: int) -> str:
        """``name``, ``prose``, or nothing for figures."""
        if self.columns[number].overflow == "fold":
            return "prose"
        return "name" if number == 0 else ""

    def _least(self, number: int) -> int:
        """Columns that names and prose get at least; a number in prose is a word that is not folded."""
        words = [word for cell in self.columns[number].cells for word in self._text(cell).plain.split()]
        numbers = [cell_len(word) for word in words if NUMBER.fullmatch(word)]
        least, widest = max([SHORTEST[self._kind(number)], *numbers]), self._widest(number)
        if self._kind(number) == "name":
            names = {self._text(cell).plain: self._text(cell) for cell in self.columns[number].cells}
            while least < min(widest, LONGEST_NAME) and len(names) > len(
                {shortened(name, least).plain for name in names.values()}
            ):
                least += 1
        return min(widest, least)

    def _widest(self, number: int) -> int:
        """Columns that the longest cell takes, or the longest word of the heading."""
        column = self.columns[number]
        header = self._text(column.header).plain.split(" ")
        lines = [line for cell in column.cells for line in self._text(cell).plain.split("\n")]
        return max(map(cell_len, [*header, *lines]))

    def _text(self, cell: Any) -> Text:
        return cell.copy() if isinstance(cell, Text) else Text(str(cell))


SHORTEST = {"name": SHORTEST_NAME, "prose": SHORTEST_PROSE}


def shortened(text: Text, width: int) -> Text:
    """A name that is too long without its middle; what tells names apart is at their ends."""
    plain = text.plain
    if cell_len(plain) <= width:
        return text
    kept = max(width - len(GAP), 0)
    start, end = plain[: (kept + 1) // 2], plain[len(plain) - kept // 2 :]
    return Text(f"{start}{GAP}{end}"[:width] if kept else GAP[:width], style=text.style)


GAP = ".."
