"""Event-by-event execution of the integer program by a compiled machine."""

from .samples import run, run_stepwise
from .simulator import Simulator

__all__ = ["Simulator", "run", "run_stepwise"]
