"""Whether a program fits a chip: published limits, small rules, and layers on cores; docs/chips.md tells more."""

from .check import Fit, Verdict, check
from .profile import ChipProfile, Limit, load_chip
from .table import line, overview, print_fit

__all__ = ["ChipProfile", "Fit", "Limit", "Verdict", "check", "line", "load_chip", "overview", "print_fit"]
