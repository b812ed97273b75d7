"""What a person reads while something runs: a console that keeps a log, tables that fit, and how far it is."""

from .console import Level, Printer, handed_on, kept_in, level, running, take_over
from .steps import progress, shown, track
from .tables import Table

__all__ = [
    "Level",
    "Printer",
    "Table",
    "handed_on",
    "kept_in",
    "level",
    "progress",
    "running",
    "shown",
    "take_over",
    "track",
]
